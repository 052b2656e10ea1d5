// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/clock.h"

#include <array>
#include <charconv>
#include <cstdio>

namespace desk {

namespace {

    bool readNumber(std::string_view& text, std::size_t digits, int& out)
    {
        if (text.size() < digits)
            return false;
        for (std::size_t i = 0; i < digits; ++i)
            if (text[i] < '0' || text[i] > '9')
                return false;
        std::from_chars(text.data(), text.data() + digits, out);
        text.remove_prefix(digits);
        return true;
    }

    bool readLiteral(std::string_view& text, std::string_view anyOf)
    {
        if (text.empty() || anyOf.find(text.front()) == std::string_view::npos)
            return false;
        text.remove_prefix(1);
        return true;
    }

    /// Microseconds of ".123456789"; digits past the sixth are dropped.
    bool readFraction(std::string_view& text, std::int64_t& micros)
    {
        micros = 0;
        if (text.empty() || text.front() != '.')
            return true;
        text.remove_prefix(1);
        std::size_t digits = 0;
        for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits)
            if (digits < 6)
                micros = micros * 10 + (text[digits] - '0');
        if (digits == 0 || digits > 9)
            return false;
        for (std::size_t i = digits; i < 6; ++i)
            micros *= 10;
        text.remove_prefix(digits);
        return true;
    }

    bool readZone(std::string_view& text, std::chrono::minutes& offset)
    {
        offset = std::chrono::minutes { 0 };
        if (readLiteral(text, "Zz"))
            return true;
        const bool isWest = !text.empty() && text.front() == '-';
        int hours = 0;
        int minutes = 0;
        if (!readLiteral(text, "+-") || !readNumber(text, 2, hours) || !readLiteral(text, ":")
            || !readNumber(text, 2, minutes) || hours > 23 || minutes > 59)
            return false;
        offset = std::chrono::minutes { (isWest ? -1 : 1) * (hours * 60 + minutes) };
        return true;
    }

} // namespace

Time SystemClock::now() const
{
    return std::chrono::time_point_cast<std::chrono::microseconds>(
        std::chrono::system_clock::now());
}

std::string toRfc3339(Time time)
{
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date { day };
    const std::chrono::hh_mm_ss clock { time - day };
    std::array<char, 48> text {};
    const int length = std::snprintf(text.data(), text.size(),
        "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", static_cast<int>(date.year()),
        static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
        static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
        static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
    return { text.data(), static_cast<std::size_t>(length) };
}

std::optional<Time> parseRfc3339(std::string_view text)
{
    int year = 0;
    int month = 0;
    int day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
    std::int64_t micros = 0;
    std::chrono::minutes offset {};
    if (!readNumber(text, 4, year) || !readLiteral(text, "-") || !readNumber(text, 2, month)
        || !readLiteral(text, "-") || !readNumber(text, 2, day) || !readLiteral(text, "Tt ")
        || !readNumber(text, 2, hour) || !readLiteral(text, ":") || !readNumber(text, 2, minute)
        || !readLiteral(text, ":") || !readNumber(text, 2, second) || !readFraction(text, micros)
        || !readZone(text, offset) || !text.empty())
        return std::nullopt;
    const std::chrono::year_month_day date { std::chrono::year { year },
        std::chrono::month { static_cast<unsigned>(month) },
        std::chrono::day { static_cast<unsigned>(day) } };
    // 60 is a leap second, written by some servers.
    if (!date.ok() || hour > 23 || minute > 59 || second > 60)
        return std::nullopt;
    return Time { std::chrono::sys_days { date } } + std::chrono::hours { hour }
    + std::chrono::minutes { minute } + std::chrono::seconds { second }
    + std::chrono::microseconds { micros } - offset;
}

} // namespace desk
