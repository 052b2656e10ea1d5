// SPDX-License-Identifier: GPL-3.0-or-later
// What a PATCH changes of a deployment of ServingService.
#include "services/core/resource_name.h"
#include "services/local/objects/files.h"
#include "services/local/server/auth.h"
#include "services/local/server/log.h"
#include "services/local/serving/replica_loader.h"
#include "services/local/serving/serving_service.h"

#include <algorithm>
#include <exception>

namespace desk::local {

namespace {

    constexpr int kMostReplicas = 16;

    Error unknownDeployment(const std::string& id)
    {
        return Error { Error::Code::NotFound, "the deployment " + id + " was not found",
            "nothing was changed", "list the deployments", {} };
    }

} // namespace

Status ServingService::edit(
    const std::string& id, const std::function<void(Deployment& record)>& change)
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_deployments.find(id);
    if (found == m_deployments.end())
        return unknownDeployment(id);
    auto row = found->second.row;
    change(row.record);
    row.description = row.record.description;
    row.record.updated = m_store.now();
    if (auto status = m_store.updateDeployment(row); !status)
        return status;
    found->second.row = std::move(row);
    return done();
}

Status ServingService::scale(const std::string& id, int replicas)
{
    if (replicas < 0 || replicas > kMostReplicas)
        return Error { Error::Code::Usage,
            "a deployment has 0 to " + std::to_string(kMostReplicas) + " replicas here",
            "nothing was changed", {}, {} };
    const std::scoped_lock lock(m_mutex);
    const auto found = m_deployments.find(id);
    if (found == m_deployments.end())
        return unknownDeployment(id);
    auto& live = found->second;
    if (!live.isUpdating)
        return scaleLive(live, replicas);
    // The pods of another trainer are on their way: so many of them.
    auto row = live.row;
    row.record.replicaCount = replicas;
    return reattachLive(live, std::move(row));
}

Status ServingService::reattach(const std::string& id, const std::string& trainerJob)
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_deployments.find(id);
    if (found == m_deployments.end())
        return unknownDeployment(id);
    auto row = found->second.row;
    if (row.record.hotLoadTrainerJob == trainerJob)
        return done();
    row.record.hotLoadTrainerJob = trainerJob;
    return reattachLive(found->second, std::move(row));
}

Status ServingService::scaleLive(Live& live, int replicas)
{
    const auto& id = live.row.id;
    const auto present = static_cast<int>(live.replicas.size());
    auto states = live.replicas;
    auto row = live.row;
    row.record.replicaCount = replicas;
    row.record.updated = m_store.now();
    if (replicas < present)
        states.resize(static_cast<std::size_t>(replicas));
    const auto sibling = present > 0 ? live.replicas.front() : nullptr;
    for (auto& fresh : freshReplicas(id, present, std::max(0, replicas - present))) {
        auto state = std::make_shared<ReplicaState>();
        fresh.serial = row.targetSerial;
        if (sibling && !sibling->row.folder.empty()) {
            fresh.folder = m_store.freshFolder(
                "replicas/" + id + "/" + std::to_string(fresh.index) + "/" + sibling->row.snapshot);
            auto copied = copyFolderSafely(
                m_store.absolute(sibling->row.folder), m_store.absolute(fresh.folder));
            if (!copied)
                return copied;
            fresh.snapshot = sibling->row.snapshot;
            state->stage = "ready";
            state->isAdapter = sibling->isAdapter;
        }
        state->row = fresh;
        states.push_back(std::move(state));
    }
    std::vector<ReplicaRow> rows;
    for (const auto& state : states)
        rows.push_back(state->row);
    if (auto status = m_store.replaceReplicas(row, rows); !status)
        return status;
    live.row = std::move(row);
    live.replicas = std::move(states);
    for (int i = replicas; i < present; ++i)
        removeTree(m_store.absolute("replicas/" + id + "/" + std::to_string(i)));
    return done();
}

Status ServingService::reattachLive(Live& live, DeploymentRow row)
{
    row.record.updated = m_store.now();
    row.targetIdentity.clear();
    row.targetFolder.clear();
    row.targetParent.clear();
    ++row.targetSerial; // loads in flight end without effect
    auto rows = freshReplicas(row.id, 0, row.record.replicaCount.value_or(1));
    for (auto& replica : rows)
        replica.serial = row.targetSerial;
    if (auto status = m_store.replaceReplicas(row, rows); !status)
        return status;
    const auto old = std::move(live.replicas);
    live.replicas.clear();
    live.row = std::move(row);
    live.isUpdating = true;
    m_loaders.post([this, id = live.row.id, serial = live.row.targetSerial] {
        try {
            bringUp(id, serial);
        } catch (const std::exception& problem) {
            logLine(LogLevel::Error,
                "the replicas of deployment " + id + " did not come up: " + problem.what());
        }
    });
    for (const auto& state : old)
        if (!state->row.folder.empty() && !state->isLoading)
            removeTree(m_store.absolute(state->row.folder));
    return done();
}

/// New pods, once the base model is open.
void ServingService::bringUp(const std::string& id, std::int64_t serial)
{
    std::string baseModel;
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_deployments.find(id);
        if (found == m_deployments.end() || found->second.row.targetSerial != serial)
            return;
        baseModel = found->second.row.record.baseModel;
    }
    auto model = openBase(baseModel);
    if (!model)
        logLine(LogLevel::Warning, "deployment " + id + ": " + model.error().message);
    auto rows = m_store.replicas(id);
    const std::scoped_lock lock(m_mutex);
    const auto found = m_deployments.find(id);
    if (found == m_deployments.end() || !found->second.isUpdating || !rows)
        return;
    auto& live = found->second;
    live.isUpdating = false;
    for (auto& row : *rows) {
        auto state = std::make_shared<ReplicaState>();
        state->row = std::move(row);
        if (model)
            state->model = *model;
        live.replicas.push_back(std::move(state));
    }
}

} // namespace desk::local
