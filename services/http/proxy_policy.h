// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QNetworkProxy>
#include <QProcessEnvironment>
#include <QUrl>

#include <optional>

namespace desk {

/// The way that the environment names for a URL: HTTPS_PROXY or HTTP_PROXY by its scheme, else
/// ALL_PROXY (each also in lower case, which wins, as in curl); NoProxy for what NO_PROXY names: a
/// list of host names (with their subdomains), addresses, networks ("10.0.0.0/8") and "*", each
/// perhaps with a port. nullopt: the environment says nothing. A proxy is
/// "http://user:pw@host:port", "socks5://…" or "host:port". THREAD: any.
[[nodiscard]] std::optional<QNetworkProxy> proxyFromEnvironment(
    const QUrl& url, const QProcessEnvironment& environment);

/// NoProxy for this machine, else that of the environment, else those of the system.
[[nodiscard]] QList<QNetworkProxy> proxiesFor(const QNetworkProxyQuery& query);

/// "proxy host:port", without user and password; empty for NoProxy.
[[nodiscard]] QString proxyLabel(const QNetworkProxy& proxy);

} // namespace desk
