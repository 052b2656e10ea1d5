// SPDX-License-Identifier: GPL-3.0-or-later
// Sessions and training runs of the object store.
#include "services/codecs/rest_codec.h"
#include "services/local/objects/object_store.h"

namespace desk::local {

namespace {

    constexpr const char* kSessionColumns =
        "SELECT id, job, display_name, sdk, metadata, project, created, last_seen, ended, "
        "end_detail FROM sessions ";
    constexpr const char* kRunColumns =
        "SELECT id, session, job, base_model, lora_rank, attention, mlp, unembed, metadata, "
        "created, last_request, corrupted FROM runs ";

    Error missingRun(const std::string& what)
    {
        return Error { Error::Code::NotFound, what + " was not found", "nothing was changed", {},
            {} };
    }

    Status runsChanged(const Result<std::int64_t>& changed)
    {
        return changed ? done() : Status(changed.error());
    }

    std::int64_t flag(bool value)
    {
        return value ? 1 : 0;
    }

} // namespace

Status ObjectStore::putSession(const SessionRow& row)
{
    const std::scoped_lock lock(m_mutex);
    const auto now = m_clock.now();
    return runsChanged(
        m_database->run("INSERT OR REPLACE INTO sessions VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
            { row.id, row.job, row.displayName, row.sdkVersion, encodeMetadata(row.userMetadata),
                row.project, sqlTime(row.created.value_or(now)),
                sqlTime(row.lastSeen.value_or(now)), row.end, row.endDetail }));
}

Result<std::vector<SessionRow>> ObjectStore::selectSessions(
    const char* sql, std::initializer_list<SqlValue> values) const
{
    const std::scoped_lock lock(m_mutex);
    std::vector<SessionRow> rows;
    const auto query = std::string(kSessionColumns) + sql;
    auto status = m_database->select(query.c_str(), values, [&](const Database::Row& row) {
        SessionRow entry;
        entry.id = row.text(0);
        entry.job = row.text(1);
        entry.displayName = row.text(2);
        entry.sdkVersion = row.text(3);
        entry.userMetadata = decodeMetadata(row.text(4));
        entry.project = row.text(5);
        entry.created = row.time(6);
        entry.lastSeen = row.time(7);
        entry.end = row.text(8);
        entry.endDetail = row.text(9);
        rows.push_back(std::move(entry));
    });
    if (!status)
        return status.error();
    return rows;
}

Result<SessionRow> ObjectStore::session(const std::string& id) const
{
    auto rows = selectSessions("WHERE id=?1", { id });
    if (!rows)
        return rows.error();
    if (rows->empty())
        return missingRun("the session " + id);
    return std::move(rows->front());
}

Result<std::vector<SessionRow>> ObjectStore::sessions() const
{
    return selectSessions("ORDER BY created DESC, id", {});
}

Status ObjectStore::endSession(
    const std::string& id, const std::string& end, const std::string& detail)
{
    const std::scoped_lock lock(m_mutex);
    auto changed =
        m_database->run("UPDATE sessions SET ended=?2, end_detail=?3, last_seen=?4 WHERE id=?1",
            { id, end, detail, sqlTime(m_clock.now()) });
    if (changed && *changed == 0)
        return missingRun("the session " + id);
    return runsChanged(changed);
}

Status ObjectStore::putRun(const RunRow& row)
{
    const std::scoped_lock lock(m_mutex);
    const auto now = m_clock.now();
    return runsChanged(m_database->run(
        "INSERT OR REPLACE INTO runs VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
        { row.id, row.session, row.job, row.baseModel, std::int64_t { row.loraRank },
            flag(row.trainsAttention), flag(row.trainsMlp), flag(row.trainsUnembed),
            encodeMetadata(row.userMetadata), sqlTime(row.created.value_or(now)),
            sqlTime(row.lastRequest.value_or(now)), flag(row.isCorrupted) }));
}

Result<std::vector<RunRow>> ObjectStore::selectRuns(
    const char* sql, std::initializer_list<SqlValue> values) const
{
    const std::scoped_lock lock(m_mutex);
    std::vector<RunRow> rows;
    const auto query = std::string(kRunColumns) + sql;
    auto status = m_database->select(query.c_str(), values, [&](const Database::Row& row) {
        RunRow entry;
        entry.id = row.text(0);
        entry.session = row.text(1);
        entry.job = row.text(2);
        entry.baseModel = row.text(3);
        entry.loraRank = static_cast<int>(row.integer(4));
        entry.trainsAttention = row.integer(5) != 0;
        entry.trainsMlp = row.integer(6) != 0;
        entry.trainsUnembed = row.integer(7) != 0;
        entry.userMetadata = decodeMetadata(row.text(8));
        entry.created = row.time(9);
        entry.lastRequest = row.time(10);
        entry.isCorrupted = row.integer(11) != 0;
        rows.push_back(std::move(entry));
    });
    if (!status)
        return status.error();
    return rows;
}

Result<RunRow> ObjectStore::run(const std::string& id) const
{
    auto rows = selectRuns("WHERE id=?1", { id });
    if (!rows)
        return rows.error();
    if (rows->empty())
        return missingRun("the training run " + id);
    return std::move(rows->front());
}

Result<std::vector<RunRow>> ObjectStore::runs() const
{
    return selectRuns("ORDER BY created DESC, id", {});
}

Result<std::vector<RunRow>> ObjectStore::runsOf(const std::string& session) const
{
    return selectRuns("WHERE session=?1 ORDER BY created, id", { session });
}

Status ObjectStore::touchRun(const std::string& id)
{
    const std::scoped_lock lock(m_mutex);
    const auto now = sqlTime(m_clock.now());
    return m_database->transaction([&]() -> Status {
        auto run = m_database->run("UPDATE runs SET last_request=?2 WHERE id=?1", { id, now });
        auto session = m_database->run(
            "UPDATE sessions SET last_seen=?2 WHERE id IN (SELECT session FROM runs WHERE id=?1)",
            { id, now });
        return runsChanged(run ? session : run);
    });
}

} // namespace desk::local
