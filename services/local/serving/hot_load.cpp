// SPDX-License-Identifier: GPL-3.0-or-later
// Hot load of ServingService: what is refused, what is recorded, how replicas load.
#include "services/codecs/error_codec.h"
#include "services/core/resource_name.h"
#include "services/local/objects/files.h"
#include "services/local/server/log.h"
#include "services/local/serving/replica_loader.h"
#include "services/local/serving/serving_service.h"
#include "services/local/trainer/wire_convert.h"

#include <algorithm>
#include <exception>

namespace desk::local {

namespace {

    constexpr std::size_t kMaxLoadedAdapters = 8; // of one replica
    constexpr std::chrono::milliseconds kLoadLook { 20 };
    constexpr int kLoadLooks = 100; // 2 s

    Error refusedLoad(std::string message, std::string next)
    {
        return Error { Error::Code::Refused, std::move(message), "no replica was changed",
            std::move(next), {} };
    }

    HttpResponse hotloadError(const Error& error)
    {
        return errorResponse(httpStatusFor(error.code), wireMessage(error));
    }

} // namespace

void ServingService::addRoutes(Router& router)
{
    router.add("POST", kHotloadPath, [this](HttpRequest request, Responder responder) {
        answerHotloadPost(request, responder);
    });
    router.add("GET", kHotloadPath,
        [this](HttpRequest request, Responder responder) { answerHotloadGet(request, responder); });
}

Result<std::string> ServingService::deploymentOf(const HttpRequest& request) const
{
    const auto header = request.header(kHotloadDeploymentHeader);
    if (header.empty())
        return Error { Error::Code::NotFound, "the header fireworks-deployment is missing",
            "no replica was changed", "send accounts/<account>/deployments/<deployment>", {} };
    const auto id = std::string(lastSegment(header));
    if (header != deploymentName(m_store.account(), id) && header != id)
        return Error { Error::Code::NotFound,
            "there is no deployment " + std::string(header) + " here", "no replica was changed",
            "send accounts/<account>/deployments/<deployment>", {} };
    return id;
}

void ServingService::answerHotloadPost(const HttpRequest& request, const Responder& responder)
{
    auto id = deploymentOf(request);
    if (!id)
        return responder.send(hotloadError(id.error()));
    auto wanted = decodeHotload(request.body);
    if (!wanted)
        return responder.send(hotloadError(wanted.error()));
    auto status = hotLoad(*id, std::string(request.header(kHotloadModelHeader)), *wanted,
        request.faultReplica, request.header(kHotloadSourceHeader));
    if (!status)
        return responder.send(hotloadError(status.error()));
    responder.send(jsonResponse("{}"));
}

void ServingService::answerHotloadGet(const HttpRequest& request, const Responder& responder)
{
    auto id = deploymentOf(request);
    if (!id)
        return responder.send(hotloadError(id.error()));
    // The SDKs look once right after the POST and then every 5 s: a load that ends meanwhile is
    // told by the first look. Clients that follow the stages get each look at once.
    const bool looksSeldom = request.header("User-Agent").substr(0, 12) == "python-httpx";
    sendStatus(*id, responder, looksSeldom ? kLoadLooks : 0);
}

bool ServingService::isLoading(const std::string& id) const
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_deployments.find(id);
    return found != m_deployments.end()
        && std::any_of(found->second.replicas.begin(), found->second.replicas.end(),
            [](const auto& state) { return state->isLoading; });
}

void ServingService::sendStatus(const std::string& id, const Responder& responder, int looks)
{
    if (looks > 0 && !m_isStopping && isLoading(id)) {
        m_after(kLoadLook, [this, id, responder, looks] { sendStatus(id, responder, looks - 1); });
        return;
    }
    auto replicas = status(id);
    if (!replicas)
        return responder.send(hotloadError(replicas.error()));
    responder.send(jsonResponse(encodeHotloadStatus(*replicas)));
}

Result<CheckpointRow> ServingService::snapshotAt(
    std::string_view source, const std::string& identity) const
{
    // An address of the store, whatever its scheme: one of its segments is the job.
    auto rest = source.substr(0, 2048);
    while (!rest.empty()) {
        const auto slash = rest.rfind('/');
        const auto segment = rest.substr(slash == std::string_view::npos ? 0 : slash + 1);
        rest = slash == std::string_view::npos ? std::string_view {} : rest.substr(0, slash);
        if (!isSafeId(segment) || !m_store.job(std::string(segment)))
            continue;
        return m_store.checkpoint(std::string(segment), identity, CheckpointSpace::Sampler);
    }
    return refusedLoad("x-fireworks-hot-load-source-url names no job of this backend",
        "leave the header out, or name an address that holds the id of a job here");
}

Result<CheckpointRow> ServingService::findSnapshot(
    const DeploymentRow& row, const std::string& identity, std::string_view source) const
{
    if (!source.empty())
        return snapshotAt(source, identity);
    // The bucket of the trainer that the deployment follows comes first (gateway.md section 2.8).
    if (!row.record.hotLoadTrainerJob.empty()) {
        const auto job = std::string(lastSegment(row.record.hotLoadTrainerJob));
        auto own = m_store.checkpoint(job, identity, CheckpointSpace::Sampler);
        if (own)
            return own;
        return Error { Error::Code::NotFound,
            "the trainer job " + job + ", which deployment " + row.id + " follows, has no snapshot "
                + identity,
            "no replica was changed", "list the checkpoints of the job", {} };
    }
    return m_store.snapshot(identity);
}

bool ServingService::isRepeated(const Live& live, const HotloadRequest& request) const
{
    // A client whose reply was lost sends the same load again: it must not start twice.
    if (live.row.targetIdentity != request.identity || live.replicas.empty())
        return false;
    return std::all_of(live.replicas.begin(), live.replicas.end(), [&](const auto& state) {
        return state->isLoading
            ? state->target == request.identity
            : state->row.snapshot == request.identity && state->row.error.empty();
    });
}

Status ServingService::checkLoad(const Live& live, const CheckpointRow& snapshot,
    const HotloadRequest& request, const std::string& baseModel) const
{
    if (!live.row.record.enablesHotLoad)
        return refusedLoad("hot load is off for deployment " + live.row.id,
            "create a deployment with enableHotLoad");
    if (!baseModel.empty() && baseModel != live.row.record.baseModel)
        return refusedLoad("deployment " + live.row.id + " serves " + live.row.record.baseModel
                + ", not " + baseModel,
            "send its base model as fireworks-model");
    if (snapshot.baseModel != live.row.record.baseModel)
        return refusedLoad("the snapshot " + snapshot.id + " is of " + snapshot.baseModel
                + ", the deployment serves " + live.row.record.baseModel,
            "load a snapshot of the same base model");
    const bool isDelta = snapshot.record.type == CheckpointType::InferenceArcV2;
    if (!isDelta)
        return request.incremental
            ? Status(refusedLoad("the snapshot " + snapshot.id + " is full, not a delta",
                "send the load without incremental_snapshot_metadata"))
            : done();
    if (!request.incremental)
        return refusedLoad("the snapshot " + snapshot.id + " is a delta on "
                + snapshot.record.parent + " and needs incremental_snapshot_metadata",
            "name its parent as previous_snapshot_identity, or load a base");
    if (request.incremental->compressionFormat != "arc_v2")
        return refusedLoad("the snapshot " + snapshot.id + " is compressed as arc_v2, not "
                + request.incremental->compressionFormat,
            "send compression_format arc_v2");
    if (request.incremental->previousIdentity != snapshot.record.parent)
        return refusedLoad("the delta " + snapshot.id + " stands on " + snapshot.record.parent
                + ", not on " + request.incremental->previousIdentity,
            "send previous_snapshot_identity " + snapshot.record.parent);
    for (const auto& state : live.replicas)
        if (state->row.snapshot != snapshot.record.parent && state->row.snapshot != snapshot.id)
            return refusedLoad("the delta " + snapshot.id + " stands on " + snapshot.record.parent
                    + ", but replica " + state->row.pod + " serves "
                    + (state->row.snapshot.empty() ? "the base model" : state->row.snapshot),
                "load " + snapshot.record.parent + " or a base first");
    return done();
}

Status ServingService::hotLoad(const std::string& id, const std::string& baseModel,
    const HotloadRequest& request, int faultReplica, std::string_view source)
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_deployments.find(id);
    if (found == m_deployments.end())
        return Error { Error::Code::NotFound, "the deployment " + id + " was not found",
            "no replica was changed", "list the deployments", {} };
    auto& live = found->second;
    if (live.replicas.empty())
        return refusedLoad("the deployment " + id
                + (live.isUpdating ? " is updating" : " is scaled to zero replicas"),
            live.isUpdating ? "try again when it is READY" : "scale it up first");
    auto snapshot = findSnapshot(live.row, request.identity, source);
    if (!snapshot)
        return snapshot.error();
    if (auto status = checkLoad(live, *snapshot, request, baseModel); !status)
        return status;
    if (isRepeated(live, request))
        return done();
    auto row = live.row;
    row.targetIdentity = snapshot->id;
    row.targetFolder = snapshot->folder;
    row.targetParent = snapshot->record.parent;
    ++row.targetSerial;
    if (auto status = m_store.updateDeployment(row); !status)
        return status;
    live.row = row;
    beginLoads(live, faultReplica);
    return done();
}

void ServingService::beginLoads(Live& live, int faultReplica)
{
    if (live.row.targetIdentity.empty())
        return;
    int number = 0;
    const bool isAdapter = isAdapterFolder(m_store.absolute(live.row.targetFolder));
    for (const auto& state : live.replicas) {
        ++number;
        if (state->row.serial >= live.row.targetSerial)
            continue;
        if (state->isLoading)
            continue; // it sees the newer serial at its next stage and starts again
        LoadTicket ticket { live.row.id, state, live.row.targetIdentity, live.row.targetSerial,
            number == faultReplica, isAdapter };
        state->isLoading = true;
        state->stage = "downloading";
        state->target = ticket.identity;
        state->loadsAdapter = isAdapter;
        state->row.error.clear();
        state->started = std::chrono::steady_clock::now();
        m_loaders.post([this, ticket] {
            try {
                load(ticket);
            } catch (const std::exception& problem) {
                endLoad(ticket,
                    Error { Error::Code::OutOfMemory,
                        std::string("the load failed: ") + problem.what(), {}, {}, {} },
                    nullptr);
            }
        });
    }
}

void ServingService::load(const LoadTicket& ticket)
{
    LoadOrder order;
    bool isServed = false;
    std::string baseModel;
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_deployments.find(ticket.deployment);
        if (found == m_deployments.end())
            return;
        const auto& row = found->second.row;
        const auto& replica = ticket.replica->row;
        const auto room =
            "replicas/" + ticket.deployment + "/" + std::to_string(replica.index) + "/";
        isServed = replica.snapshot == ticket.identity;
        order.isDelta = !row.targetParent.empty();
        order.source = m_store.absolute(row.targetFolder);
        order.current = weightsOf(row, replica);
        order.work = m_store.absolute(room + ".load");
        order.target = m_store.absolute(m_store.freshFolder(room + ticket.identity));
        order.failsOnPurpose = ticket.fails;
        baseModel = row.record.baseModel;
    }
    if (isServed && !ticket.fails)
        return endLoad(ticket, order.current, nullptr);
    const auto isCanceled = [this, &ticket] {
        if (m_isStopping)
            return true;
        const std::scoped_lock lock(m_mutex);
        const auto found = m_deployments.find(ticket.deployment);
        return found == m_deployments.end() || found->second.row.targetSerial != ticket.serial;
    };
    if (ticket.isAdapter) {
        auto base = openBase(baseModel);
        if (!base)
            return endLoad(ticket, base.error(), nullptr);
        order.adapterBase = *base;
    }
    auto loaded = loadReplica(
        order,
        [this, &ticket](const char* stage) {
            const std::scoped_lock lock(m_mutex);
            ticket.replica->stage = stage;
        },
        isCanceled);
    if (!loaded)
        return endLoad(ticket, loaded.error(), nullptr);
    endLoad(ticket, loaded->folder, std::move(loaded->model));
}

void ServingService::endLoad(const LoadTicket& ticket, Result<std::filesystem::path> folder,
    std::shared_ptr<const InferenceModel> model)
{
    if (m_isStopping && !folder)
        return; // the next start goes on with it
    const auto stale = recordLoad(ticket, folder, std::move(model));
    if (!stale.empty())
        removeTree(stale);
    const std::scoped_lock lock(m_mutex);
    auto& state = *ticket.replica;
    state.isLoading = false;
    state.stage = state.row.error.empty() ? "ready" : "error";
    const auto found = m_deployments.find(ticket.deployment);
    if (found != m_deployments.end() && found->second.row.targetSerial != ticket.serial)
        beginLoads(found->second, 0); // another load was asked for meanwhile
}

/// What a replica served before: an adapter can still be asked for by its identity, until full
/// weights come or too many others.
void ServingService::keepAdapter(ReplicaState& state, bool nextIsAdapter)
{
    if (!nextIsAdapter)
        state.adapters.clear();
    else if (state.isAdapter && state.model)
        state.adapters.emplace_back(state.row.snapshot, state.model);
    if (state.adapters.size() >= kMaxLoadedAdapters)
        state.adapters.erase(state.adapters.begin());
    state.isAdapter = nextIsAdapter;
}

std::filesystem::path ServingService::recordLoad(const LoadTicket& ticket,
    const Result<std::filesystem::path>& folder, std::shared_ptr<const InferenceModel> model)
{
    const std::scoped_lock lock(m_mutex);
    const auto fresh = folder && model ? *folder : std::filesystem::path {};
    auto& state = *ticket.replica;
    const auto found = m_deployments.find(ticket.deployment);
    const bool isCurrent = found != m_deployments.end()
        && found->second.row.targetSerial == ticket.serial
        && std::find(found->second.replicas.begin(), found->second.replicas.end(), ticket.replica)
            != found->second.replicas.end();
    if (!isCurrent)
        return fresh;
    auto row = state.row;
    row.serial = ticket.serial;
    row.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - state.started).count();
    row.failedTarget = folder ? std::string {} : ticket.identity;
    row.error = folder ? std::string {} : folder.error().message;
    if (!fresh.empty()) {
        row.folder = "replicas/" + ticket.deployment + "/" + std::to_string(row.index) + "/"
            + fresh.filename().string();
        row.snapshot = ticket.identity;
    }
    state.target = ticket.identity;
    // The row first: a replica that says it serves a snapshot does so after a crash, too.
    if (auto stored = m_store.updateReplica(row); !stored) {
        state.row.error = stored.error().message;
        return fresh;
    }
    auto stale = !fresh.empty() && !state.row.folder.empty() ? m_store.absolute(state.row.folder)
                                                             : std::filesystem::path {};
    if (!fresh.empty())
        keepAdapter(state, ticket.isAdapter);
    state.row = row;
    if (model)
        state.model = std::move(model);
    logLine(row.error.empty() ? LogLevel::Info : LogLevel::Warning,
        "replica " + row.pod + (row.error.empty() ? " serves " : " failed to load ")
            + ticket.identity + (row.error.empty() ? "" : ": " + row.error));
    const LedgerEntry entry { m_store.now(), ticket.identity, row.pod,
        !found->second.row.targetParent.empty(), row.error, row.seconds };
    if (auto noted = m_store.addLoad(ticket.deployment, entry); !noted)
        logLine(LogLevel::Warning, "the ledger of loads: " + noted.error().message);
    return stale;
}

} // namespace desk::local
