// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace desk::local {

struct SamplingParams
{
    int maxTokens = 16; ///< clipped to what the positions of the model leave
    double temperature = 1.0; ///< 0: the most probable token, lowest id first
    double topP = 1.0; ///< in (0, 1]
    int topK = 0; ///< 0: off
    std::uint64_t seed = 0; ///< equal seeds draw equal tokens from equal weights
    std::vector<std::int32_t> stopTokens; ///< end the text; not part of the tokens
    bool stopsAtEos = true;
};

enum class FinishReason
{
    Stop,
    Length
};

struct Completion
{
    std::vector<std::int32_t> tokens;
    std::vector<float> logprobs; ///< of the tokens under the undistorted model
    FinishReason finishReason = FinishReason::Length;
    double seconds = 0.0;
};

} // namespace desk::local
