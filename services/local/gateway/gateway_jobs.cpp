// SPDX-License-Identifier: GPL-3.0-or-later
// Trainer jobs and their checkpoints.
#include "services/codecs/gateway_codec.h"
#include "services/core/resource_name.h"
#include "services/local/gateway/gateway_service.h"
#include "services/local/gateway/idle_jobs.h"
#include "services/local/server/auth.h"

#include <algorithm>
#include <array>

namespace desk::local {

namespace {

    constexpr int kMaxRank = 128;
    constexpr std::size_t kMaxDisplayName = 63;

    Error badJob(std::string message, std::string next = {})
    {
        return Error { Error::Code::Usage, std::move(message), "nothing was created",
            std::move(next), {} };
    }

    Error jobInTheWay(std::string message, std::string next = {})
    {
        return Error { Error::Code::Refused, std::move(message), "nothing was changed",
            std::move(next), {} };
    }

    /// A DNS label: ids stand in host names and references of the service.
    bool isLabel(std::string_view id)
    {
        const auto isPlain = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        };
        return !id.empty() && id.size() <= 63 && isPlain(id.front()) && isPlain(id.back())
            && std::all_of(id.begin(), id.end(), [&](char c) { return isPlain(c) || c == '-'; });
    }

    Status checkWanted(const CreateJob& wanted, const std::string& id)
    {
        if (!isLabel(id))
            return badJob("'" + id.substr(0, 100) + "' cannot be the id of a trainer job",
                "use 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends");
        if (wanted.displayName.size() > kMaxDisplayName)
            return badJob("the display name is longer than 63 characters");
        if (wanted.loraRank < 0 || wanted.loraRank > kMaxRank)
            return badJob("a loraRank of " + std::to_string(wanted.loraRank)
                    + " is out of range: 0 is full parameters, adapters have ranks 1 to 128",
                "send 0 to 128");
        if (wanted.maxContextLength && *wanted.maxContextLength <= 0)
            return badJob("maxContextLength must be positive", "leave it out, or send a length");
        if (!wanted.inactivityTimeout.empty() && !durationFrom(wanted.inactivityTimeout))
            return badJob("inactivityTimeout '" + wanted.inactivityTimeout.substr(0, 100)
                    + "' is no duration",
                "write it like 1800s");
        if (wanted.projectionHeadDim && *wanted.projectionHeadDim < 0)
            return badJob("projectionHeadDim must not be negative");
        return done();
    }

    bool isOver(JobState state)
    {
        constexpr std::array kOver { JobState::Completed, JobState::Failed, JobState::EarlyStopped,
            JobState::Expired, JobState::Deleted, JobState::Archived };
        return std::find(kOver.begin(), kOver.end(), state) != kOver.end();
    }

} // namespace

void GatewayService::addJobRoutes(Router& router)
{
    using G = GatewayService;
    const std::string jobs = "/v1/accounts/{a}/rlorTrainerJobs";
    const std::string job = jobs + "/{job}";
    const std::string checkpoint = job + "/checkpoints/{c}";
    addSlow(router, "POST", jobs.c_str(), &G::createJob);
    add(router, "GET", jobs.c_str(), &G::listJobs);
    add(router, "GET", job.c_str(), &G::getJob);
    add(router, "DELETE", job.c_str(), &G::deleteJob);
    add(router, "POST", (job + ":resume").c_str(), &G::resumeJob);
    add(router, "POST", (job + ":cancel").c_str(), &G::cancelJob);
    add(router, "GET", (job + "/checkpoints").c_str(), &G::listCheckpoints);
    add(router, "GET", checkpoint.c_str(), &G::getCheckpoint);
    add(router, "DELETE", checkpoint.c_str(), &G::deleteCheckpoint);
    add(router, "POST", (checkpoint + ":sync").c_str(), &G::syncCheckpoint);
}

Status GatewayService::checkJobLinks(const JobRow& row) const
{
    if (row.job.hotLoadDeploymentId.empty())
        return done();
    const auto deployment = m_serving.deployment(row.job.hotLoadDeploymentId);
    if (!deployment || deployment->hotLoadTrainerJob.empty()
        || deployment->hotLoadTrainerJob == row.job.name)
        return done();
    return jobInTheWay("hotload flow mismatch: trainer wants deployment-first "
                       "(hot_load_deployment_id="
            + row.job.hotLoadDeploymentId + ") but deployment " + row.job.hotLoadDeploymentId
            + " is trainer-first (hot_load_trainer_job=" + deployment->hotLoadTrainerJob + ")",
        "leave hotLoadDeploymentId out and re-attach the deployment");
}

GatewayService::Answer GatewayService::createJob(const HttpRequest& request)
{
    auto wanted = decodeCreateJob(request.body, request.query);
    if (!wanted)
        return wanted.error();
    JobRow row;
    row.id = wanted->jobId.empty() ? "training-api-service-" + randomHex(8) : wanted->jobId;
    if (auto status = checkWanted(*wanted, row.id); !status)
        return status.error();
    if (const auto present = m_store.job(row.id))
        return Error { Error::Code::Conflict,
            present->deleted
                ? "the trainer job " + row.id + " is archived: its id is taken for good"
                : "the trainer job " + row.id + " exists",
            "nothing was created", "use it, or choose another id", {} };
    auto model = usableModel(wanted->baseModel);
    if (!model)
        return model.error();
    auto& job = row.job;
    job.name = JobName { m_store.account(), row.id }.toString();
    job.displayName = wanted->displayName;
    job.baseModel = wanted->baseModel;
    job.loraRank = wanted->loraRank;
    job.state = JobState::Running; // the trainer is this process: nothing has to be provisioned
    job.learningRate = wanted->learningRate;
    job.maxContextLength =
        wanted->maxContextLength ? wanted->maxContextLength : model->model.contextLength;
    job.created = m_store.now();
    job.createdBy = "local";
    job.hotLoadDeploymentId = std::string(lastSegment(wanted->hotLoadDeploymentId));
    job.inactivityTimeout = wanted->inactivityTimeout;
    job.json = jobDetails(*wanted);
    if (auto status = checkJobLinks(row); !status)
        return status.error();
    if (auto status = m_store.addJob(row); !status)
        return status.error();
    auto stored = m_store.job(row.id);
    if (!stored)
        return stored.error();
    return encodeJob(stored->job);
}

GatewayService::Answer GatewayService::listJobs(const HttpRequest& request)
{
    auto query = decodeListQuery(request.query);
    if (!query)
        return query.error();
    auto rows = m_store.jobs(query->showDeleted);
    if (!rows)
        return rows.error();
    std::vector<TrainerJob> jobs;
    for (auto& row : *rows)
        jobs.push_back(std::move(row.job));
    return encodeJobList(jobs, *query);
}

GatewayService::Answer GatewayService::getJob(const HttpRequest& request)
{
    auto row = m_store.job(request.parameter("job"));
    if (!row)
        return row.error();
    return encodeJob(row->job);
}

GatewayService::Answer GatewayService::deleteJob(const HttpRequest& request)
{
    const auto id = request.parameter("job");
    if (auto row = m_store.job(id); !row)
        return row.error();
    if (auto status = m_store.buryJob(id); !status)
        return status.error();
    m_trainer.dropModelsOf(id, "the trainer job " + id + " was deleted");
    return std::string("{}");
}

GatewayService::Answer GatewayService::resumeJob(const HttpRequest& request)
{
    const auto id = request.parameter("job");
    auto row = m_store.job(id);
    if (!row)
        return row.error();
    if (row->deleted)
        return jobInTheWay("cannot resume job in state: JOB_STATE_DELETED",
            "create a new job and load a state of this one");
    // Synchronously: a poll that still saw FAILED would give up (gateway.md section 2.6).
    if (row->job.state != JobState::Running)
        if (auto status = m_store.setJobState(id, JobState::Running, {}); !status)
            return status.error();
    m_idle.noteUse(id);
    return getJob(request);
}

GatewayService::Answer GatewayService::cancelJob(const HttpRequest& request)
{
    const auto id = request.parameter("job");
    auto row = m_store.job(id);
    if (!row)
        return row.error();
    if (row->deleted)
        return jobInTheWay("cannot cancel job in state: JOB_STATE_DELETED");
    if (isOver(row->job.state))
        return jobInTheWay("cannot cancel job in state: " + row->job.stateText);
    if (row->job.state == JobState::Cancelled)
        return std::string("{}");
    auto status = m_store.setJobState(id, JobState::Cancelled, "cancelled by a request");
    if (!status)
        return status.error();
    m_trainer.dropModelsOf(id, "the trainer job " + id + " was cancelled");
    return std::string("{}");
}

GatewayService::Answer GatewayService::listCheckpoints(const HttpRequest& request)
{
    const auto id = request.parameter("job");
    if (auto row = m_store.job(id); !row)
        return row.error();
    auto query = decodeListQuery(request.query);
    if (!query)
        return query.error();
    auto rows = m_store.checkpoints(id);
    if (!rows)
        return rows.error();
    std::vector<Checkpoint> records;
    for (auto& row : *rows)
        if (row.space != CheckpointSpace::External) // a file for downloads, no row of the service
            records.push_back(std::move(row.record));
    return encodeCheckpointList(records, *query);
}

GatewayService::Answer GatewayService::getCheckpoint(const HttpRequest& request)
{
    auto row = m_store.checkpoint(request.parameter("job"), request.parameter("c"));
    if (!row)
        return row.error();
    return encodeCheckpoint(row->record);
}

GatewayService::Answer GatewayService::deleteCheckpoint(const HttpRequest& request)
{
    auto row = m_store.checkpoint(request.parameter("job"), request.parameter("c"));
    if (!row)
        return row.error();
    if (auto status = m_store.removeCheckpoint(*row); !status)
        return status.error();
    return std::string("{}");
}

GatewayService::Answer GatewayService::syncCheckpoint(const HttpRequest& request)
{
    auto row = m_store.checkpoint(request.parameter("job"), request.parameter("c"));
    if (!row)
        return row.error();
    // Every save is durable here before its row exists.
    return R"({"checkpoint":)" + encodeCheckpoint(row->record) + "}";
}

} // namespace desk::local
