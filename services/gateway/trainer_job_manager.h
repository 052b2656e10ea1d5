// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/gateway_codec.h"
#include "services/codecs/training_profile_codec.h"
#include "services/core/result.h"
#include "services/gateway/fireworks_client.h"

#include <QFuture>
#include <QObject>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace desk {

struct TrainerServiceEndpoint
{
    std::string jobName; ///< full name
    std::string jobId;
    std::string baseUrl; ///< <origin>/training/v1/rlorTrainerJobs/<account>/<job>
    std::optional<std::int64_t> maxContextLength;
};

/// Budgets and intervals of the readiness algorithm (gateway.md 1.10, 2.5).
struct ReadinessPolicy
{
    std::chrono::milliseconds poll { 5'000 }; ///< on loopback: 100 ms
    std::chrono::milliseconds pendingBudget { std::chrono::hours(48) };
    std::chrono::milliseconds readinessBudget { std::chrono::minutes(15) };
    /// A job that stopped may still be seen so for a while after it was resumed.
    std::chrono::milliseconds settle { 30'000 };
    std::chrono::milliseconds resumableBudget { 120'000 }; ///< of reconnectAndWait
};

/// What is wrong with a creation, before anything is sent (gateway.md 2.2,
/// fireworks-sdk-1.2.30.md 12.1); empty: nothing.
[[nodiscard]] std::vector<std::string> checkCreateJob(const CreateJob& request);

/// Creates trainer jobs and waits until their endpoint answers.
/// THREAD and OWNERSHIP: as FireworksClient, which must outlive this object. Canceling a future
/// ends the waiting, not the job. `progress` gets the job's state whenever it changes, and messages
/// of the server that begin with "Warning:".
class TrainerJobManager final : public QObject
{
    Q_OBJECT
public:
    using Progress = std::function<void(const std::string& message)>;
    using Endpoint = QFuture<Result<TrainerServiceEndpoint>>;

    explicit TrainerJobManager(FireworksClient& client, QObject* parent = nullptr);
    Q_DISABLE_COPY_MOVE(TrainerJobManager)

    /// An empty jobId is replaced by newJobId(). Ready: RUNNING, and healthz answers 200. Errors:
    /// Backend for FAILED, for a job that stopped (CANCELLED, COMPLETED, … longer than
    /// ReadinessPolicy::settle) and for a budget that is over, NotFound for a tombstone; PENDING
    /// has a budget of its own.
    [[nodiscard]] Endpoint createAndWait(CreateJob request, Progress progress = {});
    [[nodiscard]] Endpoint waitForExisting(const std::string& job, Progress progress = {});
    /// POST …:resume, then the same.
    [[nodiscard]] Endpoint resumeAndWait(const std::string& job, Progress progress = {});
    /// RUNNING: waits; FAILED, CANCELLED, PAUSED, COMPLETED: resumes; anything else: looks again
    /// for ReadinessPolicy::resumableBudget, then Backend ("stuck in …").
    [[nodiscard]] Endpoint reconnectAndWait(const std::string& job, Progress progress = {});
    /// The row; nullopt if there is none.
    [[nodiscard]] QFuture<Result<std::optional<TrainerJob>>> tryGet(const std::string& job);
    [[nodiscard]] QFuture<Status> cancel(const std::string& job);
    [[nodiscard]] QFuture<Status> remove(const std::string& job);
    /// The validated version of a training shape (gateway.md 2.10). `shape` is
    /// accounts/<a>/trainingShapes/<s>, perhaps with /versions/<v>; anything else is Usage.
    [[nodiscard]] QFuture<Result<TrainingProfile>> resolveTrainingProfile(const std::string& shape);

    void setPolicy(ReadinessPolicy policy) { m_policy = policy; }
    /// "training-api-service-" and 8 random hex digits, as the SDK names its jobs.
    [[nodiscard]] static std::string newJobId();

private:
    struct Wait;
    struct Reconnect;
    FireworksClient& m_client;
    ReadinessPolicy m_policy;
};

} // namespace desk
