// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <QFuture>
#include <QObject>
#include <QString>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace desk {

class FireworksClient;

struct ExportedModel
{
    std::string model; ///< full name
    std::string folder; ///< absolute
    std::vector<std::string> files; ///< by name
    std::uint64_t bytes = 0;
};

/// Copies the files of a model into a folder that does not exist yet, or is empty: from its folder
/// on this machine if it has one, else from the signed URLs of the service (gateway.md 3.6).
/// Everything is written beside the folder, synced, then renamed; on an error or a cancel nothing
/// is left. `progress`: the file at work and the bytes of all files so far; called in the guard's
/// thread. Errors: Conflict if the folder holds something; Unreadable, Full; those of the client.
/// OWNERSHIP: `guard` ends the work when it goes; the client must outlive it.
[[nodiscard]] QFuture<Result<ExportedModel>> exportModelFiles(FireworksClient& client,
    const std::string& model, const QString& folder,
    std::function<void(const std::string& file, std::uint64_t bytes)> progress, QObject* guard);

} // namespace desk
