// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/gateway_codec.h"
#include "services/codecs/json_text.h"
#include "services/core/resource_name.h"
#include "services/operations/preflight.h"

#include <algorithm>

namespace desk {
namespace {

    constexpr int kMaxReplicas = 64;

    std::string accountOf(const OperationPlan& plan, const OperationFacts& facts)
    {
        if (!facts.connection.account.empty())
            return facts.connection.account;
        const auto job = parseJobName(parameter(plan.draft, "job"));
        return job ? job->account : std::string {};
    }

    void checkDeploymentName(CheckList& checks, const std::string& id, const OperationFacts& facts)
    {
        constexpr auto kId = "name";
        constexpr auto kTitle = "Name is free";
        const auto isFine = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        };
        if (id.empty() || id.size() > 63 || !std::all_of(id.begin(), id.end(), isFine)
            || id.front() == '-' || id.back() == '-')
            return checks.fail(kId, kTitle,
                "a name has 1 to 63 characters a-z, 0-9 and inner hyphens", "Choose another name");
        const auto isTaken = [&](const Deployment& d) { return shortName(d.name) == id; };
        if (std::any_of(facts.deployments.begin(), facts.deployments.end(), isTaken))
            return checks.fail(
                kId, kTitle, "a deployment of this name exists", "Choose another name");
        for (const auto& open : facts.open) {
            const auto it = open.parameters.find("name");
            if (open.kind == OperationKind::Create && it != open.parameters.end()
                && it->second == id)
                return checks.fail(kId, kTitle, "an open operation creates this name",
                    "Wait for it, or reconcile it");
        }
        checks.pass(kId, kTitle, "no deployment and no open operation uses it");
    }

    void checkCreateModel(CheckList& checks, const OperationPlan& plan, const OperationFacts& facts)
    {
        constexpr auto kId = "base_model";
        constexpr auto kTitle = "Base model";
        const auto base = parameter(plan.draft, "base_model");
        if (base.empty())
            return checks.fail(
                kId, kTitle, "no base model and no job is given", "Choose what it is to serve");
        if (facts.job) {
            if (facts.job->baseModel == base)
                return checks.pass(kId, kTitle, base + ", as the job trains");
            return checks.fail(kId, kTitle,
                "the job trains " + facts.job->baseModel + ", not " + base,
                "Use the base model of the job");
        }
        const auto isKnown = std::any_of(facts.models.begin(), facts.models.end(),
            [&](const Model& model) { return model.name == base; });
        if (isKnown)
            checks.pass(kId, kTitle, base);
        else
            checks.unknown(kId, kTitle, base + " is not in the account's list; the server decides");
    }

    void checkCreateJob(CheckList& checks, const OperationPlan& plan, const OperationFacts& facts)
    {
        constexpr auto kId = "job";
        constexpr auto kTitle = "Job to load from";
        if (parameter(plan.draft, "job").empty())
            return checks.warn(kId, kTitle, "no job is given: it takes hot loads of none");
        if (!facts.job)
            return checks.fail(
                kId, kTitle, "the server does not know this job", "Choose another job");
        const auto other = std::find_if(facts.deployments.begin(), facts.deployments.end(),
            [&](const Deployment& d) { return isAttached(d, *facts.job); });
        if (other != facts.deployments.end())
            return checks.warn(kId, kTitle,
                shortName(other->name)
                    + " loads from this job too; deltas stand on what all of its "
                      "replicas hold");
        checks.pass(kId, kTitle, shortName(facts.job->name));
    }

} // namespace

void planCreate(OperationPlan& plan, const OperationFacts& facts)
{
    CheckList checks(plan);
    auto& draft = plan.draft;
    draft.parameters.emplace("resource", "deployment");
    if (parameter(draft, "resource") == "job")
        return planCreateJob(plan, facts);
    if (parameter(draft, "resource") != "deployment")
        checks.fail("resource", "Supported", "only jobs and deployments can be created",
            "Promote a checkpoint to create a model");
    if (facts.job)
        draft.parameters["job"] = facts.job->name; // it may have been given as a bare id
    if (parameter(draft, "base_model").empty() && facts.job)
        draft.parameters["base_model"] = facts.job->baseModel;
    if (parameter(draft, "replicas").empty())
        draft.parameters["replicas"] = "1";
    if (parameter(draft, "name").empty()) {
        // The form of the SDK: model and seconds, e.g. qwen3-8b-1795255200.
        const auto seconds =
            std::chrono::duration_cast<std::chrono::seconds>(facts.now.time_since_epoch());
        draft.parameters["name"] = shortName(parameter(draft, "base_model")).substr(0, 50) + '-'
            + std::to_string(seconds.count());
    }
    const auto id = parameter(draft, "name");
    const auto account = accountOf(plan, facts);
    const auto replicas = wholeNumberOf(parameter(draft, "replicas"));
    draft.target = deploymentName(account, id);
    plan.sentence = "Create the deployment " + id;

    checkDeploymentName(checks, id, facts);
    checkCreateModel(checks, plan, facts);
    checkCreateJob(checks, plan, facts);
    if (!replicas || *replicas < 1 || *replicas > kMaxReplicas)
        checks.fail("replicas", "Replicas", "a number from 1 to 64 is needed", "Choose fewer");
    else
        checks.pass("replicas", "Replicas", std::to_string(*replicas));
    if (account.empty())
        checks.fail("account", "Account", "the account is not known", "Test the connection");

    CreateDeployment request;
    request.deploymentId = id;
    request.displayName = id;
    request.baseModel = parameter(draft, "base_model");
    request.minReplicaCount = replicas.value_or(1);
    request.maxReplicaCount = replicas.value_or(1);
    request.hotLoadTrainerJob = parameter(draft, "job");
    checks.effect("Deployment", "does not exist", draft.target);
    checks.effect("Serves", "", request.baseModel + " until the first hot load");
    checks.effect("Loads from", "",
        request.hotLoadTrainerJob.empty() ? "no job" : shortName(request.hotLoadTrainerJob));
    checks.effect("Reversal", "", "It can be deleted");
    plan.request.method = "POST";
    plan.request.url = facts.connection.url + "/v1/accounts/" + account + "/deployments?"
        + encodeQuery(createDeploymentQuery(request));
    plan.request.headers["Content-Type"] = "application/json";
    plan.request.body = encodeCreateDeployment(request);
}

void planDelete(OperationPlan& plan, const OperationFacts& facts)
{
    CheckList checks(plan);
    auto& draft = plan.draft;
    const auto resource = parameter(draft, "resource");
    const auto id = shortName(draft.target);
    if (resource == "checkpoint")
        return planDeleteCheckpoint(plan, facts);
    plan.sentence = "Delete the " + resource + ' ' + id;
    const auto missing = [&] {
        checks.fail("exists", "Exists", "the server knows no such " + resource, "Refresh the list");
    };
    if (resource == "job") {
        const bool isGone = !facts.job || facts.job->state == JobState::Deleted;
        if (isGone) {
            missing();
        } else {
            checks.pass("exists", "Exists", readableState(facts.job->stateText));
            if (!isOver(facts.job->state))
                checks.warn("running", "Not running",
                    "the trainer is " + readableState(facts.job->stateText)
                        + "; its unsaved steps are lost",
                    "Save a checkpoint first");
        }
        checks.effect("Trainer", facts.job ? readableState(facts.job->stateText) : "", "deleted");
        checks.effect("Checkpoints", "", "kept about 30 days by the service, then gone", true);
    } else if (resource == "deployment") {
        const auto it = std::find_if(facts.deployments.begin(), facts.deployments.end(),
            [&](const Deployment& d) { return d.name == draft.target; });
        if (it == facts.deployments.end()) {
            missing();
        } else {
            checks.pass("exists", "Exists", it->state);
            if (it->readyReplicaCount.value_or(0) > 0)
                checks.warn("serving", "Not serving",
                    std::to_string(*it->readyReplicaCount) + " replicas answer requests now");
        }
        checks.effect("Deployment", "exists", "gone; requests to it fail", true);
    } else if (resource == "model") {
        const auto it = std::find_if(facts.models.begin(), facts.models.end(),
            [&](const Model& m) { return m.name == draft.target; });
        if (it == facts.models.end())
            missing();
        else
            checks.pass("exists", "Exists", it->state);
        const auto user = std::find_if(facts.deployments.begin(), facts.deployments.end(),
            [&](const Deployment& d) { return d.baseModel == draft.target; });
        if (user != facts.deployments.end())
            checks.warn("used", "Not deployed", shortName(user->name) + " serves it");
        checks.effect("Model", "exists", "gone, with its files", true);
    } else {
        checks.fail("resource", "Supported",
            "there is nothing called \"" + resource + "\" to delete",
            "Name a job, a deployment, a model or a checkpoint");
    }
    checks.effect("Reversal", "", "None", true);
    plan.request.method = "DELETE";
    plan.request.url = facts.connection.url + "/v1/" + draft.target
        + (resource == "deployment" ? "?ignoreChecks=true&hard=true" : "");
}

} // namespace desk
