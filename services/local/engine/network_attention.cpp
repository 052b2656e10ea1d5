// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/gemm.h"
#include "services/local/engine/network.h"

#include <algorithm>
#include <cmath>

// Causal grouped-query attention. A task is one key/value head of one sequence with all its query
// heads, so that the gradients of keys and values have one writer. Queries go in blocks against the
// keys up to the block's end; probabilities are computed again for the backward pass from the
// stored log-sum-exp, so memory grows with the length, not with its square.

namespace desk::local {
namespace {
    constexpr std::size_t kQueryBlock = 64;

    template <class T>
    struct AttentionBuffers
    {
        std::vector<T> scores, gradients;
    };
    template <class T>
    AttentionBuffers<T>& attentionBuffers(std::size_t scalars)
    {
        thread_local AttentionBuffers<T> buffers;
        if (buffers.scores.size() < scalars) {
            buffers.scores.resize(scalars);
            buffers.gradients.resize(scalars);
        }
        return buffers;
    }
} // namespace

template <class T>
void Network<T>::attend(Layer& layer, const TokenBatch& batch)
{
    const std::size_t kvHeads = m_sizes.kvHeads;
    m_pool.forEach((batch.starts.size() - 1) * kvHeads, [&](std::size_t task) {
        const std::size_t s = task / kvHeads;
        attendHead(layer, batch.starts[s], batch.starts[s + 1] - batch.starts[s], task % kvHeads);
    });
}

template <class T>
void Network<T>::attendHead(Layer& layer, std::size_t first, std::size_t length, std::size_t kvHead)
{
    const std::size_t dim = m_sizes.headDim;
    const std::size_t group = m_sizes.heads / m_sizes.kvHeads;
    const std::size_t width = m_sizes.queries + m_sizes.keys;
    const T scale = T(1) / std::sqrt(static_cast<T>(dim));
    const T* keys = layer.rotated.data() + first * width + m_sizes.queries + kvHead * dim;
    const T* values = layer.qkv.data() + first * m_sizes.qkv + width + kvHead * dim;
    T* scores = attentionBuffers<T>(kQueryBlock * length).scores.data();
    for (std::size_t head = kvHead * group; head < (kvHead + 1) * group; ++head)
        for (std::size_t start = 0; start < length; start += kQueryBlock) {
            const std::size_t count = std::min(kQueryBlock, length - start);
            const std::size_t seen = start + count;
            const T* queries = layer.rotated.data() + (first + start) * width + head * dim;
            multiply<T>(nullptr, m_kernels, { count, seen, dim }, rowMajor(queries, width),
                transposed(keys, width), scores, seen, false);
            for (std::size_t i = 0; i < count; ++i) {
                T* row = scores + i * seen;
                layer.lse[(first + start + i) * m_sizes.heads + head] =
                    m_kernels.softmax(row, start + i + 1, scale);
                std::fill(row + start + i + 1, row + seen, T(0));
            }
            multiply<T>(nullptr, m_kernels, { count, dim, seen }, rowMajor(scores, seen),
                rowMajor(values, m_sizes.qkv),
                layer.attention.data() + (first + start) * m_sizes.queries + head * dim,
                m_sizes.queries, false);
        }
}

template <class T>
void Network<T>::attendBack(const Layer& layer, const TokenBatch& batch)
{
    const std::size_t kvHeads = m_sizes.kvHeads;
    m_pool.forEach((batch.starts.size() - 1) * kvHeads, [&](std::size_t task) {
        const std::size_t s = task / kvHeads;
        attendHeadBack(
            layer, batch.starts[s], batch.starts[s + 1] - batch.starts[s], task % kvHeads);
    });
}

template <class T>
void Network<T>::attendHeadBack(
    const Layer& layer, std::size_t first, std::size_t length, std::size_t kvHead)
{
    const std::size_t dim = m_sizes.headDim;
    const std::size_t group = m_sizes.heads / m_sizes.kvHeads;
    const std::size_t width = m_sizes.queries + m_sizes.keys;
    const T scale = T(1) / std::sqrt(static_cast<T>(dim));
    const std::size_t keyAt = first * width + m_sizes.queries + kvHead * dim;
    const std::size_t valueAt = first * m_sizes.qkv + width + kvHead * dim;
    const T* keys = layer.rotated.data() + keyAt;
    const T* values = layer.qkv.data() + valueAt;
    T* dKeys = m_dRotated.data() + keyAt;
    T* dValues = m_dQkv.data() + valueAt;
    for (std::size_t i = 0; i < length; ++i) {
        std::fill_n(dKeys + i * width, dim, T(0));
        std::fill_n(dValues + i * m_sizes.qkv, dim, T(0));
    }
    auto& buffers = attentionBuffers<T>(kQueryBlock * length);
    T* p = buffers.scores.data();
    T* d = buffers.gradients.data();
    for (std::size_t head = kvHead * group; head < (kvHead + 1) * group; ++head)
        for (std::size_t start = 0; start < length; start += kQueryBlock) {
            const std::size_t count = std::min(kQueryBlock, length - start);
            const std::size_t seen = start + count;
            const std::size_t row = first + start;
            const T* queries = layer.rotated.data() + row * width + head * dim;
            const T* out = layer.attention.data() + row * m_sizes.queries + head * dim;
            const T* dOut = m_dAttention.data() + row * m_sizes.queries + head * dim;
            multiply<T>(nullptr, m_kernels, { count, seen, dim }, rowMajor(queries, width),
                transposed(keys, width), p, seen, false);
            multiply<T>(nullptr, m_kernels, { count, seen, dim }, rowMajor(dOut, m_sizes.queries),
                transposed(values, m_sizes.qkv), d, seen, false);
            for (std::size_t i = 0; i < count; ++i) {
                const std::size_t valid = start + i + 1;
                T* pRow = p + i * seen;
                T* dRow = d + i * seen;
                m_kernels.expShifted(
                    pRow, valid, scale, layer.lse[(row + i) * m_sizes.heads + head]);
                const T mean =
                    m_kernels.dot(dOut + i * m_sizes.queries, out + i * m_sizes.queries, dim);
                m_kernels.softmaxBack(pRow, dRow, valid, mean, scale);
                std::fill(pRow + valid, pRow + seen, T(0));
                std::fill(dRow + valid, dRow + seen, T(0));
            }
            multiply<T>(nullptr, m_kernels, { seen, dim, count }, transposed(p, seen),
                rowMajor(dOut, m_sizes.queries), dValues, m_sizes.qkv, true);
            multiply<T>(nullptr, m_kernels, { count, dim, seen }, rowMajor(d, seen),
                rowMajor(keys, width), m_dRotated.data() + row * width + head * dim, width, false);
            multiply<T>(nullptr, m_kernels, { seen, dim, count }, transposed(d, seen),
                rowMajor(queries, width), dKeys, width, true);
        }
}

template void Network<float>::attend(Layer&, const TokenBatch&);
template void Network<double>::attend(Layer&, const TokenBatch&);
template void Network<float>::attendBack(const Layer&, const TokenBatch&);
template void Network<double>::attendBack(const Layer&, const TokenBatch&);

} // namespace desk::local
