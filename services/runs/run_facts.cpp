// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/runs/run_facts.h"

#include <algorithm>

namespace desk {
namespace {

    constexpr auto kLeakingAfter = std::chrono::minutes(10);
    // Before a run has shown its rhythm: the interval that tinker-cookbook's own registry allows.
    constexpr double kSilentWithoutCadence = 120;
    constexpr double kSilentAtLeast = 10;
    // A save or a long request may lawfully be silent this long (runs.md section 0, fact 8).
    constexpr double kSilentWhileSaving = 2700;

    std::optional<RunEvidence> endOf(JobState state)
    {
        switch (state) {
        case JobState::Completed:
        case JobState::EarlyStopped:
            return RunEvidence::Finished;
        case JobState::Failed:
        case JobState::Expired:
            return RunEvidence::Failed;
        case JobState::Cancelled:
        case JobState::Deleted:
        case JobState::Deleting:
        case JobState::DeletingCleaningUp:
            return RunEvidence::Cancelled;
        default:
            return std::nullopt;
        }
    }

    bool holdsTrainer(JobState state)
    {
        return state == JobState::Running || state == JobState::Idle || state == JobState::Pending
            || state == JobState::Creating;
    }

    RunEvidence evidenceOfLiveRun(const RunFacts& run, Time now)
    {
        if (!run.lastProgress)
            return RunEvidence::Unknown;
        double patience = std::max(3 * run.cadenceSeconds.value_or(0), kSilentAtLeast);
        if (!run.cadenceSeconds)
            patience = kSilentWithoutCadence;
        if (run.controlState == "saving")
            patience = std::max(patience, kSilentWhileSaving);
        const std::chrono::duration<double> quiet = now - *run.lastProgress;
        return quiet.count() > patience ? RunEvidence::Silent : RunEvidence::Training;
    }

} // namespace

RunEvidence evidenceFor(const RunFacts& run, std::optional<JobState> jobState, Time now) noexcept
{
    // What the run itself wrote down as its end holds, whatever the server still says.
    if (run.evidence == RunEvidence::Finished || run.evidence == RunEvidence::Failed
        || run.evidence == RunEvidence::Cancelled)
        return run.evidence;
    if (jobState) {
        if (const auto end = endOf(*jobState))
            return *end;
    }
    const bool isGone = run.pid > 0 && !run.isProcessAlive && !run.isControlReachable;
    if (!isGone)
        return evidenceOfLiveRun(run, now);
    if (!jobState || !holdsTrainer(*jobState))
        return RunEvidence::Unknown;
    const bool isLong = run.lastProgress && now - *run.lastProgress > kLeakingAfter;
    return isLong ? RunEvidence::Leaking : RunEvidence::Orphaned;
}

const char* toString(RunEvidence evidence) noexcept
{
    switch (evidence) {
    case RunEvidence::Training:
        return "training";
    case RunEvidence::Silent:
        return "silent";
    case RunEvidence::Orphaned:
        return "orphaned";
    case RunEvidence::Leaking:
        return "leaking";
    case RunEvidence::Finished:
        return "finished";
    case RunEvidence::Failed:
        return "failed";
    case RunEvidence::Cancelled:
        return "cancelled";
    case RunEvidence::Unknown:
        break;
    }
    return "unknown";
}

} // namespace desk
