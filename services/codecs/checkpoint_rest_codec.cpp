// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/checkpoint_rest_codec.h"

#include "services/codecs/json_read.h"

namespace desk {
namespace {

    constexpr std::size_t kMaxModelFiles = 10'000;

    bool isPlainName(std::string_view name)
    {
        return !name.empty() && name.size() <= 255 && name.front() != '.'
            && name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
    }

    std::optional<TrainerCheckpoint> checkpointFromPath(std::string_view path)
    {
        constexpr std::string_view kScheme = "tinker://";
        if (!path.starts_with(kScheme))
            return std::nullopt;
        path.remove_prefix(kScheme.size());
        const auto first = path.find('/');
        const auto second = first == std::string_view::npos ? first : path.find('/', first + 1);
        if (second == std::string_view::npos || path.find('/', second + 1) != path.npos)
            return std::nullopt;
        TrainerCheckpoint row;
        row.run = path.substr(0, first);
        row.kind = path.substr(first + 1, second - first - 1);
        row.name = path.substr(second + 1);
        const bool isFine = isPlainName(row.run) && isPlainName(row.name)
            && row.kind.find("weights") != row.kind.npos;
        return isFine ? std::optional(std::move(row)) : std::nullopt;
    }

} // namespace

std::string TrainerCheckpoint::route() const
{
    return "training_runs/" + run + "/checkpoints/" + kind + '/' + name;
}

Result<TrainerCheckpoints> decodeTrainerCheckpoints(std::string_view body)
{
    const auto object = parseObject(body, "list of trainer checkpoints");
    if (!object)
        return object.error();
    TrainerCheckpoints list;
    if (const auto* cursor = findField(*object, { "cursor" }); cursor != nullptr)
        list.total = readInt(*cursor, { "total_count" });
    const auto* rows = findField(*object, { "checkpoints" });
    if (rows == nullptr || !rows->is_array())
        return malformed("The list of trainer checkpoints has no array of checkpoints");
    list.rowCount = static_cast<std::int64_t>(rows->size());
    for (const auto& row : *rows) {
        auto item = checkpointFromPath(readText(row, { "tinker_path" }));
        if (!item)
            continue;
        item->created = readTime(row, { "time" });
        item->expires = readTime(row, { "expires_at" });
        list.items.push_back(*std::move(item));
    }
    return list;
}

std::string encodeTtl(std::optional<std::int64_t> ttlSeconds)
{
    Json body;
    body["ttl_seconds"] = nullptr;
    if (ttlSeconds)
        body["ttl_seconds"] = *ttlSeconds;
    return toText(body);
}

Result<std::map<std::string, std::string>> decodeDownloadEndpoint(std::string_view body)
{
    const auto object = parseObject(body, "download endpoint");
    if (!object)
        return object.error();
    auto files = readTextMap(*object, { "filenameToSignedUrls", "filename_to_signed_urls" });
    if (files.empty() || files.size() > kMaxModelFiles)
        return malformed("The download endpoint names no files, or too many");
    for (const auto& [name, url] : files) {
        if (!isPlainName(name))
            return malformed("The download endpoint names a file that is no plain name");
    }
    return files;
}

} // namespace desk
