// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/hotload_codec.h"

#include "services/codecs/json_read.h"

#include <algorithm>
#include <array>

namespace desk {
namespace {

    constexpr std::array kHotloadKeys { "identity", "reset_prompt_cache",
        "incremental_snapshot_metadata", "validation" };
    constexpr std::array kIncrementalKeys { "previous_snapshot_identity", "compression_format",
        "checksum_format" };
    constexpr const char* kChecksumOfTheWire = "alder32";
    constexpr std::size_t kMaxIdentity = 512; // weight-delta.md section 6.7
    constexpr std::array kCacheWords { "all", "new_session", "none" };
    constexpr std::size_t kMaxReplicas = 4096;
    constexpr std::size_t kMaxAdapters = 256; // of one replica

    Error refusedField(const std::string& field, const std::string& why)
    {
        return { Error::Code::Refused, field + ": " + why, "Nothing was loaded", {}, {} };
    }

    Result<IncrementalSnapshot> incrementalFrom(const Json& row)
    {
        auto previous =
            requireName(row, { "previous_snapshot_identity" }, "incremental_snapshot_metadata");
        if (!previous)
            return previous.error();
        IncrementalSnapshot incremental;
        incremental.previousIdentity = *std::move(previous);
        for (const auto& item : row.items())
            if (std::none_of(kIncrementalKeys.begin(), kIncrementalKeys.end(),
                    [&](const char* known) { return item.key() == known; }))
                return refusedField("incremental_snapshot_metadata." + item.key().substr(0, 100),
                    "Extra inputs are not permitted");
        incremental.compressionFormat = readText(row, { "compression_format" });
        const auto checksum = readText(row, { "checksum_format" });
        // Sent since 2026-04 only, and spelled right by some.
        if (!checksum.empty() && checksum != kChecksumOfTheWire && checksum != "adler32")
            return refusedField("incremental_snapshot_metadata.checksum_format",
                "must be alder32 or adler32, not " + checksum.substr(0, 40));
        incremental.checksumFormat = kChecksumOfTheWire;
        return incremental;
    }

    Result<ResetPromptCache> resetFrom(const Json& value)
    {
        if (value.is_boolean())
            return ResetPromptCache(value.get<bool>());
        const auto word = value.is_string() ? value.get<std::string>() : toText(value);
        const bool isKnown = std::any_of(kCacheWords.begin(), kCacheWords.end(),
            [&](const char* known) { return word == known; });
        if (!value.is_string() || !isKnown)
            return refusedField(
                "reset_prompt_cache", "must be a boolean, all, new_session or none");
        return ResetPromptCache(word);
    }

    Replica replicaFrom(const Json& row)
    {
        Replica replica;
        replica.identity = readText(row, { "identity" });
        replica.currentSnapshot = readText(row, { "current_snapshot_identity" });
        replica.isReady = readBool(row, { "readiness" }, false);
        replica.stage = "unknown"; // the SDK's word for an absent stage
        if (const auto* loading = findField(row, { "loading_state" }); loading != nullptr) {
            if (auto stage = readText(*loading, { "stage" }); !stage.empty())
                replica.stage = std::move(stage);
            replica.targetSnapshot = readText(*loading, { "target_snapshot_identity" });
        }
        if (const auto* adapters = findField(row, { "loaded_adapters" });
            adapters != nullptr && adapters->is_array()) {
            for (const auto& adapter : *adapters) {
                auto& list = readText(adapter, { "status" }) == "loaded" ? replica.loadedAdapters
                                                                         : replica.loadingAdapters;
                if (list.size() < kMaxAdapters)
                    list.push_back(readText(adapter, { "identity" }));
            }
        }
        replica.error = readText(row, { "error" });
        replica.seconds = readNumber(row, { "seconds" });
        return replica;
    }

} // namespace

std::string encodeHotload(const HotloadRequest& request)
{
    Json body;
    body["identity"] = request.identity;
    if (const auto* flag = std::get_if<bool>(&request.resetPromptCache))
        body["reset_prompt_cache"] = *flag;
    else if (const auto* word = std::get_if<std::string>(&request.resetPromptCache))
        body["reset_prompt_cache"] = *word;
    if (request.incremental) {
        Json metadata;
        metadata["previous_snapshot_identity"] = request.incremental->previousIdentity;
        metadata["compression_format"] = request.incremental->compressionFormat;
        metadata["checksum_format"] = request.incremental->checksumFormat;
        body["incremental_snapshot_metadata"] = std::move(metadata);
    }
    if (!request.ignoredConfigKeys.empty())
        body["validation"]["extra_fields_ignore"] = request.ignoredConfigKeys;
    return toText(body);
}

Result<HotloadRequest> decodeHotload(std::string_view body)
{
    const auto object = parseObject(body, "hot load");
    if (!object)
        return object.error();
    for (const auto& item : object->items()) {
        const auto isSame = [&](const char* known) { return item.key() == known; };
        if (!std::any_of(kHotloadKeys.begin(), kHotloadKeys.end(), isSame))
            return refusedField(item.key().substr(0, 100), "Extra inputs are not permitted");
    }
    auto identity = requireName(*object, { "identity" }, "hot load");
    if (!identity)
        return identity.error();
    if (identity->find('/') != std::string::npos)
        return refusedField("identity", "must not contain a slash");
    if (identity->size() > kMaxIdentity || *identity == "." || *identity == "..")
        return refusedField("identity", "must be the name of a snapshot");
    HotloadRequest request;
    request.identity = *std::move(identity);
    request.resetPromptCache = std::monostate {};
    if (const auto* reset = findField(*object, { "reset_prompt_cache" }); reset != nullptr) {
        auto value = resetFrom(*reset);
        if (!value)
            return value.error();
        request.resetPromptCache = *std::move(value);
    }
    if (const auto* row = findField(*object, { "incremental_snapshot_metadata" }); row != nullptr) {
        auto incremental = incrementalFrom(*row);
        if (!incremental)
            return incremental.error();
        request.incremental = *std::move(incremental);
    }
    if (const auto* validation = findField(*object, { "validation" }); validation != nullptr)
        request.ignoredConfigKeys = readTexts(*validation, { "extra_fields_ignore" });
    return request;
}

std::string resetPolicy(const ResetPromptCache& reset)
{
    if (const auto* word = std::get_if<std::string>(&reset))
        return *word;
    const auto* flag = std::get_if<bool>(&reset);
    return flag == nullptr || *flag ? "all" : "none";
}

std::string encodeHotloadStatus(std::span<const Replica> replicas)
{
    Json rows = Json::array();
    for (const auto& replica : replicas) {
        Json row;
        row["identity"] = replica.identity;
        row["readiness"] = replica.isReady;
        if (replica.currentSnapshot.empty())
            row["current_snapshot_identity"] = nullptr;
        else
            row["current_snapshot_identity"] = replica.currentSnapshot;
        // Never null: a null object makes the SDK's poll step fail (gateway.md 4.6).
        row["loading_state"] = Json::object();
        putText(row["loading_state"], "stage", replica.stage);
        putText(row["loading_state"], "target_snapshot_identity", replica.targetSnapshot);
        row["loaded_adapters"] = Json::array();
        for (const auto& adapter : replica.loadedAdapters)
            row["loaded_adapters"].push_back(
                Json { { "identity", adapter }, { "status", "loaded" } });
        for (const auto& adapter : replica.loadingAdapters)
            row["loaded_adapters"].push_back(
                Json { { "identity", adapter }, { "status", "loading" } });
        putText(row, "error", replica.error);
        putKnown(row, "seconds", replica.seconds);
        rows.push_back(std::move(row));
    }
    Json body;
    body["replicas"] = std::move(rows);
    return toText(body);
}

Result<std::vector<Replica>> decodeHotloadStatus(std::string_view body)
{
    const auto object = parseObject(body, "hot-load status");
    if (!object)
        return object.error();
    const auto* rows = findField(*object, { "replicas" });
    if (rows == nullptr || !rows->is_array())
        return malformed("The hot-load status has no array of replicas");
    if (rows->size() > kMaxReplicas)
        return malformed(
            "The hot-load status has more than " + std::to_string(kMaxReplicas) + " replicas");
    std::vector<Replica> replicas;
    for (const auto& row : *rows)
        replicas.push_back(replicaFrom(row));
    return replicas;
}

} // namespace desk
