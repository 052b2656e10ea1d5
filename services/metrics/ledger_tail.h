// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/metrics/jsonl_reader.h"

#include <filesystem>
#include <memory>

namespace desk {

/// Follows one JSON Lines ledger file: every poll reads what is new. A file that shrank, was
/// replaced, or shows its x key late is read again from the start; the store is cleared first
/// (its catalogRevision() tells).
/// THREAD: one (a worker); the store's snapshots may be read on any.
class LedgerTail
{
public:
    explicit LedgerTail(std::filesystem::path path, std::shared_ptr<SeriesStore> store);
    ~LedgerTail();

    struct Progress
    {
        std::uint64_t newBytes = 0;
        bool restarted = false; ///< the file was read again from the start
        bool atEnd = true; ///< false: maxBytes were read, more is there
    };
    /// Reads at most maxBytes. `arrivalUs`: wall time given to new samples without a time of their
    /// own; 0 on the first poll of an old file. A file that is not there yet is no error: it has no
    /// rows.
    [[nodiscard]] Result<Progress> poll(
        std::int64_t arrivalUs = 0, std::uint64_t maxBytes = std::uint64_t { 64 } << 20);

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return m_path; }
    [[nodiscard]] const std::shared_ptr<SeriesStore>& store() const noexcept { return m_store; }
    [[nodiscard]] const LedgerReport& report() const;
    [[nodiscard]] std::vector<KeyReport> keys() const;

private:
    void restart(int xRank);

    std::filesystem::path m_path;
    std::shared_ptr<SeriesStore> m_store;
    std::unique_ptr<JsonlReader> m_reader;
    std::uint64_t m_offset = 0;
    std::uint64_t m_device = 0;
    std::uint64_t m_inode = 0;
    std::string m_head; ///< first bytes, to tell a rewritten file from a grown one
};

} // namespace desk
