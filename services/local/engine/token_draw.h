// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/local/engine/sampling.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// From logits to tokens and log-probabilities; nothing here knows the model.

namespace desk::local {

/// splitmix64 (Steele, Lea, Flood): the same draws on every platform.
class DrawSource
{
public:
    explicit DrawSource(std::uint64_t seed) noexcept
        : m_state(seed)
    {
    }
    [[nodiscard]] double uniform() noexcept; ///< [0, 1)

private:
    std::uint64_t m_state;
};

/// Log of the sum of exp, in double and in the order of the ids.
[[nodiscard]] double logSumExp(std::span<const float> logits);

struct DrawnToken
{
    std::size_t token = 0;
    double samplingLogprob = 0.0; ///< of the distribution it was drawn from
};
/// The best topK tokens, then temperature, then the smallest set of best ones that holds topP of
/// the mass; the most probable one, lowest id first, at temperature 0.
[[nodiscard]] DrawnToken drawToken(
    std::span<const float> logits, const SamplingParams& params, DrawSource& source);

/// Appends the `top.count` most probable tokens, best first, lowest id first among equals.
void appendTop(TopLogprobs& top, std::span<const float> logits, double lse);
/// Appends a row that says nothing.
void appendNoTop(TopLogprobs& top);

} // namespace desk::local
