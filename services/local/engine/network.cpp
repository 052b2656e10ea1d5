// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/network.h"

#include "services/local/engine/gemm.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace desk::local {
namespace {
    constexpr std::size_t kLogitsInMemory = std::size_t { 4 } << 20; // scalars

    std::size_t toSize(int value) noexcept
    {
        return static_cast<std::size_t>(value);
    }
    template <class T>
    void growTo(std::vector<T>& buffer, std::size_t size)
    {
        if (buffer.size() < size)
            buffer.resize(size);
    }
} // namespace

std::vector<LayerOffsets> layerOffsets(const ModelConfig& config)
{
    const auto specs = tensorSpecs(config);
    std::vector<LayerOffsets> offsets;
    for (std::size_t i = 1; i + 11 < specs.size(); i += 11)
        offsets.push_back({ specs[i].offset, specs[i + 1].offset, specs[i + 4].offset,
            specs[i + 5].offset, specs[i + 6].offset, specs[i + 7].offset, specs[i + 8].offset,
            specs[i + 10].offset });
    return offsets;
}

std::size_t finalNormOffset(const ModelConfig& config)
{
    const auto specs = tensorSpecs(config);
    return specs[specs.size() - (config.tiesEmbeddings ? 1 : 2)].offset;
}

std::size_t unembedOffset(const ModelConfig& config)
{
    return config.tiesEmbeddings ? 0 : tensorSpecs(config).back().offset;
}

template <class T>
void fillRotations(const ModelConfig& config, std::vector<T>& cosines, std::vector<T>& sines)
{
    const std::size_t half = toSize(config.headDim) / 2;
    cosines.resize(toSize(config.maxPositions) * half);
    sines.resize(cosines.size());
    for (std::size_t j = 0; j < half; ++j) {
        const double frequency = std::pow(
            config.ropeTheta, -2.0 * static_cast<double>(j) / static_cast<double>(config.headDim));
        for (std::size_t p = 0; p < toSize(config.maxPositions); ++p) {
            const double angle = static_cast<double>(p) * frequency;
            cosines[p * half + j] = static_cast<T>(std::cos(angle));
            sines[p * half + j] = static_cast<T>(std::sin(angle));
        }
    }
}
template void fillRotations<float>(const ModelConfig&, std::vector<float>&, std::vector<float>&);
template void fillRotations<double>(const ModelConfig&, std::vector<double>&, std::vector<double>&);

template <class T>
Network<T>::Network(const ModelConfig& config, ThreadPool& pool, const Kernels<T>& kernels)
    : m_config(config)
    , m_sizes { toSize(config.hiddenSize), toSize(config.intermediateSize), toSize(config.heads),
        toSize(config.kvHeads), toSize(config.headDim), toSize(config.heads * config.headDim),
        toSize(config.kvHeads * config.headDim),
        toSize((config.heads + 2 * config.kvHeads) * config.headDim), toSize(config.vocabSize) }
    , m_pool(pool)
    , m_kernels(kernels)
    , m_offsets(layerOffsets(config))
    , m_finalNorm(finalNormOffset(config))
    , m_unembed(unembedOffset(config))
    , m_layers(toSize(config.layers))
{
    fillRotations(config, m_cos, m_sin);
}

template <class T>
Network<T>::Network(
    const ModelConfig& config, LoraLayout lora, ThreadPool& pool, const Kernels<T>& kernels)
    : Network(config, pool, kernels)
{
    m_lora = std::move(lora);
}

template <class T>
void Network<T>::rotate(T* head, std::size_t position, T sign) const
{
    const std::size_t half = m_sizes.headDim / 2;
    const T* c = m_cos.data() + position * half;
    const T* s = m_sin.data() + position * half;
    for (std::size_t j = 0; j < half; ++j) {
        const T a = head[j];
        const T b = head[j + half];
        head[j] = a * c[j] - sign * b * s[j];
        head[j + half] = b * c[j] + sign * a * s[j];
    }
}

template <class T>
void Network<T>::headNorms(const T* parameters, std::size_t index, const TokenBatch& batch)
{
    Layer& layer = m_layers[index];
    const std::size_t dim = m_sizes.headDim;
    const std::size_t normed = m_sizes.heads + m_sizes.kvHeads;
    const auto eps = static_cast<T>(m_config.rmsNormEps);
    m_pool.forEach(batch.starts.size() - 1, [&](std::size_t s) {
        for (std::size_t i = batch.starts[s]; i < batch.starts[s + 1]; ++i)
            for (std::size_t h = 0; h < normed; ++h) {
                const T* weight = parameters
                    + (h < m_sizes.heads ? m_offsets[index].qNorm : m_offsets[index].kNorm);
                T* out = layer.rotated.data() + (i * normed + h) * dim;
                layer.headInverse[i * normed + h] = m_kernels.rmsNorm(
                    layer.qkv.data() + i * m_sizes.qkv + h * dim, weight, out, dim, eps);
                rotate(out, i - batch.starts[s], T(1));
            }
    });
}

template <class T>
void Network<T>::layerForward(
    const T* parameters, std::size_t index, const TokenBatch& batch, T* out)
{
    Layer& l = m_layers[index];
    const LayerOffsets& at = m_offsets[index];
    const std::size_t hidden = m_sizes.hidden;
    const std::size_t inner = m_sizes.inner;
    const std::size_t heads = m_sizes.heads;
    const std::size_t kvHeads = m_sizes.kvHeads;
    const std::size_t queries = m_sizes.queries;
    const std::size_t keys = m_sizes.keys;
    const std::size_t qkv = m_sizes.qkv;
    const std::size_t n = m_count;
    const auto eps = static_cast<T>(m_config.rmsNormEps);
    for (auto* buffer : { &l.normed, &l.middle, &l.middleNormed })
        growTo(*buffer, n * hidden);
    growTo(l.inputInverse, n);
    growTo(l.middleInverse, n);
    growTo(l.qkv, n * qkv);
    growTo(l.headInverse, n * (heads + kvHeads));
    growTo(l.rotated, n * (queries + keys));
    growTo(l.lse, n * heads);
    growTo(l.attention, n * queries);
    growTo(l.gateUp, n * 2 * inner);
    growTo(l.activated, n * inner);

    rows(n, [&](std::size_t i) {
        l.inputInverse[i] = m_kernels.rmsNorm(l.input.data() + i * hidden,
            parameters + at.inputNorm, l.normed.data() + i * hidden, hidden, eps);
    });
    multiply<T>(&m_pool, m_kernels, { n, qkv, hidden }, rowMajor(l.normed.data(), hidden),
        transposed(parameters + at.qkv, hidden), l.qkv.data(), qkv, false);
    const LoraLayer& lora = loraOf(index);
    adapt(lora.qkv, l.normed.data(), n, l.lowQkv, 0, l.qkv.data(), qkv);
    headNorms(parameters, index, batch);
    attend(l, batch);
    std::copy_n(l.input.data(), n * hidden, l.middle.data());
    multiply<T>(&m_pool, m_kernels, { n, hidden, queries }, rowMajor(l.attention.data(), queries),
        transposed(parameters + at.output, queries), l.middle.data(), hidden, true);
    adapt(lora.output, l.attention.data(), n, l.lowOutput, 0, l.middle.data(), hidden);
    rows(n, [&](std::size_t i) {
        l.middleInverse[i] = m_kernels.rmsNorm(l.middle.data() + i * hidden,
            parameters + at.postNorm, l.middleNormed.data() + i * hidden, hidden, eps);
    });
    multiply<T>(&m_pool, m_kernels, { n, 2 * inner, hidden },
        rowMajor(l.middleNormed.data(), hidden), transposed(parameters + at.gateUp, hidden),
        l.gateUp.data(), 2 * inner, false);
    adapt(lora.gateUp, l.middleNormed.data(), n, l.lowGateUp, 0, l.gateUp.data(), 2 * inner);
    rows(n, [&](std::size_t i) {
        const T* gate = l.gateUp.data() + i * 2 * inner;
        m_kernels.swiglu(gate, gate + inner, l.activated.data() + i * inner, inner);
    });
    std::copy_n(l.middle.data(), n * hidden, out);
    multiply<T>(&m_pool, m_kernels, { n, hidden, inner }, rowMajor(l.activated.data(), inner),
        transposed(parameters + at.down, inner), out, hidden, true);
    adapt(lora.down, l.activated.data(), n, l.lowDown, 0, out, hidden);
}

template <class T>
void Network<T>::forward(const T* parameters, const TokenBatch& batch, const T* adapter)
{
    m_adapter = adapter;
    m_count = batch.tokens.size();
    m_hasProbabilities = false;
    const std::size_t hidden = m_sizes.hidden;
    for (Layer& layer : m_layers)
        growTo(layer.input, m_count * hidden);
    for (auto* buffer : { &m_output, &m_hidden })
        growTo(*buffer, m_count * hidden);
    growTo(m_outputInverse, m_count);
    for (std::size_t i = 0; i < m_count; ++i)
        std::copy_n(parameters + static_cast<std::size_t>(batch.tokens[i]) * hidden, hidden,
            m_layers.front().input.data() + i * hidden);
    for (std::size_t l = 0; l < m_layers.size(); ++l)
        layerForward(parameters, l, batch,
            l + 1 < m_layers.size() ? m_layers[l + 1].input.data() : m_output.data());
    rows(m_count, [&](std::size_t i) {
        m_outputInverse[i] =
            m_kernels.rmsNorm(m_output.data() + i * hidden, parameters + m_finalNorm,
                m_hidden.data() + i * hidden, hidden, static_cast<T>(m_config.rmsNormEps));
    });
}

template <class T>
std::size_t Network<T>::chunkRows() const
{
    return std::clamp<std::size_t>(
        kLogitsInMemory / m_sizes.vocab, 16, std::max<std::size_t>(16, m_count));
}

template <class T>
void Network<T>::computeProbabilities(const T* parameters, std::size_t first, std::size_t count,
    std::span<const std::int64_t> targets, std::size_t candidates, std::span<double> out,
    TopTokens<T>* top)
{
    const std::size_t vocab = m_sizes.vocab;
    growTo(m_probabilities, chunkRows() * vocab);
    multiply<T>(&m_pool, m_kernels, { count, vocab, m_sizes.hidden },
        rowMajor(m_hidden.data() + first * m_sizes.hidden, m_sizes.hidden),
        transposed(parameters + m_unembed, m_sizes.hidden), m_probabilities.data(), vocab, false);
    if (m_adapter != nullptr)
        adapt(m_lora.unembed, m_hidden.data() + first * m_sizes.hidden, count, m_lowUnembed, first,
            m_probabilities.data(), vocab);
    rows(count, [&](std::size_t i) {
        T* row = m_probabilities.data() + i * vocab;
        const std::size_t at = (first + i) * candidates;
        for (std::size_t k = 0; k < candidates && !out.empty(); ++k)
            out[at + k] = static_cast<double>(row[targets[at + k]]);
        const auto topCount = top != nullptr ? static_cast<std::size_t>(top->count) : 0;
        const std::size_t topAt = (first + i) * topCount;
        if (topCount > 0) {
            std::vector<std::int64_t> order(vocab);
            std::iota(order.begin(), order.end(), 0);
            std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(topCount),
                order.end(), [row](std::int64_t a, std::int64_t b) {
                    return row[a] != row[b] ? row[a] > row[b] : a < b;
                });
            for (std::size_t k = 0; k < topCount; ++k) {
                top->indices[topAt + k] = order[k];
                top->logprobs[topAt + k] = static_cast<float>(row[order[k]]);
            }
        }
        const auto lse = static_cast<double>(m_kernels.softmax(row, vocab, T(1)));
        for (std::size_t k = 0; k < candidates && !out.empty(); ++k)
            out[at + k] -= lse;
        for (std::size_t k = 0; k < topCount; ++k)
            top->logprobs[topAt + k] -= static_cast<float>(lse);
    });
}

template <class T>
void Network<T>::logprobs(const T* parameters, std::span<const std::int64_t> targets,
    std::size_t candidates, std::span<double> out, TopTokens<T>* top)
{
    if (top != nullptr) {
        top->logprobs.assign(m_count * toSize(top->count), 0.0F);
        top->indices.assign(m_count * toSize(top->count), 0);
    }
    const std::size_t step = chunkRows();
    for (std::size_t first = 0; first < m_count; first += step)
        computeProbabilities(
            parameters, first, std::min(step, m_count - first), targets, candidates, out, top);
    m_hasProbabilities = step >= m_count;
}

template class Network<float>;
template class Network<double>;

} // namespace desk::local
