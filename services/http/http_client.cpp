// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/http/http_client.h"

#include "services/http/http_exchange.h"
#include "services/http/tls_policy.h"
#include "services/on_finished.h"

#include <QHostAddress>
#include <QNetworkAccessManager>
#include <QNetworkProxyFactory>

#include <algorithm>
#include <array>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr qint64 kMinuteMs = 60'000;

    qint64 steadyMs()
    {
        using namespace std::chrono;
        return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
    }

    /// The system's proxies, but never for this machine.
    class ProxyChoice final : public QNetworkProxyFactory
    {
    public:
        QList<QNetworkProxy> queryProxy(const QNetworkProxyQuery& query) override
        {
            if (isLoopback(query.url()))
                return { QNetworkProxy(QNetworkProxy::NoProxy) };
            return systemProxyForQuery(query);
        }
    };

    Error notAsked(const std::string& message, const char* next)
    {
        return { Error::Code::Usage, message, "Nothing was sent", next, {} };
    }

    /// What keeps a request from being sent at all.
    Status checkUrl(const QUrl& url)
    {
        if (!url.isValid() || url.host().isEmpty())
            return notAsked("The address is not a URL: " + url.toDisplayString().toStdString(),
                "Correct the connection's address");
        if (url.scheme() == u"https"_s)
            return done();
        if (url.scheme() != u"http"_s)
            return notAsked(
                "Only https and http addresses are used, not " + url.scheme().toStdString(),
                "Correct the connection's address");
        if (!isLoopback(url))
            return notAsked("Plain http to " + url.host().toStdString()
                    + " would show the key to everyone on the way",
                "Use https");
        return done();
    }

} // namespace

QByteArray HttpReply::header(const QByteArray& lowerCaseName) const
{
    for (const auto& [name, value] : headers) {
        if (name == lowerCaseName)
            return value;
    }
    return {};
}

HttpClient::HttpClient(const Connection& connection, KeyProvider key, QObject* parent)
    : QObject(parent)
    , m_connection(connection)
    , m_key(std::move(key))
    , m_manager(std::make_unique<QNetworkAccessManager>())
{
    m_manager->setProxyFactory(new ProxyChoice);
    m_manager->setAutoDeleteReplies(false);
}

HttpClient::~HttpClient()
{
    // The exchanges use the manager while they end.
    qDeleteAll(findChildren<HttpExchange*>(Qt::FindDirectChildrenOnly));
}

QFuture<Result<HttpReply>> HttpClient::send(HttpRequest request)
{
    if (const auto status = checkUrl(request.url); !status)
        return finishedFuture<HttpReply>(status.error());
    if (request.url.scheme() == u"https"_s && !m_tls) {
        auto tls = tlsConfiguration(m_connection);
        if (!tls)
            return finishedFuture<HttpReply>(tls.error());
        m_tls = *std::move(tls);
    }
    auto* exchange = new HttpExchange(*this, std::move(request));
    const auto future = exchange->future();
    exchange->start();
    return future;
}

QUrl HttpClient::url(const std::string& pathAndQuery) const
{
    auto origin = m_connection.url;
    while (!origin.empty() && origin.back() == '/')
        origin.pop_back();
    auto rest = std::string_view(pathAndQuery);
    while (rest.size() > 1 && rest[0] == '/' && rest[1] == '/')
        rest.remove_prefix(1);
    return QUrl::fromEncoded(QByteArray::fromStdString(origin + std::string(rest)));
}

QByteArray HttpClient::key() const
{
    return m_key ? m_key() : QByteArray();
}

void HttpClient::countRequest()
{
    const auto now = steadyMs();
    while (!m_recent.isEmpty() && m_recent.first() < now - kMinuteMs)
        m_recent.removeFirst();
    m_recent.append(now);
    ++m_requestCount;
}

int HttpClient::requestsPerMinute() const
{
    const auto first = std::lower_bound(m_recent.begin(), m_recent.end(), steadyMs() - kMinuteMs);
    return static_cast<int>(m_recent.end() - first);
}

std::chrono::milliseconds HttpClient::serverPause() const
{
    return std::chrono::milliseconds(std::max<qint64>(0, m_pausedUntil - steadyMs()));
}

void HttpClient::noteServerPause(std::chrono::milliseconds wait)
{
    m_pausedUntil = std::max(m_pausedUntil, steadyMs() + wait.count());
}

HttpHeaders redacted(const HttpHeaders& headers)
{
    static constexpr std::array kWords { "key", "authorization", "cookie", "token", "secret" };
    auto shown = headers;
    for (auto& [name, value] : shown) {
        const auto lower = name.toLower();
        for (const char* word : kWords) {
            if (lower.contains(word))
                value = "[redacted]";
        }
    }
    return shown;
}

bool isLoopback(const QUrl& url)
{
    const auto host = url.host();
    if (host.compare(u"localhost"_s, Qt::CaseInsensitive) == 0)
        return true;
    const QHostAddress address(host);
    return !address.isNull() && address.isLoopback();
}

} // namespace desk
