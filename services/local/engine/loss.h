// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

// Losses as functions of the log-probabilities of the targets (trainer.md section 3.4); they know
// nothing of the model. Sums over tokens, never means.

namespace desk::local {

/// Per-sequence inputs, row-major; `candidates` is K of (N, K) targets.
struct LossInputs
{
    std::vector<std::int64_t> targets; ///< N x candidates
    std::vector<float> weights; ///< same shape, any sign; empty: ones
    int candidates = 1;
};

enum class LossKind
{
    CrossEntropy ///< -sum of w * lp
};

struct Loss
{
    LossKind kind = LossKind::CrossEntropy;
};

/// Usage error that names the valid losses for another word than "cross_entropy".
[[nodiscard]] Result<Loss> lossFrom(std::string_view name);

struct LossValue
{
    double sum = 0.0;
    std::int64_t lossTokens = 0; ///< positions with at least one non-zero gradient
    std::vector<float> elementwise; ///< shape of the targets
    std::vector<double> gradient; ///< d sum / d logprob, shape of the targets
};

/// `logprobs` has the shape of `inputs.targets`.
[[nodiscard]] LossValue evaluateLoss(
    const Loss& loss, const LossInputs& inputs, std::span<const double> logprobs);

} // namespace desk::local
