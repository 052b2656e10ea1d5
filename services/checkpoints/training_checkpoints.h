// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/checkpoints/resume_reference.h"
#include "services/core/clock.h"
#include "services/core/records.h"
#include "services/core/result.h"
#include "services/gateway/fireworks_client.h"
#include "services/trainer/training_client.h"

#include <QFuture>
#include <QObject>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace desk {

struct TrainingCheckpointsOptions
{
    std::string job; ///< trainer job, bare id or full name
    std::chrono::milliseconds appearTimeout { 90'000 }; ///< for a row to show up after a save
    std::chrono::milliseconds stabilize { 15'000 }; ///< servers may rename a state in this time
    std::chrono::milliseconds poll { 3'000 };
    /// How good a row is, smaller is better (its loss, say); empty or nullopt: not known.
    std::function<std::optional<double>(const Checkpoint&)> scoreOf;
    std::optional<std::int64_t> lastTrainedStep; ///< of the run so far, if known
};

struct SaveCheckpoint
{
    std::string name;
    bool isResumable = false; ///< weights and optimizer, to go on from
    bool isPromotable = false; ///< weights for the sampler; always a base save
    std::optional<std::int64_t> ttlSeconds;
};

struct SavedCheckpoint
{
    std::string stateName; ///< the server's own name of the resumable row; empty: none asked for
    std::string statePath; ///< to load it by
    std::string snapshotName; ///< of the promotable row; empty: none asked for
    std::string resumableRow; ///< four-segment names; empty: not seen yet
    std::string promotableRow;
    bool hasReusedSnapshot = false; ///< the promotable row existed: a weight sync had just made it
    std::vector<std::string> warnings;
};

/// The row a promotion would take, and what a person should know before.
struct PromotionChoice
{
    Checkpoint row;
    std::vector<std::string> warnings; ///< untrained, not the best, not the newest step, …
};

struct PromotedCheckpoint
{
    Model model;
    PromotionChoice choice;
};

struct ResumeRequest
{
    std::string reference; ///< init_from_checkpoint; empty: none
    std::string adapter; ///< warm_start_from_adapter: PEFT adapter; empty: none
    bool withOptimizer = true;
};

/// Where a run begins. `statement` is meant to be shown: nothing starts fresh in silence.
struct ResumeOutcome
{
    enum class Source
    {
        Reference, ///< what was asked for
        NewestRow, ///< the newest resumable row of the job
        Adapter,
        Fresh
    };
    Source source = Source::Fresh;
    std::string checkpoint; ///< name or path that was loaded; empty: fresh
    bool hasOptimizer = false;
    std::int64_t step = 0; ///< where the run goes on; 0: from the beginning
    std::string statement;
    std::vector<std::string> warnings;
};

/// Saves, resumes and promotes the checkpoints of one training run (runs.md 2.3). The control
/// plane's list is the truth; there is no registry of its own. THREAD: that of the clients, which
/// must outlive this object, as must the clock. Futures can be canceled. A list that cannot be read
/// is an error of the call, never "there is nothing".
class TrainingCheckpoints final : public QObject
{
    Q_OBJECT
public:
    TrainingCheckpoints(FiretitanTrainingClient& training, FireworksClient& control,
        const Clock& clock, TrainingCheckpointsOptions options, QObject* parent = nullptr);
    Q_DISABLE_COPY_MOVE(TrainingCheckpoints)

    /// The state first, then the base save; at least one flag (Usage). The base save is left out
    /// when this session has a promotable row of the name already. Waits until the rows show up;
    /// one that does not in time is a warning, because the save itself is done.
    [[nodiscard]] QFuture<Result<SavedCheckpoint>> save(SaveCheckpoint order);
    /// All rows of the job, newest first by parsed time.
    [[nodiscard]] QFuture<Result<std::vector<Checkpoint>>> list();

    /// The newest promotable row, with warnings; NotFound if there is none. Changes nothing.
    [[nodiscard]] QFuture<Result<PromotionChoice>> latestPromotable();
    /// Promotes it. `isStrict`: Refused, and nothing is sent, when there are warnings.
    [[nodiscard]] QFuture<Result<PromotedCheckpoint>> promoteLatest(std::string outputModelId,
        std::string baseModel, bool isStrict = false, FireworksClient::Progress progress = {});

    /// Loads, in this order: the reference, the newest resumable row of the job, the adapter; else
    /// starts fresh and says so. Reference and adapter exclude each other (Usage). What cannot be
    /// loaded is an error: no other source is taken instead.
    [[nodiscard]] QFuture<Result<ResumeOutcome>> resume(ResumeRequest request);

    void setLastTrainedStep(std::int64_t step) { m_options.lastTrainedStep = step; }

private:
    struct Saving;
    void saveState(const std::shared_ptr<Saving>& saving);
    void saveSampler(const std::shared_ptr<Saving>& saving);
    void awaitRows(const std::shared_ptr<Saving>& saving);
    void resumeFromRows(std::shared_ptr<Errand<ResumeOutcome>> errand, ResumeRequest request,
        const std::vector<Checkpoint>& rows);
    void loadInto(std::shared_ptr<Errand<ResumeOutcome>> errand, ResumeOutcome outcome,
        const std::string& path, bool withOptimizer);

    FiretitanTrainingClient& m_training;
    FireworksClient& m_control;
    const Clock& m_clock;
    TrainingCheckpointsOptions m_options;
};

/// Which of `rows` (newest first) to promote, and the warnings about it. Pure.
[[nodiscard]] Result<PromotionChoice> choosePromotable(const std::vector<Checkpoint>& rows,
    const TrainingCheckpointsOptions& options, std::string_view sessionSuffix);
/// The step a row says, or its name; nullopt if neither.
[[nodiscard]] std::optional<std::int64_t> stepOfRow(const Checkpoint& row);

} // namespace desk
