// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/token_draw.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace desk::local {
namespace {
    constexpr float kNoLogprob = -99999.0F;

    bool isBefore(std::span<const float> logits, std::size_t a, std::size_t b)
    {
        return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
    }

    // The best `count` ids, in order when `sorted`.
    std::vector<std::size_t> bestIds(std::span<const float> logits, std::size_t count)
    {
        std::vector<std::size_t> order(logits.size());
        std::iota(order.begin(), order.end(), std::size_t { 0 });
        std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count),
            order.end(), [&](std::size_t a, std::size_t b) { return isBefore(logits, a, b); });
        order.resize(count);
        return order;
    }
} // namespace

double DrawSource::uniform() noexcept
{
    m_state += 0x9E3779B97F4A7C15ULL;
    std::uint64_t z = m_state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

double logSumExp(std::span<const float> logits)
{
    const auto top = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
    double total = 0.0;
    for (const float value : logits)
        total += std::exp(static_cast<double>(value) - top);
    return top + std::log(total);
}

DrawnToken drawToken(
    std::span<const float> logits, const SamplingParams& params, DrawSource& source)
{
    const auto best =
        static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    if (params.temperature <= 0.0)
        return { best, 0.0 };
    // Without a cut there is no need to sort a large vocabulary.
    const bool isCut = params.topK > 0 || params.topP < 1.0;
    const std::size_t candidates = params.topK > 0
        ? std::min(logits.size(), static_cast<std::size_t>(params.topK))
        : logits.size();
    std::vector<std::size_t> order;
    if (isCut)
        order = bestIds(logits, candidates);
    const auto idAt = [&](std::size_t i) { return isCut ? order[i] : i; };
    std::vector<double> weights(candidates);
    double total = 0.0;
    for (std::size_t i = 0; i < candidates; ++i) {
        const auto above = static_cast<double>(logits[idAt(i)]) - static_cast<double>(logits[best]);
        weights[i] = std::exp(above / params.temperature);
        total += weights[i];
    }
    double kept = params.topP < 1.0 ? 0.0 : total;
    std::size_t count = params.topP < 1.0 ? 0 : candidates;
    while (count < candidates && kept < params.topP * total)
        kept += weights[count++];
    double left = source.uniform() * kept;
    std::size_t drawn = count - 1;
    for (std::size_t i = 0; i < count; ++i) {
        left -= weights[i];
        if (left < 0.0) {
            drawn = i;
            break;
        }
    }
    // Rounding may run past the end onto a token without mass; the best one has some.
    if (weights[drawn] <= 0.0)
        return { best, -std::log(kept) };
    return { idAt(drawn), std::log(weights[drawn] / kept) };
}

void appendTop(TopLogprobs& top, std::span<const float> logits, double lse)
{
    const auto wanted = static_cast<std::size_t>(top.count);
    for (const std::size_t id : bestIds(logits, std::min(wanted, logits.size()))) {
        top.tokens.push_back(static_cast<std::int32_t>(id));
        top.logprobs.push_back(static_cast<float>(static_cast<double>(logits[id]) - lse));
    }
    for (std::size_t i = logits.size(); i < wanted; ++i) {
        top.tokens.push_back(0);
        top.logprobs.push_back(kNoLogprob);
    }
}

void appendNoTop(TopLogprobs& top)
{
    top.tokens.insert(top.tokens.end(), static_cast<std::size_t>(top.count), 0);
    top.logprobs.insert(top.logprobs.end(), static_cast<std::size_t>(top.count), kNoLogprob);
}

} // namespace desk::local
