// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/checkpoint_rows.h"

#include "models/format.h"
#include "services/core/resource_name.h"

#include <QCoreApplication>

#include <algorithm>
#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    QString checkpointTr(const char* text)
    {
        return QCoreApplication::translate("desk::Rows", text);
    }

    bool isTrainingState(CheckpointType type)
    {
        return type == CheckpointType::Training || type == CheckpointType::TrainingLora;
    }

    /// Source: runs.md section 2.2. The server's flag is authoritative; this only says why.
    void explainPromotable(CheckpointRow& row, Time now)
    {
        if (row.isPromotable && row.expires && *row.expires <= now) {
            row.isPromotable = false;
            row.whyNot = checkpointTr("expired");
            row.whyNotLong =
                checkpointTr("Its time to live is over; the server may have removed it.");
            return;
        }
        if (row.isPromotable)
            return;
        switch (row.type) {
        case CheckpointType::InferenceArcV2:
            row.whyNot = checkpointTr("needs its base");
            row.whyNotLong = checkpointTr(
                "A delta of a full-parameter run is not a whole model; it needs its base.");
            return;
        case CheckpointType::Training:
        case CheckpointType::TrainingLora:
            row.whyNot = checkpointTr("training state");
            row.whyNotLong =
                checkpointTr("A training state holds weights and optimizer for going on; "
                             "save a base to get a model.");
            return;
        case CheckpointType::InferenceBase:
        case CheckpointType::InferenceLora:
            row.whyNot = checkpointTr("server says no");
            row.whyNotLong = checkpointTr(
                "The server does not offer this snapshot for promotion, without a reason.");
            return;
        case CheckpointType::Unspecified:
        case CheckpointType::Unrecognized:
            break;
        }
        row.whyNot = checkpointTr("unknown type");
        row.whyNotLong = checkpointTr(
            "This program does not know the checkpoint's type, and the server does not call it "
            "promotable.");
    }

    /// The snapshot id inside names that differ only in the session suffix is the name itself.
    void linkChains(QList<CheckpointRow>& rows)
    {
        QHash<QString, qsizetype> byId; // job + id
        const auto key = [](const QString& job, const QString& id) -> QString {
            return job + u'#' + id;
        };
        for (qsizetype i = 0; i < rows.size(); ++i)
            byId.insert(key(rows.at(i).job, rows.at(i).shortName), i);
        for (qsizetype i = 0; i < rows.size(); ++i) {
            CheckpointRow& row = rows[i];
            ChainMark& mark = row.chain;
            if (row.type == CheckpointType::InferenceBase)
                mark.shape = ChainMark::Shape::Base;
            else if (row.type == CheckpointType::InferenceLora)
                mark.shape = ChainMark::Shape::Adapter;
            else if (row.type == CheckpointType::InferenceArcV2)
                mark.shape = ChainMark::Shape::Delta;
            if (mark.shape != ChainMark::Shape::Delta)
                continue;
            qsizetype at = i;
            int depth = 0;
            // A chain is never longer than the list; a circle ends there.
            while (depth <= rows.size() && rows.at(at).type == CheckpointType::InferenceArcV2) {
                const auto parent = byId.constFind(key(row.job, rows.at(at).parent));
                if (rows.at(at).parent.isEmpty() || parent == byId.constEnd())
                    break;
                at = *parent;
                ++depth;
            }
            mark.depth = depth;
            if (rows.at(at).type == CheckpointType::InferenceBase)
                mark.baseId = rows.at(at).shortName;
            const auto parent = byId.constFind(key(row.job, row.parent));
            if (parent != byId.constEnd() && !row.parent.isEmpty()) {
                mark.goesDown = true;
                rows[*parent].chain.goesUp = true;
            }
        }
    }

    void findNearestPromotable(QList<CheckpointRow>& rows)
    {
        for (CheckpointRow& row : rows) {
            if (row.isPromotable)
                continue;
            std::int64_t best = -1;
            for (const CheckpointRow& other : rows) {
                if (!other.isPromotable || other.job != row.job)
                    continue;
                const std::int64_t distance =
                    row.step && other.step ? std::abs(*row.step - *other.step) : 1 << 30;
                if (best < 0 || distance < best) {
                    best = distance;
                    row.nearestPromotable = other.name;
                }
            }
        }
    }

    void addServing(CheckpointRow& row, const std::vector<Deployment>& deployments)
    {
        const std::string id = format::toUtf8(row.shortName);
        for (const Deployment& deployment : deployments) {
            ServingMark mark;
            mark.total = int(deployment.replicas.size());
            bool isNamed = false;
            for (const Replica& replica : deployment.replicas) {
                if (replica.currentSnapshot == id) {
                    isNamed = true;
                    mark.ready += replica.isReady ? 1 : 0;
                } else if (replica.targetSnapshot == id) {
                    isNamed = true;
                    mark.isLoading = true;
                }
            }
            if (!isNamed)
                continue;
            mark.deployment = format::fromUtf8(lastSegment(deployment.name));
            row.serving.append(mark);
        }
    }

    void addRunFacts(CheckpointRow& row, const RunFacts* run)
    {
        if (run == nullptr)
            return;
        if (!row.step) {
            const std::string name = format::toUtf8(row.name);
            for (const LedgerCheckpoint& saved : run->checkpoints) {
                if (saved.resourceName == name)
                    row.step = saved.step;
            }
        }
        if (!row.step)
            return;
        row.loss = lossAtStep(*run, *row.step);
        row.evalLoss = evalLossAtStep(*run, *row.step);
    }

    CheckpointRow makeServerRow(
        const Checkpoint& checkpoint, const QString& job, const RowSources& sources)
    {
        CheckpointRow row;
        row.name = format::fromUtf8(checkpoint.name);
        row.shortName = format::lastSegment(row.name);
        row.job = job;
        row.type = checkpoint.type;
        row.typeText = format::fromUtf8(checkpoint.typeText);
        row.step = checkpoint.step;
        row.created = checkpoint.created;
        row.expires = checkpoint.expires;
        row.isPromotable = checkpoint.isPromotable;
        row.sizeBytes = checkpoint.sizeBytes;
        row.baseBytes = checkpoint.baseBytes;
        row.changedFraction = checkpoint.changedFraction;
        row.parent = format::fromUtf8(checkpoint.parent);
        row.path = format::fromUtf8(checkpoint.path);
        row.json = format::fromUtf8(checkpoint.json);
        explainPromotable(row, sources.now);
        for (const Model& model : sources.models) {
            if (!model.promotedFrom.empty() && model.promotedFrom == checkpoint.name)
                row.promotedAs = format::fromUtf8(lastSegment(model.name));
        }
        return row;
    }

    CheckpointType typeOfLedgerKind(const std::string& kind)
    {
        if (kind == "base")
            return CheckpointType::InferenceBase;
        if (kind == "delta")
            return CheckpointType::InferenceArcV2;
        if (kind == "lora")
            return CheckpointType::InferenceLora;
        return kind == "state" ? CheckpointType::Training : CheckpointType::Unspecified;
    }

    CheckpointRow makeLedgerRow(
        const LedgerCheckpoint& saved, const RunFacts& run, const QString& job)
    {
        CheckpointRow row;
        row.shortName = format::fromUtf8(
            saved.resourceName.empty() ? saved.name : std::string(lastSegment(saved.resourceName)));
        row.name = saved.resourceName.empty() ? runRowId(run.folder) + u'#' + row.shortName
                                              : format::fromUtf8(saved.resourceName);
        row.job = job;
        row.type = typeOfLedgerKind(saved.kind);
        row.typeText = format::fromUtf8(saved.kind);
        row.step = saved.step;
        row.created = saved.savedAt;
        row.loss = saved.loss;
        row.whyNot = checkpointTr("not on this server");
        row.whyNotLong =
            checkpointTr("Only the run's ledger names it; the connection does not list its job.");
        return row;
    }

} // namespace

QList<CheckpointRow> assembleCheckpoints(
    const RowSources& sources, const QHash<QString, const RunFacts*>& runOfJob)
{
    QList<CheckpointRow> rows;
    QHash<QString, bool> isListed;
    for (const TrainerJob& job : sources.jobs) {
        const QString id = format::fromUtf8(job.name);
        isListed.insert(id, true);
        const auto read = sources.checkpoints.constFind(id);
        if (read == sources.checkpoints.constEnd())
            continue;
        for (const Checkpoint& checkpoint : *read) {
            CheckpointRow row = makeServerRow(checkpoint, id, sources);
            addRunFacts(row, runOfJob.value(id));
            rows.append(row);
        }
    }
    for (const RunFacts& run : sources.runs) {
        const QString job = format::fromUtf8(run.job);
        if (!job.isEmpty() && (isListed.contains(job) || runOfJob.value(job) != &run))
            continue;
        const QString rowId = job.isEmpty() ? runRowId(run.folder) : job;
        for (const LedgerCheckpoint& saved : run.checkpoints)
            rows.append(makeLedgerRow(saved, run, rowId));
    }
    for (CheckpointRow& row : rows) {
        addServing(row, sources.deployments);
        const auto verified = sources.verified.constFind(row.name);
        if (verified != sources.verified.constEnd()) {
            row.verified = verified->verdict;
            row.verifiedAt = verified->at;
        }
    }
    linkChains(rows);
    findNearestPromotable(rows);
    return rows;
}

QList<DeploymentRow> assembleDeployments(
    const RowSources& sources, const QList<CheckpointRow>& checkpoints)
{
    QList<DeploymentRow> rows;
    for (const Deployment& deployment : sources.deployments) {
        DeploymentRow row;
        row.name = format::fromUtf8(deployment.name);
        row.displayName = format::fromUtf8(deployment.displayName);
        row.baseModel = format::fromUtf8(deployment.baseModel);
        row.isStandIn = isPlayedByStandIn(sources, row.baseModel);
        row.state = format::fromUtf8(deployment.state).toLower();
        row.trainerJob = format::fromUtf8(deployment.hotLoadTrainerJob);
        row.enablesHotLoad = deployment.enablesHotLoad;
        row.created = deployment.created;
        row.json = format::fromUtf8(deployment.json);
        const std::string id(lastSegment(deployment.name));
        for (const TrainerJob& job : sources.jobs) {
            if (row.trainerJob.isEmpty() && !id.empty() && job.hotLoadDeploymentId == id)
                row.trainerJob = format::fromUtf8(job.name);
        }
        row.replicas = deployment.replicaCount.value_or(int(deployment.replicas.size()));
        bool isFirst = true;
        for (const Replica& replica : deployment.replicas) {
            row.ready += replica.isReady ? 1 : 0;
            const QString serves = format::fromUtf8(replica.currentSnapshot);
            row.isMixed = row.isMixed || (!isFirst && serves != row.identity);
            row.identity = serves;
            isFirst = false;
            if (!replica.isReady || row.stage.isEmpty())
                row.stage = format::fromUtf8(replica.stage);
            if (!replica.error.empty())
                row.error = format::fromUtf8(replica.error);
            row.replicaRows.append(replica);
        }
        if (deployment.replicas.empty())
            row.ready = deployment.readyReplicaCount.value_or(0);
        if (row.isMixed)
            row.identity.clear();
        std::optional<std::int64_t> newest;
        std::optional<std::int64_t> served;
        for (const CheckpointRow& checkpoint : checkpoints) {
            if (checkpoint.job != row.trainerJob || !checkpoint.step
                || isTrainingState(checkpoint.type))
                continue;
            newest = std::max(newest.value_or(*checkpoint.step), *checkpoint.step);
            if (checkpoint.shortName == row.identity)
                served = checkpoint.step;
        }
        if (newest && served)
            row.lagSteps = *newest - *served;
        rows.append(row);
    }
    return rows;
}

} // namespace desk
