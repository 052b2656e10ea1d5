// SPDX-License-Identifier: GPL-3.0-or-later
// Back to the snapshot that a deployment served before: its base, then the deltas up to it.
#include "services/core/resource_name.h"
#include "services/operations/hotload_checks.h"

#include <algorithm>

namespace desk {
namespace {

    constexpr std::size_t kMaxChain = 100;

    /// From the whole snapshot to `row`; empty if a part of it is gone.
    std::vector<std::string> chainTo(const std::vector<Checkpoint>& rows, const Checkpoint& row)
    {
        std::vector<std::string> chain { shortName(row.name) };
        const auto folder = row.name.substr(0, row.name.size() - chain.front().size());
        const auto* at = &row;
        while (at->type == CheckpointType::InferenceArcV2) {
            at = at->parent.empty() ? nullptr : findCheckpoint(rows, folder + at->parent);
            if (at == nullptr || chain.size() >= kMaxChain)
                return {};
            chain.push_back(shortName(at->name));
        }
        std::reverse(chain.begin(), chain.end());
        return chain;
    }

    std::string joined(const std::vector<std::string>& words, const char* between)
    {
        std::string text;
        for (const auto& word : words)
            text += (text.empty() ? "" : between) + word;
        return text;
    }

} // namespace

void planPrevious(OperationPlan& plan, const OperationFacts& facts)
{
    CheckList checks(plan);
    auto& draft = plan.draft;
    draft.target = deploymentOf(draft, facts.connection.account);
    draft.subject = facts.previous;
    draft.parameters.emplace("reset_prompt_cache", "all");
    draft.parameters.emplace("timeout_seconds", "600");
    const auto identity = shortName(draft.subject);
    plan.sentence = "Let " + shortName(draft.target) + " serve "
        + (identity.empty() ? std::string("what it served before") : identity + " again");
    if (draft.subject.empty())
        checks.fail("previous", "Served before",
            "the journal of this machine knows no other load of this deployment",
            "Choose a checkpoint and load it");
    else
        checks.pass("previous", "Served before", identity);
    std::vector<std::string> chain;
    if (!draft.subject.empty()) {
        const auto* row = findCheckpoint(facts.checkpoints, draft.subject);
        if (row != nullptr)
            chain = chainTo(facts.checkpoints, *row);
        if (row == nullptr)
            checks.fail("exists", "Checkpoint exists", "it is gone", "Load another checkpoint");
        else if (chain.empty())
            checks.fail("chain", "Chain is complete", "a snapshot that it stands on is gone",
                "Load a base snapshot");
        else
            checks.pass("chain", "Chain is complete", joined(chain, ", then "));
    }
    checkHotloadTarget(checks, facts);
    checkNotLoading(checks, facts, identity);
    checkVerified(checks, facts);
    draft.parameters["chain"] = joined(chain, ",");
    if (facts.deployment) {
        checks.effect("Serves", servedWords(facts.deployment->replicas), identity);
        checks.effect("Loads", "", std::to_string(chain.size()) + ", one after the other");
        checks.effect("Reversal", "", "The same once more");
    }
    HotloadRequest request;
    request.identity = chain.empty() ? identity : chain.front();
    request.resetPromptCache = resetOf(draft);
    requestHotload(plan, facts, request);
}

} // namespace desk
