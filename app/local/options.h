// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/backend.h"

#include <filesystem>
#include <optional>

namespace desk::local {

struct LocalOptions
{
    BackendConfig backend;
    std::filesystem::path readyFile; ///< empty: none
    /// Set when the program has printed what was asked for (--help, --version) or a complaint.
    std::optional<int> exitCode;
};

/// Reads the command line of cli.md section 4.
[[nodiscard]] LocalOptions readLocalOptions(int argc, char** argv);

} // namespace desk::local
