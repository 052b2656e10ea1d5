// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/rest_codec.h"

#include "services/codecs/json_read.h"

#include <algorithm>

namespace desk {
namespace {

    constexpr std::size_t kMaxQueryTexts = 64;

    Json textMap(const std::map<std::string, std::string>& map)
    {
        Json object = Json::object();
        for (const auto& [key, value] : map)
            object[key] = value;
        return object;
    }

    void putOptionalTime(Json& row, const char* key, const std::optional<Time>& time)
    {
        if (time)
            row[key] = toRfc3339(*time);
        else
            row[key] = nullptr;
    }

    Json rowOf(const RestCheckpoint& checkpoint)
    {
        Json row;
        row["checkpoint_id"] = checkpoint.id;
        row["checkpoint_type"] = checkpoint.type;
        row["time"] = toRfc3339(checkpoint.time);
        row["tinker_path"] = checkpoint.path;
        if (checkpoint.sizeBytes)
            row["size_bytes"] = *checkpoint.sizeBytes;
        else
            row["size_bytes"] = nullptr;
        row["public"] = checkpoint.isPublic;
        row["user_metadata"] = textMap(checkpoint.userMetadata);
        putOptionalTime(row, "expires_at", checkpoint.expires);
        return row;
    }

    Json rowOf(const RestRun& run)
    {
        Json row;
        row["training_run_id"] = run.id;
        row["base_model"] = run.baseModel;
        row["model_owner"] = run.owner;
        row["is_lora"] = run.loraRank > 0;
        row["corrupted"] = run.isCorrupted;
        if (run.loraRank > 0)
            row["lora_rank"] = run.loraRank;
        else
            row["lora_rank"] = nullptr;
        row["last_request_time"] = toRfc3339(run.lastRequest);
        row["last_checkpoint"] = run.lastCheckpoint ? rowOf(*run.lastCheckpoint) : Json();
        row["last_sampler_checkpoint"] =
            run.lastSamplerCheckpoint ? rowOf(*run.lastSamplerCheckpoint) : Json();
        row["user_metadata"] = textMap(run.userMetadata);
        return row;
    }

    Json rowOf(const RestCursor& cursor)
    {
        Json row;
        row["offset"] = cursor.offset;
        row["limit"] = cursor.limit;
        row["total_count"] = cursor.total;
        return row;
    }

    Json statusOf(const RestSession& session)
    {
        Json status;
        if (session.end.empty()) {
            if (session.isActive)
                status["type"] = "active";
            return status; // null: it did not end, and nobody knows of it
        }
        if (session.end == "failed") {
            status["type"] = "failed";
            status["category"] = "internal";
            status["reason"]["type"] = "training_run";
            status["reason"]["training_run_id"] = session.id + ":train:0";
            status["message"] = session.endDetail;
            return status;
        }
        status["type"] = session.end == "cancelled" ? "cancelled" : "client_finished";
        if (session.end != "cancelled")
            status["reason"]["type"] = session.end;
        if (session.endDetail.empty())
            status["detail"] = nullptr;
        else
            status["detail"] = session.endDetail;
        return status;
    }

    Json rowOf(const RestSession& session)
    {
        Json row;
        row["session_id"] = session.id;
        row["created_at"] = toRfc3339(session.created);
        row["owner"] = session.owner;
        row["project_id"] = session.project;
        row["checkpoints_count"] = session.checkpointCount;
        row["checkpoint_storage_bytes"] = session.checkpointBytes;
        row["status"] = statusOf(session);
        putText(row, "display_name", session.displayName);
        row["user_metadata"] = textMap(session.userMetadata);
        return row;
    }

    Error badRest(std::string message, std::string next)
    {
        return Error { Error::Code::Usage, std::move(message), "nothing was done", std::move(next),
            {} };
    }

    /// The types of a list of `{"type": …}` or of texts.
    std::vector<std::string> typesOf(const Json* list)
    {
        std::vector<std::string> types;
        if (list == nullptr || !list->is_array())
            return types;
        for (const auto& entry : *list) {
            const auto type =
                entry.is_string() ? entry.get<std::string>() : readText(entry, { "type" });
            const auto reasons =
                entry.is_object() ? readTexts(entry, { "reasons" }) : std::vector<std::string> {};
            if (type.empty() || types.size() + reasons.size() >= kMaxQueryTexts)
                continue;
            if (reasons.empty())
                types.push_back(type);
            for (const auto& reason : reasons)
                types.push_back(type + "/" + reason);
        }
        return types;
    }

    bool isPathName(std::string_view name)
    {
        return !name.empty() && name.size() <= 255 && name != "." && name != ".."
            && name.find('/') == std::string_view::npos
            && std::none_of(name.begin(), name.end(),
                [](char c) { return static_cast<unsigned char>(c) < 0x20U || c == 0x7F; });
    }

} // namespace

std::string encodeMetadata(const std::map<std::string, std::string>& map)
{
    return map.empty() ? std::string() : toText(textMap(map));
}

std::map<std::string, std::string> decodeMetadata(std::string_view body)
{
    std::map<std::string, std::string> map;
    const auto object = body.empty() ? Result<Json>(Json::object()) : parseObject(body, "map");
    if (object)
        for (const auto& [key, value] : object->items())
            if (value.is_string())
                map[key] = value.get<std::string>();
    return map;
}

std::string encodeRestRuns(const std::vector<RestRun>& runs, const RestCursor& cursor)
{
    Json body;
    body["training_runs"] = Json::array();
    for (const auto& run : runs)
        body["training_runs"].push_back(rowOf(run));
    body["cursor"] = rowOf(cursor);
    return toText(body);
}

std::string encodeRestRun(const RestRun& run)
{
    return toText(rowOf(run));
}

std::string encodeRestCheckpoints(
    const std::vector<RestCheckpoint>& checkpoints, const std::optional<RestCursor>& cursor)
{
    Json body;
    body["checkpoints"] = Json::array();
    for (const auto& checkpoint : checkpoints)
        body["checkpoints"].push_back(rowOf(checkpoint));
    if (cursor)
        body["cursor"] = rowOf(*cursor);
    return toText(body);
}

std::string encodeRestWeights(const RestWeights& weights)
{
    Json body;
    body["base_model"] = weights.baseModel;
    body["is_lora"] = weights.loraRank > 0;
    if (weights.loraRank > 0)
        body["lora_rank"] = weights.loraRank;
    else
        body["lora_rank"] = nullptr;
    body["train_unembed"] = weights.trainsUnembed;
    body["train_mlp"] = weights.trainsMlp;
    body["train_attn"] = weights.trainsAttention;
    return toText(body);
}

std::string encodeRestSessions(const std::vector<std::string>& ids)
{
    Json body;
    body["sessions"] = ids;
    return toText(body);
}

std::string encodeRestSession(const RestSession& session, const std::vector<std::string>& runs,
    const std::vector<std::string>& samplers)
{
    Json body;
    body["training_run_ids"] = runs;
    body["sampler_ids"] = samplers;
    body["user_metadata"] = textMap(session.userMetadata);
    if (session.displayName.empty())
        body["display_name"] = nullptr;
    else
        body["display_name"] = session.displayName;
    return toText(body);
}

std::string encodeSessionSearch(
    const std::vector<RestSession>& page, const std::optional<RestSession>& next)
{
    Json body;
    body["sessions"] = Json::array();
    for (const auto& session : page)
        body["sessions"].push_back(rowOf(session));
    body["next_cursor"] = nullptr;
    if (next) {
        Json cursor;
        cursor["last_created_at"] = toRfc3339(next->created);
        cursor["last_session_id"] = next->id;
        body["next_cursor"] = std::move(cursor);
    }
    return toText(body);
}

std::string encodeExternalUrls(
    const std::vector<std::pair<std::string, std::string>>& urls, Time expires)
{
    Json body;
    body["urls"] = Json::object();
    for (const auto& [name, url] : urls)
        body["urls"][name] = url;
    body["expires"] = toRfc3339(expires);
    return toText(body);
}

std::string encodeArchiveUrl(const std::string& url, Time expires)
{
    Json body;
    body["url"] = url;
    body["expires"] = toRfc3339(expires);
    return toText(body);
}

std::string encodeCopied(const std::string& path)
{
    Json body;
    body["tinker_path"] = path;
    return toText(body);
}

std::string encodeDetail(const std::string& message)
{
    Json body;
    body["detail"] = message;
    return toText(body);
}

std::string encodeKeyDetails(const std::string& account, const std::string& email)
{
    Json body;
    body["key_id"] = 1;
    body["name"] = account;
    body["note"] = "";
    body["details"]["org_details"]["name"] = account;
    body["details"]["user_details"]["email"] = email;
    return toText(body);
}

std::string encodeTrace(const std::string& status, const std::string& url)
{
    Json body;
    body["status"] = status;
    body["url"] = nullptr;
    if (!url.empty())
        body["url"] = url;
    body["error"] = nullptr;
    return toText(body);
}

std::string encodeTraceEvents(const std::string& title, const std::vector<TraceEvent>& events)
{
    Json body;
    body["displayTimeUnit"] = "ms";
    body["otherData"]["title"] = title;
    body["traceEvents"] = Json::array();
    for (const auto& event : events) {
        Json row;
        row["name"] = event.name;
        row["cat"] = "desk";
        row["ph"] = "X";
        row["ts"] = event.begin.time_since_epoch().count();
        row["dur"] = std::max<std::int64_t>((event.end - event.begin).count(), 0);
        row["pid"] = title;
        row["tid"] = event.lane;
        if (!event.detail.empty())
            row["args"]["detail"] = event.detail;
        body["traceEvents"].push_back(std::move(row));
    }
    return toText(body);
}

std::string encodeStorageUse(std::int64_t checkpoints, std::uint64_t bytes)
{
    Json row;
    row["project_id"] = nullptr;
    row["checkpoint_count"] = checkpoints;
    row["size_bytes"] = bytes;
    row["size_gigabytes"] = static_cast<double>(bytes) / 1e9;
    row["estimated_monthly_cost_usd"] = nullptr;
    Json body;
    body["effective_rate_usd_per_gigabyte_month"] = nullptr;
    body["data"] = Json::array({ std::move(row) });
    return toText(body);
}

Result<std::optional<std::int64_t>> decodeTtl(std::string_view body)
{
    const auto object = parseObject(body, "time to live");
    if (!object)
        return object.error();
    const auto found = object->find("ttl_seconds");
    if (found == object->end())
        return badRest("the body has no ttl_seconds", "send a number of seconds, or null");
    if (found->is_null())
        return std::optional<std::int64_t>();
    const auto seconds = readInt(*object, { "ttl_seconds" });
    if (!seconds)
        return badRest("ttl_seconds is not a number of seconds", "send an integer, or null");
    return seconds;
}

Result<std::string> decodeWeightsInfo(std::string_view body)
{
    const auto object = parseObject(body, "question about weights");
    if (!object)
        return object.error();
    return requireName(*object, { "tinker_path" }, "question about weights");
}

Result<std::string> decodeProject(std::string_view body)
{
    const auto object = parseObject(body, "project");
    if (!object)
        return object.error();
    return requireName(*object, { "project_id" }, "project");
}

Result<CopyWeights> decodeCopyWeights(std::string_view body)
{
    const auto object = parseObject(body, "copy of weights");
    if (!object)
        return object.error();
    auto source = requireName(*object, { "source_path" }, "copy of weights");
    if (!source)
        return source.error();
    return CopyWeights { *std::move(source), readText(*object, { "destination_project_id" }),
        readText(*object, { "session_id" }), readInt(*object, { "model_seq_id" }),
        readInt(*object, { "ttl_seconds" }) };
}

Result<SessionSearch> decodeSessionSearch(std::string_view body)
{
    const auto object =
        body.empty() ? Result<Json>(Json::object()) : parseObject(body, "search for sessions");
    if (!object)
        return object.error();
    SessionSearch search;
    search.userMetadata = readTextMap(*object, { "user_metadata" });
    search.sessionId = readText(*object, { "session_id" });
    search.displayName = readText(*object, { "display_name" });
    search.statuses = typesOf(findField(*object, { "statuses" }));
    search.projects = readTexts(*object, { "project_ids" });
    search.limit =
        std::clamp<std::int64_t>(readInt(*object, { "limit" }).value_or(search.limit), 1, 200);
    if (const auto* cursor = findField(*object, { "cursor" }); cursor != nullptr) {
        search.beforeCreated = readTime(*cursor, { "last_created_at" });
        search.beforeId = readText(*cursor, { "last_session_id" });
    }
    return search;
}

std::string TinkerPath::toString() const
{
    return "tinker://" + run + "/" + kind + "/" + name;
}

Result<TinkerPath> parseTinkerPath(std::string_view path)
{
    constexpr std::string_view kScheme = "tinker://";
    const auto refused = badRest("'" + std::string(path.substr(0, 300))
            + "' is not tinker://<run>/<weights|sampler_weights|external_weights>/<name>",
        "send a path that a save or a list gave");
    if (path.substr(0, kScheme.size()) != kScheme)
        return refused;
    path.remove_prefix(kScheme.size());
    const auto first = path.find('/');
    const auto second = first == std::string_view::npos ? first : path.find('/', first + 1);
    if (second == std::string_view::npos)
        return refused;
    TinkerPath result { std::string(path.substr(0, first)),
        std::string(path.substr(first + 1, second - first - 1)),
        std::string(path.substr(second + 1)) };
    const bool isKind = result.kind == "weights" || result.kind == "sampler_weights"
        || result.kind == "external_weights";
    if (!isKind || !isPathName(result.run) || !isPathName(result.name))
        return refused;
    return result;
}

std::string encodeHubModel(
    const std::string& name, const std::string& sha, const std::vector<HubFile>& files)
{
    Json body;
    body["_id"] = sha.substr(0, 24);
    body["id"] = name;
    body["modelId"] = name;
    body["sha"] = sha;
    body["private"] = false;
    body["gated"] = false;
    body["disabled"] = false;
    body["tags"] = Json::array();
    body["siblings"] = Json::array();
    for (const auto& file : files) {
        Json row;
        row["rfilename"] = file.path;
        body["siblings"].push_back(std::move(row));
    }
    return toText(body);
}

std::string encodeHubTree(const std::string& sha, const std::vector<HubFile>& files)
{
    Json body = Json::array();
    for (const auto& file : files) {
        Json row;
        row["type"] = "file";
        row["oid"] = sha;
        row["size"] = file.size;
        row["path"] = file.path;
        body.push_back(std::move(row));
    }
    return toText(body);
}

} // namespace desk
