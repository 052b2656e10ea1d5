// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/gateway_codec.h"
#include "services/core/result.h"
#include "services/local/server/http_types.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace desk::local {

/// Reads a non-negative number; `fallback` for an empty text, Usage for anything else.
[[nodiscard]] inline Result<std::size_t> pagingNumber(
    const std::string& text, const char* name, std::size_t fallback)
{
    if (text.empty())
        return fallback;
    std::size_t value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec != std::errc {} || read.ptr != text.data() + text.size())
        return Error { Error::Code::Usage, std::string(name) + " '" + text + "' is not valid",
            "nothing was listed", "leave it out, or send what the last page gave", {} };
    return value;
}

/// The page that pageSize (50 unless said, at most 200) and pageToken ask for
/// (gateway.md section 1.6).
template <class T>
[[nodiscard]] Result<Page<T>> pageOf(std::vector<T> items, const HttpRequest& request)
{
    auto size = pagingNumber(request.queryValue("pageSize"), "pageSize", 50);
    auto first = pagingNumber(request.queryValue("pageToken"), "pageToken", 0);
    if (!size)
        return size.error();
    if (!first)
        return first.error();
    const auto count = std::clamp<std::size_t>(*size, 1, 200);
    const auto begin = std::min(*first, items.size());
    const auto end = std::min(begin + count, items.size());
    Page<T> page;
    page.totalSize = static_cast<std::int64_t>(items.size());
    if (end < items.size())
        page.nextPageToken = std::to_string(end);
    for (std::size_t i = begin; i < end; ++i)
        page.items.push_back(std::move(items[i]));
    return page;
}

} // namespace desk::local
