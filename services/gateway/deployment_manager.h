// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/completions_codec.h"
#include "services/codecs/gateway_codec.h"
#include "services/codecs/hotload_codec.h"
#include "services/core/result.h"
#include "services/gateway/fireworks_client.h"

#include <QFuture>
#include <QObject>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace desk {

struct HotloadParameters
{
    std::string deployment; ///< bare id or full name
    std::string baseModel; ///< sent as header fireworks-model
    HotloadRequest request;
};

/// How a hot load stands, over all replicas (gateway.md 9: check every replica, not the first).
struct HotloadProgress
{
    std::vector<Replica> replicas;
    int readyCount = 0; ///< ready with the expected snapshot
    bool isDone = false; ///< all replicas, and at least one
    /// "4 of 4 on step-12", "Mixed: 3 of 4 on step-12, replica 3 on step-11 (error)"
    std::string summary;
    std::string failure; ///< not empty: a replica failed on the expected snapshot
};
/// `expected` is the identity that was posted. A stage "error" with another or no target is stale
/// and no failure. Extra text of the replica is part of `failure`.
[[nodiscard]] HotloadProgress hotloadProgress(
    std::vector<Replica> replicas, const std::string& expected);

/// Deployments, hot loads and completions of one account (gateway.md section 4).
/// THREAD and OWNERSHIP: as FireworksClient, which must outlive this object.
class DeploymentManager final : public QObject
{
    Q_OBJECT
public:
    using Progress = std::function<void(const HotloadProgress&)>;

    explicit DeploymentManager(FireworksClient& client, QObject* parent = nullptr);
    Q_DISABLE_COPY_MOVE(DeploymentManager)

    /// 409: the existing deployment is returned.
    [[nodiscard]] QFuture<Result<Deployment>> create(CreateDeployment request);
    [[nodiscard]] QFuture<Result<Deployment>> createOrGet(CreateDeployment request);
    [[nodiscard]] QFuture<Result<Deployment>> get(const std::string& deployment);
    [[nodiscard]] QFuture<Result<std::vector<Deployment>>> list();
    [[nodiscard]] QFuture<Status> remove(const std::string& deployment);

    /// POST only. A 400 that names reset_prompt_cache leads to one POST without it. Not idempotent:
    /// a lost reply is Unknown.
    [[nodiscard]] QFuture<Status> hotload(HotloadParameters parameters);
    [[nodiscard]] QFuture<Result<std::vector<Replica>>> hotloadStatus(
        const std::string& deployment, const std::string& baseModel);
    /// POST, then poll until every replica is ready with the identity; a replica failed on it and
    /// no other is still loading it (Backend); or the time is over (Unknown: it may still finish).
    [[nodiscard]] QFuture<Result<std::vector<Replica>>> hotloadAndWait(
        HotloadParameters parameters, std::chrono::milliseconds timeout, Progress progress = {});
    /// The polling half of hotloadAndWait.
    [[nodiscard]] QFuture<Result<std::vector<Replica>>> waitForHotload(
        const std::string& deployment, const std::string& baseModel, const std::string& identity,
        std::chrono::milliseconds timeout, Progress progress = {});

    /// `request.model` is filled with the deployment's name when it is empty.
    [[nodiscard]] QFuture<Result<Completion>> complete(
        const std::string& deployment, CompletionRequest request);

private:
    struct HotloadWatch;
    [[nodiscard]] QFuture<Status> postHotload(HotloadParameters parameters);
    [[nodiscard]] QFuture<Result<std::string>> fullName(const std::string& deployment);

    FireworksClient& m_client;
    bool m_sendsResetPromptCache = true; // false once the server has refused the field
};

} // namespace desk
