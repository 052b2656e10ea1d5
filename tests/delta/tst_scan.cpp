// SPDX-License-Identifier: GPL-3.0-or-later
// Every kernel against the scalar reference, and the reference against known answers.

#include "services/delta/float_delta.h"
#include "services/delta/scan.h"
#include "tests/support/check.h"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

using namespace desk;

namespace {

constexpr std::array kUnits { ScanUnit::Byte, ScanUnit::Word16, ScanUnit::Word32, ScanUnit::Word64,
    ScanUnit::Nibble, ScanUnit::SixBit };
constexpr std::array<std::size_t, 6> kWidths { 1, 2, 4, 8, 1, 3 };
constexpr std::size_t kLaneBytes = 32;
constexpr std::array<std::size_t, 11> kSizes { 0, 1, kLaneBytes - 1, kLaneBytes, kLaneBytes + 1,
    1003, 5552, 5553, 11111, 24 * 4096, 24 * 4096 + 24 };

std::vector<std::byte> randomBytes(std::size_t count, unsigned seed)
{
    std::mt19937 random(seed);
    std::vector<std::byte> bytes(count);
    for (auto& byte : bytes)
        byte = static_cast<std::byte>(random());
    return bytes;
}

std::uint32_t adlerOf(const ScanKernels& kernels, std::string_view text)
{
    Adler32 sum;
    kernels.adler(reinterpret_cast<const std::byte*>(text.data()), text.size(), sum);
    return sum.value();
}

} // namespace

TEST(adler_matches_published_values)
{
    std::string ramp;
    for (int i = 0; i < 4096 * 256; ++i)
        ramp.push_back(static_cast<char>(i));
    for (const auto& kernels : allScanKernels()) {
        if (!kernels.isSupported())
            continue;
        CHECK_EQUAL(adlerOf(kernels, ""), 0x00000001U);
        CHECK_EQUAL(adlerOf(kernels, "a"), 0x00620062U);
        CHECK_EQUAL(adlerOf(kernels, "abc"), 0x024d0127U);
        CHECK_EQUAL(adlerOf(kernels, "Wikipedia"), 0x11e60398U);
        CHECK_EQUAL(adlerOf(kernels, std::string(10, '\0')), 0x000a0001U);
        CHECK_EQUAL(adlerOf(kernels, std::string(65521, '\0')), 0x00000001U);
        CHECK_EQUAL(adlerOf(kernels, std::string(5553, '\xff')), 0x8e299c8bU);
        CHECK_EQUAL(adlerOf(kernels, ramp), 0x46a47789U);
    }
}

TEST(scalar_reference_counts_changed_elements)
{
    const auto& scalar = allScanKernels().back();
    CHECK_EQUAL(std::string(scalar.name), std::string("scalar"));
    const std::array base { std::byte { 0x11 }, std::byte { 0x22 }, std::byte { 0x33 },
        std::byte { 0x44 }, std::byte { 0 }, std::byte { 0 }, std::byte { 0 }, std::byte { 0 } };
    auto next = base;
    next[0] = std::byte { 0x21 }; // upper nibble only
    next[3] = std::byte { 0x55 }; // both nibbles
    const auto changed = [&](ScanUnit unit, std::size_t n) {
        ScanTotals totals;
        scalar.scan(base.data(), next.data(), nullptr, n, unit, totals);
        return totals.changed;
    };
    CHECK_EQUAL(changed(ScanUnit::Byte, 8), 2U);
    CHECK_EQUAL(changed(ScanUnit::Word16, 8), 2U);
    CHECK_EQUAL(changed(ScanUnit::Word32, 8), 1U);
    CHECK_EQUAL(changed(ScanUnit::Word64, 8), 1U);
    CHECK_EQUAL(changed(ScanUnit::Nibble, 8), 3U);
    CHECK_EQUAL(changed(ScanUnit::SixBit, 3), 1U); // 0x30: bits 4 and 5, the first element
}

TEST(all_kernels_equal_the_reference)
{
    const auto& scalar = allScanKernels().back();
    for (const auto& kernels : allScanKernels()) {
        if (!kernels.isSupported())
            continue;
        for (std::size_t u = 0; u < kUnits.size(); ++u)
            for (const auto wanted : kSizes)
                for (const std::size_t shift : { 0, 1, 3 }) {
                    const std::size_t n = wanted / kWidths[u] * kWidths[u];
                    auto base = randomBytes(n + shift, 1);
                    auto next = base;
                    std::mt19937 random(7);
                    for (std::size_t i = 0; i < n / 9; ++i)
                        next.at(shift + random() % n) ^= std::byte { 0x41 };
                    std::vector<std::byte> expected(n);
                    std::vector<std::byte> found(n + shift);
                    ScanTotals one;
                    ScanTotals two;
                    ScanTotals three;
                    scalar.scan(base.data() + shift, next.data() + shift, expected.data(), n,
                        kUnits[u], one);
                    kernels.scan(base.data() + shift, next.data() + shift, found.data() + shift, n,
                        kUnits[u], two);
                    kernels.scan(
                        base.data() + shift, next.data() + shift, nullptr, n, kUnits[u], three);
                    CHECK(one == two);
                    CHECK(one == three);
                    CHECK(std::equal(expected.begin(), expected.end(), found.begin() + shift));

                    // The way back, into a buffer of its own and in place.
                    ScanTotals back;
                    std::vector<std::byte> rebuilt(n);
                    kernels.applyXor(
                        base.data() + shift, expected.data(), rebuilt.data(), n, kUnits[u], back);
                    CHECK(std::equal(rebuilt.begin(), rebuilt.end(), next.begin() + shift));
                    CHECK_EQUAL(back.changed, one.changed);
                    CHECK(back.next == one.next);
                    ScanTotals inPlace;
                    kernels.applyXor(base.data() + shift, expected.data(), expected.data(), n,
                        kUnits[u], inPlace);
                    CHECK(rebuilt == expected);
                    CHECK(inPlace == back);
                }
    }
}

TEST(chunks_give_the_sums_of_the_whole)
{
    const auto base = randomBytes(100'002, 3);
    auto next = base;
    next.at(5) ^= std::byte { 1 };
    next.at(77'777) ^= std::byte { 1 };
    for (const auto& kernels : allScanKernels()) {
        if (!kernels.isSupported())
            continue;
        ScanTotals whole;
        kernels.scan(base.data(), next.data(), nullptr, base.size(), ScanUnit::Word16, whole);
        ScanTotals parts;
        for (std::size_t at = 0; at < base.size(); at += 766)
            kernels.scan(base.data() + at, next.data() + at, nullptr,
                std::min<std::size_t>(766, base.size() - at), ScanUnit::Word16, parts);
        CHECK(whole == parts);
        CHECK_EQUAL(whole.changed, 2U);
    }
}

TEST(forced_kernels_are_taken_if_the_processor_has_them)
{
    CHECK_EQUAL(std::string(chooseScanKernels("scalar").name), std::string("scalar"));
    const std::string best = chooseScanKernels(nullptr).name;
    CHECK_EQUAL(std::string(chooseScanKernels("no-such-kernel").name), best);
#if defined(__x86_64__)
    const bool hasAvx2 =
        __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("popcnt") != 0;
    CHECK_EQUAL(best, std::string(hasAvx2 ? "avx2" : "scalar"));
    CHECK_EQUAL(
        std::string(chooseScanKernels("avx2").name), std::string(hasAvx2 ? "avx2" : "scalar"));
#endif
}

TEST(float_deltas_ignore_what_is_not_finite)
{
    const float infinity = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::array<float, 6> base { 1.0F, 2.0F, nan, 4.0F, 5.0F, 0.0F };
    const std::array<float, 6> next { 1.0F, 5.0F, 3.0F, infinity, 1.0F, -0.0F };
    FloatDelta totals;
    measureDelta(Dtype::F32, std::as_bytes(std::span(base)).data(),
        std::as_bytes(std::span(next)).data(), sizeof base, totals);
    CHECK_EQUAL(totals.maxAbs, 4.0);
    CHECK_EQUAL(totals.sumSquares(), 25.0); // 3² + 4²
    CHECK_EQUAL(totals.nonFinite, 1U);
}

TEST(float_deltas_do_not_depend_on_where_specials_stand)
{
    // Every position of a NaN, an infinity and a change within two words and a tail, four types.
    for (const auto dtype : { Dtype::BF16, Dtype::F16, Dtype::F32, Dtype::F64 }) {
        const std::size_t width = bitsOf(dtype) / 8;
        const auto put = [&](std::vector<std::byte>& bytes, std::size_t i, std::uint64_t word) {
            std::memcpy(bytes.data() + i * width, &word, width);
        };
        const auto [one, two, infinity] = dtype == Dtype::BF16
            ? std::array<std::uint64_t, 3> { 0x3F80, 0x4000, 0x7F80 }
            : dtype == Dtype::F16 ? std::array<std::uint64_t, 3> { 0x3C00, 0x4000, 0x7C00 }
            : dtype == Dtype::F32
            ? std::array<std::uint64_t, 3> { 0x3F800000, 0x40000000, 0x7F800000 }
            : std::array<std::uint64_t, 3> { 0x3FF0000000000000, 0x4000000000000000,
                  0x7FF0000000000000 };
        constexpr std::size_t kLength = 11;
        for (std::size_t special = 0; special < kLength; ++special)
            for (std::size_t change = 0; change < kLength; ++change) {
                std::vector<std::byte> base(kLength * width);
                std::vector<std::byte> next(kLength * width);
                put(base, change, one);
                put(next, change, two);
                put(next, special, infinity + 1); // a NaN
                FloatDelta totals;
                measureDelta(dtype, base.data(), next.data(), next.size(), totals);
                CHECK_EQUAL(totals.nonFinite, 1U);
                CHECK_EQUAL(totals.maxAbs, special == change ? 0.0 : 1.0);
                CHECK_EQUAL(totals.sumSquares(), special == change ? 0.0 : 1.0);
            }
    }
}

TEST(half_precision_values_are_read_right)
{
    // F16: 1, the smallest subnormal, the largest finite, -2, infinity. BF16: 1, -2, NaN.
    const std::array<std::uint16_t, 5> half { 0x3C00, 0x0001, 0x7BFF, 0xC000, 0x7C00 };
    FloatSummary summary;
    summarize(Dtype::F16, std::as_bytes(std::span(half)).data(), sizeof half, summary);
    CHECK_EQUAL(summary.max, 65504.0);
    CHECK_EQUAL(summary.min, -2.0);
    CHECK_EQUAL(summary.sum, 1.0 + std::ldexp(1.0, -24) + 65504.0 - 2.0);
    CHECK_EQUAL(summary.nonFinite, 1U);
    const std::array<std::uint16_t, 3> brain { 0x3F80, 0xC000, 0x7FC1 };
    FloatSummary other;
    summarize(Dtype::BF16, std::as_bytes(std::span(brain)).data(), sizeof brain, other);
    CHECK_EQUAL(other.sum, -1.0);
    CHECK_EQUAL(other.nonFinite, 1U);
}

CHECK_MAIN()
