// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/rest/hub_routes.h"

#include "services/codecs/error_codec.h"
#include "services/local/objects/files.h"
#include "services/local/rest/signed_url.h"

#include <algorithm>
#include <array>

namespace desk::local {

namespace fs = std::filesystem;

namespace {

    constexpr std::uint64_t kMaxHubFile = std::uint64_t { 64 } << 20;
    /// What a tokenizer is made of; weights are not given away without a key.
    constexpr std::array<const char*, 9> kHubFiles { "config.json", "generation_config.json",
        "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "added_tokens.json",
        "special_tokens_map.json", "vocab.json", "chat_template.jinja" };
    constexpr const char* kOwnTokenizer = "tokenizer"; // of a stand-in that has the model's own

    HttpResponse hubError(int status, const char* code, const std::string& message)
    {
        HttpResponse response;
        response.status = status;
        response.body = encodeError(status, message);
        response.headers.push_back({ "X-Error-Code", code });
        response.headers.push_back({ "X-Error-Message", message });
        return response;
    }

    HttpResponse noRepository(const std::string& name)
    {
        return hubError(404, "RepoNotFound", "there is no model " + name.substr(0, 200) + " here");
    }

} // namespace

HubRoutes::HubRoutes(ObjectStore& store)
    : m_store(store)
{
}

void HubRoutes::addRoutes(Router& router)
{
    router.add("GET", "/hf/api/models/{rest*}",
        [this](HttpRequest request, Responder responder) { describe(request, responder); });
    for (const char* method : { "GET", "HEAD" })
        router.add(method, "/hf/{rest*}",
            [this](HttpRequest request, Responder responder) { resolve(request, responder); });
}

Result<HubRoutes::Repository> HubRoutes::repository(const std::string& name) const
{
    auto row = m_store.namedModel(name);
    if (!row)
        return row.error();
    Repository result;
    result.name = name;
    result.folder = m_store.absolute(row->folder);
    if (pathExists(result.folder / kOwnTokenizer / "tokenizer.json"))
        result.folder /= kOwnTokenizer;
    std::string facts = row->id;
    for (const char* file : kHubFiles) {
        std::error_code error;
        const auto path = result.folder / file;
        if (!fs::is_regular_file(path, error))
            continue;
        const auto bytes = readSmallFile(path, kMaxHubFile);
        if (!bytes)
            continue;
        result.files.push_back({ file, bytes->size() });
        facts += std::string("\n") + file + " " + sha256Hex(*bytes);
    }
    result.revision = sha256Hex(facts).substr(0, 40);
    return result;
}

void HubRoutes::describe(const HttpRequest& request, const Responder& responder) const
{
    auto name = request.parameter("rest");
    std::string branch;
    for (const char* part : { "/tree/", "/revision/" })
        if (const auto at = name.find(part); at != std::string::npos) {
            branch = name.substr(at);
            name = name.substr(0, at);
            break;
        }
    const auto found = repository(name);
    if (!found)
        return responder.send(noRepository(name));
    if (branch.rfind("/tree/", 0) != 0)
        return responder.send(
            jsonResponse(encodeHubModel(found->name, found->revision, found->files)));
    // "/tree/<revision>" is the whole flat folder; there are no folders in it.
    const auto rest = branch.substr(6);
    if (rest.find('/') != std::string::npos)
        return responder.send(
            hubError(404, "EntryNotFound", "there is no folder " + rest.substr(0, 200)));
    responder.send(jsonResponse(encodeHubTree(found->revision, found->files)));
}

void HubRoutes::resolve(const HttpRequest& request, const Responder& responder) const
{
    const auto rest = request.parameter("rest");
    const auto at = rest.find("/resolve/");
    if (at == std::string::npos || rest.rfind("api/", 0) == 0)
        return responder.send(hubError(404, "NotFound", "there is no /hf/" + rest.substr(0, 200)));
    const auto name = rest.substr(0, at);
    const auto tail = rest.substr(at + 9);
    const auto slash = tail.find('/');
    const auto file = slash == std::string::npos ? std::string() : tail.substr(slash + 1);
    const auto found = repository(name);
    if (!found)
        return responder.send(noRepository(name));
    const bool isThere = std::any_of(found->files.begin(), found->files.end(),
        [&file](const HubFile& entry) { return entry.path == file; });
    auto bytes = isThere ? readSmallFile(found->folder / file, kMaxHubFile)
                         : Result<std::string>(Error { Error::Code::NotFound, {}, {}, {}, {} });
    if (!bytes) {
        auto missing = hubError(404, "EntryNotFound",
            "the model " + name.substr(0, 200) + " has no file " + file.substr(0, 200));
        missing.headers.push_back({ "X-Repo-Commit", found->revision });
        return responder.send(std::move(missing));
    }
    HttpResponse response;
    response.contentType = file.size() > 5 && file.substr(file.size() - 5) == ".json"
        ? "application/json"
        : "application/octet-stream";
    response.headers.push_back({ "ETag", "\"" + sha256Hex(*bytes).substr(0, 40) + "\"" });
    response.headers.push_back({ "X-Repo-Commit", found->revision });
    response.body = *std::move(bytes);
    responder.send(std::move(response));
}

} // namespace desk::local
