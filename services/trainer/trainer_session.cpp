// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/trainer/trainer_session.h"

#include "services/codecs/error_codec.h"
#include "services/codecs/trainer_codec.h"
#include "services/errand.h"
#include "services/trainer/future_poller.h"

#include <QRandomGenerator>
#include <QUuid>

#include <algorithm>
#include <cmath>

using namespace std::chrono_literals;

namespace desk {
namespace {

    constexpr auto kOpenBudget = 20s; // a wrong address should not take minutes to say so
    constexpr auto kAttemptTimeout = 120s; // of one upload
    constexpr auto kMaxTrainerRetryAfter = 60s;
    constexpr int kMaxEmptyRefusals = 16;
    constexpr std::size_t kMaxNoticeBytes = 2000;
    constexpr std::size_t kMaxNotices = 200;

    std::string_view trainerBodyOf(const HttpReply& reply)
    {
        return { reply.body.constData(), static_cast<std::size_t>(reply.body.size()) };
    }

    std::optional<double> positiveNumber(const QByteArray& text)
    {
        bool isNumber = false;
        const double value = text.trimmed().toDouble(&isNumber);
        return isNumber && value >= 0 && value < 1e9 ? std::optional(value) : std::nullopt;
    }

    bool isTransientStatus(int status)
    {
        return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
    }

    /// The attempts of one call.
    struct TrainerAttempts : std::enable_shared_from_this<TrainerAttempts>
    {
        TrainerAttempts(TrainerSession& owner, std::shared_ptr<Errand<HttpReply>> work)
            : session(owner)
            , errand(std::move(work))
        {
            age.start();
        }
        void attempt()
        {
            errand->await(
                session.http().send(request), [self = shared_from_this()](Result<HttpReply> reply) {
                    reply ? self->judge(*reply) : self->judgeFailure(reply.error());
                });
        }
        void judge(const HttpReply& reply)
        {
            if (reply.status < 300)
                return errand->finish(reply);
            const auto text = trainerBodyOf(reply);
            auto error = session.withoutKey(errorFromReply(
                reply.status, text, request.doing, reply.header("x-request-id").toStdString()));
            if (reply.status == 402)
                return awaitPayment(std::move(error));
            const bool isEmptyRefusal = reply.status == 400 && text.empty();
            if (isEmptyRefusal && ++emptyRefusals <= kMaxEmptyRefusals)
                return again(std::move(error), backOff());
            if (!isTransientStatus(reply.status) && reply.header("x-should-retry") != "true")
                return errand->finish(std::move(error));
            // A server that failed may have taken the request before it did.
            mayHaveArrived = mayHaveArrived || reply.status == 408 || reply.status >= 500;
            auto wait = trainerRetryAfter(reply).value_or(backOff());
            if (reply.status == 429) {
                if (!trainerRetryAfter(reply))
                    wait = std::max(wait, session.http().retryPolicy().minRateDelay);
                session.http().noteServerPause(wait);
            }
            again(std::move(error), wait);
        }
        void judgeFailure(Error error)
        {
            const bool isTransient =
                error.code == Error::Code::Unreachable || error.code == Error::Code::Unknown;
            mayHaveArrived = mayHaveArrived || error.code == Error::Code::Unknown;
            // A certificate that is not trusted will not be trusted a second later.
            if (!isTransient || error.message.find("is not trusted") != std::string::npos)
                return errand->finish(std::move(error));
            again(std::move(error), backOff());
        }
        void awaitPayment(Error error)
        {
            if (!billing.isValid()) {
                billing.start();
                session.notify(SessionNotice::Kind::Warning,
                    "The trainer waits for payment (402); the work goes on once that is settled");
            }
            if (billing.hasExpired(session.timing().billingBudget.count()))
                return errand->finish(std::move(error));
            age.restart(); // waiting for money is no failure
            errand->after(
                session.timing().billingPause, [self = shared_from_this()] { self->attempt(); });
        }
        void again(Error error, std::chrono::milliseconds wait)
        {
            ++failures;
            const auto spent = std::chrono::milliseconds(age.elapsed());
            if (spent + wait > budget) {
                if (mayHaveArrived && request.method != "GET") {
                    error.code = Error::Code::Unknown;
                    error.unchanged.clear();
                    error.next = "Look at the trainer before going on: it may have taken effect";
                }
                return errand->finish(std::move(error));
            }
            errand->after(wait, [self = shared_from_this()] { self->attempt(); });
        }
        [[nodiscard]] std::chrono::milliseconds backOff() const
        {
            const auto& policy = session.http().retryPolicy();
            const auto full = std::min<double>(static_cast<double>(policy.maxDelay.count()),
                static_cast<double>(policy.firstDelay.count())
                    * std::pow(2.0, std::min(failures, 16)));
            const double kept = 1.0 - policy.jitter * QRandomGenerator::global()->generateDouble();
            return std::chrono::milliseconds(static_cast<qint64>(full * kept));
        }

        TrainerSession& session; // outlives the guard of the errand
        std::shared_ptr<Errand<HttpReply>> errand;
        HttpRequest request;
        std::chrono::milliseconds budget {};
        QElapsedTimer age;
        QElapsedTimer billing;
        int failures = 0;
        int emptyRefusals = 0;
        bool mayHaveArrived = false;
    };

} // namespace

std::optional<std::chrono::milliseconds> trainerRetryAfter(const HttpReply& reply)
{
    std::optional<std::chrono::milliseconds> wait;
    if (const auto milliseconds = positiveNumber(reply.header("retry-after-ms")))
        wait = std::chrono::milliseconds(static_cast<qint64>(*milliseconds));
    else
        wait = retryAfter(reply.header("retry-after"), reply.header("date"));
    return wait && *wait <= kMaxTrainerRetryAfter ? wait : std::nullopt;
}

TrainerSession::TrainerSession(HttpClient& http, std::string baseUrl)
    : m_http(http)
    , m_baseUrl(std::move(baseUrl))
{
    while (!m_baseUrl.empty() && m_baseUrl.back() == '/')
        m_baseUrl.pop_back();
    m_heartbeat.setInterval(m_timing.heartbeat);
    connect(&m_heartbeat, &QTimer::timeout, this, &TrainerSession::beat);
    connect(&m_http, &HttpClient::machineSlept, this, &TrainerSession::noteSleep);
    m_poller = std::make_unique<FuturePoller>(*this);
}

TrainerSession::~TrainerSession() = default;

void TrainerSession::setTiming(const TrainerTiming& timing)
{
    m_timing = timing;
    m_heartbeat.setInterval(timing.heartbeat);
}

Error TrainerSession::withoutKey(Error error) const
{
    const auto key = m_http.key().toStdString();
    for (auto* text : { &error.message, &error.next, &error.requestId }) {
        for (auto at = key.empty() ? std::string::npos : text->find(key); at != std::string::npos;
             at = text->find(key, at))
            text->replace(at, key.size(), "[redacted]");
    }
    return error;
}

void TrainerSession::notify(SessionNotice::Kind kind, std::string text)
{
    if (text.empty())
        return;
    if (text.size() > kMaxNoticeBytes)
        text.resize(kMaxNoticeBytes);
    Error shown;
    shown.message = std::move(text);
    const SessionNotice notice { kind, withoutKey(std::move(shown)).message };
    if (m_notices.size() == kMaxNotices)
        m_notices.erase(m_notices.begin());
    m_notices.push_back(notice);
    Q_EMIT noticed(notice);
}

QFuture<Result<HttpReply>> TrainerSession::call(TrainerCall call, QObject* guard)
{
    static const QList<int> kErrorStatuses = [] {
        QList<int> statuses;
        for (int status = 300; status < 600; ++status)
            statuses.append(status);
        return statuses;
    }();
    auto errand = Errand<HttpReply>::start(guard);
    auto future = errand->future();
    auto attempts = std::make_shared<TrainerAttempts>(*this, std::move(errand));
    auto& request = attempts->request;
    request.method = call.isGet ? "GET" : "POST";
    request.url = QUrl(QString::fromStdString(m_baseUrl + "/api/v1/" + call.rpc));
    request.body = QByteArray::fromStdString(call.body);
    // Not "idempotent" in the words of the client below: it would repeat by its own rules, and it
    // would not tell a lost answer from a connection that never was.
    request.isIdempotent = call.isGet;
    request.maxAttempts = 1;
    request.totalTimeout = kAttemptTimeout;
    request.maxReplyBytes = qint64 { 128 } << 20;
    request.acceptedStatuses = kErrorStatuses;
    request.doing = std::move(call.doing);
    if (!call.isGet)
        request.headers.append(
            { "X-Idempotency-Key", "desk-" + QUuid::createUuid().toByteArray(QUuid::Id128) });
    attempts->budget = call.budget > 0ms ? call.budget : m_timing.submissionBudget;
    attempts->attempt();
    return future;
}

QFuture<Result<std::string>> TrainerSession::open()
{
    if (!m_id.empty())
        return finishedFuture<std::string>(m_id);
    if (m_isOpening) // each caller may cancel its own wait, not the others'
        return mapFuture<std::string>(
            m_opening, this, [](const Result<std::string>& id) { return id; });
    CreateSession create;
    create.sdkVersion = "0.23.0"; // the wire version spoken here (trainer.md 1.6)
    TrainerCall request;
    request.rpc = "create_session";
    request.body = encodeCreateSession(create);
    request.doing = "open a session";
    request.budget = kOpenBudget;
    m_isOpening = true;
    m_opening = mapFuture<std::string>(
        call(std::move(request), this), this, [this](const Result<HttpReply>& reply) {
            m_isOpening = false;
            const auto created = reply.and_then([](const HttpReply& answer) {
                return decodeSessionCreated(trainerBodyOf(answer));
            });
            if (!created)
                return Result<std::string>(created.error());
            m_id = created->sessionId;
            notify(SessionNotice::Kind::Info, created->infoMessage);
            notify(SessionNotice::Kind::Warning, created->warningMessage);
            notify(SessionNotice::Kind::Error, created->errorMessage);
            m_sinceHeard.start();
            m_heartbeat.start();
            return Result<std::string>(m_id);
        });
    return m_opening;
}

void TrainerSession::beat()
{
    HttpRequest request;
    request.method = "POST";
    request.url = QUrl(QString::fromStdString(m_baseUrl + "/api/v1/session_heartbeat"));
    request.body = QByteArray::fromStdString(encodeHeartbeat(m_id));
    request.isIdempotent = true;
    request.totalTimeout = 10s;
    request.maxAttempts = 1; // the next beat is the retry
    request.lane = HttpLane::Read; // not behind uploads or long polls
    request.doing = "keep the session alive";
    onFinished(m_http.send(std::move(request)), this, [this](const Result<HttpReply>& reply) {
        if (reply) {
            m_sinceHeard.restart();
            m_isSilenceNoticed = false;
        } else if (!m_isSilenceNoticed
            && m_sinceHeard.hasExpired(m_timing.heartbeatSilence.count())) {
            m_isSilenceNoticed = true;
            notify(SessionNotice::Kind::Warning,
                "The trainer has taken no heartbeat for "
                    + std::to_string(m_sinceHeard.elapsed() / 1000)
                    + " s; it may stop a session that it does not hear: " + reply.error().message);
        }
    });
}

void TrainerSession::noteSleep(std::chrono::milliseconds asleep)
{
    if (m_id.empty())
        return;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(asleep).count();
    notify(SessionNotice::Kind::Warning,
        "This machine slept for " + std::to_string(seconds)
            + " s without a heartbeat; the trainer may have been stopped meanwhile");
    Q_EMIT slept(seconds);
    beat();
}

} // namespace desk
