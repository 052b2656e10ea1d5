// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/objects/data_lock.h"

#include "services/local/objects/files.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <unistd.h>

namespace desk::local {

Result<std::unique_ptr<DataLock>> DataLock::acquire(const std::filesystem::path& folder)
{
    const auto path = folder / "lock";
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return fileError(errno, "opening " + path.string() + " failed");
    std::unique_ptr<DataLock> lock(new DataLock(file));
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
        std::array<char, 64> holder {};
        const auto got = ::pread(file, holder.data(), holder.size() - 1, 0);
        std::string pid(holder.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
        while (!pid.empty() && pid.back() == '\n')
            pid.pop_back();
        return Error { Error::Code::Conflict,
            "the folder " + folder.string() + " is in use by process "
                + (pid.empty() ? "of an unknown id" : pid),
            "nothing was started", "use that backend, stop it, or choose another --data folder",
            {} };
    }
    const auto pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(file, 0) != 0
        || ::pwrite(file, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
        return fileError(errno, "writing " + path.string() + " failed");
    return lock;
}

DataLock::~DataLock()
{
    ::close(m_file);
}

} // namespace desk::local
