// SPDX-License-Identifier: GPL-3.0-or-later
// Live models of TrainerService: made, described, ended.
#include "services/local/server/log.h"
#include "services/local/trainer/trainer_service.h"
#include "services/local/trainer/wire_convert.h"

#include <utility>
#include <vector>

namespace desk::local {

namespace {

    constexpr double kTinkerAlpha = 32.0; // trainer.md 2.1: plain tinker pins it

    /// The adapters that create_model asks for; nullopt: full parameters.
    Result<std::optional<LoraSettings>> loraOf(const CreateModel& wanted, bool isFireworks)
    {
        if (!wanted.lora || wanted.lora->rank == 0 || wanted.isBaseOnly)
            return std::optional<LoraSettings> {};
        const auto& given = *wanted.lora;
        if (!given.initMethod.empty() && given.initMethod != "kaiming")
            return trainerUsage("this backend initializes adapters by kaiming only, not by "
                    + given.initMethod.substr(0, 50),
                "leave init_method out");
        LoraSettings settings;
        settings.rank = given.rank;
        // Both clients send it; without it the Fireworks SDK documents 2 rank.
        settings.alpha = given.alpha.value_or(
            isFireworks ? 2.0 * static_cast<double>(given.rank) : kTinkerAlpha);
        settings.seed = static_cast<std::uint64_t>(given.seed.value_or(0));
        settings.trainsAttention = given.trainsAttention;
        settings.trainsMlp = given.trainsMlp;
        settings.trainsUnembed = given.trainsUnembed;
        if (auto status = checkLoraSettings(settings); !status)
            return status.error();
        return std::optional(settings);
    }

} // namespace

Status checkOptimizer(const std::string& type)
{
    if (type.empty() || type == "adamw")
        return done();
    return trainerUsage("this backend has the optimizer adamw, not " + type.substr(0, 50),
        "use optimizer_config {\"type\": \"adamw\"}");
}

void TrainerService::addModelRoutes(Router& router)
{
    post(router, "create_model", &TrainerService::createModel);
    post(router, "get_info", &TrainerService::getInfo);
    post(router, "unload_model", &TrainerService::unloadModel);
    post(router, "load_adapter", &TrainerService::loadAdapter);
}

bool TrainerService::makeRoom(std::string& problem)
{
    // Called with m_mutex held. The models of sessions that went silent give way first.
    if (m_models.size() < m_parts.limits.models)
        return true;
    for (auto model = m_models.begin(); model != m_models.end(); ++model) {
        if (!m_sessions.isSilent(model->second->session))
            continue;
        const auto gone = model->second;
        m_models.erase(model);
        dropModels({ gone }, "the session " + gone->session + " went silent");
        return true;
    }
    problem = "this backend holds " + std::to_string(m_parts.limits.models)
        + " live models at most; unload one, or finish its session";
    return false;
}

std::string TrainerService::admit(const ModelPtr& model, const std::string& requestId, Call open)
{
    std::string problem;
    {
        const std::scoped_lock lock(m_mutex);
        if (m_isStopping)
            return "the backend is stopping";
        if (!makeRoom(problem))
            return problem;
        model->worker = std::make_unique<ModelWorker>();
        m_models[model->id] = model;
    }
    model->worker->push(0, true,
        [this, weak = std::weak_ptr(model), requestId, open = std::move(open)](
            const std::stop_token& stop) {
            const auto live = weak.lock();
            if (!live)
                return;
            auto opened = open(*live, stop);
            if (opened) {
                logLine(LogLevel::Info, "model " + live->id + " of job " + live->job + " is live");
                note(TrainingNote::Kind::Opened, *live);
                return m_parts.futures.succeed(requestId, *std::move(opened));
            }
            live->engine.reset();
            note(TrainingNote::Kind::Failed, *live,
                [&](TrainingNote& told) { told.message = wireMessage(opened.error()); });
            m_parts.futures.fail(
                requestId, wireMessage(opened.error()), futureCategory(opened.error()));
        });
    return {};
}

void TrainerService::createModel(const HttpRequest& request, const Responder& responder)
{
    if (!request.trainerJob.empty())
        if (const auto job = jobOf(request); !job)
            return responder.send(trainerError(job.error()));
    auto wanted = decodeCreateModel(request.body);
    if (!wanted)
        return responder.send(trainerError(wanted.error()));
    auto& futures = m_parts.futures;
    const auto ticket = futures.submit(
        "create/" + wanted->sessionId, wanted->modelSeqId, std::hash<std::string> {}(request.body));
    if (ticket.isFull)
        return responder.send(detailResponse(503, "too many results wait to be fetched"));
    const auto modelId = wanted->sessionId + ":train:" + std::to_string(wanted->modelSeqId);
    const auto answer = [&] {
        responder.send(jsonResponse(encodeFutureRef({ ticket.requestId, modelId })));
    };
    if (!ticket.isNew)
        return answer();
    const auto refuse = [&](const Error& error) {
        futures.fail(ticket.requestId, wireMessage(error), futureCategory(error));
        answer();
    };
    if (auto status = m_sessions.check(wanted->sessionId); !status)
        return refuse(status.error());
    if (auto status = checkOptimizer(wanted->optimizerType); !status)
        return refuse(status.error());
    if (wanted->hasProjectionHead)
        return refuse(trainerUsage("this backend has no projection heads",
            "create the model without projection_head_dim"));
    auto base = m_parts.store.namedModel(wanted->baseModel);
    if (!base)
        return refuse(base.error());
    auto lora = loraOf(*wanted, isFireworksSdk(request));
    if (!lora)
        return refuse(lora.error());
    auto model = std::make_shared<LiveModel>();
    model->id = modelId;
    model->session = wanted->sessionId;
    model->baseModel = wanted->baseModel;
    model->baseFolder = base->folder;
    model->lora = *lora;
    model->isBaseOnly = wanted->isBaseOnly;
    auto job = jobForModel(request, *model);
    if (!job)
        return refuse(job.error());
    model->job = *job;
    if (auto status = rememberRun(*model, wanted->userMetadata); !status)
        return refuse(status.error());
    const auto problem = admit(model, ticket.requestId,
        [this](LiveModel& live, const std::stop_token&) -> Result<FutureResult> {
            if (auto status = openEngine(live); !status)
                return status.error();
            return FutureResult { encodeModelCreated(live.id), {} };
        });
    if (!problem.empty())
        return refuse(trainerUsage(problem, {}));
    answer();
}

Status TrainerService::rememberRun(
    const LiveModel& model, const std::map<std::string, std::string>& userMetadata)
{
    RunRow row;
    row.id = model.id;
    row.session = model.session;
    row.job = model.job;
    row.baseModel = model.baseModel;
    if (model.lora) {
        row.loraRank = model.lora->rank;
        row.trainsAttention = model.lora->trainsAttention;
        row.trainsMlp = model.lora->trainsMlp;
        row.trainsUnembed = model.lora->trainsUnembed;
    }
    row.userMetadata = userMetadata;
    return m_parts.store.putRun(row);
}

Status TrainerService::openEngine(LiveModel& model) const
{
    const auto folder = m_parts.store.absolute(model.baseFolder);
    auto engine = model.lora ? Engine::openLora(folder, *model.lora, m_parts.threads)
                             : Engine::open(folder, m_parts.threads);
    if (!engine)
        return engine.error();
    model.engine = std::move(*engine);
    return done();
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
    info.isLora = model->lora.has_value();
    info.loraRank = model->lora ? model->lora->rank : 0;
    info.architecture = "Qwen3ForCausalLM";
    info.tokenizerId = m_parts.store.absolute(model->baseFolder).string();
    responder.send(jsonResponse(encodeModelInfo(info)));
}

void TrainerService::unloadModel(const HttpRequest& request, const Responder& responder)
{
    auto id = decodeModelRequest(request.body);
    if (!id)
        return responder.send(trainerError(id.error()));
    const auto ticket = m_parts.futures.submit("unload/" + *id, 0, 0);
    if (ticket.isFull)
        return responder.send(detailResponse(503, "too many results wait to be fetched"));
    ModelPtr model;
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_models.find(*id);
        if (found != m_models.end()
            && (request.trainerJob.empty() || found->second->job == request.trainerJob)) {
            model = found->second;
            m_models.erase(found);
        }
    }
    if (model)
        dropModels({ model }, "the model was unloaded");
    m_parts.futures.succeed(ticket.requestId, encodeModelResult(*id, "unload_model"));
    responder.send(jsonResponse(encodeFutureRef({ ticket.requestId, *id })));
}

void TrainerService::dropModels(const std::vector<ModelPtr>& gone, const std::string& why)
{
    for (const auto& model : gone)
        m_parts.parsers.post([this, model, why] {
            model->worker->stop();
            m_parts.futures.failPending(model->id, why, "user");
        });
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
    dropModels(gone, why);
}

} // namespace desk::local
