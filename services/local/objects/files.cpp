// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/objects/files.h"

#include "services/local/server/auth.h"
#include "services/local/server/log.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace desk::local {

namespace fs = std::filesystem;

namespace {

    class Descriptor
    {
    public:
        explicit Descriptor(int value)
            : m_value(value)
        {
        }
        Descriptor(const Descriptor&) = delete;
        Descriptor& operator=(const Descriptor&) = delete;
        ~Descriptor()
        {
            if (m_value >= 0)
                ::close(m_value);
        }
        int get() const { return m_value; }

    private:
        int m_value;
    };

    Status writeAll(int file, const char* data, std::size_t size, const fs::path& path)
    {
        while (size > 0) {
            const auto written = ::write(file, data, size);
            if (written < 0) {
                if (errno == EINTR)
                    continue;
                return fileError(errno, "writing " + path.string() + " failed");
            }
            data += written;
            size -= static_cast<std::size_t>(written);
        }
        return done();
    }

    Status flushFolder(const fs::path& folder)
    {
        const Descriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (handle.get() < 0 || ::fsync(handle.get()) != 0)
            return fileError(errno, "flushing the folder " + folder.string() + " failed");
        return done();
    }

    constexpr std::size_t kBlock = 256 * 1024;

    Result<std::size_t> readBlock(int file, std::vector<char>& block, const fs::path& path)
    {
        std::size_t filled = 0;
        while (filled < block.size()) {
            const auto got = ::read(file, block.data() + filled, block.size() - filled);
            if (got < 0) {
                if (errno == EINTR)
                    continue;
                return fileError(errno, "reading " + path.string() + " failed");
            }
            if (got == 0)
                break;
            filled += static_cast<std::size_t>(got);
        }
        return filled;
    }

    Status copyFile(
        const fs::path& from, const fs::path& to, const std::function<bool()>& isCanceled)
    {
        const Descriptor source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
        if (source.get() < 0)
            return fileError(errno, "opening " + from.string() + " failed");
        const Descriptor target(::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
        if (target.get() < 0)
            return fileError(errno, "creating " + to.string() + " failed");
        std::vector<char> block(kBlock);
        while (true) {
            if (isCanceled && isCanceled())
                return Error { Error::Code::Canceled, "the copy was canceled", {}, {}, {} };
            const auto size = readBlock(source.get(), block, from);
            if (!size)
                return size.error();
            if (*size == 0)
                break;
            if (auto status = writeAll(target.get(), block.data(), *size, to); !status)
                return status;
        }
        if (::fsync(target.get()) != 0)
            return fileError(errno, "flushing " + to.string() + " failed");
        // What was written is read back: a copy that differs must not get a final name.
        if (::lseek(source.get(), 0, SEEK_SET) < 0 || ::lseek(target.get(), 0, SEEK_SET) < 0)
            return fileError(errno, "reading back " + to.string() + " failed");
        std::vector<char> other(kBlock);
        while (true) {
            const auto size = readBlock(source.get(), block, from);
            const auto otherSize = readBlock(target.get(), other, to);
            if (!size)
                return size.error();
            if (!otherSize)
                return otherSize.error();
            if (*size != *otherSize || std::memcmp(block.data(), other.data(), *size) != 0)
                return Error { Error::Code::Backend, "the copy of " + from.string() + " differs",
                    {}, "check the disk", {} };
            if (*size == 0)
                return done();
        }
    }

} // namespace

Error fileError(int errorNumber, const std::string& what)
{
    const bool isFull = errorNumber == ENOSPC || errorNumber == EDQUOT || errorNumber == EFBIG;
    std::array<char, 128> buffer {};
    const char* reason = ::strerror_r(errorNumber, buffer.data(), buffer.size());
    return Error { isFull ? Error::Code::Full : Error::Code::Unreadable, what + ": " + reason, {},
        isFull ? "make space on the disk and try again" : "", {} };
}

Result<std::string> readSmallFile(const fs::path& file, std::uint64_t maxBytes)
{
    const Descriptor handle(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat facts = {};
    if (handle.get() < 0 || ::fstat(handle.get(), &facts) != 0)
        return fileError(errno, "opening " + file.string() + " failed");
    if (!S_ISREG(facts.st_mode) || static_cast<std::uint64_t>(facts.st_size) > maxBytes)
        return Error { Error::Code::Malformed,
            file.string() + " is not a file of at most " + std::to_string(maxBytes) + " bytes", {},
            {}, {} };
    std::vector<char> bytes(static_cast<std::size_t>(facts.st_size));
    const auto size = readBlock(handle.get(), bytes, file);
    if (!size)
        return size.error();
    return std::string(bytes.data(), *size);
}

Status writeFileSafely(const fs::path& file, std::string_view bytes, unsigned mode)
{
    const auto part = partName(file);
    const auto write = [&]() -> Status {
        const Descriptor handle(
            ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
        if (handle.get() < 0)
            return fileError(errno, "creating " + part.string() + " failed");
        if (auto status = writeAll(handle.get(), bytes.data(), bytes.size(), part); !status)
            return status;
        if (::fsync(handle.get()) != 0)
            return fileError(errno, "flushing " + part.string() + " failed");
        return done();
    };
    auto status = write();
    if (status && ::rename(part.c_str(), file.c_str()) != 0)
        status = fileError(errno, "renaming to " + file.string() + " failed");
    if (!status) {
        ::unlink(part.c_str());
        return status;
    }
    return flushFolder(file.parent_path().empty() ? "." : file.parent_path());
}

fs::path partName(const fs::path& target)
{
    return target.parent_path() / ("." + target.filename().string() + ".part-" + randomHex(8));
}

Status copyFolder(const fs::path& from, const fs::path& to, const std::function<bool()>& isCanceled)
{
    const auto copy = [&]() -> Status {
        if (::mkdir(to.c_str(), 0755) != 0)
            return fileError(errno, "creating " + to.string() + " failed");
        std::error_code error;
        fs::directory_iterator entries(from, error);
        if (error)
            return fileError(error.value(), "reading the folder " + from.string() + " failed");
        for (const auto& entry : entries) {
            if (!entry.is_regular_file(error))
                continue;
            auto status = copyFile(entry.path(), to / entry.path().filename(), isCanceled);
            if (!status)
                return status;
        }
        return flushFolder(to);
    };
    auto status = copy();
    if (!status)
        removeTree(to);
    return status;
}

Status copyFolderSafely(
    const fs::path& from, const fs::path& to, const std::function<bool()>& isCanceled)
{
    if (auto status = makeFolder(to.parent_path()); !status)
        return status;
    const auto part = partName(to);
    if (auto status = copyFolder(from, part, isCanceled); !status)
        return status;
    return publishFolder(part, to);
}

Status publishFolder(const fs::path& from, const fs::path& to)
{
    if (pathExists(to)) {
        removeTree(from);
        return Error { Error::Code::Conflict, to.string() + " exists",
            "nothing was written over it", {}, {} };
    }
    if (auto status = makeFolder(to.parent_path()); !status)
        return status;
    if (::rename(from.c_str(), to.c_str()) != 0) {
        auto error = fileError(errno, "renaming to " + to.string() + " failed");
        removeTree(from);
        return error;
    }
    if (from.parent_path() != to.parent_path())
        if (auto status = flushFolder(from.parent_path()); !status)
            return status;
    return flushFolder(to.parent_path());
}

Status makeFolder(const fs::path& folder)
{
    std::error_code error;
    fs::create_directories(folder, error);
    if (error)
        return fileError(error.value(), "creating the folder " + folder.string() + " failed");
    return done();
}

void removeTree(const fs::path& path)
{
    std::error_code error;
    fs::remove_all(path, error);
    if (error)
        logLine(LogLevel::Warning, "removing " + path.string() + " failed: " + error.message());
}

std::uint64_t folderBytes(const fs::path& folder, std::string_view suffix)
{
    std::uint64_t sum = 0;
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    if (error)
        return 0;
    for (const auto& entry : entries) {
        const auto name = entry.path().filename().string();
        if (!entry.is_regular_file(error) || name.size() < suffix.size()
            || std::string_view(name).substr(name.size() - suffix.size()) != suffix)
            continue;
        sum += entry.file_size(error);
    }
    return sum;
}

bool pathExists(const fs::path& path)
{
    std::error_code error;
    return fs::exists(fs::symlink_status(path, error));
}

} // namespace desk::local
