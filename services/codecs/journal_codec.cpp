// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/journal_codec.h"

#include "services/codecs/json_text.h"

#include <nlohmann/json.hpp>

namespace desk {
namespace {

    using JournalJson = nlohmann::ordered_json;

    constexpr JsonLimits kJournalLimits { std::size_t { 4 } << 20, 16, 200'000 };

    Error journalMalformed(const char* what)
    {
        return { Error::Code::Malformed,
            std::string("The journal holds a record that cannot be read: ") + what, {}, {}, {} };
    }

    Result<JournalJson> parseJournalText(std::string_view text, const char* what)
    {
        if (const auto bounds = checkJsonBounds(text, kJournalLimits); !bounds)
            return bounds.error();
        auto json = JournalJson::parse(text, nullptr, false);
        if (json.is_discarded())
            return journalMalformed(what);
        return json;
    }

    std::string journalText(const JournalJson& json)
    {
        // Server text may be no UTF-8; a record must be written nevertheless.
        return json.dump(-1, ' ', false, JournalJson::error_handler_t::replace);
    }

    std::string textAt(const JournalJson& json, const char* key)
    {
        const auto it = json.find(key);
        return it != json.end() && it->is_string() ? it->get<std::string>() : std::string {};
    }

    JournalJson textOrNull(const std::string& text)
    {
        return text.empty() ? JournalJson(nullptr) : JournalJson(text);
    }

    JournalJson replicaJson(const Replica& replica)
    {
        JournalJson json;
        json["id"] = replica.identity;
        json["identity"] = textOrNull(replica.currentSnapshot);
        json["stage"] = replica.stage;
        json["ready"] = replica.isReady;
        json["error"] = textOrNull(replica.error);
        json["seconds"] = replica.seconds ? JournalJson(*replica.seconds) : JournalJson(nullptr);
        json["target"] = textOrNull(replica.targetSnapshot);
        return json;
    }

    JournalJson replicaArray(const std::vector<Replica>& replicas)
    {
        auto array = JournalJson::array();
        for (const auto& replica : replicas)
            array.push_back(replicaJson(replica));
        return array;
    }

    std::map<std::string, std::string> textMapFrom(const JournalJson& json)
    {
        std::map<std::string, std::string> map;
        for (const auto& [key, value] : json.items()) {
            if (value.is_string())
                map.emplace(key, value.get<std::string>());
        }
        return map;
    }

} // namespace

std::string encodeTextMap(const std::map<std::string, std::string>& map)
{
    auto json = JournalJson::object();
    for (const auto& [key, value] : map)
        json[key] = value;
    return journalText(json);
}

Result<std::map<std::string, std::string>> decodeTextMap(std::string_view text)
{
    const auto json = parseJournalText(text, "parameters");
    if (!json)
        return json.error();
    if (!json->is_object())
        return journalMalformed("parameters");
    return textMapFrom(*json);
}

std::string encodeRequestPreview(const RequestPreview& request)
{
    JournalJson json;
    json["method"] = request.method;
    json["url"] = request.url;
    auto headers = JournalJson::object();
    for (const auto& [key, value] : request.headers)
        headers[key] = value;
    json["headers"] = std::move(headers);
    json["body"] = request.body;
    return journalText(json);
}

Result<RequestPreview> decodeRequestPreview(std::string_view text)
{
    const auto json = parseJournalText(text, "request");
    if (!json)
        return json.error();
    if (!json->is_object())
        return journalMalformed("request");
    RequestPreview request;
    request.method = textAt(*json, "method");
    request.url = textAt(*json, "url");
    request.body = textAt(*json, "body");
    if (const auto it = json->find("headers"); it != json->end() && it->is_object())
        request.headers = textMapFrom(*it);
    return request;
}

std::string encodeReplicas(const std::vector<Replica>& replicas)
{
    return journalText(replicaArray(replicas));
}

Result<std::vector<Replica>> decodeReplicas(std::string_view text)
{
    const auto json = parseJournalText(text, "replicas");
    if (!json)
        return json.error();
    if (!json->is_array())
        return journalMalformed("replicas");
    std::vector<Replica> replicas;
    replicas.reserve(json->size());
    for (const auto& row : *json) {
        if (!row.is_object())
            return journalMalformed("replicas");
        Replica replica;
        replica.identity = textAt(row, "id");
        replica.currentSnapshot = textAt(row, "identity");
        replica.stage = textAt(row, "stage");
        replica.isReady = row.value("ready", JournalJson(false)) == JournalJson(true);
        replica.error = textAt(row, "error");
        replica.targetSnapshot = textAt(row, "target");
        if (const auto it = row.find("seconds"); it != row.end() && it->is_number())
            replica.seconds = it->get<double>();
        replicas.push_back(std::move(replica));
    }
    return replicas;
}

std::string encodeHotloadOutcome(
    std::string_view identity, const std::vector<Replica>& replicas, std::optional<double> seconds)
{
    JournalJson json;
    json["identity"] = identity;
    json["replica"] = replicaArray(replicas);
    json["seconds"] = seconds ? JournalJson(*seconds) : JournalJson(nullptr);
    return journalText(json);
}

} // namespace desk
