// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"

#include <cstdint>
#include <optional>
#include <string>

namespace desk {

// A pid alone is reused by the system; with its start time it names one process.
// THREAD: any; reads /proc.

/// Start of a process in clock ticks since boot; nullopt if there is no such process, or only its
/// remains that nobody has waited for yet.
[[nodiscard]] std::optional<std::uint64_t> processStartTicks(std::int64_t pid);
/// When a process was started, by the wall clock; good to a second.
[[nodiscard]] std::optional<Time> processStartTime(std::int64_t pid);
/// Path of the executable of a process; empty if it cannot be read.
[[nodiscard]] std::string processExecutable(std::int64_t pid);
/// "host:pid:ticks" of this process.
[[nodiscard]] std::string identityOfThisProcess();
/// Whether the process named by such a text is running on this machine; nullopt: another machine.
[[nodiscard]] std::optional<bool> isIdentityAlive(const std::string& identity);

} // namespace desk
