// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/decoder.h"

#include "services/local/engine/decoder_cache.h"
#include "services/local/engine/gemm.h"

#include <algorithm>
#include <cmath>

namespace desk::local {
namespace {
    constexpr std::size_t kVocabSlice = 4096; // bounds the packed copy of a large unembedding

    std::size_t decoderSize(int value) noexcept
    {
        return static_cast<std::size_t>(value);
    }
} // namespace

Decoder::Decoder(const ModelConfig& config)
    : m_config(config)
    , m_sizes { decoderSize(config.hiddenSize), decoderSize(config.intermediateSize),
        decoderSize(config.heads), decoderSize(config.kvHeads), decoderSize(config.headDim),
        decoderSize(config.heads * config.headDim), decoderSize(config.kvHeads * config.headDim),
        decoderSize((config.heads + 2 * config.kvHeads) * config.headDim),
        decoderSize(config.vocabSize), decoderSize(config.maxPositions) }
    , m_kernels(activeKernels<float>())
    , m_offsets(layerOffsets(config))
    , m_finalNorm(finalNormOffset(config))
    , m_unembed(unembedOffset(config))
{
    fillRotations(config, m_cos, m_sin);
}

Decoder::Cache Decoder::newCache(std::size_t capacity, std::size_t block) const
{
    Cache cache;
    cache.keys.assign(m_offsets.size(), std::vector<float>(capacity * m_sizes.keys));
    cache.values = cache.keys;
    cache.x.resize(block * m_sizes.hidden);
    cache.normed.resize(block * m_sizes.hidden);
    cache.qkv.resize(block * m_sizes.qkv);
    cache.attention.resize(block * m_sizes.queries);
    cache.wide.resize(block * 2 * m_sizes.inner);
    cache.activated.resize(block * m_sizes.inner);
    cache.scores.resize(capacity);
    cache.logits.resize(m_sizes.vocab);
    return cache;
}

void Decoder::rotate(float* head, std::size_t position) const
{
    const std::size_t half = m_sizes.headDim / 2;
    const float* c = m_cos.data() + position * half;
    const float* s = m_sin.data() + position * half;
    for (std::size_t j = 0; j < half; ++j) {
        const float a = head[j];
        const float b = head[j + half];
        head[j] = a * c[j] - b * s[j];
        head[j + half] = b * c[j] + a * s[j];
    }
}

// One row as dot products, more rows as a matrix product: the weights are read once for all.
void Decoder::product(
    const DecoderWeights& w, const Product& p, std::size_t count, const float* x, float* y) const
{
    const float* matrix = w.weights + p.offset;
    if (count == 1) {
        for (std::size_t r = 0; r < p.out; ++r) {
            const float value = m_kernels.dot(matrix + r * p.in, x, p.in);
            y[r] = p.adds ? y[r] + value : value;
        }
    } else {
        for (std::size_t first = 0; first < p.out; first += kVocabSlice)
            multiply<float>(nullptr, m_kernels,
                { count, std::min(kVocabSlice, p.out - first), p.in }, rowMajor(x, p.in),
                transposed(matrix + first * p.in, p.in), y + first, p.out, p.adds);
    }
    if (p.group != nullptr)
        adapt(w, *p.group, count, x, y, p.out);
}

void Decoder::adapt(const DecoderWeights& w, const LoraGroup& group, std::size_t count,
    const float* x, float* y, std::size_t yStride) const
{
    const std::size_t rank = w.lora->rank;
    const auto scale = static_cast<float>(w.lora->scale);
    const std::size_t width = group.parts.size() * rank;
    if (width == 0)
        return;
    std::vector<float> low(count * width);
    const float* a = w.adapter + group.a;
    if (count == 1)
        for (std::size_t r = 0; r < width; ++r)
            low[r] = m_kernels.dot(a + r * group.in, x, group.in);
    else
        multiply<float>(nullptr, m_kernels, { count, width, group.in }, rowMajor(x, group.in),
            transposed(a, group.in), low.data(), width, false);
    for (float& value : low)
        value *= scale;
    for (std::size_t p = 0; p < group.parts.size(); ++p) {
        const LoraPart& part = group.parts[p];
        const float* b = w.adapter + part.b;
        const float* u = low.data() + p * rank;
        if (count == 1) {
            for (std::size_t o = 0; o < part.out; ++o)
                y[part.column + o] += m_kernels.dot(b + o * rank, u, rank);
            continue;
        }
        for (std::size_t first = 0; first < part.out; first += kVocabSlice)
            multiply<float>(nullptr, m_kernels,
                { count, std::min(kVocabSlice, part.out - first), rank }, rowMajor(u, width),
                transposed(b + first * rank, rank), y + part.column + first, yStride, true);
    }
}

// Norms and rotates the heads of the block and puts its keys and values into the cache.
void Decoder::headsOf(
    const DecoderWeights& w, std::size_t layer, std::size_t count, Cache& cache) const
{
    const LayerOffsets& at = m_offsets[layer];
    const std::size_t dim = m_sizes.headDim;
    const auto eps = static_cast<float>(m_config.rmsNormEps);
    for (std::size_t i = 0; i < count; ++i) {
        float* row = cache.qkv.data() + i * m_sizes.qkv;
        for (std::size_t h = 0; h < m_sizes.heads + m_sizes.kvHeads; ++h) {
            float* head = row + h * dim;
            const std::size_t norm = h < m_sizes.heads ? at.qNorm : at.kNorm;
            (void)m_kernels.rmsNorm(head, w.weights + norm, head, dim, eps);
            rotate(head, cache.position + i);
        }
        const std::size_t to = (cache.position + i) * m_sizes.keys;
        std::copy_n(row + m_sizes.queries, m_sizes.keys, cache.keys[layer].data() + to);
        std::copy_n(
            row + m_sizes.queries + m_sizes.keys, m_sizes.keys, cache.values[layer].data() + to);
    }
}

// Queries of one row against all keys up to its own.
void Decoder::attend(Cache& cache, std::size_t layer, std::size_t row) const
{
    const std::size_t dim = m_sizes.headDim;
    const std::size_t keys = m_sizes.keys;
    const std::size_t group = m_sizes.heads / m_sizes.kvHeads;
    const float scale = 1.0F / std::sqrt(static_cast<float>(dim));
    const std::size_t seen = cache.position + row + 1;
    for (std::size_t head = 0; head < m_sizes.heads; ++head) {
        const float* query = cache.qkv.data() + row * m_sizes.qkv + head * dim;
        const std::size_t at = head / group * dim;
        for (std::size_t t = 0; t < seen; ++t)
            cache.scores[t] = m_kernels.dot(query, cache.keys[layer].data() + t * keys + at, dim);
        (void)m_kernels.softmax(cache.scores.data(), seen, scale);
        float* out = cache.attention.data() + row * m_sizes.queries + head * dim;
        std::fill_n(out, dim, 0.0F);
        for (std::size_t t = 0; t < seen; ++t)
            m_kernels.addScaled(
                cache.scores[t], cache.values[layer].data() + t * keys + at, out, dim);
    }
}

void Decoder::advance(
    const DecoderWeights& w, std::span<const std::int32_t> tokens, Cache& cache) const
{
    const std::size_t hidden = m_sizes.hidden;
    const std::size_t inner = m_sizes.inner;
    const std::size_t count = tokens.size();
    const auto eps = static_cast<float>(m_config.rmsNormEps);
    const auto norm = [&](std::size_t offset) {
        for (std::size_t i = 0; i < count; ++i)
            (void)m_kernels.rmsNorm(cache.x.data() + i * hidden, w.weights + offset,
                cache.normed.data() + i * hidden, hidden, eps);
    };
    for (std::size_t i = 0; i < count; ++i)
        std::copy_n(w.weights + static_cast<std::size_t>(tokens[i]) * hidden, hidden,
            cache.x.data() + i * hidden);
    for (std::size_t l = 0; l < m_offsets.size(); ++l) {
        const LayerOffsets& at = m_offsets[l];
        const LoraLayer* lora = w.lora != nullptr ? &w.lora->layers[l] : nullptr;
        norm(at.inputNorm);
        product(w, { at.qkv, m_sizes.qkv, hidden, lora ? &lora->qkv : nullptr, false }, count,
            cache.normed.data(), cache.qkv.data());
        headsOf(w, l, count, cache);
        for (std::size_t i = 0; i < count; ++i)
            attend(cache, l, i);
        product(w, { at.output, hidden, m_sizes.queries, lora ? &lora->output : nullptr, true },
            count, cache.attention.data(), cache.x.data());
        norm(at.postNorm);
        product(w, { at.gateUp, 2 * inner, hidden, lora ? &lora->gateUp : nullptr, false }, count,
            cache.normed.data(), cache.wide.data());
        for (std::size_t i = 0; i < count; ++i) {
            const float* gate = cache.wide.data() + i * 2 * inner;
            m_kernels.swiglu(gate, gate + inner, cache.activated.data() + i * inner, inner);
        }
        product(w, { at.down, hidden, inner, lora ? &lora->down : nullptr, true }, count,
            cache.activated.data(), cache.x.data());
    }
    norm(m_finalNorm);
    cache.position += count;
}

void Decoder::logits(
    const DecoderWeights& w, std::size_t firstRow, std::size_t count, Cache& cache) const
{
    if (cache.logits.size() < count * m_sizes.vocab)
        cache.logits.resize(count * m_sizes.vocab);
    const LoraGroup* lora = w.lora != nullptr ? &w.lora->unembed : nullptr;
    product(w, { m_unembed, m_sizes.vocab, m_sizes.hidden, lora, false }, count,
        cache.normed.data() + firstRow * m_sizes.hidden, cache.logits.data());
}

} // namespace desk::local
