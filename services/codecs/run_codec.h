// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// The small files of a run folder, in the shapes of a tinker-cookbook run (runs.md sections 1.4 and
// 1.11) with the keys that `trainerdesk-ctl train` adds. Readers take what other writers leave out.
// THREAD: any.

namespace desk {

/// config.json. Written: run_name, job, connection, model_name, lora_rank, max_steps, pid, plus
/// whatever `extra` holds. Read too: base_model for model_name; total_steps, num_steps for
/// max_steps.
struct RunConfig
{
    std::string runName;
    std::string job; ///< full resource name
    std::string connection; ///< name or URL it trains through
    std::string baseModel;
    int loraRank = 0;
    std::optional<double> learningRate;
    std::optional<std::int64_t> totalSteps;
    std::int64_t pid = 0; ///< of the training process; 0: not known
    /// Batches that the loop of a tinker-cookbook run submits before it saves (submit_ahead).
    std::optional<std::int64_t> submitAhead {};
    bool operator==(const RunConfig&) const = default;
};
/// `recipe`: JSON object whose keys are written too (the values above win); may be empty.
[[nodiscard]] std::string encodeRunConfig(const RunConfig& config, std::string_view recipe);
/// At most 1 MiB.
[[nodiscard]] Result<RunConfig> decodeRunConfig(std::string_view text);

/// One line of checkpoints.jsonl. Written: name, batch, step, kind, final, time, resource_name,
/// path, and state_path or sampler_path as tinker-cookbook has them.
struct RunCheckpoint
{
    std::string name; ///< as the loop named it
    std::optional<std::int64_t> step;
    std::string kind; ///< state, base, delta; empty if the ledger does not say
    std::string resourceName; ///< four-segment name; empty if the ledger does not say
    std::string path; ///< what the trainer returned
    std::optional<Time> savedAt;
    std::optional<double> loss; ///< of the step
    bool isFinal = false;
    std::string statePath {}; ///< of a line that names a state beside the sampler's path
    bool operator==(const RunCheckpoint&) const = default;
};
[[nodiscard]] std::string encodeRunCheckpoint(const RunCheckpoint& checkpoint); ///< one line
[[nodiscard]] Result<RunCheckpoint> decodeRunCheckpoint(std::string_view line);

/// status.json: {"code":0,"message":"training","details":[]}; the codes are those of runs.md 1.4
/// (0 fine, 1 cancelled, 3 bad input, 9 failed, 13 internal, 14 network).
struct RunStatus
{
    int code = 0;
    std::string message; ///< "completed" or "done" once all is over
    std::optional<int> percent;
    bool operator==(const RunStatus&) const = default;
};
[[nodiscard]] std::string encodeRunStatus(const RunStatus& status);
[[nodiscard]] Result<RunStatus> decodeRunStatus(std::string_view text);

/// What `train --detach` prints: {"run_dir","job","pid","control_socket"}.
struct DetachedRun
{
    std::string runDir;
    std::string job;
    std::int64_t pid = 0;
    std::string controlSocket;
    bool operator==(const DetachedRun&) const = default;
};
[[nodiscard]] std::string encodeDetachedRun(const DetachedRun& run);
/// The error of cli.md section 2, if that is what the line holds.
[[nodiscard]] Result<DetachedRun> decodeDetachedRun(std::string_view line);

} // namespace desk
