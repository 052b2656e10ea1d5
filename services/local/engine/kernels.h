// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// The inner loops of the decoder, one table per instruction set, chosen at run time. All tables
// compute the same formulas; sums of float run in another order per table, so tables agree to
// rounding, not bit for bit. One table always gives the same bits.

namespace desk::local {

/// Scalars of one AdamW step, bias corrections already taken in.
struct AdamScalars
{
    double beta1 = 0.0;
    double beta2 = 0.0;
    double stepSize = 0.0; ///< lr / (1 - beta1^t)
    double secondScale = 0.0; ///< 1 / sqrt(1 - beta2^t)
    double eps = 0.0;
    double decay = 1.0; ///< 1 - lr * weight_decay
    double gradScale = 1.0; ///< normalization and clipping
};

template <class T>
struct Kernels
{
    const char* name;
    bool (*isSupported)() noexcept;
    /// Tile of C: rows x cols, computed by `tilePacked` or `tileRows`.
    std::size_t tileRows;
    std::size_t tileCols;
    /// C tile (+)= A B over `depth`; B packed as depth x tileCols, A packed as depth x tileRows.
    void (*tilePacked)(
        std::size_t depth, const T* a, const T* b, T* c, std::size_t cStride, bool accumulates);
    /// The same with A read in place, row r at a + r * aStride.
    void (*tileInPlace)(std::size_t depth, const T* a, std::size_t aStride, const T* b, T* c,
        std::size_t cStride, bool accumulates);

    T (*dot)(const T* a, const T* b, std::size_t count);
    /// y += factor * x
    void (*addScaled)(T factor, const T* x, T* y, std::size_t count);
    /// y = x * weight / rms(x); returns 1 / rms.
    T (*rmsNorm)(const T* x, const T* weight, T* y, std::size_t count, T eps);
    /// dx += gradient of rmsNorm; dWeight += dy * x / rms.
    void (*rmsNormBack)(
        const T* x, const T* weight, const T* dy, T inverse, T* dx, T* dWeight, std::size_t count);
    /// out = silu(gate) * up
    void (*swiglu)(const T* gate, const T* up, T* out, std::size_t count);
    void (*swigluBack)(
        const T* gate, const T* up, const T* dOut, T* dGate, T* dUp, std::size_t count);
    /// x = softmax(scale * x); returns log of the sum of exp(scale * x).
    T (*softmax)(T* x, std::size_t count, T scale);
    /// x = exp(scale * x - shift)
    void (*expShifted)(T* x, std::size_t count, T scale, T shift);
    /// p * (dp - mean) * scale into dp
    void (*softmaxBack)(const T* p, T* dp, std::size_t count, T mean, T scale);
    void (*adamw)(
        T* weight, T* first, T* second, const T* gradient, std::size_t count, const AdamScalars& s);
};

/// Best first, the portable table last.
template <class T>
[[nodiscard]] std::span<const Kernels<T>> allKernels() noexcept;
/// The best table of this CPU, or the one that DESK_FORCE_KERNELS names if the CPU has it.
template <class T>
[[nodiscard]] const Kernels<T>& activeKernels() noexcept;

} // namespace desk::local
