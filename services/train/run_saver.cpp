// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/train/run_saver.h"

#include "services/core/resource_name.h"
#include "services/errand.h"

#include <QTimer>

#include <algorithm>

namespace desk {
namespace {

    ControlSaved savedFrom(
        const SaveOrder& order, const std::string& job, std::string path, std::string snapshotName)
    {
        ControlSaved saved;
        saved.path = std::move(path);
        saved.snapshotName = std::move(snapshotName);
        saved.kind = order.kind.empty() ? "base" : order.kind;
        if (saved.kind == "merged_base")
            saved.kind = "merged";
        saved.name =
            job + "/checkpoints/" + (order.kind == "state" ? order.name : saved.snapshotName);
        return saved;
    }

    /// What the control plane knows of the row: the name that it gave, size, parent.
    void addServerFacts(ControlSaved& saved, const std::vector<Checkpoint>& rows)
    {
        const std::string_view id = lastSegment(saved.name);
        const auto row = std::find_if(rows.begin(), rows.end(),
            [id](const Checkpoint& candidate) { return lastSegment(candidate.name) == id; });
        if (row == rows.end())
            return;
        saved.name = row->name;
        saved.parent = row->parent;
        saved.bytes = row->sizeBytes;
        saved.changedFraction = row->changedFraction;
        const std::string kind = saved.kind == "merged" ? "merged" : kindWord(row->type);
        if (kind == "base" || kind == "delta" || kind == "lora")
            saved.kind = kind;
        if (row->baseBytes && row->sizeBytes && *row->sizeBytes > 0)
            saved.ratio =
                static_cast<double>(*row->baseBytes) / static_cast<double>(*row->sizeBytes);
    }

} // namespace

RunSaver::RunSaver(FiretitanTrainingClient& training, FireworksClient& control, RunFolder& folder,
    const Clock& clock, std::string job, QObject* parent)
    : QObject(parent)
    , m_training(training)
    , m_control(control)
    , m_folder(folder)
    , m_clock(clock)
    , m_job(std::move(job))
{
}

void RunSaver::ended()
{
    --m_open;
    if (m_open > 0)
        return;
    m_busyWith.clear();
    // Later: whoever ordered the save hears of its result first.
    QTimer::singleShot(0, this, [this] {
        if (m_open == 0 && onIdle)
            onIdle();
    });
}

QFuture<Result<ControlSaved>> RunSaver::save(SaveOrder order)
{
    ++m_open;
    m_busyWith = order.name;
    // The trainer takes saves in order, so a base that is under way is enough to stand on.
    if (order.kind.empty() && m_training.isLora())
        order.kind = "base"; // the whole adapter each time
    if (order.kind.empty())
        order.kind = m_newestSampler.empty() && !m_isBaseOrdered ? "base" : "delta";
    if (order.kind == "base")
        m_isBaseOrdered = true;
    auto errand = Errand<ControlSaved>::start(this);
    auto future = errand->future();
    onFinished(future, this, [this, order](const Result<ControlSaved>& result) {
        if (!result) {
            m_folder.log("the save " + order.name + " failed: " + result.error().message);
            if (order.kind == "base")
                m_isBaseOrdered = false;
        }
        ended();
    });
    if (order.kind == "state") {
        errand->awaitValue(m_training.saveState(order.name, order.ttlSeconds),
            [this, order, errand](const SaveStateResult& state) {
                logWarnings(state.warnings);
                errand->await(record(order, state.path, {}),
                    [errand](const Result<ControlSaved>& saved) { errand->finish(saved); });
            });
    } else {
        errand->awaitValue(
            m_training.saveWeightsForSamplerExt(order.name, order.kind, order.ttlSeconds),
            [this, order, errand](const SaveSamplerResult& saved) {
                logWarnings(saved.warnings);
                errand->await(record(order, saved.path, saved.snapshotName),
                    [errand](const Result<ControlSaved>& row) { errand->finish(row); });
            });
    }
    return future;
}

void RunSaver::logWarnings(const std::vector<std::string>& warnings)
{
    for (const auto& warning : warnings)
        m_folder.log(warning);
}

QFuture<Result<ControlSaved>> RunSaver::record(
    SaveOrder order, std::string path, std::string snapshotName)
{
    auto errand = Errand<ControlSaved>::start(this);
    auto future = errand->future();
    if (!snapshotName.empty())
        m_newestSampler = snapshotName;
    else if (order.kind == "state")
        m_newestState = order.name;
    ControlSaved saved = savedFrom(order, m_job, std::move(path), std::move(snapshotName));
    // The save is done: that the list cannot be read now must not make it look as if it were not.
    errand->await(m_control.listCheckpoints(m_job),
        [this, order, saved, errand](const Result<std::vector<Checkpoint>>& rows) mutable {
            if (rows)
                addServerFacts(saved, *rows);
            RunCheckpoint line;
            line.name = saved.snapshotName.empty() ? order.name : saved.snapshotName;
            line.step = order.step;
            line.kind = saved.kind;
            line.resourceName = saved.name;
            line.path = saved.path;
            line.savedAt = m_clock.now();
            line.loss = lossAt ? lossAt(order.step) : std::nullopt;
            line.isFinal = order.isFinal;
            if (const Status written = m_folder.appendCheckpoint(line); !written)
                m_folder.log(written.error().message);
            m_folder.log("saved " + saved.name);
            errand->finish(saved);
        });
    return future;
}

} // namespace desk
