// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/lora.h"
#include "services/local/engine/model_config.h"

#include <filesystem>
#include <span>
#include <string>
#include <vector>

// A peft folder: adapter_config.json and adapter_model.safetensors with the tensors of loraSpecs
// under "base_model.model." before their names.

namespace desk::local {

struct LoadedAdapter
{
    LoraSettings settings; ///< parts that have a tensor in the file count as trained
    std::vector<float> weights; ///< flat, layout of loraSpecs(config, settings)
    std::string baseModel; ///< what the file says it belongs to; may be empty
};

/// F32, BF16 or F16 tensors; matrices without a tensor change nothing. Refused, with the reason,
/// for another model, other matrices than loraSpecs has, or what cannot be run: DoRA, biases,
/// patterns of ranks, modules saved whole, ranks above kMaxLoraRank.
[[nodiscard]] Result<LoadedAdapter> loadAdapterFolder(
    const std::filesystem::path& folder, const ModelConfig& config);

/// Writes F32 tensors. Beside the target, flushed, read back and compared, renamed; Conflict when
/// the folder exists.
[[nodiscard]] Status writeAdapterFolder(const std::filesystem::path& folder,
    const ModelConfig& config, const LoraSettings& settings, std::span<const float> weights,
    const std::string& baseModel);

/// The adapter of `from` as one of `to`: the same product B A with the scale of `to`. Refused when
/// its rank is higher or it has matrices that `to` does not train.
[[nodiscard]] Result<std::vector<float>> fitAdapter(
    const ModelConfig& config, const LoadedAdapter& from, const LoraSettings& to);

} // namespace desk::local
