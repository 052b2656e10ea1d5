// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/output_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <random>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace desk {

namespace {

    std::string randomSuffix()
    {
        std::random_device device;
        char text[17];
        std::snprintf(text, sizeof text, "%08x%08x", device(), device());
        return text;
    }
    std::filesystem::path folderOf(const std::filesystem::path& path)
    {
        const auto parent = path.parent_path();
        return parent.empty() ? std::filesystem::path(".") : parent;
    }
    std::filesystem::path temporaryBeside(const std::filesystem::path& path)
    {
        return folderOf(path) / ("." + path.filename().string() + ".partial-" + randomSuffix());
    }
    Status writeAll(int fd, std::uint64_t offset, std::span<const std::byte> bytes,
        const std::filesystem::path& path)
    {
        while (!bytes.empty()) {
            const auto count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (count < 0 && errno == EINTR)
                continue;
            if (count <= 0)
                return systemError(count < 0 ? errno : ENOSPC, "write", path);
            offset += static_cast<std::uint64_t>(count);
            bytes = bytes.subspan(static_cast<std::size_t>(count));
        }
        return done();
    }
    Status readAll(
        int fd, std::uint64_t offset, std::span<std::byte> bytes, const std::filesystem::path& path)
    {
        while (!bytes.empty()) {
            const auto count = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (count < 0 && errno == EINTR)
                continue;
            if (count <= 0)
                return systemError(count < 0 ? errno : EIO, "read back", path);
            offset += static_cast<std::uint64_t>(count);
            bytes = bytes.subspan(static_cast<std::size_t>(count));
        }
        return done();
    }

} // namespace

Error systemError(int errorNumber, std::string_view what, const std::filesystem::path& path)
{
    Error error;
    error.message = "cannot " + std::string(what) + " " + path.string() + ": "
        + std::generic_category().message(errorNumber);
    error.code = Error::Code::Unreadable;
    if (errorNumber == ENOSPC || errorNumber == EDQUOT || errorNumber == EFBIG) {
        error.code = Error::Code::Full;
        error.message = "no space left for " + path.string() + " ("
            + std::generic_category().message(errorNumber) + ")";
        error.unchanged = "nothing was written under that name";
        error.next = "free some space or choose another place, then try again";
    } else if (errorNumber == ENOENT || errorNumber == ENOTDIR) {
        error.code = Error::Code::NotFound;
    }
    return error;
}

Status syncFolder(const std::filesystem::path& folder)
{
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return systemError(errno, "open", folder);
    const int failure = ::fsync(fd) == 0 ? 0 : errno;
    ::close(fd);
    // Some file systems cannot sync a folder and say so with EINVAL; there is nothing to wait for.
    if (failure != 0 && failure != EINVAL)
        return systemError(failure, "sync", folder);
    return done();
}

Result<OutputFile> OutputFile::create(const std::filesystem::path& path)
{
    if (path.filename().empty())
        return Error { Error::Code::Usage, "the output " + path.string() + " names no file", {}, {},
            {} };
    OutputFile file;
    file.m_path = path;
    file.m_temporary = temporaryBeside(path);
    file.m_fd =
        ::open(file.m_temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (file.m_fd < 0) {
        file.m_temporary.clear();
        return systemError(errno, "create", path);
    }
    return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : m_fd(std::exchange(other.m_fd, -1))
    , m_path(std::move(other.m_path))
    , m_temporary(std::move(other.m_temporary))
{
    other.m_temporary.clear();
}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept
{
    if (this != &other) {
        discard();
        m_fd = std::exchange(other.m_fd, -1);
        m_path = std::move(other.m_path);
        m_temporary = std::move(other.m_temporary);
        other.m_temporary.clear();
    }
    return *this;
}

OutputFile::~OutputFile()
{
    discard();
}

void OutputFile::discard() noexcept
{
    if (m_fd >= 0)
        ::close(m_fd);
    m_fd = -1;
    if (!m_temporary.empty())
        ::unlink(m_temporary.c_str());
    m_temporary.clear();
}

Status OutputFile::reserve(std::uint64_t size)
{
    if (size == 0)
        return done();
    while (::fallocate(m_fd, 0, 0, static_cast<off_t>(size)) != 0) {
        if (errno == EINTR)
            continue;
        if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
            return systemError(errno, "reserve", m_path);
        break; // the file system cannot reserve: the writes will tell
    }
    return done();
}

Status OutputFile::writeAt(std::uint64_t offset, std::span<const std::byte> bytes)
{
    return writeAll(m_fd, offset, bytes, m_path);
}

Status OutputFile::readAt(std::uint64_t offset, std::span<std::byte> bytes) const
{
    return readAll(m_fd, offset, bytes, m_path);
}

Status OutputFile::commit()
{
    if (::fsync(m_fd) != 0)
        return systemError(errno, "sync", m_path);
    const int closed = ::close(m_fd);
    m_fd = -1;
    if (closed != 0)
        return systemError(errno, "close", m_path);
    if (::rename(m_temporary.c_str(), m_path.c_str()) != 0)
        return systemError(errno, "rename to", m_path);
    m_temporary.clear();
    return syncFolder(folderOf(m_path));
}

Result<ScratchFile> ScratchFile::create(const std::filesystem::path& folder)
{
    ScratchFile file;
    file.m_folder = folder.empty() ? std::filesystem::path(".") : folder;
    file.m_fd = ::open(file.m_folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file.m_fd < 0) { // the file system has no nameless files: take the name away at once
        const auto name = file.m_folder / (".scratch-" + randomSuffix());
        file.m_fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file.m_fd < 0)
            return systemError(errno, "create a temporary file in", file.m_folder);
        ::unlink(name.c_str());
    }
    return file;
}

ScratchFile::ScratchFile(ScratchFile&& other) noexcept
    : m_fd(std::exchange(other.m_fd, -1))
    , m_size(other.m_size)
    , m_folder(std::move(other.m_folder))
{
}

ScratchFile& ScratchFile::operator=(ScratchFile&& other) noexcept
{
    std::swap(m_fd, other.m_fd);
    std::swap(m_size, other.m_size);
    std::swap(m_folder, other.m_folder);
    return *this;
}

ScratchFile::~ScratchFile()
{
    if (m_fd >= 0)
        ::close(m_fd);
}

Status ScratchFile::append(std::span<const std::byte> bytes)
{
    auto written = writeAll(m_fd, m_size, bytes, m_folder);
    if (written)
        m_size += bytes.size();
    return written;
}

Status ScratchFile::readAt(std::uint64_t offset, std::span<std::byte> bytes) const
{
    return readAll(m_fd, offset, bytes, m_folder);
}

Result<OutputFolder> OutputFolder::create(const std::filesystem::path& path)
{
    // "a/b/" and "a/b" are the same folder.
    const auto target = path.filename().empty() ? path.parent_path() : path;
    std::error_code code;
    const auto status = std::filesystem::symlink_status(target, code);
    if (std::filesystem::exists(status)
        && !(std::filesystem::is_directory(status) && std::filesystem::is_empty(target, code)))
        return Error { Error::Code::Conflict, "the output " + target.string() + " already exists",
            "it was left as it is", "choose a name that is not taken", {} };
    OutputFolder folder;
    folder.m_path = target;
    folder.m_temporary = temporaryBeside(target);
    if (::mkdir(folder.m_temporary.c_str(), 0777) != 0) {
        folder.m_temporary.clear();
        return systemError(errno, "create", target);
    }
    return folder;
}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : m_path(std::move(other.m_path))
    , m_temporary(std::move(other.m_temporary))
{
    other.m_temporary.clear();
}

OutputFolder& OutputFolder::operator=(OutputFolder&& other) noexcept
{
    std::swap(m_path, other.m_path);
    std::swap(m_temporary, other.m_temporary);
    return *this;
}

OutputFolder::~OutputFolder()
{
    std::error_code ignored;
    if (!m_temporary.empty())
        std::filesystem::remove_all(m_temporary, ignored);
}

Status OutputFolder::commit()
{
    if (auto synced = syncFolder(m_temporary); !synced)
        return synced;
    if (::rename(m_temporary.c_str(), m_path.c_str()) != 0) {
        if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR)
            return Error { Error::Code::Conflict,
                "the output " + m_path.string() + " appeared meanwhile", "it was left as it is",
                "choose a name that is not taken", {} };
        return systemError(errno, "rename to", m_path);
    }
    m_temporary.clear();
    return syncFolder(folderOf(m_path));
}

} // namespace desk
