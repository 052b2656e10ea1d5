// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/delta/dtype.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace desk {

/// How far the values of a float tensor moved. Summed in a fixed order, so that a report does not
/// depend on threads or kernels; chunks of a tensor must hold a multiple of four elements, the last
/// excepted.
struct FloatDelta
{
    double maxAbs = 0; ///< over elements that are finite on both sides
    std::array<double, 4> squares {}; ///< as above; sums over elements of equal index modulo 4
    std::uint64_t nonFinite = 0; ///< NaN and infinities in next
    [[nodiscard]] double sumSquares() const noexcept
    {
        return (squares[0] + squares[1]) + (squares[2] + squares[3]);
    }
};

/// Adds n bytes (whole elements, any alignment) of a type for which isMeasuredFloat() is true.
void measureDelta(Dtype dtype, const std::byte* base, const std::byte* next, std::size_t n,
    FloatDelta& totals) noexcept;

/// Values of one tensor.
struct FloatSummary
{
    double min = 0; ///< of finite values; meaningless if finite is 0
    double max = 0;
    double sum = 0;
    double sumSquares = 0;
    std::uint64_t finite = 0;
    std::uint64_t nonFinite = 0;
    std::uint64_t zeros = 0; ///< of either sign
};
void summarize(Dtype dtype, const std::byte* bytes, std::size_t n, FloatSummary& totals) noexcept;

} // namespace desk
