// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/cli_codec.h"

#include "services/codecs/json_read.h"
#include "services/core/promotability.h"
#include "services/core/resource_name.h"

#include <cmath>

namespace desk {
namespace {

    Json cliText(std::string_view text)
    {
        return text.empty() ? Json() : Json(text);
    }

    Json cliNumber(const std::optional<double>& value)
    {
        if (!value)
            return {};
        if (std::isnan(*value))
            return "NaN";
        if (std::isinf(*value))
            return *value > 0 ? "Infinity" : "-Infinity";
        return *value;
    }

    template <class T>
    Json cliKnown(const std::optional<T>& value)
    {
        return value ? Json(*value) : Json();
    }

    Json cliTime(const std::optional<Time>& time)
    {
        return time ? Json(toRfc3339(*time)) : Json();
    }

    Json cliTexts(const std::vector<std::string>& texts)
    {
        Json out = Json::array();
        for (const std::string& text : texts)
            out.push_back(text);
        return out;
    }

    /// A JSON text as a value; text that is no JSON as a string; nothing as null.
    Json cliEmbedded(const std::string& text)
    {
        if (text.empty())
            return {};
        Json value = Json::parse(text, nullptr, false);
        return value.is_discarded() ? Json(text) : value;
    }

    std::string jobOf(const std::string& checkpointName)
    {
        const auto name = parseCheckpointName(checkpointName);
        return name ? name->jobName().toString() : std::string();
    }

    Json cliReplica(const Replica& replica)
    {
        return { { "id", replica.identity }, { "identity", cliText(replica.currentSnapshot) },
            { "stage", cliText(replica.stage) }, { "ready", replica.isReady },
            { "error", cliText(replica.error) }, { "seconds", cliNumber(replica.seconds) },
            { "target", cliText(replica.targetSnapshot) } };
    }

    Json cliRequest(const RequestPreview& request)
    {
        if (request.method.empty())
            return {};
        const std::size_t scheme = request.url.find("://");
        const std::size_t slash =
            scheme == std::string::npos ? request.url.find('/') : request.url.find('/', scheme + 3);
        Json headers = Json::object();
        for (const auto& [name, value] : request.headers)
            headers[name] = value;
        return { { "method", request.method },
            { "path", slash == std::string::npos ? request.url : request.url.substr(slash) },
            { "headers", std::move(headers) }, { "body", cliEmbedded(request.body) },
            { "url", request.url } };
    }

    Json cliErrorObject(const Error& error)
    {
        return { { "code", toString(error.code) }, { "message", error.message },
            { "unchanged", cliText(error.unchanged) }, { "next", cliText(error.next) },
            { "request_id", cliText(error.requestId) } };
    }

    /// The identity that all replicas serve; null when they differ or none is known.
    Json cliCommonIdentity(const std::vector<Replica>& replicas)
    {
        if (replicas.empty())
            return {};
        for (const Replica& replica : replicas)
            if (replica.currentSnapshot != replicas.front().currentSnapshot)
                return {};
        return cliText(replicas.front().currentSnapshot);
    }

} // namespace

std::string encodeCliJob(const CliJob& row)
{
    const TrainerJob& job = row.job;
    Json out;
    out["name"] = job.name;
    out["id"] = lastSegment(job.name);
    out["display_name"] = cliText(job.displayName);
    out["kind"] = job.isServiceMode ? "service" : "managed";
    out["state"] = cliText(job.stateText);
    out["base_model"] = cliText(job.baseModel);
    out["lora_rank"] = job.loraRank;
    out["step"] = cliKnown(row.step);
    out["total_steps"] = cliKnown(row.totalSteps);
    out["loss"] = cliNumber(row.loss);
    out["last_progress"] = cliTime(row.lastProgress);
    out["evidence"] = row.evidence.empty() ? "unknown" : row.evidence;
    out["created"] = cliTime(job.created);
    out["updated"] = cliTime(job.completed);
    out["run_dir"] = cliText(row.runDir);
    out["checkpoints"] = cliKnown(row.checkpoints);
    out["source"] = cliText(row.source);
    out["endpoint"] = cliText(row.endpoint);
    return toText(out);
}

std::string encodeCliCheckpoint(const CliCheckpoint& row)
{
    const Checkpoint& checkpoint = row.checkpoint;
    Json out;
    out["name"] = checkpoint.name;
    out["id"] = lastSegment(checkpoint.name);
    out["job"] = cliText(jobOf(checkpoint.name));
    out["type"] = cliText(checkpoint.typeText);
    const std::string_view kind = kindWord(checkpoint.type);
    out["kind"] = kind == "unknown" ? Json() : Json(kind);
    out["step"] = cliKnown(checkpoint.step);
    out["created"] = cliTime(checkpoint.created);
    out["expires"] = cliTime(checkpoint.expires);
    out["promotable"] = checkpoint.isPromotable;
    out["why_not"] = cliText(row.whyNot);
    out["size"] = cliKnown(checkpoint.sizeBytes);
    out["parent"] = cliText(checkpoint.parent);
    out["loss"] = cliNumber(row.loss);
    out["serving_on"] = cliTexts(row.servingOn);
    out["promoted_as"] = cliTexts(row.promotedAs);
    out["verified"] = cliKnown(row.verified);
    out["path"] = cliText(checkpoint.path);
    std::optional<double> ratio;
    if (checkpoint.baseBytes && checkpoint.sizeBytes && *checkpoint.sizeBytes > 0)
        ratio =
            static_cast<double>(*checkpoint.baseBytes) / static_cast<double>(*checkpoint.sizeBytes);
    out["ratio"] = cliNumber(ratio);
    out["changed_fraction"] = cliNumber(checkpoint.changedFraction);
    return toText(out);
}

std::string encodeCliModel(const Model& model)
{
    Json out;
    out["name"] = model.name;
    out["id"] = lastSegment(model.name);
    out["kind"] = cliText(model.kind);
    out["base_model"] = cliText(model.baseModel);
    out["state"] = cliText(model.state);
    out["created"] = cliTime(model.created);
    out["path"] = cliText(model.path);
    out["promoted_from"] = cliText(model.promotedFrom);
    out["context_length"] = cliKnown(model.contextLength);
    out["parameters"] = cliKnown(model.parameterCount);
    out["lora_rank"] = cliKnown(model.adapterRank);
    return toText(out);
}

std::string encodeCliDeployment(const Deployment& deployment)
{
    Json replicas = Json::array();
    for (const Replica& replica : deployment.replicas)
        replicas.push_back(cliReplica(replica));
    Json out;
    out["name"] = deployment.name;
    out["id"] = lastSegment(deployment.name);
    out["base_model"] = cliText(deployment.baseModel);
    out["replicas"] = cliKnown(deployment.replicaCount);
    out["ready"] = cliKnown(deployment.readyReplicaCount);
    out["identity"] = cliCommonIdentity(deployment.replicas);
    out["state"] = cliText(deployment.state);
    out["replica"] = std::move(replicas);
    out["job"] = cliText(deployment.hotLoadTrainerJob);
    return toText(out);
}

std::string encodeCliConnection(const Connection& connection, bool isLast)
{
    Json out;
    out["name"] = connection.name;
    out["url"] = cliText(connection.url);
    out["account"] = cliText(connection.account);
    out["safety_level"] = static_cast<int>(connection.safetyLevel);
    out["local"] = connection.isLocal;
    out["last_used"] = isLast;
    return toText(out);
}

std::string encodeCliOperation(const Operation& operation)
{
    Json stages = Json::array();
    for (const OperationStage& stage : operation.stages)
        stages.push_back({ { "stage", stage.stage }, { "at", toRfc3339(stage.at) },
            { "detail", cliText(stage.detail) } });
    Json out;
    out["id"] = operation.id;
    out["key"] = operation.key;
    out["kind"] = toString(operation.kind);
    out["connection"] = cliText(operation.connection);
    out["target"] = cliText(operation.target);
    out["subject"] = cliText(operation.subject);
    out["state"] = toString(operation.state);
    out["stage"] = cliText(operation.stage);
    out["by"] = cliText(operation.by);
    out["created"] = toRfc3339(operation.created);
    out["updated"] = toRfc3339(operation.updated);
    out["request"] = cliRequest(operation.request);
    out["stages"] = std::move(stages);
    out["result"] = cliEmbedded(operation.result);
    if (operation.errorCode.empty() && operation.errorMessage.empty())
        out["error"] = Json();
    else
        out["error"] = { { "code", cliText(operation.errorCode) },
            { "message", cliText(operation.errorMessage) },
            { "unchanged", cliText(operation.errorUnchanged) },
            { "next", cliText(operation.errorNext) } };
    return toText(out);
}

std::string encodeCliDryRun(
    bool isAllowed, std::span<const PreflightCheck> preflight, const RequestPreview& request)
{
    Json checks = Json::array();
    for (const PreflightCheck& check : preflight)
        checks.push_back({ { "id", check.id }, { "result", toString(check.result) },
            { "why", cliText(check.why) }, { "fix", cliText(check.fix) } });
    Json out;
    out["allowed"] = isAllowed;
    out["preflight"] = std::move(checks);
    out["request"] = cliRequest(request);
    return toText(out);
}

std::string encodeCliCompletion(const CliCompletion& completion)
{
    Json out;
    out["text"] = completion.text;
    out["tokens"] = completion.tokens;
    out["finish_reason"] = cliText(completion.finishReason);
    out["identity"] = cliText(completion.identity);
    out["seconds"] = completion.seconds;
    return toText(out);
}

std::string encodeCliResume(const CliResume& row)
{
    Json out;
    out["reference"] = row.reference;
    out["load_path"] = cliText(row.loadPath);
    out["job"] = cliText(row.job);
    out["checkpoint"] = cliText(row.checkpoint);
    out["step"] = cliKnown(row.step);
    out["restores"] = { { "weights", row.restoresWeights }, { "optimizer", row.restoresOptimizer },
        { "step", row.restoresStep }, { "data_cursor", row.restoresDataCursor } };
    out["statement"] = row.statement;
    out["trained"] = row.trained;
    out["perhaps_trained"] = row.perhapsTrained;
    return toText(out);
}

std::string encodeCliExport(const CliExport& row)
{
    Json out;
    out["model"] = row.model;
    out["path"] = row.folder;
    out["files"] = cliTexts(row.files);
    out["bytes"] = row.bytes;
    return toText(out);
}

std::string encodeCliExportProgress(const std::string& file, std::uint64_t bytes)
{
    return toText(Json { { "event", "export" }, { "file", file }, { "bytes", bytes } });
}

std::string encodeCliError(const Error& error)
{
    Json out;
    out["error"] = cliErrorObject(error);
    return toText(out);
}

std::string encodeCliList(
    Time asOf, std::string_view connection, std::span<const std::string> items)
{
    std::string out = "{\"as_of\":" + Json(toRfc3339(asOf)).dump()
        + ",\"connection\":" + toText(cliText(connection)) + ",\"items\":[";
    for (std::size_t i = 0; i < items.size(); ++i)
        out.append(i == 0 ? "" : ",").append(items[i]);
    return out + "]}";
}

std::string withCliWarnings(std::string object, std::span<const std::string> warnings)
{
    if (warnings.empty() || object.empty() || object.back() != '}')
        return object;
    Json list = Json::array();
    for (const std::string& warning : warnings)
        list.push_back(warning);
    const bool isEmpty = object == "{}";
    object.pop_back();
    return object + (isEmpty ? "\"warnings\":" : ",\"warnings\":") + toText(list) + "}";
}

std::string whyNotPromotable(const Checkpoint& checkpoint)
{
    const auto may = promotabilityOf(checkpoint);
    return may.isPromotable ? std::string() : may.reason;
}

} // namespace desk
