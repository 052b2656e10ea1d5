// SPDX-License-Identifier: GPL-3.0-or-later
// Sessions, and what an account asks about itself.
#include "services/local/rest/tinker_rest.h"
#include "services/local/server/auth.h"

#include <algorithm>
#include <charconv>

namespace desk::local {

namespace {

    constexpr auto kTraceLife = std::chrono::hours(1);
    /// After this long without a sign of life nobody knows whether a session still runs.
    constexpr auto kActiveFor = std::chrono::minutes(10);

    std::int64_t sessionNumber(const HttpRequest& request, const char* name, std::int64_t fallback)
    {
        const auto text = request.queryValue(name);
        std::int64_t value = 0;
        const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
        return text.empty() || read.ec != std::errc {} || value < 0 ? fallback : value;
    }

    bool holdsWord(const std::string& text, std::string_view word)
    {
        const auto lower = [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        };
        return std::search(text.begin(), text.end(), word.begin(), word.end(), [&](char a, char b) {
            return lower(a) == lower(b);
        }) != text.end();
    }

    bool holdsWords(const std::string& text, std::string_view words)
    {
        while (!words.empty()) {
            const auto space = words.find(' ');
            if (!holdsWord(text, words.substr(0, space)))
                return false;
            words = space == std::string_view::npos ? std::string_view {} : words.substr(space + 1);
        }
        return true;
    }

    bool hasStatus(const RestSession& session, const std::vector<std::string>& wanted)
    {
        if (wanted.empty())
            return true;
        std::string type = session.end;
        if (session.end.empty())
            type = session.isActive ? "active" : "";
        else if (session.end != "failed" && session.end != "cancelled")
            type = "client_finished";
        return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& word) {
            return word == type || word == type + "/" + session.end;
        });
    }

    bool isWanted(const RestSession& session, const SessionSearch& search)
    {
        const bool isNamed =
            !search.displayName.empty() && holdsWords(session.displayName, search.displayName);
        if (!search.sessionId.empty() || !search.displayName.empty())
            if (!isNamed && session.id != search.sessionId)
                return false;
        if (!search.projects.empty()
            && std::find(search.projects.begin(), search.projects.end(), session.project)
                == search.projects.end())
            return false;
        for (const auto& [key, value] : search.userMetadata) {
            const auto found = session.userMetadata.find(key);
            if (found == session.userMetadata.end() || found->second != value)
                return false;
        }
        if (search.beforeCreated
            && (session.created > *search.beforeCreated
                || (session.created == *search.beforeCreated && session.id <= search.beforeId)))
            return false;
        return hasStatus(session, search.statuses);
    }

} // namespace

void TinkerRest::addSessionRoutes(Router& router)
{
    using T = TinkerRest;
    add(router, "GET", "/api/v1/sessions", &T::listSessions);
    add(router, "POST", "/api/v1/sessions/search", &T::searchSessions);
    add(router, "GET", "/api/v1/sessions/{session}", &T::getSession);
    add(router, "PUT", "/api/v1/sessions/{session}/project", &T::assignProject);
    add(router, "GET", "/api/v1/sessions/{session}/trace_export", &T::traceExport);
}

void TinkerRest::addAccountRoutes(Router& router)
{
    using T = TinkerRest;
    add(router, "GET", "/api/v1/auth/apikey/me", &T::keyDetails);
    add(router, "DELETE", "/api/v1/auth/apikey/me", &T::deleteKey);
    add(router, "GET", "/api/v1/audit", &T::audit);
    add(router, "GET", "/api/v1/billing/usage/checkpoints/current", &T::storageUse);
}

Result<RestSession> TinkerRest::shown(const SessionRow& row) const
{
    RestSession result;
    result.id = row.id;
    result.owner = owner();
    result.project = row.project.empty() ? "default" : row.project;
    result.displayName = row.displayName;
    result.created = row.created.value_or(Time {});
    result.userMetadata = row.userMetadata;
    result.isActive = row.lastSeen && m_store.now() - *row.lastSeen < kActiveFor;
    result.end = row.end;
    result.endDetail = row.endDetail;
    auto runs = m_store.runsOf(row.id);
    if (!runs)
        return runs.error();
    for (const auto& run : *runs) {
        auto saves = m_store.checkpointsOfRun(run.id);
        if (!saves)
            return saves.error();
        for (const auto& save : *saves) {
            ++result.checkpointCount;
            result.checkpointBytes += save.record.sizeBytes.value_or(0);
        }
    }
    return result;
}

TinkerRest::Answer TinkerRest::listSessions(const HttpRequest& request)
{
    auto rows = m_store.sessions();
    if (!rows)
        return rows.error();
    const auto count = static_cast<std::int64_t>(rows->size());
    const auto begin = std::min(sessionNumber(request, "offset", 0), count);
    const auto end =
        std::min(begin + std::min<std::int64_t>(sessionNumber(request, "limit", 20), 1000), count);
    std::vector<std::string> ids;
    for (auto i = begin; i < end; ++i)
        ids.push_back((*rows)[static_cast<std::size_t>(i)].id);
    return jsonResponse(encodeRestSessions(ids));
}

TinkerRest::Answer TinkerRest::getSession(const HttpRequest& request)
{
    auto row = m_store.session(request.parameter("session"));
    if (!row)
        return row.error();
    auto session = shown(*row);
    auto runs = m_store.runsOf(row->id);
    if (!session || !runs)
        return session ? runs.error() : session.error();
    std::vector<std::string> ids;
    for (const auto& run : *runs)
        ids.push_back(run.id);
    return jsonResponse(encodeRestSession(*session, ids, m_samplers.idsOf(row->id)));
}

TinkerRest::Answer TinkerRest::searchSessions(const HttpRequest& request)
{
    auto search = decodeSessionSearch(request.body);
    auto rows = m_store.sessions(); // newest first, as the answer is
    if (!search || !rows)
        return search ? rows.error() : search.error();
    std::vector<RestSession> page;
    std::optional<RestSession> next;
    for (const auto& row : *rows) {
        auto session = shown(row);
        if (!session)
            return session.error();
        if (!isWanted(*session, *search))
            continue;
        if (static_cast<std::int64_t>(page.size()) == search->limit) {
            next = page.back();
            break;
        }
        page.push_back(*std::move(session));
    }
    return jsonResponse(encodeSessionSearch(page, next));
}

TinkerRest::Answer TinkerRest::assignProject(const HttpRequest& request)
{
    auto project = decodeProject(request.body);
    if (!project)
        return project.error();
    auto row = m_store.session(request.parameter("session"));
    if (!row)
        return row.error();
    row->project = *project;
    if (auto status = m_store.putSession(*row); !status)
        return status.error();
    HttpResponse response;
    response.status = 204;
    return response;
}

TinkerRest::Answer TinkerRest::traceExport(const HttpRequest& request)
{
    auto row = m_store.session(request.parameter("session"));
    if (!row)
        return row.error();
    const auto path = "/download/" + row->id + "/trace/session/trace.json";
    return jsonResponse(encodeTrace("ready", link(request, path, m_store.now() + kTraceLife)));
}

TinkerRest::Answer TinkerRest::keyDetails(const HttpRequest&)
{
    return jsonResponse(encodeKeyDetails(m_store.account(), "local@localhost.invalid"));
}

TinkerRest::Answer TinkerRest::deleteKey(const HttpRequest&)
{
    return Error { Error::Code::Refused, "the key of a local backend cannot be revoked",
        "nothing was changed", "delete the file `key` of its data folder and start it again", {} };
}

TinkerRest::Answer TinkerRest::audit(const HttpRequest&)
{
    return jsonResponse(R"({"entries":[]})");
}

TinkerRest::Answer TinkerRest::storageUse(const HttpRequest&)
{
    auto rows = m_store.allCheckpoints();
    if (!rows)
        return rows.error();
    std::uint64_t bytes = 0;
    for (const auto& row : *rows)
        bytes += row.record.sizeBytes.value_or(0);
    return jsonResponse(encodeStorageUse(static_cast<std::int64_t>(rows->size()), bytes));
}

} // namespace desk::local
