// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/host_device.h"

#include <cstdint>
#include <initializer_list>

namespace desk {

inline constexpr std::uint32_t kAdlerModulus = 65521; ///< RFC 1950

/// Running Adler-32 (RFC 1950): a is the sum of the bytes plus one, b the sum of all a.
struct Adler32
{
    std::uint32_t a = 1;
    std::uint32_t b = 0;
    [[nodiscard]] DESK_HD constexpr std::uint32_t value() const noexcept { return b << 16 | a; }
    constexpr bool operator==(const Adler32&) const = default;
};

/// The next byte, without the modulus: 5552 steps from reduced values fit 32 bits.
DESK_HD inline constexpr void adlerAdd(Adler32& sum, std::uint8_t byte) noexcept
{
    sum.a += byte;
    sum.b += sum.a;
}
DESK_HD inline constexpr void adlerReduce(Adler32& sum) noexcept
{
    sum.a %= kAdlerModulus;
    sum.b %= kAdlerModulus;
}
inline constexpr std::uint32_t kAdlerRun = 5552; ///< bytes between two adlerReduce

/// How many of the two 4-bit elements of a byte of the XOR are not zero.
DESK_HD inline constexpr std::uint32_t changedNibbles(std::uint8_t x) noexcept
{
    return ((x & 0x0FU) != 0 ? 1U : 0U) + ((x & 0xF0U) != 0 ? 1U : 0U);
}
/// How many of the four 6-bit elements in three bytes (first byte lowest) are not zero.
DESK_HD inline constexpr std::uint32_t changedSixBits(std::uint32_t x) noexcept
{
    std::uint32_t count = 0;
    for (std::uint32_t shift = 0; shift < 24; shift += 6)
        count += (x >> shift & 0x3FU) != 0 ? 1U : 0U;
    return count;
}

static_assert([] {
    Adler32 sum;
    for (const char c : { 'a', 'b', 'c' })
        adlerAdd(sum, static_cast<std::uint8_t>(c));
    return sum.value();
}() == 0x024d0127U);
static_assert(changedNibbles(0x10) == 1 && changedNibbles(0x11) == 2 && changedNibbles(0) == 0);
static_assert(changedSixBits(0x40) == 1 && changedSixBits(0xFFFFFF) == 4);

} // namespace desk
