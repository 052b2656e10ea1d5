// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <bit>
#include <cstdint>

namespace desk::local {

/// Nearest BF16, ties to even; NaN stays NaN (quiet).
[[nodiscard]] constexpr std::uint16_t toBfloat16(float value) noexcept
{
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U)
        return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
    return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}
[[nodiscard]] constexpr float fromBfloat16(std::uint16_t value) noexcept
{
    return std::bit_cast<float>(std::uint32_t { value } << 16);
}
static_assert(toBfloat16(1.0F) == 0x3F80);
static_assert(toBfloat16(std::bit_cast<float>(0x3F808000U)) == 0x3F80); // tie: even below
static_assert(toBfloat16(std::bit_cast<float>(0x3F818000U)) == 0x3F82); // tie: even above

/// IEEE half, exact.
[[nodiscard]] constexpr float fromHalf(std::uint16_t value) noexcept
{
    const std::uint32_t sign = std::uint32_t { value & 0x8000U } << 16;
    const std::uint32_t exponent = (value >> 10) & 31U;
    const std::uint32_t fraction = value & 1023U;
    if (exponent == 31)
        return std::bit_cast<float>(sign | 0x7F800000U | (fraction << 13));
    if (exponent == 0) {
        const float small = static_cast<float>(fraction) * 0x1p-24F;
        return sign != 0 ? -small : small;
    }
    return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (fraction << 13));
}
static_assert(fromHalf(0x3C00) == 1.0F && fromHalf(0xC000) == -2.0F && fromHalf(1) == 0x1p-24F);

} // namespace desk::local
