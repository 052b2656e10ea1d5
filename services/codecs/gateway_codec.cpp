// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/gateway_codec.h"

#include "services/codecs/gateway_rows.h"
#include "services/codecs/json_read.h"
#include "services/core/resource_name.h"

#include <algorithm>

namespace desk {
namespace {

    Json accountStatus()
    {
        Json status;
        status["code"] = "OK";
        status["message"] = "";
        return status;
    }

    bool isFull(std::string_view name)
    {
        return name.substr(0, 9) == "accounts/";
    }

} // namespace

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

std::string rowQueryValue(const std::map<std::string, std::string>& query, const char* key)
{
    const auto found = query.find(key);
    return found == query.end() ? std::string() : found->second;
}

std::string unknownMembers(const Json& object, JsonKeys known)
{
    constexpr std::size_t kMaxUnknown = std::size_t { 64 } << 10;
    Json rest = Json::object();
    for (const auto& [key, value] : object.items())
        if (std::find(known.begin(), known.end(), key) == known.end())
            rest[key] = value;
    auto text = rest.empty() ? std::string() : toText(rest);
    return text.size() <= kMaxUnknown ? text : std::string();
}

Json furtherFields(const std::string& json, JsonKeys known)
{
    auto object = json.empty() ? Result<Json>(Json::object()) : parseObject(json, "row");
    if (!object)
        return Json::object();
    for (const auto* key : known)
        object->erase(key);
    return *object;
}

void addFurther(Json& row, const Json& further)
{
    for (const auto& [key, value] : further.items()) {
        auto found = row.find(key);
        if (found == row.end()) {
            row[key] = value;
            continue;
        }
        if (!found->is_object() || !value.is_object())
            continue;
        for (const auto& [inner, innerValue] : value.items())
            if (!found->contains(inner))
                (*found)[inner] = innerValue;
    }
}

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

namespace {

    Json accountRow(const Account& account)
    {
        Json row;
        row["name"] = account.name;
        row["displayName"] = account.displayName;
        row["email"] = account.email;
        row["accountType"] = "ENTERPRISE";
        row["state"] = account.state;
        row["status"] = accountStatus();
        row["suspendState"] = account.suspendState;
        return row;
    }

} // namespace

std::string encodeAccount(const Account& account)
{
    return toText(accountRow(account));
}

std::string encodeAccounts(std::span<const Account> accounts)
{
    Json rows = Json::array();
    for (const auto& account : accounts)
        rows.push_back(accountRow(account));
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
