// SPDX-License-Identifier: GPL-3.0-or-later
// Jobs and queues of the trainers: what all calls have in common.
#include "services/local/trainer/trainer_service.h"

#include "services/codecs/error_codec.h"
#include "services/core/resource_name.h"
#include "services/local/server/log.h"
#include "services/local/server/zstd_body.h"
#include "services/local/trainer/wire_convert.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>
#include <vector>

namespace desk::local {

namespace {

    constexpr auto kLongWait = std::chrono::seconds(20);

    HttpResponse comeBack(const std::string& why)
    {
        auto response = detailResponse(429, why);
        response.headers.push_back({ "Retry-After", "1" });
        return response;
    }

} // namespace

bool isPlainTinker(const HttpRequest& request) noexcept
{
    // The Fireworks SDK 1.2.3 says 0.23.0 too; tinker's own client takes no other keys than these.
    const auto key = request.header("X-Api-Key");
    return request.header("x-stainless-package-version").substr(0, 2) == "0."
        && (key.substr(0, 4) == "tml-" || key.substr(0, 3) == "eyJ");
}

bool isFireworksSdk(const HttpRequest& request) noexcept
{
    return request.header("x-stainless-package-version").substr(0, 2) == "1.";
}

bool isNewTinker(const HttpRequest& request) noexcept
{
    const auto version = request.header("x-stainless-package-version");
    return version.substr(0, 2) == "0." && version.substr(0, 5) != "0.23.";
}

HttpResponse trainerError(const Error& error)
{
    return detailResponse(httpStatusFor(error.code), wireMessage(error));
}

Error trainerUsage(std::string message, std::string next)
{
    return Error { Error::Code::Usage, std::move(message), "nothing was done", std::move(next),
        {} };
}

TrainerService::TrainerService(TrainerParts parts)
    : m_parts(std::move(parts))
    , m_sessions(m_parts.store, m_parts.limits.silence)
    , m_queuedBytes(std::make_shared<std::atomic<std::size_t>>(0))
{
    m_parts.futures.setQueueProbe([this](const std::string& owner) { return queueOf(owner); });
    endOfEarlierRuns();
}

TrainerService::~TrainerService()
{
    stop();
}

void TrainerService::stop()
{
    std::map<std::string, ModelPtr> models;
    {
        const std::scoped_lock lock(m_mutex);
        m_isStopping = true;
        models.swap(m_models);
    }
    for (auto& [id, model] : models)
        model->worker->stop();
}

void TrainerService::setNotes(TrainingNotes notes)
{
    m_notes = std::move(notes);
}

Status TrainerService::checkSession(const std::string& session) const
{
    return m_sessions.check(session);
}

void TrainerService::post(Router& router, const char* path, Method method)
{
    router.add("POST", std::string("/api/v1/") + path,
        [this, method](HttpRequest request, Responder responder) {
            if (auto status = unpackBody(request); !status)
                return responder.send(trainerError(status.error()));
            (this->*method)(request, responder);
        });
}

void TrainerService::addRoutes(Router& router)
{
    addSessionRoutes(router);
    addModelRoutes(router);
    addTrainingRoutes(router);
    addSaveRoutes(router);
}

void TrainerService::endOfEarlierRuns()
{
    // The job that a run brought along ended with the process that held its model.
    const auto runs = m_parts.store.runs();
    if (!runs)
        return;
    for (const auto& run : *runs) {
        if (run.job != ObjectStore::jobOfRun(run.id))
            continue;
        if (const auto job = m_parts.store.job(run.job);
            job && !job->deleted && job->job.state == JobState::Running)
            (void)m_parts.store.setJobState(run.job, JobState::Completed, "the backend was ended");
    }
}

Result<JobRow> TrainerService::jobOf(const HttpRequest& request) const
{
    if (request.trainerJob.empty()) {
        auto jobs = m_parts.store.jobs();
        if (!jobs)
            return jobs.error();
        std::vector<JobRow> running;
        for (const auto& row : *jobs)
            if (row.job.state == JobState::Running && row.id.find("-train-") == std::string::npos)
                running.push_back(row);
        if (running.size() == 1)
            return running.front();
        return Error { Error::Code::NotFound,
            "the URL names no trainer job, and " + std::to_string(running.size()) + " are running",
            {}, "use <url>/training/v1/rlorTrainerJobs/<account>/<job>", {} };
    }
    if (request.trainerAccount != m_parts.store.account())
        return Error { Error::Code::NotFound,
            "there is no account " + request.trainerAccount + " here", {}, {}, {} };
    auto job = m_parts.store.job(request.trainerJob);
    if (!job)
        return job;
    if (job->deleted || job->job.state != JobState::Running)
        return Error { Error::Code::NotFound,
            "the trainer job " + job->id + " is in " + job->job.stateText, {},
            "resume it, or create another one", {} };
    return job;
}

Result<std::string> TrainerService::ownJob(
    const std::string& id, const std::string& baseModel, int loraRank)
{
    if (auto known = m_parts.store.job(id); known && !known->deleted) {
        if (known->job.state != JobState::Running)
            if (auto status = m_parts.store.setJobState(id, JobState::Running, {}); !status)
                return status.error();
        return id;
    }
    JobRow row;
    row.id = id;
    row.job.name = "accounts/" + m_parts.store.account() + "/rlorTrainerJobs/" + id;
    row.job.displayName = id;
    row.job.state = JobState::Running;
    row.job.baseModel = baseModel;
    row.job.loraRank = loraRank;
    row.job.stateText = "JOB_STATE_RUNNING";
    row.job.created = m_parts.store.now();
    row.job.createdBy = "local";
    if (auto status = m_parts.store.addJob(row); !status)
        return status.error();
    return id;
}

Result<std::string> TrainerService::jobForModel(const HttpRequest& request, const LiveModel& model)
{
    if (!request.trainerJob.empty() || (!isPlainTinker(request) && jobOf(request))) {
        auto job = jobOf(request);
        if (!job)
            return job.error();
        if (job->id == kDirectJob)
            return job->id;
        const auto trained = m_parts.store.namedModel(job->job.baseModel);
        if (model.baseModel != job->job.baseModel
            && (!trained || trained->folder != model.baseFolder))
            return trainerUsage("the trainer job " + job->id + " trains " + job->job.baseModel
                    + ", not " + model.baseModel,
                "create the model with the job's base model");
        const int rank = model.lora ? model.lora->rank : 0;
        if (!model.isBaseOnly && job->job.loraRank > 0 && (rank == 0 || rank > job->job.loraRank))
            // The job's rank is a capacity: services with max_lora_rank hold several below it.
            return trainerUsage("the trainer job " + job->id + " trains adapters of rank "
                    + std::to_string(job->job.loraRank) + " at most, not of rank "
                    + std::to_string(rank),
                "create the model with the job's rank");
        return job->id;
    }
    if (const auto job = m_sessions.jobOf(model.session); !job.empty())
        return job;
    if (isPlainTinker(request))
        return ownJob(
            ObjectStore::jobOfRun(model.id), model.baseModel, model.lora ? model.lora->rank : 0);
    return ownJob(kDirectJob, model.baseModel, 0);
}

TrainerService::ModelPtr TrainerService::findModel(const std::string& id, const std::string& job)
{
    ModelPtr model;
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_models.find(id);
        if (found == m_models.end() || (!job.empty() && found->second->job != job))
            return nullptr;
        model = found->second;
    }
    (void)m_sessions.touch(model->session);
    return model;
}

Error TrainerService::lostModel(const std::string& modelId, const std::string& job) const
{
    auto error = trainerUsage("the model " + modelId.substr(0, 100)
            + " is not live: it was unloaded or the backend was restarted",
        "");
    auto of = job;
    if (of.empty())
        if (const auto run = m_parts.store.run(modelId))
            of = run->job;
    const auto newest = of.empty() ? std::nullopt : m_parts.store.newestSave(of);
    if (!newest) {
        error.next = of.empty() ? "create a new model" : "the job has no save; create a new model";
        return error;
    }
    error.next = "the newest save of job " + of + " is " + newest->id;
    if (newest->record.step)
        error.next += " at step " + std::to_string(*newest->record.step);
    error.next += "; create a new model and load the newest state";
    return error;
}

FutureTable::Queue TrainerService::queueOf(const std::string& owner) const
{
    FutureTable::Queue queue;
    const auto wait = m_gate.waiting(owner);
    if (wait && wait->since > kLongWait) {
        queue.state = "paused_capacity";
        queue.reason = "this machine trains other models, and " + std::to_string(wait->before)
            + " of their calls come first";
    }
    return queue;
}

void TrainerService::submit(
    const HttpRequest& request, const Responder& responder, const Submission& what, Call call)
{
    auto& futures = m_parts.futures;
    const auto size = request.body.size();
    if (const auto queued = m_queuedBytes->load();
        queued > 0 && queued + size > m_parts.limits.queuedBytes)
        return responder.send(comeBack("too much work waits for its turn"));
    const auto ticket = futures.submit(what.modelId, what.sequence,
        std::hash<std::string> {}(request.segments.back() + request.body));
    if (ticket.isFull)
        return responder.send(comeBack("too many results wait to be fetched"));
    if (ticket.isOtherRequest)
        return responder.send(detailResponse(400,
            "sequence number " + std::to_string(what.sequence) + " of model " + what.modelId
                + " was used for another request"));
    const auto answer = [&] {
        responder.send(jsonResponse(encodeFutureRef({ ticket.requestId, what.modelId })));
    };
    if (!ticket.isNew)
        return answer();
    const auto model = findModel(what.modelId, request.trainerJob);
    if (!model) {
        futures.fail(
            ticket.requestId, wireMessage(lostModel(what.modelId, request.trainerJob)), "server");
        return answer();
    }
    // Counted until the work is gone, whether it ran or was dropped with its model.
    *m_queuedBytes += size;
    const std::shared_ptr<void> counted(
        nullptr, [bytes = m_queuedBytes, size](void*) { *bytes -= size; });
    // The queue belongs to the model: work must not keep its own model alive.
    model->worker->push(what.sequence, what.isBarrier,
        [this, counted, weak = std::weak_ptr(model), id = ticket.requestId, what,
            call = std::move(call)](const std::stop_token& stop) {
            if (const auto live = weak.lock())
                run(*live, id, what, call, stop);
        });
    answer();
}

void TrainerService::run(LiveModel& model, const std::string& requestId, const Submission& what,
    const Call& call, const std::stop_token& stop)
{
    if (!model.engine) {
        m_parts.futures.fail(requestId, "the model " + model.id + " could not be opened", "server");
        return;
    }
    auto result = runCall(model, what, call, stop);
    if (result)
        return m_parts.futures.succeed(requestId, *std::move(result));
    const auto message = wireMessage(result.error());
    note(TrainingNote::Kind::Failed, model, [&](TrainingNote& told) { told.message = message; });
    m_parts.futures.fail(requestId, message, futureCategory(result.error()));
}

Result<FutureResult> TrainerService::runCall(
    LiveModel& model, const Submission& what, const Call& call, const std::stop_token& stop)
{
    try {
        if (what.computes) {
            auto taken = m_gate.take(model.id, stop);
            if (!taken)
                return Error { Error::Code::Canceled, "the model was ended", "nothing was computed",
                    {}, {} };
            model.callBegan = std::chrono::steady_clock::now();
            return call(model, stop);
        }
        return call(model, stop);
    } catch (const std::exception& problem) {
        model.engine->clearGradients(); // they may be of half a batch
        return Error { Error::Code::OutOfMemory, std::string("the call failed: ") + problem.what(),
            "the weights are as before, gathered gradients were dropped", "send less data at once",
            {} };
    }
}

void TrainerService::note(TrainingNote::Kind kind, const LiveModel& model,
    const std::function<void(TrainingNote&)>& fill) const
{
    if (!m_notes)
        return;
    TrainingNote told;
    told.kind = kind;
    told.session = model.session;
    told.model = model.id;
    told.job = model.job;
    told.baseModel = model.baseModel;
    told.loraRank = model.lora ? model.lora->rank : 0;
    if (kind != TrainingNote::Kind::Opened && model.callBegan.time_since_epoch().count() > 0)
        told.seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - model.callBegan)
                .count();
    if (fill)
        fill(told);
    m_notes(told);
}

} // namespace desk::local
