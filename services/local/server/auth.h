// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/server/http_types.h"

#include <filesystem>
#include <string>
#include <string_view>

namespace desk::local {

/// Reads the key of a data folder, or makes a random one (file mode 0600) on the first start.
[[nodiscard]] Result<std::string> loadOrCreateKey(const std::filesystem::path& file);

/// Number of hexadecimal digits from the system's random source.
[[nodiscard]] std::string randomHex(std::size_t digits);

/// Compares in a time that depends on the lengths only. A prefix "tml-" is ignored on both sides.
[[nodiscard]] bool sameKey(std::string_view given, std::string_view expected) noexcept;

/// The key comes as X-Api-Key or as Authorization: Bearer; one right one is enough.
[[nodiscard]] bool isAuthorized(const HttpRequest& request, std::string_view key) noexcept;

} // namespace desk::local
