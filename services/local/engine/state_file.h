// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/adamw.h"
#include "services/local/engine/model_config.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace desk::local {

/// What a training state holds; weights and moments are flat.
struct TrainingState
{
    std::vector<float> weights;
    AdamMoments<float> moments;
};

/// What a state is of: the tensors that train, and facts that must be the same when it is read.
struct StateKind
{
    std::vector<TensorSpec> specs; ///< tensorSpecs or loraSpecs
    /// Empty for a full-parameter model; rank, alpha and the base of an adapter. Compared as text.
    std::map<std::string, std::string> facts;
};

/// Writes `folder`/state.safetensors: F32 tensors under their own names, the moments under
/// "adam.first." and "adam.second." before the name, the step count and the facts as metadata. The
/// folder appears when it is complete and reads back equal.
[[nodiscard]] Status writeState(
    const std::filesystem::path& folder, const StateKind& kind, const TrainingState& state);
/// Refused when it belongs to a model of other sizes or its facts differ. Without the optimizer,
/// moments and step count are zero.
[[nodiscard]] Result<TrainingState> readState(
    const std::filesystem::path& folder, const StateKind& kind, bool withOptimizer);

} // namespace desk::local
