// SPDX-License-Identifier: GPL-3.0-or-later
// Models and promotions of the object store.
#include "services/codecs/gateway_codec.h"
#include "services/core/resource_name.h"
#include "services/local/objects/files.h"
#include "services/local/objects/object_store.h"

#include <algorithm>

namespace desk::local {

namespace {

    constexpr const char* kModelColumns = "SELECT id, display_name, kind, state, base_model, "
                                          "created, updated, folder, promoted_from, "
                                          "is_base, job, details FROM models ";
    constexpr const char* kOperationColumns = "SELECT id, checkpoint, model, base_model, done, "
                                              "message, error, error_code FROM operations ";

    Error missingModelRow(const std::string& what)
    {
        return Error { Error::Code::NotFound, what + " was not found", "nothing was changed", {},
            {} };
    }

    Status ran(const Result<std::int64_t>& changed)
    {
        return changed ? done() : Status(changed.error());
    }

} // namespace

Status ObjectStore::writeModel(const ModelRow& row)
{
    const auto now = sqlTime(m_clock.now());
    auto details = row.model;
    details.name = modelName(m_account, row.id); // without a name nothing is read back
    return ran(m_database->run("INSERT INTO models VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12) "
                               "ON CONFLICT(id) DO UPDATE SET folder=excluded.folder, "
                               "details=excluded.details, updated=excluded.updated "
                               "WHERE is_base=1",
        { row.id, row.model.displayName, row.model.kind, row.model.state, row.model.baseModel,
            row.model.created ? SqlValue(sqlTime(*row.model.created)) : SqlValue(now), now,
            row.folder, row.model.promotedFrom, std::int64_t { row.isBase ? 1 : 0 }, row.job,
            modelDetails(details) }));
}

Status ObjectStore::addModel(const ModelRow& row)
{
    const std::scoped_lock lock(m_mutex);
    return writeModel(row);
}

Result<std::vector<ModelRow>> ObjectStore::selectModels(
    const char* sql, std::initializer_list<SqlValue> values) const
{
    const std::scoped_lock lock(m_mutex);
    std::vector<ModelRow> rows;
    const auto query = std::string(kModelColumns) + sql;
    auto status = m_database->select(query.c_str(), values, [&](const Database::Row& row) {
        ModelRow entry;
        entry.id = row.text(0);
        auto& model = entry.model;
        if (auto details = decodeModel(row.text(11)))
            model = *std::move(details);
        model.name = modelName(m_account, entry.id);
        model.displayName = row.text(1);
        model.kind = row.text(2);
        model.state = row.text(3);
        model.baseModel = row.text(4);
        model.created = row.time(5);
        model.updated = row.time(6);
        entry.folder = row.text(7);
        model.promotedFrom = row.text(8);
        model.path = absolute(entry.folder).string();
        entry.isBase = row.integer(9) != 0;
        entry.job = row.text(10);
        rows.push_back(std::move(entry));
    });
    if (!status)
        return status.error();
    return rows;
}

Result<ModelRow> ObjectStore::model(const std::string& id) const
{
    auto rows = selectModels("WHERE id=?1", { id });
    if (!rows)
        return rows.error();
    if (rows->empty())
        return missingModelRow("the model " + id);
    return rows->front();
}

Result<std::vector<ModelRow>> ObjectStore::models() const
{
    return selectModels("ORDER BY is_base DESC, created, id", {});
}

Status ObjectStore::removeModel(const std::string& id)
{
    auto row = model(id);
    if (!row)
        return row.error();
    if (row->isBase)
        return Error { Error::Code::Refused, "the base model " + id + " cannot be deleted",
            "nothing was deleted", {}, {} };
    {
        const std::scoped_lock lock(m_mutex);
        auto status = m_database->transaction([&]() -> Status {
            if (auto gone = m_database->run("DELETE FROM models WHERE id=?1", { id }); !gone)
                return gone.error();
            // The same checkpoint may be promoted to this id again.
            return ran(m_database->run(
                "DELETE FROM operations WHERE model=?1", { modelName(m_account, id) }));
        });
        if (!status)
            return status;
    }
    removeTree(absolute(row->folder));
    return done();
}

Status ObjectStore::keepOnlyBaseModels(const std::vector<std::string>& ids)
{
    auto all = models();
    if (!all)
        return all.error();
    const std::scoped_lock lock(m_mutex);
    for (const auto& row : *all) {
        if (!row.isBase || std::find(ids.begin(), ids.end(), row.id) != ids.end())
            continue;
        if (auto gone = m_database->run("DELETE FROM models WHERE id=?1", { row.id }); !gone)
            return gone.error();
    }
    return done();
}

Result<std::vector<OperationRow>> ObjectStore::selectOperations(
    const char* sql, std::initializer_list<SqlValue> values) const
{
    const std::scoped_lock lock(m_mutex);
    std::vector<OperationRow> rows;
    const auto query = std::string(kOperationColumns) + sql;
    auto status = m_database->select(query.c_str(), values, [&](const Database::Row& row) {
        OperationRow entry;
        entry.id = row.text(0);
        entry.checkpoint = row.text(1);
        entry.model = row.text(2);
        entry.baseModel = row.text(3);
        entry.isDone = row.integer(4) != 0;
        entry.statusMessage = row.text(5);
        entry.errorMessage = row.text(6);
        entry.errorCode = static_cast<int>(row.integer(7));
        rows.push_back(std::move(entry));
    });
    if (!status)
        return status.error();
    return rows;
}

Result<OperationRow> ObjectStore::beginPromotion(const OperationRow& fresh)
{
    {
        const std::scoped_lock lock(m_mutex);
        const auto now = sqlTime(m_clock.now());
        auto added = m_database->run("INSERT INTO operations VALUES(?1,?2,?3,?4,0,?5,'',0,?6,?6) "
                                     "ON CONFLICT(checkpoint, model) DO NOTHING",
            { fresh.id, fresh.checkpoint, fresh.model, fresh.baseModel, fresh.statusMessage, now });
        if (!added)
            return added.error();
    }
    auto rows =
        selectOperations("WHERE checkpoint=?1 AND model=?2", { fresh.checkpoint, fresh.model });
    if (!rows)
        return rows.error();
    if (rows->empty())
        return missingModelRow("the promotion that was just recorded");
    return rows->front();
}

Result<OperationRow> ObjectStore::operation(const std::string& id) const
{
    auto rows = selectOperations("WHERE id=?1", { id });
    if (!rows)
        return rows.error();
    if (rows->empty())
        return missingModelRow("the operation " + id);
    return rows->front();
}

Result<std::vector<OperationRow>> ObjectStore::openOperations() const
{
    return selectOperations("WHERE done=0 ORDER BY created", {});
}

Status ObjectStore::setOperationMessage(const std::string& id, const std::string& message)
{
    const std::scoped_lock lock(m_mutex);
    return ran(m_database->run("UPDATE operations SET message=?2, updated=?3 WHERE id=?1",
        { id, message, sqlTime(m_clock.now()) }));
}

Status ObjectStore::endOperation(const OperationRow& row, const std::optional<ModelRow>& model)
{
    const std::scoped_lock lock(m_mutex);
    return m_database->transaction([&]() -> Status {
        if (model)
            if (auto status = writeModel(*model); !status)
                return status;
        return ran(m_database->run("UPDATE operations SET done=1, message=?2, error=?3, "
                                   "error_code=?4, updated=?5 WHERE id=?1",
            { row.id, row.statusMessage, row.errorMessage, std::int64_t { row.errorCode },
                sqlTime(m_clock.now()) }));
    });
}

Status ObjectStore::forgetOperation(const std::string& id)
{
    const std::scoped_lock lock(m_mutex);
    return ran(m_database->run("DELETE FROM operations WHERE id=?1", { id }));
}

} // namespace desk::local
