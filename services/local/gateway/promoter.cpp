// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/gateway/promoter.h"

#include "services/core/resource_name.h"
#include "services/local/objects/files.h"
#include "services/local/server/auth.h"
#include "services/local/server/log.h"
#include "services/local/trainer/wire_convert.h"

namespace desk::local {

namespace {

    constexpr int kGrpcInternal = 13;

    Error refusedPromotion(std::string message, std::string next)
    {
        return Error { Error::Code::Refused, std::move(message), "nothing was promoted",
            std::move(next), {} };
    }

} // namespace

Promoter::Promoter(ObjectStore& store, TaskPool& pool)
    : m_store(store)
    , m_pool(pool)
{
}

Status Promoter::start()
{
    auto open = m_store.openOperations();
    if (!open)
        return open.error();
    for (const auto& row : *open)
        m_pool.post([this, row] { run(row); });
    return done();
}

Result<CheckpointRow> Promoter::findCheckpoint(
    const std::string& checkpoint, const Promote& request) const
{
    if (!request.trainerJob.empty()) {
        const auto job = std::string(lastSegment(request.trainerJob));
        return m_store.checkpoint(job, checkpoint);
    }
    return m_store.snapshot(checkpoint);
}

Result<OperationRow> Promoter::promote(const std::string& checkpoint, const Promote& request)
{
    const auto id = std::string(lastSegment(request.outputModel));
    if (request.outputModel != modelName(m_store.account(), id))
        return refusedPromotion("output_model '" + request.outputModel + "' is not accounts/"
                + m_store.account() + "/models/<id>",
            "send the full name of the new model");
    if (const auto problems = validateOutputModelId(id); !problems.empty())
        return refusedPromotion(problems.front(), "choose another model id");
    auto row = findCheckpoint(checkpoint, request);
    if (!row)
        return row.error();
    if (!row->record.isPromotable)
        return refusedPromotion("the checkpoint " + row->id + " is not promotable: it is a "
                + kindWord(row->record.type),
            "promote a base save");
    if (request.baseModel != row->baseModel)
        return refusedPromotion("the checkpoint " + row->id + " is of " + row->baseModel
                + ", not of " + (request.baseModel.empty() ? "nothing" : request.baseModel),
            "send base_model " + row->baseModel);
    if (auto model = m_store.model(id); model && model->model.promotedFrom != row->record.name)
        return Error { Error::Code::Conflict, "the model " + id + " exists", "nothing was promoted",
            "choose another model id, or delete that model", {} };
    OperationRow fresh;
    fresh.id = "promote-" + randomHex(12);
    fresh.checkpoint = row->record.name;
    fresh.model = request.outputModel;
    fresh.baseModel = request.baseModel;
    fresh.statusMessage = "queued";
    auto operation = m_store.beginPromotion(fresh);
    if (operation && operation->isDone && !operation->errorMessage.empty()) {
        // The last attempt failed: this is a new one, not a repetition of the same request.
        if (auto status = m_store.forgetOperation(operation->id); !status)
            return status.error();
        operation = m_store.beginPromotion(fresh);
    }
    if (!operation)
        return operation;
    if (operation->id == fresh.id)
        m_pool.post([this, work = *operation] { run(work); });
    return operation;
}

void Promoter::run(const OperationRow& row)
{
    if (m_isStopping)
        return;
    auto model = copy(row);
    if (m_isStopping && !model)
        return; // the next start goes on
    auto ended = row;
    ended.isDone = true;
    std::optional<ModelRow> created;
    if (model) {
        ended.statusMessage = "done";
        created = *model;
    } else {
        ended.statusMessage = "failed";
        ended.errorMessage = wireMessage(model.error());
        ended.errorCode = kGrpcInternal;
    }
    auto status = m_store.endOperation(ended, created);
    if (!status) {
        logLine(LogLevel::Error, "promotion " + row.id + ": " + status.error().message);
        if (model)
            removeTree(m_store.absolute(model->folder));
        return;
    }
    logLine(model ? LogLevel::Info : LogLevel::Warning,
        "promotion of " + row.checkpoint + " to " + row.model + ": " + ended.statusMessage
            + (model ? "" : ", " + ended.errorMessage));
}

Result<ModelRow> Promoter::copy(const OperationRow& row)
{
    auto name = parseCheckpointName(row.checkpoint);
    if (!name)
        return name.error();
    auto checkpoint = m_store.checkpoint(name->job, name->checkpoint, CheckpointSpace::Sampler);
    if (!checkpoint)
        return checkpoint.error();
    if (auto status = m_store.setOperationMessage(row.id, "copying weights"); !status)
        return status.error();
    ModelRow model;
    model.id = std::string(lastSegment(row.model));
    model.folder = m_store.freshFolder("models/" + model.id);
    auto copied = copyFolderSafely(m_store.absolute(checkpoint->folder),
        m_store.absolute(model.folder), [this] { return m_isStopping.load(); });
    if (!copied)
        return copied.error();
    model.job = name->job;
    model.model.name = row.model;
    model.model.displayName = model.id;
    model.model.kind = "HF_BASE_MODEL";
    model.model.state = "READY";
    model.model.baseModel = row.baseModel;
    model.model.promotedFrom = row.checkpoint;
    return model;
}

LongOperation Promoter::describe(const OperationRow& row) const
{
    LongOperation operation;
    operation.name = "accounts/" + m_store.account() + "/operations/" + row.id;
    operation.isDone = row.isDone;
    operation.statusMessage = row.statusMessage;
    if (!row.isDone)
        return operation;
    if (!row.errorMessage.empty()) {
        operation.error = Error { Error::Code::Backend, row.errorMessage, {}, {}, {} };
        return operation;
    }
    if (auto model = m_store.model(std::string(lastSegment(row.model))))
        operation.response = model->model;
    return operation;
}

} // namespace desk::local
