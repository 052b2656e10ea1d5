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

} // namespace

Result<DeploymentPatch> decodeDeploymentPatch(std::string_view body, std::string_view updateMask)
{
    const auto object = parseObject(body, "deployment update");
    if (!object)
        return object.error();
    static const std::set<std::string> kKnown { "minReplicaCount", "maxReplicaCount",
        "replicaCount", "displayName", "hotLoadTrainerJob", "hotLoadTransitionType" };
    const auto paths = maskPaths(updateMask);
    for (const auto& path : paths)
        if (!kKnown.contains(path))
            return Error { Error::Code::Refused, "'" + path + "' of a deployment cannot be changed",
                "nothing was changed", "leave it out of updateMask", {} };
    const auto isWanted = [&](const char* key) { return paths.empty() || paths.contains(key); };
    DeploymentPatch patch;
    if (isWanted("minReplicaCount"))
        patch.minReplicaCount = readSmallInt(*object, { "minReplicaCount", "min_replica_count" });
    if (isWanted("maxReplicaCount"))
        patch.maxReplicaCount = readSmallInt(*object, { "maxReplicaCount", "max_replica_count" });
    if (isWanted("replicaCount"))
        patch.replicaCount = readSmallInt(*object, { "replicaCount", "replica_count" });
    const auto text = [&](const char* key, JsonKeys keys) -> std::optional<std::string> {
        if (!isWanted(key) || (paths.empty() && findField(*object, keys) == nullptr))
            return std::nullopt;
        return readText(*object, keys);
    };
    patch.displayName = text("displayName", { "displayName", "display_name" });
    patch.hotLoadTrainerJob =
        text("hotLoadTrainerJob", { "hotLoadTrainerJob", "hot_load_trainer_job" });
    return patch;
}

std::string encodeDeploymentPatch(const DeploymentPatch& patch)
{
    Json body = Json::object();
    putKnown(body, "minReplicaCount", patch.minReplicaCount);
    putKnown(body, "maxReplicaCount", patch.maxReplicaCount);
    putKnown(body, "replicaCount", patch.replicaCount);
    putKnown(body, "displayName", patch.displayName);
    putKnown(body, "hotLoadTrainerJob", patch.hotLoadTrainerJob);
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
    add(patch.hotLoadTrainerJob.has_value(), "hot_load_trainer_job");
    return mask;
}

} // namespace desk
