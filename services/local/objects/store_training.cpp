// SPDX-License-Identifier: GPL-3.0-or-later
// Jobs and checkpoints of the object store.
#include "services/codecs/rest_codec.h"
#include "services/core/resource_name.h"
#include "services/local/objects/files.h"
#include "services/local/objects/object_store.h"

namespace desk::local {

namespace {

    constexpr const char* kJobColumns =
        "SELECT id, display_name, state, message, base_model, lora_rank, learning_rate, "
        "max_context, "
        "created, completed, created_by, hot_load_deployment, deleted, details FROM jobs ";
    constexpr const char* kCheckpointColumns =
        "SELECT job, id, space, type, created, updated, expires, promotable, parent, step, size, "
        "base_size, changed, folder, base_model, lora_rank, run, public, metadata FROM checkpoints "
        "WHERE (expires IS NULL OR expires > ?1) AND ";

    std::optional<std::uint64_t> storedSize(const Database::Row& row, int column)
    {
        const auto value = row.optionalInteger(column);
        return value ? std::optional(static_cast<std::uint64_t>(*value)) : std::nullopt;
    }

    SqlValue sqlSize(const std::optional<std::uint64_t>& size)
    {
        return size ? SqlValue(static_cast<std::int64_t>(*size)) : SqlValue();
    }

    Error missingRow(const std::string& what)
    {
        return Error { Error::Code::NotFound, what + " was not found", "nothing was changed", {},
            {} };
    }

    Status changedOne(const Result<std::int64_t>& changed, const std::string& what)
    {
        if (!changed)
            return changed.error();
        return *changed > 0 ? done() : Status(missingRow(what));
    }

    template <class Row>
    Result<Row> onlyRow(Result<std::vector<Row>> rows, const std::string& what)
    {
        if (!rows)
            return rows.error();
        if (rows->empty())
            return missingRow(what);
        return std::move(rows->front());
    }

} // namespace

const char* spaceWord(CheckpointSpace space) noexcept
{
    switch (space) {
    case CheckpointSpace::State:
        return "weights";
    case CheckpointSpace::Sampler:
        return "sampler_weights";
    case CheckpointSpace::External:
        break;
    }
    return "external_weights";
}

std::optional<CheckpointSpace> spaceFrom(std::string_view word) noexcept
{
    for (const auto space :
        { CheckpointSpace::State, CheckpointSpace::Sampler, CheckpointSpace::External })
        if (word == spaceWord(space))
            return space;
    return std::nullopt;
}

Status ObjectStore::addJob(const JobRow& row)
{
    const auto& job = row.job;
    auto message = job.statusMessage;
    if (message.empty() && m_standInNote)
        message = m_standInNote(job.baseModel);
    const std::scoped_lock lock(m_mutex);
    auto added =
        m_database->run("INSERT INTO jobs VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,NULL,?13)",
            { row.id, job.displayName, std::string(toString(job.state)), message, job.baseModel,
                std::int64_t { job.loraRank }, sqlOptional(job.learningRate),
                sqlOptional(job.maxContextLength), sqlTime(job.created.value_or(m_clock.now())),
                sqlOptional(job.completed), job.createdBy, job.hotLoadDeploymentId, job.json });
    if (added)
        return done();
    if (added.error().code == Error::Code::Conflict)
        return Error { Error::Code::Conflict, "the trainer job " + row.id + " exists",
            "nothing was created", "use it, or choose another id", {} };
    return added.error();
}

Result<std::vector<JobRow>> ObjectStore::selectJobs(
    const char* sql, std::initializer_list<SqlValue> values) const
{
    const std::scoped_lock lock(m_mutex);
    std::vector<JobRow> rows;
    const auto query = std::string(kJobColumns) + sql;
    auto status = m_database->select(query.c_str(), values, [&](const Database::Row& row) {
        JobRow entry;
        entry.id = row.text(0);
        auto& job = entry.job;
        job.name = JobName { m_account, entry.id }.toString();
        job.displayName = row.text(1);
        job.stateText = row.text(2);
        job.state = jobStateFrom(job.stateText);
        job.statusMessage = row.text(3);
        job.baseModel = row.text(4);
        job.loraRank = static_cast<int>(row.integer(5));
        job.learningRate = row.optionalReal(6);
        job.maxContextLength = row.optionalInteger(7);
        job.created = row.time(8);
        job.completed = row.time(9);
        job.createdBy = row.text(10);
        job.hotLoadDeploymentId = row.text(11);
        entry.deleted = row.time(12);
        job.json = row.text(13);
        rows.push_back(std::move(entry));
    });
    if (!status)
        return status.error();
    return rows;
}

Result<JobRow> ObjectStore::job(const std::string& id) const
{
    return onlyRow(selectJobs("WHERE id=?1", { id }), "the trainer job " + id);
}

Result<std::vector<JobRow>> ObjectStore::jobs(bool withTombstones) const
{
    return selectJobs(withTombstones ? "ORDER BY created DESC, id"
                                     : "WHERE deleted IS NULL ORDER BY created DESC, id",
        {});
}

Status ObjectStore::setJobState(const std::string& id, JobState state, std::string message)
{
    const bool isOver =
        state == JobState::Completed || state == JobState::Cancelled || state == JobState::Failed;
    if (message.empty() && m_standInNote)
        if (const auto row = job(id)) // what plays the base model is never left unsaid
            message = m_standInNote(row->job.baseModel);
    const std::scoped_lock lock(m_mutex);
    return changedOne(
        m_database->run(
            "UPDATE jobs SET state=?2, message=?3, completed=?4 WHERE id=?1 AND deleted IS NULL",
            { id, std::string(toString(state)), std::move(message),
                isOver ? SqlValue(sqlTime(m_clock.now())) : SqlValue() }),
        "the trainer job " + id);
}

Status ObjectStore::buryJob(const std::string& id)
{
    const std::scoped_lock lock(m_mutex);
    auto changed = m_database->run(
        "UPDATE jobs SET state='JOB_STATE_ARCHIVED', deleted=?2, completed=COALESCE(completed,?2), "
        "message='Archived. Resources released.' WHERE id=?1 AND deleted IS NULL",
        { id, sqlTime(m_clock.now()) });
    return changed ? done() : Status(changed.error());
}

Status ObjectStore::addCheckpoint(const CheckpointRow& row, bool replacesState)
{
    const auto& record = row.record;
    const auto now = sqlTime(m_clock.now());
    std::string replaced;
    {
        const std::scoped_lock lock(m_mutex);
        auto status = m_database->transaction([&]() -> Status {
            if (replacesState) {
                auto found = m_database->select(
                    "SELECT folder FROM checkpoints WHERE job=?1 AND space=?2 AND id=?3",
                    { row.job, std::string(spaceWord(row.space)), row.id },
                    [&](const Database::Row& old) { replaced = old.text(0); });
                if (!found)
                    return found;
                auto removed =
                    m_database->run("DELETE FROM checkpoints WHERE job=?1 AND space=?2 AND id=?3",
                        { row.job, std::string(spaceWord(row.space)), row.id });
                if (!removed)
                    return removed.error();
            }
            auto added = m_database->run(
                "INSERT INTO checkpoints(job,id,space,type,created,updated,expires,promotable,"
                "parent,step,size,base_size,changed,folder,base_model,lora_rank,run,public,"
                "metadata) "
                "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19)",
                { row.job, row.id, std::string(spaceWord(row.space)),
                    std::string(toString(record.type)),
                    record.created ? SqlValue(sqlTime(*record.created)) : SqlValue(now), now,
                    sqlOptional(record.expires), std::int64_t { record.isPromotable ? 1 : 0 },
                    record.parent, sqlOptional(record.step), sqlSize(record.sizeBytes),
                    sqlSize(record.baseBytes), sqlOptional(record.changedFraction), row.folder,
                    row.baseModel, std::int64_t { row.loraRank }, row.run,
                    std::int64_t { row.isPublic ? 1 : 0 }, encodeMetadata(row.userMetadata) });
            return added ? done() : Status(added.error());
        });
        if (!status)
            return status;
    }
    if (!replaced.empty() && replaced != row.folder)
        removeTree(absolute(replaced));
    return done();
}

Result<std::vector<CheckpointRow>> ObjectStore::selectCheckpoints(
    const char* sql, std::initializer_list<SqlValue> values) const
{
    const std::scoped_lock lock(m_mutex);
    std::vector<CheckpointRow> rows;
    const auto query = std::string(kCheckpointColumns) + sql;
    auto status = m_database->select(query.c_str(), values, [&](const Database::Row& row) {
        CheckpointRow entry;
        entry.job = row.text(0);
        entry.id = row.text(1);
        entry.space = spaceFrom(row.text(2)).value_or(CheckpointSpace::Sampler);
        auto& record = entry.record;
        record.name = CheckpointName { m_account, entry.job, entry.id }.toString();
        record.typeText = row.text(3);
        record.type = checkpointTypeFrom(record.typeText);
        record.created = row.time(4);
        record.updated = row.time(5);
        record.expires = row.time(6);
        record.isPromotable = row.integer(7) != 0;
        record.parent = row.text(8);
        record.step = row.optionalInteger(9);
        record.sizeBytes = storedSize(row, 10);
        record.baseBytes = storedSize(row, 11);
        record.changedFraction = row.optionalReal(12);
        entry.folder = row.text(13);
        entry.baseModel = row.text(14);
        entry.loraRank = static_cast<int>(row.integer(15));
        entry.run = row.text(16);
        entry.isPublic = row.integer(17) != 0;
        entry.userMetadata = decodeMetadata(row.text(18));
        record.path = absolute(entry.folder).string();
        if (entry.space == CheckpointSpace::State)
            record.restoreReference = "cross_job://" + entry.job + "/" + entry.id;
        rows.push_back(std::move(entry));
    });
    if (!status)
        return status.error();
    return rows;
}

Result<CheckpointRow> ObjectStore::checkpoint(const std::string& job, const std::string& id) const
{
    return onlyRow(
        selectCheckpoints("job=?2 AND id=?3 ORDER BY space='sampler_weights' DESC, space DESC "
                          "LIMIT 1",
            { sqlTime(now()), job, id }),
        "the checkpoint " + id + " of job " + job);
}

Result<CheckpointRow> ObjectStore::checkpoint(
    const std::string& job, const std::string& id, CheckpointSpace space) const
{
    return onlyRow(selectCheckpoints("job=?2 AND id=?3 AND space=?4",
                       { sqlTime(now()), job, id, std::string(spaceWord(space)) }),
        "the checkpoint " + id + " of job " + job);
}

Result<std::vector<CheckpointRow>> ObjectStore::checkpoints(const std::string& job) const
{
    return selectCheckpoints("job=?2 ORDER BY created, serial", { sqlTime(now()), job });
}

Result<CheckpointRow> ObjectStore::checkpointOfRun(
    const std::string& run, CheckpointSpace space, const std::string& id) const
{
    return onlyRow(selectCheckpoints("run=?2 AND space=?3 AND id=?4 ORDER BY serial DESC LIMIT 1",
                       { sqlTime(now()), run, std::string(spaceWord(space)), id }),
        "the checkpoint " + std::string(spaceWord(space)) + "/" + id + " of run " + run);
}

Result<std::vector<CheckpointRow>> ObjectStore::checkpointsOfRun(const std::string& run) const
{
    return selectCheckpoints("run=?2 ORDER BY created, serial", { sqlTime(now()), run });
}

Result<std::vector<CheckpointRow>> ObjectStore::allCheckpoints() const
{
    return selectCheckpoints("TRUE ORDER BY created DESC, serial DESC", { sqlTime(now()) });
}

Result<CheckpointRow> ObjectStore::newestSampler(const std::string& job) const
{
    return onlyRow(selectCheckpoints("job=?2 AND space='sampler_weights' "
                                     "ORDER BY serial DESC LIMIT 1",
                       { sqlTime(now()), job }),
        "a base or delta save of job " + job);
}

std::optional<CheckpointRow> ObjectStore::newestSave(const std::string& job) const
{
    auto rows =
        selectCheckpoints("job=?2 AND space<>'external_weights' ORDER BY serial DESC LIMIT 1",
            { sqlTime(now()), job });
    if (!rows || rows->empty())
        return std::nullopt;
    return rows->front();
}

Result<CheckpointRow> ObjectStore::snapshot(const std::string& identity) const
{
    return onlyRow(selectCheckpoints("id=?2 AND space='sampler_weights' "
                                     "ORDER BY serial DESC LIMIT 1",
                       { sqlTime(now()), identity }),
        "the snapshot " + identity);
}

Status ObjectStore::removeCheckpoint(const CheckpointRow& row)
{
    const std::string space = spaceWord(row.space);
    {
        const std::scoped_lock lock(m_mutex);
        std::string standing;
        auto status = m_database->transaction([&]() -> Status {
            if (row.space == CheckpointSpace::Sampler) {
                auto found = m_database->select("SELECT id FROM checkpoints WHERE job=?1 AND "
                                                "parent=?2 AND space='sampler_weights' AND "
                                                "(expires IS NULL OR expires > ?3) LIMIT 1",
                    { row.job, row.id, sqlTime(m_clock.now()) },
                    [&](const Database::Row& delta) { standing = delta.text(0); });
                if (!found)
                    return found;
            }
            if (!standing.empty())
                return Error { Error::Code::Conflict,
                    "the delta " + standing + " stands on the checkpoint " + row.id,
                    "nothing was deleted", "delete " + standing + " first", {} };
            return changedOne(
                m_database->run("DELETE FROM checkpoints WHERE job=?1 AND space=?2 AND id=?3",
                    { row.job, space, row.id }),
                "the checkpoint " + row.id + " of job " + row.job);
        });
        if (!status)
            return status;
    }
    removeTree(absolute(row.folder));
    if (row.space == CheckpointSpace::Sampler)
        removeTree(absolute(fullWeightsFolder(row.job, row.id)));
    return done();
}

Status ObjectStore::setExpiry(const CheckpointRow& row, const std::optional<Time>& expires)
{
    const std::scoped_lock lock(m_mutex);
    const auto now = sqlTime(m_clock.now());
    return changedOne(
        m_database->run("UPDATE checkpoints SET expires=?4, updated=?5 WHERE job=?1 AND space=?2 "
                        "AND id=?3 AND (expires IS NULL OR expires > ?5)",
            { row.job, std::string(spaceWord(row.space)), row.id, sqlOptional(expires), now }),
        "the checkpoint " + row.id + " of job " + row.job);
}

Status ObjectStore::setPublic(const CheckpointRow& row, bool isPublic)
{
    const std::scoped_lock lock(m_mutex);
    return changedOne(
        m_database->run("UPDATE checkpoints SET public=?4 WHERE job=?1 AND space=?2 AND id=?3",
            { row.job, std::string(spaceWord(row.space)), row.id,
                std::int64_t { isPublic ? 1 : 0 } }),
        "the checkpoint " + row.id + " of job " + row.job);
}

} // namespace desk::local
