// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/loss.h"

#include <algorithm>
#include <cmath>

namespace desk::local {
namespace {
    double weightAt(const LossInputs& inputs, std::size_t i)
    {
        return inputs.weights.empty() ? 1.0 : static_cast<double>(inputs.weights[i]);
    }

    struct LossToken
    {
        double lp, q, advantage, low, high;
    };
    LossToken tokenAt(
        const Loss& loss, const LossInputs& inputs, std::span<const double> logprobs, std::size_t i)
    {
        return { logprobs[i], static_cast<double>(inputs.logprobs[i]),
            static_cast<double>(inputs.advantages[i]),
            inputs.clipLow.empty() ? loss.clipLow : static_cast<double>(inputs.clipLow[i]),
            inputs.clipHigh.empty() ? loss.clipHigh : static_cast<double>(inputs.clipHigh[i]) };
    }

    // Value and derivative by lp of one token, before its weight.
    struct LossTerm
    {
        double value = 0.0;
        double slope = 0.0;
        double ratio = 1.0;
    };

    // exp(lp - q), its exponent kept within the cap; the derivative beyond the cap is zero.
    struct Ratio
    {
        double value, slope;
    };
    Ratio ratioOf(double logRatio, std::optional<double> cap)
    {
        if (cap && std::abs(logRatio) > *cap)
            return { std::exp(std::copysign(*cap, logRatio)), 0.0 };
        const double ratio = std::exp(logRatio);
        return { ratio, ratio };
    }

    // -min(r A, clamp(r) A); where both are equal the unclipped side gives the derivative.
    LossTerm clippedTerm(const Ratio& ratio, const LossToken& token)
    {
        const double free = ratio.value * token.advantage;
        const double held =
            std::min(std::max(ratio.value, token.low), token.high) * token.advantage;
        if (free <= held)
            return { -free, -ratio.slope * token.advantage, ratio.value };
        return { -held, 0.0, ratio.value };
    }

    LossTerm termOf(const Loss& loss, const LossToken& token)
    {
        const double logRatio = token.lp - token.q;
        if (loss.kind == LossKind::Dro) {
            return { -(token.lp * token.advantage - 0.5 * loss.beta * logRatio * logRatio),
                -(token.advantage - loss.beta * logRatio), std::exp(logRatio) };
        }
        // No part in the loss, even where the log-probability is -inf.
        if (token.advantage == 0.0)
            return {};
        const Ratio ratio = ratioOf(logRatio, loss.ratioLogCap);
        switch (loss.kind) {
        case LossKind::ImportanceSampling:
            return { -ratio.value * token.advantage, -ratio.slope * token.advantage, ratio.value };
        case LossKind::Cispo: {
            const double held = std::min(std::max(ratio.value, token.low), token.high);
            return { -held * token.lp * token.advantage, -held * token.advantage, ratio.value };
        }
        case LossKind::Dapo: {
            LossTerm term = clippedTerm(ratio, token);
            if (token.advantage < 0.0 && term.value > -loss.epsClipC * token.advantage)
                term = { -loss.epsClipC * token.advantage, 0.0, ratio.value };
            return term;
        }
        default:
            return clippedTerm(ratio, token);
        }
    }

    void count(LossValue& value, const LossToken& token, double ratio)
    {
        ++value.activeTokens;
        value.ratioSum += ratio;
        value.clippedTokens += ratio < token.low || ratio > token.high ? 1 : 0;
        value.klSum += token.q - token.lp;
    }

    void entropyLoss(LossValue& value, const LossInputs& inputs, std::span<const double> logprobs)
    {
        for (std::size_t i = 0; i < logprobs.size(); ++i) {
            // A weight of zero masks the position even where the log-probability is -inf.
            const double weight = weightAt(inputs, i);
            const double term = weight == 0.0 ? 0.0 : -weight * logprobs[i];
            value.elementwise[i] = static_cast<float>(term);
            value.sum += term;
            value.gradient[i] = weight == 0.0 ? 0.0 : -weight;
        }
    }

    void tokenLoss(LossValue& value, const Loss& loss, const LossInputs& inputs,
        std::span<const double> logprobs)
    {
        for (std::size_t i = 0; i < logprobs.size(); ++i) {
            const double weight = weightAt(inputs, i);
            if (weight == 0.0)
                continue;
            const LossToken token = tokenAt(loss, inputs, logprobs, i);
            const LossTerm term = termOf(loss, token);
            value.elementwise[i] = static_cast<float>(weight * term.value);
            value.sum += weight * term.value;
            value.gradient[i] = weight * term.slope;
            if (token.advantage != 0.0)
                count(value, token, term.ratio);
        }
    }

    bool isInRatio(const LossInputs& inputs, std::size_t i)
    {
        return inputs.sequenceRatioMask.empty()
            ? inputs.advantages[i] != 0.0F && weightAt(inputs, i) != 0.0
            : inputs.sequenceRatioMask[i] != 0.0F;
    }

    // One ratio for the sequence: every token's clipped term moves with the log-probabilities of
    // all tokens of the mask.
    void sequenceLoss(LossValue& value, const Loss& loss, const LossInputs& inputs,
        std::span<const double> logprobs)
    {
        double logSum = 0.0;
        double maskSum = 0.0;
        for (std::size_t i = 0; i < logprobs.size(); ++i)
            if (isInRatio(inputs, i)) {
                logSum += logprobs[i] - static_cast<double>(inputs.logprobs[i]);
                maskSum += 1.0;
            }
        const Ratio ratio = ratioOf(maskSum > 0.0 ? logSum / maskSum : 0.0, loss.seqRatioLogCap);
        double slope = 0.0; // of the sum by the mean
        for (std::size_t i = 0; i < logprobs.size(); ++i) {
            const double weight = weightAt(inputs, i);
            const LossToken token = tokenAt(loss, inputs, logprobs, i);
            if (weight == 0.0 || token.advantage == 0.0)
                continue;
            const LossTerm term = clippedTerm(ratio, token);
            value.elementwise[i] = static_cast<float>(weight * term.value);
            value.sum += weight * term.value;
            slope += weight * term.slope;
            count(value, token, ratio.value);
        }
        for (std::size_t i = 0; i < logprobs.size(); ++i)
            if (isInRatio(inputs, i))
                value.gradient[i] = slope / maskSum;
    }
} // namespace

LossValue evaluateLoss(const Loss& loss, const LossInputs& inputs, std::span<const double> logprobs)
{
    LossValue value;
    value.elementwise.resize(logprobs.size());
    value.gradient.resize(logprobs.size());
    if (loss.kind == LossKind::CrossEntropy)
        entropyLoss(value, inputs, logprobs);
    else if (loss.kind == LossKind::Gspo)
        sequenceLoss(value, loss, inputs, logprobs);
    else
        tokenLoss(value, loss, inputs, logprobs);
    const auto candidates = static_cast<std::size_t>(inputs.candidates);
    for (std::size_t i = 0; i < value.gradient.size(); i += candidates)
        value.lossTokens +=
            std::any_of(value.gradient.begin() + static_cast<std::ptrdiff_t>(i),
                value.gradient.begin() + static_cast<std::ptrdiff_t>(i + candidates),
                [](double slope) { return slope != 0.0; })
            ? 1
            : 0;
    return value;
}

} // namespace desk::local
