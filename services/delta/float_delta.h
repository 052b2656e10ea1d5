// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/delta/dtype.h"

#include <cstddef>
#include <cstdint>

namespace desk {

/// How far the values of a float tensor moved. Summed element by element in order, so that a report
/// does not depend on chunks, threads or kernels.
struct FloatDelta
{
    double maxAbs = 0; ///< over elements that are finite on both sides
    double sumSquares = 0; ///< as above
    std::uint64_t nonFinite = 0; ///< NaN and infinities in next
};

/// Adds n bytes (whole elements, any alignment) of a type for which isMeasuredFloat() is true.
/// isEqual: the bytes are known to be equal, only nonFinite is counted.
void measureDelta(Dtype dtype, const std::byte* base, const std::byte* next, std::size_t n,
    bool isEqual, FloatDelta& totals) noexcept;

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
