// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"

#include <QString>
#include <QStringView>

#include <chrono>
#include <cstdint>
#include <optional>

/// The one place where values become text for people. Numbers use a point and thin groups of ","
/// in every locale of this version, so that a picture and an export read the same.
namespace desk::format {

/// What stands where a fact is not known: "—".
[[nodiscard]] QString unknown();

/// "1.8113", "0.0211", "6.70e-6"; NaN and Inf are words.
/// significant: digits that carry meaning, 1 to 17.
[[nodiscard]] QString number(double value, int significant = 5);
[[nodiscard]] QString number(const std::optional<double>& value, int significant = 5);
/// With sign: "−0.0064", "+0.1200".
[[nodiscard]] QString signedNumber(double value, int significant = 5);
/// All digits that are needed to read the same double back.
[[nodiscard]] QString exactNumber(double value);
/// "13,212"
[[nodiscard]] QString count(std::int64_t value);
/// "38.5 k", "1.2 M"; below 10,000 as count()
[[nodiscard]] QString shortCount(double value);
/// "281 MiB", "15.26 GiB", "512 B"
[[nodiscard]] QString bytes(std::uint64_t value);
/// A fraction as "1.80 %"; 0 < fraction < 0.0001 becomes "< 0.01 %"
[[nodiscard]] QString percent(double fraction);
/// "2 s", "47 min", "3 h 15 min", "6 d 23 h"; one unit from `units` = 1
[[nodiscard]] QString span(std::chrono::seconds length, int units = 1);
/// span() of now − then; "0 s" when the clocks disagree by a little
[[nodiscard]] QString age(Time then, Time now, int units = 1);
[[nodiscard]] QString age(const std::optional<Time>& then, Time now, int units = 1);
/// How long something took: "0.15 s", "3.2 s", "41 s", from a minute on as stopwatch().
[[nodiscard]] QString seconds(double length);
/// "00:41", "1:02:07"
[[nodiscard]] QString stopwatch(std::chrono::seconds length);
/// "14:02:11" in local time
[[nodiscard]] QString clockTime(Time time);
/// ISO 8601 in UTC with seconds, "2026-11-21 14:02:11Z"
[[nodiscard]] QString isoTime(Time time);
/// Text cut in the middle to at most `length` characters: "qwen…a22b". Never used for ids.
[[nodiscard]] QString middleElided(QStringView text, qsizetype length);
/// Last segment of a resource name.
[[nodiscard]] QString lastSegment(QStringView name);
/// A base model by its last segment; that a stand-in plays it is never left out.
[[nodiscard]] QString baseModel(QStringView name, bool isStandIn);

[[nodiscard]] QString fromUtf8(std::string_view text);
[[nodiscard]] std::string toUtf8(QStringView text);

} // namespace desk::format
