// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/connection.h"
#include "services/core/result.h"

#include <QByteArray>
#include <QFuture>
#include <QList>
#include <QObject>
#include <QSslConfiguration>
#include <QString>
#include <QTimer>
#include <QUrl>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

class QNetworkAccessManager;

namespace desk {

class HttpExchange;
class SleepWatch;

using HttpHeaders = QList<std::pair<QByteArray, QByteArray>>;

/// Requests of one lane share at most HttpClient::kMaxInFlight connections; lanes do not wait for
/// each other, so that no change waits behind polls.
enum class HttpLane
{
    Auto, ///< LongPoll if 408 is an answer, Read for GET, else Change
    Read,
    Change,
    LongPoll ///< the server may hold it for half a minute
};

struct HttpRequest
{
    QByteArray method = "GET";
    QUrl url; ///< absolute
    HttpHeaders headers; ///< beside Content-Type and the key, which the client adds
    QByteArray body; ///< an empty one of a request that is not idempotent is sent as "{}"
    /// Sending it twice does no harm: it is repeated after a lost connection and after 408, 429,
    /// 500, 502, 503 and 504 (gateway.md 1.9), never after 400, 401, 402, 403, 404, 409, 412, 422,
    /// 425 or 501. Reads are; of the requests that change something only those that the server
    /// knows by an id of the attempt (seq_id of a trainer). All others are sent at most once.
    bool isIdempotent = false;
    HttpLane lane = HttpLane::Auto;
    std::chrono::milliseconds connectTimeout { 10'000 };
    std::chrono::milliseconds totalTimeout { 60'000 }; ///< of one attempt, from its sending on
    std::chrono::milliseconds retryBudget { 20'000 }; ///< no new attempt starts after it
    int maxAttempts = 4; ///< for idempotent requests
    qint64 maxReplyBytes = qint64 { 32 } << 20;
    /// Handed over as replies, beside 2xx: 408 of a long poll is an answer like another.
    QList<int> acceptedStatuses;
    std::string doing; ///< the attempt in words for error messages: "promote the checkpoint"
};

struct HttpReply
{
    int status = 0; ///< 200 … 299, or one of acceptedStatuses
    HttpHeaders headers; ///< names in lower case
    QByteArray body;
    int attempts = 1;
    [[nodiscard]] QByteArray header(const QByteArray& lowerCaseName) const;
};

/// How often and how fast the next attempt may come; replaceable so that tests need no waiting.
struct RetryPolicy
{
    std::chrono::milliseconds firstDelay { 500 };
    std::chrono::milliseconds maxDelay { 16'000 };
    double jitter = 0.25; ///< share of the delay that is random, downwards
    std::chrono::milliseconds minRateDelay { 1'000 }; ///< after 429, and for any Retry-After
};

/// All HTTP of one connection: keys, TLS, proxies, time-outs, retries, limits, errors.
/// THREAD: the one it lives in (the GUI thread does); every call returns at once.
/// Errors: never connected and refused → Unreachable; connected but no complete answer → Unknown
/// for a request that is not idempotent, else Unreachable; statuses by errorFromReply; an
/// answer over the limit → Malformed; a canceled future → Canceled (the handler of onFinished).
/// The key is sent as X-Api-Key and Authorization: Bearer, and is never part of an Error, a log or
/// a request preview. Plain http is refused for hosts that are not loopback. Redirects are not
/// followed. Certificate errors are never ignored. HTTP/2 is not used: Qt fails the request that
/// meets a GOAWAY. Proxies: proxy_policy.h. After a sleep of the machine reads under way are asked
/// again at once, because their connections are dead.
class HttpClient final : public QObject
{
    Q_OBJECT
public:
    using KeyProvider = std::function<QByteArray()>; ///< asked once per attempt; may return nothing
    static constexpr int kMaxInFlight = 6; ///< per lane
    static constexpr std::chrono::hours kMaxServerPause { 24 }; ///< longer wishes count as this

    explicit HttpClient(const Connection& connection, KeyProvider key, QObject* parent = nullptr);
    ~HttpClient() override; // requests in flight end with Canceled
    Q_DISABLE_COPY_MOVE(HttpClient)

    /// Cancel the future to abort: nothing is delivered after that, and no retry starts.
    [[nodiscard]] QFuture<Result<HttpReply>> send(HttpRequest request);

    /// Absolute URL of a path of this connection, e.g. url("/v1/accounts"); '//' collapses.
    [[nodiscard]] QUrl url(const std::string& pathAndQuery) const;
    [[nodiscard]] const Connection& connection() const { return m_connection; }
    void setRetryPolicy(RetryPolicy policy) { m_policy = policy; }
    [[nodiscard]] const RetryPolicy& retryPolicy() const { return m_policy; }
    [[nodiscard]] QByteArray key() const;
    [[nodiscard]] QNetworkAccessManager& manager(HttpLane lane);
    [[nodiscard]] const std::optional<QSslConfiguration>& tls() const { return m_tls; }
    /// What keeps a URL from being asked at all: no https outside this machine, an unreadable CA
    /// file. Reads the certificates on first use of https.
    [[nodiscard]] Status prepare(const QUrl& url);

    /// Attempts sent in the last 60 s and since the start, for the status bar.
    [[nodiscard]] int requestsPerMinute() const;
    [[nodiscard]] qint64 requestCount() const { return m_requestCount; }
    void countRequest(); ///< called by each attempt
    /// How long the server has asked to be left alone (Retry-After of 429 and 503); 0: it has not.
    [[nodiscard]] std::chrono::milliseconds serverPause() const;
    void noteServerPause(std::chrono::milliseconds wait); ///< called by the attempts
    [[nodiscard]] SleepWatch& sleepWatch() { return *m_sleepWatch; }

    /// An exchange asks for a place in its lane; it is told by HttpExchange::attempt(), perhaps
    /// before this returns. Reads wait while the server has asked for a pause of up to a minute.
    void enter(HttpExchange* exchange, HttpLane lane);
    void leave(HttpExchange* exchange, HttpLane lane); ///< also while it waits
    [[nodiscard]] int inFlight(HttpLane lane) const;

Q_SIGNALS:
    void machineSlept(std::chrono::milliseconds asleep);

private:
    struct Lane
    {
        std::unique_ptr<QNetworkAccessManager> manager;
        QList<HttpExchange*> waiting; // first come, first served
        QList<HttpExchange*> inFlight;
    };
    [[nodiscard]] Lane& laneOf(HttpLane lane);
    void admit(HttpLane lane);
    void wakeUp(std::chrono::milliseconds asleep);

    Connection m_connection;
    KeyProvider m_key;
    RetryPolicy m_policy;
    std::array<Lane, 3> m_lanes;
    std::unique_ptr<SleepWatch> m_sleepWatch;
    QTimer m_pauseTimer; // lets waiting reads go on
    std::optional<QSslConfiguration> m_tls; // read on first use of https
    QList<qint64> m_recent; // milliseconds of a steady clock, oldest first
    qint64 m_requestCount = 0;
    qint64 m_pausedUntil = 0; // milliseconds of the same clock
};

/// Header lines with the values of X-Api-Key, Authorization, Cookie, Set-Cookie and anything that
/// names a key, token or secret replaced by "[redacted]".
[[nodiscard]] HttpHeaders redacted(const HttpHeaders& headers);

/// Seconds or an HTTP date (counted from `serverDate`, else from this machine's clock), at most
/// kMaxServerPause; nullopt for what is negative or no time at all.
[[nodiscard]] std::optional<std::chrono::milliseconds> retryAfter(
    const QByteArray& value, const QByteArray& serverDate);

/// True for 127.0.0.0/8, ::1 and "localhost".
[[nodiscard]] bool isLoopback(const QUrl& url);

} // namespace desk
