// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/trainer/wire_convert.h"

#include "services/codecs/tinker_proto.h"

#include <cmath>
#include <limits>
#include <utility>

namespace desk::local {

namespace {

    Error badDatum(std::size_t index, const std::string& what)
    {
        return Error { Error::Code::Usage, "datum " + std::to_string(index) + ": " + what,
            "nothing was computed", {}, {} };
    }

    /// The float tensor of that name; empty if it is absent. Lengths are the loss's business.
    Result<std::vector<float>> floatInput(
        const desk::Datum& wire, std::size_t index, const char* name)
    {
        const auto found = wire.lossInputs.find(name);
        if (found == wire.lossInputs.end())
            return std::vector<float> {};
        const auto& tensor = found->second;
        if (tensor.type == TensorType::Float32) {
            if (tensor.floats.empty())
                return badDatum(index, std::string(name) + " is empty");
            return tensor.floats;
        }
        std::vector<float> values;
        values.reserve(tensor.ints.size());
        for (const auto value : tensor.ints)
            values.push_back(static_cast<float>(value));
        return values;
    }

    Result<Datum> withLossInputs(Datum datum, const desk::Datum& wire, std::size_t index)
    {
        auto& loss = datum.loss;
        const std::pair<const char*, std::vector<float>*> inputs[] = {
            { "weights", &loss.weights },
            { "logprobs", &loss.logprobs },
            { "advantages", &loss.advantages },
            { "sequence_ratio_mask", &loss.sequenceRatioMask },
            { "clip_low_threshold", &loss.clipLow },
            { "clip_high_threshold", &loss.clipHigh },
        };
        for (const auto& [name, target] : inputs) {
            auto values = floatInput(wire, index, name);
            if (!values)
                return values.error();
            *target = *std::move(values);
        }
        if (!loss.weights.empty() && loss.weights.size() != loss.targets.size())
            return badDatum(index,
                "weights has " + std::to_string(loss.weights.size())
                    + " elements, target_tokens has " + std::to_string(loss.targets.size()));
        return datum;
    }

    Result<Datum> toEngineDatum(const desk::Datum& wire, std::size_t index)
    {
        Datum datum;
        datum.tokens.reserve(wire.tokens.size());
        for (const auto token : wire.tokens) {
            if (token < 0 || token > std::numeric_limits<std::int32_t>::max())
                return badDatum(
                    index, "token " + std::to_string(token) + " is not in the vocabulary");
            datum.tokens.push_back(static_cast<std::int32_t>(token));
        }
        const auto targets = wire.lossInputs.find("target_tokens");
        if (targets == wire.lossInputs.end())
            return badDatum(index, "missing required field 'target_tokens'");
        if (targets->second.type != TensorType::Int64)
            return badDatum(index, "target_tokens must be int64");
        datum.loss.targets = targets->second.ints;
        const auto& shape = targets->second.shape;
        if (shape.size() > 2)
            return badDatum(index, "target_tokens must have one or two dimensions");
        if (shape.size() == 2) {
            if (shape[1] < 1 || shape[1] > 1024)
                return badDatum(index, "target_tokens must have 1 to 1024 candidates a position");
            datum.loss.candidates = static_cast<int>(shape[1]);
        }
        const auto wanted = wire.tokens.size() * static_cast<std::size_t>(datum.loss.candidates);
        if (datum.loss.targets.size() != wanted)
            return badDatum(index,
                "target_tokens has " + std::to_string(datum.loss.targets.size())
                    + " elements, model_input has " + std::to_string(wire.tokens.size())
                    + " tokens");
        return withLossInputs(std::move(datum), wire, index);
    }

    TensorData tensorOf(std::vector<float> values, std::vector<std::int64_t> shape)
    {
        TensorData tensor;
        tensor.type = TensorType::Float32;
        tensor.floats = std::move(values);
        tensor.shape = std::move(shape);
        return tensor;
    }

} // namespace

Result<std::vector<Datum>> toEngineData(const std::vector<desk::Datum>& data)
{
    std::vector<Datum> result;
    result.reserve(data.size());
    for (const auto& wire : data) {
        auto datum = toEngineDatum(wire, result.size());
        if (!datum)
            return datum.error();
        result.push_back(std::move(*datum));
    }
    return result;
}

Result<Loss> toEngineLoss(const desk::ForwardRequest& request, int& topK)
{
    topK = 0;
    auto config = request.lossConfig;
    if (const auto found = config.find("top_k"); found != config.end()) {
        const auto value = found->second;
        if (request.isBackward || !(value >= 0 && value <= 1024) || value != std::floor(value))
            return Error { Error::Code::Usage,
                "the option 'top_k' is for forward passes and takes whole numbers up to 1024",
                "nothing was computed", "leave the option out", {} };
        topK = static_cast<int>(value);
        config.erase(found);
    }
    return lossFrom(request.lossFn, config, request.lossTextConfig);
}

Result<FutureResult> toWireResult(
    const ForwardResult& result, const desk::ForwardRequest& request, int topK)
{
    desk::ForwardResult wire;
    for (std::size_t i = 0; i < result.data.size(); ++i) {
        const auto& made = result.data[i];
        const auto& datum = request.data[i];
        std::map<std::string, TensorData> output;
        output["logprobs"] = tensorOf(made.logprobs, datum.lossInputs.at("target_tokens").shape);
        if (topK > 0) {
            const std::vector<std::int64_t> shape { static_cast<std::int64_t>(datum.tokens.size()),
                topK };
            output["top_k_logprobs"] = tensorOf(made.topLogprobs, shape);
            TensorData indices;
            indices.type = TensorType::Int64;
            indices.ints = made.topIndices;
            indices.shape = shape;
            output["top_k_indices"] = std::move(indices);
        }
        wire.outputs.push_back(std::move(output));
    }
    wire.metrics = result.metrics;
    wire.metrics.try_emplace("loss:sum", result.lossSum);
    wire.metrics.try_emplace("num_tokens:sum", static_cast<double>(result.tokens));
    wire.metrics.try_emplace("num_loss_tokens:sum", static_cast<double>(result.lossTokens));
    auto json = encodeForwardResult(wire);
    if (!json)
        return json.error();
    return FutureResult { *std::move(json), encodeForwardResultProto(wire) };
}

AdamParams toEngineAdam(const desk::AdamParams& params)
{
    return AdamParams { params.learningRate, params.beta1, params.beta2, params.eps,
        params.weightDecay, params.gradClipNorm };
}

GradNormalization toEngineNormalization(GradAccNormalization normalization)
{
    switch (normalization) {
    case GradAccNormalization::None:
        return GradNormalization::None;
    case GradAccNormalization::NumLossTokens:
        return GradNormalization::NumLossTokens;
    case GradAccNormalization::NumSequences:
        return GradNormalization::NumSequences;
    }
    return GradNormalization::None;
}

Result<std::string> toWireOptim(
    const OptimResult& result, const std::string& gradNormMetrics, bool withStep)
{
    desk::OptimResult wire;
    wire.metrics["grad_norm"] = result.gradNorm;
    wire.metrics["lr"] = result.learningRate;
    if (withStep)
        wire.metrics["step"] = static_cast<double>(result.step);
    wire.metrics["changed_parameters"] = static_cast<double>(result.changedParameters);
    if (gradNormMetrics == "basic" || gradNormMetrics == "detailed") {
        wire.metrics["grad_norm_rms"] = result.gradNormRms;
        wire.metrics["grad_norm_pre_norm"] = result.gradNormPreNormalization;
        wire.metrics["grad_norm_post_clip"] = result.gradNormPostClip;
    }
    if (gradNormMetrics == "detailed")
        for (const auto& [bucket, norm] : result.gradNormBuckets)
            wire.metrics["grad_norm_" + bucket] = norm;
    return encodeOptimResult(wire);
}

std::string futureCategory(const Error& error)
{
    switch (error.code) {
    case Error::Code::Usage:
    case Error::Code::Malformed:
    case Error::Code::Refused:
    case Error::Code::NotFound:
    case Error::Code::Conflict:
        return "user";
    default:
        return "server";
    }
}

std::string wireMessage(const Error& error)
{
    std::string text = error.message;
    if (!error.unchanged.empty())
        text += "; " + error.unchanged;
    if (!error.next.empty())
        text += "; " + error.next;
    return text;
}

} // namespace desk::local
