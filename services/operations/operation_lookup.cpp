// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/operations/operation_lookup.h"

#include "services/codecs/cli_codec.h"
#include "services/codecs/control_codec.h"
#include "services/codecs/journal_codec.h"
#include "services/core/resource_name.h"
#include "services/errand.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/operations/preflight.h"
#include "services/runs/control_socket.h"

#include <algorithm>
#include <utility>

namespace desk {
namespace {

    constexpr std::chrono::milliseconds kLookAgain { 500 };
    constexpr std::chrono::seconds kLookFor { 10 };
    constexpr std::chrono::minutes kRemotePatience { 10 };
    constexpr std::chrono::minutes kFollowModel { 30 }; // gateway.md 3.6
    // Clocks of two machines may differ this much.
    constexpr std::chrono::minutes kClockSlack { 2 };

    OperationOutcome succeeded(std::string result)
    {
        return { OperationState::Succeeded, std::move(result), std::nullopt, {} };
    }

    OperationOutcome failedWith(std::string message, std::string next)
    {
        return { OperationState::Failed, {},
            Error { Error::Code::Backend, std::move(message), "Nothing was changed by it",
                std::move(next), {} },
            {} };
    }

    OperationOutcome stillUnknown(std::string message)
    {
        return { OperationState::Unknown, {},
            Error { Error::Code::Unknown, std::move(message),
                "It is not known whether it took effect; it is not sent again",
                "Reconcile again later", {} },
            {} };
    }

    std::string textIn(const Operation& operation, const char* key)
    {
        const auto it = operation.parameters.find(key);
        return it == operation.parameters.end() ? std::string {} : it->second;
    }

    std::string outputModelOf(const Operation& operation)
    {
        const auto name = parseCheckpointName(operation.subject);
        return name ? modelName(name->account, textIn(operation, "model_id")) : std::string {};
    }

    Time sentAt(const Operation& operation)
    {
        for (const auto& stage : operation.stages) {
            if (stage.stage == "sent")
                return stage.at;
        }
        return operation.created;
    }

} // namespace

std::optional<OperationOutcome> promoteEffect(
    const Operation& operation, const std::vector<Model>& models)
{
    const auto wanted = outputModelOf(operation);
    const auto it = std::find_if(
        models.begin(), models.end(), [&](const Model& model) { return model.name == wanted; });
    if (it == models.end())
        return std::nullopt;
    if (!it->promotedFrom.empty() && it->promotedFrom != operation.subject)
        return failedWith("The model " + textIn(operation, "model_id")
                + " exists, but was promoted from " + shortName(it->promotedFrom),
            "Promote again with another id");
    if (!it->state.empty() && it->state != "READY")
        return stillUnknown("The model exists and is " + it->state);
    return succeeded(encodeCliModel(*it));
}

std::optional<OperationOutcome> hotloadEffect(
    const Operation& operation, const std::vector<Replica>& replicas)
{
    const auto identity = identityOf(operation);
    const auto progress = hotloadProgress(replicas, identity);
    OperationOutcome outcome;
    if (progress.isDone) {
        outcome = succeeded(encodeHotloadOutcome(identity, replicas, std::nullopt));
    } else if (!progress.failure.empty()) {
        outcome = failedWith(progress.failure, "Look at the replicas, then load again");
        outcome.error->unchanged =
            "The other replicas may serve the new snapshot: " + readySummary(replicas, identity);
    } else {
        const bool isUnderWay =
            std::any_of(replicas.begin(), replicas.end(), [&](const Replica& replica) {
                return replica.targetSnapshot == identity || replica.currentSnapshot == identity
                    || servesSnapshot(replica, identity);
            });
        if (!isUnderWay)
            return std::nullopt;
        outcome = stillUnknown("The load goes on: " + readySummary(replicas, identity));
    }
    outcome.replicas = replicas;
    return outcome;
}

std::optional<OperationOutcome> saveEffect(
    const Operation& operation, const std::vector<Checkpoint>& rows)
{
    const auto name = textIn(operation, "name");
    for (const auto& row : rows) {
        const auto id = shortName(row.name);
        // The name was free before; only a row that is younger than the request is its effect.
        const bool isOlder = row.created && *row.created + kClockSlack < operation.created;
        if ((id != name && withoutSession(id) != name) || isOlder)
            continue;
        ControlSaved saved;
        saved.path = row.path;
        saved.name = row.name;
        saved.kind = textIn(operation, "kind");
        saved.parent = row.parent;
        saved.bytes = row.sizeBytes;
        saved.changedFraction = row.changedFraction;
        if (isSampler(row.type))
            saved.snapshotName = id;
        if (row.baseBytes && row.sizeBytes && *row.sizeBytes > 0)
            saved.ratio = static_cast<double>(*row.baseBytes) / static_cast<double>(*row.sizeBytes);
        return succeeded(encodeControlSaved(saved));
    }
    return std::nullopt;
}

std::optional<OperationOutcome> extendEffect(
    const Operation& operation, const std::vector<Checkpoint>& rows)
{
    const auto* row = findCheckpoint(rows, operation.target);
    if (row == nullptr)
        return failedWith("The checkpoint is gone", "Save it again from the run");
    const auto ttl = textIn(operation, "ttl_seconds");
    const auto seconds = wholeNumberOf(ttl);
    CliCheckpoint shown;
    shown.checkpoint = *row;
    shown.whyNot = whyNotPromotable(*row);
    if (ttl == "never")
        return row->expires ? std::nullopt : std::optional(succeeded(encodeCliCheckpoint(shown)));
    if (!row->expires || !seconds)
        return std::nullopt;
    // The server counts from when the request reached it.
    const auto wanted = operation.created + std::chrono::seconds(*seconds);
    const bool isIt =
        *row->expires + kClockSlack >= wanted && *row->expires <= wanted + kClockSlack;
    return isIt ? std::optional(succeeded(encodeCliCheckpoint(shown))) : std::nullopt;
}

namespace {

    /// One reconciliation: looks until something is known or the time is over.
    class EffectLookup final : public std::enable_shared_from_this<EffectLookup>
    {
    public:
        using Job = Errand<OperationOutcome>;

        EffectLookup(Operation operation, ConnectionServices services, QString controlSocket,
            ControlSocket& control, const Clock& clock,
            std::function<void(const std::string&)> progress)
            : m_operation(std::move(operation))
            , m_services(std::move(services))
            , m_controlSocket(std::move(controlSocket))
            , m_control(control)
            , m_clock(clock)
            , m_progress(std::move(progress))
        {
        }

        void run(const std::shared_ptr<Job>& errand)
        {
            m_errand = errand.get();
            m_began = m_clock.now();
            look();
        }

    private:
        void look()
        {
            switch (m_operation.kind) {
            case OperationKind::Save:
                return read<std::vector<Checkpoint>>(
                    m_services.client->listCheckpoints(m_operation.target),
                    [this](const std::vector<Checkpoint>& rows) {
                        if (auto found = saveEffect(m_operation, rows))
                            finish(*std::move(found));
                        else
                            askRun();
                    });
            case OperationKind::Promote:
                return read<std::vector<Model>>(
                    m_services.client->listModels(), [this](const std::vector<Model>& models) {
                        if (!followModel(models))
                            conclude(promoteEffect(m_operation, models),
                                "The server has no model " + textIn(m_operation, "model_id"));
                    });
            case OperationKind::Hotload:
            case OperationKind::Previous:
                return read<std::vector<Replica>>(
                    m_services.deployments->hotloadStatus(m_operation.target, baseModel()),
                    [this](const std::vector<Replica>& replicas) {
                        conclude(hotloadEffect(m_operation, replicas),
                            "No replica serves or loads " + identityOf(m_operation));
                    });
            case OperationKind::Create:
                if (textIn(m_operation, "resource") == "job")
                    return lookForJob();
                return lookForDeployment();
            case OperationKind::Delete:
                return lookForRemains();
            case OperationKind::Cancel:
            case OperationKind::Resume:
                return lookAtJob();
            case OperationKind::Scale:
                return lookAtReplicas();
            case OperationKind::Extend:
                return lookAtCheckpoint();
            }
        }

        /// True if the model is there and on its way, and will be looked at again.
        bool followModel(const std::vector<Model>& models)
        {
            const auto wanted = outputModelOf(m_operation);
            const auto it = std::find_if(models.begin(), models.end(),
                [&](const Model& model) { return model.name == wanted; });
            const bool isComing = it != models.end() && !it->state.empty() && it->state != "READY"
                && (it->promotedFrom.empty() || it->promotedFrom == m_operation.subject);
            if (!isComing || m_clock.now() - m_began > kFollowModel)
                return false;
            if (m_progress && std::exchange(m_told, it->state) != it->state)
                m_progress(it->state);
            m_errand->after(kLookAgain, [self = shared_from_this()] { self->look(); });
            return true;
        }

        void lookForJob()
        {
            m_errand->await(m_services.client->getJob(m_operation.target),
                [self = shared_from_this()](const Result<TrainerJob>& job) {
                    if (!job && job.error().code == Error::Code::NotFound)
                        return self->conclude(std::nullopt,
                            "The server has no job " + shortName(self->m_operation.target));
                    if (!job)
                        return self->m_errand->finish(job.error());
                    if (isGone(*job))
                        return self->finish(failedWith("The job is deleted", "Create another one"));
                    CliJob row;
                    row.job = *job;
                    self->finish(succeeded(encodeCliJob(row)));
                });
        }

        void lookAtReplicas()
        {
            m_errand->await(m_services.deployments->get(m_operation.target),
                [self = shared_from_this()](const Result<Deployment>& row) {
                    if (!row)
                        return self->m_errand->finish(row.error());
                    const auto wanted = wholeNumberOf(textIn(self->m_operation, "replicas"));
                    const auto count = row->replicaCount.value_or(-1);
                    if (wanted && count == *wanted)
                        return self->finish(succeeded(encodeCliDeployment(*row)));
                    self->conclude(
                        std::nullopt, "The deployment has " + std::to_string(count) + " replicas");
                });
        }

        void lookAtCheckpoint()
        {
            const auto name = parseCheckpointName(m_operation.target);
            if (!name)
                return finish(failedWith(name.error().message, {}));
            read<std::vector<Checkpoint>>(
                m_services.client->listCheckpoints(name->jobName().toString()),
                [this](const std::vector<Checkpoint>& rows) {
                    conclude(extendEffect(m_operation, rows),
                        "The checkpoint's expiry is not the one asked for");
                });
        }

        void lookForCheckpoint()
        {
            const auto name = parseCheckpointName(m_operation.target);
            if (!name)
                return finish(failedWith(name.error().message, {}));
            read<std::vector<Checkpoint>>(
                m_services.client->listCheckpoints(name->jobName().toString()),
                [this](const std::vector<Checkpoint>& rows) {
                    if (findCheckpoint(rows, m_operation.target) == nullptr)
                        return finish(succeeded({}));
                    conclude(std::nullopt, shortName(m_operation.target) + " is still there");
                });
        }

        template <class T, class Take>
        void read(QFuture<Result<T>> future, Take take)
        {
            m_errand->await(std::move(future),
                [self = shared_from_this(), take = std::move(take)](const Result<T>& result) {
                    if (result)
                        take(*result);
                    else if (result.error().code == Error::Code::NotFound)
                        take(T {});
                    else
                        self->m_errand->finish(result.error());
                });
        }

        /// A save that is not there may be under way in the run.
        void askRun()
        {
            const auto missing = "The server has no checkpoint " + textIn(m_operation, "name");
            if (m_controlSocket.isEmpty())
                return conclude(std::nullopt, missing);
            m_errand->await(m_control.status(m_controlSocket),
                [self = shared_from_this(), missing](const Result<ControlStatus>& status) {
                    const auto name = textIn(self->m_operation, "name");
                    if (status && status->busyWith == name)
                        self->conclude(stillUnknown("The run is saving " + name), missing);
                    else
                        self->conclude(std::nullopt, missing);
                });
        }

        void lookForDeployment()
        {
            m_errand->await(m_services.deployments->get(m_operation.target),
                [self = shared_from_this()](const Result<Deployment>& row) {
                    const auto missing =
                        "The server has no deployment " + shortName(self->m_operation.target);
                    if (!row && row.error().code == Error::Code::NotFound)
                        return self->conclude(std::nullopt, missing);
                    if (!row)
                        return self->m_errand->finish(row.error());
                    if (row->state == "FAILED" || row->state == "DELETED"
                        || row->state == "DELETING")
                        return self->finish(
                            failedWith("The deployment is " + row->state, "Create another one"));
                    if (row->state != "READY" && row->state != "UPDATING")
                        return self->conclude(
                            stillUnknown("The deployment exists and is " + row->state), missing);
                    self->finish(succeeded(encodeCliDeployment(*row)));
                });
        }

        template <class T>
        void lookFor(QFuture<Result<T>> future)
        {
            m_errand->await(std::move(future), [self = shared_from_this()](const Result<T>& row) {
                if (!row && row.error().code == Error::Code::NotFound)
                    return self->finish(succeeded({}));
                if (!row)
                    return self->m_errand->finish(row.error());
                if (isGone(*row))
                    return self->finish(succeeded({}));
                self->conclude(
                    std::nullopt, shortName(self->m_operation.target) + " is still there");
            });
        }
        static bool isGone(const TrainerJob& job)
        {
            return job.state == JobState::Deleted || job.state == JobState::Deleting
                || job.state == JobState::DeletingCleaningUp || job.state == JobState::Archived;
        }
        static bool isGone(const Deployment& row)
        {
            return row.state == "DELETED" || row.state == "DELETING";
        }
        static bool isGone(const Model& row) { return row.state == "DELETED"; }

        void lookForRemains()
        {
            const auto resource = textIn(m_operation, "resource");
            if (resource == "job")
                lookFor(m_services.client->getJob(m_operation.target));
            else if (resource == "deployment")
                lookFor(m_services.deployments->get(m_operation.target));
            else if (resource == "checkpoint")
                lookForCheckpoint();
            else
                lookFor(m_services.client->getModel(m_operation.target));
        }

        void lookAtJob()
        {
            m_errand->await(m_services.client->getJob(m_operation.target),
                [self = shared_from_this()](const Result<TrainerJob>& job) {
                    if (!job)
                        return self->m_errand->finish(job.error());
                    const bool isResume = self->m_operation.kind == OperationKind::Resume;
                    const bool isCanceled =
                        job->state == JobState::Cancelled || job->state == JobState::Cancelling;
                    if (isResume ? !isOver(job->state) && job->state != JobState::Paused
                                 : isCanceled)
                        return self->finish(succeeded({}));
                    self->conclude(std::nullopt, "The job is " + readableState(job->stateText));
                });
        }

        /// Something was found, or it was not: look again, say Unknown, or say that it did not
        /// happen.
        void conclude(std::optional<OperationOutcome> found, const std::string& missing)
        {
            if (found && found->state != OperationState::Unknown)
                return finish(*std::move(found));
            const auto age = m_clock.now() - sentAt(m_operation);
            const auto looked = m_clock.now() - m_began;
            const bool mayStillCome = found || age < kLookFor;
            if (mayStillCome && looked < kLookFor) {
                m_errand->after(kLookAgain, [self = shared_from_this()] { self->look(); });
                return;
            }
            if (found)
                return finish(*std::move(found));
            if (!m_services.connection.isLocal && age < kRemotePatience)
                return finish(stillUnknown(missing + " so far"));
            finish(
                failedWith(missing + "; the request had no effect", "Review it again and commit"));
        }

        void finish(OperationOutcome outcome) { m_errand->finish(std::move(outcome)); }

        std::string baseModel() const
        {
            const auto& headers = m_operation.request.headers;
            const auto it = headers.find(std::string(kHotloadModelHeader));
            return it == headers.end() ? std::string {} : it->second;
        }

        const Operation m_operation;
        const ConnectionServices m_services;
        const QString m_controlSocket;
        ControlSocket& m_control;
        const Clock& m_clock;
        const std::function<void(const std::string&)> m_progress;
        std::string m_told;
        Job* m_errand = nullptr; // held by the step that is under way
        Time m_began {};
    };

} // namespace

QFuture<Result<OperationOutcome>> lookUpEffect(const Operation& operation,
    ConnectionServices services, QString controlSocket, ControlSocket& control, const Clock& clock,
    std::function<void(const std::string& detail)> progress, QObject* guard)
{
    auto errand = Errand<OperationOutcome>::start(guard);
    auto future = errand->future();
    auto lookup = std::make_shared<EffectLookup>(operation, std::move(services),
        std::move(controlSocket), control, clock, std::move(progress));
    lookup->run(errand);
    return future;
}

} // namespace desk
