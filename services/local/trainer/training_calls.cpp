// SPDX-License-Identifier: GPL-3.0-or-later
// Training calls of TrainerService: what runs on a model's own thread.
#include "services/codecs/error_codec.h"
#include "services/core/resource_name.h"
#include "services/local/server/log.h"
#include "services/local/trainer/trainer_service.h"
#include "services/local/trainer/wire_convert.h"

#include <exception>
#include <utility>

namespace desk::local {

namespace {

    constexpr std::size_t kParseElsewhere = 256 * 1024; // bytes of a body
    constexpr std::string_view kTinkerScheme = "tinker://";
    constexpr std::string_view kCrossJob = "cross_job://";

    HttpResponse callError(const Error& error)
    {
        return errorResponse(httpStatusFor(error.code), wireMessage(error));
    }

    Error callUsage(std::string message, std::string next)
    {
        return Error { Error::Code::Usage, std::move(message), "nothing was done", std::move(next),
            {} };
    }

    /// Plain tinker wants paths of its scheme, the Fireworks SDK and our own client bare names
    /// (protocol/README.md).
    bool isPlainTinker(const HttpRequest& request)
    {
        return request.header("x-stainless-package-version").substr(0, 2) == "0.";
    }

} // namespace

void TrainerService::addTrainingRoutes(Router& router)
{
    router.add("POST", "/api/v1/forward", [this](HttpRequest request, Responder responder) {
        forward(std::move(request), responder, false);
    });
    router.add(
        "POST", "/api/v1/forward_backward", [this](HttpRequest request, Responder responder) {
            forward(std::move(request), responder, true);
        });
    router.add("POST", "/api/v1/optim_step",
        [this](HttpRequest request, Responder responder) { optimStep(request, responder); });
}

void TrainerService::addSaveRoutes(Router& router)
{
    router.add("POST", "/api/v1/save_weights",
        [this](HttpRequest request, Responder responder) { saveWeights(request, responder); });
    router.add("POST", "/api/v1/save_weights_for_sampler",
        [this](HttpRequest request, Responder responder) { saveForSampler(request, responder); });
    router.add("POST", "/api/v1/load_weights",
        [this](HttpRequest request, Responder responder) { loadWeights(request, responder); });
}

Result<std::string> TrainerService::runCall(
    const Call& call, LiveModel& model, const std::stop_token& stop)
{
    try {
        return call(model, stop);
    } catch (const std::exception& problem) {
        model.engine->clearGradients(); // they may be of half a batch
        return Error { Error::Code::OutOfMemory, std::string("the call failed: ") + problem.what(),
            "the weights are as before, gathered gradients were dropped", "send less data at once",
            {} };
    }
}

void TrainerService::submit(const HttpRequest& request, const Responder& responder,
    const std::string& modelId, std::int64_t sequence, bool isBarrier, Call call)
{
    const auto ticket = m_futures.submit(
        modelId, sequence, std::hash<std::string> {}(request.segments.back() + request.body));
    if (ticket.isOtherRequest)
        return responder.send(errorResponse(400,
            "sequence number " + std::to_string(sequence) + " of model " + modelId
                + " was used for another request"));
    if (!ticket.isNew)
        return responder.send(jsonResponse(encodeFutureRef({ ticket.requestId, modelId })));
    const auto model = findModel(modelId, request.trainerJob);
    if (!model) {
        m_futures.fail(
            ticket.requestId, wireMessage(lostModel(modelId, request.trainerJob)), "server");
    } else {
        // The queue belongs to the model: work must not keep its own model alive.
        model->worker->push(sequence, isBarrier,
            [this, weak = std::weak_ptr(model), id = ticket.requestId, call = std::move(call)](
                const std::stop_token& stop) {
                const auto live = weak.lock();
                if (!live)
                    return;
                if (!live->engine)
                    return m_futures.fail(
                        id, "the model " + live->id + " could not be opened", "server");
                auto result = runCall(call, *live, stop);
                if (result)
                    return m_futures.succeed(id, std::move(*result));
                m_futures.fail(id, wireMessage(result.error()), futureCategory(result.error()));
            });
    }
    responder.send(jsonResponse(encodeFutureRef({ ticket.requestId, modelId })));
}

void TrainerService::forward(HttpRequest request, const Responder& responder, bool isBackward)
{
    const auto parse = [this, responder, isBackward](const HttpRequest& received) {
        auto wire = decodeForward(received.body);
        if (!wire) // a refused submission would end the SDK's training client for good
            return responder.send(jsonResponse(
                encodeFutureRef({ m_futures.rejected(wireMessage(wire.error())), {} })));
        wire->isBackward = isBackward;
        const auto modelId = wire->modelId;
        const auto sequence = wire->seqId;
        auto shared = std::make_shared<desk::ForwardRequest>(std::move(*wire));
        submit(received, responder, modelId, sequence, !isBackward,
            [shared](LiveModel& model, std::stop_token stop) -> Result<std::string> {
                if (shared->isBackward && model.isBaseOnly)
                    return callUsage("the model " + model.id + " is for forward passes only",
                        "create a model without base_only");
                int topK = 0;
                auto loss = toEngineLoss(*shared, topK);
                if (!loss)
                    return loss.error();
                auto data = toEngineData(shared->data);
                if (!data)
                    return data.error();
                auto result = model.engine->forward(
                    *data, *loss, { shared->isBackward, topK }, std::move(stop));
                if (!result)
                    return result.error();
                return toWireResult(*result, *data, topK);
            });
    };
    if (request.body.size() < kParseElsewhere)
        return parse(request);
    m_parsers.post(
        [parse, shared = std::make_shared<HttpRequest>(std::move(request))] { parse(*shared); });
}

void TrainerService::optimStep(const HttpRequest& request, const Responder& responder)
{
    auto wire = decodeOptimStep(request.body);
    if (!wire)
        return responder.send(callError(wire.error()));
    submit(request, responder, wire->modelId, wire->seqId, true,
        [step = *wire](LiveModel& model, const std::stop_token&) -> Result<std::string> {
            if (model.isBaseOnly)
                return callUsage("the model " + model.id + " is for forward passes only",
                    "create a model without base_only");
            auto result = model.engine->optimStep(
                toEngineAdam(step.adam), toEngineNormalization(step.normalization));
            if (!result)
                return result.error();
            return toWireOptim(*result, step.adam.gradNormMetrics);
        });
}

void TrainerService::saveWeights(const HttpRequest& request, const Responder& responder)
{
    auto wire = decodeSaveWeights(request.body);
    if (!wire)
        return responder.send(callError(wire.error()));
    const bool isTinker = isPlainTinker(request);
    submit(request, responder, wire->modelId, wire->seqId, true,
        [this, save = *wire, isTinker](
            LiveModel& model, const std::stop_token&) -> Result<std::string> {
            if (!isSafeId(save.path))
                return callUsage("'" + save.path + "' cannot be the name of a save",
                    "use letters, digits, '.', '_' and '-'");
            if (save.ttlSeconds && *save.ttlSeconds <= 0)
                return callUsage("ttl_seconds must be positive", {});
            auto row = m_writer.saveState(
                *model.engine, { model.job, save.path, model.baseModel, save.ttlSeconds });
            if (!row)
                return row.error();
            logLine(LogLevel::Info, "state " + row->record.name + " is saved");
            return encodeWeightsResult({ "save_weights",
                isTinker ? std::string(kTinkerScheme) + model.id + "/weights/" + row->id : row->id,
                {} });
        });
}

void TrainerService::saveForSampler(const HttpRequest& request, const Responder& responder)
{
    auto wire = decodeSaveForSampler(request.body);
    if (!wire)
        return responder.send(callError(wire.error()));
    submit(request, responder, wire->modelId, wire->seqId, true,
        [this, save = *wire](LiveModel& model, const std::stop_token&) -> Result<std::string> {
            if (save.path.empty())
                return callUsage("a sampler save needs a name", "send 'path'");
            if (!isSafeId(save.path))
                return callUsage("'" + save.path + "' cannot be the name of a snapshot",
                    "use letters, digits, '.', '_' and '-'");
            if (save.ttlSeconds && *save.ttlSeconds <= 0)
                return callUsage("ttl_seconds must be positive", {});
            const SaveOrder order { model.job, save.path, model.baseModel, save.ttlSeconds };
            if (save.checkpointType == "merged_base")
                return callUsage("merged_base is for adapters, and this is full-parameter training",
                    "save with checkpoint_type \"base\"");
            if (!save.checkpointType.empty() && save.checkpointType != "base"
                && save.checkpointType != "delta")
                return callUsage(
                    "checkpoint_type must be one of ('base', 'delta', 'merged_base')", {});
            auto row = save.checkpointType == "delta" ? m_writer.saveDelta(*model.engine, order)
                                                      : m_writer.saveBase(*model.engine, order);
            if (!row)
                return row.error();
            logLine(LogLevel::Info, "snapshot " + row->record.name + " is saved");
            return encodeWeightsResult({ "save_weights_for_sampler",
                save.checkpointType.empty()
                    ? std::string(kTinkerScheme) + model.id + "/sampler_weights/" + row->id
                    : row->id,
                {} });
        });
}

Result<CheckpointRow> TrainerService::resolveState(const std::string& path, const LiveModel& model)
{
    std::string job = model.job;
    std::string name = path;
    const std::string_view text = path;
    if (auto full = parseCheckpointName(path)) {
        job = full->job;
        name = full->checkpoint;
    } else if (text.substr(0, kCrossJob.size()) == kCrossJob) {
        const auto rest = text.substr(kCrossJob.size());
        const auto slash = rest.find('/');
        if (slash == std::string_view::npos)
            return callUsage("'" + path + "' is not cross_job://<job>/<name>", {});
        job = std::string(rest.substr(0, slash));
        name = std::string(rest.substr(slash + 1));
    } else if (text.substr(0, kTinkerScheme.size()) == kTinkerScheme) {
        const auto rest = text.substr(kTinkerScheme.size());
        const auto slash = rest.find("/weights/");
        if (slash == std::string_view::npos)
            return callUsage("'" + path + "' is not tinker://<model>/weights/<name>", {});
        if (const auto other = findModel(std::string(rest.substr(0, slash)), {}))
            job = other->job;
        name = std::string(rest.substr(slash + 9));
    }
    if (!isSafeId(name) || !isSafeId(job))
        return callUsage("'" + path + "' does not name a saved state",
            "use a name of list_checkpoints or cross_job://<job>/<name>");
    return m_store.checkpoint(job, name, CheckpointSpace::State);
}

void TrainerService::loadWeights(const HttpRequest& request, const Responder& responder)
{
    auto wire = decodeLoadWeights(request.body);
    if (!wire)
        return responder.send(callError(wire.error()));
    submit(request, responder, wire->modelId, wire->seqId, true,
        [this, load = *wire](LiveModel& model, const std::stop_token&) -> Result<std::string> {
            auto row = resolveState(load.path, model);
            if (!row)
                return row.error();
            if (row->baseModel != model.baseModel)
                return callUsage("the state " + row->id + " is of " + row->baseModel + ", not of "
                        + model.baseModel,
                    "load a state of the same base model");
            auto status =
                model.engine->loadState(m_store.absolute(row->folder), load.withOptimizer);
            if (!status)
                return status.error();
            return encodeWeightsResult({ "load_weights", load.path, {} });
        });
}

} // namespace desk::local
