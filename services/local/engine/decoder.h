// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/kernels.h"
#include "services/local/engine/model_config.h"
#include "services/local/engine/network.h"
#include "services/local/engine/sampling.h"

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

namespace desk::local {

/// Draws tokens one by one with a cache of keys and values, in the calling thread. Immutable; the
/// weights come with each call. Any thread, several at a time.
class Decoder
{
public:
    explicit Decoder(const ModelConfig& config);

    /// `onToken` sees every drawn token before the next one; false ends the text (Stop).
    [[nodiscard]] Result<Completion> generate(const float* weights,
        std::span<const std::int32_t> prompt, const SamplingParams& params, std::stop_token stop,
        const std::function<bool(std::int32_t)>& onToken = {}) const;

private:
    struct Cache;
    void advance(const float* weights, std::int32_t token, Cache& cache) const;
    void attend(Cache& cache, std::size_t layer) const;
    void rotate(float* head, std::size_t position) const;
    [[nodiscard]] Status check(
        std::span<const std::int32_t> prompt, const SamplingParams& params) const;

    ModelConfig m_config;
    const Kernels<float>& m_kernels;
    std::vector<LayerOffsets> m_offsets;
    std::size_t m_finalNorm = 0;
    std::vector<float> m_cos, m_sin;
};

} // namespace desk::local
