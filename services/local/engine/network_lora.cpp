// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/gemm.h"
#include "services/local/engine/network.h"

// y = W x + B u with u = scale A x. Matrices with one input share one product for their u, which is
// kept for the backward pass:
// dB = dy u^T, du = scale B^T dy, dA = du x^T, dx += A^T du.

namespace desk::local {

template <class T>
const LoraLayer& Network<T>::loraOf(std::size_t layer) const
{
    static const LoraLayer none;
    return m_adapter != nullptr ? m_lora.layers[layer] : none;
}

template <class T>
void Network<T>::adapt(const LoraGroup& group, const T* x, std::size_t count, std::vector<T>& low,
    std::size_t firstRow, T* y, std::size_t yStride)
{
    if (group.parts.empty())
        return;
    const std::size_t rank = m_lora.rank;
    const std::size_t width = group.parts.size() * rank;
    if (low.size() < m_count * width)
        low.resize(m_count * width);
    T* u = low.data() + firstRow * width;
    multiply<T>(&m_pool, m_kernels, { count, width, group.in }, rowMajor(x, group.in),
        transposed(m_adapter + group.a, group.in), u, width, false);
    const auto scale = static_cast<T>(m_lora.scale);
    for (std::size_t i = 0; i < count * width; ++i)
        u[i] *= scale;
    for (std::size_t p = 0; p < group.parts.size(); ++p) {
        const LoraPart& part = group.parts[p];
        multiply<T>(&m_pool, m_kernels, { count, part.out, rank }, rowMajor(u + p * rank, width),
            transposed(m_adapter + part.b, rank), y + part.column, yStride, true);
    }
}

template <class T>
void Network<T>::adaptBack(const LoraGroup& group, const T* x, std::size_t count, const T* low,
    const T* dy, std::size_t dyStride, T* dx, T* gradients)
{
    if (group.parts.empty())
        return;
    const std::size_t rank = m_lora.rank;
    const std::size_t width = group.parts.size() * rank;
    if (m_dLow.size() < count * width)
        m_dLow.resize(count * width);
    T* du = m_dLow.data();
    for (std::size_t p = 0; p < group.parts.size(); ++p) {
        const LoraPart& part = group.parts[p];
        multiply<T>(&m_pool, m_kernels, { part.out, rank, count },
            transposed(dy + part.column, dyStride), rowMajor(low + p * rank, width),
            gradients + part.b, rank, true);
        multiply<T>(&m_pool, m_kernels, { count, rank, part.out },
            rowMajor(dy + part.column, dyStride), rowMajor(m_adapter + part.b, rank), du + p * rank,
            width, false);
    }
    const auto scale = static_cast<T>(m_lora.scale);
    for (std::size_t i = 0; i < count * width; ++i)
        du[i] *= scale;
    multiply<T>(&m_pool, m_kernels, { width, group.in, count }, transposed(du, width),
        rowMajor(x, group.in), gradients + group.a, group.in, true);
    if (dx != nullptr)
        multiply<T>(&m_pool, m_kernels, { count, group.in, width }, rowMajor(du, width),
            rowMajor(m_adapter + group.a, group.in), dx, group.in, true);
}

#define DESK_LORA_MEMBERS(T)                                                                       \
    template const LoraLayer& Network<T>::loraOf(std::size_t) const;                               \
    template void Network<T>::adapt(                                                               \
        const LoraGroup&, const T*, std::size_t, std::vector<T>&, std::size_t, T*, std::size_t);   \
    template void Network<T>::adaptBack(                                                           \
        const LoraGroup&, const T*, std::size_t, const T*, const T*, std::size_t, T*, T*);
DESK_LORA_MEMBERS(float)
DESK_LORA_MEMBERS(double)
#undef DESK_LORA_MEMBERS

} // namespace desk::local
