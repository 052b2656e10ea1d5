// SPDX-License-Identifier: GPL-3.0-or-later
// Single checkpoints: their expiry, and their end.
#include "services/codecs/checkpoint_rest_codec.h"
#include "services/core/resource_name.h"
#include "services/gateway/deployment_manager.h"
#include "services/operations/preflight.h"

#include <algorithm>

namespace desk {
namespace {

    constexpr int kMinTtlSeconds = 3600; // an hour: what trainers accept
    constexpr int kMaxTtlSeconds = 315'360'000; // ten years, as the trainers allow

    const Checkpoint* checkRow(
        CheckList& checks, const OperationPlan& plan, const OperationFacts& facts)
    {
        const auto* row = findCheckpoint(facts.checkpoints, plan.draft.target);
        if (row == nullptr)
            checks.fail("exists", "Checkpoint exists", "the job has no such checkpoint",
                "Choose one of the list");
        else
            checks.pass("exists", "Checkpoint exists", kindWord(row->type));
        return row;
    }

    void checkRoute(CheckList& checks, const OperationFacts& facts)
    {
        if (facts.checkpointRoute)
            return checks.pass("offered", "The server offers it", *facts.checkpointRoute);
        checks.fail("offered", "The server offers it",
            facts.routeProblem.empty() ? "where its trainer keeps it is not known"
                                       : facts.routeProblem,
            "It lives as long as the service keeps it; promote what must stay");
    }

    void requestTo(OperationPlan& plan, const OperationFacts& facts, const char* method,
        const std::string& tail)
    {
        const auto name = parseCheckpointName(plan.draft.target);
        if (!name || !facts.checkpointRoute)
            return;
        plan.request.method = method;
        plan.request.url = trainerUrl(facts.connection.url, name->jobName()) + "/api/v1/"
            + *facts.checkpointRoute + tail;
        plan.request.headers["Content-Type"] = "application/json";
    }

    std::string expiryText(const std::optional<Time>& expires)
    {
        return expires ? toRfc3339(*expires) : std::string("never, as far as is known");
    }

} // namespace

void planExtend(OperationPlan& plan, const OperationFacts& facts)
{
    CheckList checks(plan);
    const auto ttl = parameter(plan.draft, "ttl_seconds");
    const auto seconds = wholeNumberOf(ttl);
    const bool isNever = ttl == "never";
    plan.sentence = "Let " + shortName(plan.draft.target)
        + (isNever ? std::string(" stay for ever") : " expire in " + ttl + " s");
    const auto* row = checkRow(checks, plan, facts);
    checkRoute(checks, facts);
    std::optional<Time> expires;
    if (!isNever && (!seconds || *seconds < kMinTtlSeconds || *seconds > kMaxTtlSeconds))
        checks.fail("ttl", "Lifetime", "seconds from 3600 to 315360000, or never, are needed",
            "Choose another lifetime");
    else
        checks.pass("ttl", "Lifetime", isNever ? std::string("no end") : ttl + " s from now");
    if (!isNever && seconds)
        expires = facts.now + std::chrono::seconds(*seconds);
    if (row != nullptr && expires && (!row->expires || *expires < *row->expires))
        checks.warn("sooner", "It lives longer", "it would end sooner than now");
    checks.effect("Expires", row == nullptr ? std::string {} : expiryText(row->expires),
        isNever ? std::string("never") : expiryText(expires));
    checks.effect("Reversal", "", "Set another lifetime before it ends");
    requestTo(plan, facts, "PUT", "/ttl");
    if (!plan.request.method.empty())
        plan.request.body =
            encodeTtl(isNever ? std::nullopt : std::optional<std::int64_t>(seconds.value_or(0)));
}

void planDeleteCheckpoint(OperationPlan& plan, const OperationFacts& facts)
{
    CheckList checks(plan);
    const auto id = shortName(plan.draft.target);
    plan.sentence = "Delete the checkpoint " + id;
    const auto* row = checkRow(checks, plan, facts);
    checkRoute(checks, facts);
    const auto child = std::find_if(facts.checkpoints.begin(), facts.checkpoints.end(),
        [&](const Checkpoint& other) { return other.parent == id; });
    if (child != facts.checkpoints.end())
        checks.fail("parent", "No delta stands on it", shortName(child->name) + " does",
            "Delete " + shortName(child->name) + " first");
    for (const auto& deployment : facts.deployments) {
        const bool isServed = std::any_of(deployment.replicas.begin(), deployment.replicas.end(),
            [&](const Replica& replica) { return servesSnapshot(replica, id); });
        if (isServed)
            checks.warn("served", "Not served",
                shortName(deployment.name) + " serves it; it could not be loaded there again");
    }
    const auto model = std::find_if(facts.models.begin(), facts.models.end(),
        [&](const Model& m) { return m.promotedFrom == plan.draft.target; });
    checks.effect("Checkpoint",
        row != nullptr && row->sizeBytes ? bytesText(*row->sizeBytes) : std::string("exists"),
        "gone, with its files", true);
    if (model != facts.models.end())
        checks.effect("Model", shortName(model->name) + " was promoted from it", "stays");
    checks.effect("Reversal", "", "None", true);
    requestTo(plan, facts, "DELETE", {});
}

} // namespace desk
