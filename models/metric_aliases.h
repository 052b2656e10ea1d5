// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace desk {

class SeriesStore;

/// What a chart is about, whatever a training loop calls it.
enum class MetricConcept
{
    TrainLoss,
    EvalLoss,
    LearningRate,
    GradientNorm,
    Throughput ///< tokens per second
};

/// Keys that carry a concept, best first. Source: runs.md section 6.1 (Fireworks, Tinker, verl and
/// TRL spellings), and the keys of trainerdesk-ctl's own loop.
[[nodiscard]] const std::vector<std::string>& aliasesOf(MetricConcept what);
/// The first alias that the store has samples of.
[[nodiscard]] std::optional<std::string> findMetric(const SeriesStore& store, MetricConcept what);

} // namespace desk
