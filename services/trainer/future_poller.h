// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/http/http_client.h"

#include <QFuture>
#include <QObject>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace desk {

class TrainerSession;

/// The end of a future that the trainer did not report as failed.
struct PollAnswer
{
    std::string body; ///< of the result
    bool isExpired = false; ///< 410: the trainer gave the work up; body holds its words
};

/// Polls the futures of one session (trainer.md section 5): at most five long polls at a time,
/// shared evenly by the models, in each the oldest work first, because a trainer works in order.
/// THREAD: that of the session, which owns it.
class FuturePoller final : public QObject
{
    Q_OBJECT
public:
    explicit FuturePoller(TrainerSession& session);
    ~FuturePoller() override;
    Q_DISABLE_COPY_MOVE(FuturePoller)

    /// `group`: the model or sampling session that the work belongs to. `type`: the word for
    /// X-Tinker-Request-Type. Errors: Refused for a failure of category "user", Backend for others;
    /// Unknown when the trainer was silent for too long or does not know the id any more: the work
    /// was accepted, and nobody says how it ended; Auth. Canceling ends the polling, not the work.
    [[nodiscard]] QFuture<Result<PollAnswer>> await(
        std::string requestId, std::string group, std::string type, std::string doing);

    static constexpr int kMaxPolls = 5;

private:
    struct Poll;
    void pump();
    void release(const std::shared_ptr<Poll>& poll);
    void ask(const std::shared_ptr<Poll>& poll);
    void judge(const std::shared_ptr<Poll>& poll, const Result<HttpReply>& reply);
    void judgeBody(const std::shared_ptr<Poll>& poll, const QByteArray& body);
    void endure(const std::shared_ptr<Poll>& poll, Error error, const HttpReply* reply);
    void askLater(const std::shared_ptr<Poll>& poll, std::chrono::milliseconds wait);
    void notePause(const Poll& poll, const std::string& state, const std::string& reason);

    TrainerSession& m_session;
    std::map<std::uint64_t, std::shared_ptr<Poll>> m_waiting; // by age
    std::map<std::uint64_t, std::shared_ptr<Poll>> m_asking;
    std::uint64_t m_nextAge = 0;
    std::uint64_t m_serial = 0; // of the polls sent
    std::int64_t m_lastPauseNoticeMs = 0;
};

} // namespace desk
