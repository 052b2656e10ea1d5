// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/metrics/series.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace desk {

/// One leaf of a ledger row, nested objects joined with dots.
struct RowEntry
{
    enum class Kind : std::uint8_t
    {
        Number,
        Null,
        Text
    };
    std::string_view name;
    Kind kind = Kind::Null;
    bool isTopLevel = true;
    XValue number; ///< Number: exact when it is an integer of 64 bits
    std::string_view text; ///< Text
};

/// The leaves of one row. Views point into the line, the parser or `owned`.
struct FlatRow
{
    std::vector<RowEntry> entries;
    std::deque<std::string> owned;
    void clear()
    {
        entries.clear();
        owned.clear();
    }
    std::string_view own(std::string text)
    {
        owned.push_back(std::move(text));
        return owned.back();
    }
    void addText(std::string_view name, std::string_view text, bool isTopLevel);
};

/// Number token to value: integers of 64 bits exactly, the rest rounded correctly, too large is
/// infinite. The token must follow JSON's grammar.
[[nodiscard]] XValue numberFrom(std::string_view token);

/// Reads one JSON object in the way Python's json module does: also bare NaN, Infinity and
/// -Infinity, numbers of any length, bytes that are not UTF-8 (they become U+FFFD in names). The
/// slower of two readers, for the lines that the strict one refused.
/// Null when done; else why the line is none, as a short phrase.
[[nodiscard]] const char* scanTolerant(std::string_view line, FlatRow& row);

/// The "+1 more" of a nested name: `outer` + "." + `inner`.
[[nodiscard]] std::string joinName(std::string_view outer, std::string_view inner);

} // namespace desk
