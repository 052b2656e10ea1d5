// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/rows.h"
#include "services/runs/run_facts.h"

#include <QHash>
#include <QList>

#include <optional>
#include <vector>

namespace desk {

/// Smoothed figures of one run for the table.
struct RunTrend
{
    std::optional<double> loss; ///< newest smoothed value
    std::optional<double> slope; ///< its change per 1,000 steps over the last tenth of the run
    std::uint64_t version = 0;
};

struct Verification
{
    QString verdict; ///< "exact", "mismatch", "partial"
    Time at {};
    bool operator==(const Verification&) const = default;
};

/// Everything the rows are made from, as value snapshots.
struct RowSources
{
    Time now {};
    std::vector<TrainerJob> jobs;
    QHash<QString, std::vector<Checkpoint>> checkpoints; ///< by job; absent: not read
    std::vector<Deployment> deployments;
    std::vector<Model> models;
    QList<RunFacts> runs;
    QHash<QString, RunTrend> trends; ///< by run id
    QHash<QString, int> plotSlots; ///< series slot by row id
    QHash<QString, Verification> verified; ///< by checkpoint name
    bool hasConnection = false;
};

struct AllRows
{
    QList<JobRow> jobs;
    QList<CheckpointRow> checkpoints;
    QList<DeploymentRow> deployments;
    QList<ModelRow> models;
};

/// The model that one of the local backend plays in a rehearsal, by its display name; empty for a
/// model that is what it says.
[[nodiscard]] QString standInFor(const Model& model);
/// Whether a listed model plays the model of this name.
[[nodiscard]] bool isPlayedByStandIn(const RowSources& sources, const QString& baseModel);

/// Merges control plane and run folders: a run belongs to the job that its config names, the newest
/// run of a job wins; other runs become rows of their own. A pure function.
[[nodiscard]] AllRows assembleRows(const RowSources& sources);

/// Id of the row of a run folder that no job of the list claims.
[[nodiscard]] QString runRowId(const QString& folder);
[[nodiscard]] Evidence evidenceOfJob(const TrainerJob* job, const RunFacts* run, Time now);
/// Loss and eval loss of a run at a step; nullopt where the ledger has none at or before it.
[[nodiscard]] std::optional<double> lossAtStep(const RunFacts& run, std::int64_t step);
[[nodiscard]] std::optional<double> evalLossAtStep(const RunFacts& run, std::int64_t step);

} // namespace desk
