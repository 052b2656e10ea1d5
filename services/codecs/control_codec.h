// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace desk {

// Replies of a run's control socket (cli.md section 5), one JSON object on one line. A failure is
// {"error":{code,message,unchanged,next,request_id}} as everywhere on the command line.

/// Reply to `status`, `pause`, `continue` and `stop`:
/// {"state","run_dir","job","pid","step","total_steps","loss","lora_rank","newest_base",…}
struct ControlStatus
{
    std::string state; ///< starting, training, paused, saving, stopping, finished, failed
    std::string runDir;
    std::string job; ///< full resource name
    std::int64_t pid = 0;
    std::optional<std::int64_t> step;
    std::optional<std::int64_t> totalSteps;
    std::optional<double> loss;
    int loraRank = 0;
    std::string newestBase; ///< snapshot a delta could stand on; empty if none was saved
    std::string busyWith; ///< a save in progress: its name; else empty
    bool operator==(const ControlStatus&) const = default;
};

/// Reply to `save KIND NAME [TTL]`: the save result of cli.md section 7.
struct ControlSaved
{
    std::string path; ///< what the trainer returned
    std::string snapshotName; ///< with session suffix; empty for kind state
    std::string name; ///< four-segment resource name
    std::string kind; ///< state, base, delta
    std::string parent; ///< delta: the snapshot it stands on
    std::optional<std::uint64_t> bytes;
    std::optional<double> ratio; ///< bytes of the base / bytes of this
    std::optional<double> changedFraction; ///< of elements
    bool operator==(const ControlSaved&) const = default;
};

[[nodiscard]] std::string encodeControlStatus(const ControlStatus& status);
[[nodiscard]] Result<ControlStatus> decodeControlStatus(std::string_view line);
[[nodiscard]] std::string encodeControlSaved(const ControlSaved& saved);
[[nodiscard]] Result<ControlSaved> decodeControlSaved(std::string_view line);
/// {"error":{…}} on one line.
[[nodiscard]] std::string encodeControlError(const Error& error);

/// A command line as the run reads it. Refused with code Usage if it is none of the five.
struct ControlCommand
{
    enum class Verb
    {
        ReadStatus,
        Save,
        Pause,
        Continue,
        Stop
    };
    Verb verb = Verb::ReadStatus;
    std::string kind; ///< save: state, base or delta
    std::string name; ///< save: letters, digits, '-', '_', '.'; at most 100 bytes
    std::optional<std::int64_t> ttlSeconds;
};
[[nodiscard]] Result<ControlCommand> parseControlCommand(std::string_view line);
/// What a name for a save must look like; an empty text if `name` may be used.
[[nodiscard]] std::string problemWithSaveName(std::string_view name);

} // namespace desk
