// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/connection.h"
#include "services/core/result.h"

#include <QSslConfiguration>

namespace desk {

/// System CAs, plus SSL_CERT_FILE, SSL_CERT_DIR (which Qt does not read by itself) and the
/// connection's own CA file. Unreadable if a named file has no certificate. THREAD: any.
[[nodiscard]] Result<QSslConfiguration> tlsConfiguration(const Connection& connection);

} // namespace desk
