// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/trainer_codec.h"

#include "services/codecs/error_codec.h"
#include "services/codecs/json_read.h"

#include <cmath>

namespace desk {
namespace {

    // A larger success body cannot be a pending or failed one: those hold a few words.
    constexpr std::size_t kMaxPendingBody = std::size_t { 256 } << 10;

    Json withType(const char* type)
    {
        Json body;
        body["type"] = type;
        return body;
    }

    LoraConfig loraFrom(const Json& row)
    {
        LoraConfig lora;
        lora.rank = readSmallInt(row, { "rank" }).value_or(32);
        lora.seed = readInt(row, { "seed" });
        lora.alpha = readNumber(row, { "alpha" });
        lora.trainsUnembed = readBool(row, { "train_unembed" }, true);
        lora.trainsMlp = readBool(row, { "train_mlp" }, true);
        lora.trainsAttention = readBool(row, { "train_attn" }, true);
        lora.initMethod = readText(row, { "init_method" });
        return lora;
    }

    Json rowOf(const LoraConfig& lora)
    {
        Json row;
        row["rank"] = lora.rank;
        putKnown(row, "seed", lora.seed);
        row["train_unembed"] = lora.trainsUnembed;
        row["train_mlp"] = lora.trainsMlp;
        row["train_attn"] = lora.trainsAttention;
        putKnown(row, "alpha", lora.alpha);
        putText(row, "init_method", lora.initMethod);
        return row;
    }

    const char* normalizationWord(GradAccNormalization normalization)
    {
        switch (normalization) {
        case GradAccNormalization::NumLossTokens:
            return "num_loss_tokens";
        case GradAccNormalization::NumSequences:
            return "num_sequences";
        case GradAccNormalization::None:
            break;
        }
        return "none";
    }

    Result<GradAccNormalization> normalizationFrom(const std::string& word)
    {
        if (word.empty() || word == "none")
            return GradAccNormalization::None;
        if (word == "num_loss_tokens")
            return GradAccNormalization::NumLossTokens;
        if (word == "num_sequences")
            return GradAccNormalization::NumSequences;
        return malformed("Unknown grad_accumulation_normalization '" + word.substr(0, 100)
            + "'; expected one of: num_loss_tokens, num_sequences, none");
    }

    std::string optimizerOf(const Json& object)
    {
        const auto* config = findField(object, { "optimizer_config" });
        return config == nullptr ? std::string {} : readText(*config, { "type" });
    }

    /// Absent, or a bool, or one of the words (trainer.md section 4).
    std::string gradNormWord(const Json& adam)
    {
        const auto* field = findField(adam, { "emit_grad_norm_metrics" });
        if (field != nullptr && field->is_boolean())
            return field->get<bool>() ? "basic" : "off";
        return readText(adam, { "emit_grad_norm_metrics" });
    }

} // namespace

std::string encodeCreateSession(const CreateSession& request)
{
    Json body;
    body["tags"] = request.tags;
    body["user_metadata"] = Json::object();
    for (const auto& [key, value] : request.userMetadata)
        body["user_metadata"][key] = value;
    body["sdk_version"] = request.sdkVersion;
    putText(body, "project_id", request.projectId);
    putText(body, "display_name", request.displayName);
    body["type"] = "create_session";
    return toText(body);
}

Result<CreateSession> decodeCreateSession(std::string_view body)
{
    const auto object = parseObject(body, "new session");
    if (!object)
        return object.error();
    return CreateSession { readTexts(*object, { "tags" }),
        readTextMap(*object, { "user_metadata" }), readText(*object, { "sdk_version" }),
        readText(*object, { "display_name" }), readText(*object, { "project_id" }) };
}

std::string encodeFinishSession(const FinishSession& request)
{
    Json body;
    body["reason"]["type"] = request.reason;
    body["detail"] = request.detail.empty() ? Json(nullptr) : Json(request.detail);
    return toText(body);
}

Result<FinishSession> decodeFinishSession(std::string_view body)
{
    const auto object = parseObject(body, "end of the session");
    if (!object)
        return object.error();
    FinishSession request;
    if (const auto* reason = findField(*object, { "reason" }); reason != nullptr)
        request.reason = readText(*reason, { "type" });
    if (request.reason != "success" && request.reason != "errored"
        && request.reason != "interrupted")
        return malformed("The end of the session has the unknown reason '"
            + request.reason.substr(0, 50) + "'; expected success, errored or interrupted");
    request.detail = readText(*object, { "detail" });
    return request;
}

std::string encodeSessionCreated(const SessionCreated& answer)
{
    const auto textOrNull = [](const std::string& text) {
        return text.empty() ? Json(nullptr) : Json(text);
    };
    Json body = withType("create_session");
    body["session_id"] = answer.sessionId;
    body["info_message"] = textOrNull(answer.infoMessage);
    body["warning_message"] = textOrNull(answer.warningMessage);
    body["error_message"] = textOrNull(answer.errorMessage);
    return toText(body);
}

Result<SessionCreated> decodeSessionCreated(std::string_view body)
{
    const auto object = parseObject(body, "session");
    if (!object)
        return object.error();
    auto id = requireName(*object, { "session_id" }, "session");
    if (!id)
        return id.error();
    return SessionCreated { *std::move(id), readText(*object, { "info_message" }),
        readText(*object, { "warning_message" }), readText(*object, { "error_message" }) };
}

std::string encodeHeartbeat(std::string_view sessionId)
{
    Json body;
    body["session_id"] = std::string(sessionId);
    body["type"] = "session_heartbeat";
    return toText(body);
}

Result<std::string> decodeHeartbeat(std::string_view body)
{
    const auto object = parseObject(body, "heartbeat");
    return object ? requireName(*object, { "session_id" }, "heartbeat") : object.error();
}

std::string encodeCreateModel(const CreateModel& request)
{
    Json body;
    body["session_id"] = request.sessionId;
    body["model_seq_id"] = request.modelSeqId;
    body["base_model"] = request.baseModel;
    for (const auto& [key, value] : request.userMetadata)
        body["user_metadata"][key] = value;
    if (request.lora)
        body["lora_config"] = rowOf(*request.lora);
    body["type"] = "create_model";
    if (request.isBaseOnly)
        body["base_only"] = true;
    if (!request.optimizerType.empty())
        body["optimizer_config"]["type"] = request.optimizerType;
    return toText(body);
}

Result<CreateModel> decodeCreateModel(std::string_view body)
{
    const auto object = parseObject(body, "new model");
    if (!object)
        return object.error();
    auto session = requireName(*object, { "session_id" }, "new model");
    if (!session)
        return session.error();
    auto base = requireName(*object, { "base_model" }, "new model");
    if (!base)
        return base.error();
    CreateModel request;
    request.sessionId = *std::move(session);
    request.modelSeqId = readInt(*object, { "model_seq_id" }).value_or(0);
    request.baseModel = *std::move(base);
    request.userMetadata = readTextMap(*object, { "user_metadata" });
    if (const auto* lora = findField(*object, { "lora_config" }); lora != nullptr)
        request.lora = loraFrom(*lora);
    request.isBaseOnly = readBool(*object, { "base_only" }, false);
    request.optimizerType = optimizerOf(*object);
    request.hasProjectionHead = findField(*object, { "projection_head_dim" }) != nullptr;
    return request;
}

std::string encodeModelRequest(std::string_view modelId, std::string_view type)
{
    Json body;
    body["model_id"] = std::string(modelId);
    body["type"] = std::string(type);
    return toText(body);
}

Result<std::string> decodeModelRequest(std::string_view body)
{
    const auto object = parseObject(body, "request");
    return object ? requireName(*object, { "model_id" }, "request") : object.error();
}

std::string encodeModelResult(std::string_view modelId, std::string_view type)
{
    return encodeModelRequest(modelId, type);
}

Result<std::string> decodeModelResult(std::string_view body)
{
    const auto object = parseObject(body, "answer");
    return object ? requireName(*object, { "model_id" }, "answer") : object.error();
}

std::string encodeModelCreated(std::string_view modelId)
{
    Json body;
    body["model_id"] = std::string(modelId);
    body["type"] = "create_model";
    body["comms"] = "v2";
    return toText(body);
}

std::string encodeAdapterLoaded(const LoadAdapter& request)
{
    Json body;
    body["model_id"] = request.modelId;
    body["adapter_path"] = request.path;
    body["type"] = "load_adapter";
    return toText(body);
}

std::string encodeModelInfo(const ModelInfo& info)
{
    Json body = withType("get_info");
    body["model_id"] = info.modelId;
    body["model_name"] = info.modelName;
    body["is_lora"] = info.isLora;
    body["lora_rank"] = info.loraRank;
    body["optimizer_config"]["type"] = "adamw";
    body["model_data"]["arch"] = info.architecture;
    body["model_data"]["model_name"] = info.modelName;
    body["model_data"]["tokenizer_id"] = info.tokenizerId;
    return toText(body);
}

Result<ModelInfo> decodeModelInfo(std::string_view body)
{
    const auto object = parseObject(body, "model information");
    if (!object)
        return object.error();
    auto id = requireName(*object, { "model_id" }, "model information");
    if (!id)
        return id.error();
    const auto* data = findField(*object, { "model_data" });
    if (data == nullptr)
        return malformed("The model information has no model_data");
    ModelInfo info;
    info.modelId = *std::move(id);
    info.modelName = readText(*object, { "model_name" });
    if (info.modelName.empty())
        info.modelName = readText(*data, { "model_name" });
    info.isLora = readBool(*object, { "is_lora" }, false);
    info.loraRank = readSmallInt(*object, { "lora_rank" }).value_or(0);
    info.architecture = readText(*data, { "arch" });
    info.tokenizerId = readText(*data, { "tokenizer_id" });
    return info;
}

std::string encodeOptimStep(const OptimStep& request)
{
    const auto& adam = request.adam;
    Json body;
    Json params;
    params["learning_rate"] = adam.learningRate;
    params["beta1"] = adam.beta1;
    params["beta2"] = adam.beta2;
    params["eps"] = adam.eps;
    params["weight_decay"] = adam.weightDecay;
    params["grad_clip_norm"] = adam.gradClipNorm;
    putText(params, "emit_grad_norm_metrics", adam.gradNormMetrics);
    body["adam_params"] = std::move(params);
    body["model_id"] = request.modelId;
    body["seq_id"] = request.seqId;
    body["type"] = "optim_step";
    if (request.normalization != GradAccNormalization::None)
        body["grad_accumulation_normalization"] = normalizationWord(request.normalization);
    return toText(body);
}

Result<OptimStep> decodeOptimStep(std::string_view body)
{
    const auto object = parseObject(body, "optimizer step");
    if (!object)
        return object.error();
    auto model = requireName(*object, { "model_id" }, "optimizer step");
    if (!model)
        return model.error();
    const auto normalization =
        normalizationFrom(readText(*object, { "grad_accumulation_normalization" }));
    if (!normalization)
        return normalization.error();
    OptimStep request;
    request.modelId = *std::move(model);
    request.seqId = readInt(*object, { "seq_id" }).value_or(0);
    request.normalization = *normalization;
    if (const auto* other = findField(*object, { "optimizer_params" }); other != nullptr) {
        request.otherOptimizer = readText(*other, { "type" });
        if (request.otherOptimizer.empty())
            request.otherOptimizer = "unnamed";
    }
    if (const auto* row = findField(*object, { "adam_params" }); row != nullptr) {
        auto& adam = request.adam;
        adam.learningRate = readNumber(*row, { "learning_rate" }).value_or(adam.learningRate);
        adam.beta1 = readNumber(*row, { "beta1" }).value_or(adam.beta1);
        adam.beta2 = readNumber(*row, { "beta2" }).value_or(adam.beta2);
        adam.eps = readNumber(*row, { "eps" }).value_or(adam.eps);
        adam.weightDecay = readNumber(*row, { "weight_decay" }).value_or(adam.weightDecay);
        adam.gradClipNorm = readNumber(*row, { "grad_clip_norm" }).value_or(adam.gradClipNorm);
        adam.gradNormMetrics = gradNormWord(*row);
    }
    return request;
}

std::string encodeRetrieve(std::string_view requestId)
{
    Json body;
    body["request_id"] = std::string(requestId);
    body["allow_metadata_only"] = false;
    return toText(body);
}

Result<std::string> decodeRetrieve(std::string_view body)
{
    const auto object = parseObject(body, "poll");
    return object ? requireName(*object, { "request_id" }, "poll") : object.error();
}

std::string encodeFutureRef(const FutureRef& future)
{
    Json body;
    body["request_id"] = future.requestId;
    putText(body, "model_id", future.modelId);
    return toText(body);
}

Result<FutureRef> decodeFutureRef(std::string_view body)
{
    const auto object = parseObject(body, "answer to the submission");
    if (!object)
        return object.error();
    auto id = requireName(*object, { "request_id" }, "answer to the submission");
    if (!id)
        return id.error();
    return FutureRef { *std::move(id), readText(*object, { "model_id" }) };
}

std::string encodeFuture(const FutureReply& reply, std::string_view requestId)
{
    if (reply.state == FutureReply::State::Done)
        return reply.result;
    Json body;
    if (reply.state == FutureReply::State::Failed) {
        body["error"] = reply.error;
        body["category"] = reply.category;
        return toText(body);
    }
    body["type"] = "try_again";
    body["request_id"] = std::string(requestId);
    body["queue_state"] = reply.queueState;
    body["queue_state_reason"] =
        reply.queueReason.empty() ? Json(nullptr) : Json(reply.queueReason);
    return toText(body);
}

Result<FutureReply> decodeFuture(std::string body)
{
    FutureReply reply;
    reply.state = FutureReply::State::Done;
    if (body.size() > kMaxPendingBody) {
        reply.result = std::move(body);
        return reply;
    }
    const auto object = parseObject(body, "answer to the poll");
    if (!object)
        return object.error();
    if (const auto* error = findField(*object, { "error" }); error != nullptr) {
        reply.state = FutureReply::State::Failed;
        reply.error = error->is_string() ? error->get<std::string>() : toText(*error);
        reply.category = readText(*object, { "category" });
        if (reply.category != "user" && reply.category != "server")
            reply.category = "unknown";
    } else if (readText(*object, { "type" }) == "try_again") {
        reply.state = FutureReply::State::Pending;
        reply.queueState = readText(*object, { "queue_state" });
        reply.queueReason = readText(*object, { "queue_state_reason" });
    } else {
        reply.result = std::move(body);
    }
    return reply;
}

Result<std::string> encodeOptimResult(const OptimResult& result)
{
    Json body;
    body["metrics"] = Json::object();
    for (const auto& [key, value] : result.metrics) {
        if (!std::isfinite(value))
            return malformed("The metric " + key + " is not finite");
        body["metrics"][key] = value;
    }
    return toText(body);
}

Result<OptimResult> decodeOptimResult(std::string_view body)
{
    const auto object = parseObject(body, "result of the optimizer step");
    if (!object)
        return object.error();
    return OptimResult { readNumberMap(*object, { "metrics" }) };
}

std::string encodeCapabilities(std::span<const SupportedModel> models)
{
    Json rows = Json::array();
    for (const auto& model : models) {
        Json row;
        row["model_name"] = model.name;
        putKnown(row, "max_context_length", model.maxContextLength);
        row["trainable"] = model.isTrainable;
        row["sampleable"] = model.isSampleable;
        rows.push_back(std::move(row));
    }
    Json body;
    body["supported_models"] = std::move(rows);
    return toText(body);
}

Result<std::vector<SupportedModel>> decodeCapabilities(std::string_view body)
{
    const auto object = parseObject(body, "server capabilities");
    if (!object)
        return object.error();
    std::vector<SupportedModel> models;
    const auto* rows = findField(*object, { "supported_models" });
    if (rows == nullptr || !rows->is_array())
        return malformed("The server capabilities have no array of supported_models");
    for (const auto& row : *rows)
        models.push_back({ readText(row, { "model_name" }), readInt(row, { "max_context_length" }),
            readBool(row, { "trainable" }, true), readBool(row, { "sampleable" }, true) });
    return models;
}

std::string encodeTrainerError(int httpStatus, std::string_view message)
{
    auto body = encodeError(httpStatus, message);
    body.pop_back();
    return body + R"(,"detail":)" + toText(Json(std::string(message))) + '}';
}

std::string encodeHealthz()
{
    return R"({"status":"ok"})";
}

} // namespace desk
