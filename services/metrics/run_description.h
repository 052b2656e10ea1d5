// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <filesystem>
#include <string>
#include <vector>

namespace desk {

struct DescribeOptions
{
    std::vector<std::string> series; ///< only these; empty: all
    bool withValues = false; ///< add `values`
    bool isJson = true; ///< else a table for people
};

/// Text of `metrics read PATH`: every run of a folder or ledger file, in the schema of the run
/// fixtures (`runs`, `malformed`), every count written out. JSON Lines ledgers: tinker-cookbook
/// run folders, Fireworks metrics files, plain *.jsonl.
/// Errors: Unreadable (path), Malformed (no ledger there).
[[nodiscard]] Result<std::string> describeRuns(
    const std::filesystem::path& path, const DescribeOptions& options);

} // namespace desk
