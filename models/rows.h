// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"

#include <QList>
#include <QString>

#include <cstdint>
#include <optional>

// One row each of the tables, as the item models hold them: facts merged from the control plane and
// from run folders. A fact that is not known is nullopt or an empty string.

namespace desk {

/// What can be proven about a job (runs.md section 3.3); the state word alone is no evidence.
enum class Evidence
{
    Failed, ///< the order is the order of attention
    Leaking,
    Orphaned,
    Silent,
    Unknown,
    Training,
    Saving,
    Starting,
    Waiting,
    Paused,
    Finished,
    Cancelled
};

struct JobRow
{
    QString id; ///< full job name; "run:" + folder for a run without a job
    QString name; ///< what a person reads
    QString kind; ///< "SFT", "trainer", "run"
    JobState state = JobState::Unspecified;
    QString stateText; ///< "running"
    QString statusMessage; ///< of the server, or why a run ended
    QString baseModel; ///< last segment is shown
    bool isStandIn = false; ///< a stand-in of a rehearsal plays the base model
    int loraRank = 0;
    Evidence evidence = Evidence::Unknown;
    std::optional<Time> lastProgress; ///< last new metrics line, or last change seen
    std::optional<Time> created;
    std::optional<Time> updated;
    std::optional<std::int64_t> step;
    std::optional<std::int64_t> totalSteps;
    std::optional<double> loss; ///< smoothed as in the header of the column
    std::optional<double> evalLoss;
    std::optional<double> slope; ///< change of the smoothed loss per 1,000 steps
    std::optional<double> tokensPerSecond;
    std::optional<double> learningRate;
    QList<double> trend; ///< smoothed loss, at most 64 values, oldest first
    std::uint64_t trendVersion = 0; ///< changes with the trend; a cache key
    int checkpoints = -1; ///< -1: not known
    int promotable = 0;
    std::optional<Time> newestCheckpoint;
    QString deployment; ///< attached deployment, full name
    QString servingIdentity;
    QString createdBy;
    int slot = -1; ///< series color while it is plotted
    QString source; ///< "control plane", "metrics.jsonl", or both
    QString runFolder; ///< absolute path; empty: no ledger on this machine
    bool canControl = false; ///< the run's control socket answers
    bool isOnServer = false; ///< the control plane lists it
    bool isProcessAlive = false; ///< of a run on this machine
    QString config; ///< config.json of the run, redacted; may be empty
    QString json; ///< the row as received, redacted
    bool operator==(const JobRow&) const = default;
};

struct ServingMark
{
    QString deployment; ///< id
    int ready = 0; ///< replicas that serve this snapshot
    int total = 0;
    bool isLoading = false;
    bool operator==(const ServingMark&) const = default;
};

/// Place of a checkpoint in the rail of its name cell.
struct ChainMark
{
    enum class Shape
    {
        None, ///< a training state beside the rail
        Base,
        Delta,
        Adapter
    };
    Shape shape = Shape::None;
    QString baseId; ///< of the chain it stands in; empty: broken or unknown
    int depth = 0; ///< 0 for a base
    bool goesUp = false; ///< a newer snapshot of the list stands on this one
    bool goesDown = false; ///< its parent is in the list below
    bool operator==(const ChainMark&) const = default;
};

struct CheckpointRow
{
    QString name; ///< four-segment resource name: the id of the row
    QString shortName; ///< last segment
    QString job; ///< full job name
    CheckpointType type = CheckpointType::Unspecified;
    QString typeText; ///< server's own word
    std::optional<std::int64_t> step;
    std::optional<Time> created;
    std::optional<Time> expires;
    bool isPromotable = false;
    QString whyNot; ///< short reason for the cell: "needs its base"
    QString whyNotLong; ///< one sentence for the inspector
    QString nearestPromotable; ///< resource name; empty if none
    std::optional<double> loss; ///< at the step of the save
    std::optional<double> evalLoss;
    std::optional<std::uint64_t> sizeBytes;
    std::optional<std::uint64_t> baseBytes;
    std::optional<double> changedFraction;
    QString parent; ///< id of the snapshot a delta stands on
    ChainMark chain;
    QString verified; ///< verdict word of the last verify: "exact", …; empty: never
    std::optional<Time> verifiedAt;
    QList<ServingMark> serving;
    QString promotedAs; ///< model id
    QString path; ///< folder on this machine; empty: not reachable
    QString json;
    /// Size as part of the full snapshot; nullopt for anything but a delta of known sizes.
    [[nodiscard]] std::optional<double> deltaRatio() const;
    bool operator==(const CheckpointRow&) const = default;
};

struct DeploymentRow
{
    QString name; ///< full name: the id of the row
    QString displayName;
    QString baseModel;
    bool isStandIn = false; ///< a stand-in of a rehearsal plays the base model
    QString state; ///< "ready", "creating", …
    QString trainerJob; ///< attached trainer, full name; empty: none
    bool enablesHotLoad = false;
    QString identity; ///< what all replicas serve; empty: none or they differ
    bool isMixed = false; ///< replicas serve different snapshots
    int replicas = 0;
    int ready = 0;
    QString stage; ///< of the slowest replica, server's own word
    std::optional<std::int64_t> lagSteps; ///< behind the newest snapshot of its trainer
    QString error;
    std::optional<Time> created;
    QList<Replica> replicaRows;
    QString json;
    bool operator==(const DeploymentRow&) const = default;
};

struct ModelRow
{
    QString name; ///< full name: the id of the row
    QString id;
    QString kind;
    QString state;
    QString baseModel;
    QString standInFor; ///< the model that this one plays in a rehearsal; empty: none
    std::optional<Time> created;
    QString promotedFrom; ///< four-segment checkpoint name
    QString path;
    QString json;
    bool operator==(const ModelRow&) const = default;
};

} // namespace desk
