// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace desk {

/// Wall-clock instant with microseconds, UTC.
using Time = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

/// The seam through which everything asks for the time, so that tests can set it.
/// THREAD: any.
class Clock
{
public:
    Clock() = default;
    Clock(const Clock&) = delete;
    Clock& operator=(const Clock&) = delete;
    virtual ~Clock() = default;
    [[nodiscard]] virtual Time now() const = 0;
};

class SystemClock final : public Clock
{
public:
    [[nodiscard]] Time now() const override;
};

/// RFC 3339 in UTC with microseconds, e.g. "2026-11-21T14:02:11.000250Z".
[[nodiscard]] std::string toRfc3339(Time time);
/// Accepts 0 to 9 fractional digits (servers mix precisions), 'Z' or an offset. nullopt if
/// malformed.
[[nodiscard]] std::optional<Time> parseRfc3339(std::string_view text);

} // namespace desk
