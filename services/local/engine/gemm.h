// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/local/engine/kernels.h"
#include "services/local/engine/thread_pool.h"

#include <cstddef>

namespace desk::local {

/// Element (i, k) of a matrix of any orientation: data[i * outer + k * inner].
template <class T>
struct Strided
{
    const T* data;
    std::size_t outer;
    std::size_t inner;
};

template <class T>
[[nodiscard]] Strided<T> rowMajor(const T* data, std::size_t stride) noexcept
{
    return { data, stride, 1 };
}
template <class T>
[[nodiscard]] Strided<T> transposed(const T* data, std::size_t stride) noexcept
{
    return { data, 1, stride };
}

struct GemmShape
{
    std::size_t rows;
    std::size_t cols;
    std::size_t depth;
};

/// C (rows x cols, row-major) = or += A B, with A(row, depth) and B(depth, col). The order in which
/// the terms of an element are added depends on the shape and the kernels only, never on the number
/// of threads. Without a pool everything runs in the calling thread, which may then be one of the
/// pool.
template <class T>
void multiply(ThreadPool* pool, const Kernels<T>& kernels, GemmShape shape, Strided<T> a,
    Strided<T> b, T* c, std::size_t cStride, bool accumulates);

} // namespace desk::local
