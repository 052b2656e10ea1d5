// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/trainer/wire_convert.h"

#include <limits>
#include <utility>

namespace desk::local {

namespace {

    Error badDatum(std::size_t index, const std::string& what)
    {
        return Error { Error::Code::Usage, "datum " + std::to_string(index) + ": " + what,
            "nothing was computed", {}, {} };
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
        const auto weights = wire.lossInputs.find("weights");
        if (weights == wire.lossInputs.end())
            return datum;
        if (weights->second.type == TensorType::Float32) {
            datum.loss.weights = weights->second.floats;
        } else {
            for (const auto weight : weights->second.ints)
                datum.loss.weights.push_back(static_cast<float>(weight));
        }
        if (datum.loss.weights.size() != datum.loss.targets.size())
            return badDatum(index,
                "weights has " + std::to_string(datum.loss.weights.size())
                    + " elements, target_tokens has " + std::to_string(datum.loss.targets.size()));
        return datum;
    }

    TensorData tensorOf(std::vector<float> values, std::size_t positions, std::int64_t columns)
    {
        TensorData tensor;
        tensor.type = TensorType::Float32;
        tensor.floats = std::move(values);
        tensor.shape = { static_cast<std::int64_t>(positions) };
        if (columns > 1)
            tensor.shape.push_back(columns);
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
    for (const auto& [key, value] : request.lossConfig) {
        if (key != "top_k" || request.isBackward || value < 0 || value > 1024)
            return Error { Error::Code::Usage,
                "the loss " + request.lossFn + " has no option '" + key + "' here",
                "nothing was computed", "leave the option out", {} };
        topK = static_cast<int>(value);
    }
    if (!request.lossTextConfig.empty())
        return Error { Error::Code::Usage,
            "the loss option '" + request.lossTextConfig.begin()->first
                + "' is not offered by this backend",
            "nothing was computed", "leave the option out", {} };
    return lossFrom(request.lossFn);
}

Result<std::string> toWireResult(
    const ForwardResult& result, const std::vector<Datum>& data, int topK)
{
    desk::ForwardResult wire;
    for (std::size_t i = 0; i < result.data.size(); ++i) {
        const auto positions = data[i].tokens.size();
        std::map<std::string, TensorData> output;
        output["logprobs"] = tensorOf(result.data[i].logprobs, positions, data[i].loss.candidates);
        if (topK > 0) {
            output["top_k_logprobs"] = tensorOf(result.data[i].topLogprobs, positions, topK);
            TensorData indices;
            indices.type = TensorType::Int64;
            indices.ints = result.data[i].topIndices;
            indices.shape = { static_cast<std::int64_t>(positions), topK };
            output["top_k_indices"] = std::move(indices);
        }
        wire.outputs.push_back(std::move(output));
    }
    wire.metrics["loss:sum"] = result.lossSum;
    wire.metrics["num_tokens:sum"] = static_cast<double>(result.tokens);
    wire.metrics["num_loss_tokens:sum"] = static_cast<double>(result.lossTokens);
    return encodeForwardResult(wire);
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

Result<std::string> toWireOptim(const OptimResult& result, const std::string& gradNormMetrics)
{
    desk::OptimResult wire;
    wire.metrics["grad_norm"] = result.gradNorm;
    wire.metrics["lr"] = result.learningRate;
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
