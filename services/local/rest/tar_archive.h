// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <filesystem>
#include <string>

namespace desk::local {

/// The regular files of a flat folder as a tar archive (POSIX ustar, IEEE Std 1003.1), in the order
/// of their names. Refused when they are more than `maxBytes` together; names of more than 100
/// bytes are refused, too. THREAD: any.
[[nodiscard]] Result<std::string> tarOfFolder(
    const std::filesystem::path& folder, std::uint64_t maxBytes);

} // namespace desk::local
