// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/errand.h"
#include "services/http/http_client.h"
#include "services/trainer/future_poller.h"
#include "services/trainer/trainer_session.h"

#include <QFuture>
#include <QObject>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace desk {

/// Sends the operations of one model in the order of their seq_ids (trainer.md 2.4,
/// fireworks-sdk-1.2.30.md 6.3). Parts of forward and forward_backward travel side by side, the
/// lowest number first; every other operation leaves alone, after all before it were accepted. At
/// most 64 operations are outstanding: sent, and not ended yet.
/// A forward_backward whose submission failed leaves the accumulated gradient incomplete:
/// optimizer steps behind it are not sent (Conflict), until a state was loaded if others of its
/// parts may have arrived.
/// THREAD: that of the session.
class SubmissionQueue final : public QObject
{
    Q_OBJECT
public:
    /// The body for a seq_id; called when the turn comes.
    using Encode = std::function<Result<std::string>(std::int64_t seqId)>;

    struct Operation
    {
        std::string rpc; ///< "forward_backward"
        std::string type; ///< "ForwardBackward", for X-Tinker-Request-Type
        std::string doing; ///< for error messages
        Encode encode;
        bool hasSeqId = true; ///< unload_model has none
        bool isPartial = false; ///< one of several parts of a call
        bool waitsForResults = false; ///< leaves when everything before it has ended
    };

    SubmissionQueue(
        std::shared_ptr<TrainerSession> session, std::string modelId, QObject* parent = nullptr);
    ~SubmissionQueue() override;
    Q_DISABLE_COPY_MOVE(SubmissionQueue)

    /// Ends with the body of the result. Errors as those of TrainerSession::call and
    /// FuturePoller::await.
    [[nodiscard]] QFuture<Result<std::string>> submit(Operation operation);

    /// A place in the order whose operation is not known yet: what is submitted after it waits.
    [[nodiscard]] std::int64_t reserve();
    [[nodiscard]] QFuture<Result<std::string>> fill(std::int64_t seqId, Operation operation);
    void drop(std::int64_t seqId); ///< its number stays unused, which trainers allow

    /// Calls after this one end with `reason` at once; those before it run.
    void close(Error reason) { m_closed = std::move(reason); }

    static constexpr int kMaxOutstanding = 64;
    static constexpr int kMaxSending = 4;

private:
    struct Entry
    {
        Operation operation;
        std::int64_t seqId = 0;
        bool isReserved = false;
        bool isSending = false;
        std::shared_ptr<Errand<std::string>> errand;
    };
    using EntryPtr = std::shared_ptr<Entry>;
    [[nodiscard]] QFuture<Result<std::string>> start(const EntryPtr& entry);
    void pump();
    [[nodiscard]] bool mayLeave(const EntryPtr& entry, bool isFirst) const;
    bool leave(const EntryPtr& entry);
    void answered(const EntryPtr& entry, const Result<HttpReply>& reply);
    void lose(const EntryPtr& entry, const Error& error);
    void forget(const EntryPtr& entry);

    std::shared_ptr<TrainerSession> m_session;
    std::string m_modelId;
    std::deque<EntryPtr> m_line; // not accepted yet, in the order of seq_ids
    int m_sending = 0;
    int m_outstanding = 0;
    std::map<std::int64_t, QFuture<Result<PollAnswer>>> m_polled; // by number of the poll
    std::int64_t m_nextPolled = 0;
    std::int64_t m_nextSeqId = 1;
    std::optional<std::string> m_gradientDoubt; // why the gradient is incomplete
    std::optional<Error> m_closed;
    bool m_isPumping = false;
};

} // namespace desk
