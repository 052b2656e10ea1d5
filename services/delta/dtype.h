// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace desk {

/// Element types of safetensors (its README and tensor.rs); the order has no meaning.
enum class Dtype
{
    Bool,
    U8,
    I8,
    F8E5M2,
    F8E4M3,
    F8E8M0,
    F8E4M3Fnuz,
    F8E5M2Fnuz,
    F4, ///< two elements a byte
    F6E2M3, ///< four elements in three bytes
    F6E3M2,
    I16,
    U16,
    F16,
    BF16,
    I32,
    U32,
    F32,
    I64,
    U64,
    F64,
    C64 ///< two F32: real, imaginary
};

/// Size of one element; 4 and 6 for the packed types.
[[nodiscard]] unsigned bitsOf(Dtype dtype) noexcept;
/// The spelling of the file format, e.g. "BF16", "F8_E4M3".
[[nodiscard]] const char* toString(Dtype dtype) noexcept;
[[nodiscard]] std::optional<Dtype> dtypeFrom(std::string_view word) noexcept;
/// F16, BF16, F32, F64: types whose values the reports measure; all others are compared as bits.
[[nodiscard]] bool isMeasuredFloat(Dtype dtype) noexcept;

} // namespace desk
