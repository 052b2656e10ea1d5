// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/gemm.h"
#include "services/local/engine/network.h"

#include <algorithm>

namespace desk::local {
namespace {
    constexpr std::size_t kNormRows = 64; // rows per partial sum of a norm's gradient

    template <class T>
    void resizeTo(std::vector<T>& buffer, std::size_t size)
    {
        if (buffer.size() < size)
            buffer.resize(size);
    }
} // namespace

// Gradients of a norm's weights are sums over all rows: blocks of rows sum into rows of their own,
// which are then added in order. Not wanted (nullptr) when the weights are frozen.
template <class T>
void Network<T>::normBack(const std::vector<T>& x, const T* weight, const std::vector<T>& dy,
    const std::vector<T>& inverse, std::vector<T>& dx, T* dWeight)
{
    const std::size_t hidden = m_sizes.hidden;
    const std::size_t tasks = (m_count + kNormRows - 1) / kNormRows;
    m_partial.assign(tasks * hidden, T(0));
    m_pool.forEach(tasks, [&](std::size_t task) {
        const std::size_t last = std::min(m_count, (task + 1) * kNormRows);
        for (std::size_t i = task * kNormRows; i < last; ++i)
            m_kernels.rmsNormBack(x.data() + i * hidden, weight, dy.data() + i * hidden, inverse[i],
                dx.data() + i * hidden, m_partial.data() + task * hidden, hidden);
    });
    for (std::size_t task = 0; task < tasks && dWeight != nullptr; ++task)
        m_kernels.addScaled(T(1), m_partial.data() + task * hidden, dWeight, hidden);
}

template <class T>
void Network<T>::headNormsBack(
    const T* parameters, std::size_t index, const TokenBatch& batch, T* gradients)
{
    const Layer& layer = m_layers[index];
    const LayerOffsets& at = m_offsets[index];
    const std::size_t dim = m_sizes.headDim;
    const std::size_t normed = m_sizes.heads + m_sizes.kvHeads;
    const std::size_t tasks = batch.starts.size() - 1;
    m_partial.assign(tasks * 2 * dim, T(0));
    m_pool.forEach(tasks, [&](std::size_t s) {
        T* sums = m_partial.data() + s * 2 * dim;
        for (std::size_t i = batch.starts[s]; i < batch.starts[s + 1]; ++i)
            for (std::size_t h = 0; h < normed; ++h) {
                const bool isQuery = h < m_sizes.heads;
                T* dy = m_dRotated.data() + (i * normed + h) * dim;
                rotate(dy, i - batch.starts[s], T(-1));
                T* dx = m_dQkv.data() + i * m_sizes.qkv + h * dim;
                std::fill_n(dx, dim, T(0));
                m_kernels.rmsNormBack(layer.qkv.data() + i * m_sizes.qkv + h * dim,
                    parameters + (isQuery ? at.qNorm : at.kNorm), dy,
                    layer.headInverse[i * normed + h], dx, sums + (isQuery ? 0 : dim), dim);
            }
    });
    if (m_adapter != nullptr)
        return;
    for (std::size_t s = 0; s < tasks; ++s) {
        m_kernels.addScaled(T(1), m_partial.data() + s * 2 * dim, gradients + at.qNorm, dim);
        m_kernels.addScaled(T(1), m_partial.data() + s * 2 * dim + dim, gradients + at.kNorm, dim);
    }
}

// On entry m_dx is the gradient of the layer's output, on return that of its input.
template <class T>
void Network<T>::layerBackward(
    const T* parameters, std::size_t index, const TokenBatch& batch, T* gradients)
{
    const Layer& l = m_layers[index];
    const LayerOffsets& at = m_offsets[index];
    const LoraLayer& lora = loraOf(index);
    const std::size_t hidden = m_sizes.hidden;
    const std::size_t inner = m_sizes.inner;
    const std::size_t queries = m_sizes.queries;
    const std::size_t qkv = m_sizes.qkv;
    const std::size_t n = m_count;
    const bool isFrozen = m_adapter != nullptr;

    multiply<T>(&m_pool, m_kernels, { n, inner, hidden }, rowMajor(m_dx.data(), hidden),
        rowMajor(parameters + at.down, inner), m_dInner.data(), inner, false);
    if (!isFrozen)
        multiply<T>(&m_pool, m_kernels, { hidden, inner, n }, transposed(m_dx.data(), hidden),
            rowMajor(l.activated.data(), inner), gradients + at.down, inner, true);
    adaptBack(lora.down, l.activated.data(), n, l.lowDown.data(), m_dx.data(), hidden,
        m_dInner.data(), gradients);
    rows(n, [&](std::size_t i) {
        const T* gate = l.gateUp.data() + i * 2 * inner;
        T* dGate = m_dWide.data() + i * 2 * inner;
        m_kernels.swigluBack(
            gate, gate + inner, m_dInner.data() + i * inner, dGate, dGate + inner, inner);
    });
    multiply<T>(&m_pool, m_kernels, { n, hidden, 2 * inner }, rowMajor(m_dWide.data(), 2 * inner),
        rowMajor(parameters + at.gateUp, hidden), m_dNormed.data(), hidden, false);
    if (!isFrozen)
        multiply<T>(&m_pool, m_kernels, { 2 * inner, hidden, n },
            transposed(m_dWide.data(), 2 * inner), rowMajor(l.middleNormed.data(), hidden),
            gradients + at.gateUp, hidden, true);
    adaptBack(lora.gateUp, l.middleNormed.data(), n, l.lowGateUp.data(), m_dWide.data(), 2 * inner,
        m_dNormed.data(), gradients);
    normBack(l.middle, parameters + at.postNorm, m_dNormed, l.middleInverse, m_dx,
        isFrozen ? nullptr : gradients + at.postNorm);
    // Below a frozen first layer nothing trains.
    const bool isLast = isFrozen && index == 0;
    if (isLast && lora.qkv.parts.empty())
        return;

    multiply<T>(&m_pool, m_kernels, { n, queries, hidden }, rowMajor(m_dx.data(), hidden),
        rowMajor(parameters + at.output, queries), m_dAttention.data(), queries, false);
    if (!isFrozen)
        multiply<T>(&m_pool, m_kernels, { hidden, queries, n }, transposed(m_dx.data(), hidden),
            rowMajor(l.attention.data(), queries), gradients + at.output, queries, true);
    adaptBack(lora.output, l.attention.data(), n, l.lowOutput.data(), m_dx.data(), hidden,
        m_dAttention.data(), gradients);
    attendBack(l, batch);
    headNormsBack(parameters, index, batch, gradients);
    if (!isLast)
        multiply<T>(&m_pool, m_kernels, { n, hidden, qkv }, rowMajor(m_dQkv.data(), qkv),
            rowMajor(parameters + at.qkv, hidden), m_dNormed.data(), hidden, false);
    if (!isFrozen)
        multiply<T>(&m_pool, m_kernels, { qkv, hidden, n }, transposed(m_dQkv.data(), qkv),
            rowMajor(l.normed.data(), hidden), gradients + at.qkv, hidden, true);
    adaptBack(lora.qkv, l.normed.data(), n, l.lowQkv.data(), m_dQkv.data(), qkv,
        isLast ? nullptr : m_dNormed.data(), gradients);
    if (!isLast)
        normBack(l.input, parameters + at.inputNorm, m_dNormed, l.inputInverse, m_dx,
            isFrozen ? nullptr : gradients + at.inputNorm);
}

// The gradient of the hidden states into m_dNormed.
template <class T>
void Network<T>::unembedBack(const T* parameters, std::span<const std::int64_t> targets,
    std::size_t candidates, std::span<const double> lossGradients, T* gradients)
{
    const std::size_t hidden = m_sizes.hidden;
    const std::size_t n = m_count;
    const std::size_t v = m_sizes.vocab;
    const bool isFrozen = m_adapter != nullptr;
    const std::size_t step = chunkRows();
    for (std::size_t first = 0; first < n; first += step) {
        const std::size_t count = std::min(step, n - first);
        if (!m_hasProbabilities)
            computeProbabilities(parameters, first, count, targets, candidates, {}, nullptr);
        // d lp(t) / d logits = onehot(t) - p
        rows(count, [&](std::size_t i) {
            T* row = m_probabilities.data() + i * v;
            const std::size_t at = (first + i) * candidates;
            T total = 0;
            for (std::size_t k = 0; k < candidates; ++k)
                total += static_cast<T>(lossGradients[at + k]);
            for (std::size_t j = 0; j < v; ++j)
                row[j] *= -total;
            for (std::size_t k = 0; k < candidates; ++k)
                row[targets[at + k]] += static_cast<T>(lossGradients[at + k]);
        });
        const T* x = m_hidden.data() + first * hidden;
        T* dx = m_dNormed.data() + first * hidden;
        multiply<T>(&m_pool, m_kernels, { count, hidden, v }, rowMajor(m_probabilities.data(), v),
            rowMajor(parameters + m_unembed, hidden), dx, hidden, false);
        if (!isFrozen)
            multiply<T>(&m_pool, m_kernels, { v, hidden, count },
                transposed(m_probabilities.data(), v), rowMajor(x, hidden), gradients + m_unembed,
                hidden, true);
        else
            adaptBack(m_lora.unembed, x, count,
                m_lora.unembed.parts.empty() ? nullptr : &m_lowUnembed[first * m_lora.rank],
                m_probabilities.data(), v, dx, gradients);
    }
    m_hasProbabilities = false;
}

template <class T>
void Network<T>::backward(const T* parameters, const TokenBatch& batch,
    std::span<const std::int64_t> targets, std::size_t candidates,
    std::span<const double> lossGradients, T* gradients)
{
    const std::size_t hidden = m_sizes.hidden;
    const std::size_t n = m_count;
    const bool isFrozen = m_adapter != nullptr;
    resizeTo(m_dx, n * hidden);
    resizeTo(m_dNormed, n * hidden);
    resizeTo(m_dWide, n * 2 * m_sizes.inner);
    resizeTo(m_dInner, n * m_sizes.inner);
    resizeTo(m_dAttention, n * m_sizes.queries);
    resizeTo(m_dRotated, n * (m_sizes.queries + m_sizes.keys));
    resizeTo(m_dQkv, n * m_sizes.qkv);

    unembedBack(parameters, targets, candidates, lossGradients, gradients);
    if (isFrozen && loraOf(0).qkv.parts.empty() && loraOf(0).down.parts.empty())
        return; // only the unembedding trains
    std::fill_n(m_dx.data(), n * hidden, T(0));
    normBack(m_output, parameters + m_finalNorm, m_dNormed, m_outputInverse, m_dx,
        isFrozen ? nullptr : gradients + m_finalNorm);
    for (std::size_t l = m_layers.size(); l-- > 0;)
        layerBackward(parameters, l, batch, gradients);
    for (std::size_t i = 0; i < n && !isFrozen; ++i)
        m_kernels.addScaled(T(1), m_dx.data() + i * hidden,
            gradients + static_cast<std::size_t>(batch.tokens[i]) * hidden, hidden);
}

template void Network<float>::backward(const float*, const TokenBatch&,
    std::span<const std::int64_t>, std::size_t, std::span<const double>, float*);
template void Network<double>::backward(const double*, const TokenBatch&,
    std::span<const std::int64_t>, std::size_t, std::span<const double>, double*);

} // namespace desk::local
