// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/metrics/ledger_tail.h"
#include "services/runs/run_facts.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace desk {

/// A small file that is read anew whenever it changed on disk.
class WatchedFile
{
public:
    explicit WatchedFile(std::filesystem::path path);
    /// The text if it changed since the last call (empty when the file has gone); nullopt if not.
    [[nodiscard]] std::optional<std::string> readIfChanged(std::uint64_t maxBytes);
    [[nodiscard]] std::optional<Time> changedAt() const { return m_changedAt; }

private:
    std::filesystem::path m_path;
    std::optional<Time> m_changedAt;
    std::uint64_t m_stamp = 0; ///< of size, time and inode; 0: no file
    std::uint64_t m_size = 0;
};

/// Reads one run folder as it grows, blocking, and keeps what is known of it.
/// THREAD: one; `facts().series` may be read on any.
class RunReader
{
public:
    /// `ledger`: the metrics file, usually folder/metrics.jsonl. `clock` must outlive the reader.
    RunReader(std::filesystem::path folder, std::filesystem::path ledger, const Clock& clock);

    /// Reads what is new, at most 16 MiB. true: facts() changed.
    bool poll();
    /// There is more than one poll reads at once.
    [[nodiscard]] bool hasMore() const { return m_hasMore; }
    [[nodiscard]] const RunFacts& facts() const { return m_facts; }

private:
    bool readConfig();
    bool readStatus();
    bool readCheckpoints();
    bool readLedger();
    bool readProcess();
    void updateSeries();
    void updateCadence(const SeriesSnapshot& loss);
    void updateCheckpointLosses();
    void concludeEvidence();

    std::filesystem::path m_folder;
    const Clock& m_clock;
    LedgerTail m_tail;
    WatchedFile m_config;
    WatchedFile m_status;
    WatchedFile m_checkpoints;
    RunFacts m_facts;
    RunEvidence m_end = RunEvidence::Unknown; ///< what the run itself wrote down as its end
    std::string m_lossName;
    bool m_hasMore = false;
    bool m_isFirstPoll = true;
};

} // namespace desk
