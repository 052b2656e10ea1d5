// SPDX-License-Identifier: GPL-3.0-or-later
// forward, forward_backward, optim_step of TrainerService, and the calls that it refuses.
#include "services/codecs/tinker_proto.h"
#include "services/local/server/zstd_body.h"
#include "services/local/trainer/trainer_service.h"
#include "services/local/trainer/wire_convert.h"

#include <algorithm>
#include <utility>

namespace desk::local {

namespace {

    constexpr std::size_t kParseElsewhere = 256 * 1024; // bytes of a body
    constexpr std::string_view kProtobufBody = "application/x-protobuf";

    bool isProtobuf(const HttpRequest& request)
    {
        return request.header("Content-Type").substr(0, kProtobufBody.size()) == kProtobufBody;
    }

    Result<desk::ForwardRequest> readForwardBody(const HttpRequest& request, bool isBackward)
    {
        if (isProtobuf(request))
            return decodeForwardProto(request.body); // says itself whether it is forward only
        auto wire = decodeForward(request.body);
        if (wire)
            wire->isBackward = isBackward;
        return wire;
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
    post(router, "optim_step", &TrainerService::optimStep);
    post(router, "create_custom_loss", &TrainerService::customLoss);
    post(router, "weight_sync", &TrainerService::weightSync);
}

void TrainerService::forward(HttpRequest request, const Responder& responder, bool isBackward)
{
    if (request.body.size() < kParseElsewhere && request.header("Content-Encoding").empty())
        return submitForward(request, responder, isBackward);
    m_parts.parsers.post(
        [this, responder, isBackward, shared = std::make_shared<HttpRequest>(std::move(request))] {
            if (auto status = unpackBody(*shared); !status)
                return responder.send(trainerError(status.error())); // damaged on the way
            submitForward(*shared, responder, isBackward);
        });
}

void TrainerService::submitForward(
    const HttpRequest& request, const Responder& responder, bool isBackward)
{
    auto wire = readForwardBody(request, isBackward);
    if (!wire) // a refused submission would end the client for good
        return responder.send(jsonResponse(
            encodeFutureRef({ m_parts.futures.rejected(wireMessage(wire.error())), {} })));
    const Submission what { wire->modelId, wire->seqId, !wire->isBackward, true };
    auto shared = std::make_shared<desk::ForwardRequest>(*std::move(wire));
    submit(request, responder, what,
        [this, shared](LiveModel& model, std::stop_token stop) -> Result<FutureResult> {
            if (shared->isBackward && model.isBaseOnly)
                return trainerUsage("the model " + model.id + " is for forward passes only",
                    "create a model without base_only");
            if (shared->data.empty())
                return trainerUsage("the batch has no data", "send at least one datum");
            int topK = 0;
            auto loss = toEngineLoss(*shared, topK);
            if (!loss)
                return loss.error();
            auto data = toEngineData(shared->data);
            if (!data)
                return data.error();
            auto result =
                model.engine->forward(*data, *loss, { shared->isBackward, topK }, std::move(stop));
            if (!result)
                return result.error();
            note(shared->isBackward ? TrainingNote::Kind::Backward : TrainingNote::Kind::Forward,
                model, [&](TrainingNote& told) {
                    told.tokens = result->tokens;
                    if (shared->isBackward)
                        told.loss = result->lossSum
                            / static_cast<double>(std::max<std::int64_t>(result->lossTokens, 1));
                });
            return toWireResult(*result, *shared, topK);
        });
}

void TrainerService::optimStep(const HttpRequest& request, const Responder& responder)
{
    auto wire = decodeOptimStep(request.body);
    if (!wire)
        return responder.send(trainerError(wire.error()));
    // tinker-cookbook merges these names into its rows, which have a step of their own.
    const bool isTinker = isPlainTinker(request);
    submit(request, responder, { wire->modelId, wire->seqId, true, true },
        [this, step = *wire, isTinker](
            LiveModel& model, const std::stop_token&) -> Result<FutureResult> {
            if (model.isBaseOnly)
                return trainerUsage("the model " + model.id + " is for forward passes only",
                    "create a model without base_only");
            if (!step.otherOptimizer.empty())
                return trainerUsage("the model " + model.id + " is trained by adamw, not by "
                        + step.otherOptimizer.substr(0, 50),
                    "send adam_params");
            auto result = model.engine->optimStep(
                toEngineAdam(step.adam), toEngineNormalization(step.normalization));
            if (!result)
                return result.error();
            model.isTrained = true;
            note(TrainingNote::Kind::Step, model,
                [&](TrainingNote& told) { told.step = result->step; });
            auto json = toWireOptim(*result, step.adam.gradNormMetrics, !isTinker);
            if (!json)
                return json.error();
            return FutureResult { *std::move(json), {} };
        });
}

void TrainerService::customLoss(const HttpRequest&, const Responder& responder)
{
    responder.send(jsonResponse(
        encodeFutureRef({ m_parts.futures.rejected("this backend runs no uploaded losses; nothing "
                                                   "was kept; call forward_backward_custom, "
                                                   "which computes the loss in the client"),
            {} })));
}

void TrainerService::weightSync(const HttpRequest&, const Responder& responder)
{
    // The body holds the client's key: it is not even read.
    responder.send(jsonResponse(
        encodeFutureRef({ m_parts.futures.rejected("this backend has no RDMA transport; nothing "
                                                   "was sent; save for the sampler and hot load "
                                                   "the snapshot"),
            {} })));
}

} // namespace desk::local
