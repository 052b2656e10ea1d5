// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/kernels.h"
#include "services/local/engine/lora.h"
#include "services/local/engine/model_config.h"
#include "services/local/engine/network.h"
#include "services/local/engine/sampling.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

namespace desk::local {

/// What is computed with: flat weights (tensorSpecs), and an adapter (loraSpecs) or none.
struct DecoderWeights
{
    const float* weights = nullptr;
    const LoraLayout* lora = nullptr;
    const float* adapter = nullptr;
};

/// Draws tokens one by one with a cache of keys and values, in the calling thread. Immutable; the
/// weights come with each call. Any thread, several at a time.
class Decoder
{
public:
    explicit Decoder(const ModelConfig& config);

    /// Asked after every drawn token with all of them: how many of them to keep when the text ends
    /// here, nothing when it goes on.
    using EndOfText = std::function<std::optional<std::size_t>(std::span<const std::int32_t>)>;

    [[nodiscard]] Result<Completion> generate(const DecoderWeights& weights,
        std::span<const std::int32_t> prompt, const SamplingParams& params,
        const std::stop_token& stop, const EndOfText& endOfText = {}) const;

private:
    struct Cache;
    struct Sizes
    {
        std::size_t hidden, inner, heads, kvHeads, headDim, queries, keys, qkv, vocab, positions;
    };
    // A product of the rows of a block with a matrix and its adapter.
    struct Product
    {
        std::size_t offset, out, in;
        const LoraGroup* group; ///< nullptr: no adapter
        bool adds;
    };
    void product(const DecoderWeights& w, const Product& p, std::size_t count, const float* x,
        float* y) const;
    void adapt(const DecoderWeights& w, const LoraGroup& group, std::size_t count, const float* x,
        float* y, std::size_t yStride) const;
    void advance(const DecoderWeights& w, std::span<const std::int32_t> tokens, Cache& cache) const;
    void headsOf(const DecoderWeights& w, std::size_t layer, std::size_t count, Cache& cache) const;
    void attend(Cache& cache, std::size_t layer, std::size_t row) const;
    void logits(
        const DecoderWeights& w, std::size_t firstRow, std::size_t count, Cache& cache) const;
    void rotate(float* head, std::size_t position) const;
    [[nodiscard]] Cache newCache(std::size_t capacity, std::size_t block) const;
    [[nodiscard]] Status check(
        std::span<const std::int32_t> prompt, const SamplingParams& params) const;
    [[nodiscard]] Status readPrompt(const DecoderWeights& w, std::span<const std::int32_t> prompt,
        const SamplingParams& params, const std::stop_token& stop, Cache& cache,
        Completion& completion) const;

    ModelConfig m_config;
    Sizes m_sizes;
    const Kernels<float>& m_kernels;
    std::vector<LayerOffsets> m_offsets;
    std::size_t m_finalNorm = 0;
    std::size_t m_unembed = 0;
    std::vector<float> m_cos, m_sin;
};

} // namespace desk::local
