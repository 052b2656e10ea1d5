// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace desk {

// Resource names of the control plane (gateway.md section 1.4). An id is the last segment of a
// name.

/// `accounts/<account>/rlorTrainerJobs/<job>`
struct JobName
{
    std::string account;
    std::string job;
    [[nodiscard]] std::string toString() const;
    auto operator<=>(const JobName&) const = default;
};

/// `accounts/<account>/rlorTrainerJobs/<job>/checkpoints/<checkpoint>`: the four-segment name
/// that promotion takes.
struct CheckpointName
{
    std::string account;
    std::string job;
    std::string checkpoint;
    [[nodiscard]] std::string toString() const;
    [[nodiscard]] JobName jobName() const { return { account, job }; }
    auto operator<=>(const CheckpointName&) const = default;
};

/// Segments are non-empty, contain no '/', no control character and are not "." or "..".
[[nodiscard]] Result<JobName> parseJobName(std::string_view name);
[[nodiscard]] Result<CheckpointName> parseCheckpointName(std::string_view name);

/// Text after the last '/'; the whole text if there is none.
[[nodiscard]] std::string_view lastSegment(std::string_view name) noexcept;

[[nodiscard]] std::string modelName(std::string_view account, std::string_view model);
[[nodiscard]] std::string deploymentName(std::string_view account, std::string_view deployment);

/// What is wrong with a model id; empty when it may be used: 1 to 63 characters of a-z, 0-9, '-'.
/// Called before any promotion, because an id that the server rejects orphans the staged blob
/// (reference/saving-and-loading.md). Messages are those of the SDK's validate_output_model_id.
[[nodiscard]] std::vector<std::string> validateOutputModelId(std::string_view id);

/// A trainer's URL is derived, never returned (gateway.md section 2.5):
/// `<base>/training/v1/rlorTrainerJobs/<account>/<job>`.
[[nodiscard]] std::string trainerUrl(std::string_view baseUrl, const JobName& job);

} // namespace desk
