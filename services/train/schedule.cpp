// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace desk {

double learningRateAt(const Recipe& recipe, std::int64_t step, std::int64_t total) noexcept
{
    const double peak = recipe.learningRate;
    if (step <= recipe.warmupSteps)
        return peak * static_cast<double>(step) / static_cast<double>(recipe.warmupSteps);
    const auto span = static_cast<double>(std::max<std::int64_t>(1, total - recipe.warmupSteps));
    const double done =
        std::clamp(static_cast<double>(step - recipe.warmupSteps - 1) / span, 0.0, 1.0);
    switch (recipe.schedule) {
    case LearningRateSchedule::Constant:
        return peak;
    case LearningRateSchedule::Linear:
        return peak * (1 - done);
    case LearningRateSchedule::Cosine:
        break;
    }
    constexpr double kFloor = 0.1;
    return peak * (kFloor + (1 - kFloor) * 0.5 * (1 + std::cos(std::numbers::pi * done)));
}

} // namespace desk
