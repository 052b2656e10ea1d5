// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/gateway_codec.h"

#include "services/codecs/gateway_rows.h"
#include "services/codecs/json_read.h"
#include "services/core/resource_name.h"

#include <algorithm>

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

    Json statusObject(const std::string& message, bool isFailure)
    {
        Json status;
        status["code"] = isFailure ? "INTERNAL" : "OK";
        status["message"] = message;
        return status;
    }

    /// Entries with a space are split, as the SDK does before it sends them (gateway.md 2.2).
    Json splitArguments(const std::vector<std::string>& arguments)
    {
        Json out = Json::array();
        for (const auto& argument : arguments) {
            std::size_t at = 0;
            while (at < argument.size()) {
                const auto end = std::min(argument.find(' ', at), argument.size());
                if (end > at)
                    out.push_back(argument.substr(at, end - at));
                at = end + 1;
            }
        }
        return out;
    }

    std::string queryValue(const std::map<std::string, std::string>& query, const char* key)
    {
        const auto found = query.find(key);
        return found == query.end() ? std::string() : found->second;
    }

    bool isFull(std::string_view name)
    {
        return name.substr(0, 9) == "accounts/";
    }

} // namespace

std::string rowText(Json row)
{
    redact(row);
    return toText(row, 2);
}

Result<Json> pageRows(
    std::string_view body, JsonKeys keys, std::string_view what, std::string& nextPageToken)
{
    auto object = parseObject(body, what);
    if (!object)
        return object;
    nextPageToken = readText(*object, { "nextPageToken", "next_page_token" });
    const auto* rows = findField(*object, keys);
    if (rows == nullptr)
        return Json::array(); // an empty object is an empty list (gateway.md 3.1)
    if (!rows->is_array())
        return malformed("The " + std::string(what) + " holds no array under " + *keys.begin());
    return *rows;
}

Result<Page<Account>> decodeAccounts(std::string_view body)
{
    Page<Account> page;
    const auto rows = pageRows(body, { "accounts" }, "account list", page.nextPageToken);
    if (!rows)
        return rows.error();
    for (const auto& row : *rows) {
        // A missing name is not refused here: account resolution has its own words for it.
        page.items.push_back({ readText(row, { "name" }), readText(row, { "displayName" }),
            readText(row, { "email" }), readText(row, { "state" }),
            readText(row, { "suspendState" }) });
    }
    return page;
}

std::string encodeAccounts(std::span<const Account> accounts)
{
    Json rows = Json::array();
    for (const auto& account : accounts) {
        Json row;
        row["name"] = account.name;
        row["displayName"] = account.displayName;
        row["email"] = account.email;
        row["accountType"] = "ENTERPRISE";
        row["state"] = account.state;
        row["status"] = statusObject({}, false);
        row["suspendState"] = account.suspendState;
        rows.push_back(std::move(row));
    }
    return pageText("accounts", std::move(rows), {}, static_cast<std::int64_t>(accounts.size()));
}

std::string pageText(const char* key, Json rows, const std::string& nextPageToken,
    std::optional<std::int64_t> totalSize)
{
    Json body;
    body[key] = std::move(rows);
    body["nextPageToken"] = nextPageToken;
    putKnown(body, "totalSize", totalSize);
    return toText(body);
}

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
    job.json = rowText(row);
    return job;
}

Json rowOf(const TrainerJob& job)
{
    Json row;
    row["name"] = job.name;
    putText(row, "displayName", job.displayName);
    row["state"] = job.stateText.empty() ? toString(job.state) : job.stateText.c_str();
    row["status"] = statusObject(job.statusMessage, job.state == JobState::Failed);
    putTime(row, "createTime", job.created);
    putTime(row, "completedTime", job.completed);
    putText(row, "createdBy", job.createdBy);
    row["dataset"] = "";
    row["serviceMode"] = job.isServiceMode;
    row["keepAlive"] = false;
    row["forwardOnly"] = false;
    row["nodeCount"] = 1;
    Json config;
    config["baseModel"] = job.baseModel;
    config["loraRank"] = job.loraRank;
    putKnown(config, "learningRate", job.learningRate);
    putKnown(config, "maxContextLength", job.maxContextLength);
    row["trainingConfig"] = std::move(config);
    putText(row, "hotLoadDeploymentId", job.hotLoadDeploymentId);
    putText(row, "directRouteHandle", job.directRouteHandle);
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

std::string encodeCreateJob(const CreateJob& request)
{
    Json body;
    body["serviceMode"] = true;
    body["keepAlive"] = false;
    body["dataset"] = "";
    Json config;
    config["baseModel"] = request.baseModel;
    config["loraRank"] = request.loraRank;
    config["learningRate"] = request.learningRate;
    putKnown(config, "maxContextLength", request.maxContextLength);
    putText(config, "acceleratorType", request.acceleratorType);
    putKnown(config, "acceleratorCount", request.acceleratorCount);
    putText(config, "region", request.region);
    if (!request.extraArgs.empty())
        config["extraArgs"] = splitArguments(request.extraArgs);
    body["trainingConfig"] = std::move(config);
    putKnown(body, "nodeCount", request.nodeCount);
    putKnown(body, "trainerReplicaCount", request.trainerReplicaCount);
    putText(body, "displayName", request.displayName);
    putText(body, "hotLoadDeploymentId", request.hotLoadDeploymentId);
    putText(body, "inactivityTimeout", request.inactivityTimeout);
    return toText(body);
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
    request.jobId = queryValue(query, "rlorTrainerJobId");
    request.trainingShape = queryValue(query, "trainingShape");
    request.skipValidations = queryValue(query, "skipValidations") == "true";
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
        request.hotLoadDeploymentId = queryValue(query, "deploymentId");
    request.inactivityTimeout = readText(*object, { "inactivityTimeout", "inactivity_timeout" });
    return request;
}

Result<Checkpoint> checkpointFromRow(const Json& row)
{
    auto name = requireName(row, { "name" }, "checkpoint");
    if (!name)
        return name.error();
    Checkpoint checkpoint;
    checkpoint.name = *std::move(name);
    checkpoint.typeText = readText(row, { "checkpointType", "checkpoint_type" });
    checkpoint.type = checkpointTypeFrom(checkpoint.typeText);
    checkpoint.created = readTime(row, { "createTime", "create_time" });
    checkpoint.updated = readTime(row, { "updateTime", "update_time" });
    checkpoint.expires = readTime(row, { "expireTime", "expire_time" });
    checkpoint.isPromotable = readBool(row, { "promotable" }, false);
    checkpoint.restoreReference = readText(row, { "restoreReference" });
    checkpoint.parent = readText(row, { "parent" });
    checkpoint.step = readInt(row, { "step" });
    checkpoint.sizeBytes = readSize(row, { "sizeBytes" });
    checkpoint.baseBytes = readSize(row, { "baseBytes" });
    checkpoint.changedFraction = readNumber(row, { "changedFraction" });
    checkpoint.path = readText(row, { "path" });
    checkpoint.json = rowText(row);
    return checkpoint;
}

Json rowOf(const Checkpoint& checkpoint)
{
    const auto asText = [](std::uint64_t bytes) { return std::to_string(bytes); };
    Json row;
    row["name"] = checkpoint.name;
    putTime(row, "createTime", checkpoint.created);
    putTime(row, "updateTime", checkpoint.updated);
    putTime(row, "expireTime", checkpoint.expires);
    row["checkpointType"] =
        checkpoint.typeText.empty() ? toString(checkpoint.type) : checkpoint.typeText.c_str();
    row["promotable"] = checkpoint.isPromotable;
    putText(row, "restoreReference", checkpoint.restoreReference);
    putText(row, "parent", checkpoint.parent);
    putKnown(row, "step", checkpoint.step);
    if (checkpoint.sizeBytes)
        row["sizeBytes"] = asText(*checkpoint.sizeBytes);
    if (checkpoint.baseBytes)
        row["baseBytes"] = asText(*checkpoint.baseBytes);
    putKnown(row, "changedFraction", checkpoint.changedFraction);
    putText(row, "path", checkpoint.path);
    return row;
}

Result<Page<Checkpoint>> decodeCheckpoints(std::string_view body)
{
    return decodePage<Checkpoint>(
        body, { "checkpoints", "rlorTrainerJobCheckpoints" }, "checkpoint list", checkpointFromRow);
}
std::string encodeCheckpoints(const Page<Checkpoint>& page)
{
    return encodePage("checkpoints", page);
}
Result<Checkpoint> decodeCheckpoint(std::string_view body)
{
    return decodeRow<Checkpoint>(body, "checkpoint", checkpointFromRow);
}
std::string encodeCheckpoint(const Checkpoint& checkpoint)
{
    return toText(rowOf(checkpoint));
}

std::string encodePromote(const Promote& request)
{
    Json body;
    body["output_model"] = request.outputModel;
    body["trainer_job_id"] = request.trainerJob;
    body["base_model"] = request.baseModel;
    if (request.isAsync)
        body["async_promotion"] = true;
    putText(body, "hot_load_deployment_id", request.hotLoadDeployment);
    return toText(body);
}

Result<Promote> decodePromote(std::string_view body)
{
    const auto object = parseObject(body, "promotion");
    if (!object)
        return object.error();
    auto model = requireName(*object, { "output_model", "outputModel" }, "promotion");
    if (!model)
        return model.error();
    auto base = requireName(*object, { "base_model", "baseModel" }, "promotion");
    if (!base)
        return base.error();
    Promote request;
    request.outputModel = *std::move(model);
    request.baseModel = *std::move(base);
    request.trainerJob = readText(*object, { "trainer_job_id", "trainerJobId" });
    request.isAsync = readBool(*object, { "async_promotion", "asyncPromotion" }, false);
    request.hotLoadDeployment =
        readText(*object, { "hot_load_deployment_id", "hotLoadDeploymentId" });
    if (!isFull(request.outputModel))
        return malformed(
            "The promotion's output_model is no full model name: " + request.outputModel);
    return request;
}

} // namespace desk
