// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/checkpoints/training_checkpoints.h"

#include "services/core/promotability.h"
#include "services/core/resource_name.h"
#include "services/errand.h"

#include <QElapsedTimer>

#include <algorithm>
#include <set>

using namespace std::chrono_literals;

namespace desk {
namespace {

    constexpr auto kClockTolerance = 10s; // between the server's clock and ours

    Error checkpointMisused(std::string message, const char* unchanged, const char* next)
    {
        return { Error::Code::Usage, std::move(message), unchanged, next, {} };
    }

    bool isResumable(const Checkpoint& row)
    {
        return promotabilityOf(row.type).isResumable;
    }

    const Checkpoint* rowNamed(const std::vector<Checkpoint>& rows, std::string_view id)
    {
        const auto found = std::find_if(rows.begin(), rows.end(),
            [id](const Checkpoint& row) { return lastSegment(row.name) == id; });
        return found == rows.end() ? nullptr : &*found;
    }

} // namespace

/// One save() under way.
struct TrainingCheckpoints::Saving
{
    std::shared_ptr<Errand<SavedCheckpoint>> errand;
    SaveCheckpoint order;
    SavedCheckpoint saved;
    std::set<std::string> known; ///< rows that existed before
    Time begun {};
    QElapsedTimer waiting;
    bool isStable = false; ///< the rows were seen, and the time to rename them is over

    /// The resumable row of this save: of its name, or a new one that the server named itself.
    [[nodiscard]] const Checkpoint* stateRow(const std::vector<Checkpoint>& rows) const
    {
        const auto* named = rowNamed(rows, order.name);
        if (named != nullptr && isResumable(*named) && isFresh(*named))
            return named;
        for (const auto& row : rows) {
            if (isResumable(row) && isFresh(row) && known.count(row.name) == 0)
                return &row;
        }
        return nullptr;
    }
    /// Made by this save: not there before, or written again since.
    [[nodiscard]] bool isFresh(const Checkpoint& row) const
    {
        if (known.count(row.name) == 0)
            return true;
        const auto at = row.updated ? row.updated : row.created;
        return at && *at + kClockTolerance >= begun;
    }
    [[nodiscard]] bool isComplete() const
    {
        return (!order.isResumable || !saved.resumableRow.empty())
            && (!order.isPromotable || !saved.promotableRow.empty());
    }
};

TrainingCheckpoints::TrainingCheckpoints(FiretitanTrainingClient& training,
    FireworksClient& control, const Clock& clock, TrainingCheckpointsOptions options,
    QObject* parent)
    : QObject(parent)
    , m_training(training)
    , m_control(control)
    , m_clock(clock)
    , m_options(std::move(options))
{
}

QFuture<Result<std::vector<Checkpoint>>> TrainingCheckpoints::list()
{
    return m_control.listCheckpoints(m_options.job);
}

QFuture<Result<SavedCheckpoint>> TrainingCheckpoints::save(SaveCheckpoint order)
{
    if (!order.isResumable && !order.isPromotable)
        return finishedFuture<SavedCheckpoint>(
            checkpointMisused("A checkpoint that is neither resumable nor promotable is none",
                "Nothing was saved", "Ask for one of the two, or for both"));
    auto saving = std::make_shared<Saving>();
    saving->errand = Errand<SavedCheckpoint>::start(this);
    saving->order = std::move(order);
    saving->begun = m_clock.now();
    auto future = saving->errand->future();
    // Before anything is saved: what is new afterwards is known only against what was there.
    saving->errand->awaitValue(list(), [this, saving](const std::vector<Checkpoint>& rows) {
        for (const auto& row : rows)
            saving->known.insert(row.name);
        const auto snapshot = m_training.qualifiedName(saving->order.name);
        const auto* row = rowNamed(rows, snapshot);
        if (saving->order.isPromotable && row != nullptr && row->isPromotable) {
            saving->saved.snapshotName = snapshot;
            saving->saved.promotableRow = row->name;
            saving->saved.hasReusedSnapshot = true;
        }
        saving->order.isResumable ? saveState(saving) : saveSampler(saving);
    });
    return future;
}

void TrainingCheckpoints::saveState(const std::shared_ptr<Saving>& saving)
{
    saving->errand->awaitValue(m_training.saveState(saving->order.name, saving->order.ttlSeconds),
        [this, saving](const SaveStateResult& state) {
            saving->saved.stateName = saving->order.name;
            saving->saved.statePath = state.path;
            saving->saved.warnings = state.warnings;
            saveSampler(saving);
        });
}

void TrainingCheckpoints::saveSampler(const std::shared_ptr<Saving>& saving)
{
    saving->waiting.start();
    if (!saving->order.isPromotable || saving->saved.hasReusedSnapshot)
        return awaitRows(saving);
    saving->errand->awaitValue(
        m_training.saveWeightsForSamplerExt(saving->order.name, "base", saving->order.ttlSeconds),
        [this, saving](const SaveSamplerResult& sampler) {
            saving->saved.snapshotName = sampler.snapshotName;
            saving->waiting.start();
            awaitRows(saving);
        });
}

void TrainingCheckpoints::awaitRows(const std::shared_ptr<Saving>& saving)
{
    const auto look = [this, saving](const Result<std::vector<Checkpoint>>& rows) {
        auto& saved = saving->saved;
        if (rows) {
            const auto* state = saving->order.isResumable ? saving->stateRow(*rows) : nullptr;
            if (state != nullptr) {
                saved.resumableRow = state->name;
                saved.stateName = lastSegment(state->name);
            }
            const auto* sampler = rowNamed(*rows, saved.snapshotName);
            if (saving->order.isPromotable && sampler != nullptr && sampler->isPromotable)
                saved.promotableRow = sampler->name;
        }
        const bool isComplete = saving->isComplete();
        if (isComplete && (saving->isStable || m_options.stabilize <= 0ms))
            return saving->errand->finish(saved);
        if (isComplete) {
            saving->isStable = true;
            return saving->errand->after(
                m_options.stabilize, [this, saving] { awaitRows(saving); });
        }
        if (saving->waiting.hasExpired(m_options.appearTimeout.count())) {
            // The saves are done: that their rows are late must not make them look failed.
            saved.warnings.push_back("The list of the job's checkpoints does not show "
                + saving->order.name + " yet"
                + (rows ? std::string() : " (" + rows.error().message + ")"));
            return saving->errand->finish(saved);
        }
        saving->errand->after(m_options.poll, [this, saving] { awaitRows(saving); });
    };
    saving->errand->await(list(), look);
}

QFuture<Result<PromotionChoice>> TrainingCheckpoints::latestPromotable()
{
    return mapFuture<PromotionChoice>(
        list(), this, [this](const Result<std::vector<Checkpoint>>& rows) {
            return rows ? choosePromotable(*rows, m_options, m_training.nameSuffix())
                        : Result<PromotionChoice>(rows.error());
        });
}

QFuture<Result<PromotedCheckpoint>> TrainingCheckpoints::promoteLatest(std::string outputModelId,
    std::string baseModel, bool isStrict, FireworksClient::Progress progress)
{
    // Looked at before the list: a rejected id must cost nothing.
    if (const auto problems = validateOutputModelId(outputModelId); !problems.empty())
        return finishedFuture<PromotedCheckpoint>(checkpointMisused(problems.front(),
            "Nothing was promoted", "Choose an id of 1 to 63 characters of a-z, 0-9 and '-'"));
    auto errand = Errand<PromotedCheckpoint>::start(this);
    auto future = errand->future();
    errand->awaitValue(latestPromotable(),
        [this, errand = errand.get(), outputModelId = std::move(outputModelId),
            baseModel = std::move(baseModel), isStrict,
            progress = std::move(progress)](const PromotionChoice& choice) {
            if (isStrict && !choice.warnings.empty())
                return errand->finish(Error { Error::Code::Refused,
                    "The newest promotable checkpoint is doubtful: " + choice.warnings.front(),
                    "Nothing was promoted", "Promote the checkpoint you mean by its name", {} });
            if (progress) {
                for (const auto& warning : choice.warnings)
                    progress("warning: " + warning);
            }
            const PromoteParameters parameters { choice.row.name, outputModelId, baseModel };
            errand->awaitValue(m_control.promoteCheckpoint(parameters, progress),
                [errand, choice](const Model& model) {
                    errand->finish(PromotedCheckpoint { model, choice });
                });
        });
    return future;
}

QFuture<Result<ResumeOutcome>> TrainingCheckpoints::resume(ResumeRequest request)
{
    if (!request.reference.empty() && !request.adapter.empty())
        return finishedFuture<ResumeOutcome>(
            checkpointMisused("A run starts from a checkpoint or from an adapter, not from both",
                "Nothing was loaded", "Leave one of them out"));
    if (!request.adapter.empty() && !m_training.isLora())
        return finishedFuture<ResumeOutcome>(
            checkpointMisused("A full-parameter run cannot start from an adapter",
                "Nothing was loaded", "Train with a lora_rank, or leave the adapter out"));
    auto errand = Errand<ResumeOutcome>::start(this);
    auto future = errand->future();
    if (request.reference.empty()) {
        errand->awaitValue(list(),
            [this, errand, request = std::move(request)](
                const std::vector<Checkpoint>& rows) { resumeFromRows(errand, request, rows); });
        return future;
    }
    const auto reference = parseResumeReference(request.reference, m_options.job);
    if (!reference)
        return finishedFuture<ResumeOutcome>(reference.error());
    ResumeOutcome outcome;
    outcome.source = ResumeOutcome::Source::Reference;
    outcome.checkpoint = reference->loadPath;
    outcome.statement = reference->statement;
    outcome.warnings = reference->warnings;
    if (reference->restoresStep)
        outcome.step = stepOfName(reference->name).value_or(0);
    loadInto(errand, std::move(outcome), reference->loadPath, request.withOptimizer);
    return future;
}

void TrainingCheckpoints::resumeFromRows(std::shared_ptr<Errand<ResumeOutcome>> errand,
    ResumeRequest request, const std::vector<Checkpoint>& rows)
{
    ResumeOutcome outcome;
    const auto newest = std::find_if(rows.begin(), rows.end(), isResumable);
    if (newest != rows.end()) {
        const std::string name(lastSegment(newest->name));
        outcome.source = ResumeOutcome::Source::NewestRow;
        outcome.checkpoint = name;
        outcome.step = stepOfRow(*newest).value_or(0);
        outcome.statement =
            "Going on from " + name + ", the newest resumable checkpoint of the job";
        if (!request.adapter.empty())
            outcome.warnings.push_back("The adapter " + request.adapter
                + " was not loaded: the job has a state to go on from");
        if (!stepOfRow(*newest))
            outcome.warnings.push_back(
                "Nothing says which step " + name + " is of: steps are counted from 0 again");
        return loadInto(std::move(errand), std::move(outcome), name, request.withOptimizer);
    }
    const std::string none = "the job " + std::string(lastSegment(m_options.job))
        + (rows.empty() ? std::string(" has no checkpoint")
                        : " has no resumable one among its " + std::to_string(rows.size())
                    + " checkpoints");
    if (request.adapter.empty()) {
        outcome.statement = "Started fresh from the base model: " + none;
        return errand->finish(std::move(outcome));
    }
    outcome.source = ResumeOutcome::Source::Adapter;
    outcome.checkpoint = request.adapter;
    outcome.statement =
        "Started from the adapter " + request.adapter + " with a new optimizer at step 0: " + none;
    errand->awaitValue(m_training.loadAdapter(request.adapter),
        [errand = errand.get(), outcome](std::monostate) { errand->finish(outcome); });
}

void TrainingCheckpoints::loadInto(std::shared_ptr<Errand<ResumeOutcome>> errand,
    ResumeOutcome outcome, const std::string& path, bool withOptimizer)
{
    outcome.hasOptimizer = withOptimizer;
    if (!withOptimizer)
        outcome.statement += "; the optimizer starts fresh";
    errand->awaitValue(
        withOptimizer ? m_training.loadStateWithOptimizer(path) : m_training.loadState(path),
        [errand = errand.get(), outcome = std::move(outcome)](
            std::monostate) { errand->finish(outcome); });
}

} // namespace desk
