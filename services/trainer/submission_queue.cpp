// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/trainer/submission_queue.h"

#include "services/codecs/trainer_codec.h"

#include <algorithm>

namespace desk {
namespace {

    /// Parts of these may overtake each other on the way: they add up, in whatever order.
    bool isParallel(const std::string& rpc)
    {
        return rpc == "forward" || rpc == "forward_backward";
    }

    Error notSent(const std::string& doing, const std::string& why)
    {
        return { Error::Code::Conflict, "Could not " + doing + ": " + why, "Nothing was sent",
            "Load a state, then compute the gradients again", {} };
    }

} // namespace

SubmissionQueue::SubmissionQueue(
    std::shared_ptr<TrainerSession> session, std::string modelId, QObject* parent)
    : QObject(parent)
    , m_session(std::move(session))
    , m_modelId(std::move(modelId))
{
}

SubmissionQueue::~SubmissionQueue()
{
    for (auto& [number, polled] : m_polled)
        polled.cancel();
}

QFuture<Result<std::string>> SubmissionQueue::start(const EntryPtr& entry)
{
    entry->errand = Errand<std::string>::start(this);
    auto future = entry->errand->future();
    // A caller that cancels makes room for those behind.
    onFinished(future, this, [this](const Result<std::string>&) { pump(); });
    return future;
}

QFuture<Result<std::string>> SubmissionQueue::submit(Operation operation)
{
    if (m_closed)
        return finishedFuture<std::string>(*m_closed);
    auto entry = std::make_shared<Entry>();
    entry->seqId = operation.hasSeqId ? m_nextSeqId++ : 0;
    entry->operation = std::move(operation);
    m_line.push_back(entry);
    auto future = start(entry);
    pump();
    return future;
}

std::int64_t SubmissionQueue::reserve()
{
    auto entry = std::make_shared<Entry>();
    entry->seqId = m_nextSeqId++;
    entry->isReserved = true;
    m_line.push_back(entry);
    return entry->seqId;
}

QFuture<Result<std::string>> SubmissionQueue::fill(std::int64_t seqId, Operation operation)
{
    const auto place = std::find_if(m_line.begin(), m_line.end(),
        [seqId](const EntryPtr& entry) { return entry->isReserved && entry->seqId == seqId; });
    if (place == m_line.end())
        return finishedFuture<std::string>(
            Error { Error::Code::Usage, "The seq_id " + std::to_string(seqId) + " was not reserved",
                "Nothing was sent", {}, {} });
    const auto entry = *place;
    entry->operation = std::move(operation);
    entry->isReserved = false;
    auto future = start(entry);
    pump();
    return future;
}

void SubmissionQueue::drop(std::int64_t seqId)
{
    std::erase_if(m_line,
        [seqId](const EntryPtr& entry) { return entry->isReserved && entry->seqId == seqId; });
    pump();
}

bool SubmissionQueue::mayLeave(const EntryPtr& entry, bool isFirst) const
{
    if (entry->isReserved || m_outstanding >= kMaxOutstanding)
        return false;
    if (entry->operation.waitsForResults)
        return isFirst && m_outstanding == 0;
    if (!isParallel(entry->operation.rpc))
        return isFirst;
    return m_sending < kMaxSending;
}

void SubmissionQueue::pump()
{
    if (m_isPumping)
        return;
    m_isPumping = true;
    for (std::size_t at = 0; at < m_line.size();) {
        const auto entry = m_line[at];
        if (entry->isSending) {
            if (!isParallel(entry->operation.rpc))
                break; // it leaves alone
            ++at;
            continue;
        }
        if (entry->errand && entry->errand->isOver()) {
            m_line.erase(m_line.begin() + static_cast<std::ptrdiff_t>(at));
            continue;
        }
        if (!mayLeave(entry, at == 0))
            break;
        if (!leave(entry)) {
            forget(entry);
            continue;
        }
        ++at;
    }
    m_isPumping = false;
}

/// False: it ended here and was not sent.
bool SubmissionQueue::leave(const EntryPtr& entry)
{
    const auto& operation = entry->operation;
    if (operation.rpc == "optim_step" && m_gradientDoubt) {
        entry->errand->finish(notSent(operation.doing, *m_gradientDoubt));
        return false;
    }
    auto body = operation.encode(entry->seqId);
    if (!body) {
        lose(entry, body.error());
        return false;
    }
    entry->isSending = true;
    ++m_sending;
    ++m_outstanding;
    TrainerCall call;
    call.rpc = operation.rpc;
    call.body = *std::move(body);
    call.doing = operation.doing;
    // Not the errand's own step: a canceled caller must not leave the queue without an answer.
    onFinished(m_session->call(std::move(call), this), this,
        [this, entry](const Result<HttpReply>& reply) { answered(entry, reply); });
    return true;
}

void SubmissionQueue::forget(const EntryPtr& entry)
{
    std::erase(m_line, entry);
}

void SubmissionQueue::answered(const EntryPtr& entry, const Result<HttpReply>& reply)
{
    --m_sending;
    forget(entry);
    const auto future = reply.and_then([](const HttpReply& accepted) {
        return decodeFutureRef(
            { accepted.body.constData(), static_cast<std::size_t>(accepted.body.size()) });
    });
    if (!future) {
        --m_outstanding;
        auto error = future.error();
        if (reply) { // accepted, in words that nobody understands
            error.code = Error::Code::Unknown;
            error.message = "Could not " + entry->operation.doing + ": " + error.message;
        }
        lose(entry, error);
        return pump();
    }
    if (entry->operation.rpc == "load_weights")
        m_gradientDoubt.reset();
    const auto& operation = entry->operation;
    auto polled =
        m_session->poller().await(future->requestId, m_modelId, operation.type, operation.doing);
    const auto number = m_nextPolled++;
    m_polled.emplace(number, polled);
    auto errand = entry->errand;
    onFinished(errand->future(), this, [polled](const Result<std::string>& ended) mutable {
        if (!ended && ended.error().code == Error::Code::Canceled)
            polled.cancel();
    });
    onFinished(polled, this, [this, errand, number](const Result<PollAnswer>& answer) {
        --m_outstanding;
        m_polled.erase(number);
        if (!answer)
            errand->finish(answer.error());
        else if (answer->isExpired)
            errand->finish(
                Error { Error::Code::Unknown, answer->body + " (the trainer gave the work up)", {},
                    "Load the newest state, then go on", {} });
        else
            errand->finish(answer->body);
        pump();
    });
    pump();
}

/// Ends an operation that was not accepted.
void SubmissionQueue::lose(const EntryPtr& entry, const Error& error)
{
    const auto& operation = entry->operation;
    entry->errand->finish(error);
    if (operation.rpc != "forward_backward")
        return;
    const std::string why = "the gradients before it are incomplete (" + error.message + ")";
    if (operation.isPartial || error.code == Error::Code::Unknown)
        m_gradientDoubt = why;
    // Steps that were asked for before anybody could know must not be taken without them.
    for (const auto& waiting : m_line) {
        if (waiting->operation.rpc == "optim_step" && !waiting->isSending && waiting->errand)
            waiting->errand->finish(notSent(waiting->operation.doing, why));
    }
}

} // namespace desk
