// SPDX-License-Identifier: GPL-3.0-or-later
// Jobs that are created, resumed and canceled; deployments that are scaled.
#include "services/codecs/deployment_patch_codec.h"
#include "services/codecs/gateway_codec.h"
#include "services/codecs/json_text.h"
#include "services/core/resource_name.h"
#include "services/gateway/trainer_job_manager.h"
#include "services/operations/preflight.h"

#include <algorithm>

namespace desk {
namespace {

    constexpr int kMaxScaledReplicas = 64;

    bool canResume(JobState state)
    {
        return state == JobState::Failed || state == JobState::Cancelled
            || state == JobState::Paused || state == JobState::Completed;
    }

    void postTo(OperationPlan& plan, const OperationFacts& facts, const std::string& pathTail)
    {
        plan.request.method = "POST";
        plan.request.url = facts.connection.url + "/v1/" + pathTail;
        plan.request.headers["Content-Type"] = "application/json";
        plan.request.body = "{}";
    }

    void checkJobModel(CheckList& checks, const OperationFacts& facts, const std::string& base)
    {
        constexpr auto kId = "base_model";
        constexpr auto kTitle = "Base model";
        if (base.empty())
            return checks.fail(kId, kTitle, "no base model is given", "Choose what to train");
        const auto isKnown = std::any_of(facts.models.begin(), facts.models.end(),
            [&](const Model& model) { return model.name == base; });
        if (isKnown)
            checks.pass(kId, kTitle, base);
        else
            checks.unknown(kId, kTitle, base + " is not in the account's list; the server decides");
    }

} // namespace

void planCreateJob(OperationPlan& plan, const OperationFacts& facts)
{
    CheckList checks(plan);
    auto& draft = plan.draft;
    CreateJob request;
    request.jobId = parameter(draft, "id");
    if (request.jobId.empty())
        request.jobId = draft.parameters["id"] = TrainerJobManager::newJobId();
    request.displayName = parameter(draft, "name");
    request.baseModel = parameter(draft, "base_model");
    const auto rank = wholeNumberOf(parameter(draft, "lora_rank", "0"));
    request.loraRank = rank.value_or(-1);
    draft.target = JobName { facts.connection.account, request.jobId }.toString();
    plan.sentence = "Create the trainer job " + request.jobId;

    checkJobModel(checks, facts, request.baseModel);
    const auto problems = checkCreateJob(request);
    for (const auto& problem : problems)
        checks.fail("request", "Request is well formed", problem, "Change it");
    if (problems.empty())
        checks.pass("request", "Request is well formed", "names, ranks and lengths");
    if (facts.connection.account.empty())
        checks.fail("account", "Account", "the account is not known", "Test the connection");
    checks.effect("Job", "does not exist", draft.target);
    checks.effect("Trains", "",
        request.baseModel
            + (request.loraRank > 0 ? ", LoRA rank " + std::to_string(request.loraRank)
                                    : std::string(", full parameters")));
    checks.effect("Cost", "none",
        facts.connection.isLocal ? "none: it runs on this machine"
                                 : "accelerators from the moment it is placed",
        !facts.connection.isLocal);
    checks.effect("Reversal", "", "It can be canceled and deleted");
    const auto query = encodeQuery(createJobQuery(request));
    postTo(plan, facts, "accounts/" + facts.connection.account + "/rlorTrainerJobs?" + query);
    plan.request.body = encodeCreateJob(request);
}

void planResume(OperationPlan& plan, const OperationFacts& facts)
{
    CheckList checks(plan);
    plan.sentence = "Resume the job " + shortName(plan.draft.target);
    const auto state = facts.job ? readableState(facts.job->stateText) : std::string {};
    if (!facts.job)
        checks.fail(
            "exists", "Job exists", "the server does not know this job", "Refresh the list");
    else if (canResume(facts.job->state))
        checks.pass("resumable", "Job can be resumed", state);
    else if (facts.job->state == JobState::Deleted || facts.job->state == JobState::Archived)
        checks.fail("resumable", "Job can be resumed", "it is deleted",
            "Create a job and load a checkpoint of this one");
    else
        checks.fail("resumable", "Job can be resumed", "its state is " + state,
            "Only a job that failed, was canceled, is paused or completed can be resumed");
    checks.effect("Job", state, "running again");
    checks.effect("Weights", "", "as the base model until a state is loaded", true);
    checks.effect("Reversal", "", "It can be canceled");
    postTo(plan, facts, plan.draft.target + ":resume");
}

void planCancel(OperationPlan& plan, const OperationFacts& facts)
{
    CheckList checks(plan);
    plan.sentence = "Cancel the job " + shortName(plan.draft.target);
    if (!facts.job)
        checks.fail(
            "exists", "Job exists", "the server does not know this job", "Refresh the list");
    else if (isOver(facts.job->state))
        checks.fail("running", "Job is running",
            "its state is " + readableState(facts.job->stateText), "There is nothing to cancel");
    else
        checks.pass("running", "Job is running", readableState(facts.job->stateText));
    checks.effect("Job", facts.job ? readableState(facts.job->stateText) : "", "cancelled");
    checks.effect("Unsaved steps", "", "lost; checkpoints stay", true);
    checks.effect("Reversal", "", "None; resume from a checkpoint", true);
    plan.request.method = "POST";
    plan.request.url = facts.connection.url + "/v1/" + plan.draft.target + ":cancel";
    plan.request.headers["Content-Type"] = "application/json";
    plan.request.body = "{}";
}

void planScale(OperationPlan& plan, const OperationFacts& facts)
{
    CheckList checks(plan);
    auto& draft = plan.draft;
    draft.target = deploymentOf(draft, facts.connection.account);
    const auto replicas = wholeNumberOf(parameter(draft, "replicas"));
    const auto wanted = parameter(draft, "replicas", "?");
    plan.sentence = "Scale " + shortName(draft.target) + " to " + wanted + " replicas";
    if (!replicas || *replicas < 0 || *replicas > kMaxScaledReplicas)
        checks.fail(
            "replicas", "Replicas", "a number from 0 to 64 is needed", "Choose another one");
    else
        checks.pass("replicas", "Replicas", wanted);
    if (!facts.deployment) {
        checks.fail("deployment", "Deployment exists", "the server knows no such deployment",
            "Refresh the list");
    } else {
        checks.pass("deployment", "Deployment exists", facts.deployment->state);
        if (replicas && facts.deployment->replicaCount == *replicas)
            checks.warn("changes", "Something changes", "it has " + wanted + " replicas already");
        const bool isServing = facts.deployment->readyReplicaCount.value_or(0) > 0;
        if (replicas && *replicas == 0 && isServing)
            checks.warn("serving", "Not serving", "requests to it fail while it has no replica");
    }
    const auto before = facts.deployment && facts.deployment->replicaCount
        ? std::to_string(*facts.deployment->replicaCount)
        : std::string("not known");
    checks.effect("Replicas", before, wanted);
    checks.effect("Serves", "", "new replicas load what the others serve");
    checks.effect("Reversal", "", "Scale it back to " + before);
    DeploymentPatch change;
    change.minReplicaCount = replicas.value_or(0);
    change.maxReplicaCount = replicas.value_or(0);
    plan.request.method = "PATCH";
    plan.request.url = facts.connection.url + "/v1/" + draft.target + "?"
        + encodeQuery({ { "updateMask", updateMaskOf(change) } });
    plan.request.headers["Content-Type"] = "application/json";
    plan.request.body = encodeDeploymentPatch(change);
}

} // namespace desk
