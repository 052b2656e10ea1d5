// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/shapes_codec.h"

#include "services/codecs/gateway_rows.h"
#include "services/codecs/json_read.h"

namespace desk {
namespace {

    Json shapeRow(const TrainingShape& shape)
    {
        Json row;
        row["name"] = shape.name;
        putText(row, "displayName", shape.displayName);
        putTime(row, "createTime", shape.created);
        putTime(row, "updateTime", shape.created);
        row["baseModel"] = shape.baseModel;
        putText(row, "modelType", shape.modelType);
        if (shape.parameterCount)
            row["parameterCount"] = std::to_string(*shape.parameterCount);
        row["trainerMode"] = shape.trainerMode;
        row["trainerImageTag"] = "local";
        row["deploymentImageTag"] = "local";
        row["maxSupportedContextLength"] = shape.contextLength;
        // Processors of this machine: the enumeration has no word for them.
        row["acceleratorType"] = "ACCELERATOR_TYPE_UNSPECIFIED";
        row["acceleratorCount"] = 0;
        row["nodeCount"] = 1;
        row["baseModelWeightPrecision"] = "BFLOAT16";
        row["trainerShardingScheme"]["pipelineParallelism"] = 1;
        row["trainerShardingScheme"]["tensorParallelism"] = 1;
        row["deploymentShapeVersion"] = shape.deploymentShapeVersion;
        return row;
    }

    Json shapeRow(const DeploymentShape& shape)
    {
        Json row;
        row["name"] = shape.name;
        putText(row, "displayName", shape.displayName);
        putTime(row, "createTime", shape.created);
        putTime(row, "updateTime", shape.created);
        row["baseModel"] = shape.baseModel;
        putText(row, "modelType", shape.modelType);
        if (shape.parameterCount)
            row["parameterCount"] = std::to_string(*shape.parameterCount);
        row["acceleratorType"] = "ACCELERATOR_TYPE_UNSPECIFIED";
        row["acceleratorCount"] = 0;
        row["precision"] = "BF16";
        row["presetType"] = "FULL_PRECISION";
        row["enableAddons"] = false;
        return row;
    }

    template <class Shape>
    Json versionRow(const Shape& shape)
    {
        Json row;
        row["name"] = shape.name + "/versions/" + shape.version;
        putTime(row, "createTime", shape.created);
        putTime(row, "updateTime", shape.created);
        row["validated"] = true;
        row["latestValidated"] = true;
        row["public"] = true;
        row["snapshot"] = shapeRow(shape);
        return row;
    }

    template <class Shape>
    Result<std::string> shapePage(const char* key, std::span<const Shape> shapes,
        Json (*toRow)(const Shape&), const ListQuery& query)
    {
        std::vector<Json> rows;
        for (const auto& shape : shapes)
            rows.push_back(toRow(shape));
        return encodeRows(key, std::move(rows), query);
    }

} // namespace

std::string encodeTrainingShape(const TrainingShape& shape)
{
    return toText(shapeRow(shape));
}

std::string encodeTrainingShapeVersion(const TrainingShape& shape)
{
    return toText(versionRow(shape));
}

Result<std::string> encodeTrainingShapes(
    std::span<const TrainingShape> shapes, const ListQuery& query)
{
    return shapePage<TrainingShape>("trainingShapes", shapes, shapeRow, query);
}

Result<std::string> encodeTrainingShapeVersions(
    std::span<const TrainingShape> shapes, const ListQuery& query)
{
    return shapePage<TrainingShape>("trainingShapeVersions", shapes, versionRow, query);
}

std::string encodeDeploymentShape(const DeploymentShape& shape)
{
    return toText(shapeRow(shape));
}

std::string encodeDeploymentShapeVersion(const DeploymentShape& shape)
{
    return toText(versionRow(shape));
}

Result<std::string> encodeDeploymentShapes(
    std::span<const DeploymentShape> shapes, const ListQuery& query)
{
    return shapePage<DeploymentShape>("deploymentShapes", shapes, shapeRow, query);
}

Result<std::string> encodeDeploymentShapeVersions(
    std::span<const DeploymentShape> shapes, const ListQuery& query)
{
    return shapePage<DeploymentShape>("deploymentShapeVersions", shapes, versionRow, query);
}

Result<std::string> decodeShapeMatch(std::string_view body)
{
    const auto object = parseObject(body, "shape to match");
    if (!object)
        return object.error();
    return requireName(*object, { "baseModel", "base_model", "targetModel" }, "shape to match");
}

std::string encodeShards(const Deployment& deployment)
{
    Json rows = Json::array();
    for (const auto& replica : deployment.replicas) {
        Json row;
        row["name"] = deployment.name + "/shards/" + replica.identity;
        row["state"] = replica.isReady ? "READY" : "UPDATING";
        row["status"]["code"] = replica.error.empty() ? "OK" : "INTERNAL";
        row["status"]["message"] = replica.error;
        row["replicaStats"]["readyReplicaCount"] = replica.isReady ? 1 : 0;
        rows.push_back(std::move(row));
    }
    const auto count = static_cast<std::int64_t>(rows.size());
    return pageText("deploymentShards", std::move(rows), {}, count);
}

std::string encodeDeploymentMetrics(const Deployment& deployment)
{
    int ready = 0;
    int failed = 0;
    for (const auto& replica : deployment.replicas) {
        ready += replica.isReady ? 1 : 0;
        failed += replica.error.empty() ? 0 : 1;
    }
    Json body;
    body["metrics"]["replicas"] = deployment.replicas.size();
    body["metrics"]["replicas_ready"] = ready;
    body["metrics"]["replicas_failed"] = failed;
    return toText(body);
}

std::string encodeLedger(std::span<const LedgerEntry> entries)
{
    Json rows = Json::array();
    for (const auto& entry : entries) {
        Json value;
        value["identity"] = entry.identity;
        value["kind"] = entry.isDelta ? "delta" : "full";
        value["replica"] = entry.replica;
        value["state"] = entry.error.empty() ? "ready" : "error";
        putText(value, "error", entry.error);
        putKnown(value, "seconds", entry.seconds);
        Json row;
        row["timestamp"] = toRfc3339(entry.at);
        row["value"] = toText(value);
        rows.push_back(std::move(row));
    }
    Json body;
    body["ledger"] = std::move(rows);
    return toText(body);
}

} // namespace desk
