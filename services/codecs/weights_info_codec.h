// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <string>
#include <string_view>

// weights_info (trainer.md 6.7) as its client writes and reads it.
// THREAD: any.

namespace desk {

/// What a saved state was trained as.
struct WeightsFacts
{
    std::string baseModel;
    bool isLora = false;
    int loraRank = 0; ///< 0: full parameters, or not said
    bool trainsUnembed = true;
    bool trainsMlp = true;
    bool trainsAttention = true;
    bool operator==(const WeightsFacts&) const = default;
};

[[nodiscard]] std::string encodeWeightsInfoCall(std::string_view path);
[[nodiscard]] Result<WeightsFacts> decodeWeightsInfoAnswer(std::string_view body);

} // namespace desk
