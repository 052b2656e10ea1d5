// SPDX-License-Identifier: GPL-3.0-or-later
// Jobs, deployments, models and checkpoints that come, go or change.
#include "services/codecs/cli_codec.h"
#include "services/core/resource_name.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/gateway/trainer_job_manager.h"
#include "services/on_finished.h"
#include "services/operations/operation_runner.h"
#include "services/operations/preflight.h"

#include <QPointer>
#include <QTimer>

namespace desk {
namespace {

    constexpr auto kDeploymentPoll = std::chrono::milliseconds(500);
    constexpr auto kDeploymentBudget = std::chrono::minutes(90); // 5,400 s, as the SDK waits

    bool isServing(const Deployment& deployment, int wanted)
    {
        const auto ready = deployment.readyReplicaCount.value_or(0);
        return (deployment.state == "READY" || deployment.state == "UPDATING") && ready >= wanted;
    }

    bool hasFailed(const Deployment& deployment)
    {
        return deployment.state == "FAILED" || deployment.state == "DELETED"
            || deployment.state == "DELETING";
    }

    std::string jobResult(const TrainerJob& job, const std::string& endpoint)
    {
        CliJob row;
        row.job = job;
        row.endpoint = endpoint;
        return encodeCliJob(row);
    }

} // namespace

void OperationRunner::create()
{
    CreateDeployment request;
    request.deploymentId = std::string(lastSegment(m_operation.target));
    request.displayName = request.deploymentId;
    request.baseModel = text("base_model");
    const auto replicas = wholeNumberOf(text("replicas")).value_or(1);
    request.minReplicaCount = replicas;
    request.maxReplicaCount = replicas;
    request.hotLoadTrainerJob = text("job");
    onFinished(
        m_services.deployments->create(request), this, [this](const Result<Deployment>& created) {
            if (!created)
                return fail(created.error());
            accepted(created->state);
            if (!wantsWait())
                return succeed(encodeCliDeployment(*created));
            listen();
            waitForDeployment({});
        });
}

void OperationRunner::waitForDeployment(const std::string& lastSummary)
{
    onFinished(m_services.deployments->get(m_operation.target), this,
        [this, lastSummary](const Result<Deployment>& now) {
            if (!now && now.error().code != Error::Code::Unreachable
                && now.error().code != Error::Code::Backend)
                return fail(now.error());
            if (now)
                heard();
            const int wanted = wholeNumberOf(text("replicas")).value_or(1);
            const bool isDown = m_operation.kind == OperationKind::Scale && now
                && now->readyReplicaCount.value_or(0) > wanted;
            if (now && isServing(*now, wanted) && !isDown)
                return succeed(encodeCliDeployment(*now));
            if (now && hasFailed(*now))
                return fail({ Error::Code::Backend, "The deployment became " + now->state,
                    "It serves nothing", "Delete it and look at the server's log", {} });
            if (SystemClock().now() - m_sentAt > kDeploymentBudget)
                return fail({ Error::Code::Unknown, "The deployment was not ready in 90 minutes",
                    "It exists and may still become ready", "Reconcile later", {} });
            auto summary = lastSummary;
            if (now)
                summary = now->state + ", " + std::to_string(now->readyReplicaCount.value_or(0))
                    + " ready";
            if (summary != lastSummary)
                m_reports.stage("running", summary);
            QTimer::singleShot(
                kDeploymentPoll, this, [this, summary] { waitForDeployment(summary); });
        });
}

void OperationRunner::createJob()
{
    CreateJob request;
    request.jobId = std::string(lastSegment(m_operation.target));
    request.displayName = text("name");
    request.baseModel = text("base_model");
    request.loraRank = wholeNumberOf(text("lora_rank")).value_or(0);
    onFinished(m_services.client->createJob(request), this,
        [this](const Result<TrainerJob>& job) { followJob(job); });
}

void OperationRunner::resume()
{
    onFinished(m_services.client->resumeJob(m_operation.target), this,
        [this](const Result<TrainerJob>& job) { followJob(job); });
}

/// Until the trainer answers, if that is wanted.
void OperationRunner::followJob(const Result<TrainerJob>& job)
{
    if (!job)
        return fail(job.error());
    accepted(readableState(job->stateText));
    if (!wantsWait())
        return succeed(jobResult(*job, {}));
    const auto progress = [self = QPointer<OperationRunner>(this)](const std::string& message) {
        if (self)
            self->m_reports.stage("running", message);
    };
    onFinished(m_services.jobs->waitForExisting(job->name, progress), this,
        [this, job = *job](const Result<TrainerServiceEndpoint>& endpoint) {
            if (!endpoint)
                return fail(endpoint.error());
            onFinished(m_services.client->getJob(job.name), this,
                [this, job, url = endpoint->baseUrl](
                    const Result<TrainerJob>& now) { succeed(jobResult(now ? *now : job, url)); });
        });
}

void OperationRunner::scale()
{
    const auto replicas = wholeNumberOf(text("replicas"));
    if (!replicas)
        return fail(
            { Error::Code::Usage, "There is no number of replicas", "Nothing was sent", {}, {} });
    onFinished(m_services.deployments->scale(m_operation.target, *replicas), this,
        [this](const Result<Deployment>& row) {
            if (!row)
                return fail(row.error());
            accepted(row->state);
            if (!wantsWait())
                return succeed(encodeCliDeployment(*row));
            listen();
            waitForDeployment({});
        });
}

void OperationRunner::extend()
{
    const auto ttl = text("ttl_seconds");
    const auto wanted = ttl == "never" ? std::optional<std::int64_t>()
                                       : std::optional<std::int64_t>(seconds("ttl_seconds", 0));
    withCheckpoint([this, wanted](const Checkpoint& row) {
        onFinished(
            m_services.client->extendCheckpoint(row, wanted), this, [this](const Status& extended) {
                if (!extended)
                    return fail(extended.error());
                // The row as it is now; a list that cannot be read takes nothing back.
                withCheckpoint(
                    [this](const Checkpoint& now) {
                        CliCheckpoint shown;
                        shown.checkpoint = now;
                        shown.whyNot = whyNotPromotable(now);
                        succeed(encodeCliCheckpoint(shown));
                    },
                    [this](const Error&) { succeed({}); });
            });
    });
}

/// `then` gets the row of the target; without `otherwise` a missing one is the end.
void OperationRunner::withCheckpoint(
    std::function<void(const Checkpoint&)> then, std::function<void(const Error&)> otherwise)
{
    const auto name = parseCheckpointName(m_operation.target);
    if (!name)
        return fail(name.error());
    onFinished(m_services.client->listCheckpoints(name->jobName().toString()), this,
        [this, then = std::move(then), otherwise = std::move(otherwise)](
            const Result<std::vector<Checkpoint>>& rows) {
            const auto* row = rows ? findCheckpoint(*rows, m_operation.target) : nullptr;
            if (row != nullptr)
                return then(*row);
            Error missing { Error::Code::NotFound, "The job has no such checkpoint",
                "Nothing was changed", "Refresh the list", {} };
            if (!rows)
                missing = rows.error();
            // Reading comes before sending, so that nothing can have happened.
            if (!otherwise && missing.code == Error::Code::Backend)
                missing.code = Error::Code::Unreachable;
            otherwise ? otherwise(missing) : fail(missing);
        });
}

void OperationRunner::remove()
{
    const auto resource = text("resource");
    const auto handle = [this](const Status& removed) {
        if (removed)
            succeed({});
        else
            fail(removed.error());
    };
    if (resource == "job")
        onFinished(m_services.client->deleteJob(m_operation.target), this, handle);
    else if (resource == "deployment")
        onFinished(m_services.deployments->remove(m_operation.target), this, handle);
    else if (resource == "checkpoint")
        withCheckpoint([this, handle](const Checkpoint& row) {
            onFinished(m_services.client->deleteCheckpoint(row), this, handle);
        });
    else
        onFinished(m_services.client->deleteModel(m_operation.target), this, handle);
}

void OperationRunner::cancelJob()
{
    onFinished(
        m_services.client->cancelJob(m_operation.target), this, [this](const Status& canceled) {
            if (canceled)
                succeed({});
            else
                fail(canceled.error());
        });
}

} // namespace desk
