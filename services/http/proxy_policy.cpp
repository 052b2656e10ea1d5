// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/http/proxy_policy.h"

#include "services/http/http_client.h"

#include <QHostAddress>
#include <QStringList>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    QString proxyVariable(const QProcessEnvironment& environment, const QString& name)
    {
        const auto lower = environment.value(name.toLower()).trimmed();
        return lower.isEmpty() ? environment.value(name).trimmed() : lower;
    }

    int portOf(const QUrl& url)
    {
        return url.port(url.scheme() == u"https"_s ? 443 : 80);
    }

    /// One entry of NO_PROXY.
    bool isExcluded(QString entry, const QUrl& url)
    {
        if (entry == u"*"_s)
            return true;
        const QHostAddress address(url.host());
        if (!address.isNull() && entry.contains(u'/')) {
            const auto subnet = QHostAddress::parseSubnet(entry);
            return subnet.second >= 0 && address.isInSubnet(subnet);
        }
        const bool hasPort = entry.count(u':') == 1 || entry.startsWith(u'[');
        if (const auto colon = entry.lastIndexOf(u':'); hasPort && colon > entry.indexOf(u']')) {
            bool isNumber = false;
            const int port = entry.mid(colon + 1).toInt(&isNumber);
            if (!isNumber || port != portOf(url))
                return false;
            entry.truncate(colon);
        }
        if (entry.startsWith(u'[') && entry.endsWith(u']'))
            entry = entry.mid(1, entry.size() - 2);
        if (!address.isNull())
            return QHostAddress(entry) == address;
        while (entry.startsWith(u'*') || entry.startsWith(u'.'))
            entry.remove(0, 1);
        const auto host = url.host().toLower();
        entry = entry.toLower();
        return !entry.isEmpty() && (host == entry || host.endsWith(u'.' + entry));
    }

    std::optional<QNetworkProxy> proxyFromText(const QString& text)
    {
        const auto url = QUrl(text.contains(u"://"_s) ? text : u"http://"_s + text);
        if (!url.isValid() || url.host().isEmpty())
            return std::nullopt;
        const bool isSocks = url.scheme().startsWith(u"socks"_s);
        return QNetworkProxy(isSocks ? QNetworkProxy::Socks5Proxy : QNetworkProxy::HttpProxy,
            url.host(), static_cast<quint16>(url.port(isSocks ? 1080 : 3128)), url.userName(),
            url.password());
    }

} // namespace

std::optional<QNetworkProxy> proxyFromEnvironment(
    const QUrl& url, const QProcessEnvironment& environment)
{
    auto text =
        proxyVariable(environment, url.scheme() == u"https"_s ? u"HTTPS_PROXY"_s : u"HTTP_PROXY"_s);
    if (text.isEmpty())
        text = proxyVariable(environment, u"ALL_PROXY"_s);
    if (text.isEmpty())
        return std::nullopt;
    const auto entries = proxyVariable(environment, u"NO_PROXY"_s).split(u',', Qt::SkipEmptyParts);
    for (const auto& entry : entries) {
        if (isExcluded(entry.trimmed(), url))
            return QNetworkProxy(QNetworkProxy::NoProxy);
    }
    return proxyFromText(text);
}

QList<QNetworkProxy> proxiesFor(const QNetworkProxyQuery& query)
{
    if (isLoopback(query.url()))
        return { QNetworkProxy(QNetworkProxy::NoProxy) };
    const auto named = proxyFromEnvironment(query.url(), QProcessEnvironment::systemEnvironment());
    return named ? QList { *named } : QNetworkProxyFactory::systemProxyForQuery(query);
}

QString proxyLabel(const QNetworkProxy& proxy)
{
    const bool isDirect =
        proxy.type() == QNetworkProxy::NoProxy || proxy.type() == QNetworkProxy::DefaultProxy;
    return isDirect ? QString()
                    : u"proxy "_s + proxy.hostName() + u':' + QString::number(proxy.port());
}

} // namespace desk
