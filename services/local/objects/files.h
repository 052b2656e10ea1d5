// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

// Files and flat folders of the object store: written beside the target, flushed, compared,
// renamed. THREAD: any, one writer per path.

namespace desk::local {

/// Full for ENOSPC, EDQUOT and EFBIG, else Unreadable; the text ends with the system's reason.
[[nodiscard]] Error fileError(int errorNumber, const std::string& what);

[[nodiscard]] Result<std::string> readSmallFile(
    const std::filesystem::path& file, std::uint64_t maxBytes);
/// Writes beside, flushes, renames. `mode` as in chmod.
[[nodiscard]] Status writeFileSafely(
    const std::filesystem::path& file, std::string_view bytes, unsigned mode = 0644);

/// Name beside `target` that no reader takes for a finished folder.
[[nodiscard]] std::filesystem::path partName(const std::filesystem::path& target);

/// Copies the regular files of a flat folder into `to`, which must not exist, flushes each and
/// compares it with its source. On failure nothing is left. `isCanceled` is asked between blocks.
[[nodiscard]] Status copyFolder(const std::filesystem::path& from, const std::filesystem::path& to,
    const std::function<bool()>& isCanceled = {});
/// copyFolder into a name beside `to`, then rename and flush of the parent.
[[nodiscard]] Status copyFolderSafely(const std::filesystem::path& from,
    const std::filesystem::path& to, const std::function<bool()>& isCanceled = {});
/// Renames a finished folder to its final name and flushes both parents. Conflict if `to` exists.
[[nodiscard]] Status publishFolder(
    const std::filesystem::path& from, const std::filesystem::path& to);

/// Creates a folder and its parents.
[[nodiscard]] Status makeFolder(const std::filesystem::path& folder);
/// Removes a folder or file; nothing there is fine. Failures are logged, the next start tries
/// again.
void removeTree(const std::filesystem::path& path);
/// Sum of the sizes of the regular files in a flat folder whose names end in `suffix`; "": all.
[[nodiscard]] std::uint64_t folderBytes(
    const std::filesystem::path& folder, std::string_view suffix = {});
[[nodiscard]] bool pathExists(const std::filesystem::path& path);

} // namespace desk::local
