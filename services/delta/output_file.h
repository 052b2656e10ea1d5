// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace desk {

/// The Error for a failed system call: Full for a full disk, quota or size limit, NotFound for an
/// absent file, else Unreadable. what: "write" as in "cannot write <path>: …".
[[nodiscard]] Error systemError(
    int errorNumber, std::string_view what, const std::filesystem::path& path);

/// fsync of a folder, so that a rename in it survives a power cut.
[[nodiscard]] Status syncFolder(const std::filesystem::path& folder);

/// A file that appears under its name only when it is complete: written under a temporary name in
/// the same folder, then fsynced and renamed. Without commit() nothing is left behind.
/// THREAD: writeAt may be called from several threads for ranges that do not overlap.
class OutputFile
{
public:
    [[nodiscard]] static Result<OutputFile> create(const std::filesystem::path& path);
    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&& other) noexcept;
    ~OutputFile();

    /// Asks the file system for size bytes now, so that a full disk is known before the work.
    [[nodiscard]] Status reserve(std::uint64_t size);
    [[nodiscard]] Status writeAt(std::uint64_t offset, std::span<const std::byte> bytes);
    [[nodiscard]] Status readAt(std::uint64_t offset, std::span<std::byte> bytes) const;
    /// Replaces an older file of that name.
    [[nodiscard]] Status commit();
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return m_path; }

private:
    OutputFile() = default;
    void discard() noexcept;
    int m_fd = -1;
    std::filesystem::path m_path;
    std::filesystem::path m_temporary;
};

/// A file without a name: space for bytes whose place is not known yet; gone when closed, also
/// after a kill. THREAD: one.
class ScratchFile
{
public:
    /// In the folder where the final file will stand, so that space is taken where it is needed.
    [[nodiscard]] static Result<ScratchFile> create(const std::filesystem::path& folder);
    ScratchFile(ScratchFile&& other) noexcept;
    ScratchFile& operator=(ScratchFile&& other) noexcept;
    ~ScratchFile();
    [[nodiscard]] Status append(std::span<const std::byte> bytes);
    [[nodiscard]] Status readAt(std::uint64_t offset, std::span<std::byte> bytes) const;
    [[nodiscard]] std::uint64_t size() const noexcept { return m_size; }

private:
    ScratchFile() = default;
    int m_fd = -1;
    std::uint64_t m_size = 0;
    std::filesystem::path m_folder;
};

/// A folder that appears under its name only when it is complete. Without commit() it is removed.
class OutputFolder
{
public:
    /// Conflict if path exists and is not an empty folder.
    [[nodiscard]] static Result<OutputFolder> create(const std::filesystem::path& path);
    OutputFolder(OutputFolder&& other) noexcept;
    OutputFolder& operator=(OutputFolder&& other) noexcept;
    ~OutputFolder();
    /// Where to put the files meanwhile.
    [[nodiscard]] const std::filesystem::path& building() const noexcept { return m_temporary; }
    [[nodiscard]] Status commit();

private:
    OutputFolder() = default;
    std::filesystem::path m_path;
    std::filesystem::path m_temporary;
};

} // namespace desk
