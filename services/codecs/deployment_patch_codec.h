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
    std::optional<std::string> hotLoadTransitionType; ///< "ASYNC" or "SYNC"
    std::optional<std::string> description;
    /// Further changeable fields as a JSON object, null for one that goes; empty: none.
    std::string otherFields;
};

/// What the body holds and the mask names; an empty mask means whatever the body holds.
/// Mask paths are snake_case or camelCase, separated by commas; a path into an object changes that
/// object as a whole. A path that the body does not hold clears the field. Refused for a path that
/// this resource does not let anyone change, and for one that it does not have.
[[nodiscard]] Result<DeploymentPatch> decodeDeploymentPatch(
    std::string_view body, std::string_view updateMask);
[[nodiscard]] std::string encodeDeploymentPatch(const DeploymentPatch& patch);
/// `details` (Deployment::json) with the further fields of a patch.
[[nodiscard]] std::string patchedDetails(
    const std::string& details, const std::string& otherFields);
/// The mask that names what a patch holds, in snake_case.
[[nodiscard]] std::string updateMaskOf(const DeploymentPatch& patch);

} // namespace desk
