// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/serving/serving_service.h"

#include "services/codecs/error_codec.h"
#include "services/core/resource_name.h"
#include "services/local/objects/files.h"
#include "services/local/server/auth.h"
#include "services/local/server/log.h"

#include <algorithm>

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

ServingService::ServingService(ObjectStore& store, TaskPool& loaders)
    : m_store(store)
    , m_loaders(loaders)
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

Status ServingService::scale(const std::string& id, int replicas)
{
    if (replicas < 0 || replicas > kMaxReplicas)
        return Error { Error::Code::Usage,
            "a deployment has 0 to " + std::to_string(kMaxReplicas) + " replicas here",
            "nothing was changed", {}, {} };
    const std::scoped_lock lock(m_mutex);
    const auto found = m_deployments.find(id);
    if (found == m_deployments.end())
        return noDeployment(id);
    auto live = found->second;
    const auto present = static_cast<int>(live.replicas.size());
    live.row.record.replicaCount = replicas;
    if (replicas < present)
        live.replicas.resize(static_cast<std::size_t>(replicas));
    std::shared_ptr<ReplicaState> sibling = present > 0 ? found->second.replicas.front() : nullptr;
    for (auto& row : freshReplicas(id, present, std::max(0, replicas - present))) {
        auto state = std::make_shared<ReplicaState>();
        row.serial = live.row.targetSerial;
        if (sibling && !sibling->row.folder.empty()) {
            row.folder = m_store.freshFolder(
                "replicas/" + id + "/" + std::to_string(row.index) + "/" + sibling->row.snapshot);
            auto copied = copyFolderSafely(
                m_store.absolute(sibling->row.folder), m_store.absolute(row.folder));
            if (!copied)
                return copied;
            row.snapshot = sibling->row.snapshot;
            state->stage = "ready";
        }
        state->row = row;
        live.replicas.push_back(std::move(state));
    }
    std::vector<ReplicaRow> rows;
    for (const auto& state : live.replicas)
        rows.push_back(state->row);
    if (auto status = m_store.replaceReplicas(live.row, rows); !status)
        return status;
    found->second = std::move(live);
    for (int i = replicas; i < present; ++i)
        removeTree(m_store.absolute("replicas/" + id + "/" + std::to_string(i)));
    return done();
}

Status ServingService::rename(const std::string& id, const std::string& displayName)
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_deployments.find(id);
    if (found == m_deployments.end())
        return noDeployment(id);
    auto row = found->second.row;
    row.record.displayName = displayName;
    if (auto status = m_store.updateDeployment(row); !status)
        return status;
    found->second.row = row;
    return done();
}

Status ServingService::reattach(const std::string& id, const std::string& trainerJob)
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_deployments.find(id);
    if (found == m_deployments.end())
        return noDeployment(id);
    Live live;
    live.row = found->second.row;
    if (live.row.record.hotLoadTrainerJob == trainerJob)
        return done();
    live.row.record.hotLoadTrainerJob = trainerJob;
    live.row.targetIdentity.clear();
    live.row.targetFolder.clear();
    live.row.targetParent.clear();
    ++live.row.targetSerial; // loads in flight end without effect
    auto rows = freshReplicas(id, 0, static_cast<int>(found->second.replicas.size()));
    for (auto& row : rows) {
        row.serial = live.row.targetSerial;
        live.replicas.push_back(std::make_shared<ReplicaState>());
        live.replicas.back()->row = row;
    }
    if (auto status = m_store.replaceReplicas(live.row, rows); !status)
        return status;
    const auto old = std::move(found->second);
    found->second = std::move(live);
    for (const auto& state : old.replicas)
        if (!state->row.folder.empty() && !state->isLoading)
            removeTree(m_store.absolute(state->row.folder));
    return done();
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
    auto base = m_store.model(std::string(lastSegment(deployment.record.baseModel)));
    return base ? m_store.absolute(base->folder) : std::filesystem::path {};
}

Result<ServingService::Answering> ServingService::answering(const std::string& id)
{
    std::shared_ptr<ReplicaState> state;
    std::filesystem::path folder;
    Answering answer;
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_deployments.find(id);
        if (found == m_deployments.end())
            return noDeployment(id);
        auto& live = found->second;
        if (live.replicas.empty())
            return Error { Error::Code::NotFound, "the deployment " + id + " has no replicas",
                "nothing was computed", "scale it up", {} };
        state = live.replicas[live.turn++ % live.replicas.size()];
        answer = { state->model, state->row.snapshot };
        folder = weightsOf(live.row, state->row);
    }
    if (answer.model)
        return answer;
    auto model = InferenceModel::open(folder);
    if (!model)
        return model.error();
    answer.model = std::move(*model);
    const std::scoped_lock lock(m_mutex);
    if (!state->model && state->row.snapshot == answer.identity)
        state->model = answer.model;
    return answer;
}

Result<std::shared_ptr<const InferenceModel>> ServingService::openModel(const std::string& modelId)
{
    auto row = m_store.model(modelId);
    if (!row)
        return row.error();
    const auto key = row->folder;
    {
        const std::scoped_lock lock(m_mutex);
        if (const auto found = m_openModels.find(key); found != m_openModels.end())
            return found->second;
    }
    auto model = InferenceModel::open(m_store.absolute(row->folder));
    if (!model)
        return model.error();
    const std::scoped_lock lock(m_mutex);
    if (m_openModels.size() >= kOpenModels)
        m_openModels.erase(m_openModels.begin());
    m_openModels[key] = *model;
    return *model;
}

} // namespace desk::local
