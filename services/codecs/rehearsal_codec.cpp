// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/rehearsal_codec.h"

#include "services/codecs/json_read.h"

namespace desk {
namespace {

    constexpr JsonLimits kRehearsalLimits { std::size_t { 8 } << 20 };

    Json standInJson(const StandIn& standIn)
    {
        return { { "name", standIn.name }, { "id", standIn.id },
            { "vocab_size", standIn.vocabSize }, { "parameters", standIn.parameters },
            { "vocabulary_from", standIn.vocabularyFrom },
            { "has_own_tokenizer", standIn.hasOwnTokenizer } };
    }
    StandIn standInFrom(const Json& object)
    {
        return { readText(object, { "name" }), readText(object, { "id" }),
            readSize(object, { "vocab_size" }).value_or(0),
            readSize(object, { "parameters" }).value_or(0), readText(object, { "vocabulary_from" }),
            readBool(object, { "has_own_tokenizer" }, false) };
    }

    Json toJson(const RehearsedModel& model)
    {
        Json out { { "id", model.id }, { "job", model.job }, { "base_model", model.baseModel },
            { "lora_rank", model.loraRank }, { "forward_calls", model.forwardCalls },
            { "backward_calls", model.backwardCalls }, { "trained_tokens", model.trainedTokens },
            { "steps", model.steps }, { "failed_calls", model.failedCalls },
            { "last_failure", model.lastFailure } };
        putKnown(out, "first_loss", model.firstLoss);
        putKnown(out, "last_loss", model.lastLoss);
        return out;
    }
    void fromJson(const Json& object, RehearsedModel& model)
    {
        const auto count = [&](const char* key) { return readInt(object, { key }).value_or(0); };
        model.id = readText(object, { "id" });
        model.job = readText(object, { "job" });
        model.baseModel = readText(object, { "base_model" });
        model.loraRank = readSmallInt(object, { "lora_rank" }).value_or(0);
        model.forwardCalls = count("forward_calls");
        model.backwardCalls = count("backward_calls");
        model.trainedTokens = count("trained_tokens");
        model.steps = count("steps");
        model.failedCalls = count("failed_calls");
        model.lastFailure = readText(object, { "last_failure" });
        model.firstLoss = readNumber(object, { "first_loss" });
        model.lastLoss = readNumber(object, { "last_loss" });
    }

    Json toJson(const RehearsedJob& job)
    {
        Json out { { "id", job.id }, { "base_model", job.baseModel }, { "state", job.state },
            { "deleted", job.isDeleted } };
        putTime(out, "created", job.created);
        putTime(out, "ended", job.ended);
        return out;
    }
    void fromJson(const Json& object, RehearsedJob& job)
    {
        job.id = readText(object, { "id" });
        job.baseModel = readText(object, { "base_model" });
        job.state = readText(object, { "state" });
        job.isDeleted = readBool(object, { "deleted" }, false);
        job.created = readTime(object, { "created" });
        job.ended = readTime(object, { "ended" });
    }

    Json toJson(const RehearsedCheckpoint& row)
    {
        Json out { { "job", row.job }, { "id", row.id }, { "kind", row.kind },
            { "promotable", row.isPromotable }, { "step", row.step } };
        putTime(out, "created", row.created);
        return out;
    }
    void fromJson(const Json& object, RehearsedCheckpoint& row)
    {
        row.job = readText(object, { "job" });
        row.id = readText(object, { "id" });
        row.kind = readText(object, { "kind" });
        row.isPromotable = readBool(object, { "promotable" }, false);
        row.step = readInt(object, { "step" }).value_or(0);
        row.created = readTime(object, { "created" });
    }

    Json toJson(const RehearsedDeployment& row)
    {
        Json out { { "id", row.id }, { "state", row.state }, { "replicas", row.replicas },
            { "identity", row.identity }, { "is_deleted", row.isDeleted } };
        putTime(out, "created", row.created);
        putTime(out, "deleted", row.deleted);
        return out;
    }
    void fromJson(const Json& object, RehearsedDeployment& row)
    {
        row.id = readText(object, { "id" });
        row.state = readText(object, { "state" });
        row.replicas = readSmallInt(object, { "replicas" }).value_or(0);
        row.identity = readText(object, { "identity" });
        row.isDeleted = readBool(object, { "is_deleted" }, false);
        row.created = readTime(object, { "created" });
        row.deleted = readTime(object, { "deleted" });
    }

    Json toJson(const RehearsedModelResource& row)
    {
        return { { "id", row.id }, { "kind", row.kind }, { "promoted_from", row.promotedFrom } };
    }
    void fromJson(const Json& object, RehearsedModelResource& row)
    {
        row.id = readText(object, { "id" });
        row.kind = readText(object, { "kind" });
        row.promotedFrom = readText(object, { "promoted_from" });
    }

    Json toJson(const RehearsedRefusal& row)
    {
        return { { "method", row.method }, { "path", row.path }, { "status", row.status },
            { "message", row.message }, { "count", row.count } };
    }
    void fromJson(const Json& object, RehearsedRefusal& row)
    {
        row.method = readText(object, { "method" });
        row.path = readText(object, { "path" });
        row.status = readSmallInt(object, { "status" }).value_or(0);
        row.message = readText(object, { "message" });
        row.count = readSmallInt(object, { "count" }).value_or(1);
    }

    Json toJson(const RehearsedLoad& row)
    {
        return { { "deployment", row.deployment }, { "identity", row.identity },
            { "status", row.status } };
    }
    void fromJson(const Json& object, RehearsedLoad& row)
    {
        row.deployment = readText(object, { "deployment" });
        row.identity = readText(object, { "identity" });
        row.status = readSmallInt(object, { "status" }).value_or(0);
    }

    template <class T>
    Json rowsJson(const std::vector<T>& rows)
    {
        Json out = Json::array();
        for (const T& row : rows)
            out.push_back(toJson(row));
        return out;
    }
    template <class T>
    void readRows(const Json& object, const char* key, std::vector<T>& rows)
    {
        const Json* list = findField(object, { key });
        if (list == nullptr || !list->is_array())
            return;
        for (const Json& entry : *list)
            fromJson(entry, rows.emplace_back());
    }

} // namespace

std::string encodeStandIn(const StandIn& standIn)
{
    return toText(standInJson(standIn));
}

Result<StandIn> decodeStandIn(std::string_view text)
{
    const auto object = parseObject(text, "stand-in");
    if (!object)
        return object.error();
    auto standIn = standInFrom(*object);
    if (standIn.name.empty() || standIn.id.empty() || standIn.vocabSize == 0)
        return malformed("the stand-in has no name, no id or no vocabulary");
    return standIn;
}

std::string standInSentence(const StandIn& standIn)
{
    std::string text = standIn.name + " is played by a small stand-in with random weights ("
        + std::to_string(standIn.parameters) + " parameters, vocabulary of "
        + std::to_string(standIn.vocabSize) + ")";
    if (standIn.vocabularyFrom == "family")
        text += ", the vocabulary being that of its family";
    if (standIn.vocabularyFrom == "unknown")
        text += ", its real vocabulary is not known; give --stand-in " + standIn.name + "=SIZE";
    return text;
}

std::string encodeRehearsalBegin(const RehearsalBegin& begin)
{
    Json sizes = Json::object();
    for (const auto& [name, size] : begin.vocabularies)
        sizes[name] = size;
    Json out;
    out["vocabularies"] = std::move(sizes);
    putText(out, "hub_cache", begin.hubCache);
    return toText(out);
}

Result<RehearsalBegin> decodeRehearsalBegin(std::string_view text)
{
    const auto object = parseObject(text, "start of a rehearsal");
    if (!object)
        return object.error();
    RehearsalBegin begin;
    begin.hubCache = readText(*object, { "hub_cache" });
    if (const Json* sizes = findField(*object, { "vocabularies" }); sizes && sizes->is_object()) {
        for (const auto& [name, size] : sizes->items()) {
            if (!size.is_number_unsigned())
                return malformed("the vocabulary of " + name + " is no size");
            begin.vocabularies[name] = size.get<std::uint64_t>();
        }
    }
    return begin;
}

std::string encodeRehearsalStarted(const RehearsalStarted& started)
{
    return toText(Json { { "id", started.id }, { "key", started.key } });
}

Result<RehearsalStarted> decodeRehearsalStarted(std::string_view text)
{
    const auto object = parseObject(text, "started rehearsal");
    if (!object)
        return object.error();
    RehearsalStarted started { readText(*object, { "id" }), readText(*object, { "key" }) };
    if (started.id.empty() || started.key.size() < 8)
        return malformed("the answer names no rehearsal or no key");
    return started;
}

std::string encodeRehearsal(const RehearsalRecord& record)
{
    Json standIns = Json::array();
    for (const StandIn& standIn : record.standIns)
        standIns.push_back(standInJson(standIn));
    Json out;
    out["id"] = record.id;
    putTime(out, "began", record.began);
    out["stand_ins"] = std::move(standIns);
    out["jobs"] = rowsJson(record.jobs);
    out["models"] = rowsJson(record.models);
    out["checkpoints"] = rowsJson(record.checkpoints);
    out["promoted"] = rowsJson(record.promoted);
    out["deployments"] = rowsJson(record.deployments);
    out["hot_loads"] = rowsJson(record.hotLoads);
    out["sampled_sequences"] = record.sampledSequences;
    out["completions"] = record.completions;
    out["requests"] = record.requests;
    out["refusals"] = rowsJson(record.refusals);
    return toText(out);
}

Result<RehearsalRecord> decodeRehearsal(std::string_view text)
{
    const auto object = parseObject(text, "rehearsal", kRehearsalLimits);
    if (!object)
        return object.error();
    RehearsalRecord record;
    record.id = readText(*object, { "id" });
    if (record.id.empty())
        return malformed("the rehearsal has no id");
    record.began = readTime(*object, { "began" });
    if (const Json* list = findField(*object, { "stand_ins" }); list && list->is_array())
        for (const Json& entry : *list)
            record.standIns.push_back(standInFrom(entry));
    readRows(*object, "jobs", record.jobs);
    readRows(*object, "models", record.models);
    readRows(*object, "checkpoints", record.checkpoints);
    readRows(*object, "promoted", record.promoted);
    readRows(*object, "deployments", record.deployments);
    readRows(*object, "hot_loads", record.hotLoads);
    record.sampledSequences = readInt(*object, { "sampled_sequences" }).value_or(0);
    record.completions = readInt(*object, { "completions" }).value_or(0);
    record.requests = readInt(*object, { "requests" }).value_or(0);
    readRows(*object, "refusals", record.refusals);
    return record;
}

} // namespace desk
