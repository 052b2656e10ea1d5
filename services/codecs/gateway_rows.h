// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/gateway_codec.h"
#include "services/codecs/json_read.h"

#include <optional>
#include <string>
#include <string_view>

// Rows and pages of the control plane between JSON and value, shared by the sources of
// gateway_codec.h. THREAD: any.

namespace desk {

/// The row as the JSON inspector shows it: indented, secrets redacted.
[[nodiscard]] std::string rowText(Json row);
/// What a record's `json` holds beside the fields of the record, which `known` names.
[[nodiscard]] Json furtherFields(const std::string& json, JsonKeys known);
/// Adds to a row what it has not yet; objects are merged one level deep.
void addFurther(Json& row, const Json& further);
/// The array of a list body; empty if the key is absent.
[[nodiscard]] Result<Json> pageRows(
    std::string_view body, JsonKeys keys, std::string_view what, std::string& nextPageToken);
[[nodiscard]] std::string pageText(const char* key, Json rows, const std::string& nextPageToken,
    std::optional<std::int64_t> totalSize);

[[nodiscard]] std::string rowQueryValue(
    const std::map<std::string, std::string>& query, const char* key);
/// Entries with a space are split, as the SDK does before it sends them (gateway.md 2.2).
[[nodiscard]] Json splitArguments(const std::vector<std::string>& arguments);
/// Members of a body that are not among the known ones, as a JSON text; empty if there are none or
/// they are long.
[[nodiscard]] std::string unknownMembers(const Json& object, JsonKeys known);

/// The page that a query asks for.
[[nodiscard]] Result<std::string> encodeRows(
    const char* key, std::vector<Json> rows, const ListQuery& query);

[[nodiscard]] Result<TrainerJob> jobFromRow(const Json& row);
[[nodiscard]] Result<Checkpoint> checkpointFromRow(const Json& row);
[[nodiscard]] Result<Model> modelFromRow(const Json& row);
[[nodiscard]] Result<Deployment> deploymentFromRow(const Json& row);
[[nodiscard]] Json rowOf(const TrainerJob& job);
[[nodiscard]] Json rowOf(const Checkpoint& checkpoint);
[[nodiscard]] Json rowOf(const Model& model);
[[nodiscard]] Json rowOf(const Deployment& deployment);

template <class T>
Result<T> decodeRow(std::string_view body, std::string_view what, Result<T> (*fromRow)(const Json&))
{
    const auto object = parseObject(body, what);
    if (!object)
        return object.error();
    return fromRow(*object);
}

template <class T>
Result<Page<T>> decodePage(
    std::string_view body, JsonKeys keys, std::string_view what, Result<T> (*fromRow)(const Json&))
{
    Page<T> page;
    const auto rows = pageRows(body, keys, what, page.nextPageToken);
    if (!rows)
        return rows.error();
    page.items.reserve(rows->size());
    for (const auto& row : *rows) {
        auto item = fromRow(row);
        if (!item) {
            auto error = item.error();
            error.message +=
                " (row " + std::to_string(page.items.size()) + " of the " + std::string(what) + ")";
            return error;
        }
        page.items.push_back(*std::move(item));
    }
    return page;
}

template <class T>
std::string encodePage(const char* key, const Page<T>& page)
{
    Json rows = Json::array();
    for (const auto& item : page.items)
        rows.push_back(rowOf(item));
    return pageText(key, std::move(rows), page.nextPageToken, page.totalSize);
}

} // namespace desk
