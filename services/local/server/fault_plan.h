// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/faults_codec.h"

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

namespace desk::local {

/// What the planned faults do to one request.
struct FaultEffect
{
    std::chrono::milliseconds delay { 0 }; ///< before the request takes effect
    std::optional<int> status; ///< answered instead of any effect
    std::optional<int> retryAfter;
    std::string body; ///< of the answer with `status`
    bool dropsReply = false; ///< the effect happens, the connection closes unanswered
    int replica = 0; ///< replica whose load fails, from 1; 0: none
};

/// Counts requests against the faults of `--faults`. THREAD: the server's.
class FaultPlan
{
public:
    explicit FaultPlan(std::vector<Fault> faults);
    /// `path` starts with '/'. Counts the request for every fault whose route matches.
    [[nodiscard]] FaultEffect next(std::string_view method, std::string_view path);

private:
    struct Entry
    {
        Fault fault;
        int seen = 0;
    };
    std::vector<Entry> m_entries;
};

/// `*` stands for any characters, '/' included.
[[nodiscard]] bool matchesGlob(std::string_view pattern, std::string_view text) noexcept;

} // namespace desk::local
