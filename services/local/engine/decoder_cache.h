// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/local/engine/decoder.h"

#include <cstddef>
#include <vector>

namespace desk::local {

/// Of one sequence: keys and values so far, and the rows of the block that is being computed.
struct Decoder::Cache
{
    std::size_t position = 0; // tokens seen
    std::vector<std::vector<float>> keys, values; // per layer: capacity x keys
    std::vector<float> x, normed, qkv, attention, wide, activated; // a row per token of the block
    std::vector<float> scores;
    std::vector<float> logits; // rows of the last logits()
};

} // namespace desk::local
