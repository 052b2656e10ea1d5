// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/trainer/snapshot_writer.h"

#include "services/core/resource_name.h"
#include "services/delta/engine.h"
#include "services/local/objects/files.h"
#include "services/local/server/log.h"

#include <algorithm>
#include <system_error>
#include <vector>

namespace desk::local {

namespace fs = std::filesystem;

namespace {

    constexpr std::string_view kWeightSuffix = ".safetensors";

    Error refusedSave(std::string message, std::string next)
    {
        return Error { Error::Code::Refused, std::move(message), "nothing was saved",
            std::move(next), {} };
    }

    /// Removes a folder unless it was kept: a failed save leaves nothing under a final name.
    class FolderGuard
    {
    public:
        explicit FolderGuard(fs::path folder)
            : m_folder(std::move(folder))
        {
        }
        FolderGuard(const FolderGuard&) = delete;
        FolderGuard& operator=(const FolderGuard&) = delete;
        ~FolderGuard()
        {
            if (!m_folder.empty())
                removeTree(m_folder);
        }
        void keep() { m_folder.clear(); }

    private:
        fs::path m_folder;
    };

} // namespace

SnapshotWriter::SnapshotWriter(ObjectStore& store, ConfirmedIdentity confirmed)
    : m_store(store)
    , m_confirmed(std::move(confirmed))
{
}

CheckpointRow SnapshotWriter::rowFor(
    const SaveOrder& order, CheckpointSpace space, CheckpointType type) const
{
    CheckpointRow row;
    row.job = order.job;
    row.id = order.name;
    row.baseModel = order.baseModel;
    row.run = order.run;
    row.userMetadata = order.userMetadata;
    row.record.name = CheckpointName { m_store.account(), order.job, order.name }.toString();
    row.space = space;
    row.record.type = type;
    row.record.isPromotable = space == CheckpointSpace::Sampler
        && (type == CheckpointType::InferenceBase || type == CheckpointType::InferenceLora);
    row.record.created = m_store.now();
    if (order.ttlSeconds)
        row.record.expires = m_store.now() + std::chrono::seconds(*order.ttlSeconds);
    const auto* room = space == CheckpointSpace::State ? "/state/"
        : space == CheckpointSpace::Sampler            ? "/sampler/"
                                                       : "/external/";
    row.folder = m_store.freshFolder(ObjectStore::jobFolder(order.job) + room + order.name);
    row.record.path = m_store.absolute(row.folder).string();
    return row;
}

Status SnapshotWriter::checkNew(const SaveOrder& order, CheckpointSpace space) const
{
    if (m_store.checkpoint(order.job, order.name, space))
        return Error { Error::Code::Conflict,
            "the snapshot " + order.name + " of job " + order.job + " exists",
            "nothing was saved: deltas and replicas may stand on it", "save under another name",
            {} };
    return done();
}

Result<CheckpointRow> SnapshotWriter::saveState(const Engine& engine, const SaveOrder& order)
{
    const std::scoped_lock lock(m_mutex);
    auto row = rowFor(order, CheckpointSpace::State,
        engine.lora() ? CheckpointType::TrainingLora : CheckpointType::Training);
    return publish(
        engine, row, true, [&](const fs::path& folder) { return engine.saveState(folder); });
}

Result<CheckpointRow> SnapshotWriter::saveBase(const Engine& engine, const SaveOrder& order)
{
    const std::scoped_lock lock(m_mutex);
    if (auto status = checkNew(order, CheckpointSpace::Sampler); !status)
        return status.error();
    auto row = rowFor(order, CheckpointSpace::Sampler,
        engine.lora() ? CheckpointType::InferenceLora : CheckpointType::InferenceBase);
    return publish(engine, row, false, [&](const fs::path& folder) {
        return engine.lora() ? engine.exportAdapter(folder, order.baseModel)
                             : engine.exportHf(folder);
    });
}

Result<CheckpointRow> SnapshotWriter::saveMerged(
    const Engine& engine, const SaveOrder& order, bool isTrained)
{
    const std::scoped_lock lock(m_mutex);
    if (!engine.lora())
        return refusedSave("merged_base is for adapters, and this is full-parameter training",
            "save with checkpoint_type \"base\"");
    if (!isTrained)
        return refusedSave("the adapter has neither been trained nor loaded, so a merge would be "
                           "the base model again",
            "train a step first, or use the base model");
    if (auto status = checkNew(order, CheckpointSpace::Sampler); !status)
        return status.error();
    auto row = rowFor(order, CheckpointSpace::Sampler, CheckpointType::InferenceBase);
    return publish(
        engine, row, false, [&](const fs::path& folder) { return engine.exportHf(folder); });
}

Result<CheckpointRow> SnapshotWriter::saveExternal(const Engine& engine, const SaveOrder& order)
{
    const std::scoped_lock lock(m_mutex);
    if (auto status = checkNew(order, CheckpointSpace::External); !status)
        return status.error();
    auto row = rowFor(order, CheckpointSpace::External,
        engine.lora() ? CheckpointType::InferenceLora : CheckpointType::InferenceBase);
    return publish(engine, row, false, [&](const fs::path& folder) {
        return engine.lora() ? engine.exportAdapter(folder, order.baseModel)
                             : engine.exportHf(folder);
    });
}

Result<CheckpointRow> SnapshotWriter::publish(const Engine& engine, CheckpointRow row,
    bool replacesState, const std::function<Status(const fs::path&)>& write)
{
    const auto folder = m_store.absolute(row.folder);
    if (auto status = makeFolder(folder.parent_path()); !status)
        return status.error();
    if (auto status = write(folder); !status)
        return status.error();
    FolderGuard guard(folder);
    row.record.step = engine.step();
    if (engine.lora())
        row.loraRank = engine.lora()->rank;
    if (row.space == CheckpointSpace::State) {
        row.record.sizeBytes = folderBytes(folder);
    } else {
        row.record.sizeBytes = folderBytes(folder, kWeightSuffix);
        row.record.baseBytes = row.record.sizeBytes;
    }
    if (auto status = m_store.addCheckpoint(row, replacesState); !status)
        return status.error();
    guard.keep();
    return row;
}

Result<CheckpointRow> SnapshotWriter::parentOf(const SaveOrder& order) const
{
    if (const auto identity = m_confirmed(order.job)) {
        auto row = m_store.checkpoint(order.job, *identity, CheckpointSpace::Sampler);
        if (!row)
            row = m_store.snapshot(*identity);
        if (!row)
            return refusedSave("the snapshot " + *identity + " that the deployment of job "
                    + order.job + " serves is no longer stored",
                "save a base and load it");
        return row;
    }
    auto rows = m_store.checkpoints(order.job);
    if (!rows)
        return rows.error();
    // Adapters and what they were folded into are never part of a chain.
    for (auto row = rows->rbegin(); row != rows->rend(); ++row)
        if (row->space == CheckpointSpace::Sampler && row->loraRank == 0
            && row->record.type != CheckpointType::InferenceLora)
            return *row;
    return refusedSave("a delta needs a parent, and job " + order.job + " has no base save yet",
        "save with checkpoint_type \"base\" first");
}

Result<fs::path> SnapshotWriter::fullWeights(const CheckpointRow& row) const
{
    if (row.record.type == CheckpointType::InferenceBase)
        return m_store.absolute(row.folder);
    const auto kept = m_store.absolute(m_store.fullWeightsFolder(row.job, row.id));
    if (pathExists(kept))
        return kept;
    // Walk back to a snapshot with full weights, then apply the chain.
    std::vector<fs::path> deltas { m_store.absolute(row.folder) };
    auto parent = row.record.parent;
    fs::path base;
    while (base.empty()) {
        auto link = m_store.checkpoint(row.job, parent, CheckpointSpace::Sampler);
        if (!link)
            link = m_store.snapshot(parent);
        if (!link || deltas.size() > 10'000)
            return refusedSave(
                "the snapshot " + parent + ", on which " + row.id + " stands, is no longer stored",
                "save a base");
        const auto linkFull = m_store.absolute(m_store.fullWeightsFolder(link->job, link->id));
        if (link->record.type == CheckpointType::InferenceBase)
            base = m_store.absolute(link->folder);
        else if (pathExists(linkFull))
            base = linkFull;
        else
            deltas.push_back(m_store.absolute(link->folder));
        parent = link->record.parent;
    }
    std::reverse(deltas.begin(), deltas.end());
    if (auto status = makeFolder(kept.parent_path()); !status)
        return status.error();
    auto engine = openDeltaEngine(DevicePolicy::CpuOnly);
    if (!engine)
        return engine.error();
    ApplyJob job;
    job.base = base;
    job.deltas = std::move(deltas);
    job.output = kept;
    if (auto applied = (*engine)->apply(job, {}); !applied)
        return applied.error();
    return kept;
}

Result<CheckpointRow> SnapshotWriter::saveDelta(const Engine& engine, const SaveOrder& order)
{
    const std::scoped_lock lock(m_mutex);
    if (auto status = checkNew(order, CheckpointSpace::Sampler); !status)
        return status.error();
    auto parent = parentOf(order);
    if (!parent)
        return parent.error();
    const auto full = m_store.absolute(m_store.fullWeightsFolder(order.job, order.name));
    removeTree(full);
    if (auto status = makeFolder(full.parent_path()); !status)
        return status.error();
    if (auto status = engine.exportHf(full); !status)
        return status.error();
    FolderGuard guard(full);
    auto row = publishDelta(engine, order, *parent, full);
    if (!row)
        return row;
    guard.keep();
    trimFullWeights(order.job, order.name, parent->id);
    return row;
}

Result<CheckpointRow> SnapshotWriter::publishDelta(
    const Engine& engine, const SaveOrder& order, const CheckpointRow& parent, const fs::path& full)
{
    auto parentWeights = fullWeights(parent);
    if (!parentWeights)
        return parentWeights.error();
    auto deltas = openDeltaEngine(DevicePolicy::CpuOnly);
    if (!deltas)
        return deltas.error();
    auto row = rowFor(order, CheckpointSpace::Sampler, CheckpointType::InferenceArcV2);
    const auto folder = m_store.absolute(row.folder);
    if (auto status = makeFolder(folder.parent_path()); !status)
        return status.error();
    DiffJob diff;
    diff.base = *parentWeights;
    diff.target = full;
    diff.output = folder;
    auto report = (*deltas)->diff(diff, {});
    if (!report)
        return report.error();
    FolderGuard guard(folder);
    VerifyJob verify;
    verify.base = *parentWeights;
    verify.deltas = { folder };
    verify.target = full;
    auto proof = (*deltas)->verify(verify, {});
    if (!proof)
        return proof.error();
    if (proof->verdict != Verdict::Exact)
        return Error { Error::Code::Backend, "the delta " + order.name + " does not verify",
            "nothing was saved", "check the disk and save again", {} };
    row.record.parent = parent.id;
    row.record.step = engine.step();
    row.record.sizeBytes = folderBytes(folder, kWeightSuffix);
    row.record.baseBytes = report->bytesNew;
    row.record.changedFraction = report->changedFraction;
    if (auto status = m_store.addCheckpoint(row, false); !status)
        return status.error();
    guard.keep();
    return row;
}

void SnapshotWriter::trimFullWeights(
    const std::string& job, const std::string& newest, const std::string& parent) const
{
    const auto folder = m_store.absolute(m_store.fullWeightsFolder(job, newest)).parent_path();
    std::error_code error;
    std::vector<fs::path> stale;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
        const auto name = entry.path().filename().string();
        if (name != newest && name != parent)
            stale.push_back(entry.path());
    }
    for (const auto& path : stale)
        removeTree(path);
}

} // namespace desk::local
