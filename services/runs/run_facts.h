// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/run_codec.h"
#include "services/core/clock.h"
#include "services/core/records.h"

#include <QString>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace desk {

class SeriesStore;

/// What can be said of a run from all signals together (runs.md section 3.3); the words of
/// cli.md section 7, "evidence".
enum class RunEvidence
{
    Unknown,
    Training, ///< a step came within the time that steps of this run take
    Silent, ///< no step for longer than max(3 x median gap, time-out of a save in progress)
    Orphaned, ///< the process is gone, the job still runs on the server
    Leaking, ///< the same for more than 10 minutes
    Finished,
    Failed,
    Cancelled
};

using LedgerCheckpoint = RunCheckpoint; ///< one line of checkpoints.jsonl

/// Everything known of one run folder at one moment. A value; readers may keep it.
struct RunFacts
{
    QString id; ///< canonical path of the folder
    QString folder; ///< same, for display
    std::string title; ///< "run_name" of the config, else the folder's name
    std::string job; ///< full resource name; empty: not linked
    std::string connection; ///< name or URL it trains through; empty: not known
    std::string baseModel;
    int loraRank = 0;
    std::optional<std::int64_t> step; ///< highest step with a metrics line
    std::optional<std::int64_t> totalSteps;
    std::optional<double> loss; ///< newest
    std::optional<double> bestLoss;
    std::optional<double> evalLoss; ///< newest
    std::optional<double> learningRate;
    std::optional<double> tokensPerSecond;
    std::optional<Time> started; ///< first metrics line
    std::optional<Time> lastProgress; ///< when the newest step was written
    std::optional<double> cadenceSeconds; ///< median gap of the last steps; nullopt below 3 steps
    RunEvidence evidence = RunEvidence::Unknown; ///< without the server's word, see evidenceFor()
    std::vector<double> sparkline; ///< at most 64 losses over the whole run, oldest first
    std::int64_t pid = 0; ///< 0: not known
    bool isProcessAlive = false;
    QString controlSocket; ///< empty: the folder has none
    bool isControlReachable = false; ///< something listens there
    std::string controlState; ///< its own word (training, paused, saving, …); empty: not known
    std::vector<LedgerCheckpoint> checkpoints; ///< in the order of the ledger
    std::shared_ptr<const SeriesStore> series; ///< null until the first whole line was read
    std::uint64_t ledgerBytes = 0; ///< read so far
    std::uint64_t skippedLines = 0; ///< malformed or too long
    bool hasTornTail = false; ///< the last line has no end yet; it waits for it
    std::string problem; ///< one sentence when the folder cannot be read; else empty
    std::string config; ///< text of config.json, for the inspector; at most 256 KiB
};

/// Adds the server's word to what the folder says. `jobState`: nullopt if the job was not read.
/// Source: runs.md section 3.3.
[[nodiscard]] RunEvidence evidenceFor(
    const RunFacts& run, std::optional<JobState> jobState, Time now) noexcept;
[[nodiscard]] const char* toString(RunEvidence evidence) noexcept; ///< "training", …

} // namespace desk
