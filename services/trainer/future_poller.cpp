// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/trainer/future_poller.h"

#include "services/codecs/error_codec.h"
#include "services/codecs/trainer_codec.h"
#include "services/errand.h"
#include "services/trainer/trainer_session.h"

#include <QElapsedTimer>

#include <algorithm>
#include <tuple>

using namespace std::chrono_literals;

namespace desk {
namespace {

    constexpr int kMaxBadRequests = 3; // trainer.md 5.4
    constexpr int kMaxBrokenBodies = 3;
    constexpr auto kMaxPollBackOff = 30s;
    constexpr qint64 kPauseNoticeMs = 60'000;

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

    const QList<int>& pollStatuses()
    {
        static const QList<int> statuses = [] {
            QList<int> all;
            for (int status = 300; status < 600; ++status)
                all.append(status);
            return all;
        }();
        return statuses;
    }

} // namespace

struct FuturePoller::Poll
{
    std::uint64_t age = 0;
    std::string requestId;
    std::string group;
    std::string type;
    std::string doing;
    std::shared_ptr<Errand<PollAnswer>> errand;
    QFuture<Result<HttpReply>> held; ///< the poll in flight
    QElapsedTimer silence; ///< since the trainer last said something sensible
    QElapsedTimer billing;
    int iteration = 0;
    int failures = 0;
    int badRequests = 0;
    int brokenBodies = 0;
    bool isAbandoned = false; ///< a poll was given up: its answer may have gone to nobody
    std::uint64_t served = 0; ///< when this poll was asked last
};

FuturePoller::FuturePoller(TrainerSession& session)
    : m_session(session)
{
}

FuturePoller::~FuturePoller()
{
    // A held poll would keep its connection for half a minute, with nobody left to hear it.
    for (const auto& [age, poll] : m_asking)
        poll->held.cancel();
}

QFuture<Result<PollAnswer>> FuturePoller::await(
    std::string requestId, std::string group, std::string type, std::string doing)
{
    auto poll = std::make_shared<Poll>();
    poll->age = m_nextAge++;
    poll->requestId = std::move(requestId);
    poll->group = std::move(group);
    poll->type = std::move(type);
    poll->doing = std::move(doing);
    poll->errand = Errand<PollAnswer>::start(this);
    poll->silence.start();
    auto future = poll->errand->future();
    onFinished(future, this, [this, weak = std::weak_ptr<Poll>(poll)](const Result<PollAnswer>&) {
        if (const auto ended = weak.lock())
            release(ended);
    });
    m_waiting.emplace(poll->age, poll);
    pump();
    return future;
}

void FuturePoller::release(const std::shared_ptr<Poll>& poll)
{
    m_waiting.erase(poll->age);
    m_asking.erase(poll->age);
    pump();
}

/// The group with the fewest polls in flight comes next, among those the one that waited longest.
void FuturePoller::pump()
{
    while (m_asking.size() < std::size_t { kMaxPolls } && !m_waiting.empty()) {
        std::map<std::string, int> busy;
        for (const auto& [age, poll] : m_asking)
            ++busy[poll->group];
        std::map<std::string, std::shared_ptr<Poll>> oldest;
        for (const auto& [age, poll] : m_waiting)
            oldest.try_emplace(poll->group, poll);
        const auto next = std::min_element(
            oldest.begin(), oldest.end(), [&busy](const auto& one, const auto& other) {
                return std::make_tuple(busy[one.first], one.second->served, one.second->age)
                    < std::make_tuple(busy[other.first], other.second->served, other.second->age);
            });
        const auto poll = next->second;
        m_waiting.erase(poll->age);
        if (!poll->errand->isOver())
            ask(poll);
    }
}

void FuturePoller::ask(const std::shared_ptr<Poll>& poll)
{
    m_asking.emplace(poll->age, poll);
    poll->served = ++m_serial;
    HttpRequest request;
    request.method = "POST";
    request.url = QUrl(QString::fromStdString(m_session.baseUrl() + "/api/v1/retrieve_future"));
    request.body = QByteArray::fromStdString(encodeRetrieve(poll->requestId));
    request.isIdempotent = true;
    request.maxAttempts = 1; // the waits between polls are ours
    request.totalTimeout = m_session.timing().pollTimeout;
    request.maxReplyBytes = qint64 { 128 } << 20;
    request.acceptedStatuses = pollStatuses();
    request.headers = { { "X-Tinker-Request-Iteration", QByteArray::number(poll->iteration++) },
        { "X-Tinker-Request-Type", QByteArray::fromStdString(poll->type) } };
    request.doing = poll->doing;
    request.lane = HttpLane::LongPoll;
    poll->held = m_session.http().send(std::move(request));
    poll->errand->await(poll->held, [this, poll](const Result<HttpReply>& reply) {
        m_asking.erase(poll->age);
        poll->held = {};
        judge(poll, reply);
        pump();
    });
}

void FuturePoller::askLater(const std::shared_ptr<Poll>& poll, std::chrono::milliseconds wait)
{
    poll->errand->after(wait, [this, poll] {
        m_waiting.emplace(poll->age, poll);
        pump();
    });
}

void FuturePoller::judge(const std::shared_ptr<Poll>& poll, const Result<HttpReply>& reply)
{
    if (!reply) {
        poll->isAbandoned = true;
        return endure(poll, reply.error(), nullptr);
    }
    const int status = reply->status;
    if (status < 300 || status == 408)
        return judgeBody(poll, reply->body);
    auto error = m_session.withoutKey(errorFromReply(status,
        { reply->body.constData(), static_cast<std::size_t>(reply->body.size()) }, poll->doing,
        reply->header("x-request-id").toStdString()));
    if (status == 410)
        return poll->errand->finish(PollAnswer { error.message, true });
    if (status == 402) {
        if (!poll->billing.isValid())
            poll->billing.start();
        if (poll->billing.hasExpired(m_session.timing().billingBudget.count()))
            return poll->errand->finish(std::move(error));
        poll->silence.restart();
        return askLater(poll, m_session.timing().billingPause);
    }
    if (status == 400 && ++poll->badRequests <= kMaxBadRequests)
        return askLater(poll, 0ms);
    if (status == 404) {
        error.code = Error::Code::Unknown;
        error.message = "Could not " + poll->doing
            + (poll->isAbandoned
                    ? ": the trainer has dropped the result; a poll before it was given up, so "
                      "the answer may have gone to a dead connection"
                    : ": the trainer does not know the request any more; it was restarted, or it "
                      "has dropped the result");
        error.unchanged.clear();
        error.next = "It was accepted and may have taken effect: load the newest state, then go on";
        return poll->errand->finish(std::move(error));
    }
    if (status == 425 || status == 429 || status >= 500)
        return endure(poll, std::move(error), &*reply);
    poll->errand->finish(std::move(error));
}

void FuturePoller::judgeBody(const std::shared_ptr<Poll>& poll, const QByteArray& body)
{
    auto reply = decodeFuture(body.toStdString());
    if (!reply) {
        // Results can be read again: what was cut on its way comes whole the next time.
        if (++poll->brokenBodies <= kMaxBrokenBodies)
            return askLater(poll, m_session.timing().pollPause);
        return poll->errand->finish(reply.error());
    }
    poll->failures = 0;
    poll->badRequests = 0;
    poll->billing.invalidate();
    poll->silence.restart();
    if (reply->state == FutureReply::State::Done)
        return poll->errand->finish(PollAnswer { std::move(reply->result), false });
    if (reply->state == FutureReply::State::Failed)
        return poll->errand->finish(m_session.withoutKey(failureOf(*reply, poll->doing)));
    notePause(*poll, reply->queueState, reply->queueReason);
    // A trainer holds a poll that is pending; one that does not must not be hammered.
    askLater(poll, m_session.timing().pollPause);
}

void FuturePoller::notePause(const Poll& poll, const std::string& state, const std::string& reason)
{
    if (state.empty() || state == "active")
        return;
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now().time_since_epoch())
                         .count();
    if (m_lastPauseNoticeMs > 0 && now - m_lastPauseNoticeMs < kPauseNoticeMs)
        return;
    m_lastPauseNoticeMs = now;
    m_session.notify(SessionNotice::Kind::Warning,
        "The trainer is paused (" + state.substr(0, 100) + ") for " + poll.group
            + (reason.empty() ? std::string() : ": " + reason));
}

void FuturePoller::endure(const std::shared_ptr<Poll>& poll, Error error, const HttpReply* reply)
{
    const bool isTransient = error.code == Error::Code::Unreachable
        || error.code == Error::Code::Backend || error.code == Error::Code::Quota
        || (reply != nullptr && reply->status == 425);
    if (!isTransient || error.message.find("is not trusted") != std::string::npos)
        return poll->errand->finish(std::move(error));
    if (poll->silence.hasExpired(m_session.timing().pollSilence.count())) {
        error.code = Error::Code::Unknown; // it was accepted; nobody says how it ended
        error.unchanged.clear();
        error.next = "Look at the newest checkpoint: steps after it may be lost";
        return poll->errand->finish(std::move(error));
    }
    const auto& policy = m_session.http().retryPolicy();
    std::chrono::milliseconds wait = policy.firstDelay * (1 << std::min(poll->failures, 6));
    wait = std::min<std::chrono::milliseconds>(wait, kMaxPollBackOff);
    if (reply != nullptr && reply->status == 429) {
        wait = trainerRetryAfter(*reply).value_or(std::max(wait, policy.minRateDelay));
        m_session.http().noteServerPause(wait);
    }
    ++poll->failures;
    askLater(poll, wait);
}

} // namespace desk
