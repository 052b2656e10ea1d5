// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/trainer/trainer_service.h"

#include "services/codecs/error_codec.h"
#include "services/core/resource_name.h"
#include "services/local/server/auth.h"
#include "services/local/server/log.h"
#include "services/local/trainer/wire_convert.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace desk::local {

namespace {

    constexpr std::size_t kMaxModels = 16;
    constexpr std::size_t kMaxSessions = 4096;
    constexpr auto kSilentSession = std::chrono::seconds(300);

    HttpResponse trainerError(const Error& error)
    {
        return errorResponse(httpStatusFor(error.code), wireMessage(error));
    }

    Error trainerUsage(std::string message, std::string next)
    {
        return Error { Error::Code::Usage, std::move(message), "nothing was done", std::move(next),
            {} };
    }

} // namespace

TrainerService::TrainerService(ObjectStore& store, SnapshotWriter& writer, FutureTable& futures,
    TaskPool& parsers, std::shared_ptr<ThreadPool> threads)
    : m_store(store)
    , m_writer(writer)
    , m_futures(futures)
    , m_parsers(parsers)
    , m_threads(std::move(threads))
{
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

void TrainerService::addRoutes(Router& router)
{
    addSessionRoutes(router);
    addTrainingRoutes(router);
    addSaveRoutes(router);
}

void TrainerService::addSessionRoutes(Router& router)
{
    router.add("GET", "/api/v1/healthz", [this](HttpRequest request, Responder responder) {
        const auto job = jobOf(request);
        if (!job && !request.trainerJob.empty()) // "not ready" is never a 5xx
            return responder.send(errorResponse(404, job.error().message));
        responder.send(jsonResponse(encodeHealthz()));
    });
    // Telemetry holds the client's own headers and tracebacks: accepted, never kept.
    router.add("POST", "/api/v1/telemetry", [](HttpRequest, Responder responder) {
        responder.send(jsonResponse(R"({"status":"accepted"})"));
    });
    router.add("POST", "/api/v1/client/config", [](HttpRequest, Responder responder) {
        responder.send(jsonResponse(
            R"({"pjwt_auth_enabled":false,"parallel_fwdbwd_chunks":true,"proto_write_fwdbwd":false,)"
            R"("proto_compress_fwdbwd":false,"fwd_via_fwdbwd":false,"use_pyqwest_transport":false})"));
    });
    const auto post = [&](const char* name, auto method) {
        router.add("POST", std::string("/api/v1/") + name,
            [this, method](
                HttpRequest request, Responder responder) { (this->*method)(request, responder); });
    };
    post("create_session", &TrainerService::createSession);
    post("session_heartbeat", &TrainerService::heartbeat);
    post("create_model", &TrainerService::createModel);
    post("get_info", &TrainerService::getInfo);
    post("unload_model", &TrainerService::unloadModel);
    post("retrieve_future", &TrainerService::retrieve);
    router.add("GET", "/api/v1/list_checkpoints",
        [this](HttpRequest request, Responder responder) { listCheckpoints(request, responder); });
    router.add("GET", "/api/v1/get_server_capabilities",
        [this](HttpRequest request, Responder responder) { capabilities(request, responder); });
}

Result<JobRow> TrainerService::jobOf(const HttpRequest& request) const
{
    if (request.trainerJob.empty()) {
        auto jobs = m_store.jobs();
        if (!jobs)
            return jobs.error();
        std::vector<JobRow> running;
        std::copy_if(jobs->begin(), jobs->end(), std::back_inserter(running),
            [](const JobRow& row) { return row.job.state == JobState::Running; });
        if (running.size() == 1)
            return running.front();
        return Error { Error::Code::NotFound,
            "the URL names no trainer job, and " + std::to_string(running.size()) + " are running",
            {}, "use <url>/training/v1/rlorTrainerJobs/<account>/<job>", {} };
    }
    if (request.trainerAccount != m_store.account())
        return Error { Error::Code::NotFound,
            "there is no account " + request.trainerAccount + " here", {}, {}, {} };
    auto job = m_store.job(request.trainerJob);
    if (!job)
        return job;
    if (job->job.state != JobState::Running)
        return Error { Error::Code::NotFound,
            "the trainer job " + job->id + " is in " + job->job.stateText, {},
            "resume it, or create another one", {} };
    return job;
}

void TrainerService::createSession(const HttpRequest& request, const Responder& responder)
{
    const auto job = jobOf(request);
    if (!job)
        return responder.send(trainerError(job.error()));
    auto wanted = decodeCreateSession(request.body);
    if (!wanted)
        return responder.send(trainerError(wanted.error()));
    SessionCreated answer;
    answer.sessionId = "sess-" + randomHex(12);
    answer.infoMessage = "embedded backend of Trainer Desk, training on this machine's processor";
    {
        const std::scoped_lock lock(m_mutex);
        if (m_sessions.size() >= kMaxSessions) {
            const auto oldest = std::min_element(m_sessions.begin(), m_sessions.end(),
                [](const auto& a, const auto& b) { return a.second.lastSeen < b.second.lastSeen; });
            m_sessions.erase(oldest);
        }
        m_sessions[answer.sessionId] = { job->id, wanted->sdkVersion,
            std::chrono::steady_clock::now() };
    }
    responder.send(jsonResponse(encodeSessionCreated(answer)));
}

void TrainerService::heartbeat(const HttpRequest& request, const Responder& responder)
{
    auto id = decodeHeartbeat(request.body);
    if (!id)
        return responder.send(trainerError(id.error()));
    {
        const std::scoped_lock lock(m_mutex);
        if (const auto found = m_sessions.find(*id); found != m_sessions.end())
            found->second.lastSeen = std::chrono::steady_clock::now();
    }
    responder.send(jsonResponse(R"({"type":"session_heartbeat"})"));
}

bool TrainerService::makeRoom(std::string& problem)
{
    // Called with m_mutex held. The models of sessions that went silent give way first.
    if (m_models.size() < kMaxModels)
        return true;
    const auto now = std::chrono::steady_clock::now();
    for (auto model = m_models.begin(); model != m_models.end(); ++model) {
        const auto session = m_sessions.find(model->second->session);
        if (session != m_sessions.end() && now - session->second.lastSeen < kSilentSession)
            continue;
        const auto gone = model->second;
        m_models.erase(model);
        m_parsers.post([gone] { gone->worker->stop(); });
        return true;
    }
    problem = "this backend holds " + std::to_string(kMaxModels) + " live models at most";
    return false;
}

void TrainerService::createModel(const HttpRequest& request, const Responder& responder)
{
    const auto job = jobOf(request);
    if (!job)
        return responder.send(trainerError(job.error()));
    auto wanted = decodeCreateModel(request.body);
    if (!wanted)
        return responder.send(trainerError(wanted.error()));
    const auto key = "create/" + wanted->sessionId;
    const auto ticket =
        m_futures.submit(key, wanted->modelSeqId, std::hash<std::string> {}(request.body));
    const auto answer = [&](const std::string& modelId) {
        responder.send(jsonResponse(encodeFutureRef({ ticket.requestId, modelId })));
    };
    const auto modelId = wanted->sessionId + ":train:" + std::to_string(wanted->modelSeqId);
    if (!ticket.isNew)
        return answer(modelId);
    const auto refuse = [&](const std::string& message) {
        m_futures.fail(ticket.requestId, message, "user");
        answer({});
    };
    auto model = std::make_shared<LiveModel>();
    model->id = modelId;
    model->job = job->id;
    model->session = wanted->sessionId;
    model->baseModel = wanted->baseModel;
    model->isBaseOnly = wanted->isBaseOnly;
    if (wanted->baseModel != job->job.baseModel)
        return refuse("the trainer job " + job->id + " trains " + job->job.baseModel + ", not "
            + wanted->baseModel + "; create the model with the job's base model");
    if (wanted->lora && wanted->lora->rank != 0)
        return refuse("this backend trains full parameters only; create the model with rank 0");
    {
        const std::scoped_lock lock(m_mutex);
        std::string problem;
        if (!m_sessions.contains(wanted->sessionId))
            problem = "the session " + wanted->sessionId
                + " is not known: the backend was restarted; create a new session";
        else if (!m_isStopping && makeRoom(problem)) {
            model->worker = std::make_unique<ModelWorker>();
            m_models[modelId] = model;
        }
        if (!model->worker)
            return refuse(problem.empty() ? "the backend is stopping" : problem);
    }
    model->worker->push(0, true,
        [this, weak = std::weak_ptr(model), id = ticket.requestId](const std::stop_token&) {
            const auto live = weak.lock();
            if (!live)
                return;
            auto opened = openEngine(*live);
            if (opened)
                return m_futures.succeed(id, std::move(*opened));
            m_futures.fail(id, wireMessage(opened.error()), futureCategory(opened.error()));
        });
    answer(modelId);
}

Result<std::string> TrainerService::openEngine(LiveModel& model) const
{
    auto base = m_store.model(std::string(lastSegment(model.baseModel)));
    if (!base)
        return base.error();
    auto engine = Engine::open(m_store.absolute(base->folder), m_threads);
    if (!engine)
        return engine.error();
    model.engine = std::move(*engine);
    logLine(LogLevel::Info, "model " + model.id + " of job " + model.job + " is live");
    return encodeModelResult(model.id, "create_model");
}

TrainerService::ModelPtr TrainerService::findModel(const std::string& id, const std::string& job)
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_models.find(id);
    if (found == m_models.end() || (!job.empty() && found->second->job != job))
        return nullptr;
    if (const auto session = m_sessions.find(found->second->session); session != m_sessions.end())
        session->second.lastSeen = std::chrono::steady_clock::now();
    return found->second;
}

Error TrainerService::lostModel(const std::string& modelId, const std::string& job) const
{
    auto error = trainerUsage(
        "the model " + modelId + " is not live: it was unloaded or the backend was restarted", "");
    const auto newest = job.empty() ? std::nullopt : m_store.newestSave(job);
    if (!newest) {
        error.next = "the job has no save; create a new model";
        return error;
    }
    error.next = "the newest save of job " + job + " is " + newest->id;
    if (newest->record.step)
        error.next += " at step " + std::to_string(*newest->record.step);
    error.next += "; create a new model and load the newest state";
    return error;
}

void TrainerService::getInfo(const HttpRequest& request, const Responder& responder)
{
    auto id = decodeModelRequest(request.body);
    if (!id)
        return responder.send(trainerError(id.error()));
    const auto model = findModel(*id, request.trainerJob);
    if (!model) {
        auto error = lostModel(*id, request.trainerJob);
        error.code = Error::Code::NotFound;
        return responder.send(trainerError(error));
    }
    ModelInfo info;
    info.modelId = model->id;
    info.modelName = model->baseModel;
    info.architecture = "Qwen3ForCausalLM";
    if (auto base = m_store.model(std::string(lastSegment(model->baseModel))))
        info.tokenizerId = base->model.path;
    responder.send(jsonResponse(encodeModelInfo(info)));
}

void TrainerService::unloadModel(const HttpRequest& request, const Responder& responder)
{
    auto id = decodeModelRequest(request.body);
    if (!id)
        return responder.send(trainerError(id.error()));
    const auto ticket = m_futures.submit("unload/" + *id, 0, 0);
    ModelPtr model;
    {
        const std::scoped_lock lock(m_mutex);
        if (const auto found = m_models.find(*id); found != m_models.end()) {
            model = found->second;
            m_models.erase(found);
        }
    }
    if (model)
        m_parsers.post([this, model] {
            model->worker->stop();
            m_futures.failPending(model->id, "the model was unloaded", "user");
        });
    m_futures.succeed(ticket.requestId, encodeModelResult(*id, "unload_model"));
    responder.send(jsonResponse(encodeFutureRef({ ticket.requestId, *id })));
}

void TrainerService::dropModelsOf(const std::string& job, const std::string& why)
{
    std::vector<ModelPtr> gone;
    {
        const std::scoped_lock lock(m_mutex);
        for (auto model = m_models.begin(); model != m_models.end();) {
            if (model->second->job != job) {
                ++model;
                continue;
            }
            gone.push_back(model->second);
            model = m_models.erase(model);
        }
    }
    for (const auto& model : gone)
        m_parsers.post([this, model, why] {
            model->worker->stop();
            m_futures.failPending(model->id, why, "user");
        });
}

void TrainerService::retrieve(const HttpRequest& request, const Responder& responder)
{
    auto id = decodeRetrieve(request.body);
    if (!id)
        return responder.send(trainerError(id.error()));
    if (m_futures.poll(*id, responder, request.header("Accept")))
        return;
    auto error = lostModel("of request " + *id, request.trainerJob);
    error.code = Error::Code::NotFound;
    error.message = "the request " + *id
        + " is not known: its model is not live, for the backend was restarted or the result "
          "expired";
    responder.send(trainerError(error));
}

void TrainerService::listCheckpoints(const HttpRequest& request, const Responder& responder)
{
    const auto job = jobOf(request);
    if (!job)
        return responder.send(trainerError(job.error()));
    auto rows = m_store.checkpoints(job->id);
    if (!rows)
        return responder.send(trainerError(rows.error()));
    std::vector<std::string> names;
    for (const auto& row : *rows)
        if (row.space == CheckpointSpace::State)
            names.push_back(row.id);
    std::sort(names.begin(), names.end());
    responder.send(jsonResponse(encodeCheckpointNames(names)));
}

void TrainerService::capabilities(const HttpRequest&, const Responder& responder)
{
    auto models = m_store.models();
    if (!models)
        return responder.send(trainerError(models.error()));
    std::vector<SupportedModel> supported;
    for (const auto& row : *models)
        if (row.isBase)
            supported.push_back({ row.model.name, std::nullopt });
    responder.send(jsonResponse(encodeCapabilities(supported)));
}

} // namespace desk::local
