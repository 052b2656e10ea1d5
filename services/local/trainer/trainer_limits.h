// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <cstddef>

namespace desk::local {

/// What the clients of all trainers together may hold.
struct TrainerLimits
{
    std::size_t models = 16; ///< live at once
    /// Bodies whose work has not ended; more are answered 429 with Retry-After.
    std::size_t queuedBytes = std::size_t { 512 } << 20;
    /// Models of a session without a sign of life for so long give way to new ones. The clients
    /// give one every 10 s.
    std::chrono::milliseconds silence { 120'000 };
};

} // namespace desk::local
