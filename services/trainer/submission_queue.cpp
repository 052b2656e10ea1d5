// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/trainer/submission_queue.h"

#include "services/codecs/trainer_codec.h"

#include <QElapsedTimer>

#include <algorithm>

using namespace std::chrono_literals;

namespace desk {
namespace {

    constexpr std::chrono::milliseconds kPollTimeout = 45s; // trainer.md 5.4
    // A trainer that stays away longer has lost the live model.
    constexpr std::chrono::milliseconds kMaxSilence = 60s;
    // The network manager opens six connections to a host: long polls must leave some for
    // submissions. A trainer works in order, so the oldest results come first.
    constexpr int kMaxPolls = 3;
    constexpr const char* kTryAgain = R"({"type":"try_again"})";

    Error failureOf(const FutureReply& reply, const std::string& doing)
    {
        const bool isUsers = reply.category == "user";
        auto text = reply.error.substr(0, 2000);
        while (!text.empty() && text.back() == '.')
            text.pop_back();
        return { isUsers ? Error::Code::Refused : Error::Code::Backend,
            "Could not " + doing + ": " + text, {},
            isUsers ? "Change what the trainer names and try again"
                    : "Look at the trainer's log, then try again",
            {} };
    }

    /// The polling of one future.
    struct Poll : std::enable_shared_from_this<Poll>
    {
        Poll(HttpClient& client, std::shared_ptr<Errand<std::string>> work)
            : http(client)
            , errand(std::move(work))
        {
            silence.start();
        }
        void ask()
        {
            auto request =
                trainerRequest(baseUrl, "retrieve_future", encodeRetrieve(requestId), doing);
            request.totalTimeout = kPollTimeout;
            request.maxAttempts = 1; // the waits between polls are ours
            request.acceptedStatuses = { 408 }; // pending, in the words of some trainers
            errand->await(http.send(std::move(request)),
                [self = shared_from_this()](Result<HttpReply> reply) {
                    if (reply && reply->status == 408)
                        self->judge(kTryAgain);
                    else if (reply)
                        self->judge(reply->body.toStdString());
                    else
                        self->endure(reply.error());
                });
        }
        void judge(std::string body)
        {
            auto reply = decodeFuture(std::move(body));
            if (!reply)
                return errand->finish(reply.error());
            failures = 0;
            silence.restart();
            if (reply->state == FutureReply::State::Done)
                return errand->finish(std::move(reply->result));
            if (reply->state == FutureReply::State::Failed)
                return errand->finish(failureOf(*reply, doing));
            // A trainer holds a poll that is pending; one that does not must not be hammered.
            errand->after(50ms, [self = shared_from_this()] { self->ask(); });
        }
        void endure(Error error)
        {
            const bool isTransient = error.code == Error::Code::Unreachable
                || error.code == Error::Code::Backend || error.code == Error::Code::Quota;
            if (!isTransient)
                return errand->finish(std::move(error));
            if (silence.hasExpired((kMaxSilence + kPollTimeout).count())
                || (failures >= 5 && silence.hasExpired(kMaxSilence.count()))) {
                error.code = Error::Code::Unknown; // it was accepted; nobody says how it ended
                error.unchanged.clear();
                error.next = "Look at the newest checkpoint: steps after it may be lost";
                return errand->finish(std::move(error));
            }
            const auto& policy = http.retryPolicy();
            const auto wait = std::min<std::chrono::milliseconds>(
                policy.firstDelay * (1 << std::min(failures, 6)), 30s);
            ++failures;
            errand->after(wait, [self = shared_from_this()] { self->ask(); });
        }

        HttpClient& http;
        std::shared_ptr<Errand<std::string>> errand;
        std::string baseUrl;
        std::string requestId;
        std::string doing;
        QElapsedTimer silence;
        int failures = 0;
    };

} // namespace

HttpRequest trainerRequest(
    const std::string& baseUrl, const std::string& rpc, std::string body, std::string doing)
{
    HttpRequest request;
    request.method = "POST";
    request.url = QUrl(QString::fromStdString(baseUrl + "/api/v1/" + rpc));
    request.body = QByteArray::fromStdString(body);
    request.isIdempotent = true;
    request.retryBudget = 60s;
    request.maxAttempts = 8;
    request.maxReplyBytes = qint64 { 128 } << 20;
    request.doing = std::move(doing);
    return request;
}

void awaitResult(std::shared_ptr<Errand<std::string>> errand, HttpClient& http,
    const std::string& baseUrl, const std::string& requestId, const std::string& doing)
{
    auto poll = std::make_shared<Poll>(http, std::move(errand));
    poll->baseUrl = baseUrl;
    poll->requestId = requestId;
    poll->doing = doing;
    poll->ask();
}

SubmissionQueue::SubmissionQueue(HttpClient& http, std::string baseUrl, QObject* parent)
    : QObject(parent)
    , m_http(http)
    , m_baseUrl(std::move(baseUrl))
{
}

QFuture<Result<std::string>> SubmissionQueue::submit(
    std::string rpc, std::string doing, Encode encode)
{
    auto errand = Errand<std::string>::start(this);
    auto future = errand->future();
    m_waiting.push_back({ std::move(rpc), std::move(doing), std::move(encode), std::move(errand) });
    pump();
    return future;
}

void SubmissionQueue::pump()
{
    while (!m_isSending && !m_waiting.empty()) {
        auto entry = std::move(m_waiting.front());
        m_waiting.pop_front();
        if (entry.errand->isOver())
            continue;
        auto body = entry.encode(m_nextSeqId);
        if (!body) {
            entry.errand->finish(body.error());
            continue;
        }
        ++m_nextSeqId;
        send(std::move(entry), *std::move(body));
    }
}

void SubmissionQueue::send(Entry entry, std::string body)
{
    m_isSending = true;
    auto request = trainerRequest(m_baseUrl, entry.rpc, std::move(body), entry.doing);
    // Not the errand's own step: a canceled caller must not leave the queue without an answer.
    onFinished(m_http.send(std::move(request)), this,
        [this, entry = std::move(entry)](const Result<HttpReply>& reply) {
            m_isSending = false;
            if (!entry.errand->isOver()) {
                const auto future = reply.and_then([](const HttpReply& accepted) {
                    return decodeFutureRef({ accepted.body.constData(),
                        static_cast<std::size_t>(accepted.body.size()) });
                });
                if (future)
                    poll(entry, future->requestId);
                else
                    entry.errand->finish(future.error());
            }
            pump();
        });
}

void SubmissionQueue::poll(const Entry& entry, const std::string& requestId)
{
    m_accepted.emplace_back(entry, requestId);
    pollNext();
}

void SubmissionQueue::pollNext()
{
    while (m_polling < kMaxPolls && !m_accepted.empty()) {
        const auto [entry, requestId] = std::move(m_accepted.front());
        m_accepted.pop_front();
        ++m_polling;
        onFinished(entry.errand->future(), this, [this](const Result<std::string>&) {
            --m_polling;
            pollNext();
        });
        if (!entry.errand->isOver())
            awaitResult(entry.errand, m_http, m_baseUrl, requestId, entry.doing);
    }
}

} // namespace desk
