// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <QString>
#include <QStringList>

class QProcessEnvironment;

namespace desk {

/// Where an unchanged script finds the backend of a rehearsal.
struct RehearsalPlace
{
    QString url;
    QString key; ///< of the rehearsal; reaches the script as a variable of its environment
    QString shimDir; ///< holds sitecustomize.py, see writeRehearsalShim
    QString hubCache; ///< private, so that stand-ins never enter the user's own cache
    QString metricsFile;
};

/// The variables that the SDKs read (fireworks-sdk-1.2.30.md 3.2, trainer.md 1.4,
/// tinker-0.38.md 18), over the environment of this process. Credentials of the user are replaced
/// or left out: a rehearsal never needs them.
[[nodiscard]] QProcessEnvironment rehearsalEnvironment(const RehearsalPlace& place);

/// Writes a Python start-up module into `dir`. SDK constructors whose address is that of a hosted
/// service, by default or literally, get the rehearsal's instead; nothing of the script or the SDK
/// is changed on disk.
[[nodiscard]] Status writeRehearsalShim(const QString& dir);

} // namespace desk
