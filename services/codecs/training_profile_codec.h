// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace desk {

/// A version of a training shape, as gateway.md 2.10 maps it.
struct TrainingProfile
{
    std::string trainingShapeVersion; ///< accounts/<a>/trainingShapes/<s>/versions/<v>
    std::string trainerImageTag;
    std::int64_t maxSupportedContextLength = 0; ///< tokens; 0: not said
    int nodeCount = 1;
    std::string deploymentShapeVersion; ///< empty: none
    std::string deploymentImageTag;
    std::string acceleratorType;
    int acceleratorCount = 0;
    std::string baseModelWeightPrecision;
    int pipelineParallelism = 1;
    std::string trainerMode; ///< POLICY_TRAINER, LORA_TRAINER, FORWARD_ONLY; may be empty
    [[nodiscard]] bool supportsLora() const { return trainerMode == "LORA_TRAINER"; }
    /// Without the version.
    [[nodiscard]] std::string trainingShape() const;
    bool operator==(const TrainingProfile&) const = default;
};

/// True for accounts/<a>/trainingShapes/<s>[/versions/<v>].
[[nodiscard]] bool isTrainingShapeName(std::string_view name) noexcept;
/// The version object itself.
[[nodiscard]] Result<TrainingProfile> decodeTrainingProfile(std::string_view body);
/// The first row of "trainingShapeVersions"; NotFound if there is none.
[[nodiscard]] Result<TrainingProfile> decodeFirstTrainingProfile(std::string_view body);

} // namespace desk
