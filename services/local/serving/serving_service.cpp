// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/serving/serving_service.h"

#include "services/codecs/error_codec.h"
#include "services/core/resource_name.h"
#include "services/local/objects/files.h"
#include "services/local/server/auth.h"
#include "services/local/server/log.h"
#include "services/local/serving/replica_loader.h"

#include <algorithm>
#include <system_error>

namespace desk::local {

namespace {

    constexpr int kMaxReplicas = 16;
    constexpr std::size_t kOpenModels = 4;

    Error noDeployment(const std::string& id)
    {
        return Error { Error::Code::NotFound, "the deployment " + id + " was not found",
            "nothing was done", "list the deployments", {} };
    }

} // namespace

ServingService::ServingService(ObjectStore& store, TaskPool& loaders, After after)
    : m_store(store)
    , m_loaders(loaders)
    , m_after(std::move(after))
{
}

Status ServingService::start()
{
    auto rows = m_store.deployments();
    if (!rows)
        return rows.error();
    const std::scoped_lock lock(m_mutex);
    for (auto& row : *rows) {
        auto replicas = m_store.replicas(row.id);
        if (!replicas)
            return replicas.error();
        Live live;
        live.row = row;
        for (auto& replica : *replicas) {
            auto state = std::make_shared<ReplicaState>();
            state->row = replica;
            state->isAdapter =
                !replica.folder.empty() && isAdapterFolder(m_store.absolute(replica.folder));
            state->target = replica.failedTarget;
            state->stage = !replica.failedTarget.empty() ? "error"
                : replica.snapshot.empty()               ? "idle"
                                                         : "ready";
            live.replicas.push_back(std::move(state));
        }
        auto& stored = m_deployments[row.id] = std::move(live);
        beginLoads(stored, 0);
    }
    return done();
}

std::vector<ReplicaRow> ServingService::freshReplicas(
    const std::string& deployment, int first, int count) const
{
    std::vector<ReplicaRow> rows;
    const auto generation = randomHex(6);
    for (int i = first; i < first + count; ++i) {
        ReplicaRow row;
        row.deployment = deployment;
        row.index = i;
        row.pod = deployment + "-" + generation + "-" + std::to_string(i);
        rows.push_back(std::move(row));
    }
    return rows;
}

Status ServingService::create(DeploymentRow row)
{
    const int count = row.record.replicaCount.value_or(1);
    if (count < 0 || count > kMaxReplicas)
        return Error { Error::Code::Usage,
            "a deployment has 0 to " + std::to_string(kMaxReplicas) + " replicas here",
            "nothing was created", {}, {} };
    const auto replicas = freshReplicas(row.id, 0, count);
    row.record.name = deploymentName(m_store.account(), row.id);
    row.record.state = "READY";
    row.record.created = m_store.now();
    const std::scoped_lock lock(m_mutex);
    if (auto status = m_store.addDeployment(row, replicas); !status)
        return status;
    Live live;
    live.row = row;
    for (const auto& replica : replicas) {
        live.replicas.push_back(std::make_shared<ReplicaState>());
        live.replicas.back()->row = replica;
    }
    m_deployments[row.id] = std::move(live);
    return done();
}

Status ServingService::remove(const std::string& id)
{
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_deployments.find(id);
        if (found == m_deployments.end())
            return noDeployment(id);
        m_deployments.erase(found);
    }
    return m_store.removeDeployment(id);
}

Replica ServingService::replicaOf(const ReplicaState& state) const
{
    Replica replica;
    replica.identity = state.row.pod;
    replica.currentSnapshot = state.row.snapshot;
    replica.isReady = !state.isLoading;
    replica.stage = state.stage;
    replica.targetSnapshot = state.target.empty() ? state.row.snapshot : state.target;
    replica.error = state.row.error;
    for (const auto& [identity, model] : state.adapters)
        replica.loadedAdapters.push_back(identity);
    if (state.isAdapter)
        replica.loadedAdapters.push_back(state.row.snapshot);
    if (state.isLoading && state.loadsAdapter)
        replica.loadingAdapters.push_back(state.target);
    replica.seconds = state.row.seconds;
    if (state.isLoading)
        replica.seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - state.started).count();
    return replica;
}

Deployment ServingService::recordOf(const Live& live) const
{
    auto record = live.row.record;
    int ready = 0;
    for (const auto& state : live.replicas) {
        record.replicas.push_back(replicaOf(*state));
        ready += record.replicas.back().isReady ? 1 : 0;
    }
    record.readyReplicaCount = ready;
    if (live.isUpdating)
        record.state = "UPDATING";
    return record;
}

Result<Deployment> ServingService::deployment(const std::string& id) const
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_deployments.find(id);
    if (found == m_deployments.end())
        return noDeployment(id);
    return recordOf(found->second);
}

Result<std::vector<Deployment>> ServingService::deployments() const
{
    std::vector<Deployment> records;
    const std::scoped_lock lock(m_mutex);
    for (const auto& [id, live] : m_deployments)
        records.push_back(recordOf(live));
    std::stable_sort(records.begin(), records.end(),
        [](const Deployment& a, const Deployment& b) { return a.created < b.created; });
    return records;
}

Result<std::vector<Replica>> ServingService::status(const std::string& id) const
{
    auto record = deployment(id);
    if (!record)
        return record.error();
    return std::move(record->replicas);
}

std::optional<std::string> ServingService::confirmedIdentity(const std::string& job) const
{
    const auto full = JobName { m_store.account(), job }.toString();
    const auto row = m_store.job(job);
    const auto wanted = row ? row->job.hotLoadDeploymentId : std::string {};
    std::optional<std::string> common;
    const std::scoped_lock lock(m_mutex);
    for (const auto& [id, live] : m_deployments) {
        if (live.row.record.hotLoadTrainerJob != full && id != wanted)
            continue;
        for (const auto& state : live.replicas) {
            if (state->row.snapshot.empty() || (common && *common != state->row.snapshot))
                return std::nullopt;
            common = state->row.snapshot;
        }
    }
    return common;
}

std::filesystem::path ServingService::weightsOf(
    const DeploymentRow& deployment, const ReplicaRow& row) const
{
    if (!row.folder.empty())
        return m_store.absolute(row.folder);
    auto base = m_store.namedModel(deployment.record.baseModel);
    return base ? m_store.absolute(base->folder) : std::filesystem::path {};
}

Result<ServingService::Answering> ServingService::answering(
    const std::string& id, const std::string& wanted)
{
    std::shared_ptr<ReplicaState> state;
    std::filesystem::path folder;
    std::string baseModel;
    Answering answer;
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_deployments.find(id);
        if (found == m_deployments.end())
            return noDeployment(id);
        auto& live = found->second;
        if (live.replicas.empty() && live.isUpdating)
            return Answering { {}, {}, "the deployment " + id + " is updating; try again" };
        if (live.replicas.empty())
            return Error { Error::Code::NotFound,
                "the deployment " + id + " is scaled to zero replicas", "nothing was computed",
                "scale it up", {} };
        const bool isLoading = std::any_of(live.replicas.begin(), live.replicas.end(),
            [](const auto& replica) { return replica->isLoading; });
        if (isLoading && live.row.record.transitionType == "SYNC")
            return Answering { {}, {},
                "the deployment " + id + " is loading " + live.row.targetIdentity + "; try again" };
        for (std::size_t i = 0; i < live.replicas.size() && !state; ++i) {
            const auto& next = live.replicas[(live.turn + i) % live.replicas.size()];
            if (wanted.empty() || next->row.snapshot == wanted)
                state = next;
            for (const auto& [identity, model] : next->adapters)
                if (!state && identity == wanted)
                    return Answering { model, identity, {} };
        }
        ++live.turn;
        if (!state)
            return Error { Error::Code::NotFound,
                "no replica of deployment " + id + " has the snapshot " + wanted,
                "nothing was computed", "load it, or leave out what follows '@'", {} };
        answer = { state->model, state->row.snapshot, {} };
        folder = weightsOf(live.row, state->row);
        baseModel = live.row.record.baseModel;
    }
    if (answer.model)
        return answer;
    auto model = openFolder(folder, baseModel);
    if (!model)
        return model.error();
    answer.model = std::move(*model);
    const std::scoped_lock lock(m_mutex);
    if (!state->model && state->row.snapshot == answer.identity)
        state->model = answer.model;
    return answer;
}

Result<std::shared_ptr<const InferenceModel>> ServingService::openBase(const std::string& baseModel)
{
    return openModel(baseModel);
}

Result<std::shared_ptr<const InferenceModel>> ServingService::openFolder(
    const std::filesystem::path& folder, const std::string& baseModel)
{
    if (!isAdapterFolder(folder))
        return InferenceModel::open(folder);
    auto base = openBase(baseModel);
    if (!base)
        return base;
    return InferenceModel::withAdapter(*base, folder);
}

Result<std::shared_ptr<const InferenceModel>> ServingService::openModel(const std::string& name)
{
    auto row = m_store.namedModel(name);
    if (!row)
        return row.error();
    const auto folder = m_store.absolute(row->folder);
    // A folder of the same name may hold other weights after the first one was removed.
    std::error_code error;
    const auto key = row->folder + '@'
        + std::to_string(
            std::filesystem::last_write_time(folder, error).time_since_epoch().count());
    {
        const std::scoped_lock lock(m_mutex);
        if (const auto found = m_openModels.find(key); found != m_openModels.end())
            return found->second;
    }
    if (row->isBase && isAdapterFolder(folder))
        return Error { Error::Code::Refused, "the base model " + name + " is an adapter",
            "nothing was computed", {}, {} };
    auto model = openFolder(folder, row->model.baseModel);
    if (!model)
        return model.error();
    const std::scoped_lock lock(m_mutex);
    if (m_openModels.size() >= kOpenModels)
        m_openModels.erase(m_openModels.begin());
    m_openModels[key] = *model;
    return *model;
}

} // namespace desk::local
