// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/gateway/trainer_job_manager.h"

#include "services/core/resource_name.h"
#include "services/errand.h"
#include "services/gateway/gateway_calls.h"

#include <QElapsedTimer>
#include <QRandomGenerator>

using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace desk {
namespace {

    using Endpoint = TrainerServiceEndpoint;

    std::string autoJobId()
    {
        const auto digits = QString::number(QRandomGenerator::system()->generate(), 16);
        return "training-api-service-" + digits.rightJustified(8, u'0').toStdString();
    }

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

} // namespace

/// One run of the readiness algorithm (gateway.md 2.5).
struct TrainerJobManager::Wait : std::enable_shared_from_this<TrainerJobManager::Wait>
{
    Wait(FireworksClient& clientOfJob, ReadinessPolicy waitPolicy, QObject* guard)
        : client(clientOfJob)
        , policy(waitPolicy)
        , errand(Errand<Endpoint>::start(guard))
    {
        sinceStart.start();
    }
    void look(const std::string& job)
    {
        errand->awaitValue(client.getJob(job),
            [self = shared_from_this(), job](const TrainerJob& seen) { self->judge(job, seen); });
    }
    void judge(const std::string& job, const TrainerJob& seen)
    {
        if (seen.state == JobState::Deleted || seen.state == JobState::Archived)
            return errand->finish(notReady(seen, "is archived", Error::Code::NotFound));
        if (seen.state == JobState::Failed)
            return errand->finish(notReady(seen, "failed", Error::Code::Backend));
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
                    return self->errand->finish(Endpoint { seen.name,
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
    std::shared_ptr<Errand<Endpoint>> errand;
    QElapsedTimer sinceStart;
    QElapsedTimer sincePlaced;
};

TrainerJobManager::TrainerJobManager(FireworksClient& client, QObject* parent)
    : QObject(parent)
    , m_client(client)
{
    if (isLoopback(client.http().url("/")))
        m_policy.poll = 100ms;
}

QFuture<Result<Endpoint>> TrainerJobManager::createAndWait(CreateJob request)
{
    if (request.jobId.empty())
        request.jobId = autoJobId();
    auto wait = std::make_shared<Wait>(m_client, m_policy, this);
    wait->errand->awaitValue(m_client.createJob(std::move(request)),
        [wait](const TrainerJob& job) { wait->look(job.name); });
    return wait->errand->future();
}

QFuture<Result<Endpoint>> TrainerJobManager::waitForExisting(const std::string& job)
{
    auto wait = std::make_shared<Wait>(m_client, m_policy, this);
    wait->look(job);
    return wait->errand->future();
}

QFuture<Result<Endpoint>> TrainerJobManager::resumeAndWait(const std::string& job)
{
    auto wait = std::make_shared<Wait>(m_client, m_policy, this);
    wait->errand->awaitValue(
        m_client.resumeJob(job), [wait](const TrainerJob& resumed) { wait->look(resumed.name); });
    return wait->errand->future();
}

} // namespace desk
