// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/hotload_codec.h"
#include "services/core/records.h"
#include "services/core/result.h"
#include "services/operations/operation_center.h"

#include <QElapsedTimer>
#include <QObject>
#include <QString>
#include <QTimer>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace desk {

class ControlSocket;
struct HotloadProgress;

/// What following an operation, or looking its effect up, came to.
struct OperationOutcome
{
    OperationState state = OperationState::Unknown;
    std::string result; ///< JSON text of the result shape; empty if there is none
    std::optional<Error> error; ///< of a failure, or why the state is Unknown
    std::vector<Replica> replicas; ///< hot loads
};

/// Sends the request of one journaled operation, once, and follows it to its end.
/// THREAD: that of its parent. OWNERSHIP: the parent; lives until `ended` was called.
class OperationRunner final : public QObject
{
    Q_OBJECT

public:
    struct Reports
    {
        /// A stage was reached. "accepted": the other side has taken the request.
        std::function<void(const std::string& stage, const std::string& detail)> stage;
        std::function<void(const std::vector<Replica>& replicas, const std::string& summary)>
            replicas;
        std::function<void(const OperationOutcome&)> ended; ///< once, last
    };

    /// `silenceLimit`: as in OperationEnvironment.
    OperationRunner(Operation operation, ConnectionServices services, QString controlSocket,
        ControlSocket& control, std::chrono::milliseconds silenceLimit, Reports reports,
        QObject* parent);
    Q_DISABLE_COPY_MOVE(OperationRunner)

    void start();

private:
    void save();
    void promote();
    void hotload();
    void previous();
    void loadChain(const std::vector<std::string>& chain, std::size_t at, HotloadRequest request);
    void post(const HotloadRequest& request, std::function<void()> taken);
    void waitForReplicas(const std::string& identity, std::function<void()> then);
    void loaded();
    [[nodiscard]] std::string hotloadModel() const;
    void create();
    void createJob();
    void resume();
    void followJob(const Result<TrainerJob>& job);
    void scale();
    void extend();
    void withCheckpoint(std::function<void(const Checkpoint&)> then,
        std::function<void(const Error&)> otherwise = {});
    void waitForDeployment(const std::string& lastSummary);
    void remove();
    void cancelJob();
    void accepted(const std::string& detail);
    void succeed(std::string result);
    void fail(const Error& error);
    void end(OperationOutcome outcome);
    void noteReplicas(const HotloadProgress& progress, const std::string& identity);
    void heard(); ///< the other side answered
    void listen(); ///< begins to notice that it does not answer any more
    void checkSilence();
    [[nodiscard]] bool wantsWait() const;
    [[nodiscard]] std::string text(const char* key) const;
    /// A positive number of a parameter, at most ten years.
    [[nodiscard]] std::int64_t seconds(const char* key, std::int64_t fallback) const;

    Operation m_operation;
    ConnectionServices m_services;
    QString m_controlSocket;
    ControlSocket& m_control;
    Reports m_reports;
    std::vector<Replica> m_replicas;
    Time m_sentAt {};
    QElapsedTimer m_sinceAnswer;
    QTimer m_silence;
    qint64 m_silenceLimitMs = 0;
    bool m_isSilenceTold = false;
    bool m_isAccepted = false;
    bool m_isEnded = false;
};

/// "3 of 4 ready"
[[nodiscard]] std::string readySummary(
    const std::vector<Replica>& replicas, const std::string& identity);
/// The snapshot that a hot load asked for: last segment of its subject.
[[nodiscard]] std::string identityOf(const Operation& operation);

} // namespace desk
