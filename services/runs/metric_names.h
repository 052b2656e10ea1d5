// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace desk {

/// The few metrics that every table and the first charts show. Source of the names: runs.md
/// section 6.1.
enum class MetricConcept
{
    Loss,
    EvalLoss,
    LearningRate,
    GradientNorm,
    TokensPerSecond
};

/// Names under which ledgers write a concept, the best first.
[[nodiscard]] std::span<const std::string_view> metricAliases(MetricConcept metric) noexcept;
/// The first alias that is among `names`.
[[nodiscard]] std::optional<std::string> metricNameOf(
    MetricConcept metric, const std::vector<std::string>& names);

} // namespace desk
