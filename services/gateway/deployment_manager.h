// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/completions_codec.h"
#include "services/codecs/deployment_patch_codec.h"
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
    bool isSettled = false; ///< no replica is on its way to the snapshot any more
    /// "4 of 4 on step-12", "Mixed: 3 of 4 on step-12, replica 3 on step-11 (error)"
    std::string summary;
    std::string failure; ///< not empty: a replica failed on the expected snapshot
};
/// Ready, and serving the snapshot: as its weights, or among its LoRA adapters.
[[nodiscard]] bool servesSnapshot(const Replica& replica, const std::string& identity);
/// `expected` is the identity that was posted. A stage "error" with another or no target is stale
/// and no failure. Extra text of the replica is part of `failure`.
[[nodiscard]] HotloadProgress hotloadProgress(
    std::vector<Replica> replicas, const std::string& expected);

/// Intervals and budgets of deployments (gateway.md 1.10).
struct DeploymentPolicy
{
    std::chrono::milliseconds readyPoll { 15'000 }; ///< loopback: 100 ms
    std::chrono::milliseconds hotloadPoll { 5'000 }; ///< also of a re-attachment; loopback: 100 ms
    std::chrono::milliseconds warmUpPoll { 10'000 }; ///< loopback: 100 ms
    /// A fleet at rest of which a part failed is watched so long: the platform may load again.
    std::chrono::milliseconds mixedPatience { 15'000 }; ///< loopback: 300 ms
};

enum class TransitionType
{
    Unchanged,
    Async,
    Sync
};

/// How a re-attachment is seen to have settled: by the deployment (state READY, trainer and
/// transition type as asked; SDK 1.2.30), or by its replicas (one with a new identity; SDK 1.2.3).
enum class SettledBy
{
    Deployment,
    Replicas
};

/// Deployments, hot loads and completions of one account (gateway.md section 4).
/// THREAD and OWNERSHIP: as FireworksClient, which must outlive this object.
class DeploymentManager final : public QObject
{
    Q_OBJECT
public:
    using Progress = std::function<void(const HotloadProgress&)>;

    explicit DeploymentManager(FireworksClient& client, QObject* parent = nullptr);
    Q_DISABLE_COPY_MOVE(DeploymentManager)

    // Calls that change something are sent at most once: a lost reply is Unknown.
    /// 409: the existing deployment is returned. A reply that is lost or says 5xx is followed by
    /// one look for the id: there it is a success, else Unknown.
    [[nodiscard]] QFuture<Result<Deployment>> create(CreateDeployment request);
    [[nodiscard]] QFuture<Result<Deployment>> createOrGet(CreateDeployment request);
    [[nodiscard]] QFuture<Result<Deployment>> get(const std::string& deployment);
    [[nodiscard]] QFuture<Result<std::vector<Deployment>>> list();
    [[nodiscard]] QFuture<Status> remove(const std::string& deployment);
    /// PATCH with the mask of what the patch holds; an empty patch is Usage.
    [[nodiscard]] QFuture<Result<Deployment>> patch(
        const std::string& deployment, DeploymentPatch patch);
    /// Exactly `replicas` of them, 0 to 64: minimum and maximum in one masked PATCH.
    [[nodiscard]] QFuture<Result<Deployment>> scale(const std::string& deployment, int replicas);
    /// READY; or CREATING and the probe answers, because hot-load deployments may stay CREATING.
    /// FAILED, DELETED, DELETING: Backend; the time is over: Unknown.
    [[nodiscard]] QFuture<Result<Deployment>> waitForReady(const std::string& deployment,
        std::chrono::milliseconds timeout, std::function<void(const Deployment&)> progress = {});
    /// Lets the deployment load from another job (gateway.md 4.6, fireworks-sdk-1.2.30.md 14.3):
    /// waits until it is READY, sends one masked PATCH with what differs (none if nothing does),
    /// waits until it has settled. Afterwards it serves its base model.
    [[nodiscard]] QFuture<Result<Deployment>> reattach(const std::string& deployment,
        const std::string& job, TransitionType transition, SettledBy settledBy,
        std::chrono::milliseconds timeout);
    /// One completion of two tokens: true if it was answered, false for "not ready" (404, 425, …).
    [[nodiscard]] QFuture<Result<bool>> probe(const std::string& deployment);
    /// Probes until one is answered; false after `tries`. Never an error but Canceled.
    [[nodiscard]] QFuture<Result<bool>> warmUp(const std::string& deployment, int tries = 30);

    /// POST only. A 400 that names reset_prompt_cache leads to one POST without it, which
    /// sendsResetPromptCache() then tells. Not idempotent: a lost reply is Unknown.
    [[nodiscard]] QFuture<Status> hotload(HotloadParameters parameters);
    /// False once the server has refused the field: answers may then mix old and new weights.
    [[nodiscard]] bool sendsResetPromptCache() const { return m_sendsResetPromptCache; }
    [[nodiscard]] QFuture<Result<std::vector<Replica>>> hotloadStatus(
        const std::string& deployment, const std::string& baseModel);
    /// POST, then poll until every replica is ready with the identity; a replica failed on it and
    /// no other is still loading it, and that stays so for DeploymentPolicy::mixedPatience if
    /// others serve it (Backend); or the time is over (Unknown: it may still finish).
    [[nodiscard]] QFuture<Result<std::vector<Replica>>> hotloadAndWait(
        HotloadParameters parameters, std::chrono::milliseconds timeout, Progress progress = {});
    /// The polling half of hotloadAndWait.
    [[nodiscard]] QFuture<Result<std::vector<Replica>>> waitForHotload(
        const std::string& deployment, const std::string& baseModel, const std::string& identity,
        std::chrono::milliseconds timeout, Progress progress = {});

    /// `request.model` is filled with the deployment's name when it is empty.
    [[nodiscard]] QFuture<Result<Completion>> complete(
        const std::string& deployment, CompletionRequest request);
    void setPolicy(DeploymentPolicy policy) { m_policy = policy; }

private:
    struct HotloadWatch;
    struct ReadyWatch;
    struct Reattachment;
    [[nodiscard]] QFuture<Status> postHotload(HotloadParameters parameters);
    [[nodiscard]] QFuture<Result<std::string>> fullName(const std::string& deployment);

    FireworksClient& m_client;
    DeploymentPolicy m_policy;
    bool m_sendsResetPromptCache = true; // false once the server has refused the field
};

} // namespace desk
