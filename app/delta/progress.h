// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/delta/engine.h"

#include <chrono>
#include <cstdint>

namespace desk {

enum class ProgressKind
{
    Auto, ///< a bar if standard error is a terminal and the work takes over half a second
    Json, ///< JSON Lines on standard error
    None
};

/// Shows on standard error how far a job is; at most ten times a second.
class Progress
{
public:
    explicit Progress(ProgressKind kind);
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress(); ///< takes the bar away
    void report(std::uint64_t done, std::uint64_t total);

private:
    using Clock = std::chrono::steady_clock;
    ProgressKind m_kind;
    Clock::time_point m_start = Clock::now();
    Clock::time_point m_shown {};
    bool m_hasBar = false;
    bool m_isComplete = false;
};

} // namespace desk
