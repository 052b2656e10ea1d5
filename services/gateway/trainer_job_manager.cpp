// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/gateway/trainer_job_manager.h"

#include "services/core/resource_name.h"
#include "services/errand.h"
#include "services/gateway/gateway_calls.h"

#include <QElapsedTimer>

using namespace std::chrono_literals;

namespace desk {
namespace {

    Error notReady(const TrainerJob& job, const std::string& why, Error::Code code)
    {
        Error error;
        error.code = code;
        error.message = "The trainer job " + job.name + " " + why;
        if (!job.statusMessage.empty())
            error.message += ": " + job.statusMessage;
        error.unchanged = "The job itself was not changed";
        error.next = "Look at the job's state and its message";
        return error;
    }

    std::string stateWord(const TrainerJob& job)
    {
        return job.stateText.empty() ? std::string("an unknown state")
                                     : readableState(job.stateText);
    }

    /// Ended, or ending: never ready by itself.
    bool hasStopped(JobState state)
    {
        return state == JobState::Cancelling || state == JobState::Cancelled
            || state == JobState::Completed || state == JobState::EarlyStopped
            || state == JobState::Expired || state == JobState::Paused
            || state == JobState::Deleting || state == JobState::DeletingCleaningUp;
    }

    bool isResumable(JobState state)
    {
        return state == JobState::Failed || state == JobState::Cancelled
            || state == JobState::Paused || state == JobState::Completed;
    }

} // namespace

/// One run of the readiness algorithm (gateway.md 2.5).
struct TrainerJobManager::Wait : std::enable_shared_from_this<TrainerJobManager::Wait>
{
    Wait(FireworksClient& clientOfJob, ReadinessPolicy waitPolicy, Progress toTell, QObject* guard)
        : client(clientOfJob)
        , policy(waitPolicy)
        , progress(std::move(toTell))
        , errand(Errand<TrainerServiceEndpoint>::start(guard))
    {
        sinceStart.start();
    }
    void look(const std::string& job)
    {
        errand->await(
            client.getJob(job), [self = shared_from_this(), job](Result<TrainerJob> seen) {
                if (seen)
                    return self->judge(job, *seen);
                // The client has asked several times already; the job does not depend on us.
                const bool isAway = seen.error().code == Error::Code::Unreachable
                    || seen.error().code == Error::Code::Backend
                    || seen.error().code == Error::Code::Quota;
                if (!isAway || self->sinceStart.hasExpired(self->policy.readinessBudget.count()))
                    return self->errand->finish(seen.error());
                self->later(job);
            });
    }
    void tell(const TrainerJob& seen)
    {
        if (!progress)
            return;
        if (seen.state != lastState)
            progress(stateWord(seen));
        lastState = seen.state;
        if (seen.statusMessage.rfind("Warning:", 0) == 0 && seen.statusMessage != lastWarning)
            progress(seen.statusMessage);
        lastWarning = seen.statusMessage;
    }
    void judge(const std::string& job, const TrainerJob& seen)
    {
        tell(seen);
        if (seen.state == JobState::Deleted || seen.state == JobState::Archived)
            return errand->finish(notReady(seen, "is archived", Error::Code::NotFound));
        if (seen.state == JobState::Failed)
            return errand->finish(notReady(seen, "failed", Error::Code::Backend));
        if (hasStopped(seen.state)) {
            if (sinceStart.hasExpired(policy.settle.count()))
                return errand->finish(
                    notReady(seen, "stopped before it became ready; it is " + stateWord(seen),
                        Error::Code::Backend));
            return later(job);
        }
        if (seen.state == JobState::Pending) {
            if (sinceStart.hasExpired(policy.pendingBudget.count()))
                return errand->finish(
                    notReady(seen, "remained pending for capacity", Error::Code::Backend));
            return later(job);
        }
        if (!sincePlaced.isValid())
            sincePlaced.start();
        const auto name = parseJobName(seen.name);
        if (!name)
            return errand->finish(name.error());
        if (seen.state != JobState::Running && seen.state != JobState::Idle)
            return lateOr(job, seen);
        probe(job, seen, trainerUrl(client.http().connection().url, *name), true);
    }
    void probe(
        const std::string& job, const TrainerJob& seen, const std::string& baseUrl, bool isGateway)
    {
        HttpRequest request;
        request.url = QUrl(QString::fromStdString(baseUrl + "/api/v1/healthz"));
        request.totalTimeout = 5s;
        request.doing = "reach the trainer of " + seen.name;
        errand->await(client.http().send(std::move(request)),
            [self = shared_from_this(), job, seen, baseUrl, isGateway](
                const Result<HttpReply>& reply) {
                if (reply && reply->status == 200)
                    return self->errand->finish(TrainerServiceEndpoint { seen.name,
                        std::string(lastSegment(seen.name)), baseUrl, seen.maxContextLength });
                auto handle = seen.directRouteHandle;
                while (!handle.empty() && handle.back() == '/')
                    handle.pop_back();
                if (isGateway && !handle.empty())
                    return self->probe(job, seen, handle, false);
                self->lateOr(job, seen);
            });
    }
    void lateOr(const std::string& job, const TrainerJob& seen)
    {
        if (!sincePlaced.hasExpired(policy.readinessBudget.count()))
            return later(job);
        const auto seconds =
            std::chrono::duration_cast<std::chrono::seconds>(policy.readinessBudget).count();
        errand->finish(notReady(seen,
            "did not become ready within " + std::to_string(seconds) + " s after placement",
            Error::Code::Backend));
    }
    void later(const std::string& job)
    {
        errand->after(policy.poll, [self = shared_from_this(), job] { self->look(job); });
    }

    FireworksClient& client;
    ReadinessPolicy policy;
    Progress progress;
    std::shared_ptr<Errand<TrainerServiceEndpoint>> errand;
    JobState lastState = JobState::Unspecified;
    std::string lastWarning;
    QElapsedTimer sinceStart;
    QElapsedTimer sincePlaced;
};

/// reconnectAndWait: until the job runs or can be resumed.
struct TrainerJobManager::Reconnect : std::enable_shared_from_this<TrainerJobManager::Reconnect>
{
    Reconnect(TrainerJobManager& owner, std::string jobName, Progress toTell)
        : manager(owner)
        , job(std::move(jobName))
        , progress(std::move(toTell))
        , errand(Errand<TrainerServiceEndpoint>::start(&owner))
    {
        sinceStart.start();
    }
    void look()
    {
        errand->await(manager.m_client.getJob(job),
            [self = shared_from_this()](const Result<TrainerJob>& seen) { self->judge(seen); });
    }
    void judge(const Result<TrainerJob>& seen)
    {
        const bool isLate = sinceStart.hasExpired(manager.m_policy.resumableBudget.count());
        if (!seen) {
            const bool isFinal = seen.error().code == Error::Code::NotFound
                || seen.error().code == Error::Code::Auth;
            if (isFinal || isLate)
                return errand->finish(seen.error());
            return again();
        }
        const auto end = [self = shared_from_this()](Result<TrainerServiceEndpoint> endpoint) {
            self->errand->finish(std::move(endpoint));
        };
        if (seen->state == JobState::Running || seen->state == JobState::Idle)
            return errand->await(manager.waitForExisting(job, progress), end);
        if (isResumable(seen->state))
            return errand->await(manager.resumeAndWait(job, progress), end);
        if (seen->state == JobState::Deleted || seen->state == JobState::Archived)
            return errand->finish(notReady(*seen, "is archived", Error::Code::NotFound));
        if (isLate)
            return errand->finish(
                notReady(*seen, "is stuck in " + stateWord(*seen), Error::Code::Backend));
        again();
    }
    void again()
    {
        // Twice the interval of readiness, as the SDK waits here.
        errand->after(manager.m_policy.poll * 2, [self = shared_from_this()] { self->look(); });
    }

    TrainerJobManager& manager;
    std::string job;
    Progress progress;
    std::shared_ptr<Errand<TrainerServiceEndpoint>> errand;
    QElapsedTimer sinceStart;
};

TrainerJobManager::TrainerJobManager(FireworksClient& client, QObject* parent)
    : QObject(parent)
    , m_client(client)
{
    if (isLoopback(client.http().url("/")))
        m_policy.poll = 100ms;
}

TrainerJobManager::Endpoint TrainerJobManager::createAndWait(CreateJob request, Progress progress)
{
    if (request.jobId.empty())
        request.jobId = newJobId();
    auto wait = std::make_shared<Wait>(m_client, m_policy, std::move(progress), this);
    wait->errand->awaitValue(m_client.createJob(std::move(request)),
        [wait](const TrainerJob& job) { wait->look(job.name); });
    return wait->errand->future();
}

TrainerJobManager::Endpoint TrainerJobManager::waitForExisting(
    const std::string& job, Progress progress)
{
    auto wait = std::make_shared<Wait>(m_client, m_policy, std::move(progress), this);
    wait->look(job);
    return wait->errand->future();
}

TrainerJobManager::Endpoint TrainerJobManager::resumeAndWait(
    const std::string& job, Progress progress)
{
    auto wait = std::make_shared<Wait>(m_client, m_policy, std::move(progress), this);
    wait->errand->awaitValue(
        m_client.resumeJob(job), [wait](const TrainerJob& resumed) { wait->look(resumed.name); });
    return wait->errand->future();
}

TrainerJobManager::Endpoint TrainerJobManager::reconnectAndWait(
    const std::string& job, Progress progress)
{
    auto reconnect = std::make_shared<Reconnect>(*this, job, std::move(progress));
    reconnect->look();
    return reconnect->errand->future();
}

} // namespace desk
