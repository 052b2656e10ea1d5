// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/backend.h"

#include "services/core/clock.h"
#include "services/core/resource_name.h"
#include "services/local/gateway/base_models.h"
#include "services/local/gateway/gateway_service.h"
#include "services/local/gateway/idle_jobs.h"
#include "services/local/gateway/promoter.h"
#include "services/local/objects/data_lock.h"
#include "services/local/objects/files.h"
#include "services/local/objects/object_store.h"
#include "services/local/rehearsal/rehearsals.h"
#include "services/local/rehearsal/stand_ins.h"
#include "services/local/rest/hub_routes.h"
#include "services/local/rest/tinker_rest.h"
#include "services/local/sampling/fair_queue.h"
#include "services/local/sampling/sampling_service.h"
#include "services/local/sampling/sampling_sessions.h"
#include "services/local/server/auth.h"
#include "services/local/server/fault_plan.h"
#include "services/local/server/log.h"
#include "services/local/server/router.h"
#include "services/local/server/task_pool.h"
#include "services/local/serving/completion_service.h"
#include "services/local/serving/serving_service.h"
#include "services/local/trainer/trainer_service.h"

#include <algorithm>
#include <thread>
#include <unistd.h>
#include <utility>

namespace desk::local {

namespace {

    constexpr auto kSweepInterval = std::chrono::seconds(1);

    /// Training has its own threads; sequences are drawn one a thread.
    int drawThreads()
    {
        return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 2, 8);
    }

} // namespace

/// Members in order of construction; what comes later may use what comes earlier.
struct Backend::Parts
{
    SystemClock clock;
    std::unique_ptr<DataLock> lock;
    std::string key;
    std::unique_ptr<ObjectStore> store;
    std::unique_ptr<StandIns> standIns;
    std::unique_ptr<Rehearsals> rehearsals;
    std::unique_ptr<FaultPlan> faults;
    Router router;
    std::unique_ptr<HttpServer> server;
    TaskPool parsers { 2 };
    TaskPool loaders { 4 };
    FairQueue draws { drawThreads() };
    std::unique_ptr<FutureTable> futures;
    std::unique_ptr<SamplingSessions> samplers;
    std::unique_ptr<SamplingService> sampling;
    std::unique_ptr<ServingService> serving;
    std::unique_ptr<CompletionService> completions;
    std::unique_ptr<SnapshotWriter> writer;
    std::unique_ptr<TrainerService> trainer;
    std::unique_ptr<Promoter> promoter;
    std::unique_ptr<IdleJobs> idle;
    std::unique_ptr<GatewayService> gateway;
    std::unique_ptr<SessionTraces> traces;
    std::unique_ptr<TinkerRest> rest;
    std::unique_ptr<HubRoutes> hub;
    ReadyLine ready;
    bool isStopped = false;

    Status openData(const BackendConfig& config);
    Status listen(const BackendConfig& config);
    void compose(const BackendConfig& config);
    void describe(const BackendConfig& config, const std::vector<BaseModel>& models);
    std::optional<HttpResponse> gate(const HttpRequest& request) const;
    void handle(HttpRequest request, Responder responder);
    void sweep();
    void stop();
};

Status Backend::Parts::openData(const BackendConfig& config)
{
    if (auto status = makeFolder(config.data); !status)
        return status;
    auto held = DataLock::acquire(config.data);
    if (!held)
        return held.error();
    lock = std::move(*held);
    auto read = loadOrCreateKey(config.data / "key");
    if (!read)
        return read.error();
    key = *read;
    auto opened = ObjectStore::open(config.data, config.account, clock);
    if (!opened)
        return opened.error();
    store = std::move(*opened);
    store->removeOrphans();
    standIns = std::make_unique<StandIns>(*store);
    rehearsals = std::make_unique<Rehearsals>(*store, *standIns);
    store->setStandInMaker([this](const std::string& name) { return standIns->make(name); },
        [this](const std::string& name) {
            const auto standIn = standIns->find(name);
            return standIn ? standInSentence(*standIn) : std::string();
        });
    const auto kept = standIns->restore();
    if (!kept)
        return kept.error();
    auto models = offerBaseModels(*store, config.baseModels, *kept);
    if (!models)
        return models.error();
    store->removeExpired();
    describe(config, *models);
    return done();
}

void Backend::Parts::describe(const BackendConfig& config, const std::vector<BaseModel>& models)
{
    ready.account = config.account;
    ready.keyFile = (config.data / "key").string();
    ready.version = config.version;
    ready.pid = ::getpid();
    for (const auto& model : models)
        ready.models.push_back(
            { model.id, modelName(config.account, model.id), model.parameters, model.vocabSize });
    ready.baseModel = ready.models.front().name;
    ready.vocabSize = ready.models.front().vocabSize;
}

std::optional<HttpResponse> Backend::Parts::gate(const HttpRequest& request) const
{
    const bool isHealthProbe = request.segments.size() == 1 && request.segments[0] == "healthz";
    if (isHealthProbe || TinkerRest::needsNoKey(request) || isAuthorized(request, key)
        || !rehearsals->ownerOf(request).empty())
        return std::nullopt;
    return errorResponse(401,
        "the key is missing or wrong; it is in the file that the backend "
        "names as key_file");
}

void Backend::Parts::handle(HttpRequest request, Responder responder)
{
    const auto path = request.path();
    logLine(LogLevel::Debug, request.method + " " + path);
    const auto effect = faults->next(request.method, path);
    request.faultReplica = effect.replica;
    idle->note(request);
    if (const auto owner = rehearsals->ownerOf(request); !owner.empty())
        responder = rehearsals->observe(owner, request, std::move(responder));
    if (effect.dropsReply)
        responder = makeResponder([original = responder](HttpResponse, bool) { original.drop(); });
    auto act = [this, effect, responder,
                   shared = std::make_shared<HttpRequest>(std::move(request))] {
        if (!effect.status)
            return router.route(std::move(*shared), responder);
        HttpResponse response;
        response.status = *effect.status;
        response.body = effect.body;
        if (effect.retryAfter)
            response.headers.push_back({ "Retry-After", std::to_string(*effect.retryAfter) });
        responder.send(std::move(response));
    };
    if (effect.delay.count() > 0)
        server->after(effect.delay, std::move(act));
    else
        act();
}

Status Backend::Parts::listen(const BackendConfig& config)
{
    auto opened = HttpServer::listen(
        config.http, [this](const HttpRequest& request) { return gate(request); },
        [this](HttpRequest request, Responder responder) {
            handle(std::move(request), std::move(responder));
        });
    if (!opened)
        return opened.error();
    server = std::move(*opened);
    const auto host = config.http.host.find(':') == std::string::npos
        ? config.http.host
        : "[" + config.http.host + "]";
    ready.url = std::string(config.http.tls ? "https" : "http") + "://" + host + ":"
        + std::to_string(server->port());
    return done();
}

void Backend::Parts::compose(const BackendConfig& config)
{
    faults = std::make_unique<FaultPlan>(config.faults);
    futures = std::make_unique<FutureTable>(
        [this](std::chrono::milliseconds delay, std::function<void()> run) {
            server->after(delay, std::move(run));
        },
        config.futures);
    serving = std::make_unique<ServingService>(
        *store, loaders, [this](std::chrono::milliseconds delay, std::function<void()> run) {
            server->after(delay, std::move(run));
        });
    completions = std::make_unique<CompletionService>(*store, *serving, draws);
    samplers = std::make_unique<SamplingSessions>(*store);
    sampling = std::make_unique<SamplingService>(
        *samplers, *futures, draws, parsers,
        [this](std::chrono::milliseconds delay, std::function<void()> run) {
            server->after(delay, std::move(run));
        },
        SamplingService::Limits {});
    writer = std::make_unique<SnapshotWriter>(
        *store, [this](const std::string& job) { return serving->confirmedIdentity(job); });
    trainer = std::make_unique<TrainerService>(TrainerParts { *store, *writer, *futures, *samplers,
        parsers, std::make_shared<ThreadPool>(config.threads), config.trainers });
    samplers->setCheckOwner(
        [this](const std::string& session) { return trainer->checkSession(session); });
    promoter = std::make_unique<Promoter>(*store, loaders);
    idle =
        std::make_unique<IdleJobs>(*store, [this](const std::string& job, const std::string& why) {
            trainer->dropModelsOf(job, "the trainer job " + job + " was " + why);
        });
    gateway = std::make_unique<GatewayService>(*store, *trainer, *serving, *promoter, *idle,
        loaders, [this](std::chrono::milliseconds delay, std::function<void()> run) {
            server->after(delay, std::move(run));
        });
    traces = std::make_unique<SessionTraces>(clock);
    trainer->setNotes([this](const TrainingNote& note) {
        rehearsals->note(note);
        traces->note(note);
    });
    rest = std::make_unique<TinkerRest>(*store, *samplers, *traces, loaders,
        TinkerRest::Config { key, config.http.tls.has_value() });
    hub = std::make_unique<HubRoutes>(*store);
    router.add("GET", "/healthz", [](HttpRequest, Responder responder) {
        responder.send(jsonResponse(R"({"status":"ok"})"));
    });
    rehearsals->addRoutes(router);
    gateway->addRoutes(router);
    trainer->addRoutes(router);
    serving->addRoutes(router);
    completions->addRoutes(router);
    sampling->addRoutes(router);
    rest->addRoutes(router);
    hub->addRoutes(router);
}

void Backend::Parts::sweep()
{
    futures->sweep();
    rehearsals->expire(std::chrono::steady_clock::now());
    loaders.post([this] {
        store->removeExpired();
        idle->expire();
    });
    server->after(kSweepInterval, [this] { sweep(); });
}

void Backend::Parts::stop()
{
    if (std::exchange(isStopped, true))
        return;
    if (serving)
        serving->stop();
    if (promoter)
        promoter->stop();
    if (completions)
        completions->stop();
    if (sampling)
        sampling->stop();
    if (server)
        server->stop();
    if (trainer)
        trainer->stop();
    draws.stop();
    parsers.stop();
    loaders.stop();
}

Backend::Backend(std::unique_ptr<Parts> parts)
    : m_parts(std::move(parts))
{
}

Backend::~Backend()
{
    stop();
}

Result<std::unique_ptr<Backend>> Backend::start(const BackendConfig& config)
{
    if (!config.http.tls && !isLoopbackHost(config.http.host))
        return Error { Error::Code::Usage,
            "listening on " + config.http.host + " needs TLS: only loopback may go without",
            "the backend does not serve", "give --tls-cert and --tls-key", {} };
    std::unique_ptr<Backend> backend(new Backend(std::make_unique<Parts>()));
    auto& parts = *backend->m_parts;
    if (auto status = parts.openData(config); !status)
        return status.error();
    if (auto status = parts.listen(config); !status)
        return status.error();
    parts.compose(config);
    if (auto status = parts.serving->start(); !status)
        return status.error();
    if (auto status = parts.promoter->start(); !status)
        return status.error();
    parts.sweep();
    parts.server->start();
    return backend;
}

const ReadyLine& Backend::ready() const noexcept
{
    return m_parts->ready;
}

void Backend::stop()
{
    m_parts->stop();
}

} // namespace desk::local
