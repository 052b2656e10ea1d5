// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/gateway_codec.h"
#include "services/core/promotability.h"
#include "services/core/resource_name.h"
#include "services/gateway/fireworks_client.h"
#include "services/operations/preflight.h"

#include <algorithm>
#include <cmath>

namespace desk {
namespace {

    void checkPromotable(CheckList& checks, const Checkpoint& row, const OperationFacts& facts)
    {
        constexpr auto kId = "promotable";
        constexpr auto kTitle = "Promotable";
        const auto may = promotabilityOf(row);
        if (may.isPromotable)
            return checks.pass(kId, kTitle, "the server marks this row promotable");
        const auto* other = nearestPromotable(facts.checkpoints, row);
        checks.fail(kId, kTitle, may.reason,
            other ? "Promote " + shortName(other->name) + " instead"
                  : std::string("Save a base snapshot, then promote that"));
    }

    void checkTrained(CheckList& checks, const Checkpoint& row)
    {
        const auto step = stepOf(row);
        if (!step)
            checks.unknown("trained", "Trained weights", "the server does not say the step");
        else if (*step <= 0)
            checks.warn("trained", "Trained weights", "step 0 is the untrained start of the run",
                "Choose a later snapshot");
        else
            checks.pass("trained", "Trained weights",
                "step " + std::to_string(*step) + ", not the untrained step-0 base");
    }

    void checkBaseModel(CheckList& checks, const OperationPlan& plan, const OperationFacts& facts)
    {
        constexpr auto kId = "base_model";
        constexpr auto kTitle = "Base model matches the job";
        const auto base = parameter(plan.draft, "base_model");
        if (!facts.job)
            return base.empty()
                ? checks.fail(kId, kTitle, "the job is gone and no base model is given",
                    "Give the model that the job started from")
                : checks.unknown(kId, kTitle, "the job is gone; " + base + " is taken as given");
        if (base == facts.job->baseModel)
            return checks.pass(kId, kTitle, base);
        checks.fail(kId, kTitle, "the job started from " + facts.job->baseModel + ", not " + base,
            "Use the base model of the job");
    }

    void checkModelId(CheckList& checks, const OperationPlan& plan, const OperationFacts& facts,
        const std::string& name)
    {
        const auto id = parameter(plan.draft, "model_id");
        std::string problems;
        for (const auto& problem : validateOutputModelId(id))
            problems += (problems.empty() ? "" : " ") + problem;
        if (!problems.empty())
            return checks.fail("model_id", "Model id is valid", problems,
                "Use 1 to 63 characters a-z, 0-9 and hyphen");
        checks.pass("model_id", "Model id is valid", "lower case, digits, hyphen");
        const auto taken = std::any_of(facts.models.begin(), facts.models.end(),
            [&](const Model& model) { return model.name == name; });
        if (taken)
            return checks.fail("model_id_free", "Model id is free", "a model of this id exists",
                "Choose another id");
        for (const auto& open : facts.open) {
            const auto it = open.parameters.find("model_id");
            if (open.kind == OperationKind::Promote && it != open.parameters.end()
                && it->second == id)
                return checks.fail("model_id_free", "Model id is free",
                    open.state == OperationState::Unknown
                        ? "an earlier promotion to this id has an unknown result"
                        : "a promotion to this id is under way",
                    open.state == OperationState::Unknown ? "Reconcile it first" : "Wait for it");
        }
        checks.pass("model_id_free", "Model id is free", "no model and no open operation uses it");
    }

    void checkRetention(CheckList& checks, const OperationFacts& facts)
    {
        constexpr auto kId = "retention";
        constexpr auto kTitle = "Trainer within retention";
        if (!facts.job)
            return checks.unknown(kId, kTitle, "the server does not know the job any more");
        if (facts.job->state == JobState::Deleted || facts.job->state == JobState::Expired)
            return checks.warn(
                kId, kTitle, "the trainer is deleted; its rows stay about 30 days", "Promote soon");
        checks.pass(kId, kTitle, "the trainer exists");
    }

    void checkNewer(CheckList& checks, const Checkpoint& row, const OperationFacts& facts)
    {
        for (const auto& other : facts.checkpoints) { // newest first
            if (!isSampler(other.type) || !other.created || !row.created
                || *other.created <= *row.created)
                continue;
            const auto kind = std::string(kindWord(other.type));
            return checks.warn("newer", "No newer snapshot",
                shortName(other.name) + " is newer (" + kind + ")",
                other.isPromotable ? "Promote that one, if the newest is meant" : std::string {});
        }
        checks.pass("newer", "No newer snapshot", "it is the newest of the job");
    }

    void checkLoss(CheckList& checks, const OperationFacts& facts)
    {
        if (!facts.loss || !facts.bestLoss)
            return;
        // Two percent: less is the noise of one batch.
        if (*facts.loss > *facts.bestLoss + 0.02 * std::abs(*facts.bestLoss))
            return checks.warn("loss", "Best loss",
                "loss " + lossText(*facts.loss) + " here, lowest " + lossText(*facts.bestLoss));
        checks.pass(
            "loss", "Best loss", "loss " + lossText(*facts.loss) + " is the lowest of the run");
    }

    void addPromoteEffect(CheckList& checks, const OperationFacts& facts, const Checkpoint* row,
        const std::string& modelName)
    {
        checks.effect("Model", "does not exist", modelName);
        std::string size = row ? promotabilityOf(row->type).modelKind : std::string {};
        if (size.empty())
            size = "not known";
        if (row && row->sizeBytes)
            size += ", " + bytesText(*row->sizeBytes);
        checks.effect("Kind, size", "", size + ", precision as saved");
        std::string state = facts.job ? readableState(facts.job->stateText) : "not known";
        checks.effect("Run", state, "unchanged, not paused; the checkpoint stays");
        const auto attached = !facts.job
            ? 0
            : std::count_if(facts.deployments.begin(), facts.deployments.end(),
                [&](const Deployment& d) { return isAttached(d, *facts.job); });
        checks.effect("Deployments", std::to_string(attached) + " load from this run",
            "unchanged; none changes what it serves");
        checks.effect(
            "Reversal", "", "None. The model can be deleted later, but not renamed.", true);
    }

} // namespace

void planPromote(OperationPlan& plan, const OperationFacts& facts)
{
    CheckList checks(plan);
    auto& draft = plan.draft;
    const auto name = parseCheckpointName(draft.subject);
    draft.target = draft.subject;
    if (parameter(draft, "base_model").empty() && facts.job)
        draft.parameters["base_model"] = facts.job->baseModel;
    const auto id = parameter(draft, "model_id");
    const auto model = name ? modelName(name->account, id) : std::string {};
    plan.sentence = "Promote " + shortName(draft.subject) + " to the new model " + id;

    const auto* row = findCheckpoint(facts.checkpoints, draft.subject);
    if (!row) {
        checks.fail("exists", "Checkpoint exists", "the job has no such checkpoint",
            "Choose one of the list");
    } else {
        checkPromotable(checks, *row, facts);
        checkTrained(checks, *row);
    }
    checkBaseModel(checks, plan, facts);
    checkModelId(checks, plan, facts, model);
    checkAdapter(checks, facts, parameter(draft, "base_model"));
    checkRetention(checks, facts);
    checkVerified(checks, facts);
    if (row)
        checkNewer(checks, *row, facts);
    checkLoss(checks, facts);
    addPromoteEffect(checks, facts, row, model);

    PromoteParameters parameters;
    parameters.name = draft.subject;
    parameters.outputModelId = id;
    parameters.baseModel = parameter(draft, "base_model");
    if (const auto old = parameter(draft, "hot_load_deployment_id"); !old.empty())
        parameters.hotLoadDeploymentId = old;
    const auto request = makePromote(parameters);
    const auto path = promotePath(draft.subject);
    if (request && path) {
        plan.request.method = "POST";
        plan.request.url = facts.connection.url + *path;
        plan.request.headers["Content-Type"] = "application/json";
        plan.request.body = encodePromote(*request);
    }
    if (parameter(draft, "form") == "pair" && name)
        parameters.jobId = name->job;
    plan.warnings = promoteWarnings(parameters);
    for (const auto& warning : plan.warnings)
        checks.warn("deprecated", "Present form of the call", warning);
}

} // namespace desk
