// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/recipe_codec.h"

#include <cstdint>

namespace desk {

/// Learning rate of a step, counted from 1, of `total` steps: linear warm-up to the recipe's rate
/// over warmup_steps, then constant, linear to 0, or half a cosine to 10 %.
[[nodiscard]] double learningRateAt(
    const Recipe& recipe, std::int64_t step, std::int64_t total) noexcept;

} // namespace desk
