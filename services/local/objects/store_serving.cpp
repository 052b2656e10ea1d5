// SPDX-License-Identifier: GPL-3.0-or-later
// Deployments and replicas of the object store.
#include "services/codecs/gateway_codec.h"
#include "services/core/resource_name.h"
#include "services/local/objects/files.h"
#include "services/local/objects/object_store.h"

namespace desk::local {

namespace {

    constexpr const char* kDeploymentColumns =
        "SELECT id, display_name, base_model, state, replica_count, enables_hot_load, trainer_job, "
        "description, created, target_identity, target_folder, target_parent, target_serial, "
        "details FROM deployments ";

    Error missingDeployment(const std::string& id)
    {
        return Error { Error::Code::NotFound, "the deployment " + id + " was not found",
            "nothing was changed", {}, {} };
    }

    Status storedReplica(Database& database, const ReplicaRow& row)
    {
        auto changed =
            database.run("INSERT INTO replicas VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9) "
                         "ON CONFLICT(deployment, position) DO UPDATE SET pod=excluded.pod, "
                         "snapshot=excluded.snapshot, folder=excluded.folder, "
                         "serial=excluded.serial, failed_target=excluded.failed_target, "
                         "error=excluded.error, seconds=excluded.seconds",
                { row.deployment, std::int64_t { row.index }, row.pod, row.snapshot, row.folder,
                    row.serial, row.failedTarget, row.error, sqlOptional(row.seconds) });
        return changed ? done() : Status(changed.error());
    }

    /// The record as text; without a name nothing would be read back.
    std::string deploymentColumn(const DeploymentRow& row)
    {
        auto record = row.record;
        if (record.name.empty())
            record.name = row.id;
        return encodeDeployment(record);
    }

    Status storedDeployment(Database& database, const DeploymentRow& row)
    {
        const auto& record = row.record;
        auto changed = database.run(
            "UPDATE deployments SET display_name=?2, state=?3, replica_count=?4, trainer_job=?5, "
            "description=?6, target_identity=?7, target_folder=?8, target_parent=?9, "
            "target_serial=?10, details=?11 WHERE id=?1",
            { row.id, record.displayName, record.state,
                std::int64_t { record.replicaCount.value_or(1) }, record.hotLoadTrainerJob,
                row.description, row.targetIdentity, row.targetFolder, row.targetParent,
                row.targetSerial, deploymentColumn(row) });
        if (!changed)
            return changed.error();
        return *changed > 0 ? done() : Status(missingDeployment(row.id));
    }

} // namespace

Status ObjectStore::addDeployment(const DeploymentRow& row, const std::vector<ReplicaRow>& replicas)
{
    const auto& record = row.record;
    const std::scoped_lock lock(m_mutex);
    auto status = m_database->transaction([&]() -> Status {
        auto added = m_database->run(
            "INSERT INTO deployments VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,'','','',0,?10)",
            { row.id, record.displayName, record.baseModel, record.state,
                std::int64_t { record.replicaCount.value_or(1) },
                std::int64_t { record.enablesHotLoad ? 1 : 0 }, record.hotLoadTrainerJob,
                row.description, sqlTime(record.created.value_or(m_clock.now())),
                deploymentColumn(row) });
        if (!added)
            return added.error();
        for (const auto& replica : replicas)
            if (auto stored = storedReplica(*m_database, replica); !stored)
                return stored;
        return done();
    });
    if (!status && status.error().code == Error::Code::Conflict)
        return Error { Error::Code::Conflict, "the deployment " + row.id + " exists",
            "nothing was created", "use it, or choose another id", {} };
    return status;
}

Result<std::vector<DeploymentRow>> ObjectStore::selectDeployments(
    const char* sql, std::initializer_list<SqlValue> values) const
{
    const std::scoped_lock lock(m_mutex);
    std::vector<DeploymentRow> rows;
    const auto query = std::string(kDeploymentColumns) + sql;
    auto status = m_database->select(query.c_str(), values, [&](const Database::Row& row) {
        DeploymentRow entry;
        entry.id = row.text(0);
        auto& record = entry.record;
        if (auto details = decodeDeployment(row.text(13)))
            record = *std::move(details);
        record.readyReplicaCount.reset();
        record.name = deploymentName(m_account, entry.id);
        record.displayName = row.text(1);
        record.baseModel = row.text(2);
        record.state = row.text(3);
        record.replicaCount = static_cast<int>(row.integer(4));
        record.enablesHotLoad = row.integer(5) != 0;
        record.hotLoadTrainerJob = row.text(6);
        entry.description = row.text(7);
        record.description = entry.description;
        record.created = row.time(8);
        entry.targetIdentity = row.text(9);
        entry.targetFolder = row.text(10);
        entry.targetParent = row.text(11);
        entry.targetSerial = row.integer(12);
        rows.push_back(std::move(entry));
    });
    if (!status)
        return status.error();
    return rows;
}

Result<DeploymentRow> ObjectStore::deployment(const std::string& id) const
{
    auto rows = selectDeployments("WHERE id=?1", { id });
    if (!rows)
        return rows.error();
    if (rows->empty())
        return missingDeployment(id);
    return rows->front();
}

Result<std::vector<DeploymentRow>> ObjectStore::deployments() const
{
    return selectDeployments("ORDER BY created, id", {});
}

Status ObjectStore::updateDeployment(const DeploymentRow& row)
{
    const std::scoped_lock lock(m_mutex);
    return storedDeployment(*m_database, row);
}

Status ObjectStore::replaceReplicas(
    const DeploymentRow& row, const std::vector<ReplicaRow>& replicas)
{
    const std::scoped_lock lock(m_mutex);
    return m_database->transaction([&]() -> Status {
        if (auto status = storedDeployment(*m_database, row); !status)
            return status;
        auto gone = m_database->run("DELETE FROM replicas WHERE deployment=?1", { row.id });
        if (!gone)
            return gone.error();
        for (const auto& replica : replicas)
            if (auto stored = storedReplica(*m_database, replica); !stored)
                return stored;
        return done();
    });
}

Status ObjectStore::removeDeployment(const std::string& id)
{
    {
        const std::scoped_lock lock(m_mutex);
        auto gone = m_database->run("DELETE FROM deployments WHERE id=?1", { id });
        if (!gone)
            return gone.error();
        if (*gone == 0)
            return missingDeployment(id);
    }
    removeTree(absolute("replicas/" + id));
    return done();
}

Result<std::vector<ReplicaRow>> ObjectStore::replicas(const std::string& deployment) const
{
    const std::scoped_lock lock(m_mutex);
    std::vector<ReplicaRow> rows;
    auto status = m_database->select(
        "SELECT deployment, position, pod, snapshot, folder, serial, failed_target, error, seconds "
        "FROM replicas WHERE deployment=?1 ORDER BY position",
        { deployment }, [&](const Database::Row& row) {
            ReplicaRow entry;
            entry.deployment = row.text(0);
            entry.index = static_cast<int>(row.integer(1));
            entry.pod = row.text(2);
            entry.snapshot = row.text(3);
            entry.folder = row.text(4);
            entry.serial = row.integer(5);
            entry.failedTarget = row.text(6);
            entry.error = row.text(7);
            entry.seconds = row.optionalReal(8);
            rows.push_back(std::move(entry));
        });
    if (!status)
        return status.error();
    return rows;
}

Status ObjectStore::updateReplica(const ReplicaRow& row)
{
    const std::scoped_lock lock(m_mutex);
    return storedReplica(*m_database, row);
}

Status ObjectStore::addLoad(const std::string& deployment, const LedgerEntry& entry)
{
    const std::scoped_lock lock(m_mutex);
    return m_database->transaction([&]() -> Status {
        auto added = m_database->run(
            "INSERT INTO loads(deployment,at,identity,replica,delta,error,seconds) "
            "SELECT ?1,?2,?3,?4,?5,?6,?7 WHERE EXISTS(SELECT 1 FROM deployments WHERE id=?1)",
            { deployment, sqlTime(entry.at), entry.identity, entry.replica,
                std::int64_t { entry.isDelta ? 1 : 0 }, entry.error, sqlOptional(entry.seconds) });
        if (!added)
            return added.error();
        auto trimmed = m_database->run(
            "DELETE FROM loads WHERE deployment=?1 AND serial <= (SELECT serial FROM loads WHERE "
            "deployment=?1 ORDER BY serial DESC LIMIT 1 OFFSET 500)",
            { deployment });
        return trimmed ? done() : Status(trimmed.error());
    });
}

Result<std::vector<LedgerEntry>> ObjectStore::loads(const std::string& deployment) const
{
    const std::scoped_lock lock(m_mutex);
    std::vector<LedgerEntry> entries;
    auto status = m_database->select("SELECT at, identity, replica, delta, error, seconds FROM "
                                     "loads WHERE deployment=?1 ORDER BY serial DESC LIMIT 500",
        { deployment }, [&](const Database::Row& row) {
            LedgerEntry entry;
            entry.at = row.time(0).value_or(Time {});
            entry.identity = row.text(1);
            entry.replica = row.text(2);
            entry.isDelta = row.integer(3) != 0;
            entry.error = row.text(4);
            entry.seconds = row.optionalReal(5);
            entries.push_back(std::move(entry));
        });
    if (!status)
        return status.error();
    return entries;
}

Status ObjectStore::forgetLoads(const std::string& deployment)
{
    const std::scoped_lock lock(m_mutex);
    auto gone = m_database->run("DELETE FROM loads WHERE deployment=?1", { deployment });
    return gone ? done() : Status(gone.error());
}

} // namespace desk::local
