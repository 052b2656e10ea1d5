// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/connection.h"
#include "services/core/result.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace desk {

/// Everything in the settings file.
struct SettingsValues
{
    std::vector<Connection> connections; ///< names are unique
    std::string lastConnection;
    std::string theme = "system";
    std::vector<std::string> runFolders; ///< opened by the user, UTF-8 paths
    std::map<std::string, std::string> texts; ///< window geometry and the like
};

[[nodiscard]] std::string encodeSettings(const SettingsValues& values);
/// Unknown keys are ignored: a newer program may have written them. At most 1 MiB, 256
/// connections, 1000 folders.
[[nodiscard]] Result<SettingsValues> decodeSettings(std::string_view text);

} // namespace desk
