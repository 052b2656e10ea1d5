// SPDX-License-Identifier: GPL-3.0-or-later
// Deployments of the control plane.
#include "services/codecs/gateway_codec.h"
#include "services/codecs/gateway_rows.h"
#include "services/codecs/json_read.h"

namespace desk {
namespace {

    /// "ASYNC" of "HOT_LOAD_TRANSITION_TYPE_ASYNC", too; UNSPECIFIED is as good as not said.
    std::string shortTransition(std::string text)
    {
        constexpr std::string_view kPrefix = "HOT_LOAD_TRANSITION_TYPE_";
        if (std::string_view(text).substr(0, kPrefix.size()) == kPrefix)
            text.erase(0, kPrefix.size());
        return text == "UNSPECIFIED" ? std::string() : text;
    }

    Json deploymentStatus()
    {
        Json status;
        status["code"] = "OK";
        status["message"] = "";
        return status;
    }

} // namespace

Result<Deployment> deploymentFromRow(const Json& row)
{
    auto name = requireName(row, { "name" }, "deployment");
    if (!name)
        return name.error();
    Deployment deployment;
    deployment.name = *std::move(name);
    deployment.displayName = readText(row, { "displayName" });
    deployment.baseModel = readText(row, { "baseModel" });
    deployment.state = readText(row, { "state" });
    deployment.replicaCount =
        readSmallInt(row, { "desiredReplicaCount", "maxReplicaCount", "minReplicaCount" });
    if (const auto* stats = findField(row, { "replicaStats" }); stats != nullptr)
        deployment.readyReplicaCount = readSmallInt(*stats, { "readyReplicaCount" });
    if (!deployment.readyReplicaCount)
        deployment.readyReplicaCount = readSmallInt(row, { "replicaCount" });
    deployment.enablesHotLoad = readBool(row, { "enableHotLoad" }, false);
    deployment.hotLoadTrainerJob = readText(row, { "hotLoadTrainerJob", "hot_load_trainer_job" });
    deployment.transitionType =
        shortTransition(readText(row, { "hotLoadTransitionType", "hot_load_transition_type" }));
    deployment.bucketUrl = readText(row, { "hotLoadBucketUrl", "hot_load_bucket_url" });
    deployment.deploymentShape = readText(row, { "deploymentShape", "deployment_shape" });
    deployment.description = readText(row, { "description" });
    deployment.minReplicaCount = readSmallInt(row, { "minReplicaCount" });
    deployment.maxReplicaCount = readSmallInt(row, { "maxReplicaCount" });
    deployment.created = readTime(row, { "createTime" });
    deployment.updated = readTime(row, { "updateTime" });
    deployment.json = rowText(row);
    return deployment;
}

Json rowOf(const Deployment& deployment)
{
    Json row;
    row["name"] = deployment.name;
    putText(row, "displayName", deployment.displayName);
    putText(row, "description", deployment.description);
    row["state"] = deployment.state;
    row["status"] = deploymentStatus();
    row["baseModel"] = deployment.baseModel;
    putText(row, "deploymentShape", deployment.deploymentShape);
    putTime(row, "createTime", deployment.created);
    putTime(row, "updateTime", deployment.updated);
    if (deployment.replicaCount) {
        row["minReplicaCount"] = deployment.minReplicaCount.value_or(*deployment.replicaCount);
        row["maxReplicaCount"] = deployment.maxReplicaCount.value_or(*deployment.replicaCount);
        row["desiredReplicaCount"] = *deployment.replicaCount;
    }
    if (deployment.readyReplicaCount) {
        row["replicaCount"] = *deployment.readyReplicaCount;
        row["replicaStats"]["readyReplicaCount"] = *deployment.readyReplicaCount;
    }
    row["enableHotLoad"] = deployment.enablesHotLoad;
    if (deployment.enablesHotLoad)
        row["hotLoadBucketType"] = "FW_HOSTED";
    putText(row, "hotLoadBucketUrl", deployment.bucketUrl);
    putText(row, "hotLoadTrainerJob", deployment.hotLoadTrainerJob);
    putText(row, "hotLoadTransitionType", deployment.transitionType);
    addFurther(row,
        furtherFields(deployment.json,
            { "name", "displayName", "description", "state", "status", "baseModel",
                "deploymentShape", "createTime", "updateTime", "minReplicaCount", "maxReplicaCount",
                "desiredReplicaCount", "replicaCount", "replicaStats", "enableHotLoad",
                "hotLoadBucketUrl", "hotLoadTrainerJob", "hotLoadTransitionType" }));
    return row;
}

Result<Deployment> decodeDeployment(std::string_view body)
{
    return decodeRow<Deployment>(body, "deployment", deploymentFromRow);
}
std::string encodeDeployment(const Deployment& deployment)
{
    return toText(rowOf(deployment));
}
Result<Page<Deployment>> decodeDeployments(std::string_view body)
{
    return decodePage<Deployment>(body, { "deployments" }, "deployment list", deploymentFromRow);
}
std::string encodeDeployments(const Page<Deployment>& page)
{
    return encodePage("deployments", page);
}

std::map<std::string, std::string> createDeploymentQuery(const CreateDeployment& request)
{
    std::map<std::string, std::string> query { { "deploymentId", request.deploymentId } };
    const auto add = [&query](const char* key, bool isWanted) {
        if (isWanted)
            query[key] = "true";
    };
    add("skipShapeValidation", request.skipShapeValidation);
    add("acceptShapelessRisk", request.acceptShapelessRisk);
    add("disableSpeculativeDecoding", request.disableSpeculativeDecoding);
    add("validateOnly", request.validateOnly);
    return query;
}

namespace {

    void putDeploymentTexts(
        Json& row, const char* key, const std::map<std::string, std::string>& texts)
    {
        for (const auto& [name, value] : texts)
            row[key][name] = value;
    }

    /// Fields that a record does not hold, in a body and in a row.
    void putDeploymentExtras(Json& row, const CreateDeployment& request)
    {
        if (request.forTraining)
            row["forTraining"] = true;
        putText(row, "hotLoadBucketType", request.hotLoadBucketType);
        putText(row, "acceleratorType", request.acceleratorType);
        if (!request.region.empty())
            row["placement"]["region"] = request.region;
        if (request.preemptible)
            row["preemptible"] = true;
        if (!request.extraArgs.empty())
            row["extraArgs"] = splitArguments(request.extraArgs);
        putDeploymentTexts(row, "extraValues", request.extraValues);
        putDeploymentTexts(row, "annotations", request.annotations);
    }

} // namespace

std::string encodeCreateDeployment(const CreateDeployment& request)
{
    Json body;
    body["baseModel"] = request.baseModel;
    putText(body, "displayName", request.displayName);
    putText(body, "description", request.description);
    body["minReplicaCount"] = request.minReplicaCount;
    body["maxReplicaCount"] = request.maxReplicaCount;
    body["enableHotLoad"] = request.enableHotLoad;
    body["forTraining"] = request.forTraining;
    putText(body, "hotLoadBucketType", request.hotLoadBucketType);
    putText(body, "hotLoadTrainerJob", request.hotLoadTrainerJob);
    putText(body, "hotLoadTransitionType", request.hotLoadTransitionType);
    putText(body, "deploymentShape", request.deploymentShape);
    putDeploymentExtras(body, request);
    return toText(body);
}

std::string deploymentDetails(const CreateDeployment& request)
{
    Json row = furtherFields(request.otherFields, {});
    putDeploymentExtras(row, request);
    putText(row, "region", request.region);
    return row.empty() ? std::string() : toText(row);
}

Result<CreateDeployment> decodeCreateDeployment(
    std::string_view body, const std::map<std::string, std::string>& query)
{
    const auto object = parseObject(body, "new deployment");
    if (!object)
        return object.error();
    auto baseModel = requireName(*object, { "baseModel", "base_model" }, "new deployment");
    if (!baseModel)
        return baseModel.error();
    CreateDeployment request;
    if (const auto id = query.find("deploymentId"); id != query.end())
        request.deploymentId = id->second;
    request.baseModel = *std::move(baseModel);
    request.displayName = readText(*object, { "displayName", "display_name" });
    request.description = readText(*object, { "description" });
    request.minReplicaCount =
        readSmallInt(*object, { "minReplicaCount", "min_replica_count" }).value_or(0);
    request.maxReplicaCount =
        readSmallInt(*object, { "maxReplicaCount", "max_replica_count" }).value_or(1);
    request.enableHotLoad = readBool(*object, { "enableHotLoad", "enable_hot_load" }, false);
    request.forTraining = readBool(*object, { "forTraining", "for_training" }, false);
    request.hotLoadBucketType = readText(*object, { "hotLoadBucketType", "hot_load_bucket_type" });
    request.hotLoadTrainerJob = readText(*object, { "hotLoadTrainerJob", "hot_load_trainer_job" });
    request.deploymentShape = readText(*object, { "deploymentShape", "deployment_shape" });
    request.acceleratorType = readText(*object, { "acceleratorType", "accelerator_type" });
    if (const auto* placement = findField(*object, { "placement" }); placement != nullptr)
        request.region = readText(*placement, { "region" });
    request.hotLoadTransitionType =
        shortTransition(readText(*object, { "hotLoadTransitionType", "hot_load_transition_type" }));
    request.preemptible = readBool(*object, { "preemptible" }, false);
    const auto isRequested = [&query](
                                 const char* key) { return rowQueryValue(query, key) == "true"; };
    request.skipShapeValidation = isRequested("skipShapeValidation");
    request.acceptShapelessRisk = isRequested("acceptShapelessRisk");
    request.disableSpeculativeDecoding = isRequested("disableSpeculativeDecoding");
    request.validateOnly = isRequested("validateOnly");
    request.extraArgs = readTexts(*object, { "extraArgs", "extra_args" });
    request.extraValues = readTextMap(*object, { "extraValues", "extra_values" });
    request.annotations = readTextMap(*object, { "annotations" });
    request.otherFields = unknownMembers(*object,
        { "baseModel", "base_model", "displayName", "description", "minReplicaCount",
            "maxReplicaCount", "enableHotLoad", "forTraining", "hotLoadBucketType",
            "hotLoadTrainerJob", "deploymentShape", "acceleratorType", "hotLoadTransitionType",
            "preemptible", "extraArgs", "extraValues", "annotations", "name", "state", "status",
            "createTime", "updateTime", "replicaCount", "desiredReplicaCount", "replicaStats" });
    return request;
}

} // namespace desk
