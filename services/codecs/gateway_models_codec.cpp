// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/gateway_codec.h"
#include "services/codecs/gateway_rows.h"
#include "services/codecs/json_read.h"

#include <array>

namespace desk {
namespace {

    struct RpcCode
    {
        int number;
        const char* word;
        Error::Code code;
    };
    constexpr std::array kRpcCodes {
        RpcCode { 1, "CANCELLED", Error::Code::Canceled },
        RpcCode { 3, "INVALID_ARGUMENT", Error::Code::Refused },
        RpcCode { 5, "NOT_FOUND", Error::Code::NotFound },
        RpcCode { 6, "ALREADY_EXISTS", Error::Code::Conflict },
        RpcCode { 7, "PERMISSION_DENIED", Error::Code::Auth },
        RpcCode { 8, "RESOURCE_EXHAUSTED", Error::Code::Quota },
        RpcCode { 9, "FAILED_PRECONDITION", Error::Code::Refused },
        RpcCode { 10, "ABORTED", Error::Code::Conflict },
        RpcCode { 16, "UNAUTHENTICATED", Error::Code::Auth },
    };

    Error operationError(const Json& error)
    {
        Error out;
        out.code = Error::Code::Backend;
        out.message = readText(error, { "message" });
        if (out.message.empty())
            out.message = "The operation failed and the server gave no reason";
        const auto number = readInt(error, { "code" });
        const auto word = readText(error, { "code" });
        for (const auto& row : kRpcCodes) {
            if (number == row.number || word == row.word)
                out.code = row.code;
        }
        return out;
    }

    int rpcNumber(Error::Code code)
    {
        for (const auto& row : kRpcCodes) {
            if (row.code == code)
                return row.number;
        }
        return 13;
    }

    Result<LongOperation> operationFrom(const Json& row)
    {
        auto name = requireName(row, { "name" }, "operation");
        if (!name)
            return name.error();
        LongOperation operation;
        operation.name = *std::move(name);
        operation.isDone = readBool(row, { "done" }, false);
        if (const auto* metadata = findField(row, { "metadata" }); metadata != nullptr) {
            operation.statusMessage = readText(*metadata, { "statusMessage", "status_message" });
            const auto* value = findField(*metadata, { "value" });
            if (operation.statusMessage.empty() && value != nullptr)
                operation.statusMessage = readText(*value, { "statusMessage", "status_message" });
        }
        if (const auto* error = findField(row, { "error" }); error != nullptr && operation.isDone)
            operation.error = operationError(*error);
        if (const auto* response = findField(row, { "response" });
            response != nullptr && findField(*response, { "name" }) != nullptr) {
            auto model = modelFromRow(*response);
            if (!model)
                return model.error();
            operation.response = *std::move(model);
        }
        return operation;
    }

    Json rowOf(const LongOperation& operation)
    {
        Json row;
        row["name"] = operation.name;
        row["done"] = operation.isDone;
        if (!operation.statusMessage.empty())
            row["metadata"]["statusMessage"] = operation.statusMessage;
        if (operation.error) {
            row["error"]["code"] = rpcNumber(operation.error->code);
            row["error"]["message"] = operation.error->message;
        }
        if (operation.response) {
            Json response;
            response["@type"] = "type.googleapis.com/gateway.Model";
            response.update(desk::rowOf(*operation.response));
            row["response"] = std::move(response);
        }
        return row;
    }

    Json okStatus()
    {
        Json status;
        status["code"] = "OK";
        status["message"] = "";
        return status;
    }

} // namespace

Result<PromoteAnswer> decodePromoteAnswer(std::string_view body)
{
    const auto object = parseObject(body, "answer to the promotion");
    if (!object)
        return object.error();
    PromoteAnswer answer;
    if (const auto* row = findField(*object, { "operation" }); row != nullptr) {
        auto operation = operationFrom(*row);
        if (!operation)
            return operation.error();
        answer.operation = *std::move(operation);
    }
    if (const auto* row = findField(*object, { "model" }); row != nullptr) {
        auto model = modelFromRow(*row);
        if (!model)
            return model.error();
        answer.model = *std::move(model);
    }
    if (!answer.operation && !answer.model)
        return malformed("The answer to the promotion has neither operation nor model");
    return answer;
}

std::string encodePromoteAnswer(const PromoteAnswer& answer)
{
    Json body = Json::object();
    if (answer.operation)
        body["operation"] = rowOf(*answer.operation);
    if (answer.model)
        body["model"] = rowOf(*answer.model);
    return toText(body);
}

Result<LongOperation> decodeOperation(std::string_view body)
{
    return decodeRow<LongOperation>(body, "operation", operationFrom);
}
std::string encodeOperation(const LongOperation& operation)
{
    return toText(rowOf(operation));
}

Result<Model> modelFromRow(const Json& row)
{
    auto name = requireName(row, { "name" }, "model");
    if (!name)
        return name.error();
    Model model;
    model.name = *std::move(name);
    model.displayName = readText(row, { "displayName" });
    model.kind = readText(row, { "kind" });
    model.state = readText(row, { "state" });
    model.baseModel = readText(row, { "baseModel" });
    if (const auto* adapter = findField(row, { "peftDetails" });
        adapter != nullptr && model.baseModel.empty())
        model.baseModel = readText(*adapter, { "baseModel" });
    model.created = readTime(row, { "createTime" });
    model.updated = readTime(row, { "updateTime" });
    model.path = readText(row, { "path" });
    model.promotedFrom = readText(row, { "promotedFrom" });
    if (const auto* details = findField(row, { "baseModelDetails", "base_model_details" })) {
        if (const auto* moe = findField(*details, { "moe" }); moe != nullptr && moe->is_boolean())
            model.isMoe = moe->get<bool>();
        model.parameterCount = readInt(*details, { "parameterCount", "parameter_count" });
        model.modelType = readText(*details, { "modelType", "model_type" });
    }
    if (const auto* adapter = findField(row, { "peftDetails", "peft_details" })) {
        model.adapterRank = readSmallInt(*adapter, { "r" });
        model.adapterTargets = readTexts(*adapter, { "targetModules", "target_modules" });
    }
    model.contextLength = readInt(row, { "contextLength", "context_length" });
    model.fineTuningJob = readText(row, { "fineTuningJob", "fine_tuning_job" });
    model.json = rowText(row);
    return model;
}

Json rowOf(const Model& model)
{
    Json row;
    row["name"] = model.name;
    putText(row, "displayName", model.displayName);
    putText(row, "state", model.state);
    row["status"] = okStatus();
    putText(row, "kind", model.kind);
    putTime(row, "createTime", model.created);
    putTime(row, "updateTime", model.updated);
    putText(row, "baseModel", model.baseModel);
    if (model.isMoe || model.parameterCount || !model.modelType.empty()) {
        Json details;
        putKnown(details, "moe", model.isMoe);
        if (model.parameterCount) // int64 is text in proto3 JSON
            details["parameterCount"] = std::to_string(*model.parameterCount);
        putText(details, "modelType", model.modelType);
        row["baseModelDetails"] = std::move(details);
    }
    if (model.kind == "HF_PEFT_ADDON") {
        Json adapter;
        adapter["baseModel"] = model.baseModel;
        putKnown(adapter, "r", model.adapterRank);
        adapter["targetModules"] = model.adapterTargets;
        row["peftDetails"] = std::move(adapter);
    }
    putKnown(row, "contextLength", model.contextLength);
    putText(row, "fineTuningJob", model.fineTuningJob);
    putText(row, "path", model.path);
    putText(row, "promotedFrom", model.promotedFrom);
    addFurther(row,
        furtherFields(model.json,
            { "name", "displayName", "state", "status", "kind", "createTime", "updateTime",
                "baseModel", "peftDetails", "contextLength", "fineTuningJob", "path",
                "promotedFrom" }));
    return row;
}

std::string modelDetails(const Model& model)
{
    return toText(rowOf(model));
}

Result<Model> decodeModel(std::string_view body)
{
    return decodeRow<Model>(body, "model", modelFromRow);
}
std::string encodeModel(const Model& model)
{
    return toText(rowOf(model));
}
Result<Page<Model>> decodeModels(std::string_view body)
{
    return decodePage<Model>(body, { "models" }, "model list", modelFromRow);
}
std::string encodeModels(const Page<Model>& page)
{
    return encodePage("models", page);
}

} // namespace desk
