// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/trainer/custom_loss.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace desk {
namespace {

    constexpr std::array kPolicyLosses { "importance_sampling", "ppo", "cispo", "dro", "dapo",
        "gspo" };

    bool isPolicyLoss(const std::string& lossFn)
    {
        return std::find(kPolicyLosses.begin(), kPolicyLosses.end(), lossFn) != kPolicyLosses.end();
    }

    std::string datumLabel(std::size_t index)
    {
        return "datum " + std::to_string(index);
    }

    std::size_t targetCount(const Datum& datum)
    {
        const auto found = datum.lossInputs.find("target_tokens");
        return found == datum.lossInputs.end() ? 0 : found->second.ints.size();
    }

    Error gradientError(std::string message)
    {
        return { Error::Code::Usage, std::move(message), "No gradient was sent",
            "Return one gradient per log-probability of each datum", {} };
    }

} // namespace

std::string problemWithCustomData(const std::vector<Datum>& data)
{
    for (std::size_t i = 0; i < data.size(); ++i) {
        for (const auto& [name, tensor] : data[i].lossInputs) {
            if (name != "target_tokens" && name != "weights")
                return "A loss of your own takes target_tokens and weights only, and "
                    + datumLabel(i) + " has " + name.substr(0, 100);
        }
        if (targetCount(data[i]) == 0)
            return datumLabel(i)
                + " has no target_tokens, whose log-probabilities the loss would get";
    }
    return {};
}

std::string problemWithBuiltInData(const std::vector<Datum>& data, const std::string& lossFn)
{
    for (std::size_t i = 0; i < data.size(); ++i) {
        const auto& inputs = data[i].lossInputs;
        if (inputs.count("target_tokens") == 0)
            return "The built-in loss " + lossFn.substr(0, 100) + " needs target_tokens, and "
                + datumLabel(i) + " has none";
        if (!isPolicyLoss(lossFn))
            continue;
        for (const char* key : { "logprobs", "advantages" }) {
            if (inputs.count(key) == 0)
                return "The loss " + lossFn + " needs " + key + ", and " + datumLabel(i)
                    + " has none";
        }
    }
    return {};
}

std::vector<Datum> withZeroWeights(std::vector<Datum> data)
{
    for (auto& datum : data) {
        if (datum.lossInputs.count("weights") != 0)
            continue;
        const auto& targets = datum.lossInputs.at("target_tokens");
        TensorData weights;
        weights.floats.assign(targets.ints.size(), 0.0F);
        weights.shape = targets.shape;
        datum.lossInputs["weights"] = std::move(weights);
    }
    return data;
}

Result<std::vector<std::vector<float>>> logprobsOf(
    const ForwardResult& result, const std::vector<Datum>& data)
{
    const auto broken = [](std::string message) {
        return Error { Error::Code::Malformed, std::move(message), "No gradient was sent",
            "Look at the trainer's version: it does not answer as documented", {} };
    };
    if (result.outputs.size() != data.size())
        return broken("The trainer answered " + std::to_string(result.outputs.size())
            + " outputs for " + std::to_string(data.size()) + " datums");
    std::vector<std::vector<float>> all;
    all.reserve(data.size());
    for (std::size_t i = 0; i < data.size(); ++i) {
        const auto found = result.outputs[i].find("logprobs");
        if (found == result.outputs[i].end() || found->second.floats.size() != targetCount(data[i]))
            return broken("The trainer's output of " + datumLabel(i)
                + " does not hold one log-probability per target token");
        all.push_back(found->second.floats);
    }
    return all;
}

Result<std::vector<Datum>> withGradients(std::vector<Datum> data, const CustomLossValue& value,
    const std::vector<std::vector<float>>& logprobs)
{
    if (value.gradients.size() != data.size())
        return gradientError("The loss gave gradients for " + std::to_string(value.gradients.size())
            + " datums of " + std::to_string(data.size()));
    for (std::size_t i = 0; i < data.size(); ++i) {
        const auto& gradient = value.gradients[i];
        if (gradient.size() != logprobs[i].size())
            return gradientError("The loss gave " + std::to_string(gradient.size())
                + " gradients for the " + std::to_string(logprobs[i].size())
                + " log-probabilities of " + datumLabel(i));
        TensorData weights;
        weights.floats.reserve(gradient.size());
        for (const float slope : gradient) {
            if (!std::isfinite(slope))
                return gradientError("A gradient of " + datumLabel(i) + " is not finite");
            weights.floats.push_back(slope == 0.0F ? 0.0F : -slope);
        }
        weights.shape = data[i].lossInputs.at("target_tokens").shape;
        data[i].lossInputs["weights"] = std::move(weights);
    }
    return data;
}

double responseTokens(const std::vector<Datum>& data)
{
    double count = 0;
    for (const auto& datum : data) {
        const auto weights = datum.lossInputs.find("weights");
        if (weights == datum.lossInputs.end()) {
            count += static_cast<double>(targetCount(datum));
            continue;
        }
        const auto& floats = weights->second.floats;
        const auto& ints = weights->second.ints;
        count += static_cast<double>(std::count_if(
            floats.begin(), floats.end(), [](float weight) { return weight != 0.0F; }));
        count += static_cast<double>(
            std::count_if(ints.begin(), ints.end(), [](auto weight) { return weight != 0; }));
    }
    return count;
}

} // namespace desk
