// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

// Text level shared by all codecs: bounds on hostile input, redaction, query strings.
// THREAD: any.

namespace desk {

/// What a body may be before it is parsed at all.
struct JsonLimits
{
    std::size_t maxBytes = std::size_t { 16 } << 20;
    std::size_t maxDepth = 64;
    std::size_t maxValues = 2'000'000; ///< commas outside strings
    std::size_t maxMembers = 4'096; ///< of one object
};
/// For bodies that carry tensors.
inline constexpr JsonLimits kTensorLimits { std::size_t { 128 } << 20, 64, 24'000'000, 4'096 };

/// One pass over the text; Malformed with the exceeded bound. Does not check the grammar.
[[nodiscard]] Status checkJsonBounds(std::string_view text, const JsonLimits& limits);

/// The JSON text with the value of every key that may hold a secret replaced by "[redacted]":
/// names that contain (case-insensitive) apikey, api_key, api-key, authorization, token (not
/// *tokens, *token_ids, nextPageToken), secret, password, credential. Text that is not JSON is
/// replaced as a whole. `indent` < 0: compact.
[[nodiscard]] std::string redactedJson(std::string_view text, int indent = 2);

/// RFC 3986: everything but unreserved characters becomes %XX.
[[nodiscard]] std::string percentEncoded(std::string_view text);
/// "a=1&b=x%2Fy" to a map; '+' is a space; later keys win. At most 100 pairs are read.
[[nodiscard]] std::map<std::string, std::string> parseQuery(std::string_view query);
/// The reverse, keys in order of the map, no leading '?'.
[[nodiscard]] std::string encodeQuery(const std::map<std::string, std::string>& query);

} // namespace desk
