// SPDX-License-Identifier: GPL-3.0-or-later
// Deployments of the control plane.
#include "services/codecs/deployment_patch_codec.h"
#include "services/core/resource_name.h"
#include "services/local/gateway/gateway_service.h"
#include "services/local/gateway/paging.h"
#include "services/local/server/auth.h"

#include <algorithm>

namespace desk::local {

namespace {

    Error badDeployment(std::string message, std::string next = {})
    {
        return Error { Error::Code::Refused, std::move(message), "nothing was changed",
            std::move(next), {} };
    }

} // namespace

Status GatewayService::checkTrainerJob(const std::string& name) const
{
    if (name.empty())
        return done();
    auto job = parseJobName(name);
    if (!job || job->account != m_store.account())
        return badDeployment(
            "'" + name + "' is not accounts/" + m_store.account() + "/rlorTrainerJobs/<job>",
            "send the full name of a trainer job of this account");
    auto row = m_store.job(job->job);
    return row ? done() : Status(row.error());
}

GatewayService::Answer GatewayService::createDeployment(const HttpRequest& request)
{
    auto wanted = decodeCreateDeployment(request.body, request.query);
    if (!wanted)
        return wanted.error();
    DeploymentRow row;
    row.id = wanted->deploymentId.empty() ? "deployment-" + randomHex(8) : wanted->deploymentId;
    if (!isSafeId(row.id))
        return badDeployment("'" + row.id + "' cannot be the id of a deployment",
            "use letters, digits, '.', '_' and '-'");
    if (auto status = checkBaseModel(wanted->baseModel); !status)
        return status.error();
    if (auto status = checkTrainerJob(wanted->hotLoadTrainerJob); !status)
        return status.error();
    row.record.name = deploymentName(m_store.account(), row.id);
    row.description = wanted->description;
    row.record.displayName = wanted->displayName;
    row.record.baseModel = wanted->baseModel;
    row.record.enablesHotLoad = wanted->enableHotLoad;
    row.record.hotLoadTrainerJob = wanted->hotLoadTrainerJob;
    row.record.replicaCount = std::max(wanted->minReplicaCount, wanted->maxReplicaCount);
    if (auto status = m_serving.create(row); !status)
        return status.error();
    auto stored = m_serving.deployment(row.id);
    if (!stored)
        return stored.error();
    return encodeDeployment(*stored);
}

GatewayService::Answer GatewayService::listDeployments(const HttpRequest& request)
{
    auto rows = m_serving.deployments();
    if (!rows)
        return rows.error();
    auto page = pageOf(std::move(*rows), request);
    if (!page)
        return page.error();
    return encodeDeployments(*page);
}

GatewayService::Answer GatewayService::getDeployment(const HttpRequest& request)
{
    auto record = m_serving.deployment(request.parameter("d"));
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

GatewayService::Answer GatewayService::patchDeployment(const HttpRequest& request)
{
    const auto id = request.parameter("d");
    auto patch = decodeDeploymentPatch(request.body, request.queryValue("updateMask"));
    if (!patch)
        return patch.error();
    auto present = m_serving.deployment(id);
    if (!present)
        return present.error();
    if (patch->hotLoadTrainerJob) {
        if (auto status = checkTrainerJob(*patch->hotLoadTrainerJob); !status)
            return status.error();
        if (auto status = m_serving.reattach(id, *patch->hotLoadTrainerJob); !status)
            return status.error();
    }
    if (patch->displayName)
        if (auto status = m_serving.rename(id, *patch->displayName); !status)
            return status.error();
    auto wanted = patch->replicaCount;
    if (!wanted && (patch->minReplicaCount || patch->maxReplicaCount)) {
        const int count = present->replicaCount.value_or(1);
        const int low = patch->minReplicaCount.value_or(0);
        const int high = patch->maxReplicaCount.value_or(std::max(low, count));
        if (low > high)
            return badDeployment("minReplicaCount is above maxReplicaCount");
        wanted = std::clamp(count, low, high);
    }
    if (wanted && *wanted != present->replicaCount.value_or(1))
        if (auto status = m_serving.scale(id, *wanted); !status)
            return status.error();
    return getDeployment(request);
}

} // namespace desk::local
