// SPDX-License-Identifier: GPL-3.0-or-later
// Trainer jobs of the control plane.
#include "services/codecs/gateway_codec.h"
#include "services/codecs/gateway_rows.h"
#include "services/codecs/json_read.h"

namespace desk {
namespace {

    /// gateway.md 2.4: where a status text may stand, in this order.
    std::string statusText(const Json& row)
    {
        if (auto text = readText(row, { "statusMessage", "message" }); !text.empty())
            return text;
        const auto* status = findField(row, { "status" });
        if (status == nullptr)
            return {};
        if (status->is_object())
            return readText(*status, { "message", "statusMessage", "detail", "details" });
        return status->is_string() ? status->get<std::string>() : toText(*status);
    }

    Json jobStatus(const std::string& message, JobState state)
    {
        Json status;
        status["code"] = state == JobState::Failed ? "INTERNAL"
            : state == JobState::Cancelled         ? "CANCELLED"
                                                   : "OK";
        status["message"] = message;
        return status;
    }

    bool isRequested(const std::map<std::string, std::string>& query, const char* key)
    {
        return rowQueryValue(query, key) == "true";
    }

} // namespace

Result<TrainerJob> jobFromRow(const Json& row)
{
    auto name = requireName(row, { "name" }, "trainer job");
    if (!name)
        return name.error();
    TrainerJob job;
    job.name = *std::move(name);
    job.displayName = readText(row, { "displayName" });
    job.stateText = readText(row, { "state" });
    job.state = jobStateFrom(job.stateText.empty() ? "JOB_STATE_UNSPECIFIED" : job.stateText);
    job.statusMessage = statusText(row);
    if (const auto* config = findField(row, { "trainingConfig" }); config != nullptr) {
        job.baseModel = readText(*config, { "baseModel" });
        job.loraRank = readSmallInt(*config, { "loraRank" }).value_or(0);
        job.learningRate = readNumber(*config, { "learningRate" });
        job.maxContextLength = readInt(*config, { "maxContextLength" });
    }
    job.created = readTime(row, { "createTime" });
    job.completed = readTime(row, { "completedTime" });
    job.createdBy = readText(row, { "createdBy" });
    job.hotLoadDeploymentId = readText(row, { "hotLoadDeploymentId" });
    job.directRouteHandle = readText(row, { "directRouteHandle", "direct_route_handle" });
    job.isServiceMode = readBool(row, { "serviceMode" }, true);
    job.inactivityTimeout = readText(row, { "inactivityTimeout" });
    job.json = rowText(row);
    return job;
}

Json rowOf(const TrainerJob& job)
{
    Json row;
    row["name"] = job.name;
    putText(row, "displayName", job.displayName);
    row["state"] = job.stateText.empty() ? toString(job.state) : job.stateText.c_str();
    row["status"] = jobStatus(job.statusMessage, job.state);
    putTime(row, "createTime", job.created);
    putTime(row, "completedTime", job.completed);
    putText(row, "createdBy", job.createdBy);
    row["serviceMode"] = job.isServiceMode;
    Json config;
    config["baseModel"] = job.baseModel;
    config["loraRank"] = job.loraRank;
    putKnown(config, "learningRate", job.learningRate);
    putKnown(config, "maxContextLength", job.maxContextLength);
    row["trainingConfig"] = std::move(config);
    putText(row, "hotLoadDeploymentId", job.hotLoadDeploymentId);
    putText(row, "directRouteHandle", job.directRouteHandle);
    putText(row, "inactivityTimeout", job.inactivityTimeout);
    addFurther(row,
        furtherFields(job.json,
            { "name", "displayName", "state", "status", "statusMessage", "message", "createTime",
                "completedTime", "createdBy", "serviceMode", "hotLoadDeploymentId",
                "directRouteHandle", "direct_route_handle" }));
    static const Json kDefaults { { "dataset", "" }, { "keepAlive", false },
        { "forwardOnly", false }, { "nodeCount", 1 } };
    addFurther(row, kDefaults);
    return row;
}

Result<TrainerJob> decodeJob(std::string_view body)
{
    return decodeRow<TrainerJob>(body, "trainer job", jobFromRow);
}
std::string encodeJob(const TrainerJob& job)
{
    return toText(rowOf(job));
}
Result<Page<TrainerJob>> decodeJobs(std::string_view body)
{
    return decodePage<TrainerJob>(body, { "rlorTrainerJobs" }, "trainer job list", jobFromRow);
}
std::string encodeJobs(const Page<TrainerJob>& page)
{
    return encodePage("rlorTrainerJobs", page);
}

std::map<std::string, std::string> createJobQuery(const CreateJob& request)
{
    std::map<std::string, std::string> query { { "rlorTrainerJobId", request.jobId } };
    if (!request.trainingShape.empty())
        query["trainingShape"] = request.trainingShape;
    if (request.skipValidations)
        query["skipValidations"] = "true";
    return query;
}

namespace {

    void putFlag(Json& row, const char* key, bool value)
    {
        if (value)
            row[key] = true;
    }

    void putTexts(Json& row, const char* key, const std::map<std::string, std::string>& texts)
    {
        if (texts.empty())
            return;
        Json object = Json::object();
        for (const auto& [name, value] : texts)
            object[name] = value;
        row[key] = std::move(object);
    }

    /// Fields that a record does not hold, in a body and in a row.
    void putJobExtras(Json& row, Json& config, const CreateJob& request)
    {
        putText(config, "customImageTag", request.customImageTag);
        putKnown(config, "projectionHeadDim", request.projectionHeadDim);
        putText(config, "acceleratorType", request.acceleratorType);
        putKnown(config, "acceleratorCount", request.acceleratorCount);
        putText(config, "region", request.region);
        if (!request.extraArgs.empty())
            config["extraArgs"] = splitArguments(request.extraArgs);
        putKnown(row, "nodeCount", request.nodeCount);
        putKnown(row, "trainerReplicaCount", request.trainerReplicaCount);
        putKnown(row, "useReservation", request.useReservation);
        putText(row, "reservationTarget", request.reservationTarget);
        putTexts(row, "extraValues", request.extraValues);
        putFlag(row, "forwardOnly", request.forwardOnly);
        putText(row, "purpose", request.purpose);
        putFlag(row, "preemptible", request.preemptible);
        putText(row, "managedBy", request.managedBy);
        putFlag(row, "disableInactivityCleanup", request.disableInactivityCleanup);
    }

} // namespace

std::string encodeCreateJob(const CreateJob& request)
{
    Json body;
    body["serviceMode"] = true;
    body["keepAlive"] = false;
    body["dataset"] = "";
    body["trainingConfig"] = Json::object(); // keeps its place
    Json config;
    config["baseModel"] = request.baseModel;
    config["loraRank"] = request.loraRank;
    config["learningRate"] = request.learningRate;
    putKnown(config, "maxContextLength", request.maxContextLength);
    putJobExtras(body, config, request);
    body["trainingConfig"] = std::move(config);
    putText(body, "displayName", request.displayName);
    putText(body, "hotLoadDeploymentId", request.hotLoadDeploymentId);
    putText(body, "inactivityTimeout", request.inactivityTimeout);
    return toText(body);
}

namespace {

    /// What a body holds beyond the fields that CreateJob has, those of its trainingConfig
    /// included.
    std::string unknownJobMembers(const Json& object, const Json& config)
    {
        auto rest = unknownMembers(object,
            { "serviceMode", "keepAlive", "dataset", "trainingConfig", "training_config",
                "useReservation", "reservationTarget", "extraValues", "nodeCount", "displayName",
                "trainerReplicaCount", "hotLoadDeploymentId", "forwardOnly", "purpose",
                "usePurpose", "preemptible", "managedBy", "inactivityTimeout",
                "disableInactivityCleanup", "name", "state", "status", "createTime" });
        const auto inner = unknownMembers(config,
            { "baseModel", "loraRank", "learningRate", "maxContextLength", "customImageTag",
                "projectionHeadDim", "acceleratorType", "acceleratorCount", "region",
                "extraArgs" });
        if (inner.empty())
            return rest;
        auto whole = furtherFields(rest, {});
        whole["trainingConfig"] = furtherFields(inner, {});
        return toText(whole);
    }

} // namespace

std::string jobDetails(const CreateJob& request)
{
    Json row = furtherFields(request.otherFields, {});
    Json config = Json::object();
    putJobExtras(row, config, request);
    putText(row, "trainingShape", request.trainingShape);
    putText(row, "inactivityTimeout", request.inactivityTimeout);
    if (!config.empty()) {
        if (!row.contains("trainingConfig") || !row["trainingConfig"].is_object())
            row["trainingConfig"] = Json::object();
        row["trainingConfig"].update(config);
    }
    return row.empty() ? std::string() : toText(row);
}

std::string jobInactivityTimeout(const TrainerJob& job)
{
    const auto further = furtherFields(job.json, {});
    if (readBool(further, { "disableInactivityCleanup" }, false))
        return {};
    return job.inactivityTimeout.empty() ? readText(further, { "inactivityTimeout" })
                                         : job.inactivityTimeout;
}

Result<CreateJob> decodeCreateJob(
    std::string_view body, const std::map<std::string, std::string>& query)
{
    const auto object = parseObject(body, "new trainer job");
    if (!object)
        return object.error();
    const auto* config = findField(*object, { "trainingConfig", "training_config" });
    if (config == nullptr)
        return malformed("The new trainer job has no trainingConfig");
    auto baseModel = requireName(*config, { "baseModel", "base_model" }, "training configuration");
    if (!baseModel)
        return baseModel.error();
    CreateJob request;
    request.jobId = rowQueryValue(query, "rlorTrainerJobId");
    request.trainingShape = rowQueryValue(query, "trainingShape");
    request.skipValidations = isRequested(query, "skipValidations");
    request.baseModel = *std::move(baseModel);
    request.loraRank = readSmallInt(*config, { "loraRank", "lora_rank" }).value_or(0);
    request.learningRate = readNumber(*config, { "learningRate", "learning_rate" }).value_or(1e-5);
    request.maxContextLength = readInt(*config, { "maxContextLength", "max_context_length" });
    request.acceleratorType = readText(*config, { "acceleratorType", "accelerator_type" });
    request.acceleratorCount = readSmallInt(*config, { "acceleratorCount", "accelerator_count" });
    request.region = readText(*config, { "region" });
    request.extraArgs = readTexts(*config, { "extraArgs", "extra_args" });
    request.nodeCount = readSmallInt(*object, { "nodeCount", "node_count" });
    request.trainerReplicaCount =
        readSmallInt(*object, { "trainerReplicaCount", "trainer_replica_count" });
    request.displayName = readText(*object, { "displayName", "display_name" });
    request.hotLoadDeploymentId =
        readText(*object, { "hotLoadDeploymentId", "hot_load_deployment_id" });
    if (request.hotLoadDeploymentId.empty())
        request.hotLoadDeploymentId = rowQueryValue(query, "deploymentId");
    request.inactivityTimeout = readText(*object, { "inactivityTimeout", "inactivity_timeout" });
    request.disableInactivityCleanup =
        readBool(*object, { "disableInactivityCleanup", "disable_inactivity_cleanup" }, false);
    request.forwardOnly = readBool(*object, { "forwardOnly", "forward_only" }, false);
    request.preemptible = readBool(*object, { "preemptible" }, false);
    request.purpose = readText(*object, { "purpose", "usePurpose", "use_purpose" });
    request.managedBy = readText(*object, { "managedBy", "managed_by" });
    request.customImageTag = readText(*config, { "customImageTag", "custom_image_tag" });
    request.projectionHeadDim =
        readSmallInt(*config, { "projectionHeadDim", "projection_head_dim" });
    if (findField(*object, { "useReservation", "use_reservation" }) != nullptr)
        request.useReservation = readBool(*object, { "useReservation", "use_reservation" }, true);
    request.reservationTarget = readText(*object, { "reservationTarget", "reservation_target" });
    request.extraValues = readTextMap(*object, { "extraValues", "extra_values" });
    request.otherFields = unknownJobMembers(*object, *config);
    return request;
}

} // namespace desk
