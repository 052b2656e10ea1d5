// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/http/http_client.h"

#include <QElapsedTimer>
#include <QFuture>
#include <QObject>
#include <QTimer>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace desk {

class FuturePoller;

/// How patient a client is; the defaults follow trainer.md 1.6, 1.10, 5.4 and 9. Tests shorten it.
struct TrainerTiming
{
    using ms = std::chrono::milliseconds;
    ms heartbeat { 10'000 };
    ms heartbeatSilence { 120'000 }; ///< without a heartbeat that arrived: a notice
    ms submissionBudget { 300'000 }; ///< no new attempt of one call starts after it
    ms billingPause { 5'000 }; ///< between attempts after 402
    ms billingBudget { 3'600'000 };
    ms pollTimeout { 45'000 }; ///< of one long poll
    ms pollSilence { 300'000 }; ///< polls that all fail for so long: the end is Unknown
    ms pollPause { 50 }; ///< between two polls of a server that does not hold them
    ms resampleDelay { 500 }; ///< before a sample whose future has expired is asked for again
};

/// What a person should see of a session, beside results and errors.
struct SessionNotice
{
    enum class Kind
    {
        Info, ///< info_message of create_session, e.g. which stand-in serves a base model
        Warning,
        Error
    };
    Kind kind = Kind::Info;
    std::string text; ///< one sentence or what the server wrote, at most 2,000 bytes
    bool operator==(const SessionNotice&) const = default;
};

/// One call of a trainer's RPC.
struct TrainerCall
{
    std::string rpc; ///< "optim_step"; below /api/v1/
    std::string body; ///< JSON
    std::string doing; ///< for error messages: "apply the optimizer step"
    bool isGet = false;
    /// No new attempt after it; 0: timing().submissionBudget.
    std::chrono::milliseconds budget { 0 };
};

/// The session with one trainer: its id, its heartbeats, and the rules by which calls are repeated.
/// Shared by a service client and the clients made by it; heartbeats go out every 10 s while any of
/// them lives.
/// THREAD: that of the HttpClient, which must outlive it.
class TrainerSession final : public QObject
{
    Q_OBJECT
public:
    /// `baseUrl` is TrainerServiceEndpoint::baseUrl, with or without a slash at its end.
    TrainerSession(HttpClient& http, std::string baseUrl);
    ~TrainerSession() override;
    Q_DISABLE_COPY_MOVE(TrainerSession)

    /// The session id; create_session is sent once, also for calls made at the same time.
    [[nodiscard]] QFuture<Result<std::string>> open();
    [[nodiscard]] const std::string& id() const { return m_id; } ///< empty before open() ended

    /// Repeats until a definite answer: lost connections, 408, 409, 425, 429 and 5xx with growing
    /// waits or as Retry-After says (at most 60 s) for submissionBudget; 402 every billingPause for
    /// billingBudget; 400 without a body (a proxy's) up to 16 times. Every attempt carries the same
    /// X-Idempotency-Key. Ends with a 2xx reply. Errors: as errorFromReply; Unreachable when
    /// certainly nothing arrived, Unknown when the last word was lost. Cancel the future to abort.
    [[nodiscard]] QFuture<Result<HttpReply>> call(TrainerCall call, QObject* guard);

    [[nodiscard]] FuturePoller& poller() { return *m_poller; }
    [[nodiscard]] HttpClient& http() { return m_http; }
    [[nodiscard]] const std::string& baseUrl() const { return m_baseUrl; }
    [[nodiscard]] const TrainerTiming& timing() const { return m_timing; }
    void setTiming(const TrainerTiming& timing);

    [[nodiscard]] std::int64_t takeModelSeqId() { return m_nextModelSeqId++; }
    [[nodiscard]] std::int64_t takeSamplingSeqId() { return m_nextSamplingSeqId++; }
    void notify(SessionNotice::Kind kind, std::string text);
    [[nodiscard]] const std::vector<SessionNotice>& notices() const { return m_notices; }
    /// "Could not …" with the key taken out, should a server repeat it.
    [[nodiscard]] Error withoutKey(Error error) const;

Q_SIGNALS:
    void noticed(const desk::SessionNotice& notice);
    /// The machine was suspended: no heartbeat went out for so long, and the trainer may have been
    /// idled out. A heartbeat is sent and open polls are asked again at once. Comes with a notice.
    void slept(qint64 seconds);

private:
    void beat();
    void noteSleep(std::chrono::milliseconds asleep);

    HttpClient& m_http;
    std::string m_baseUrl;
    std::string m_id;
    TrainerTiming m_timing;
    std::int64_t m_nextModelSeqId = 0;
    std::int64_t m_nextSamplingSeqId = 0;
    std::vector<SessionNotice> m_notices;
    QTimer m_heartbeat;
    QElapsedTimer m_sinceHeard; ///< since a heartbeat arrived
    bool m_isSilenceNoticed = false;
    std::unique_ptr<FuturePoller> m_poller;
    QFuture<Result<std::string>> m_opening;
    bool m_isOpening = false;
};

/// Retry-After-Ms, or Retry-After as seconds or date; nullopt if there is none that makes sense, or
/// one of more than 60 s, which the SDKs do not follow either (trainer.md 1.3).
[[nodiscard]] std::optional<std::chrono::milliseconds> trainerRetryAfter(const HttpReply& reply);

} // namespace desk
