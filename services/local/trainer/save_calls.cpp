// SPDX-License-Identifier: GPL-3.0-or-later
// Saves of TrainerService and their list.
#include "services/local/objects/files.h"
#include "services/local/server/log.h"
#include "services/local/trainer/trainer_service.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace desk::local {

namespace {

    constexpr std::string_view kTinkerScheme = "tinker://";
    constexpr std::int64_t kMinTtl = 3'600; // tinker-0.38.md 12
    constexpr std::int64_t kMaxTtl = 315'360'000;

    Status checkSaveName(const std::string& name, const char* what)
    {
        if (isSafeId(name))
            return done();
        return trainerUsage("'" + name.substr(0, 200) + "' cannot be the name of " + what,
            "use letters, digits, '.', '_' and '-'");
    }

    Status checkTtl(const std::optional<std::int64_t>& seconds, bool isStrict)
    {
        if (!seconds)
            return done();
        if (isStrict && (*seconds < kMinTtl || *seconds > kMaxTtl))
            return trainerUsage(
                "ttl_seconds must be from 3600 to 315360000, not " + std::to_string(*seconds), {});
        if (*seconds <= 0 || *seconds > kMaxTtl)
            return trainerUsage("ttl_seconds must be positive, and 315360000 at most", {});
        return done();
    }

    FutureResult weightsResult(WeightsResult result)
    {
        return { encodeWeightsResult(result), {} };
    }

    std::string tinkerPath(const std::string& run, const char* kind, const std::string& name)
    {
        return std::string(kTinkerScheme) + run + "/" + kind + "/" + name;
    }

} // namespace

void TrainerService::addSaveRoutes(Router& router)
{
    post(router, "save_weights", &TrainerService::saveWeights);
    post(router, "save_weights_for_sampler", &TrainerService::saveForSampler);
    post(router, "save_weights_external", &TrainerService::saveExternal);
    post(router, "load_weights", &TrainerService::loadWeights);
    router.add("GET", "/api/v1/list_checkpoints",
        [this](HttpRequest request, Responder responder) { listCheckpoints(request, responder); });
}

void TrainerService::saveWeights(const HttpRequest& request, const Responder& responder)
{
    auto wire = decodeSaveWeights(request.body);
    if (!wire)
        return responder.send(trainerError(wire.error()));
    const bool isTinker = isPlainTinker(request);
    submit(request, responder, { wire->modelId, wire->seqId, true, false },
        [this, save = *wire, isTinker](
            LiveModel& model, const std::stop_token&) -> Result<FutureResult> {
            if (auto status = checkSaveName(save.path, "a save"); !status)
                return status.error();
            if (auto status = checkTtl(save.ttlSeconds, isTinker); !status)
                return status.error();
            if (model.isBaseOnly)
                return trainerUsage("the model " + model.id + " is for forward passes only",
                    "create a model without base_only");
            // The Fireworks SDK says "overwriting" of a repeated name; tinker's rule is an error.
            if (isTinker && !save.isOverwrite
                && m_parts.store.checkpoint(model.job, save.path, CheckpointSpace::State))
                return trainerUsage("the state " + save.path + " exists",
                    "save under another name, or with overwrite");
            auto row = m_parts.writer.saveState(*model.engine,
                { model.job, save.path, model.baseModel, save.ttlSeconds, model.id,
                    save.userMetadata });
            if (!row)
                return row.error();
            logLine(LogLevel::Info, "state " + row->record.name + " is saved");
            return weightsResult({ "save_weights",
                isTinker ? tinkerPath(model.id, "weights", row->id) : row->id, {}, {}, {} });
        });
}

void TrainerService::saveForSampler(const HttpRequest& request, const Responder& responder)
{
    auto wire = decodeSaveForSampler(request.body);
    if (!wire)
        return responder.send(trainerError(wire.error()));
    const bool isStrict = isPlainTinker(request);
    submit(request, responder, { wire->modelId, wire->seqId, true, false },
        [this, save = *wire, isStrict](
            LiveModel& model, const std::stop_token&) -> Result<FutureResult> {
            if (auto status = checkTtl(save.ttlSeconds, isStrict); !status)
                return status.error();
            if (save.path.empty())
                return saveEphemeral(model, save.samplingSessionSeqId.value_or(0));
            if (auto status = checkSaveName(save.path, "a snapshot"); !status)
                return status.error();
            const auto& type = save.checkpointType;
            if (!type.empty() && type != "base" && type != "delta" && type != "merged_base")
                return trainerUsage(
                    "checkpoint_type must be one of ('base', 'delta', 'merged_base')", {});
            if (!save.exportPrecision.empty() && save.exportPrecision != "source"
                && save.exportPrecision != "bf16")
                return trainerUsage(
                    "this backend exports bf16, not " + save.exportPrecision.substr(0, 50),
                    "use export_precision source or bf16");
            const SaveOrder order { model.job, save.path, model.baseModel, save.ttlSeconds,
                model.id, save.userMetadata };
            auto& writer = m_parts.writer;
            auto row = type == "merged_base"
                ? writer.saveMerged(*model.engine, order, model.isTrained)
                : type == "delta" && !model.lora ? writer.saveDelta(*model.engine, order)
                                                 : writer.saveBase(*model.engine, order);
            if (!row)
                return row.error();
            logLine(LogLevel::Info, "snapshot " + row->record.name + " is saved");
            return weightsResult({ "save_weights_for_sampler",
                type.empty() ? tinkerPath(model.id, "sampler_weights", row->id) : row->id, {}, {},
                {} });
        });
}

Result<FutureResult> TrainerService::saveEphemeral(LiveModel& model, std::int64_t sequence)
{
    SamplingSource source;
    source.baseModel = model.baseModel;
    source.identity = model.id + "@" + std::to_string(model.engine->step());
    source.isEphemeral = true;
    const auto folder = m_parts.samplers.ephemeralFolder(model.id);
    if (auto status = makeFolder(folder.parent_path()); !status)
        return status.error();
    if (model.lora) {
        if (auto status = model.engine->exportAdapter(folder, model.baseModel); !status)
            return status.error();
        source.folder = m_parts.store.absolute(model.baseFolder);
        source.adapter = folder;
    } else {
        if (auto status = model.engine->exportHf(folder); !status)
            return status.error();
        source.folder = folder;
    }
    auto id = m_parts.samplers.create(model.session, sequence, source);
    if (!id) {
        removeTree(folder);
        return id.error();
    }
    return weightsResult({ "save_weights_for_sampler", {}, *id, {}, {} });
}

void TrainerService::saveExternal(const HttpRequest& request, const Responder& responder)
{
    auto wire = decodeSaveExternal(request.body);
    if (!wire)
        return responder.send(trainerError(wire.error()));
    submit(request, responder, { wire->modelId, wire->seqId, true, false },
        [this, save = *wire](LiveModel& model, const std::stop_token&) -> Result<FutureResult> {
            if (auto status = checkSaveName(save.path, "an external save"); !status)
                return status.error();
            if (auto status = checkTtl(save.ttlSeconds, true); !status)
                return status.error();
            if (save.isEncrypted)
                return trainerUsage("this backend does not encrypt external saves",
                    "leave age_encryption_recipients out");
            auto row = m_parts.writer.saveExternal(*model.engine,
                { model.job, save.path, model.baseModel, save.ttlSeconds, model.id, {} });
            if (!row)
                return row.error();
            return weightsResult(
                { "save_weights_external", tinkerPath(model.id, "external_weights", row->id), {},
                    {}, folderBytes(m_parts.store.absolute(row->folder)) });
        });
}

void TrainerService::listCheckpoints(const HttpRequest& request, const Responder& responder)
{
    std::string job = kDirectJob;
    if (const auto row = jobOf(request))
        job = row->id;
    else if (!request.trainerJob.empty() || !m_parts.store.job(job))
        return responder.send(trainerError(row.error()));
    auto rows = m_parts.store.checkpoints(job);
    if (!rows)
        return responder.send(trainerError(rows.error()));
    std::vector<std::string> names;
    for (const auto& row : *rows)
        if (row.space == CheckpointSpace::State)
            names.push_back(row.id);
    std::sort(names.begin(), names.end());
    responder.send(jsonResponse(encodeCheckpointNames(names)));
}

} // namespace desk::local
