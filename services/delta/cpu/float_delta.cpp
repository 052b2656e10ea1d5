// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/float_delta.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace desk {

namespace {

    /// Bits of a float type and what they mean.
    struct Bf16
    {
        using Word = std::uint16_t;
        static constexpr Word kExponent = 0x7F80;
        static double value(Word bits) noexcept
        {
            return static_cast<double>(
                std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16));
        }
    };
    struct F16
    {
        using Word = std::uint16_t;
        static constexpr Word kExponent = 0x7C00;
        static double value(Word bits) noexcept
        {
            const int exponent = bits >> 10 & 0x1F;
            const int fraction = bits & 0x3FF;
            const double magnitude = exponent == 0 ? std::ldexp(fraction, -24)
                                                   : std::ldexp(fraction + 1024, exponent - 25);
            return (bits & 0x8000) != 0 ? -magnitude : magnitude;
        }
    };
    struct F32
    {
        using Word = std::uint32_t;
        static constexpr Word kExponent = 0x7F800000;
        static double value(Word bits) noexcept
        {
            return static_cast<double>(std::bit_cast<float>(bits));
        }
    };
    struct F64
    {
        using Word = std::uint64_t;
        static constexpr Word kExponent = 0x7FF0000000000000;
        static double value(Word bits) noexcept { return std::bit_cast<double>(bits); }
    };

    template <class Type>
    typename Type::Word wordAt(const std::byte* bytes, std::size_t i) noexcept
    {
        typename Type::Word word;
        std::memcpy(&word, bytes + i * sizeof word, sizeof word);
        return word;
    }
    template <class Type>
    bool isFiniteWord(typename Type::Word word) noexcept
    {
        return (word & Type::kExponent) != Type::kExponent;
    }

    template <class Type>
    std::uint64_t countNonFinite(const std::byte* bytes, std::size_t count) noexcept
    {
        std::uint64_t total = 0;
        for (std::size_t i = 0; i < count; ++i)
            total += isFiniteWord<Type>(wordAt<Type>(bytes, i)) ? 0 : 1;
        return total;
    }

    template <class Type>
    void measureType(const std::byte* base, const std::byte* next, std::size_t n, bool isEqual,
        FloatDelta& totals) noexcept
    {
        const std::size_t count = n / sizeof(typename Type::Word);
        totals.nonFinite += countNonFinite<Type>(next, count);
        if (isEqual)
            return;
        for (std::size_t i = 0; i < count; ++i) {
            const auto a = wordAt<Type>(base, i);
            const auto b = wordAt<Type>(next, i);
            if (a == b || !isFiniteWord<Type>(a) || !isFiniteWord<Type>(b))
                continue;
            const double delta = Type::value(b) - Type::value(a);
            totals.maxAbs = std::max(totals.maxAbs, std::fabs(delta));
            totals.sumSquares += delta * delta;
        }
    }

    template <class Type>
    void summarizeType(const std::byte* bytes, std::size_t n, FloatSummary& totals) noexcept
    {
        for (std::size_t i = 0; i < n / sizeof(typename Type::Word); ++i) {
            const auto word = wordAt<Type>(bytes, i);
            if (!isFiniteWord<Type>(word)) {
                ++totals.nonFinite;
                continue;
            }
            const double value = Type::value(word);
            totals.min = totals.finite == 0 ? value : std::min(totals.min, value);
            totals.max = totals.finite == 0 ? value : std::max(totals.max, value);
            totals.sum += value;
            totals.sumSquares += value * value;
            totals.zeros += value == 0 ? 1 : 0;
            ++totals.finite;
        }
    }

} // namespace

void measureDelta(Dtype dtype, const std::byte* base, const std::byte* next, std::size_t n,
    bool isEqual, FloatDelta& totals) noexcept
{
    if (dtype == Dtype::BF16)
        measureType<Bf16>(base, next, n, isEqual, totals);
    else if (dtype == Dtype::F16)
        measureType<F16>(base, next, n, isEqual, totals);
    else if (dtype == Dtype::F32)
        measureType<F32>(base, next, n, isEqual, totals);
    else if (dtype == Dtype::F64)
        measureType<F64>(base, next, n, isEqual, totals);
}

void summarize(Dtype dtype, const std::byte* bytes, std::size_t n, FloatSummary& totals) noexcept
{
    if (dtype == Dtype::BF16)
        summarizeType<Bf16>(bytes, n, totals);
    else if (dtype == Dtype::F16)
        summarizeType<F16>(bytes, n, totals);
    else if (dtype == Dtype::F32)
        summarizeType<F32>(bytes, n, totals);
    else if (dtype == Dtype::F64)
        summarizeType<F64>(bytes, n, totals);
}

} // namespace desk
