// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace desk {

/// One entry of `trainerdesk-local --faults` (cli.md section 4).
struct Fault
{
    enum class Action
    {
        DropReply, ///< the request takes effect, its reply is lost
        Delay, ///< the request takes effect `milliseconds` later
        AnswerStatus, ///< answered with `status`, no effect
        ReplicaError ///< the hot load fails on one replica
    };
    std::string method; ///< first word of "route"; '*' matches any characters
    std::string path; ///< second word of "route"
    std::optional<int> nth; ///< only the nth matching request, from 1; nullopt: all
    Action action = Action::AnswerStatus;
    int milliseconds = 0;
    int status = 503;
    std::optional<int> retryAfter; ///< seconds
    // Words of the answer: its message with a reason and facts as a server says them
    // (fireworks-sdk-1.2.30.md 17.4), or a body of its own as it is.
    std::string message; ///< "message"
    std::string reason; ///< "reason", e.g. TIER_REQUIRED
    std::map<std::string, std::string> metadata; ///< "metadata", e.g. quota_required
    std::optional<std::string> body; ///< "body"
    int replica = 1; ///< from 1
};

/// Reads a JSON list of at most 1,000 faults. Malformed, naming the entry, for an unknown key or
/// action, a value out of range or a route that is not "METHOD PATH".
[[nodiscard]] Result<std::vector<Fault>> decodeFaults(std::string_view text);

} // namespace desk
