// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/adamw.h"
#include "services/local/engine/model_config.h"

#include <filesystem>
#include <vector>

namespace desk::local {

/// What a training state holds; weights and moments are flat, layout of tensorSpecs.
struct TrainingState
{
    std::vector<float> weights;
    AdamMoments<float> moments;
};

/// Writes `folder`/state.safetensors: F32 tensors under their own names, the moments under
/// "adam.first." and "adam.second." before the name, the step count as metadata. The folder appears
/// when it is complete and reads back equal.
[[nodiscard]] Status writeState(
    const std::filesystem::path& folder, const ModelConfig& config, const TrainingState& state);
/// Refused when it belongs to a model of other sizes. Without the optimizer, moments and step count
/// are zero.
[[nodiscard]] Result<TrainingState> readState(
    const std::filesystem::path& folder, const ModelConfig& config, bool withOptimizer);

} // namespace desk::local
