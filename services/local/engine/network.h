// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/local/engine/kernels.h"
#include "services/local/engine/lora.h"
#include "services/local/engine/model_config.h"
#include "services/local/engine/thread_pool.h"

#include <cstdint>
#include <span>
#include <vector>

namespace desk::local {

/// Sequences laid one after the other; sequence s is tokens [starts[s], starts[s + 1]).
struct TokenBatch
{
    std::vector<std::int32_t> tokens;
    std::vector<std::size_t> starts { 0 };
    void append(std::span<const std::int32_t> sequence)
    {
        tokens.insert(tokens.end(), sequence.begin(), sequence.end());
        starts.push_back(tokens.size());
    }
    void clear()
    {
        tokens.clear();
        starts.assign(1, 0);
    }
};

/// Where the parts of a layer begin in the flat parameter vector. q, k and v lie together, gate and
/// up too, so that each group is one matrix product.
struct LayerOffsets
{
    std::size_t inputNorm, qkv, qNorm, kNorm, output, postNorm, gateUp, down;
};

/// Most probable tokens of each position, best first.
template <class T>
struct TopTokens
{
    int count = 0; ///< per position; 0: not wanted
    std::vector<float> logprobs;
    std::vector<std::int64_t> indices;
};

/// Forward and backward of the decoder on a flat parameter vector (tensorSpecs gives the layout),
/// with or without LoRA adapters (loraSpecs gives theirs). float trains; double exists to check the
/// gradients. Keeps the activations of the last forward; one caller at a time. Tokens and targets
/// were checked by the caller.
template <class T>
class Network
{
public:
    Network(const ModelConfig& config, ThreadPool& pool, const Kernels<T>& kernels);
    Network(
        const ModelConfig& config, LoraLayout lora, ThreadPool& pool, const Kernels<T>& kernels);

    /// Hidden states of all positions; everything that backward needs is kept. `adapter` must stay
    /// until the backward of this forward; without one a network with adapters computes its base.
    void forward(const T* parameters, const TokenBatch& batch, const T* adapter = nullptr);
    /// Log-probabilities of `candidates` targets per position of the last forward.
    void logprobs(const T* parameters, std::span<const std::int64_t> targets,
        std::size_t candidates, std::span<double> out, TopTokens<T>* top);
    /// Adds to `gradients` the gradient of a loss whose derivative by each log-probability is
    /// given; batch, targets and parameters are those of the last forward and logprobs. With an
    /// adapter these are its gradients alone, the parameters are frozen.
    void backward(const T* parameters, const TokenBatch& batch,
        std::span<const std::int64_t> targets, std::size_t candidates,
        std::span<const double> lossGradients, T* gradients);

private:
    struct Layer // activations, one row per token
    {
        std::vector<T> input, inputInverse, normed, qkv, headInverse, rotated, lse, attention;
        std::vector<T> middle, middleInverse, middleNormed, gateUp, activated;
        std::vector<T> lowQkv, lowOutput, lowGateUp, lowDown; // scale A x of the adapters
    };
    struct Sizes
    {
        std::size_t hidden, inner, heads, kvHeads, headDim, queries, keys, qkv, vocab;
    };

    // Blocks of a fixed size, so that what is summed per block has a fixed order.
    template <class Body>
    void rows(std::size_t count, Body&& body)
    {
        constexpr std::size_t kBlock = 32;
        m_pool.forEach((count + kBlock - 1) / kBlock, [&](std::size_t task) {
            const std::size_t last = count < (task + 1) * kBlock ? count : (task + 1) * kBlock;
            for (std::size_t i = task * kBlock; i < last; ++i)
                body(i);
        });
    }
    void headNorms(const T* parameters, std::size_t layer, const TokenBatch& batch);
    void rotate(T* head, std::size_t position, T sign) const;
    void attend(Layer& layer, const TokenBatch& batch);
    void attendHead(Layer& layer, std::size_t first, std::size_t length, std::size_t head);
    void attendBack(const Layer& layer, const TokenBatch& batch);
    void attendHeadBack(
        const Layer& layer, std::size_t first, std::size_t length, std::size_t head);
    void headNormsBack(
        const T* parameters, std::size_t layer, const TokenBatch& batch, T* gradients);
    void normBack(const std::vector<T>& x, const T* weight, const std::vector<T>& dy,
        const std::vector<T>& inverse, std::vector<T>& dx, T* dWeight);
    void adapt(const LoraGroup& group, const T* x, std::size_t count, std::vector<T>& low,
        std::size_t firstRow, T* y, std::size_t yStride);
    void adaptBack(const LoraGroup& group, const T* x, std::size_t count, const T* low, const T* dy,
        std::size_t dyStride, T* dx, T* gradients);
    void unembedBack(const T* parameters, std::span<const std::int64_t> targets,
        std::size_t candidates, std::span<const double> lossGradients, T* gradients);
    [[nodiscard]] const LoraLayer& loraOf(std::size_t layer) const;
    void layerForward(const T* parameters, std::size_t layer, const TokenBatch& batch, T* out);
    void layerBackward(
        const T* parameters, std::size_t layer, const TokenBatch& batch, T* gradients);
    void computeProbabilities(const T* parameters, std::size_t first, std::size_t count,
        std::span<const std::int64_t> targets, std::size_t candidates, std::span<double> out,
        TopTokens<T>* top);
    [[nodiscard]] std::size_t chunkRows() const;

    ModelConfig m_config;
    Sizes m_sizes;
    ThreadPool& m_pool;
    const Kernels<T>& m_kernels;
    std::vector<LayerOffsets> m_offsets;
    std::size_t m_finalNorm = 0;
    std::size_t m_unembed = 0;
    LoraLayout m_lora; // rank 0: none
    const T* m_adapter = nullptr; // of the last forward
    std::vector<T> m_cos, m_sin; // positions x headDim / 2
    std::vector<Layer> m_layers;
    std::size_t m_count = 0; // tokens of the last forward
    std::vector<T> m_output, m_outputInverse, m_hidden, m_probabilities, m_lowUnembed, m_dLow;
    std::vector<T> m_dx, m_dNormed, m_dWide, m_dInner, m_dAttention, m_dRotated, m_dQkv, m_partial;
    bool m_hasProbabilities = false; // of all rows, from the last logprobs
};

[[nodiscard]] std::vector<LayerOffsets> layerOffsets(const ModelConfig& config);
[[nodiscard]] std::size_t finalNormOffset(const ModelConfig& config);
/// Of lm_head; that of the embeddings when they are tied.
[[nodiscard]] std::size_t unembedOffset(const ModelConfig& config);

/// cos and sin of the rotary angles, positions x headDim / 2 each.
template <class T>
void fillRotations(const ModelConfig& config, std::vector<T>& cosines, std::vector<T>& sines);

} // namespace desk::local
