// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <QString>

namespace desk {

/// Where one profile keeps everything (cli.md section 3). Two profiles never see each other.
/// All paths are absolute and clean; nothing is created before ensureProfile().
struct Profile
{
    QString root; ///< the `--profile` directory; empty for the XDG directories
    QString stateDir; ///< journal and settings
    QString cacheDir; ///< may be deleted at any time
    QString localDir; ///< data of the local backend: key, ready.json, objects
    QString runsDir; ///< run folders started by the desk

    [[nodiscard]] QString journalFile() const;
    [[nodiscard]] QString settingsFile() const;
    [[nodiscard]] QString chainsDir() const; ///< of SnapshotChains
    [[nodiscard]] QString readyFile() const; ///< ready line of the local backend
    [[nodiscard]] QString backendLog() const; ///< stderr of the local backend
};

/// `directory` is the value of `--profile`; empty: the XDG base directories of "trainerdesk".
/// THREAD: any; touches no disk.
[[nodiscard]] Profile profileAt(const QString& directory);

/// Creates the directories, mode 0700. THREAD: any; a handful of system calls.
[[nodiscard]] Status ensureProfile(const Profile& profile);

/// A new, unused name below runsDir such as "20261125-093012-sample", made readable from `label`.
[[nodiscard]] QString newRunDirectory(const Profile& profile, const QString& label);

} // namespace desk
