// SPDX-License-Identifier: GPL-3.0-or-later
// What TrainerService loads: a model made from a save, a save or an adapter into a live model.
#include "services/codecs/rest_codec.h"
#include "services/core/resource_name.h"
#include "services/delta/safetensors.h"
#include "services/local/trainer/trainer_service.h"
#include "services/local/trainer/wire_convert.h"

#include <charconv>
#include <utility>

namespace desk::local {

namespace {

    constexpr std::string_view kTinkerPathScheme = "tinker://";
    constexpr std::string_view kCrossJob = "cross_job://";

    bool startsWith(std::string_view text, std::string_view prefix)
    {
        return text.substr(0, prefix.size()) == prefix;
    }

    /// Rank and alpha of saved adapters, from the metadata of their state.
    LoraSettings settingsOfState(const std::filesystem::path& folder, LoraSettings settings)
    {
        const auto file = SafetensorsFile::open(folder / "state.safetensors");
        if (!file)
            return settings;
        const auto& facts = file->header().metadata;
        if (const auto alpha = facts.find("alpha"); alpha != facts.end())
            std::from_chars(
                alpha->second.data(), alpha->second.data() + alpha->second.size(), settings.alpha);
        if (const auto parts = facts.find("matrices"); parts != facts.end()) {
            settings.trainsAttention = parts->second.find("attention") != std::string::npos;
            settings.trainsMlp = parts->second.find("mlp") != std::string::npos;
            settings.trainsUnembed = parts->second.find("unembed") != std::string::npos;
        }
        return settings;
    }

} // namespace

Status TrainerService::loadInto(LiveModel& model, const LoadSource& from, bool withOptimizer) const
{
    const auto& row = from.row;
    const auto folder = m_parts.store.absolute(row.folder);
    if (from.isState) {
        if (auto status = model.engine->loadState(folder, withOptimizer); !status)
            return status;
        model.isTrained = true;
        return done();
    }
    if (withOptimizer)
        return trainerUsage("sampler weights hold no optimizer state",
            "load them without the optimizer, or load a saved state");
    if (row.record.type == CheckpointType::InferenceArcV2)
        return trainerUsage(
            "the snapshot " + row.id + " is a delta on " + row.record.parent, "load a base save");
    if (row.record.type == CheckpointType::InferenceLora) {
        if (!model.lora)
            return trainerUsage("the snapshot " + row.id
                    + " is an adapter, and this model is trained with all its parameters",
                "create the model with LoRA");
        if (auto status = model.engine->loadAdapter(folder); !status)
            return status;
        model.isTrained = true;
        return done();
    }
    if (model.lora)
        return trainerUsage(
            "the snapshot " + row.id + " holds full weights, and this model trains adapters",
            "load an adapter or a state of one");
    auto engine = Engine::open(folder, m_parts.threads);
    if (!engine)
        return engine.error();
    model.engine = std::move(*engine);
    model.isTrained = true;
    return done();
}

void TrainerService::createFromSave(
    const HttpRequest& request, const Responder& responder, const LoadWeights& wanted)
{
    auto& futures = m_parts.futures;
    const auto ticket = futures.submit(
        "create/" + wanted.sessionId, wanted.modelSeqId, std::hash<std::string> {}(request.body));
    if (ticket.isFull)
        return responder.send(detailResponse(503, "too many results wait to be fetched"));
    const auto modelId = wanted.sessionId + ":train:" + std::to_string(wanted.modelSeqId);
    const auto answer = [&] {
        responder.send(jsonResponse(encodeFutureRef({ ticket.requestId, modelId })));
    };
    if (!ticket.isNew)
        return answer();
    const auto refuse = [&](const Error& error) {
        futures.fail(ticket.requestId, wireMessage(error), futureCategory(error));
        answer();
    };
    if (auto status = m_sessions.check(wanted.sessionId); !status)
        return refuse(status.error());
    if (auto status = checkOptimizer(wanted.optimizerType); !status)
        return refuse(status.error());
    auto ownJob = m_sessions.jobOf(wanted.sessionId);
    if (const auto row = jobOf(request); row && ownJob.empty())
        ownJob = row->id;
    auto source = resolveSave(wanted.path, ownJob.empty() ? kDirectJob : ownJob);
    if (!source)
        return refuse(source.error());
    const auto& row = source->row;
    auto base = m_parts.store.namedModel(row.baseModel);
    if (!base)
        return refuse(base.error());
    if (!wanted.baseModel.empty() && wanted.baseModel != row.baseModel) {
        const auto given = m_parts.store.namedModel(wanted.baseModel);
        if (!given || given->id != base->id)
            return refuse(trainerUsage(
                "the save " + row.id + " is of " + row.baseModel + ", not of " + wanted.baseModel,
                "leave base_model out"));
    }
    auto model = std::make_shared<LiveModel>();
    model->id = modelId;
    model->session = wanted.sessionId;
    model->baseModel = row.baseModel;
    model->baseFolder = base->folder;
    if (row.record.type == CheckpointType::TrainingLora
        || row.record.type == CheckpointType::InferenceLora) {
        LoraSettings settings;
        settings.rank = row.loraRank;
        if (const auto run = m_parts.store.run(row.run)) {
            settings.trainsAttention = run->trainsAttention;
            settings.trainsMlp = run->trainsMlp;
            settings.trainsUnembed = run->trainsUnembed;
        }
        const auto folder = m_parts.store.absolute(row.folder);
        model->lora = source->isState ? settingsOfState(folder, settings) : settings;
    }
    auto job = jobForModel(request, *model);
    if (!job)
        return refuse(job.error());
    model->job = *job;
    if (auto status = rememberRun(*model, wanted.userMetadata); !status)
        return refuse(status.error());
    const auto problem = admit(model, ticket.requestId,
        [this, from = *source, path = wanted.path, withOptimizer = wanted.withOptimizer](
            LiveModel& live, const std::stop_token&) -> Result<FutureResult> {
            if (auto status = openEngine(live); !status)
                return status.error();
            if (auto status = loadInto(live, from, withOptimizer); !status)
                return status.error();
            return FutureResult { encodeWeightsResult({ "load_weights", path, {}, live.id, {} }),
                {} };
        });
    if (!problem.empty())
        return refuse(trainerUsage(problem, {}));
    answer();
}

void TrainerService::loadAdapter(const HttpRequest& request, const Responder& responder)
{
    auto wire = decodeLoadAdapter(request.body);
    if (!wire)
        return responder.send(trainerError(wire.error()));
    submit(request, responder, { wire->modelId, wire->seqId, true, false },
        [this, wanted = *wire](LiveModel& model, const std::stop_token&) -> Result<FutureResult> {
            std::filesystem::path folder;
            if (wanted.path.substr(0, 9) == "accounts/"
                && wanted.path.find("/models/") != std::string::npos) {
                auto row = m_parts.store.model(std::string(lastSegment(wanted.path)));
                if (!row)
                    return row.error();
                if (row->model.kind != "HF_PEFT_ADDON")
                    return trainerUsage("the model " + wanted.path + " is no adapter",
                        "name a model that was promoted from a LoRA checkpoint");
                folder = m_parts.store.absolute(row->folder);
            } else {
                auto source = resolveSave(wanted.path, model.job);
                if (!source)
                    return source.error();
                if (source->row.record.type != CheckpointType::InferenceLora)
                    return trainerUsage("'" + wanted.path.substr(0, 200) + "' is no adapter",
                        "name a promoted adapter or a sampler save of a LoRA model");
                folder = m_parts.store.absolute(source->row.folder);
            }
            if (!model.lora)
                return trainerUsage("this model is trained with all its parameters, so it takes no "
                                    "adapter",
                    "create the model with LoRA");
            if (auto status = model.engine->loadAdapter(folder); !status)
                return status.error();
            model.isTrained = true;
            return FutureResult { encodeAdapterLoaded(wanted), {} };
        });
}

Result<TrainerService::LoadSource> TrainerService::resolveSave(
    const std::string& path, const std::string& ownJob)
{
    std::string job = ownJob;
    std::string name = path;
    if (startsWith(path, kTinkerPathScheme)) {
        const auto parts = parseTinkerPath(path);
        const auto space = parts ? spaceFrom(parts->kind) : std::nullopt;
        if (!space)
            return trainerUsage("'" + path.substr(0, 300)
                    + "' is not tinker://<model>/<weights or sampler_weights>/<name>",
                "use the path that the save gave");
        auto row = m_parts.store.checkpointOfRun(parts->run, *space, parts->name);
        if (!row)
            return row.error();
        return LoadSource { *row, *space == CheckpointSpace::State };
    }
    if (auto full = parseCheckpointName(path)) {
        job = full->job;
        name = full->checkpoint;
    } else if (startsWith(path, kCrossJob)) {
        const auto rest = path.substr(kCrossJob.size());
        const auto slash = rest.find('/');
        if (slash == std::string::npos)
            return trainerUsage(
                "'" + path.substr(0, 300) + "' is not cross_job://<job>/<name>", {});
        job = rest.substr(0, slash);
        name = rest.substr(slash + 1);
        if (isSafeId(job) && !m_parts.store.job(job))
            return trainerUsage("source job '" + job + "' not found",
                "use the id of a trainer job of this account");
    } else if (startsWith(path, "gs://") || startsWith(path, "/")) {
        return trainerUsage("'" + path.substr(0, 300)
                + "' lies outside of this backend, which reads its own saves only",
            "use a name of list_checkpoints or cross_job://<job>/<name>");
    }
    if (!isSafeId(name) || !isSafeId(job))
        return trainerUsage("'" + path.substr(0, 300) + "' does not name a saved state",
            "use a name of list_checkpoints or cross_job://<job>/<name>");
    auto row = m_parts.store.checkpoint(job, name, CheckpointSpace::State);
    if (row)
        return LoadSource { *row, true };
    auto snapshot = m_parts.store.checkpoint(job, name, CheckpointSpace::Sampler);
    if (snapshot && snapshot->record.type == CheckpointType::InferenceLora)
        return LoadSource { *snapshot, false };
    return row.error();
}

void TrainerService::loadWeights(const HttpRequest& request, const Responder& responder)
{
    auto wire = decodeLoadWeights(request.body);
    if (!wire)
        return responder.send(trainerError(wire.error()));
    if (!wire->sessionId.empty())
        return createFromSave(request, responder, *wire);
    submit(request, responder, { wire->modelId, wire->seqId, true, false },
        [this, load = *wire](LiveModel& model, const std::stop_token&) -> Result<FutureResult> {
            auto source = resolveSave(load.path, model.job);
            if (!source)
                return source.error();
            const auto& row = source->row;
            if (row.baseModel != model.baseModel) {
                const auto base = m_parts.store.namedModel(row.baseModel);
                if (!base || base->folder != model.baseFolder)
                    return trainerUsage("the state " + row.id + " is of " + row.baseModel
                            + ", not of " + model.baseModel,
                        "load a state of the same base model");
            }
            if (auto status = loadInto(model, *source, load.withOptimizer); !status)
                return status.error();
            return FutureResult { encodeWeightsResult({ "load_weights", load.path, {}, {}, {} }),
                {} };
        });
}

} // namespace desk::local
