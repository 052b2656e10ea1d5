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
    void measureOne(typename Type::Word a, typename Type::Word b, std::size_t index,
        FloatDelta& totals) noexcept
    {
        totals.nonFinite += isFiniteWord<Type>(b) ? 0 : 1;
        if (!isFiniteWord<Type>(a) || !isFiniteWord<Type>(b))
            return;
        const double delta = Type::value(b) - Type::value(a);
        totals.maxAbs = std::max(totals.maxAbs, std::fabs(delta));
        totals.squares[index % 4] += delta * delta;
    }

    /// The constant in every element of a word of eight bytes.
    template <class Word>
    constexpr std::uint64_t everywhere(Word value) noexcept
    {
        std::uint64_t all = 0;
        for (unsigned shift = 0; shift < 64; shift += 8 * sizeof(Word))
            all |= static_cast<std::uint64_t>(value) << shift;
        return all;
    }

    /// True if an element's exponent is all ones: adding the exponent's lowest bit then reaches the
    /// sign's place, and nothing else does.
    template <class Type>
    bool hasNonFinite(std::uint64_t elements) noexcept
    {
        using Word = typename Type::Word;
        constexpr Word kLowest = static_cast<Word>(Type::kExponent & (~Type::kExponent + 1));
        constexpr Word kSign = static_cast<Word>(Word { 1 } << (8 * sizeof(Word) - 1));
        return (((elements & everywhere(Type::kExponent)) + everywhere(kLowest))
                   & everywhere(kSign))
            != 0;
    }

    /// Eight bytes at a time: what did not change, which is most of it, costs two loads.
    template <class Type>
    void measureType(
        const std::byte* base, const std::byte* next, std::size_t n, FloatDelta& totals) noexcept
    {
        using Word = typename Type::Word;
        constexpr std::size_t kLanes = 8 / sizeof(Word);
        const std::size_t count = n / sizeof(Word);
        std::size_t i = 0;
        for (; i + kLanes <= count; i += kLanes) {
            std::uint64_t a = 0;
            std::uint64_t b = 0;
            std::memcpy(&a, base + i * sizeof(Word), sizeof a);
            std::memcpy(&b, next + i * sizeof(Word), sizeof b);
            const bool isSpecial = hasNonFinite<Type>(b);
            if (a == b && !isSpecial)
                continue;
            if (isSpecial || hasNonFinite<Type>(a)) {
                for (std::size_t k = i; k < i + kLanes; ++k)
                    measureOne<Type>(wordAt<Type>(base, k), wordAt<Type>(next, k), k, totals);
                continue;
            }
            for (std::size_t k = 0; k < kLanes; ++k) { // no branch: an equal element adds zero
                const double delta = Type::value(static_cast<Word>(b >> (8 * sizeof(Word) * k)))
                    - Type::value(static_cast<Word>(a >> (8 * sizeof(Word) * k)));
                totals.maxAbs = std::max(totals.maxAbs, std::fabs(delta));
                totals.squares[(i + k) % 4] += delta * delta;
            }
        }
        for (; i < count; ++i)
            measureOne<Type>(wordAt<Type>(base, i), wordAt<Type>(next, i), i, totals);
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
    FloatDelta& totals) noexcept
{
    if (dtype == Dtype::BF16)
        measureType<Bf16>(base, next, n, totals);
    else if (dtype == Dtype::F16)
        measureType<F16>(base, next, n, totals);
    else if (dtype == Dtype::F32)
        measureType<F32>(base, next, n, totals);
    else if (dtype == Dtype::F64)
        measureType<F64>(base, next, n, totals);
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
