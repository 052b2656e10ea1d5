// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/gateway_codec.h"
#include "services/core/result.h"
#include "services/gateway/fireworks_client.h"

#include <QFuture>
#include <QObject>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

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
};

/// Creates trainer jobs and waits until their endpoint answers.
/// THREAD and OWNERSHIP: as FireworksClient, which must outlive this object.
class TrainerJobManager final : public QObject
{
    Q_OBJECT
public:
    explicit TrainerJobManager(FireworksClient& client, QObject* parent = nullptr);
    Q_DISABLE_COPY_MOVE(TrainerJobManager)

    /// An empty jobId is replaced by "training-api-service-<8 hex>".
    [[nodiscard]] QFuture<Result<TrainerServiceEndpoint>> createAndWait(CreateJob request);
    [[nodiscard]] QFuture<Result<TrainerServiceEndpoint>> waitForExisting(const std::string& job);
    [[nodiscard]] QFuture<Result<TrainerServiceEndpoint>> resumeAndWait(const std::string& job);
    void setPolicy(ReadinessPolicy policy) { m_policy = policy; }

private:
    struct Wait;
    FireworksClient& m_client;
    ReadinessPolicy m_policy;
};

} // namespace desk
