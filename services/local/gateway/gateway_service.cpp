// SPDX-License-Identifier: GPL-3.0-or-later
// Accounts, trainer jobs, checkpoints, promotions and models of the control plane.
#include "services/local/gateway/gateway_service.h"

#include "services/codecs/error_codec.h"
#include "services/core/resource_name.h"
#include "services/local/engine/inference_model.h"
#include "services/local/gateway/paging.h"
#include "services/local/server/auth.h"
#include "services/local/trainer/wire_convert.h"

namespace desk::local {

namespace {

    Error badRequest(std::string message, std::string next = {})
    {
        return Error { Error::Code::Refused, std::move(message), "nothing was changed",
            std::move(next), {} };
    }

} // namespace

GatewayService::GatewayService(
    ObjectStore& store, TrainerService& trainer, ServingService& serving, Promoter& promoter)
    : m_store(store)
    , m_trainer(trainer)
    , m_serving(serving)
    , m_promoter(promoter)
{
}

void GatewayService::add(Router& router, const char* method, const char* path, Handler handler)
{
    router.add(method, path, [this, handler](HttpRequest request, Responder responder) {
        const auto account = request.parameter("a");
        if (!account.empty() && account != m_store.account())
            return responder.send(errorResponse(404, "there is no account " + account + " here"));
        auto answer = (this->*handler)(request);
        if (answer)
            return responder.send(jsonResponse(std::move(*answer)));
        responder.send(
            errorResponse(httpStatusFor(answer.error().code), wireMessage(answer.error())));
    });
}

void GatewayService::addRoutes(Router& router)
{
    using G = GatewayService;
    add(router, "GET", "/v1/accounts", &G::accounts);
    add(router, "POST", "/v1/accounts/{a}/rlorTrainerJobs", &G::createJob);
    add(router, "GET", "/v1/accounts/{a}/rlorTrainerJobs", &G::listJobs);
    add(router, "GET", "/v1/accounts/{a}/rlorTrainerJobs/{job}", &G::getJob);
    add(router, "DELETE", "/v1/accounts/{a}/rlorTrainerJobs/{job}", &G::deleteJob);
    add(router, "POST", "/v1/accounts/{a}/rlorTrainerJobs/{job}:resume", &G::resumeJob);
    add(router, "POST", "/v1/accounts/{a}/rlorTrainerJobs/{job}:cancel", &G::cancelJob);
    add(router, "GET", "/v1/accounts/{a}/rlorTrainerJobs/{job}/checkpoints", &G::listCheckpoints);
    add(router, "POST", "/v1/accounts/{a}/checkpoints/{c}:promote", &G::promote);
    add(router, "GET", "/v1/accounts/{a}/operations/{o}", &G::getOperation);
    add(router, "GET", "/v1/accounts/{a}/models", &G::listModels);
    add(router, "GET", "/v1/accounts/{a}/models/{m}", &G::getModel);
    add(router, "DELETE", "/v1/accounts/{a}/models/{m}", &G::deleteModel);
    add(router, "POST", "/v1/accounts/{a}/deployments", &G::createDeployment);
    add(router, "GET", "/v1/accounts/{a}/deployments", &G::listDeployments);
    add(router, "GET", "/v1/accounts/{a}/deployments/{d}", &G::getDeployment);
    add(router, "DELETE", "/v1/accounts/{a}/deployments/{d}", &G::deleteDeployment);
    add(router, "PATCH", "/v1/accounts/{a}/deployments/{d}", &G::patchDeployment);
    add(router, "PATCH", "/v1/accounts/{a}/deployments/{d}:scale", &G::patchDeployment);
}

GatewayService::Answer GatewayService::accounts(const HttpRequest&)
{
    Account account;
    account.name = "accounts/" + m_store.account();
    account.displayName = "Local backend";
    account.email = "local@localhost.invalid";
    return encodeAccounts({ &account, 1 });
}

Status GatewayService::checkBaseModel(const std::string& name) const
{
    const auto id = std::string(lastSegment(name));
    if (name.empty() || name != modelName(m_store.account(), id))
        return badRequest("'" + name + "' is not accounts/" + m_store.account() + "/models/<id>",
            "send the full name of a model of this account");
    auto row = m_store.model(id);
    return row ? done() : Status(row.error());
}

GatewayService::Answer GatewayService::createJob(const HttpRequest& request)
{
    auto wanted = decodeCreateJob(request.body, request.query);
    if (!wanted)
        return wanted.error();
    JobRow row;
    row.id = wanted->jobId.empty() ? "training-api-service-" + randomHex(8) : wanted->jobId;
    if (!isSafeId(row.id))
        return badRequest("'" + row.id + "' cannot be the id of a trainer job",
            "use letters, digits, '.', '_' and '-'");
    if (wanted->displayName.size() >= 64)
        return badRequest("the display name is longer than 63 characters");
    if (auto status = checkBaseModel(wanted->baseModel); !status)
        return status.error();
    if (wanted->loraRank != 0)
        return badRequest("this backend trains full parameters only", "send loraRank 0");
    auto& job = row.job;
    job.name = JobName { m_store.account(), row.id }.toString();
    job.displayName = wanted->displayName;
    job.baseModel = wanted->baseModel;
    job.state = JobState::Running; // the trainer is this process: nothing has to be provisioned
    job.learningRate = wanted->learningRate;
    job.maxContextLength = wanted->maxContextLength;
    job.created = m_store.now();
    job.createdBy = "local";
    job.hotLoadDeploymentId = wanted->hotLoadDeploymentId;
    if (!job.maxContextLength) {
        auto model = m_store.model(std::string(lastSegment(wanted->baseModel)));
        auto facts = model ? inspectFolder(model->model.path) : Result<FolderInfo>(model.error());
        if (facts)
            job.maxContextLength = facts->config.maxPositions;
    }
    if (auto status = m_store.addJob(row); !status)
        return status.error();
    auto stored = m_store.job(row.id);
    if (!stored)
        return stored.error();
    return encodeJob(stored->job);
}

GatewayService::Answer GatewayService::listJobs(const HttpRequest& request)
{
    auto rows = m_store.jobs();
    if (!rows)
        return rows.error();
    std::vector<TrainerJob> jobs;
    for (auto& row : *rows)
        jobs.push_back(std::move(row.job));
    auto page = pageOf(std::move(jobs), request);
    if (!page)
        return page.error();
    return encodeJobs(*page);
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
        return badRequest("cannot resume job in state: " + row->job.stateText,
            "create a new job and load a state of this one");
    if (row->job.state != JobState::Running)
        if (auto status = m_store.setJobState(id, JobState::Running, {}); !status)
            return status.error();
    return getJob(request);
}

GatewayService::Answer GatewayService::cancelJob(const HttpRequest& request)
{
    const auto id = request.parameter("job");
    auto row = m_store.job(id);
    if (!row)
        return row.error();
    if (row->deleted)
        return badRequest("cannot cancel job in state: JOB_STATE_DELETED");
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
    auto rows = m_store.checkpoints(id);
    if (!rows)
        return rows.error();
    std::vector<Checkpoint> records;
    for (auto& row : *rows)
        records.push_back(std::move(row.record));
    auto page = pageOf(std::move(records), request);
    if (!page)
        return page.error();
    return encodeCheckpoints(*page);
}

GatewayService::Answer GatewayService::promote(const HttpRequest& request)
{
    auto wanted = decodePromote(request.body);
    if (!wanted)
        return wanted.error();
    auto operation = m_promoter.promote(request.parameter("c"), *wanted);
    if (!operation)
        return operation.error();
    PromoteAnswer answer;
    answer.operation = m_promoter.describe(*operation);
    answer.model = answer.operation->response;
    return encodePromoteAnswer(answer);
}

GatewayService::Answer GatewayService::getOperation(const HttpRequest& request)
{
    auto row = m_store.operation(request.parameter("o"));
    if (!row)
        return row.error();
    return encodeOperation(m_promoter.describe(*row));
}

GatewayService::Answer GatewayService::listModels(const HttpRequest& request)
{
    auto rows = m_store.models();
    if (!rows)
        return rows.error();
    std::vector<Model> models;
    for (auto& row : *rows)
        models.push_back(std::move(row.model));
    auto page = pageOf(std::move(models), request);
    if (!page)
        return page.error();
    return encodeModels(*page);
}

GatewayService::Answer GatewayService::getModel(const HttpRequest& request)
{
    auto row = m_store.model(request.parameter("m"));
    if (!row)
        return row.error();
    return encodeModel(row->model);
}

GatewayService::Answer GatewayService::deleteModel(const HttpRequest& request)
{
    const auto id = request.parameter("m");
    const auto name = modelName(m_store.account(), id);
    auto deployments = m_serving.deployments();
    if (!deployments)
        return deployments.error();
    for (const auto& deployment : *deployments)
        if (deployment.baseModel == name)
            return badRequest("the model " + id + " is the base of deployment "
                    + std::string(lastSegment(deployment.name)),
                "delete that deployment first");
    if (auto status = m_store.removeModel(id); !status)
        return status.error();
    return std::string("{}");
}

} // namespace desk::local
