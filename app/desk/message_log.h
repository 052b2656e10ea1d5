// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>

namespace desk {

/// Sends Qt's messages to stderr as "time level category: text", one line each, control characters
/// shown as blanks. What looks like a key or a token is replaced before it is written.
/// Call once, before QApplication.
void installMessageLog();

/// The text with everything that looks like a secret replaced by "[redacted]".
[[nodiscard]] QString withoutSecrets(const QString& text);

} // namespace desk
