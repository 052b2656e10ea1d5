// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/kernels.h"

#include <array>
#include <cstdlib>
#include <cstring>

namespace desk::local {
namespace {
    bool kernelAlways() noexcept
    {
        return true;
    }

    namespace portable {
#define DESK_SCALAR float
#define DESK_LANES 4
#define DESK_TILE_ROWS 4
#define DESK_TILE_VECTORS 2
#define DESK_TARGET
#define DESK_SQRT __builtin_sqrtf
#include "services/local/engine/kernels_body.inc"
#undef DESK_SCALAR
#undef DESK_LANES
#undef DESK_TILE_ROWS
#undef DESK_TILE_VECTORS
#undef DESK_TARGET
    } // namespace portable

#if defined(__x86_64__)
    bool kernelHasAvx2() noexcept
    {
        return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
    }
    bool kernelHasAvx512() noexcept
    {
        return kernelHasAvx2() && __builtin_cpu_supports("avx512f") != 0
            && __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512bw") != 0
            && __builtin_cpu_supports("avx512vl") != 0;
    }

    namespace avx2 {
#define DESK_SCALAR float
#define DESK_LANES 8
#define DESK_TILE_ROWS 6
#define DESK_TILE_VECTORS 2
#define DESK_TARGET __attribute__((target("avx2,fma")))
#include "services/local/engine/kernels_body.inc"
#undef DESK_SCALAR
#undef DESK_LANES
#undef DESK_TILE_ROWS
#undef DESK_TILE_VECTORS
#undef DESK_TARGET
    } // namespace avx2

    namespace avx512 {
#define DESK_SCALAR float
#define DESK_LANES 16
#define DESK_TILE_ROWS 12
#define DESK_TILE_VECTORS 2
#define DESK_TARGET __attribute__((target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl")))
#include "services/local/engine/kernels_body.inc"
#undef DESK_SCALAR
#undef DESK_LANES
#undef DESK_TILE_ROWS
#undef DESK_TILE_VECTORS
#undef DESK_TARGET
    } // namespace avx512
#endif

#undef DESK_SQRT
    // Double serves the gradient check only.
    namespace portable64 {
#define DESK_SCALAR double
#define DESK_LANES 2
#define DESK_TILE_ROWS 4
#define DESK_TILE_VECTORS 2
#define DESK_TARGET
#define DESK_SQRT __builtin_sqrt
#define DESK_LIBM_EXP
#include "services/local/engine/kernels_body.inc"
#undef DESK_SCALAR
#undef DESK_LANES
#undef DESK_TILE_ROWS
#undef DESK_TILE_VECTORS
#undef DESK_TARGET
#undef DESK_SQRT
#undef DESK_LIBM_EXP
    } // namespace portable64

#define DESK_KERNEL_TABLE(space, label, supported)                                                 \
    {                                                                                              \
        label, supported, space::kRows, space::kCols, space::tilePacked, space::tileInPlace,       \
            space::dot, space::addScaled, space::rmsNorm, space::rmsNormBack, space::swiglu,       \
            space::swigluBack, space::softmax, space::expShifted, space::softmaxBack, space::adamw \
    }

    constexpr Kernels<float> kFloatTables[] = {
#if defined(__x86_64__)
        DESK_KERNEL_TABLE(avx512, "avx512", kernelHasAvx512),
        DESK_KERNEL_TABLE(avx2, "avx2", kernelHasAvx2),
#endif
        DESK_KERNEL_TABLE(portable, "portable", kernelAlways),
    };
    constexpr Kernels<double> kDoubleTables[] = {
        DESK_KERNEL_TABLE(portable64, "portable", kernelAlways),
    };

    template <class T>
    const Kernels<T>& chooseKernels(std::span<const Kernels<T>> tables, const char* forced) noexcept
    {
        for (const auto& table : tables)
            if (table.isSupported() && (forced == nullptr || std::strcmp(table.name, forced) == 0))
                return table;
        return tables.back();
    }
} // namespace

template <>
std::span<const Kernels<float>> allKernels<float>() noexcept
{
    return kFloatTables;
}
template <>
std::span<const Kernels<double>> allKernels<double>() noexcept
{
    return kDoubleTables;
}

template <>
const Kernels<float>& activeKernels<float>() noexcept
{
    static const Kernels<float>& chosen =
        chooseKernels(allKernels<float>(), std::getenv("DESK_FORCE_KERNELS"));
    return chosen;
}
template <>
const Kernels<double>& activeKernels<double>() noexcept
{
    return kDoubleTables[0];
}

} // namespace desk::local
