// SPDX-License-Identifier: GPL-3.0-or-later
// Life and death of single checkpoints, which a trainer offers below its own routes.
#include "services/codecs/checkpoint_rest_codec.h"
#include "services/core/promotability.h"
#include "services/core/resource_name.h"
#include "services/errand.h"
#include "services/gateway/fireworks_client.h"
#include "services/gateway/gateway_calls.h"

#include <algorithm>

namespace desk {
namespace {

    constexpr std::int64_t kCheckpointPage = 200;
    constexpr std::int64_t kMaxCheckpointRows = 20'000;

    Error noSuchRoutes(const Error& why)
    {
        return { Error::Code::Refused, "This server does not let anyone change a single checkpoint",
            "Nothing was changed",
            "It lives as long as the service keeps it; promote what must stay", why.requestId };
    }

    /// Several runs may have saved under one name; the time of the save tells them apart.
    Result<std::string> routeAmong(
        const std::vector<TrainerCheckpoint>& rows, const Checkpoint& checkpoint)
    {
        constexpr std::chrono::seconds kSame { 2 };
        const auto id = lastSegment(checkpoint.name);
        const std::string_view kind =
            promotabilityOf(checkpoint.type).isResumable ? "weights" : "sampler_weights";
        std::vector<const TrainerCheckpoint*> found;
        for (const auto& row : rows) {
            if (row.kind == kind && row.name == id)
                found.push_back(&row);
        }
        if (found.size() > 1 && checkpoint.created) {
            std::erase_if(found, [&](const TrainerCheckpoint* row) {
                return !row->created || *row->created > *checkpoint.created + kSame
                    || *row->created + kSame < *checkpoint.created;
            });
        }
        if (found.empty())
            return Error { Error::Code::NotFound,
                "The trainer has no checkpoint " + std::string(id), "Nothing was changed",
                "Refresh the list", {} };
        if (found.size() > 1)
            return Error { Error::Code::Conflict,
                std::to_string(found.size()) + " runs of the trainer have a checkpoint "
                    + std::string(id),
                "Nothing was changed", "Use the trainer's own tool to name one of them", {} };
        return found.front()->route();
    }

    /// All pages of the trainer's list.
    struct RouteSearch : std::enable_shared_from_this<RouteSearch>
    {
        void look()
        {
            const auto path = "/checkpoints?limit=" + std::to_string(kCheckpointPage)
                + "&offset=" + std::to_string(offset);
            auto request = makeRequest("GET", "find the checkpoint at its trainer", true);
            request.url = QUrl(QString::fromStdString(trainer + path));
            errand.lock()->await(http.send(std::move(request)),
                [self = shared_from_this()](const Result<HttpReply>& reply) { self->take(reply); });
        }
        void take(const Result<HttpReply>& reply)
        {
            const auto job = errand.lock();
            if (!reply)
                return job->finish(reply.error().code == Error::Code::NotFound
                        ? noSuchRoutes(reply.error())
                        : reply.error());
            auto page = decodeTrainerCheckpoints(textOf(reply->body));
            if (!page)
                return job->finish(page.error());
            std::move(page->items.begin(), page->items.end(), std::back_inserter(rows));
            // Servers may give smaller pages than asked for.
            offset += page->rowCount;
            const bool hasMore = page->rowCount > 0
                && (page->total ? offset < *page->total : page->rowCount == kCheckpointPage);
            if (hasMore && offset < kMaxCheckpointRows)
                return look();
            job->finish(routeAmong(rows, checkpoint));
        }

        HttpClient& http;
        std::weak_ptr<Errand<std::string>> errand; // held by the step that is under way
        std::string trainer; // <trainer>/api/v1
        Checkpoint checkpoint;
        std::vector<TrainerCheckpoint> rows;
        std::int64_t offset = 0;

        RouteSearch(HttpClient& client, std::shared_ptr<Errand<std::string>> job,
            std::string trainerApi, Checkpoint wanted)
            : http(client)
            , errand(job)
            , trainer(std::move(trainerApi))
            , checkpoint(std::move(wanted))
        {
        }
    };

    Result<std::string> trainerApiOf(const HttpClient& http, const Checkpoint& checkpoint)
    {
        const auto name = parseCheckpointName(checkpoint.name);
        if (!name)
            return name.error();
        return trainerUrl(http.connection().url, name->jobName()) + "/api/v1";
    }

} // namespace

QFuture<Result<std::string>> FireworksClient::checkpointRoute(const Checkpoint& checkpoint)
{
    const auto trainer = trainerApiOf(m_http, checkpoint);
    if (!trainer)
        return finishedFuture<std::string>(trainer.error());
    auto errand = Errand<std::string>::start(this);
    std::make_shared<RouteSearch>(m_http, errand, *trainer, checkpoint)->look();
    return errand->future();
}

QFuture<Status> FireworksClient::extendCheckpoint(
    const Checkpoint& checkpoint, std::optional<std::int64_t> ttlSeconds)
{
    return changeCheckpoint(checkpoint, "PUT", "/ttl", encodeTtl(ttlSeconds),
        "change the expiry of " + std::string(lastSegment(checkpoint.name)));
}

QFuture<Status> FireworksClient::deleteCheckpoint(const Checkpoint& checkpoint)
{
    return changeCheckpoint(checkpoint, "DELETE", {}, {},
        "delete the checkpoint " + std::string(lastSegment(checkpoint.name)));
}

QFuture<Status> FireworksClient::changeCheckpoint(const Checkpoint& checkpoint, const char* method,
    const std::string& tail, const std::string& body, const std::string& doing)
{
    auto errand = Errand<std::monostate>::start(this);
    auto future = errand->future();
    errand->awaitValue(checkpointRoute(checkpoint),
        [this, errand = errand.get(), checkpoint, method, tail, body, doing](
            const std::string& route) {
            const auto trainer = trainerApiOf(m_http, checkpoint);
            auto request = makeRequest(method, doing, false);
            request.url = QUrl(QString::fromStdString(*trainer + '/' + route + tail));
            request.body = QByteArray::fromStdString(body);
            errand->awaitValue(m_http.send(std::move(request)),
                [errand](const HttpReply&) { errand->finish(done()); });
        });
    return future;
}

QFuture<Result<std::map<std::string, std::string>>> FireworksClient::downloadEndpoint(
    const std::string& model)
{
    using Files = std::map<std::string, std::string>;
    return call<Files>(model + ":getDownloadEndpoint", "models",
        makeRequest("GET", "find the files of the model " + model, true),
        decodedBy(decodeDownloadEndpoint));
}

} // namespace desk
