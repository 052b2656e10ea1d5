// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/operations/preflight.h"

#include <algorithm>

namespace desk {
namespace {

    bool isBaseOrDelta(const Checkpoint& row)
    {
        return row.type == CheckpointType::InferenceBase
            || row.type == CheckpointType::InferenceArcV2;
    }

    void checkRun(CheckList& checks, const OperationFacts& facts)
    {
        constexpr auto kId = "control_socket";
        constexpr auto kTitle = "The run can be asked to save";
        if (!facts.control)
            return checks.fail(kId, kTitle, facts.controlProblem,
                "Only a run that Trainer Desk started can save on demand; of any other run wait "
                "for "
                "its next periodic save");
        const auto& state = facts.control->state;
        if (state == "stopping" || state == "finished" || state == "failed")
            return checks.fail(kId, kTitle, "the run is " + state,
                "Continue it with trainerdesk-ctl train --continue");
        if (!facts.control->busyWith.empty())
            return checks.warn(kId, kTitle,
                "it is saving " + facts.control->busyWith + "; this save comes after it");
        std::string why = "it answers on its control socket";
        if (facts.control->step)
            why += ", step " + std::to_string(*facts.control->step);
        checks.pass(kId, kTitle, why);
    }

    void checkJobRuns(CheckList& checks, const OperationFacts& facts)
    {
        constexpr auto kId = "job";
        constexpr auto kTitle = "Job exists";
        if (!facts.job)
            return checks.fail(
                kId, kTitle, "the server does not know this job", "Choose another job");
        const auto state = facts.job->state;
        if (state == JobState::Deleted || state == JobState::Failed || state == JobState::Cancelled
            || state == JobState::Completed || state == JobState::Expired)
            return checks.fail(kId, kTitle, "its state is " + readableState(facts.job->stateText),
                "A trainer that is gone cannot save; use a checkpoint that it left");
        checks.pass(kId, kTitle, readableState(facts.job->stateText));
    }

    void checkSaveName(CheckList& checks, const OperationPlan& plan, const OperationFacts& facts)
    {
        constexpr auto kId = "name";
        constexpr auto kTitle = "Name is free";
        const auto name = parameter(plan.draft, "name");
        if (auto problem = problemWithSaveName(name); !problem.empty())
            return checks.fail(kId, kTitle, std::move(problem), "Choose another name");
        const auto isTaken = [&](const Checkpoint& row) {
            const auto id = shortName(row.name);
            return id == name || withoutSession(id) == name;
        };
        if (std::any_of(facts.checkpoints.begin(), facts.checkpoints.end(), isTaken))
            return checks.fail(
                kId, kTitle, "the job has a checkpoint of this name", "Choose another name");
        for (const auto& open : facts.open) {
            const auto it = open.parameters.find("name");
            if (open.kind == OperationKind::Save && open.target == plan.draft.target
                && it != open.parameters.end() && it->second == name)
                return checks.fail(kId, kTitle,
                    open.state == OperationState::Unknown
                        ? "an earlier save of this name has an unknown result"
                        : "a save of this name is under way",
                    open.state == OperationState::Unknown ? "Reconcile it first" : "Wait for it");
        }
        checks.pass(kId, kTitle, "no checkpoint and no open operation uses it");
    }

    void checkKind(CheckList& checks, OperationPlan& plan, const OperationFacts& facts)
    {
        constexpr auto kId = "kind";
        constexpr auto kTitle = "Kind of save";
        auto kind = parameter(plan.draft, "kind", "base");
        const int rank = facts.job && facts.job->loraRank > 0 ? facts.job->loraRank
            : facts.control                                   ? facts.control->loraRank
                                                              : 0;
        if (kind != "state" && kind != "base" && kind != "delta") {
            checks.fail(
                kId, kTitle, "there is no kind \"" + kind + '"', "Use state, base or delta");
        } else if (kind == "state") {
            checks.pass(kId, kTitle, "a training state: for resuming, cannot be promoted");
        } else if (rank > 0 && kind == "delta") {
            plan.draft.parameters["kind"] = "base";
            checks.warn(kId, kTitle, "a LoRA run saves its whole adapter each time; base is used");
        } else if (kind == "delta") {
            const auto it =
                std::find_if(facts.checkpoints.begin(), facts.checkpoints.end(), isBaseOrDelta);
            if (it == facts.checkpoints.end())
                checks.fail(kId, kTitle, "a delta needs an earlier base or delta save of this job",
                    "Save a base first");
            else
                checks.pass(kId, kTitle,
                    "a delta against an earlier save; the server chooses its parent (newest here: "
                        + shortName(it->name) + ')');
        } else {
            checks.pass(kId, kTitle, "a full snapshot: can be promoted and loaded alone");
        }
    }

    /// Size of the newest save of the same kind, in words.
    std::string expectedSize(const OperationFacts& facts, const std::string& kind)
    {
        for (const auto& row : facts.checkpoints) {
            const bool isSame = kind == "state"
                ? row.type == CheckpointType::Training || row.type == CheckpointType::TrainingLora
                : kind == kindWord(row.type)
                    || (kind == "base" && row.type == CheckpointType::InferenceLora);
            if (isSame && row.sizeBytes)
                return "about " + bytesText(*row.sizeBytes) + ", as " + shortName(row.name);
        }
        return "not known: no save of this kind yet";
    }

} // namespace

void planSave(OperationPlan& plan, const OperationFacts& facts)
{
    CheckList checks(plan);
    auto& draft = plan.draft;
    draft.parameters.emplace("kind", "base");
    checkJobRuns(checks, facts);
    checkRun(checks, facts);
    checkSaveName(checks, plan, facts);
    checkKind(checks, plan, facts);
    const auto kind = parameter(draft, "kind");
    const auto name = parameter(draft, "name");
    const auto ttl = parameter(draft, "ttl_seconds");
    draft.subject = name;
    plan.sentence = "Save " + name + " (" + kind + ") of " + shortName(draft.target);

    checks.effect("Checkpoints", std::to_string(facts.checkpoints.size()),
        std::to_string(facts.checkpoints.size() + 1) + ", the new one is " + name
            + (kind == "state" ? "" : " with the session's suffix"));
    checks.effect("Size", "", expectedSize(facts, kind));
    checks.effect("Training", facts.control ? facts.control->state : "not known",
        "saves between two steps, then goes on");
    checks.effect("Lifetime", "", ttl.empty() ? "no expiry asked for" : ttl + " s");

    plan.request.method = "LINE";
    plan.request.url = "unix:" + facts.controlSocket.toStdString();
    plan.request.body = "save " + kind + ' ' + name + (ttl.empty() ? "" : ' ' + ttl);
    if (const auto line = parseControlCommand(plan.request.body); !line)
        checks.fail("request", "Request is well formed", line.error().message, line.error().next);
}

} // namespace desk
