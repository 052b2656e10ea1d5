// SPDX-License-Identifier: GPL-3.0-or-later
// Deployments that change: masks, scale, readiness, warm-up, re-attachment.
#include "services/core/resource_name.h"
#include "services/errand.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/gateway_calls.h"

#include <QElapsedTimer>

using namespace std::chrono_literals;

namespace desk {
namespace {

    constexpr int kMaxScale = 64;

    bool isDeadState(const std::string& state)
    {
        return state == "FAILED" || state == "DELETED" || state == "DELETING";
    }

    Error badState(const Deployment& row)
    {
        return { Error::Code::Backend,
            "The deployment " + std::string(lastSegment(row.name)) + " is " + row.state,
            "It serves nothing", "Delete it and create another one", {} };
    }

    Error lateDeployment(
        const std::string& deployment, const std::string& what, std::int64_t seconds)
    {
        return { Error::Code::Unknown,
            "The deployment " + std::string(lastSegment(deployment)) + ' ' + what + " within "
                + std::to_string(seconds) + " s",
            "It may still come to it", "Look at it later", {} };
    }

    /// The SDK reads unset and …UNSPECIFIED as ASYNC.
    bool isSync(const Deployment& row)
    {
        return row.transitionType == "SYNC";
    }

} // namespace

QFuture<Result<Deployment>> DeploymentManager::patch(
    const std::string& deployment, DeploymentPatch patch)
{
    const auto mask = updateMaskOf(patch);
    if (mask.empty())
        return finishedFuture<Deployment>(Error { Error::Code::Usage,
            "The change of the deployment names no field", "Nothing was sent", {}, {} });
    auto request = makeRequest("PATCH", "change the deployment " + deployment, false);
    request.body = QByteArray::fromStdString(encodeDeploymentPatch(patch));
    request.url.setQuery(queryText({ { "updateMask", mask } }), QUrl::StrictMode);
    return m_client.call<Deployment>(
        deployment, "deployments", std::move(request), decodedBy(decodeDeployment));
}

QFuture<Result<Deployment>> DeploymentManager::scale(const std::string& deployment, int replicas)
{
    if (replicas < 0 || replicas > kMaxScale)
        return finishedFuture<Deployment>(Error { Error::Code::Usage,
            "A deployment has 0 to 64 replicas, not " + std::to_string(replicas),
            "Nothing was sent", "Choose another number", {} });
    DeploymentPatch change;
    change.minReplicaCount = replicas;
    change.maxReplicaCount = replicas;
    return patch(deployment, std::move(change));
}

QFuture<Result<bool>> DeploymentManager::probe(const std::string& deployment)
{
    CompletionRequest two;
    two.promptTokens = { 1, 2 };
    two.maxTokens = 4;
    two.temperature = 0;
    auto errand = Errand<bool>::start(this);
    auto future = errand->future();
    errand->awaitValue(fullName(deployment),
        [this, errand = errand.get(), two = std::move(two)](const std::string& name) mutable {
            two.model = name;
            auto request = makeRequest("POST", "probe " + name, false);
            request.url = m_client.http().url(std::string(kCompletionsPath));
            request.body = QByteArray::fromStdString(encodeCompletionRequest(two));
            request.totalTimeout = 30s;
            errand->await(
                m_client.http().send(std::move(request)), [errand](const Result<HttpReply>& reply) {
                    const bool isRefusedKey = !reply && reply.error().code == Error::Code::Auth;
                    errand->finish(
                        isRefusedKey ? Result<bool>(reply.error()) : Result<bool>(bool(reply)));
                });
        });
    return future;
}

QFuture<Result<bool>> DeploymentManager::warmUp(const std::string& deployment, int tries)
{
    struct WarmUp : std::enable_shared_from_this<WarmUp>
    {
        void look()
        {
            errand->await(manager->probe(deployment),
                [self = shared_from_this()](const Result<bool>& answered) {
                    if ((answered && *answered) || --self->left <= 0)
                        return self->errand->finish(answered && *answered);
                    self->errand->after(self->poll, [self] { self->look(); });
                });
        }
        DeploymentManager* manager = nullptr;
        std::shared_ptr<Errand<bool>> errand;
        std::string deployment;
        std::chrono::milliseconds poll {};
        int left = 0;
    };
    auto work = std::make_shared<WarmUp>();
    work->manager = this;
    work->errand = Errand<bool>::start(this);
    work->deployment = deployment;
    work->poll = m_policy.warmUpPoll;
    work->left = tries;
    work->look();
    return work->errand->future();
}

struct DeploymentManager::ReadyWatch : std::enable_shared_from_this<DeploymentManager::ReadyWatch>
{
    ReadyWatch(DeploymentManager& owner, std::string watched, std::chrono::milliseconds limit,
        std::function<void(const Deployment&)> toTell)
        : manager(owner)
        , errand(Errand<Deployment>::start(&owner))
        , deployment(std::move(watched))
        , timeout(limit)
        , progress(std::move(toTell))
    {
        clock.start();
    }
    void look()
    {
        errand->await(manager.get(deployment),
            [self = shared_from_this()](const Result<Deployment>& row) { self->judge(row); });
    }
    void judge(const Result<Deployment>& row)
    {
        if (!row) {
            const auto code = row.error().code;
            const bool isAway = code == Error::Code::Unreachable || code == Error::Code::Backend
                || code == Error::Code::Quota;
            return isAway ? again() : errand->finish(row.error());
        }
        if (progress)
            progress(*row);
        if (row->state == "READY")
            return errand->finish(*row);
        if (isDeadState(row->state))
            return errand->finish(badState(*row));
        if (row->state != "CREATING")
            return again();
        errand->await(manager.probe(deployment),
            [self = shared_from_this(), row = *row](const Result<bool>& answered) mutable {
                if (!answered || !*answered)
                    return self->again();
                row.state = "READY";
                self->errand->finish(std::move(row));
            });
    }
    void again()
    {
        if (clock.hasExpired(timeout.count()))
            return errand->finish(
                lateDeployment(deployment, "was not ready", timeout.count() / 1000));
        errand->after(manager.m_policy.readyPoll, [self = shared_from_this()] { self->look(); });
    }

    DeploymentManager& manager;
    std::shared_ptr<Errand<Deployment>> errand;
    std::string deployment;
    std::chrono::milliseconds timeout;
    std::function<void(const Deployment&)> progress;
    QElapsedTimer clock;
};

QFuture<Result<Deployment>> DeploymentManager::waitForReady(const std::string& deployment,
    std::chrono::milliseconds timeout, std::function<void(const Deployment&)> progress)
{
    auto watch = std::make_shared<ReadyWatch>(*this, deployment, timeout, std::move(progress));
    watch->look();
    return watch->errand->future();
}

struct DeploymentManager::Reattachment
    : std::enable_shared_from_this<DeploymentManager::Reattachment>
{
    explicit Reattachment(DeploymentManager& owner)
        : manager(owner)
        , errand(Errand<Deployment>::start(&owner))
    {
        clock.start();
    }
    [[nodiscard]] bool isAsAsked(const Deployment& row) const
    {
        return row.hotLoadTrainerJob == job
            && (transition == TransitionType::Unchanged
                || isSync(row) == (transition == TransitionType::Sync));
    }
    void begin()
    {
        errand->awaitValue(
            manager.get(deployment), [self = shared_from_this()](const Deployment& row) {
                if (isDeadState(row.state))
                    return self->errand->finish(badState(row));
                if (self->isAsAsked(row))
                    return self->errand->finish(row);
                if (row.state != "READY" && self->settledBy == SettledBy::Deployment)
                    return self->again([self] { self->begin(); });
                if (self->settledBy == SettledBy::Replicas)
                    return self->noteReplica(row);
                self->send(row);
            });
    }
    /// 1.2.3: a pod that is new is the sign that the deployment has restarted.
    void noteReplica(const Deployment& row)
    {
        errand->awaitValue(manager.hotloadStatus(deployment, row.baseModel),
            [self = shared_from_this(), row](const std::vector<Replica>& replicas) {
                self->podBefore = replicas.empty() ? std::string() : replicas.front().identity;
                self->send(row);
            });
    }
    void send(const Deployment& row)
    {
        DeploymentPatch change;
        if (row.hotLoadTrainerJob != job)
            change.hotLoadTrainerJob = job;
        if (transition != TransitionType::Unchanged
            && isSync(row) != (transition == TransitionType::Sync))
            change.hotLoadTransitionType = transition == TransitionType::Sync ? "SYNC" : "ASYNC";
        errand->awaitValue(manager.patch(deployment, std::move(change)),
            [self = shared_from_this()](const Deployment& patched) { self->settle(patched); });
    }
    void settle(const Deployment& seen)
    {
        if (settledBy == SettledBy::Replicas)
            return settleByReplicas(seen);
        if (seen.state == "READY" && isAsAsked(seen))
            return errand->finish(seen);
        if (isDeadState(seen.state))
            return errand->finish(badState(seen));
        again([self = shared_from_this()] {
            self->errand->awaitValue(self->manager.get(self->deployment),
                [self](const Deployment& row) { self->settle(row); });
        });
    }
    void settleByReplicas(const Deployment& row)
    {
        errand->awaitValue(manager.hotloadStatus(deployment, row.baseModel),
            [self = shared_from_this(), row](const std::vector<Replica>& replicas) {
                if (!replicas.empty() && !replicas.front().identity.empty()
                    && replicas.front().identity != self->podBefore)
                    return self->errand->finish(row);
                self->again([self, row] { self->settleByReplicas(row); });
            });
    }
    template <class Next>
    void again(Next next)
    {
        if (clock.hasExpired(timeout.count()))
            return errand->finish(
                lateDeployment(deployment, "has not settled", timeout.count() / 1000));
        errand->after(manager.m_policy.hotloadPoll, std::move(next));
    }

    DeploymentManager& manager;
    std::shared_ptr<Errand<Deployment>> errand;
    std::string deployment;
    std::string job;
    TransitionType transition = TransitionType::Unchanged;
    SettledBy settledBy = SettledBy::Deployment;
    std::chrono::milliseconds timeout {};
    std::string podBefore;
    QElapsedTimer clock;
};

QFuture<Result<Deployment>> DeploymentManager::reattach(const std::string& deployment,
    const std::string& job, TransitionType transition, SettledBy settledBy,
    std::chrono::milliseconds timeout)
{
    auto work = std::make_shared<Reattachment>(*this);
    work->deployment = deployment;
    work->job = job;
    work->transition = transition;
    work->settledBy = settledBy;
    work->timeout = timeout;
    work->begin();
    return work->errand->future();
}

} // namespace desk
