// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <QByteArray>
#include <QString>
#include <QStringList>

namespace desk {

/// What `trainerdesk` was asked to do (cli.md section 3).
struct DeskOptions
{
    QStringList paths; ///< absolute
    bool usesLocal = false;
    QString connection; ///< name or URL
    QString profile; ///< directory; empty: the XDG directories
    QString theme; ///< system, light, dark; empty: as remembered
    bool isReadOnly = false;
    bool isOffline = false;
    bool wantsNewWindow = false;
    bool wantsHelp = false;
    bool wantsVersion = false;
    QString helpText;
    bool operator==(const DeskOptions&) const = default;
};

/// `arguments` with the program's name first; relative paths are taken from `directory`.
/// Errors: Usage.
[[nodiscard]] Result<DeskOptions> parseDeskOptions(
    const QStringList& arguments, const QString& directory);

/// For the hand-over to a running window: one item a line, at most 64 KiB.
[[nodiscard]] QByteArray encodeHandOver(const DeskOptions& options);
[[nodiscard]] Result<DeskOptions> decodeHandOver(const QByteArray& text);

} // namespace desk
