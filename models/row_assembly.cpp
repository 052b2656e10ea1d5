// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/row_assembly.h"

#include "models/checkpoint_rows.h"
#include "models/evidence.h"
#include "models/format.h"
#include "services/core/resource_name.h"
#include "services/metrics/series_store.h"
#include "services/runs/metric_names.h"

#include <QCoreApplication>
#include <QSet>

#include <algorithm>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    QString rowTr(const char* text)
    {
        return QCoreApplication::translate("desk::Rows", text);
    }

    std::optional<double> valueAtStep(const RunFacts& run, MetricConcept metric, std::int64_t step)
    {
        if (!run.series)
            return std::nullopt;
        const auto name = metricNameOf(metric, run.series->names());
        if (!name)
            return std::nullopt;
        const auto sample = run.series->snapshot(*name).at(double(step));
        return sample ? std::optional(sample->value) : std::nullopt;
    }

    Evidence ofRunEvidence(RunEvidence evidence)
    {
        switch (evidence) {
        case RunEvidence::Unknown:
            return Evidence::Unknown;
        case RunEvidence::Training:
            return Evidence::Training;
        case RunEvidence::Silent:
            return Evidence::Silent;
        case RunEvidence::Orphaned:
            return Evidence::Orphaned;
        case RunEvidence::Leaking:
            return Evidence::Leaking;
        case RunEvidence::Finished:
            return Evidence::Finished;
        case RunEvidence::Failed:
            return Evidence::Failed;
        case RunEvidence::Cancelled:
            return Evidence::Cancelled;
        }
        return Evidence::Unknown;
    }

    Evidence ofServerState(JobState state)
    {
        switch (state) {
        case JobState::Creating:
        case JobState::Pending:
        case JobState::Validating:
        case JobState::CreatingInputDataset:
        case JobState::ReQueueing:
        case JobState::Idle:
            return Evidence::Waiting;
        case JobState::WritingResults:
            return Evidence::Saving;
        case JobState::Completed:
        case JobState::EarlyStopped:
        case JobState::Archived:
            return Evidence::Finished;
        case JobState::Failed:
        case JobState::Expired:
            return Evidence::Failed;
        case JobState::Paused:
            return Evidence::Paused;
        case JobState::Cancelling:
        case JobState::Cancelled:
        case JobState::Deleting:
        case JobState::DeletingCleaningUp:
        case JobState::Deleted:
            return Evidence::Cancelled;
        case JobState::Running:
        case JobState::Unspecified:
        case JobState::Unrecognized:
            break;
        }
        return Evidence::Unknown;
    }

    void addRun(JobRow& row, const RunFacts& run, const RowSources& sources)
    {
        const RunTrend trend = sources.trends.value(run.id);
        row.runFolder = run.folder;
        row.canControl = run.isControlReachable;
        row.isProcessAlive = run.isProcessAlive;
        row.kind = run.controlSocket.isEmpty() ? rowTr("run") : rowTr("SFT");
        row.lastProgress = run.lastProgress;
        row.step = run.step;
        row.totalSteps = run.totalSteps;
        row.loss = trend.loss ? trend.loss : run.loss;
        row.evalLoss = run.evalLoss;
        row.slope = trend.slope;
        row.tokensPerSecond = run.tokensPerSecond;
        row.learningRate = run.learningRate;
        row.trend = QList<double>(run.sparkline.begin(), run.sparkline.end());
        row.trendVersion = trend.version;
        row.config = format::fromUtf8(run.config);
        row.updated = run.lastProgress;
        if (!row.created)
            row.created = run.started;
        if (row.baseModel.isEmpty())
            row.baseModel = format::fromUtf8(run.baseModel);
        if (row.loraRank == 0)
            row.loraRank = run.loraRank;
        if (row.statusMessage.isEmpty())
            row.statusMessage = format::fromUtf8(run.problem);
    }

    JobRow makeJobRow(const TrainerJob* job, const RunFacts* run, const RowSources& sources)
    {
        JobRow row;
        if (job != nullptr) {
            row.id = format::fromUtf8(job->name);
            row.name = format::fromUtf8(
                job->displayName.empty() ? lastSegment(job->name) : job->displayName);
            row.kind = rowTr("trainer");
            row.state = job->state;
            row.statusMessage = format::fromUtf8(job->statusMessage);
            row.baseModel = format::fromUtf8(job->baseModel);
            row.loraRank = job->loraRank;
            row.created = job->created;
            row.updated = job->completed ? job->completed : job->created;
            row.learningRate = job->learningRate;
            row.createdBy = format::fromUtf8(job->createdBy);
            row.isOnServer = true;
            row.json = format::fromUtf8(job->json);
        }
        if (run != nullptr) {
            addRun(row, *run, sources);
            if (job == nullptr) {
                row.id = run->job.empty() ? runRowId(run->folder) : format::fromUtf8(run->job);
                row.name = format::fromUtf8(run->title);
            }
        }
        row.source = job == nullptr ? rowTr("run folder")
            : run == nullptr        ? rowTr("control plane")
                                    : rowTr("control plane and run folder");
        row.evidence = evidenceOfJob(job, run, sources.now);
        // The server's word says more only where no ledger speaks.
        row.stateText = run != nullptr || job == nullptr
            ? evidenceWord(row.evidence)
            : jobStateWord(job->state, format::fromUtf8(job->stateText));
        row.slot = sources.plotSlots.value(row.id, -1);
        row.isStandIn = isPlayedByStandIn(sources, row.baseModel);
        return row;
    }

    void addCheckpointFacts(JobRow& row, const QList<CheckpointRow>& checkpoints)
    {
        int count = 0;
        for (const CheckpointRow& checkpoint : checkpoints) {
            if (checkpoint.job != row.id)
                continue;
            ++count;
            row.promotable += checkpoint.isPromotable ? 1 : 0;
            if (checkpoint.created
                && (!row.newestCheckpoint || *checkpoint.created > *row.newestCheckpoint))
                row.newestCheckpoint = checkpoint.created;
        }
        row.checkpoints = count;
    }

    void addDeploymentFacts(JobRow& row, const QList<DeploymentRow>& deployments)
    {
        for (const DeploymentRow& deployment : deployments) {
            if (deployment.trainerJob == row.id) {
                row.deployment = deployment.name;
                row.servingIdentity = deployment.identity;
            }
        }
    }

    ModelRow makeModelRow(const Model& model)
    {
        ModelRow row;
        row.name = format::fromUtf8(model.name);
        row.id = format::lastSegment(row.name);
        row.kind = format::fromUtf8(model.kind);
        row.state = format::fromUtf8(model.state);
        row.baseModel = format::fromUtf8(model.baseModel);
        row.standInFor = standInFor(model);
        row.created = model.created;
        row.promotedFrom = format::fromUtf8(model.promotedFrom);
        row.path = format::fromUtf8(model.path);
        row.json = format::fromUtf8(model.json);
        return row;
    }

} // namespace

QString standInFor(const Model& model)
{
    // The words of the local backend, see services/local/rehearsal/stand_ins.h.
    static constexpr std::string_view kWords = "Stand-in for ";
    const std::string_view name = model.displayName;
    return name.substr(0, kWords.size()) == kWords
        ? format::fromUtf8(std::string(name.substr(kWords.size())))
        : QString();
}

bool isPlayedByStandIn(const RowSources& sources, const QString& baseModel)
{
    return !baseModel.isEmpty()
        && std::any_of(sources.models.begin(), sources.models.end(),
            [&](const Model& model) { return standInFor(model) == baseModel; });
}

QString runRowId(const QString& folder)
{
    return u"run:"_s + folder;
}

std::optional<double> lossAtStep(const RunFacts& run, std::int64_t step)
{
    return valueAtStep(run, MetricConcept::Loss, step);
}

std::optional<double> evalLossAtStep(const RunFacts& run, std::int64_t step)
{
    return valueAtStep(run, MetricConcept::EvalLoss, step);
}

Evidence evidenceOfJob(const TrainerJob* job, const RunFacts* run, Time now)
{
    if (run == nullptr)
        return job == nullptr ? Evidence::Unknown : ofServerState(job->state);
    const auto state = job == nullptr ? std::nullopt : std::optional(job->state);
    const Evidence evidence = ofRunEvidence(evidenceFor(*run, state, now));
    if (evidence != Evidence::Training && evidence != Evidence::Unknown
        && evidence != Evidence::Silent)
        return evidence;
    if (run->controlState == "paused")
        return Evidence::Paused;
    if (run->controlState == "saving")
        return Evidence::Saving;
    if (!run->step && (run->isControlReachable || run->isProcessAlive))
        return Evidence::Starting;
    return evidence;
}

AllRows assembleRows(const RowSources& sources)
{
    AllRows rows;
    QHash<QString, const RunFacts*> runOfJob;
    QSet<QString> linked;
    // runs come newest first, so the first of a job wins
    for (const RunFacts& run : sources.runs) {
        const QString job = format::fromUtf8(run.job);
        if (!job.isEmpty() && !runOfJob.contains(job)) {
            runOfJob.insert(job, &run);
            linked.insert(run.id);
        }
    }
    rows.checkpoints = assembleCheckpoints(sources, runOfJob);
    rows.deployments = assembleDeployments(sources, rows.checkpoints);
    QSet<QString> listed;
    for (const TrainerJob& job : sources.jobs) {
        const QString id = format::fromUtf8(job.name);
        listed.insert(id);
        rows.jobs.append(makeJobRow(&job, runOfJob.value(id), sources));
    }
    for (const RunFacts& run : sources.runs) {
        const QString job = format::fromUtf8(run.job);
        if (job.isEmpty() || (linked.contains(run.id) && !listed.contains(job)))
            rows.jobs.append(makeJobRow(nullptr, &run, sources));
    }
    for (JobRow& row : rows.jobs) {
        if (sources.checkpoints.contains(row.id) || !row.isOnServer)
            addCheckpointFacts(row, rows.checkpoints);
        addDeploymentFacts(row, rows.deployments);
    }
    for (const Model& model : sources.models)
        rows.models.append(makeModelRow(model));
    return rows;
}

} // namespace desk
