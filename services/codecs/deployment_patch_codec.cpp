// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/deployment_patch_codec.h"

#include "services/codecs/json_read.h"

#include <set>

namespace desk {

namespace {

    std::string camelMaskPath(std::string_view path)
    {
        std::string result;
        bool isUpper = false;
        for (const char c : path) {
            if (c == ' ')
                continue;
            if (c == '_') {
                isUpper = true;
                continue;
            }
            result += isUpper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
            isUpper = false;
        }
        return result;
    }

    std::string snakeMaskPath(std::string_view path)
    {
        std::string result;
        for (const char c : path) {
            if (c >= 'A' && c <= 'Z')
                result += '_';
            result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        }
        return result;
    }

    std::set<std::string> maskPaths(std::string_view mask)
    {
        std::set<std::string> paths;
        while (!mask.empty()) {
            const auto comma = mask.find(',');
            paths.insert(camelMaskPath(mask.substr(0, comma)));
            mask = comma == std::string_view::npos ? std::string_view {} : mask.substr(comma + 1);
        }
        paths.erase(std::string());
        return paths;
    }

    /// Changeable fields that have a member of their own.
    const std::set<std::string>& patchMembers()
    {
        static const std::set<std::string> kMembers { "minReplicaCount", "maxReplicaCount",
            "replicaCount", "displayName", "description", "hotLoadTrainerJob",
            "hotLoadTransitionType" };
        return kMembers;
    }

    /// Further changeable fields of gateway.md 4.3.
    const std::set<std::string>& patchFurther()
    {
        static const std::set<std::string> kFurther { "annotations", "autoscalingPolicy",
            "autoTune", "placement", "acceleratorType", "acceleratorCount", "precision",
            "deploymentShape", "deploymentTemplate", "enableAddons", "enableSessionAffinity",
            "enableHotReloadLatestAddon", "enableMtp", "numPeftDeviceCached", "draftModel",
            "draftTokenCount", "ngramSpeculationLength", "maxContextLength",
            "maxConcurrencyPerReplica", "maxWithRevocableReplicaCount", "directRouteType",
            "directRouteApiKeys", "disableDeploymentSizeValidation", "pricingPlanId", "preemptible",
            "expireTime", "extraArgs", "extraValues", "targetModelVersion", "enableHotLoad",
            "hotLoadBucketType", "forTraining" };
        return kFurther;
    }

    /// Fields of the resource that are not anyone's to change.
    const std::set<std::string>& patchFixed()
    {
        static const std::set<std::string> kFixed { "name", "state", "status", "createTime",
            "updateTime", "deleteTime", "purgeTime", "cluster", "region", "desiredReplicaCount",
            "replicaStats", "hotLoadBucketUrl", "activeModelVersion", "directRouteHandle",
            "baseModel" };
        return kFixed;
    }

    Error badMaskPath(const std::string& path)
    {
        const bool isFixed = patchFixed().contains(path);
        return Error { Error::Code::Refused,
            isFixed ? "'" + path + "' of a deployment cannot be changed"
                    : "a deployment has no field '" + path + "'",
            "nothing was changed", "leave it out of updateMask", {} };
    }

    std::optional<std::string> patchText(
        const Json& object, bool isWanted, bool hasMask, JsonKeys keys)
    {
        if (!isWanted || (!hasMask && findField(object, keys) == nullptr))
            return std::nullopt;
        return readText(object, keys);
    }

    /// The member of that camelCase name, in either spelling; nullptr if it is not there.
    const Json* memberOf(const Json& object, const std::string& camel)
    {
        for (const auto& [key, value] : object.items())
            if (camelMaskPath(key) == camel)
                return &value;
        return nullptr;
    }

} // namespace

Result<DeploymentPatch> decodeDeploymentPatch(std::string_view body, std::string_view updateMask)
{
    const auto object = parseObject(body.empty() ? "{}" : body, "deployment update");
    if (!object)
        return object.error();
    std::set<std::string> paths;
    for (const auto& path : maskPaths(updateMask)) {
        const auto top = path.substr(0, path.find('.'));
        if (!patchMembers().contains(top) && !patchFurther().contains(top))
            return badMaskPath(top);
        paths.insert(top);
    }
    const bool hasMask = !paths.empty();
    const auto isWanted = [&](const char* key) { return !hasMask || paths.contains(key); };
    DeploymentPatch patch;
    if (isWanted("minReplicaCount"))
        patch.minReplicaCount = readSmallInt(*object, { "minReplicaCount", "min_replica_count" });
    if (isWanted("maxReplicaCount"))
        patch.maxReplicaCount = readSmallInt(*object, { "maxReplicaCount", "max_replica_count" });
    if (isWanted("replicaCount"))
        patch.replicaCount = readSmallInt(*object, { "replicaCount", "replica_count" });
    const auto text = [&](const char* key, JsonKeys keys) {
        return patchText(*object, isWanted(key), hasMask, keys);
    };
    patch.displayName = text("displayName", { "displayName", "display_name" });
    patch.description = text("description", { "description" });
    patch.hotLoadTrainerJob =
        text("hotLoadTrainerJob", { "hotLoadTrainerJob", "hot_load_trainer_job" });
    patch.hotLoadTransitionType =
        text("hotLoadTransitionType", { "hotLoadTransitionType", "hot_load_transition_type" });
    if (patch.hotLoadTransitionType) {
        constexpr std::string_view kPrefix = "HOT_LOAD_TRANSITION_TYPE_";
        auto& type = *patch.hotLoadTransitionType;
        if (std::string_view(type).substr(0, kPrefix.size()) == kPrefix)
            type.erase(0, kPrefix.size());
        if (type == "UNSPECIFIED")
            type.clear();
        if (!type.empty() && type != "ASYNC" && type != "SYNC")
            return Error { Error::Code::Refused,
                "hotLoadTransitionType '" + type.substr(0, 100) + "' is not ASYNC or SYNC",
                "nothing was changed", "send one of them", {} };
    }
    Json further = Json::object();
    for (const auto& key : patchFurther()) {
        const auto* value = memberOf(*object, key);
        if (hasMask ? paths.contains(key) : value != nullptr)
            further[key] = value != nullptr ? *value : Json();
    }
    if (!further.empty())
        patch.otherFields = toText(further);
    return patch;
}

std::string patchedDetails(const std::string& details, const std::string& otherFields)
{
    auto row = details.empty() ? Result<Json>(Json::object()) : parseObject(details, "deployment");
    const auto patch = parseObject(otherFields.empty() ? "{}" : otherFields, "deployment update");
    if (!row || !patch)
        return details;
    for (const auto& [key, value] : patch->items()) {
        if (value.is_null())
            row->erase(key);
        else
            (*row)[key] = value;
    }
    return toText(*row);
}

std::string encodeDeploymentPatch(const DeploymentPatch& patch)
{
    Json body = Json::object();
    putKnown(body, "minReplicaCount", patch.minReplicaCount);
    putKnown(body, "maxReplicaCount", patch.maxReplicaCount);
    putKnown(body, "replicaCount", patch.replicaCount);
    putKnown(body, "displayName", patch.displayName);
    putKnown(body, "description", patch.description);
    putKnown(body, "hotLoadTrainerJob", patch.hotLoadTrainerJob);
    putKnown(body, "hotLoadTransitionType", patch.hotLoadTransitionType);
    if (const auto further =
            parseObject(patch.otherFields.empty() ? "{}" : patch.otherFields, "deployment update"))
        for (const auto& [key, value] : further->items())
            if (!value.is_null())
                body[key] = value;
    return toText(body);
}

std::string updateMaskOf(const DeploymentPatch& patch)
{
    std::string mask;
    const auto add = [&mask](bool isThere, const char* path) {
        if (isThere)
            mask += (mask.empty() ? "" : ",") + std::string(path);
    };
    add(patch.minReplicaCount.has_value(), "min_replica_count");
    add(patch.maxReplicaCount.has_value(), "max_replica_count");
    add(patch.replicaCount.has_value(), "replica_count");
    add(patch.displayName.has_value(), "display_name");
    add(patch.description.has_value(), "description");
    add(patch.hotLoadTrainerJob.has_value(), "hot_load_trainer_job");
    add(patch.hotLoadTransitionType.has_value(), "hot_load_transition_type");
    if (const auto further =
            parseObject(patch.otherFields.empty() ? "{}" : patch.otherFields, "deployment update"))
        for (const auto& [key, value] : further->items())
            add(true, snakeMaskPath(key).c_str());
    return mask;
}

} // namespace desk
