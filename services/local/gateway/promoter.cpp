// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/gateway/promoter.h"

#include "services/codecs/hf_codec.h"
#include "services/core/resource_name.h"
#include "services/local/objects/files.h"
#include "services/local/server/auth.h"
#include "services/local/server/log.h"
#include "services/local/trainer/wire_convert.h"

namespace desk::local {

namespace {

    constexpr int kGrpcInternal = 13;
    constexpr std::uint64_t kMaxAdapterConfig = std::uint64_t { 1 } << 20;

    Error refusedPromotion(std::string message, std::string next)
    {
        return Error { Error::Code::Refused, std::move(message), "nothing was promoted",
            std::move(next), {} };
    }

    Error badPromotion(std::string message, std::string next)
    {
        auto error = refusedPromotion(std::move(message), std::move(next));
        error.code = Error::Code::Usage;
        return error;
    }

    /// The same model in full or by its id alone.
    bool isSameModel(const std::string& a, const std::string& b)
    {
        return a == b || a == lastSegment(b) || b == lastSegment(a);
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
        const auto job = parseJobName(request.trainerJob);
        if (job && job->account != m_store.account())
            return Error { Error::Code::NotFound, "there is no account " + job->account + " here",
                "nothing was promoted", {}, {} };
        return m_store.checkpoint(std::string(lastSegment(request.trainerJob)), checkpoint);
    }
    // The oldest form names the deployment that the trainer fed (gateway.md section 3.2).
    if (!request.hotLoadDeployment.empty()) {
        const auto id = std::string(lastSegment(request.hotLoadDeployment));
        if (const auto deployment = m_store.deployment(id);
            deployment && !deployment->record.hotLoadTrainerJob.empty()) {
            const auto job = std::string(lastSegment(deployment->record.hotLoadTrainerJob));
            if (auto row = m_store.checkpoint(job, checkpoint))
                return row;
        }
    }
    return m_store.snapshot(checkpoint);
}

Result<OperationRow> Promoter::promote(const std::string& checkpoint, const Promote& request)
{
    const auto id = std::string(lastSegment(request.outputModel));
    if (request.outputModel != modelName(m_store.account(), id))
        return badPromotion("output_model '" + request.outputModel + "' is not accounts/"
                + m_store.account() + "/models/<id>",
            "send the full name of the new model");
    if (const auto problems = validateOutputModelId(id); !problems.empty())
        return badPromotion(problems.front(), "choose another model id");
    auto row = findCheckpoint(checkpoint, request);
    if (!row)
        return row.error();
    if (!row->record.isPromotable)
        return refusedPromotion("the checkpoint " + row->id + " is not promotable: it is a "
                + kindWord(row->record.type),
            row->record.type == CheckpointType::InferenceArcV2
                ? "promote a base save: a delta alone is no model"
                : "promote a base or LoRA save: a state holds the optimizer's numbers, too");
    if (!isSameModel(request.baseModel, row->baseModel))
        return badPromotion("the checkpoint " + row->id + " is of " + row->baseModel + ", not of "
                + (request.baseModel.empty() ? "nothing" : request.baseModel),
            "send base_model " + row->baseModel);
    if (auto model = m_store.model(id); model && model->model.promotedFrom != row->record.name)
        return Error { Error::Code::Conflict, "the model " + id + " exists", "nothing was promoted",
            "choose another model id, or delete that model", {} };
    OperationRow fresh;
    fresh.id = "promote-" + randomHex(12);
    fresh.checkpoint = row->record.name;
    fresh.model = request.outputModel;
    fresh.baseModel = row->baseModel;
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
        tellEnded(row.id);
        return;
    }
    logLine(model ? LogLevel::Info : LogLevel::Warning,
        "promotion of " + row.checkpoint + " to " + row.model + ": " + ended.statusMessage
            + (model ? "" : ", " + ended.errorMessage));
    tellEnded(row.id);
}

void Promoter::tellEnded(const std::string& operation)
{
    std::vector<std::function<void()>> ready;
    {
        const std::scoped_lock lock(m_mutex);
        const auto [first, last] = m_waiting.equal_range(operation);
        for (auto entry = first; entry != last; ++entry)
            ready.push_back(std::move(entry->second));
        m_waiting.erase(first, last);
    }
    for (const auto& run : ready)
        run();
}

void Promoter::whenEnded(const std::string& operation, std::function<void()> run)
{
    {
        const std::scoped_lock lock(m_mutex);
        // Asked under the lock: an end between question and entry would never be told.
        const auto row = m_store.operation(operation);
        if (row && !row->isDone) {
            m_waiting.emplace(operation, std::move(run));
            return;
        }
    }
    run();
}

Result<Model> Promoter::describeModel(
    const OperationRow& row, const CheckpointRow& checkpoint) const
{
    Model model;
    // What the base model says of itself holds for what was made of it (reference page).
    if (auto base = m_store.namedModel(row.baseModel))
        model = base->model;
    model.name = row.model;
    model.displayName = std::string(lastSegment(row.model));
    model.kind = "HF_BASE_MODEL";
    model.state = "READY";
    model.baseModel = row.baseModel;
    model.promotedFrom = row.checkpoint;
    model.fineTuningJob = JobName { m_store.account(), checkpoint.job }.toString();
    model.created.reset();
    model.path.clear();
    if (checkpoint.record.type != CheckpointType::InferenceLora)
        return model;
    const auto file = m_store.absolute(checkpoint.folder) / "adapter_config.json";
    auto text = readSmallFile(file, kMaxAdapterConfig);
    if (!text)
        return text.error();
    auto adapter = parseHfAdapter(*text);
    if (!adapter)
        return adapter.error();
    model.kind = "HF_PEFT_ADDON";
    model.adapterRank = static_cast<int>(adapter->rank);
    model.adapterTargets = adapter->targetModules;
    return model;
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
    auto described = describeModel(row, *checkpoint);
    if (!described)
        return described.error();
    ModelRow model;
    model.id = std::string(lastSegment(row.model));
    model.model = *std::move(described);
    model.folder = m_store.freshFolder("models/" + model.id);
    auto copied = copyFolderSafely(m_store.absolute(checkpoint->folder),
        m_store.absolute(model.folder), [this] { return m_isStopping.load(); });
    if (!copied)
        return copied.error();
    model.job = name->job;
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
