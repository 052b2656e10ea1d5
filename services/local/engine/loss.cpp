// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/loss.h"

namespace desk::local {

Result<Loss> lossFrom(std::string_view name)
{
    if (name == "cross_entropy")
        return Loss { LossKind::CrossEntropy };
    return Error { Error::Code::Usage,
        "Unknown loss_fn '" + std::string(name) + "'; valid: cross_entropy", "Nothing was computed",
        "Use cross_entropy", {} };
}

LossValue evaluateLoss(const Loss& loss, const LossInputs& inputs, std::span<const double> logprobs)
{
    LossValue value;
    value.elementwise.resize(logprobs.size());
    value.gradient.resize(logprobs.size());
    const auto candidates = static_cast<std::size_t>(inputs.candidates);
    bool hasGradient = false;
    for (std::size_t i = 0; i < logprobs.size(); ++i) {
        const double weight = inputs.weights.empty() ? 1.0 : static_cast<double>(inputs.weights[i]);
        switch (loss.kind) {
        case LossKind::CrossEntropy:
            // A weight of zero masks the position even where the log-probability is -inf.
            value.elementwise[i] = weight == 0.0 ? 0.0F : static_cast<float>(-weight * logprobs[i]);
            value.sum += weight == 0.0 ? 0.0 : -weight * logprobs[i];
            value.gradient[i] = weight == 0.0 ? 0.0 : -weight;
            break;
        }
        hasGradient = hasGradient || value.gradient[i] != 0.0;
        if ((i + 1) % candidates == 0) {
            value.lossTokens += hasGradient ? 1 : 0;
            hasGradient = false;
        }
    }
    return value;
}

} // namespace desk::local
