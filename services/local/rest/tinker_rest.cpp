// SPDX-License-Identifier: GPL-3.0-or-later
// Training runs and their checkpoints over REST.
#include "services/local/rest/tinker_rest.h"

#include "services/codecs/error_codec.h"
#include "services/local/trainer/wire_convert.h"

#include <algorithm>
#include <charconv>
#include <memory>

namespace desk::local {

namespace {

    constexpr std::int64_t kRestMinTtl = 3600; // tinker-0.38.md section 12
    constexpr std::int64_t kRestMaxTtl = 315'360'000;
    constexpr std::int64_t kMaxRestPage = 1000;

    HttpResponse restBody(std::string body)
    {
        return jsonResponse(std::move(body));
    }

    HttpResponse restEmpty()
    {
        HttpResponse response;
        response.status = 204;
        return response;
    }

    Error badRequest(std::string message, std::string next)
    {
        return Error { Error::Code::Usage, std::move(message), "nothing was changed",
            std::move(next), {} };
    }

    Result<std::int64_t> restNumber(
        const HttpRequest& request, const char* name, std::int64_t fallback)
    {
        const auto text = request.queryValue(name);
        if (text.empty())
            return fallback;
        std::int64_t value = 0;
        const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
        if (read.ec != std::errc {} || read.ptr != text.data() + text.size() || value < 0)
            return badRequest(std::string(name) + " '" + text.substr(0, 100) + "' is not a number",
                "send 0 or more");
        return value;
    }

    /// limit and offset of a query; total is filled by pageAt.
    Result<RestCursor> cursorOf(const HttpRequest& request, std::int64_t fallback)
    {
        const auto limit = restNumber(request, "limit", fallback);
        const auto offset = restNumber(request, "offset", 0);
        if (!limit || !offset)
            return limit ? offset.error() : limit.error();
        RestCursor cursor;
        cursor.limit = std::min(*limit, kMaxRestPage);
        cursor.offset = *offset;
        return cursor;
    }

    template <class T>
    std::vector<T> pageAt(const std::vector<T>& items, RestCursor& cursor)
    {
        cursor.total = static_cast<std::int64_t>(items.size());
        const auto begin = std::min(cursor.offset, cursor.total);
        const auto end = std::min(begin + cursor.limit, cursor.total);
        return { items.begin() + begin, items.begin() + end };
    }

    const char* typeWord(CheckpointSpace space)
    {
        switch (space) {
        case CheckpointSpace::State:
            return "training";
        case CheckpointSpace::Sampler:
            return "sampler";
        case CheckpointSpace::External:
            break;
        }
        return "external";
    }

} // namespace

TinkerRest::TinkerRest(ObjectStore& store, const SamplingSessions& samplers,
    const SessionTraces& traces, TaskPool& pool, const Config& config)
    : m_store(store)
    , m_samplers(samplers)
    , m_traces(traces)
    , m_pool(pool)
    , m_signer(config.key)
    , m_isTls(config.isTls)
{
}

std::string TinkerRest::owner() const
{
    return "user:" + m_store.account();
}

bool TinkerRest::needsNoKey(const HttpRequest& request)
{
    return !request.segments.empty()
        && (request.segments.front() == "hf" || request.segments.front() == "download");
}

namespace {

    void sendRest(const Responder& responder, Result<HttpResponse> answer)
    {
        if (answer)
            return responder.send(std::move(*answer));
        HttpResponse response;
        response.status = httpStatusFor(answer.error().code);
        response.body = encodeDetail(wireMessage(answer.error()));
        responder.send(std::move(response));
    }

} // namespace

void TinkerRest::add(Router& router, const char* method, const std::string& path, Handler handler)
{
    router.add(method, path, [this, handler](HttpRequest request, Responder responder) {
        sendRest(responder, (this->*handler)(request));
    });
}

void TinkerRest::addSlow(
    Router& router, const char* method, const std::string& path, Handler handler)
{
    router.add(method, path, [this, handler](HttpRequest request, Responder responder) {
        m_pool.post(
            [this, handler, responder, kept = std::make_shared<HttpRequest>(std::move(request))] {
                sendRest(responder, (this->*handler)(*kept));
            });
    });
}

void TinkerRest::addRoutes(Router& router)
{
    addRunRoutes(router);
    addSessionRoutes(router);
    addAccountRoutes(router);
}

void TinkerRest::addRunRoutes(Router& router)
{
    using T = TinkerRest;
    const std::string run = "/api/v1/training_runs/{run}";
    const std::string checkpoint = run + "/checkpoints/{kind}/{name}";
    add(router, "GET", "/api/v1/training_runs", &T::listRuns);
    add(router, "GET", run, &T::getRun);
    add(router, "GET", run + "/checkpoints", &T::listRunCheckpoints);
    add(router, "GET", "/api/v1/checkpoints", &T::listCheckpoints);
    addSlow(router, "DELETE", checkpoint, &T::deleteCheckpoint);
    add(router, "POST", checkpoint + "/publish", &T::publish);
    add(router, "DELETE", checkpoint + "/publish", &T::unpublish);
    add(router, "PUT", checkpoint + "/ttl", &T::setTtl);
    add(router, "GET", checkpoint + "/archive", &T::archive);
    add(router, "GET", checkpoint + "/external_weights_urls", &T::externalUrls);
    add(router, "POST", "/api/v1/weights_info", &T::weightsInfo);
    addSlow(router, "POST", "/api/v1/copy_weights", &T::copyWeights);
    addSlow(router, "GET", "/download/{run}/{kind}/{name}/{file}", &T::download);
}

RestCheckpoint TinkerRest::shown(const CheckpointRow& row) const
{
    RestCheckpoint result;
    const std::string kind = spaceWord(row.space);
    result.id = kind + "/" + row.id;
    result.type = typeWord(row.space);
    result.time = row.record.created.value_or(Time {});
    result.path = TinkerPath { row.run.empty() ? row.job : row.run, kind, row.id }.toString();
    result.sizeBytes = row.record.sizeBytes;
    result.isPublic = row.isPublic;
    result.userMetadata = row.userMetadata;
    result.expires = row.record.expires;
    return result;
}

Result<RestRun> TinkerRest::shown(const RunRow& row) const
{
    auto rows = m_store.checkpointsOfRun(row.id);
    if (!rows)
        return rows.error();
    RestRun result;
    result.id = row.id;
    result.baseModel = row.baseModel;
    result.owner = owner();
    result.loraRank = row.loraRank;
    result.isCorrupted = row.isCorrupted;
    result.lastRequest = row.lastRequest.value_or(Time {});
    result.userMetadata = row.userMetadata;
    for (const auto& save : *rows) { // oldest first
        if (save.space == CheckpointSpace::State)
            result.lastCheckpoint = shown(save);
        else if (save.space == CheckpointSpace::Sampler)
            result.lastSamplerCheckpoint = shown(save);
    }
    return result;
}

TinkerRest::Answer TinkerRest::listRuns(const HttpRequest& request)
{
    auto cursor = cursorOf(request, 20);
    auto rows = m_store.runs();
    if (!cursor || !rows)
        return cursor ? rows.error() : cursor.error();
    if (const auto project = request.queryValue("project_id"); !project.empty())
        rows->erase(std::remove_if(rows->begin(), rows->end(),
                        [&](const RunRow& row) {
                            const auto session = m_store.session(row.session);
                            return !session || session->project != project;
                        }),
            rows->end());
    std::vector<RestRun> runs;
    for (const auto& row : pageAt(*rows, *cursor)) {
        auto run = shown(row);
        if (!run)
            return run.error();
        runs.push_back(*std::move(run));
    }
    return restBody(encodeRestRuns(runs, *cursor));
}

TinkerRest::Answer TinkerRest::getRun(const HttpRequest& request)
{
    auto row = m_store.run(request.parameter("run"));
    if (!row)
        return row.error();
    auto run = shown(*row);
    if (!run)
        return run.error();
    return restBody(encodeRestRun(*run));
}

TinkerRest::Answer TinkerRest::listRunCheckpoints(const HttpRequest& request)
{
    const auto id = request.parameter("run");
    if (auto row = m_store.run(id); !row)
        return row.error();
    auto rows = m_store.checkpointsOfRun(id);
    if (!rows)
        return rows.error();
    std::vector<RestCheckpoint> checkpoints;
    for (const auto& row : *rows)
        checkpoints.push_back(shown(row));
    return restBody(encodeRestCheckpoints(checkpoints, std::nullopt));
}

TinkerRest::Answer TinkerRest::listCheckpoints(const HttpRequest& request)
{
    auto cursor = cursorOf(request, 100);
    auto rows = m_store.allCheckpoints();
    if (!cursor || !rows)
        return cursor ? rows.error() : cursor.error();
    std::vector<RestCheckpoint> checkpoints;
    for (const auto& row : pageAt(*rows, *cursor))
        checkpoints.push_back(shown(row));
    return restBody(encodeRestCheckpoints(checkpoints, *cursor));
}

Result<CheckpointRow> TinkerRest::checkpointOf(const HttpRequest& request) const
{
    const auto space = spaceFrom(request.parameter("kind"));
    if (!space)
        return Error { Error::Code::NotFound,
            "there are no checkpoints of kind '" + request.parameter("kind").substr(0, 100) + "'",
            "nothing was changed", "use weights, sampler_weights or external_weights", {} };
    const auto run = request.parameter("run");
    const auto name = request.parameter("name");
    auto row = m_store.checkpointOfRun(run, *space, name);
    // Saves from before runs were kept are known by their job.
    if (!row && row.error().code == Error::Code::NotFound && !m_store.run(run))
        if (auto ofJob = m_store.checkpoint(run, name, *space))
            return ofJob;
    return row;
}

TinkerRest::Answer TinkerRest::deleteCheckpoint(const HttpRequest& request)
{
    auto row = checkpointOf(request);
    if (!row)
        return row.error();
    if (auto status = m_store.removeCheckpoint(*row); !status)
        return status.error();
    return restEmpty();
}

TinkerRest::Answer TinkerRest::setVisibility(const HttpRequest& request, bool isPublic)
{
    auto row = checkpointOf(request);
    if (!row)
        return row.error();
    if (row->isPublic == isPublic)
        return Error { Error::Code::Conflict,
            "the checkpoint " + row->id + (isPublic ? " is public already" : " is not public"),
            "nothing was changed", {}, {} };
    if (auto status = m_store.setPublic(*row, isPublic); !status)
        return status.error();
    return restEmpty();
}

TinkerRest::Answer TinkerRest::publish(const HttpRequest& request)
{
    return setVisibility(request, true);
}

TinkerRest::Answer TinkerRest::unpublish(const HttpRequest& request)
{
    return setVisibility(request, false);
}

TinkerRest::Answer TinkerRest::setTtl(const HttpRequest& request)
{
    auto row = checkpointOf(request);
    if (!row)
        return row.error();
    auto ttl = decodeTtl(request.body);
    if (!ttl)
        return ttl.error();
    if (*ttl && (**ttl < kRestMinTtl || **ttl > kRestMaxTtl))
        return badRequest("ttl_seconds " + std::to_string(**ttl) + " is out of range",
            "send 3600 (an hour) to 315360000 (ten years), or null");
    const auto expires =
        *ttl ? std::optional(m_store.now() + std::chrono::seconds(**ttl)) : std::optional<Time> {};
    if (auto status = m_store.setExpiry(*row, expires); !status)
        return status.error();
    return restEmpty();
}

Result<CheckpointRow> TinkerRest::namedWeights(
    const HttpRequest& request, const std::string& path) const
{
    if (path.find("://") == std::string::npos) {
        // A Firetitan client sends the bare name of a state (trainer.md section 6.7).
        if (!request.trainerJob.empty())
            return m_store.checkpoint(request.trainerJob, path);
        auto rows = m_store.allCheckpoints();
        if (!rows)
            return rows.error();
        const auto found = std::find_if(rows->begin(), rows->end(), [&](const auto& row) {
            return row.id == path && row.space != CheckpointSpace::External;
        });
        if (found != rows->end())
            return *found;
        return Error { Error::Code::NotFound, "the checkpoint " + path + " was not found",
            "nothing was changed", {}, {} };
    }
    auto name = parseTinkerPath(path);
    if (!name)
        return name.error();
    HttpRequest located;
    located.parameters = { { "run", name->run }, { "kind", name->kind }, { "name", name->name } };
    return checkpointOf(located);
}

TinkerRest::Answer TinkerRest::weightsInfo(const HttpRequest& request)
{
    auto path = decodeWeightsInfo(request.body);
    if (!path)
        return path.error();
    auto row = namedWeights(request, *path);
    if (!row)
        return row.error();
    RestWeights weights;
    weights.baseModel = row->baseModel;
    weights.loraRank = row->loraRank;
    if (const auto run = m_store.run(row->run)) {
        weights.loraRank = run->loraRank;
        weights.trainsAttention = run->trainsAttention;
        weights.trainsMlp = run->trainsMlp;
        weights.trainsUnembed = run->trainsUnembed;
    }
    return restBody(encodeRestWeights(weights));
}

} // namespace desk::local
