// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/scan.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace desk {

namespace {

    template <class Word>
    std::uint64_t countWords(const std::byte* base, const std::byte* next, std::size_t n) noexcept
    {
        std::uint64_t changed = 0;
        for (std::size_t i = 0; i + sizeof(Word) <= n; i += sizeof(Word)) {
            Word a;
            Word b;
            std::memcpy(&a, base + i, sizeof a);
            std::memcpy(&b, next + i, sizeof b);
            changed += a != b ? 1 : 0;
        }
        return changed;
    }

    std::uint8_t xorAt(const std::byte* base, const std::byte* next, std::size_t i) noexcept
    {
        return std::to_integer<std::uint8_t>(base[i] ^ next[i]);
    }

    std::uint64_t countChanged(
        const std::byte* base, const std::byte* next, std::size_t n, ScanUnit unit) noexcept
    {
        std::uint64_t changed = 0;
        switch (unit) {
        case ScanUnit::Byte:
            return countWords<std::uint8_t>(base, next, n);
        case ScanUnit::Word16:
            return countWords<std::uint16_t>(base, next, n);
        case ScanUnit::Word32:
            return countWords<std::uint32_t>(base, next, n);
        case ScanUnit::Word64:
            return countWords<std::uint64_t>(base, next, n);
        case ScanUnit::Nibble:
            for (std::size_t i = 0; i < n; ++i)
                changed += changedNibbles(xorAt(base, next, i));
            return changed;
        case ScanUnit::SixBit:
            for (std::size_t i = 0; i + 3 <= n; i += 3)
                changed += changedSixBits(static_cast<std::uint32_t>(xorAt(base, next, i))
                    | static_cast<std::uint32_t>(xorAt(base, next, i + 1)) << 8
                    | static_cast<std::uint32_t>(xorAt(base, next, i + 2)) << 16);
            return changed;
        }
        return changed;
    }

    void adlerScalar(const std::byte* bytes, std::size_t n, Adler32& sum) noexcept
    {
        while (n > 0) {
            const std::size_t run = std::min<std::size_t>(n, kAdlerRun);
            for (std::size_t i = 0; i < run; ++i)
                adlerAdd(sum, std::to_integer<std::uint8_t>(bytes[i]));
            adlerReduce(sum);
            bytes += run;
            n -= run;
        }
    }

    void scanScalar(const std::byte* base, const std::byte* next, std::byte* out, std::size_t n,
        ScanUnit unit, ScanTotals& totals) noexcept
    {
        totals.changed += countChanged(base, next, n, unit);
        adlerScalar(base, n, totals.base);
        adlerScalar(next, n, totals.next);
        if (out != nullptr)
            for (std::size_t i = 0; i < n; ++i)
                out[i] = base[i] ^ next[i];
    }

    std::uint64_t countNonZero(const std::byte* delta, std::size_t n, ScanUnit unit) noexcept
    {
        // A run of zeros to compare with; its length is a multiple of every unit.
        static constexpr std::array<std::byte, 24 * 128> kZeros {};
        std::uint64_t changed = 0;
        while (n > 0) {
            const std::size_t run = std::min(n, kZeros.size());
            changed += countChanged(delta, kZeros.data(), run, unit);
            delta += run;
            n -= run;
        }
        return changed;
    }

    void applyXorScalar(const std::byte* base, const std::byte* delta, std::byte* out,
        std::size_t n, ScanUnit unit, ScanTotals& totals) noexcept
    {
        totals.changed += countNonZero(delta, n, unit); // first: out may be delta
        for (std::size_t i = 0; i < n; ++i)
            out[i] = base[i] ^ delta[i];
        adlerScalar(out, n, totals.next);
    }

#if defined(__x86_64__)
#define DESK_AVX2 __attribute__((target("avx2,popcnt")))
#define DESK_AVX2_INLINE __attribute__((target("avx2,popcnt"), always_inline)) inline

    constexpr std::size_t kLane = 32;
    constexpr std::size_t kAvx2Run = kAdlerRun / kLane * kLane;

    /// Adler sums of one run: per block of 32 bytes, sum is Σ bytes, before is Σ of the sums before
    /// each block, weighted is Σ (32 - i) * byte[i].
    struct AdlerLanes
    {
        __m256i sum;
        __m256i before;
        __m256i weighted;
    };

    DESK_AVX2_INLINE AdlerLanes emptyLanes() noexcept
    {
        return { _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256() };
    }
    DESK_AVX2_INLINE void addBlock(AdlerLanes& lanes, __m256i bytes) noexcept
    {
        const __m256i weights = _mm256_setr_epi8(32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20,
            19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1);
        lanes.before = _mm256_add_epi32(lanes.before, lanes.sum);
        lanes.sum = _mm256_add_epi32(lanes.sum, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
        lanes.weighted = _mm256_add_epi32(lanes.weighted,
            _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, weights), _mm256_set1_epi16(1)));
    }
    DESK_AVX2_INLINE std::uint64_t addUp(__m256i lanes) noexcept
    {
        alignas(32) std::uint32_t parts[8];
        _mm256_store_si256(reinterpret_cast<__m256i*>(parts), lanes);
        std::uint64_t total = 0;
        for (const auto part : parts)
            total += part;
        return total;
    }
    DESK_AVX2_INLINE void fold(const AdlerLanes& lanes, std::size_t n, Adler32& sum) noexcept
    {
        const std::uint64_t b = sum.b + std::uint64_t { n } * sum.a + kLane * addUp(lanes.before)
            + addUp(lanes.weighted);
        sum.a = static_cast<std::uint32_t>((sum.a + addUp(lanes.sum)) % kAdlerModulus);
        sum.b = static_cast<std::uint32_t>(b % kAdlerModulus);
    }

    /// Bytes of elements that are equal. The packed types are counted by the scalar loop.
    DESK_AVX2_INLINE std::uint32_t equalBytes(__m256i a, __m256i b, ScanUnit unit) noexcept
    {
        __m256i equal = _mm256_setzero_si256();
        switch (unit) {
        case ScanUnit::Byte:
            equal = _mm256_cmpeq_epi8(a, b);
            break;
        case ScanUnit::Word16:
            equal = _mm256_cmpeq_epi16(a, b);
            break;
        case ScanUnit::Word32:
            equal = _mm256_cmpeq_epi32(a, b);
            break;
        case ScanUnit::Word64:
            equal = _mm256_cmpeq_epi64(a, b);
            break;
        case ScanUnit::Nibble:
        case ScanUnit::SixBit:
            return 0;
        }
        return static_cast<std::uint32_t>(
            _mm_popcnt_u32(static_cast<std::uint32_t>(_mm256_movemask_epi8(equal))));
    }
    constexpr bool isPacked(ScanUnit unit) noexcept
    {
        return unit == ScanUnit::Nibble || unit == ScanUnit::SixBit;
    }
    constexpr std::uint64_t widthOf(ScanUnit unit) noexcept
    {
        switch (unit) {
        case ScanUnit::Word16:
            return 2;
        case ScanUnit::Word32:
            return 4;
        case ScanUnit::Word64:
            return 8;
        case ScanUnit::Byte:
        case ScanUnit::Nibble:
        case ScanUnit::SixBit:
            break;
        }
        return 1;
    }
    DESK_AVX2_INLINE __m256i load(const std::byte* at) noexcept
    {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    }
    DESK_AVX2_INLINE void store(std::byte* at, __m256i bytes) noexcept
    {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), bytes);
    }

    DESK_AVX2_INLINE void scanRuns(const std::byte* base, const std::byte* next, std::byte* out,
        std::size_t n, ScanUnit unit, ScanTotals& totals) noexcept
    {
        std::size_t i = 0;
        while (n - i >= kLane) {
            const std::size_t run = std::min((n - i) / kLane * kLane, kAvx2Run);
            AdlerLanes old = emptyLanes();
            AdlerLanes fresh = emptyLanes();
            std::uint64_t equal = 0;
            for (const std::size_t end = i + run; i < end; i += kLane) {
                const __m256i a = load(base + i);
                const __m256i b = load(next + i);
                addBlock(old, a);
                addBlock(fresh, b);
                equal += equalBytes(a, b, unit);
                if (out != nullptr)
                    store(out + i, _mm256_xor_si256(a, b));
            }
            if (!isPacked(unit))
                totals.changed += (run - equal) / widthOf(unit);
            fold(old, run, totals.base);
            fold(fresh, run, totals.next);
        }
        if (i < n) {
            const auto before = totals.changed;
            scanScalar(base + i, next + i, out == nullptr ? nullptr : out + i, n - i, unit, totals);
            if (isPacked(unit))
                totals.changed = before;
        }
    }

    // The unit is a constant in each branch, so that the loop has no switch in it.
    DESK_AVX2 void scanAvx2(const std::byte* base, const std::byte* next, std::byte* out,
        std::size_t n, ScanUnit unit, ScanTotals& totals) noexcept
    {
        if (isPacked(unit)) { // before out, which may be an input, is written
            totals.changed += countChanged(base, next, n, unit);
            scanRuns(base, next, out, n, ScanUnit::Nibble, totals);
        } else if (unit == ScanUnit::Word16 && out == nullptr) {
            scanRuns(base, next, nullptr, n, ScanUnit::Word16, totals);
        } else if (unit == ScanUnit::Word16) {
            scanRuns(base, next, out, n, ScanUnit::Word16, totals);
        } else if (unit == ScanUnit::Word32) {
            scanRuns(base, next, out, n, ScanUnit::Word32, totals);
        } else if (unit == ScanUnit::Word64) {
            scanRuns(base, next, out, n, ScanUnit::Word64, totals);
        } else {
            scanRuns(base, next, out, n, ScanUnit::Byte, totals);
        }
    }

    DESK_AVX2_INLINE void applyRuns(const std::byte* base, const std::byte* delta, std::byte* out,
        std::size_t n, ScanUnit unit, ScanTotals& totals) noexcept
    {
        std::size_t i = 0;
        const __m256i zero = _mm256_setzero_si256();
        while (n - i >= kLane) {
            const std::size_t run = std::min((n - i) / kLane * kLane, kAvx2Run);
            AdlerLanes fresh = emptyLanes();
            std::uint64_t equal = 0;
            for (const std::size_t end = i + run; i < end; i += kLane) {
                const __m256i x = load(delta + i);
                const __m256i b = _mm256_xor_si256(load(base + i), x);
                addBlock(fresh, b);
                equal += equalBytes(x, zero, unit);
                store(out + i, b);
            }
            if (!isPacked(unit))
                totals.changed += (run - equal) / widthOf(unit);
            fold(fresh, run, totals.next);
        }
        if (i < n) {
            const auto before = totals.changed;
            applyXorScalar(base + i, delta + i, out + i, n - i, unit, totals);
            if (isPacked(unit))
                totals.changed = before;
        }
    }

    DESK_AVX2 void applyXorAvx2(const std::byte* base, const std::byte* delta, std::byte* out,
        std::size_t n, ScanUnit unit, ScanTotals& totals) noexcept
    {
        if (isPacked(unit)) {
            totals.changed += countNonZero(delta, n, unit);
            applyRuns(base, delta, out, n, ScanUnit::Nibble, totals);
        } else if (unit == ScanUnit::Word16) {
            applyRuns(base, delta, out, n, ScanUnit::Word16, totals);
        } else if (unit == ScanUnit::Word32) {
            applyRuns(base, delta, out, n, ScanUnit::Word32, totals);
        } else if (unit == ScanUnit::Word64) {
            applyRuns(base, delta, out, n, ScanUnit::Word64, totals);
        } else {
            applyRuns(base, delta, out, n, ScanUnit::Byte, totals);
        }
    }

    DESK_AVX2 void adlerAvx2(const std::byte* bytes, std::size_t n, Adler32& sum) noexcept
    {
        std::size_t i = 0;
        while (n - i >= kLane) {
            const std::size_t run = std::min((n - i) / kLane * kLane, kAvx2Run);
            AdlerLanes lanes = emptyLanes();
            for (const std::size_t end = i + run; i < end; i += kLane)
                addBlock(lanes, load(bytes + i));
            fold(lanes, run, sum);
        }
        adlerScalar(bytes + i, n - i, sum);
    }

    bool hasAvx2() noexcept
    {
        return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("popcnt") != 0;
    }
#endif

    bool isAlwaysThere() noexcept
    {
        return true;
    }

    constexpr std::array kScanTables
    {
#if defined(__x86_64__)
        ScanKernels { "avx2", hasAvx2, scanAvx2, applyXorAvx2, adlerAvx2 },
#endif
            ScanKernels { "scalar", isAlwaysThere, scanScalar, applyXorScalar, adlerScalar },
    };

} // namespace

ScanUnit scanUnitOf(Dtype dtype) noexcept
{
    switch (bitsOf(dtype)) {
    case 4:
        return ScanUnit::Nibble;
    case 6:
        return ScanUnit::SixBit;
    case 16:
        return ScanUnit::Word16;
    case 32:
        return ScanUnit::Word32;
    case 64:
        return ScanUnit::Word64;
    default:
        return ScanUnit::Byte;
    }
}

std::span<const ScanKernels> allScanKernels() noexcept
{
    return kScanTables;
}

const ScanKernels& chooseScanKernels(const char* forced) noexcept
{
    for (const auto& table : kScanTables) // a forced name counts only if this CPU supports it
        if (table.isSupported() && (forced == nullptr || std::string_view(table.name) == forced))
            return table;
    if (forced != nullptr) // an unknown name is no reason to be slow
        return chooseScanKernels(nullptr);
    return kScanTables.back();
}

const ScanKernels& activeScanKernels() noexcept
{
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in this program calls setenv
    static const ScanKernels& chosen = chooseScanKernels(std::getenv("DESK_FORCE_KERNELS"));
    return chosen;
}

} // namespace desk
