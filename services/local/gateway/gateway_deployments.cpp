// SPDX-License-Identifier: GPL-3.0-or-later
// Deployments of the control plane.
#include "services/codecs/gateway_codec.h"
#include "services/core/resource_name.h"
#include "services/local/gateway/gateway_service.h"
#include "services/local/server/auth.h"

#include <algorithm>
#include <chrono>
#include <memory>

namespace desk::local {

namespace {

    Error badDeployment(std::string message, std::string next = {})
    {
        return Error { Error::Code::Usage, std::move(message), "nothing was changed",
            std::move(next), {} };
    }

    constexpr auto kUpdateLook = std::chrono::milliseconds(10);
    constexpr int kUpdateLooks = 300;

    struct ReplicaRange
    {
        int low = 0;
        int high = 1;
    };

    /// The range after a patch. One end that passes the other takes it along, unless both are said.
    Result<ReplicaRange> patchedRange(const Deployment& present, const DeploymentPatch& patch)
    {
        const int count = present.replicaCount.value_or(1);
        ReplicaRange range { present.minReplicaCount.value_or(count),
            present.maxReplicaCount.value_or(count) };
        if (patch.minReplicaCount)
            range.low = *patch.minReplicaCount;
        if (patch.maxReplicaCount)
            range.high = *patch.maxReplicaCount;
        if (range.low < 0 || range.high < 0)
            return badDeployment("replica counts must not be negative");
        if (range.low > range.high && patch.minReplicaCount && patch.maxReplicaCount)
            return badDeployment("minReplicaCount " + std::to_string(range.low)
                    + " is above maxReplicaCount " + std::to_string(range.high),
                "send a maximum that is not below the minimum");
        if (patch.minReplicaCount)
            range.high = std::max(range.low, range.high);
        else
            range.low = std::min(range.low, range.high);
        if (patch.replicaCount) {
            range.low = *patch.replicaCount;
            range.high = std::max(range.low, range.high);
        }
        return range;
    }

} // namespace

void GatewayService::addDeploymentRoutes(Router& router)
{
    using G = GatewayService;
    const std::string deployments = "/v1/accounts/{a}/deployments";
    const std::string deployment = deployments + "/{d}";
    addSlow(router, "POST", deployments.c_str(), &G::createDeployment);
    add(router, "GET", deployments.c_str(), &G::listDeployments);
    add(router, "GET", deployment.c_str(), &G::getDeployment);
    add(router, "DELETE", deployment.c_str(), &G::deleteDeployment);
    addPatch(router, deployment, &G::patchDeployment);
    addPatch(router, deployment + ":scale", &G::scaleDeployment);
    add(router, "GET", (deployment + ":metrics").c_str(), &G::deploymentMetrics);
    add(router, "GET", (deployment + "/shards").c_str(), &G::deploymentShards);
    add(router, "GET", (deployment + "/ledger").c_str(), &G::deploymentLedger);
    add(router, "DELETE", (deployment + "/ledger").c_str(), &G::resetLedger);
}

void GatewayService::addPatch(Router& router, const std::string& path, Handler handler)
{
    router.add("PATCH", path, [this, handler](HttpRequest request, Responder responder) {
        if (request.parameter("a") != m_store.account())
            return send(responder,
                Error { Error::Code::NotFound,
                    "there is no account " + request.parameter("a") + " here", {},
                    "use accounts/" + m_store.account(), {} });
        m_pool.post([this, handler, responder,
                        kept = std::make_shared<HttpRequest>(std::move(request))] {
            sendWhenUpdated(kept->parameter("d"), responder, (this->*handler)(*kept), kUpdateLooks);
        });
    });
}

/// A client that looks at the deployment after its PATCH looks again only after seconds, so the
/// answer says UPDATING when the first look will find READY.
void GatewayService::sendWhenUpdated(
    const std::string& deployment, const Responder& responder, Answer answer, int looks)
{
    const auto present = m_serving.deployment(deployment);
    if (!answer || !present || present->state != "UPDATING" || looks <= 0) {
        endPhase(deployment);
        return send(responder, std::move(answer));
    }
    m_after(kUpdateLook, [this, deployment, responder, answer = std::move(answer), looks] {
        sendWhenUpdated(deployment, responder, answer, looks - 1);
    });
}

void GatewayService::beginPhase(const std::string& deployment, const char* state)
{
    const std::scoped_lock lock(m_mutex);
    m_phases[deployment] = state;
}

void GatewayService::endPhase(const std::string& deployment)
{
    const std::scoped_lock lock(m_mutex);
    m_phases.erase(deployment);
}

std::string GatewayService::bucketUrl(const Deployment& deployment) const
{
    if (!deployment.enablesHotLoad)
        return {};
    const auto prefix = "gs://local/rl-checkpoints/" + m_store.account() + "/";
    if (deployment.hotLoadTrainerJob.empty())
        return prefix + std::string(lastSegment(deployment.name)) + "/";
    return prefix + "trainer-" + std::string(lastSegment(deployment.hotLoadTrainerJob)) + "/";
}

Result<Deployment> GatewayService::shownDeployment(const std::string& id) const
{
    auto record = m_serving.deployment(id);
    if (!record)
        return record;
    record->bucketUrl = bucketUrl(*record);
    const std::scoped_lock lock(m_mutex);
    if (const auto phase = m_phases.find(id); phase != m_phases.end())
        record->state = phase->second;
    return record;
}

Status GatewayService::checkTrainerJob(const std::string& name, const std::string& deployment) const
{
    if (name.empty())
        return done();
    auto job = parseJobName(name);
    if (!job || job->account != m_store.account())
        return badDeployment("'" + name.substr(0, 300) + "' is not accounts/" + m_store.account()
                + "/rlorTrainerJobs/<job>",
            "send the full name of a trainer job of this account");
    auto row = m_store.job(job->job);
    if (!row)
        return row.error();
    const auto& keyed = row->job.hotLoadDeploymentId;
    if (!keyed.empty() && keyed != deployment)
        return Error { Error::Code::Refused,
            "hotload flow mismatch: trainer " + job->job
                + " is deployment-first-keyed for deployment " + keyed + ", not for " + deployment,
            "nothing was changed", "use that deployment, or a trainer without hotLoadDeploymentId",
            {} };
    return done();
}

Result<DeploymentRow> GatewayService::newDeployment(const HttpRequest& request) const
{
    auto wanted = decodeCreateDeployment(request.body, request.query);
    if (!wanted)
        return wanted.error();
    DeploymentRow row;
    row.id = wanted->deploymentId.empty() ? "deployment-" + randomHex(8) : wanted->deploymentId;
    if (!isSafeId(row.id))
        return badDeployment("'" + row.id.substr(0, 100) + "' cannot be the id of a deployment",
            "use letters, digits, '.', '_' and '-'");
    if (wanted->minReplicaCount < 0 || wanted->maxReplicaCount < wanted->minReplicaCount)
        return badDeployment("minReplicaCount " + std::to_string(wanted->minReplicaCount)
                + " and maxReplicaCount " + std::to_string(wanted->maxReplicaCount)
                + " are no range",
            "send 0 <= minReplicaCount <= maxReplicaCount");
    const auto& transition = wanted->hotLoadTransitionType;
    if (!transition.empty() && transition != "ASYNC" && transition != "SYNC")
        return badDeployment(
            "hotLoadTransitionType '" + transition.substr(0, 100) + "' is not ASYNC or SYNC",
            "send one of them, or leave it out");
    if (wanted->acceptShapelessRisk && !wanted->deploymentShape.empty())
        return badDeployment("acceptShapelessRisk is for deployments without a deploymentShape",
            "leave one of them out");
    if (const auto present = m_serving.deployment(row.id))
        return Error { Error::Code::Conflict, "the deployment " + row.id + " exists",
            "nothing was created", "use it, or choose another id", {} };
    auto model = usableModel(wanted->baseModel);
    if (!model)
        return model.error();
    if (auto status = checkTrainerJob(wanted->hotLoadTrainerJob, row.id); !status)
        return status.error();
    auto& record = row.record;
    record.name = deploymentName(m_store.account(), row.id);
    record.description = row.description = wanted->description;
    record.displayName = wanted->displayName;
    record.baseModel = wanted->baseModel;
    record.enablesHotLoad = wanted->enableHotLoad;
    record.hotLoadTrainerJob = wanted->hotLoadTrainerJob;
    record.transitionType = transition;
    record.deploymentShape = wanted->deploymentShape;
    record.minReplicaCount = wanted->minReplicaCount;
    record.maxReplicaCount = wanted->maxReplicaCount;
    // A weight sync waits for a replica even where none is the minimum (1.2.30, section 14.2).
    record.replicaCount = std::min(wanted->maxReplicaCount, std::max(wanted->minReplicaCount, 1));
    record.json = deploymentDetails(*wanted);
    return row;
}

GatewayService::Answer GatewayService::createDeployment(const HttpRequest& request)
{
    auto row = newDeployment(request);
    if (!row)
        return row.error();
    if (request.queryValue("validateOnly") == "true") {
        row->record.state = "CREATING";
        return encodeDeployment(row->record);
    }
    beginPhase(row->id, "CREATING");
    if (auto status = m_serving.create(*row); !status) {
        endPhase(row->id);
        return status.error();
    }
    // Opening the weights is what takes time; what is wrong with them is said by the first answer.
    static_cast<void>(m_serving.answering(row->id));
    auto record = shownDeployment(row->id);
    endPhase(row->id);
    if (!record)
        return record.error();
    return encodeDeployment(*record);
}

GatewayService::Answer GatewayService::listDeployments(const HttpRequest& request)
{
    auto query = decodeListQuery(request.query);
    if (!query)
        return query.error();
    auto rows = m_serving.deployments();
    if (!rows)
        return rows.error();
    std::vector<Deployment> shown;
    for (const auto& row : *rows)
        if (auto record = shownDeployment(std::string(lastSegment(row.name))))
            shown.push_back(*std::move(record));
    return encodeDeploymentList(shown, *query);
}

GatewayService::Answer GatewayService::getDeployment(const HttpRequest& request)
{
    auto record = shownDeployment(request.parameter("d"));
    if (!record)
        return record.error();
    return encodeDeployment(*record);
}

GatewayService::Answer GatewayService::deleteDeployment(const HttpRequest& request)
{
    if (auto status = m_serving.remove(request.parameter("d")); !status)
        return status.error();
    return std::string("{}");
}

Status GatewayService::applyPatch(
    const Deployment& present, const std::string& id, const DeploymentPatch& patch)
{
    const auto range = patchedRange(present, patch);
    if (!range)
        return range.error();
    if (patch.hotLoadTrainerJob) {
        if (auto status = checkTrainerJob(*patch.hotLoadTrainerJob, id); !status)
            return status;
        if (auto status = m_serving.reattach(id, *patch.hotLoadTrainerJob); !status)
            return status;
    }
    const bool hasCounts = patch.minReplicaCount || patch.maxReplicaCount || patch.replicaCount;
    if (hasCounts) {
        const int count = present.replicaCount.value_or(1);
        const int wanted = patch.replicaCount.value_or(std::clamp(count, range->low, range->high));
        if (wanted != count)
            if (auto status = m_serving.scale(id, wanted); !status)
                return status;
    }
    return m_serving.edit(id, [&](Deployment& record) {
        record.displayName = patch.displayName.value_or(record.displayName);
        record.description = patch.description.value_or(record.description);
        record.transitionType = patch.hotLoadTransitionType.value_or(record.transitionType);
        if (hasCounts) {
            record.minReplicaCount = range->low;
            record.maxReplicaCount = range->high;
        }
        if (!patch.otherFields.empty()) {
            auto changed =
                decodeDeployment(patchedDetails(encodeDeployment(record), patch.otherFields));
            if (!changed)
                return;
            record.json = changed->json;
            record.deploymentShape = changed->deploymentShape;
            record.enablesHotLoad = changed->enablesHotLoad;
        }
    });
}

GatewayService::Answer GatewayService::patchDeployment(const HttpRequest& request)
{
    const auto id = request.parameter("d");
    auto patch = decodeDeploymentPatch(request.body, request.queryValue("updateMask"));
    if (!patch)
        return patch.error();
    auto present = m_serving.deployment(id);
    if (!present)
        return present.error();
    beginPhase(id, "UPDATING");
    if (auto status = applyPatch(*present, id, *patch); !status)
        return status.error();
    static_cast<void>(m_serving.answering(id)); // opens the weights of new replicas
    auto record = shownDeployment(id);
    if (!record)
        return record.error();
    return encodeDeployment(*record);
}

GatewayService::Answer GatewayService::scaleDeployment(const HttpRequest& request)
{
    auto patch = decodeDeploymentPatch(request.body, {});
    if (!patch)
        return patch.error();
    if (!patch->replicaCount)
        return badDeployment("the body has no replicaCount", R"(send {"replicaCount": 1})");
    return patchDeployment(request);
}

GatewayService::Answer GatewayService::deploymentShards(const HttpRequest& request)
{
    auto record = m_serving.deployment(request.parameter("d"));
    if (!record)
        return record.error();
    return encodeShards(*record);
}

GatewayService::Answer GatewayService::deploymentMetrics(const HttpRequest& request)
{
    auto record = m_serving.deployment(request.parameter("d"));
    if (!record)
        return record.error();
    return encodeDeploymentMetrics(*record);
}

GatewayService::Answer GatewayService::deploymentLedger(const HttpRequest& request)
{
    const auto id = request.parameter("d");
    if (auto record = m_serving.deployment(id); !record)
        return record.error();
    auto entries = m_store.loads(id);
    if (!entries)
        return entries.error();
    return encodeLedger(*entries);
}

GatewayService::Answer GatewayService::resetLedger(const HttpRequest& request)
{
    const auto id = request.parameter("d");
    if (auto record = m_serving.deployment(id); !record)
        return record.error();
    if (auto status = m_store.forgetLoads(id); !status)
        return status.error();
    return std::string("{}");
}

} // namespace desk::local
