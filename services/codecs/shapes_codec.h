// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/gateway_codec.h"
#include "services/core/clock.h"
#include "services/core/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

// Training and deployment shapes, server side (gateway.md sections 2.10 and 4.1). THREAD: any.

namespace desk {

struct TrainingShape
{
    std::string name; ///< accounts/<publisher>/trainingShapes/<shape>
    std::string version; ///< last segment of the version's name
    std::string displayName;
    std::string baseModel; ///< full name
    std::string modelType;
    std::optional<std::int64_t> parameterCount;
    std::string trainerMode; ///< POLICY_TRAINER, LORA_TRAINER
    std::int64_t contextLength = 0; ///< tokens
    std::string deploymentShapeVersion; ///< full name
    std::optional<Time> created;
};

struct DeploymentShape
{
    std::string name; ///< accounts/<publisher>/deploymentShapes/<shape>
    std::string version;
    std::string displayName;
    std::string baseModel;
    std::string modelType;
    std::optional<std::int64_t> parameterCount;
    std::optional<Time> created;
};

[[nodiscard]] std::string encodeTrainingShape(const TrainingShape& shape);
[[nodiscard]] std::string encodeTrainingShapeVersion(const TrainingShape& shape);
[[nodiscard]] Result<std::string> encodeTrainingShapes(
    std::span<const TrainingShape> shapes, const ListQuery& query);
[[nodiscard]] Result<std::string> encodeTrainingShapeVersions(
    std::span<const TrainingShape> shapes, const ListQuery& query);
[[nodiscard]] std::string encodeDeploymentShape(const DeploymentShape& shape);
[[nodiscard]] std::string encodeDeploymentShapeVersion(const DeploymentShape& shape);
[[nodiscard]] Result<std::string> encodeDeploymentShapes(
    std::span<const DeploymentShape> shapes, const ListQuery& query);
[[nodiscard]] Result<std::string> encodeDeploymentShapeVersions(
    std::span<const DeploymentShape> shapes, const ListQuery& query);
/// `{"baseModel": …}` of deploymentShapeVersions:match.
[[nodiscard]] Result<std::string> decodeShapeMatch(std::string_view body);

/// Facts about replicas that only a dashboard asks for: `deploymentShards` and `metrics`.
[[nodiscard]] std::string encodeShards(const Deployment& deployment);
[[nodiscard]] std::string encodeDeploymentMetrics(const Deployment& deployment);
/// The ledger of loads (gateway.md section 4.8), newest first; the value is a JSON text.
struct LedgerEntry
{
    Time at {};
    std::string identity;
    std::string replica;
    bool isDelta = false;
    std::string error; ///< empty: loaded
    std::optional<double> seconds;
};
[[nodiscard]] std::string encodeLedger(std::span<const LedgerEntry> entries);

} // namespace desk
