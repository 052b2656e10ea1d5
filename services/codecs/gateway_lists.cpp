// SPDX-License-Identifier: GPL-3.0-or-later
// Pages of the control plane's lists: filter, order, mask, token.
#include "services/codecs/gateway_codec.h"
#include "services/codecs/gateway_rows.h"
#include "services/codecs/json_read.h"
#include "services/codecs/list_filter.h"

#include <algorithm>
#include <charconv>
#include <functional>

namespace desk {
namespace {

    constexpr std::size_t kMaxPage = 200;

    std::string listValue(
        const std::map<std::string, std::string>& query, const char* camel, const char* snake)
    {
        auto found = query.find(camel);
        if (found == query.end())
            found = query.find(snake);
        return found == query.end() ? std::string() : found->second;
    }

    std::optional<std::size_t> listNumber(std::string_view text)
    {
        std::size_t value = 0;
        const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
        if (read.ec != std::errc {} || read.ptr != text.data() + text.size())
            return std::nullopt;
        return value;
    }

    /// What must stay the same from page to page.
    std::string tokenTail(const ListQuery& query)
    {
        std::uint32_t hash = 2166136261U; // FNV-1a
        const auto add = [&hash](std::string_view text) {
            for (const char c : text)
                hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
            hash = (hash ^ 0xFFU) * 16777619U;
        };
        add(query.filter);
        add(query.orderBy);
        add(query.showDeleted ? "1" : "0");
        return "-" + std::to_string(hash);
    }

    Result<std::size_t> firstOf(const ListQuery& query)
    {
        if (query.pageToken.empty())
            return std::size_t { 0 };
        const std::string_view token = query.pageToken;
        const auto dash = token.find('-');
        const auto first = listNumber(token.substr(0, dash));
        if (!first || dash == std::string_view::npos || token.substr(dash) != tokenTail(query))
            return Error { Error::Code::Usage,
                "pageToken '" + query.pageToken.substr(0, 100) + "' is not of this list",
                "nothing was listed", "send what the last page gave, with the same filter", {} };
        return *first;
    }

    template <class T>
    Result<std::string> encodeList(
        const char* key, std::span<const T> items, const ListQuery& query)
    {
        std::vector<Json> rows;
        rows.reserve(items.size());
        for (const auto& item : items)
            rows.push_back(rowOf(item));
        return encodeRows(key, std::move(rows), query);
    }

} // namespace

Result<std::string> encodeRows(const char* key, std::vector<Json> rows, const ListQuery& query)
{
    const auto first = firstOf(query);
    if (!first)
        return first.error();
    const auto filter = parseFilter(query.filter);
    if (!filter)
        return filter.error();
    rows.erase(std::remove_if(rows.begin(), rows.end(),
                   [&filter](const Json& row) { return !matchesFilter(*filter, row); }),
        rows.end());
    if (auto status = sortRows(rows, query.orderBy); !status)
        return status.error();
    const auto begin = std::min(*first, rows.size());
    const auto end = std::min(begin + query.pageSize, rows.size());
    Json page = Json::array();
    for (auto i = begin; i < end; ++i)
        page.push_back(maskedRow(rows[i], query.readMask));
    return pageText(key, std::move(page),
        end < rows.size() ? std::to_string(end) + tokenTail(query) : std::string(),
        static_cast<std::int64_t>(rows.size()));
}

Result<ListQuery> decodeListQuery(const std::map<std::string, std::string>& query)
{
    ListQuery result;
    if (const auto size = listValue(query, "pageSize", "page_size"); !size.empty()) {
        const auto number = listNumber(size);
        if (!number)
            return Error { Error::Code::Usage,
                "pageSize '" + size.substr(0, 100) + "' is not a number", "nothing was listed",
                "send 1 to 200, or leave it out", {} };
        if (*number > 0) // as in the public interface, 0 means the default
            result.pageSize = std::min(*number, kMaxPage);
    }
    result.pageToken = listValue(query, "pageToken", "page_token");
    result.filter = listValue(query, "filter", "filter");
    result.orderBy = listValue(query, "orderBy", "order_by");
    result.readMask = listValue(query, "readMask", "read_mask");
    result.showDeleted = listValue(query, "showDeleted", "show_deleted") == "true";
    return result;
}

Result<std::string> encodeJobList(std::span<const TrainerJob> jobs, const ListQuery& query)
{
    return encodeList("rlorTrainerJobs", jobs, query);
}

Result<std::string> encodeCheckpointList(
    std::span<const Checkpoint> checkpoints, const ListQuery& query)
{
    return encodeList("checkpoints", checkpoints, query);
}

Result<std::string> encodeModelList(std::span<const Model> models, const ListQuery& query)
{
    return encodeList("models", models, query);
}

Result<std::string> encodeDeploymentList(
    std::span<const Deployment> deployments, const ListQuery& query)
{
    return encodeList("deployments", deployments, query);
}

std::string encodeEmptyList(const std::string& key)
{
    return pageText(key.c_str(), Json::array(), {}, 0);
}

std::string maskedBody(const std::string& body, const std::string& readMask)
{
    if (readMask.empty())
        return body;
    const auto object = parseObject(body, "resource");
    return object ? toText(maskedRow(*object, readMask)) : body;
}

} // namespace desk
