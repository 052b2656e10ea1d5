// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/server/http_types.h"

#include <cstddef>

namespace desk::local {

/// A request body after decompression may have this size, as one that was never compressed.
inline constexpr std::size_t kMaxPlainBody = std::size_t { 128 } << 20;

/// Replaces a body of `Content-Encoding: zstd` by what it holds; others are left as they are.
/// Malformed for broken data, for another encoding and beyond `limit`, which is never allocated.
[[nodiscard]] Status unpackBody(HttpRequest& request, std::size_t limit = kMaxPlainBody);

} // namespace desk::local
