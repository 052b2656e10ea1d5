// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <optional>
#include <string>
#include <string_view>

namespace desk {

/// Body of PATCH …/deployments/{d}?updateMask=… and of its verb :scale (gateway.md 4.1, 4.6).
/// A field that is not to be changed is nullopt.
struct DeploymentPatch
{
    std::optional<int> minReplicaCount;
    std::optional<int> maxReplicaCount;
    std::optional<int> replicaCount; ///< :scale
    std::optional<std::string> displayName;
    std::optional<std::string> hotLoadTrainerJob; ///< full job name; empty: detach
};

/// What the body holds and the mask names; an empty mask means whatever the body holds.
/// Mask paths are snake_case or camelCase, separated by commas. Refused for a path that this
/// resource does not let anyone change.
[[nodiscard]] Result<DeploymentPatch> decodeDeploymentPatch(
    std::string_view body, std::string_view updateMask);
[[nodiscard]] std::string encodeDeploymentPatch(const DeploymentPatch& patch);
/// The mask that names what a patch holds, in snake_case.
[[nodiscard]] std::string updateMaskOf(const DeploymentPatch& patch);

} // namespace desk
