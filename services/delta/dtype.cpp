// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/dtype.h"

#include <array>

namespace desk {

namespace {

    struct DtypeFacts
    {
        Dtype dtype;
        const char* name;
        unsigned bits;
    };
    constexpr std::array kDtypes {
        DtypeFacts { Dtype::Bool, "BOOL", 8 },
        DtypeFacts { Dtype::U8, "U8", 8 },
        DtypeFacts { Dtype::I8, "I8", 8 },
        DtypeFacts { Dtype::F8E5M2, "F8_E5M2", 8 },
        DtypeFacts { Dtype::F8E4M3, "F8_E4M3", 8 },
        DtypeFacts { Dtype::F8E8M0, "F8_E8M0", 8 },
        DtypeFacts { Dtype::F8E4M3Fnuz, "F8_E4M3FNUZ", 8 },
        DtypeFacts { Dtype::F8E5M2Fnuz, "F8_E5M2FNUZ", 8 },
        DtypeFacts { Dtype::F4, "F4", 4 },
        DtypeFacts { Dtype::F6E2M3, "F6_E2M3", 6 },
        DtypeFacts { Dtype::F6E3M2, "F6_E3M2", 6 },
        DtypeFacts { Dtype::I16, "I16", 16 },
        DtypeFacts { Dtype::U16, "U16", 16 },
        DtypeFacts { Dtype::F16, "F16", 16 },
        DtypeFacts { Dtype::BF16, "BF16", 16 },
        DtypeFacts { Dtype::I32, "I32", 32 },
        DtypeFacts { Dtype::U32, "U32", 32 },
        DtypeFacts { Dtype::F32, "F32", 32 },
        DtypeFacts { Dtype::I64, "I64", 64 },
        DtypeFacts { Dtype::U64, "U64", 64 },
        DtypeFacts { Dtype::F64, "F64", 64 },
        DtypeFacts { Dtype::C64, "C64", 64 },
    };

    constexpr const DtypeFacts& factsOf(Dtype dtype) noexcept
    {
        return kDtypes[static_cast<std::size_t>(dtype)];
    }
    constexpr bool isTableInOrder() noexcept
    {
        for (std::size_t i = 0; i < kDtypes.size(); ++i)
            if (static_cast<std::size_t>(kDtypes[i].dtype) != i)
                return false;
        return true;
    }
    static_assert(isTableInOrder());

} // namespace

unsigned bitsOf(Dtype dtype) noexcept
{
    return factsOf(dtype).bits;
}

const char* toString(Dtype dtype) noexcept
{
    return factsOf(dtype).name;
}

std::optional<Dtype> dtypeFrom(std::string_view word) noexcept
{
    for (const auto& facts : kDtypes)
        if (word == facts.name)
            return facts.dtype;
    return std::nullopt;
}

bool isMeasuredFloat(Dtype dtype) noexcept
{
    return dtype == Dtype::F16 || dtype == Dtype::BF16 || dtype == Dtype::F32
        || dtype == Dtype::F64;
}

} // namespace desk
