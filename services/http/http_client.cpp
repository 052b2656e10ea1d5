// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/http/http_client.h"

#include "services/http/http_exchange.h"
#include "services/http/proxy_policy.h"
#include "services/http/sleep_watch.h"
#include "services/http/tls_policy.h"
#include "services/on_finished.h"

#include <QDateTime>
#include <QHostAddress>
#include <QLocale>
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

    /// Reads do not wait for longer pauses; who polls looks at serverPause().
    constexpr qint64 kMaxHeldMs = 60'000;

    /// The three forms of RFC 9110, section 5.6.7.
    QDateTime httpDate(const QByteArray& value)
    {
        const auto text = QString::fromLatin1(value).simplified();
        const auto english = QLocale::c();
        auto time = english.toDateTime(text, u"ddd, dd MMM yyyy HH:mm:ss 'GMT'"_s);
        if (!time.isValid()) {
            // Without its weekday, which Qt would compare with the wrong century.
            time = english.toDateTime(text.section(u", "_s, 1), u"dd-MMM-yy HH:mm:ss 'GMT'"_s);
            constexpr int kFirstYear = 1970; // Qt reads "26" as 1926
            if (time.isValid() && time.date().year() < kFirstYear)
                time = time.addYears(100);
        }
        if (!time.isValid())
            time = english.toDateTime(text, u"ddd MMM d HH:mm:ss yyyy"_s);
        time.setTimeSpec(Qt::UTC);
        return time;
    }

    class ProxyChoice final : public QNetworkProxyFactory
    {
    public:
        QList<QNetworkProxy> queryProxy(const QNetworkProxyQuery& query) override
        {
            return proxiesFor(query);
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
    , m_sleepWatch(std::make_unique<SleepWatch>())
{
    // A manager holds six connections to a host; one of its own for each lane keeps them apart.
    for (auto& lane : m_lanes) {
        lane.manager = std::make_unique<QNetworkAccessManager>();
        lane.manager->setProxyFactory(new ProxyChoice);
        lane.manager->setAutoDeleteReplies(false);
    }
    m_pauseTimer.setSingleShot(true);
    connect(&m_pauseTimer, &QTimer::timeout, this, [this] { admit(HttpLane::Read); });
    connect(m_sleepWatch.get(), &SleepWatch::slept, this, &HttpClient::wakeUp);
}

HttpClient::~HttpClient()
{
    // The exchanges use the managers while they end, and none may take the place of another.
    for (auto& lane : m_lanes)
        lane.waiting.clear();
    qDeleteAll(findChildren<HttpExchange*>(Qt::FindDirectChildrenOnly));
}

Status HttpClient::prepare(const QUrl& url)
{
    if (const auto status = checkUrl(url); !status)
        return status;
    if (url.scheme() == u"https"_s && !m_tls) {
        auto tls = tlsConfiguration(m_connection);
        if (!tls)
            return tls.error();
        m_tls = *std::move(tls);
    }
    return done();
}

QFuture<Result<HttpReply>> HttpClient::send(HttpRequest request)
{
    if (const auto status = prepare(request.url); !status)
        return finishedFuture<HttpReply>(status.error());
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
    const auto capped = std::min<std::chrono::milliseconds>(wait, kMaxServerPause);
    m_pausedUntil = std::max(m_pausedUntil, steadyMs() + capped.count());
}

QNetworkAccessManager& HttpClient::manager(HttpLane lane)
{
    return *laneOf(lane).manager;
}

HttpClient::Lane& HttpClient::laneOf(HttpLane lane)
{
    switch (lane) {
    case HttpLane::Auto:
    case HttpLane::Read:
        return m_lanes[0];
    case HttpLane::Change:
        return m_lanes[1];
    case HttpLane::LongPoll:
        break;
    }
    return m_lanes[2];
}

int HttpClient::inFlight(HttpLane lane) const
{
    return static_cast<int>(const_cast<HttpClient*>(this)->laneOf(lane).inFlight.size());
}

void HttpClient::enter(HttpExchange* exchange, HttpLane lane)
{
    laneOf(lane).waiting.append(exchange);
    admit(lane);
}

void HttpClient::leave(HttpExchange* exchange, HttpLane lane)
{
    auto& place = laneOf(lane);
    place.waiting.removeOne(exchange);
    if (place.inFlight.removeOne(exchange))
        admit(lane);
}

void HttpClient::admit(HttpLane lane)
{
    const auto pause = serverPause().count();
    if (lane == HttpLane::Read && pause > 0 && pause <= kMaxHeldMs) {
        if (!m_pauseTimer.isActive())
            m_pauseTimer.start(static_cast<int>(pause) + 1);
        return;
    }
    auto& place = laneOf(lane);
    while (!place.waiting.isEmpty() && place.inFlight.size() < kMaxInFlight) {
        auto* next = place.waiting.takeFirst();
        place.inFlight.append(next);
        next->attempt();
    }
}

void HttpClient::wakeUp(std::chrono::milliseconds asleep)
{
    // The server's pause went by while the steady clock stood still.
    m_pausedUntil -= asleep.count();
    if (m_pauseTimer.isActive())
        m_pauseTimer.start(0);
    for (auto& lane : m_lanes) {
        const auto open = lane.inFlight;
        for (auto* exchange : open)
            exchange->wakeUp();
    }
    Q_EMIT machineSlept(asleep);
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

std::optional<std::chrono::milliseconds> retryAfter(
    const QByteArray& value, const QByteArray& serverDate)
{
    constexpr std::chrono::milliseconds kMost = HttpClient::kMaxServerPause;
    bool isNumber = false;
    const double seconds = value.trimmed().toDouble(&isNumber);
    if (isNumber) {
        if (!(seconds >= 0))
            return std::nullopt;
        const auto most = static_cast<double>(kMost.count());
        return std::chrono::milliseconds(static_cast<qint64>(std::min(seconds * 1000, most)));
    }
    const auto when = httpDate(value);
    if (!when.isValid())
        return std::nullopt;
    const auto now = httpDate(serverDate);
    const auto wait = (now.isValid() ? now : QDateTime::currentDateTimeUtc()).msecsTo(when);
    return std::chrono::milliseconds(std::clamp<qint64>(wait, 0, kMost.count()));
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
