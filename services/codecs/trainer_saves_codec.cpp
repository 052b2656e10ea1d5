// SPDX-License-Identifier: GPL-3.0-or-later
// Saves and loads of a trainer's /api/v1.
#include "services/codecs/json_read.h"
#include "services/codecs/trainer_codec.h"

namespace desk {
namespace {

    void putUserMetadata(Json& body, const std::map<std::string, std::string>& map)
    {
        for (const auto& [key, value] : map)
            body["user_metadata"][key] = value;
    }

} // namespace

std::string encodeSaveWeights(const SaveWeights& request)
{
    Json body;
    body["model_id"] = request.modelId;
    body["path"] = request.path;
    body["seq_id"] = request.seqId;
    putKnown(body, "ttl_seconds", request.ttlSeconds);
    body["overwrite"] = request.isOverwrite;
    putUserMetadata(body, request.userMetadata);
    body["type"] = "save_weights";
    return toText(body);
}

Result<SaveWeights> decodeSaveWeights(std::string_view body)
{
    const auto object = parseObject(body, "save");
    if (!object)
        return object.error();
    auto model = requireName(*object, { "model_id" }, "save");
    if (!model)
        return model.error();
    auto path = requireName(*object, { "path" }, "save");
    if (!path)
        return path.error();
    return SaveWeights { *std::move(model), *std::move(path),
        readInt(*object, { "seq_id" }).value_or(0), readInt(*object, { "ttl_seconds" }),
        readBool(*object, { "overwrite" }, false), readTextMap(*object, { "user_metadata" }) };
}

std::string encodeSaveExternal(const SaveExternal& request)
{
    Json body;
    body["model_id"] = request.modelId;
    body["path"] = request.path;
    body["seq_id"] = request.seqId;
    putKnown(body, "ttl_seconds", request.ttlSeconds);
    body["type"] = "save_weights_external";
    return toText(body);
}

Result<SaveExternal> decodeSaveExternal(std::string_view body)
{
    const auto object = parseObject(body, "external save");
    if (!object)
        return object.error();
    auto model = requireName(*object, { "model_id" }, "external save");
    if (!model)
        return model.error();
    auto path = requireName(*object, { "path" }, "external save");
    if (!path)
        return path.error();
    return SaveExternal { *std::move(model), *std::move(path),
        readInt(*object, { "seq_id" }).value_or(0), readInt(*object, { "ttl_seconds" }),
        !readTexts(*object, { "age_encryption_recipients" }).empty() };
}

std::string encodeLoadAdapter(const LoadAdapter& request)
{
    Json body;
    body["adapter_path"] = request.path;
    body["model_id"] = request.modelId;
    body["seq_id"] = request.seqId;
    return toText(body);
}

Result<LoadAdapter> decodeLoadAdapter(std::string_view body)
{
    const auto object = parseObject(body, "adapter load");
    if (!object)
        return object.error();
    auto model = requireName(*object, { "model_id" }, "adapter load");
    if (!model)
        return model.error();
    auto path = requireName(*object, { "adapter_path" }, "adapter load");
    if (!path)
        return path.error();
    return LoadAdapter { *std::move(model), *std::move(path),
        readInt(*object, { "seq_id" }).value_or(0) };
}

std::string encodeLoadWeights(const LoadWeights& request)
{
    Json body;
    if (request.sessionId.empty()) {
        body["model_id"] = request.modelId;
    } else {
        body["session_id"] = request.sessionId;
        body["model_seq_id"] = request.modelSeqId;
        putText(body, "base_model", request.baseModel);
        putUserMetadata(body, request.userMetadata);
        if (!request.optimizerType.empty())
            body["optimizer_config"]["type"] = request.optimizerType;
    }
    body["path"] = request.path;
    body["optimizer"] = request.withOptimizer;
    if (request.sessionId.empty())
        body["seq_id"] = request.seqId;
    body["type"] = "load_weights";
    return toText(body);
}

Result<LoadWeights> decodeLoadWeights(std::string_view body)
{
    const auto object = parseObject(body, "load");
    if (!object)
        return object.error();
    LoadWeights request;
    request.sessionId = readText(*object, { "session_id" });
    const bool makesModel = !request.sessionId.empty();
    if (makesModel) {
        request.modelSeqId = readInt(*object, { "model_seq_id" }).value_or(0);
        request.baseModel = readText(*object, { "base_model" });
        request.userMetadata = readTextMap(*object, { "user_metadata" });
        if (const auto* config = findField(*object, { "optimizer_config" }); config != nullptr)
            request.optimizerType = readText(*config, { "type" });
    } else {
        auto model = requireName(*object, { "model_id" }, "load");
        if (!model)
            return model.error();
        request.modelId = *std::move(model);
    }
    auto path = requireName(*object, { "path" }, "load");
    if (!path)
        return path.error();
    request.path = *std::move(path);
    request.withOptimizer = readBool(*object, { "optimizer" }, false);
    request.seqId = readInt(*object, { "seq_id" }).value_or(0);
    return request;
}

std::string encodeSaveForSampler(const SaveForSampler& request)
{
    Json body;
    body["model_id"] = request.modelId;
    putText(body, "path", request.path);
    body["seq_id"] = request.seqId;
    putKnown(body, "ttl_seconds", request.ttlSeconds);
    putKnown(body, "sampling_session_seq_id", request.samplingSessionSeqId);
    body["type"] = "save_weights_for_sampler";
    putText(body, "checkpoint_type", request.checkpointType);
    putText(body, "export_precision", request.exportPrecision);
    putUserMetadata(body, request.userMetadata);
    return toText(body);
}

Result<SaveForSampler> decodeSaveForSampler(std::string_view body)
{
    const auto object = parseObject(body, "save for the sampler");
    if (!object)
        return object.error();
    auto model = requireName(*object, { "model_id" }, "save for the sampler");
    if (!model)
        return model.error();
    SaveForSampler request;
    request.modelId = *std::move(model);
    request.path = readText(*object, { "path" });
    request.seqId = readInt(*object, { "seq_id" }).value_or(0);
    request.ttlSeconds = readInt(*object, { "ttl_seconds" });
    request.checkpointType = readText(*object, { "checkpoint_type" });
    request.samplingSessionSeqId = readInt(*object, { "sampling_session_seq_id" });
    request.exportPrecision = readText(*object, { "export_precision" });
    request.userMetadata = readTextMap(*object, { "user_metadata" });
    if (request.path.empty() && !request.samplingSessionSeqId)
        return malformed("The save for the sampler has no path");
    return request;
}

std::string encodeWeightsResult(const WeightsResult& result)
{
    Json body;
    if (!result.path.empty() || result.samplingSessionId.empty())
        body["path"] = result.path;
    else
        body["path"] = nullptr;
    putText(body, "sampling_session_id", result.samplingSessionId);
    putText(body, "model_id", result.modelId);
    putKnown(body, "size_bytes", result.sizeBytes);
    body["type"] = result.type;
    return toText(body);
}

Result<WeightsResult> decodeWeightsResult(std::string_view body)
{
    const auto object = parseObject(body, "result of the save or load");
    if (!object)
        return object.error();
    return WeightsResult { readText(*object, { "type" }), readText(*object, { "path" }),
        readText(*object, { "sampling_session_id" }), readText(*object, { "model_id" }),
        readSize(*object, { "size_bytes" }) };
}

std::string encodeCheckpointNames(std::span<const std::string> names)
{
    Json body;
    body["checkpoints"] = Json::array();
    for (const auto& name : names)
        body["checkpoints"].push_back(name);
    return toText(body);
}

Result<std::vector<std::string>> decodeCheckpointNames(std::string_view body)
{
    const auto object = parseObject(body, "list of train states");
    if (!object)
        return object.error();
    const auto* rows = findField(*object, { "checkpoints" });
    if (rows == nullptr || !rows->is_array())
        return malformed("The list of train states has no array of checkpoints");
    return readTexts(*object, { "checkpoints" });
}

} // namespace desk
