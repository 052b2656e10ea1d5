// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Losses as functions of the log-probabilities of the targets (trainer.md section 3.4); they know
// nothing of the model. Sums over tokens, never means.

namespace desk::local {

/// Per-sequence inputs, row-major; `candidates` is K of (N, K) targets. The names in the comments
/// are those of loss_fn_inputs.
struct LossInputs
{
    std::vector<std::int64_t> targets; ///< target_tokens: N x candidates
    std::vector<float> weights; ///< weights: same shape, any sign; empty: ones. RL losses: a factor
    int candidates = 1; ///< RL losses take 1 only
    std::vector<float> logprobs; ///< logprobs: of the sampler, N
    std::vector<float> advantages; ///< advantages: N
    std::vector<float> sequenceRatioMask; ///< sequence_ratio_mask: gspo, N; empty: advantage != 0
    std::vector<float> clipLow; ///< clip_low_threshold per token, N; empty: Loss::clipLow
    std::vector<float> clipHigh; ///< clip_high_threshold per token, N; empty: Loss::clipHigh
};

// lp: log-probability under the model, q: under the sampler, A: advantage, w: weight,
// r = exp(lp - q), sg: no gradient.
enum class LossKind
{
    CrossEntropy, ///< -sum w lp
    ImportanceSampling, ///< -sum w r A
    Ppo, ///< -sum w min(r A, clamp(r, low, high) A)
    Cispo, ///< -sum w sg(clamp(r, low, high)) lp A
    Dro, ///< -sum w (lp A - beta / 2 (lp - q)^2), prompt positions too unless weights mask them
    Dapo, ///< ppo, and for A < 0 the token's min(…) is at least epsClipC A
    Gspo ///< ppo with s = exp(mean of lp - q over the tokens of the mask) for every r
};

/// A loss with its loss_fn_config.
struct Loss
{
    LossKind kind = LossKind::CrossEntropy;
    double clipLow = 0.8; ///< absolute ratios; cispo: 0
    double clipHigh = 1.2; ///< cispo: 4
    double beta = 0.05; ///< dro
    double epsClipC = 3.0; ///< dapo
    double seqRatioLogCap = 10.0; ///< gspo: the mean is kept within +- this
    std::optional<double> ratioLogCap; ///< lp - q is kept within +- this; beyond, no gradient
};

/// Name, configuration (numbers and texts of loss_fn_config) to a loss. Usage error that names the
/// valid names for an unknown one, the valid keys for an unknown key and the bounds for a value;
/// for names of which no formula is public (stable_reinforce, custom, reinforce, dppo) and for
/// embedding modes it names the alternative. `top_k` is no part of a loss: take it out before.
[[nodiscard]] Result<Loss> lossFrom(std::string_view name,
    const std::map<std::string, double>& config = {},
    const std::map<std::string, std::string>& texts = {});
/// The word of loss_fn.
[[nodiscard]] const char* toString(LossKind kind) noexcept;
/// Names in loss_fn_inputs that the loss reads; those before `requiredCount` must be there.
struct LossInputNames
{
    std::span<const char* const> names;
    std::size_t requiredCount = 0;
};
[[nodiscard]] LossInputNames lossInputNames(LossKind kind) noexcept;
/// Usage error for inputs that are missing, of another length than the targets or not finite; the
/// message names the field but not the datum. Bounds of the targets are the engine's business.
[[nodiscard]] Status checkLossInputs(
    const Loss& loss, const LossInputs& inputs, std::size_t positions);

struct LossValue
{
    double sum = 0.0;
    std::int64_t lossTokens = 0; ///< positions with at least one non-zero gradient
    std::vector<float> elementwise; ///< shape of the targets
    std::vector<double> gradient; ///< d sum / d logprob, shape of the targets
    // RL losses, over positions with an advantage and a weight other than zero:
    std::int64_t activeTokens = 0;
    double ratioSum = 0.0; ///< of r (gspo: s)
    std::int64_t clippedTokens = 0; ///< whose ratio lies outside the thresholds
    double klSum = 0.0; ///< of q - lp
};

/// `logprobs` has the shape of `inputs.targets`; the inputs were checked.
[[nodiscard]] LossValue evaluateLoss(
    const Loss& loss, const LossInputs& inputs, std::span<const double> logprobs);

} // namespace desk::local
