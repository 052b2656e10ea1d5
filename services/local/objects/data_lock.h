// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <filesystem>
#include <memory>

namespace desk::local {

/// Holds a data folder for one process. The kernel lets go of it when the process ends, however it
/// ends; the file only says who holds it.
class DataLock
{
public:
    /// Conflict, naming the holder's process id, while another process holds the folder.
    [[nodiscard]] static Result<std::unique_ptr<DataLock>> acquire(
        const std::filesystem::path& folder);
    ~DataLock();
    DataLock(const DataLock&) = delete;
    DataLock& operator=(const DataLock&) = delete;

private:
    explicit DataLock(int file)
        : m_file(file)
    {
    }
    int m_file;
};

} // namespace desk::local
