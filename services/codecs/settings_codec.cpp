// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/settings_codec.h"

#include "services/codecs/json_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace desk {
namespace {

    using SettingsJson = nlohmann::ordered_json;

    constexpr JsonLimits kSettingsLimits { std::size_t { 1 } << 20, 8, 20'000 };
    constexpr std::size_t kMaxConnections = 256;
    constexpr std::size_t kMaxRunFolders = 1000;
    constexpr std::size_t kMaxTexts = 1000;

    Error settingsMalformed(std::string what)
    {
        return { Error::Code::Malformed, "The settings cannot be read: " + std::move(what), {}, {},
            {} };
    }

    std::string settingsText(const SettingsJson& json, const char* key)
    {
        const auto it = json.find(key);
        return it != json.end() && it->is_string() ? it->get<std::string>() : std::string {};
    }

    SettingsJson connectionJson(const Connection& connection)
    {
        SettingsJson json;
        json["name"] = connection.name;
        json["url"] = connection.url;
        json["account"] = connection.account;
        json["safety_level"] = static_cast<int>(connection.safetyLevel);
        json["local"] = connection.isLocal;
        json["color"] = connection.color;
        json["ca_file"] = connection.caFile;
        return json;
    }

    Result<Connection> connectionFrom(const SettingsJson& json)
    {
        if (!json.is_object())
            return settingsMalformed("a connection is no object");
        Connection connection;
        connection.name = settingsText(json, "name");
        connection.url = settingsText(json, "url");
        connection.account = settingsText(json, "account");
        connection.color = settingsText(json, "color");
        connection.caFile = settingsText(json, "ca_file");
        if (connection.name.empty() || connection.url.empty())
            return settingsMalformed("a connection has no name or no URL");
        if (const auto it = json.find("safety_level"); it != json.end()) {
            // A level that this program does not know is never lowered by reading it.
            const auto level =
                it->is_number_integer() ? it->get<std::int64_t>() : std::int64_t { 2 };
            connection.safetyLevel = level == 0 ? SafetyLevel::Free
                : level == 1                    ? SafetyLevel::Confirm
                                                : SafetyLevel::TypeName;
        }
        const auto local = json.find("local");
        connection.isLocal = local != json.end() && local->is_boolean() && local->get<bool>();
        return connection;
    }

} // namespace

std::string encodeSettings(const SettingsValues& values)
{
    SettingsJson json;
    json["version"] = 1;
    json["connections"] = SettingsJson::array();
    for (const auto& connection : values.connections)
        json["connections"].push_back(connectionJson(connection));
    json["last_connection"] = values.lastConnection;
    json["theme"] = values.theme;
    json["run_folders"] = values.runFolders;
    json["texts"] = SettingsJson::object();
    for (const auto& [key, value] : values.texts)
        json["texts"][key] = value;
    return json.dump(2, ' ', false, SettingsJson::error_handler_t::replace) + '\n';
}

Result<SettingsValues> decodeSettings(std::string_view text)
{
    if (const auto bounds = checkJsonBounds(text, kSettingsLimits); !bounds)
        return bounds.error();
    const auto json = SettingsJson::parse(text, nullptr, false);
    if (!json.is_object())
        return settingsMalformed("it is no JSON object");
    SettingsValues values;
    if (const auto it = json.find("connections"); it != json.end()) {
        if (!it->is_array() || it->size() > kMaxConnections)
            return settingsMalformed("\"connections\" is no list of at most 256");
        for (const auto& row : *it) {
            auto connection = connectionFrom(row);
            if (!connection)
                return connection.error();
            const auto same = [&](const Connection& c) { return c.name == connection->name; };
            if (std::none_of(values.connections.begin(), values.connections.end(), same))
                values.connections.push_back(*std::move(connection));
        }
    }
    values.lastConnection = settingsText(json, "last_connection");
    const auto theme = settingsText(json, "theme");
    if (theme == "light" || theme == "dark")
        values.theme = theme;
    if (const auto it = json.find("run_folders"); it != json.end()) {
        if (!it->is_array() || it->size() > kMaxRunFolders)
            return settingsMalformed("\"run_folders\" is no list of at most 1000");
        for (const auto& folder : *it) {
            if (folder.is_string())
                values.runFolders.push_back(folder.get<std::string>());
        }
    }
    if (const auto it = json.find("texts"); it != json.end() && it->is_object()) {
        if (it->size() > kMaxTexts)
            return settingsMalformed("\"texts\" has more than 1000 entries");
        for (const auto& [key, value] : it->items()) {
            if (value.is_string())
                values.texts.emplace(key, value.get<std::string>());
        }
    }
    return values;
}

} // namespace desk
