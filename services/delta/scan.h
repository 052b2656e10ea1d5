// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/delta/dtype.h"
#include "services/delta/scan_element.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace desk {

/// What counts as one element when changes are counted.
enum class ScanUnit
{
    Byte,
    Word16,
    Word32,
    Word64,
    Nibble, ///< F4
    SixBit ///< F6: lengths are multiples of three bytes
};
[[nodiscard]] ScanUnit scanUnitOf(Dtype dtype) noexcept;

/// Sums over the chunks of a tensor, in order.
struct ScanTotals
{
    std::uint64_t changed = 0; ///< elements
    Adler32 base; ///< of the old bytes; applyXor leaves it alone
    Adler32 next; ///< of the new bytes
    bool operator==(const ScanTotals&) const = default;
};

/// One implementation of the scan. All of them give the same bits.
/// SHAPES: n bytes, a multiple of the unit; pointers need no alignment; out may equal an input.
struct ScanKernels
{
    const char* name; ///< "avx2", "scalar"
    bool (*isSupported)() noexcept; ///< by this CPU
    /// One pass over both: counts the elements that differ, both Adlers, and writes base XOR next
    /// to out unless that is nullptr.
    void (*scan)(const std::byte* base, const std::byte* next, std::byte* out, std::size_t n,
        ScanUnit unit, ScanTotals& totals) noexcept;
    /// out = base XOR delta, Adler of out, and the count of elements of delta that are not zero.
    void (*applyXor)(const std::byte* base, const std::byte* delta, std::byte* out, std::size_t n,
        ScanUnit unit, ScanTotals& totals) noexcept;
    /// Adler-32 alone.
    void (*adler)(const std::byte* bytes, std::size_t n, Adler32& sum) noexcept;
};

/// All that are compiled in, best first; the last is the scalar reference, which is the
/// specification.
[[nodiscard]] std::span<const ScanKernels> allScanKernels() noexcept;
/// The best that this CPU supports, or the one that DESK_FORCE_KERNELS names if it supports that.
[[nodiscard]] const ScanKernels& activeScanKernels() noexcept;
/// As activeScanKernels() with the variable's value given; nullptr: not set.
[[nodiscard]] const ScanKernels& chooseScanKernels(const char* forced) noexcept;

} // namespace desk
