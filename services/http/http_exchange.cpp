// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/http/http_exchange.h"

#include "services/codecs/error_codec.h"
#include "services/http/proxy_policy.h"

#include <QNetworkAccessManager>
#include <QNetworkRequest>
#include <QRandomGenerator>
#include <QSslError>

#include <algorithm>
#include <array>
#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr std::array kRetriedStatuses { 408, 429, 500, 502, 503, 504 };
    // Longer waits are the caller's decision, who sees them in Error::next and serverPause().
    constexpr std::chrono::milliseconds kMaxRetryAfter { 60'000 };

    /// Hands a body out once. QNetworkAccessManager repeats a request by itself when the connection
    /// closes before the reply, unless the body cannot be rewound: a POST must not be sent twice.
    class OnceDevice final : public QIODevice // clazy:exclude=missing-qobject-macro
    {
    public:
        explicit OnceDevice(QByteArray body)
            : m_body(std::move(body))
        {
            open(QIODevice::ReadOnly | QIODevice::Unbuffered);
        }
        [[nodiscard]] bool isSequential() const override { return true; }
        [[nodiscard]] qint64 bytesAvailable() const override
        {
            return m_body.size() - m_at + QIODevice::bytesAvailable();
        }
        [[nodiscard]] bool atEnd() const override { return m_at >= m_body.size(); }
        bool reset() override { return m_at == 0; }

    protected:
        qint64 readData(char* data, qint64 maxSize) override
        {
            const auto count = std::min<qint64>(maxSize, m_body.size() - m_at);
            if (count <= 0)
                return -1;
            std::copy_n(m_body.constData() + m_at, count, data);
            m_at += count;
            return count;
        }
        qint64 writeData(const char*, qint64) override { return -1; }

    private:
        QByteArray m_body;
        qint64 m_at = 0;
    };

    bool isRetriedStatus(int status)
    {
        return std::find(kRetriedStatuses.begin(), kRetriedStatuses.end(), status)
            != kRetriedStatuses.end();
    }

    bool isTransportError(QNetworkReply::NetworkError error)
    {
        // 201 and more stand for HTTP statuses (302: status 400), but these two are broken
        // protocols.
        return (error != QNetworkReply::NoError && error < QNetworkReply::ContentAccessDenied)
            || error == QNetworkReply::ProtocolUnknownError
            || error == QNetworkReply::ProtocolFailure;
    }

    std::string secondsText(std::chrono::milliseconds time)
    {
        return QString::number(static_cast<double>(time.count()) / 1000).toStdString() + " s";
    }

    /// "40 s", "15 min", "24 h"
    std::string pauseText(std::chrono::milliseconds time)
    {
        constexpr qint64 kMinute = 60'000;
        constexpr qint64 kHour = 60 * kMinute;
        const auto ms = time.count();
        if (ms >= kHour && ms % kHour == 0)
            return std::to_string(ms / kHour) + " h";
        if (ms >= 2 * kMinute)
            return std::to_string((ms + kMinute - 1) / kMinute) + " min";
        return secondsText(time);
    }

    HttpLane laneFor(const HttpRequest& request)
    {
        if (request.lane != HttpLane::Auto)
            return request.lane;
        if (request.acceptedStatuses.contains(408))
            return HttpLane::LongPoll;
        return request.method == "GET" ? HttpLane::Read : HttpLane::Change;
    }

    bool isProxyError(QNetworkReply::NetworkError error)
    {
        return error >= QNetworkReply::ProxyConnectionRefusedError
            && error <= QNetworkReply::UnknownProxyError;
    }

} // namespace

HttpExchange::HttpExchange(HttpClient& client, HttpRequest request)
    : QObject(&client)
    , m_client(client)
    , m_request(std::move(request))
    , m_lane(laneFor(m_request))
{
    m_promise.start();
    connect(&m_watcher, &QFutureWatcherBase::canceled, this, &HttpExchange::stop);
    m_watcher.setFuture(m_promise.future());
    m_connectTimer.setSingleShot(true);
    m_totalTimer.setSingleShot(true);
    connect(&m_connectTimer, &QTimer::timeout, this, [this] { abort(Abort::ConnectTimeout); });
    connect(&m_totalTimer, &QTimer::timeout, this, [this] { abort(Abort::TotalTimeout); });
}

HttpExchange::~HttpExchange()
{
    m_client.leave(this, m_lane);
    if (m_reply != nullptr) {
        m_reply->disconnect(this);
        m_reply->abort();
        m_reply->deleteLater();
    }
}

void HttpExchange::start()
{
    m_client.enter(this, m_lane);
}

QNetworkRequest HttpExchange::networkRequest() const
{
    QNetworkRequest request(m_request.url);
    request.setAttribute(
        QNetworkRequest::RedirectPolicyAttribute, QNetworkRequest::ManualRedirectPolicy);
    request.setAttribute(QNetworkRequest::CookieLoadControlAttribute, QNetworkRequest::Manual);
    request.setAttribute(QNetworkRequest::CookieSaveControlAttribute, QNetworkRequest::Manual);
    request.setAttribute(QNetworkRequest::AuthenticationReuseAttribute, QNetworkRequest::Manual);
    request.setAttribute(
        QNetworkRequest::CacheLoadControlAttribute, QNetworkRequest::AlwaysNetwork);
    // With HTTP/2 Qt fails the request that meets a GOAWAY, and writes must not be repeated.
    request.setAttribute(QNetworkRequest::Http2AllowedAttribute, false);
    if (const auto& tls = m_client.tls(); tls)
        request.setSslConfiguration(*tls);
    request.setHeader(QNetworkRequest::ContentTypeHeader, u"application/json"_s);
    request.setRawHeader("Accept", "application/json");
    request.setRawHeader("User-Agent", "TrainerDesk");
    if (const auto key = m_client.key(); !key.isEmpty()) {
        request.setRawHeader("X-Api-Key", key);
        request.setRawHeader("Authorization", "Bearer " + key);
    }
    for (const auto& [name, value] : m_request.headers)
        request.setRawHeader(name, value);
    return request;
}

void HttpExchange::attempt()
{
    ++m_attempts;
    if (!m_age.isValid())
        m_age.start();
    m_client.countRequest();
    m_isSent = false;
    m_abort = Abort::None;
    m_body.clear();
    m_tlsProblem.clear();
    auto request = networkRequest();
    auto& manager = m_client.manager(m_lane);
    if (m_request.method == "GET") {
        m_reply = manager.get(request);
    } else if (m_request.isIdempotent) {
        m_reply = manager.sendCustomRequest(request, m_request.method, m_request.body);
    } else {
        // Only a body that cannot be rewound keeps the manager from sending the request again.
        auto* upload = new OnceDevice(m_request.body.isEmpty() ? "{}" : m_request.body);
        request.setAttribute(QNetworkRequest::DoNotBufferUploadDataAttribute, true);
        request.setHeader(QNetworkRequest::ContentLengthHeader, upload->bytesAvailable());
        m_reply = manager.sendCustomRequest(request, m_request.method, upload);
        upload->setParent(m_reply);
    }
    connect(m_reply, &QNetworkReply::requestSent, this, &HttpExchange::noteSent);
    connect(m_reply, &QNetworkReply::metaDataChanged, this, &HttpExchange::noteSent);
    connect(m_reply, &QNetworkReply::uploadProgress, this, [this](qint64 sent, qint64) {
        if (sent > 0)
            noteSent();
    });
    connect(m_reply, &QNetworkReply::readyRead, this, &HttpExchange::readBody);
    connect(m_reply, &QNetworkReply::sslErrors, this, [this](const QList<QSslError>& errors) {
        if (!errors.isEmpty())
            m_tlsProblem = errors.first().errorString() + u"; issuer: "_s
                + errors.first().certificate().issuerDisplayName();
    });
    connect(m_reply, &QNetworkReply::finished, this, &HttpExchange::replyFinished);
    m_connectTimer.start(m_request.connectTimeout);
    m_totalTimer.start(m_request.totalTimeout);
}

void HttpExchange::noteSent()
{
    m_isSent = true;
    m_connectTimer.stop();
}

void HttpExchange::readBody()
{
    const auto announced = m_reply->header(QNetworkRequest::ContentLengthHeader).toLongLong();
    if (announced > m_request.maxReplyBytes
        || m_body.size() + m_reply->bytesAvailable() > m_request.maxReplyBytes) {
        abort(Abort::TooLarge);
        return;
    }
    m_body += m_reply->readAll();
}

void HttpExchange::abort(Abort reason)
{
    m_abort = reason;
    if (m_reply != nullptr)
        m_reply->abort(); // emits finished
}

void HttpExchange::replyFinished()
{
    m_connectTimer.stop();
    m_totalTimer.stop();
    if (m_isOver || m_reply == nullptr)
        return;
    if (m_abort == Abort::None && m_reply->bytesAvailable() > 0)
        readBody();
    const int status = m_reply->attribute(QNetworkRequest::HttpStatusCodeAttribute).toInt();
    if (m_abort != Abort::None || isTransportError(m_reply->error()) || status == 0)
        judgeFailure();
    else
        judgeStatus(status);
}

std::string HttpExchange::doing() const
{
    return m_request.doing.empty() ? std::string("finish the request") : m_request.doing;
}

std::string HttpExchange::proxyWords() const
{
    const auto proxies = proxiesFor(QNetworkProxyQuery(m_request.url));
    const auto label = proxies.isEmpty() ? QString() : proxyLabel(proxies.first());
    return label.isEmpty() ? std::string() : " through the " + label.toStdString();
}

Error HttpExchange::transportError() const
{
    Error error;
    error.message = "Could not " + doing() + ": ";
    if (m_abort == Abort::TooLarge) {
        error.code = Error::Code::Malformed;
        error.message +=
            "the answer is larger than " + std::to_string(m_request.maxReplyBytes) + " bytes";
        error.unchanged = "Nothing was taken from it";
        return error;
    }
    const auto host = m_request.url.authority(QUrl::FullyEncoded).toStdString();
    const bool isLost = m_isSent && !m_request.isIdempotent;
    error.code = isLost ? Error::Code::Unknown : Error::Code::Unreachable;
    if (m_abort == Abort::ConnectTimeout)
        error.message +=
            host + " took no connection within " + secondsText(m_request.connectTimeout);
    else if (m_abort == Abort::TotalTimeout)
        error.message += host + " gave no answer within " + secondsText(m_request.totalTimeout);
    else if (!m_tlsProblem.isEmpty())
        error.message +=
            "the certificate of " + host + " is not trusted (" + m_tlsProblem.toStdString() + ")";
    else if (m_isSent)
        error.message += "the connection to " + host + " ended before the answer was complete";
    else
        error.message += "there is no connection to " + host
            + (isProxyError(m_reply->error()) ? proxyWords() : std::string()) + " ("
            + m_reply->errorString().toStdString() + ")";
    if (isLost) {
        error.message += "; it may have taken effect";
        error.next = "Do not send it again: reconcile, to see what the server did";
    } else if (!m_tlsProblem.isEmpty()) {
        error.unchanged = "Nothing was sent";
        error.next = "If you trust this issuer, name its certificate: set SSL_CERT_FILE, or the "
                     "CA file of the connection";
    } else {
        error.unchanged = m_isSent ? "Nothing was changed on the server" : "Nothing was sent";
        error.next = "Check that the server runs and can be reached, then try again";
    }
    return error;
}

void HttpExchange::judgeFailure()
{
    auto error = transportError();
    const bool canRetry =
        m_request.isIdempotent && m_abort != Abort::TooLarge && m_tlsProblem.isEmpty();
    if (canRetry && m_abort == Abort::Slept) {
        --m_attempts; // nothing was wrong with it
        dropReply();
        attempt();
    } else if (canRetry)
        retryOr(std::move(error), backOff());
    else
        finish(std::move(error));
}

void HttpExchange::judgeStatus(int status)
{
    HttpReply reply;
    reply.status = status;
    reply.attempts = m_attempts;
    for (const auto& [name, value] : m_reply->rawHeaderPairs())
        reply.headers.append({ name.toLower(), value });
    if ((status >= 200 && status < 300) || m_request.acceptedStatuses.contains(status)) {
        reply.body = std::move(m_body);
        finish(std::move(reply));
        return;
    }
    auto requestId = reply.header("x-request-id");
    if (requestId.isEmpty())
        requestId = reply.header("x-fireworks-request-id");
    auto error = errorFromReply(status,
        std::string_view(m_body.constData(), static_cast<std::size_t>(m_body.size())), doing(),
        requestId.toStdString());
    // A gateway that lost its upstream does not know whether the request took effect.
    if (!m_request.isIdempotent && (status == 502 || status == 504 || status == 408)) {
        error.code = Error::Code::Unknown;
        error.message += "; it may have taken effect";
        error.next = "Do not send it again: reconcile, to see what the server did";
    }
    const bool isRate = status == 429 || status == 503;
    auto wished = retryAfter(reply.header("retry-after"), reply.header("date"));
    if (wished)
        wished = std::max(*wished, m_client.retryPolicy().minRateDelay);
    if (wished && isRate)
        m_client.noteServerPause(*wished);
    // 429 on a create without a time to wait says quota, not pace.
    const bool isQuota = status == 429 && !wished && m_request.method != "GET";
    if (!m_request.isIdempotent || !isRetriedStatus(status) || isQuota) {
        finish(std::move(error));
        return;
    }
    if (!wished && status == 429)
        wished = std::max(backOff(), m_client.retryPolicy().minRateDelay);
    retryOr(std::move(error), wished ? *wished : backOff());
}

std::chrono::milliseconds HttpExchange::backOff() const
{
    const auto& policy = m_client.retryPolicy();
    const auto full = std::min<double>(static_cast<double>(policy.maxDelay.count()),
        static_cast<double>(policy.firstDelay.count()) * std::pow(2.0, m_attempts - 1));
    const double kept = 1.0 - policy.jitter * QRandomGenerator::global()->generateDouble();
    return std::chrono::milliseconds(static_cast<qint64>(full * kept));
}

void HttpExchange::retryOr(Error error, std::chrono::milliseconds wait)
{
    const auto spent = std::chrono::milliseconds(m_age.elapsed());
    const bool isPatient = wait <= kMaxRetryAfter && m_attempts < m_request.maxAttempts
        && spent + wait <= m_request.retryBudget;
    if (!isPatient) {
        if (error.code == Error::Code::Quota)
            error.next = "The server asked to wait " + pauseText(wait)
                + ": paused until then, or try again now by hand";
        finish(std::move(error));
        return;
    }
    dropReply();
    m_client.leave(this, m_lane);
    QTimer::singleShot(wait, this, [this] {
        if (!m_isOver)
            m_client.enter(this, m_lane);
    });
}

void HttpExchange::dropReply()
{
    m_reply->disconnect(this);
    m_reply->deleteLater();
    m_reply = nullptr;
}

void HttpExchange::wakeUp()
{
    if (m_request.isIdempotent && m_reply != nullptr && !m_isOver)
        abort(Abort::Slept);
}

void HttpExchange::finish(Result<HttpReply> result)
{
    if (m_isOver)
        return;
    m_isOver = true;
    m_client.leave(this, m_lane);
    if (!result) {
        // A server may repeat what it was sent; the key must not get into messages.
        auto error = result.error();
        const auto key = m_client.key().toStdString();
        for (auto* text : { &error.message, &error.next, &error.requestId }) {
            for (auto at = key.empty() ? std::string::npos : text->find(key);
                 at != std::string::npos; at = text->find(key, at))
                text->replace(at, key.size(), "[redacted]");
        }
        result = std::move(error);
    }
    if (!m_promise.isCanceled())
        m_promise.addResult(std::move(result));
    m_promise.finish();
    deleteLater();
}

void HttpExchange::stop()
{
    if (m_isOver)
        return;
    m_isOver = true;
    m_client.leave(this, m_lane);
    m_connectTimer.stop();
    m_totalTimer.stop();
    if (m_reply != nullptr)
        m_reply->abort();
    m_promise.finish();
    deleteLater();
}

} // namespace desk
