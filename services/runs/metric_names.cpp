// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/runs/metric_names.h"

#include <algorithm>
#include <array>

namespace desk {
namespace {

    constexpr std::array<std::string_view, 13> kLossNames { "train/loss", "train/ce_loss",
        "train/dpo_loss", "train/orpo_loss", "train/mean_loss", "train_mean_nll", "train/mean_nll",
        "dpo_loss", "loss", "train_loss", "loss:sum", "actor/pg_loss", "nll" };
    constexpr std::array<std::string_view, 7> kEvalLossNames { "eval/loss", "test/nll", "eval_loss",
        "test/loss", "validation/loss", "val/loss", "eval/nll" };
    constexpr std::array<std::string_view, 6> kLearningRateNames { "optim/lr", "learning_rate",
        "train/lr", "train/learning_rate", "lr", "actor/lr" };
    constexpr std::array<std::string_view, 5> kGradientNormNames { "optim/grad_norm",
        "train/grad_norm", "grad_norm", "actor/grad_norm", "train/grad_norm_rms" };
    constexpr std::array<std::string_view, 5> kTokensPerSecondNames { "perf/tokens_per_second",
        "train/tokens_per_sec", "perf/step_tokens_per_s", "tokens_per_second", "perf/throughput" };

} // namespace

std::span<const std::string_view> metricAliases(MetricConcept metric) noexcept
{
    switch (metric) {
    case MetricConcept::Loss:
        return kLossNames;
    case MetricConcept::EvalLoss:
        return kEvalLossNames;
    case MetricConcept::LearningRate:
        return kLearningRateNames;
    case MetricConcept::GradientNorm:
        return kGradientNormNames;
    case MetricConcept::TokensPerSecond:
        return kTokensPerSecondNames;
    }
    return {};
}

std::optional<std::string> metricNameOf(MetricConcept metric, const std::vector<std::string>& names)
{
    for (const auto alias : metricAliases(metric)) {
        if (std::find(names.begin(), names.end(), alias) != names.end())
            return std::string(alias);
    }
    return std::nullopt;
}

} // namespace desk
