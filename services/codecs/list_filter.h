// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/json_read.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

// Filter, order and mask of the control plane's lists (gateway.md section 1.6; AIP-160, AIP-132 and
// AIP-157 of https://google.aip.dev). For the codecs only. THREAD: any.

namespace desk {

/// One node of a parsed filter.
struct FilterNode
{
    enum class Kind
    {
        And,
        Or,
        Not,
        Compare,
        Search
    };
    Kind kind = Kind::And;
    std::vector<FilterNode> children;
    std::string path; ///< of a comparison, dots between the names
    std::string comparator; ///< = != < <= > >= :
    std::string argument; ///< or the text that is searched for
};

/// Usage, with the place, for a text that is no filter, is longer than 4 KiB or is nested deeper
/// than 32. As in AIP-160, OR binds more tightly than AND. An empty text keeps everything.
[[nodiscard]] Result<FilterNode> parseFilter(std::string_view text);
/// Names in camelCase or snake_case. Times compare as times, numbers in texts as numbers; '*' at
/// the ends of an argument of = stands for any text; a field that is absent is unequal to all.
[[nodiscard]] bool matchesFilter(const FilterNode& filter, const Json& row);

/// Sorts stably by "field [asc|desc], …"; absent fields come first.
[[nodiscard]] Status sortRows(std::vector<Json>& rows, std::string_view orderBy);
/// The fields that the mask names, and always the name.
[[nodiscard]] Json maskedRow(const Json& row, std::string_view mask);

} // namespace desk
