// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/resource_name.h"
#include "services/operations/hotload_checks.h"

#include <algorithm>

namespace desk {
namespace {

    /// Words that replicas use while nothing happens (gateway.md section 4.6).
    bool isAtRest(const std::string& stage)
    {
        for (const char* word : { "", "unknown", "idle", "ready", "done", "error" }) {
            if (stage == word)
                return true;
        }
        return false;
    }

    std::string identityOr(const std::string& identity, const char* none)
    {
        return identity.empty() ? none : identity;
    }

    std::string replicaName(const std::vector<Replica>& replicas, std::size_t at)
    {
        const auto& name = replicas[at].identity;
        return name.empty() ? "replica " + std::to_string(at + 1) : name;
    }

    void checkDeployment(CheckList& checks, const OperationFacts& facts)
    {
        if (!facts.deployment)
            return checks.fail("deployment", "Deployment exists",
                "the server knows no such deployment", "Create it, or choose another one");
        if (!facts.deployment->enablesHotLoad)
            return checks.fail("deployment", "Deployment takes hot loads",
                "hot load is not enabled on " + shortName(facts.deployment->name),
                "Create a deployment with hot load enabled");
        checks.pass("deployment", "Deployment takes hot loads", facts.deployment->state);
    }

    void checkAttachment(CheckList& checks, const OperationFacts& facts)
    {
        constexpr auto kId = "attached";
        constexpr auto kTitle = "Deployment reads this job's snapshots";
        if (!facts.deployment)
            return;
        const auto& owner = facts.deployment->hotLoadTrainerJob;
        if (!facts.job)
            return checks.unknown(kId, kTitle, "the job could not be read");
        if (isAttached(*facts.deployment, *facts.job))
            return checks.pass(kId, kTitle, "attached to " + shortName(facts.job->name));
        // The embedded backend finds a snapshot by its identity; elsewhere the bucket follows the
        // job.
        if (owner.empty() && facts.connection.isLocal)
            return checks.warn(kId, kTitle,
                "it follows no job; deltas saved later will not stand on what it serves",
                "Create a deployment of this job");
        checks.fail(kId, kTitle,
            owner.empty() ? "it is attached to no job" : "it is attached to " + shortName(owner),
            "Choose a deployment of this job, or create one");
    }

    void checkReplicas(CheckList& checks, const OperationFacts& facts)
    {
        constexpr auto kId = "replicas";
        constexpr auto kTitle = "Replicas are up";
        if (!facts.deployment)
            return;
        if (!facts.areReplicasKnown)
            return checks.unknown(kId, kTitle,
                facts.problems.empty() ? "their status was not read" : facts.problems.back());
        const auto& replicas = facts.deployment->replicas;
        if (replicas.empty())
            return checks.fail(kId, kTitle, "the deployment has no replica yet",
                "Wait until it has one, or scale it up");
        const auto ready = std::count_if(replicas.begin(), replicas.end(),
            [](const Replica& replica) { return replica.isReady; });
        const auto words =
            std::to_string(ready) + " of " + std::to_string(replicas.size()) + " ready";
        if (static_cast<std::size_t>(ready) == replicas.size())
            checks.pass(kId, kTitle, words);
        else
            checks.warn(kId, kTitle, words);
    }

    void checkBase(CheckList& checks, const OperationFacts& facts)
    {
        constexpr auto kId = "base_model";
        constexpr auto kTitle = "Base models match";
        if (!facts.deployment || !facts.job)
            return;
        if (facts.deployment->baseModel == facts.job->baseModel)
            return checks.pass(kId, kTitle, facts.job->baseModel);
        checks.fail(kId, kTitle,
            "the deployment serves " + facts.deployment->baseModel + ", the job trains "
                + facts.job->baseModel,
            "Choose a deployment of the same base model");
    }

    /// "which 1 of 2 replicas hold; replica 2 holds step-10 (error, target step-11)"
    std::string confirmedWords(const std::vector<Replica>& replicas, const std::string& parent)
    {
        std::size_t confirmed = 0;
        std::string others;
        for (std::size_t i = 0; i < replicas.size(); ++i) {
            const auto& replica = replicas[i];
            if (replica.currentSnapshot == parent) {
                ++confirmed;
                continue;
            }
            others += (others.empty() ? "" : ", ") + replicaName(replicas, i) + " holds "
                + identityOr(replica.currentSnapshot, "the base model");
            if (!isAtRest(replica.stage) || replica.stage == "error")
                others += " (" + replica.stage + ", target " + replica.targetSnapshot + ')';
        }
        return "which " + std::to_string(confirmed) + " of " + std::to_string(replicas.size())
            + " replicas hold; " + others;
    }

    struct Chain
    {
        bool isDelta = false; ///< metadata are sent
        std::string previous;
    };

    /// A delta is XORed into what a replica holds, so every replica must hold exactly its parent.
    Chain checkChain(CheckList& checks, const OperationPlan& plan, const OperationFacts& facts,
        const Checkpoint& row)
    {
        constexpr auto kId = "chain";
        constexpr auto kTitle = "Replicas hold the parent";
        if (row.type != CheckpointType::InferenceArcV2) {
            checks.pass(kId, kTitle, "a full snapshot stands on nothing");
            return {};
        }
        if (parameter(plan.draft, "full") == "1") {
            checks.fail(kId, kTitle, "a delta cannot be loaded as a whole; it needs its base",
                "Leave --full out, or load its base");
            return {};
        }
        if (!facts.deployment || !facts.areReplicasKnown || facts.deployment->replicas.empty()) {
            checks.unknown(kId, kTitle, "what the replicas hold is not known");
            return { true, row.parent };
        }
        const auto served = commonIdentity(facts.deployment->replicas);
        const auto id = shortName(row.name);
        if (row.parent.empty()) {
            if (served.empty())
                checks.fail(kId, kTitle,
                    "the replicas hold no common snapshot that a delta could "
                    "stand on",
                    "Load a base snapshot first");
            else
                checks.unknown(kId, kTitle,
                    "the server does not record the parent; the request names " + served);
            return { true, served };
        }
        if (served == row.parent) {
            checks.pass(kId, kTitle, "all replicas hold " + row.parent);
        } else if (served == id) {
            checks.pass(kId, kTitle, "all replicas hold this snapshot already");
        } else {
            const auto* parent = findCheckpoint(
                facts.checkpoints, row.name.substr(0, row.name.size() - id.size()) + row.parent);
            const bool isBase = parent && parent->type == CheckpointType::InferenceBase;
            checks.fail(kId, kTitle,
                "the delta stands on " + row.parent + ", "
                    + confirmedWords(facts.deployment->replicas, row.parent),
                (isBase ? "Load its base " + row.parent + " first"
                        : "Load " + row.parent + " first; the chain begins at a base")
                    + ", or save and load a full snapshot");
        }
        return { true, row.parent };
    }

    void checkServed(CheckList& checks, const OperationFacts& facts, const std::string& identity)
    {
        if (!facts.deployment || facts.deployment->replicas.empty())
            return;
        if (commonIdentity(facts.deployment->replicas) == identity)
            checks.warn("served", "Not served yet", "all replicas serve this snapshot already");
        else
            checks.pass("served", "Not served yet", "the replicas serve something else");
    }

    void checkNewerSnapshot(CheckList& checks, const OperationFacts& facts, const Checkpoint& row)
    {
        for (const auto& other : facts.checkpoints) {
            if (!isSampler(other.type) || !other.created || !row.created
                || *other.created <= *row.created)
                continue;
            return checks.warn("newer", "No newer snapshot", shortName(other.name) + " is newer");
        }
        checks.pass("newer", "No newer snapshot", "it is the newest of the job");
    }

    void addHotloadEffect(CheckList& checks, const OperationPlan& plan, const OperationFacts& facts,
        const Checkpoint* row, const std::string& identity, bool isDelta)
    {
        if (!facts.deployment)
            return;
        const auto count = facts.deployment->replicas.size();
        checks.effect("Serves", servedWords(facts.deployment->replicas), identity);
        std::string size = isDelta ? "delta" : "full snapshot";
        if (row && row->sizeBytes)
            size += ", " + bytesText(*row->sizeBytes);
        if (isDelta && row && row->sizeBytes && row->baseBytes && *row->sizeBytes > 0) {
            const auto ratio =
                static_cast<double>(*row->baseBytes) / static_cast<double>(*row->sizeBytes);
            size += ", 1/" + std::to_string(static_cast<int>(ratio)) + " of the base";
        }
        checks.effect("Transfer", "", size + " to each of " + std::to_string(count) + " replicas");
        checks.effect("Answers while loading", "one version",
            count > 1 ? "old and new versions may mix until all are ready" : "the old version",
            count > 1);
        checks.effect(
            "Prompt cache", "", "reset: " + parameter(plan.draft, "reset_prompt_cache", "all"));
        const auto served = commonIdentity(facts.deployment->replicas);
        checks.effect("Reversal", "",
            served.empty() ? "Load another snapshot"
                           : "Load " + served + " again, as a new operation");
    }

} // namespace

std::string servedWords(const std::vector<Replica>& replicas)
{
    if (replicas.empty())
        return "no replica";
    const auto common = commonIdentity(replicas);
    if (!common.empty())
        return common;
    std::string words;
    for (std::size_t i = 0; i < replicas.size(); ++i)
        words += (words.empty() ? "" : ", ") + replicaName(replicas, i) + ": "
            + identityOr(replicas[i].currentSnapshot, "base model");
    return words;
}

void checkNotLoading(CheckList& checks, const OperationFacts& facts, const std::string& identity)
{
    if (!facts.deployment)
        return;
    const auto& replicas = facts.deployment->replicas;
    for (std::size_t i = 0; i < replicas.size(); ++i) {
        if (isAtRest(replicas[i].stage))
            continue;
        return checks.fail("loading", "No load in progress",
            replicaName(replicas, i) + " is " + replicas[i].stage + ' '
                + replicas[i].targetSnapshot,
            "Wait until that load has ended");
    }
    checks.pass("loading", "No load in progress", "all replicas are at rest");
    for (std::size_t i = 0; i < replicas.size(); ++i) {
        if (replicas[i].stage != "error")
            continue;
        const bool isSame = replicas[i].targetSnapshot == identity;
        return checks.warn("last_error", "Last load",
            (isSame ? "it failed before on " : "an older load failed on ")
                + replicaName(replicas, i)
                + (replicas[i].error.empty() ? "" : ": " + replicas[i].error));
    }
}

ResetPromptCache resetOf(const OperationDraft& draft)
{
    const auto word = parameter(draft, "reset_prompt_cache", "all");
    // "all" is the default of the wire in both of its spellings; the boolean is the older one.
    if (word == "all")
        return true;
    if (word == "none")
        return false;
    return word;
}

void checkHotloadTarget(CheckList& checks, const OperationFacts& facts)
{
    checkDeployment(checks, facts);
    checkAttachment(checks, facts);
    checkReplicas(checks, facts);
    checkBase(checks, facts);
}

void requestHotload(OperationPlan& plan, const OperationFacts& facts, const HotloadRequest& request)
{
    plan.request.method = "POST";
    plan.request.url = facts.connection.url + std::string(kHotloadPath);
    plan.request.headers["Content-Type"] = "application/json";
    if (facts.deployment)
        plan.request.headers[std::string(kHotloadModelHeader)] = facts.deployment->baseModel;
    plan.request.headers[std::string(kHotloadDeploymentHeader)] = plan.draft.target;
    plan.request.body = encodeHotload(request);
}

void planHotload(OperationPlan& plan, const OperationFacts& facts)
{
    CheckList checks(plan);
    auto& draft = plan.draft;
    draft.target = deploymentOf(draft, facts.connection.account);
    draft.parameters.emplace("reset_prompt_cache", "all");
    draft.parameters.emplace("timeout_seconds", "600");
    const auto identity = shortName(draft.subject);
    const auto* row = findCheckpoint(facts.checkpoints, draft.subject);
    plan.sentence = "Hotload " + identity + " to " + shortName(draft.target);

    if (!row)
        checks.fail("exists", "Checkpoint exists", "the job has no such checkpoint",
            "Choose one of the list");
    else if (!isSampler(row->type))
        checks.fail("exists", "Checkpoint can be served",
            "a training state is for resuming, not for serving", "Choose a base or a delta");
    else
        checks.pass("exists", "Checkpoint can be served", kindWord(row->type));
    checkHotloadTarget(checks, facts);
    checkAdapter(checks, facts, facts.deployment ? facts.deployment->baseModel : std::string {});
    Chain chain;
    if (row && isSampler(row->type))
        chain = checkChain(checks, plan, facts, *row);
    checkNotLoading(checks, facts, identity);
    checkServed(checks, facts, identity);
    checkVerified(checks, facts);
    if (row)
        checkNewerSnapshot(checks, facts, *row);
    addHotloadEffect(checks, plan, facts, row, identity, chain.isDelta);

    HotloadRequest request;
    request.identity = identity;
    request.resetPromptCache = resetOf(draft);
    if (chain.isDelta && !chain.previous.empty()) {
        request.incremental = IncrementalSnapshot {};
        request.incremental->previousIdentity = chain.previous;
    }
    requestHotload(plan, facts, request);
}

} // namespace desk
