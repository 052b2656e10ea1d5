// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/deployment_patch_codec.h"
#include "services/codecs/gateway_codec.h"
#include "services/codecs/hotload_codec.h"
#include "services/core/records.h"
#include "services/core/resource_name.h"
#include "tests/support/scripted_server.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace desk::test {

/// A control plane of a few rows over the scripted server: it answers reads from its rows and
/// changes them as the service would, and can lose the reply of a change after acting on it.
class FakePlane
{
public:
    FakePlane()
    {
        server.route = [this](const SeenRequest& request) { return route(request); };
        TrainerJob job;
        job.name = kJob;
        job.state = JobState::Running;
        job.stateText = "JOB_STATE_RUNNING";
        job.baseModel = kBaseModel;
        jobs.push_back(job);
        checkpoints.push_back(row("step-0020-a1b2c3d4", CheckpointType::InferenceArcV2, 20));
        checkpoints.back().parent = "step-0010-a1b2c3d4";
        checkpoints.push_back(row("step-0010-a1b2c3d4", CheckpointType::InferenceBase, 10));
        checkpoints.back().isPromotable = true;
        Deployment deployment;
        deployment.name = kDeployment;
        deployment.baseModel = kBaseModel;
        deployment.state = "READY";
        deployment.enablesHotLoad = true;
        deployment.hotLoadTrainerJob = kJob;
        deployment.replicaCount = 2;
        deployment.readyReplicaCount = 2;
        deployments.push_back(deployment);
        for (const auto* pod : { "desk-0", "desk-1" })
            replicas.push_back({ pod, "", true, "ready", "", "", std::nullopt });
    }

    static Checkpoint row(const std::string& id, CheckpointType type, std::int64_t step)
    {
        Checkpoint checkpoint;
        checkpoint.name = std::string(kJob) + "/checkpoints/" + id;
        checkpoint.type = type;
        checkpoint.typeText = toString(type);
        checkpoint.step = step;
        checkpoint.created = *parseRfc3339("2026-11-21T10:00:00Z") + std::chrono::minutes(step);
        checkpoint.sizeBytes = 1000;
        return checkpoint;
    }

    void serve(const std::string& identity)
    {
        for (auto& replica : replicas) {
            replica.currentSnapshot = identity;
            replica.targetSnapshot = identity;
        }
    }
    qsizetype posts() const
    {
        return std::count_if(server.seen().begin(), server.seen().end(),
            [](const SeenRequest& request) { return request.method == "POST"; });
    }

    static constexpr auto kJob = "accounts/local/rlorTrainerJobs/job-1";
    static constexpr auto kBaseModel = "accounts/local/models/desk-tiny";
    static constexpr auto kDeployment = "accounts/local/deployments/eval";

    ScriptedServer server;
    std::vector<TrainerJob> jobs;
    std::vector<Checkpoint> checkpoints; // newest first
    std::vector<Model> models;
    std::vector<Deployment> deployments;
    std::vector<Replica> replicas;
    /// Set: the next change is answered by this instead, `actsFirst` after it took effect.
    std::optional<Answer> nextChange;
    bool actsFirst = true;
    std::function<void()> beforeChange;

private:
    template <class T>
    static Answer list(const std::vector<T>& rows, std::string (*encode)(const Page<T>&))
    {
        return reply(encode(Page<T> { rows, "", std::nullopt }));
    }
    static Answer reply(const std::string& body, int status = 200)
    {
        Answer answer;
        answer.status = status;
        answer.body = QByteArray::fromStdString(body);
        return answer;
    }
    static Answer missing() { return reply("{\"code\":5,\"message\":\"not found\"}", 404); }

    template <class T>
    static const T* named(const std::vector<T>& rows, const std::string& name)
    {
        const auto it =
            std::find_if(rows.begin(), rows.end(), [&](const T& r) { return r.name == name; });
        return it == rows.end() ? nullptr : &*it;
    }

    Answer route(const SeenRequest& request)
    {
        if (request.method == "GET")
            return read(request);
        if (beforeChange)
            beforeChange();
        if (!nextChange)
            return change(request);
        const auto instead = *nextChange;
        nextChange.reset();
        if (actsFirst)
            change(request);
        return instead;
    }

    Answer read(const SeenRequest& request)
    {
        const auto path = request.path();
        const auto name = path.mid(4).toStdString();
        if (path == kHotloadPath.data())
            return reply(encodeHotloadStatus(replicas));
        if (path.endsWith("/healthz"))
            return reply("{}");
        if (path.endsWith("/api/v1/checkpoints"))
            return reply(trainerRows());
        if (path == "/v1/accounts/local/models")
            return list<Model>(models, encodeModels);
        if (path == "/v1/accounts/local/deployments")
            return list<Deployment>(deployments, encodeDeployments);
        if (path.endsWith("/checkpoints"))
            return list<Checkpoint>(checkpoints, encodeCheckpoints);
        if (const auto* job = named(jobs, name))
            return reply(encodeJob(*job));
        if (const auto* model = named(models, name))
            return reply(encodeModel(*model));
        if (const auto* deployment = named(deployments, name))
            return reply(encodeDeployment(*deployment));
        return missing();
    }

    /// The rows as the trainer of the job lists them.
    std::string trainerRows() const
    {
        std::string rows;
        for (const auto& checkpoint : checkpoints) {
            const bool isState = checkpoint.type == CheckpointType::Training;
            rows += std::string(rows.empty() ? "" : ",") + "{\"tinker_path\":\"tinker://s1:train:0/"
                + (isState ? "weights/" : "sampler_weights/")
                + std::string(lastSegment(checkpoint.name)) + "\"}";
        }
        return "{\"checkpoints\":[" + rows + "]}";
    }

    Answer change(const SeenRequest& request)
    {
        const auto path = request.path();
        const auto body = request.body.toStdString();
        if (path.endsWith(":promote")) {
            const auto promote = decodePromote(body);
            Model model;
            model.name = promote->outputModel;
            model.kind = "HF_BASE_MODEL";
            model.state = "READY";
            model.promotedFrom = std::string(kJob) + "/checkpoints/"
                + path.mid(path.lastIndexOf('/') + 1).chopped(8).toStdString();
            models.push_back(model);
            LongOperation operation;
            operation.name = "accounts/local/operations/promote-1";
            operation.isDone = true;
            operation.response = model;
            return reply(encodePromoteAnswer({ operation, std::nullopt }));
        }
        if (path == kHotloadPath.data()) {
            serve(decodeHotload(body)->identity);
            return reply("{}");
        }
        if (path == "/v1/accounts/local/deployments") {
            const auto query = QString::fromUtf8(request.target).section(u'=', 1);
            Deployment deployment;
            deployment.name = deploymentName("local", query.toStdString());
            deployment.baseModel = kBaseModel;
            deployment.state = "READY";
            deployment.replicaCount = 1;
            deployment.readyReplicaCount = 1;
            deployments.push_back(deployment);
            return reply(encodeDeployment(deployment));
        }
        if (path.endsWith("/ttl")) {
            const auto id = path.split('/').at(path.count('/') - 1).toStdString();
            const auto seconds = request.body.mid(request.body.indexOf(':') + 1).chopped(1);
            for (auto& checkpoint : checkpoints) {
                if (lastSegment(checkpoint.name) != id)
                    continue;
                checkpoint.expires.reset();
                if (seconds != "null")
                    checkpoint.expires =
                        SystemClock().now() + std::chrono::seconds(seconds.toLongLong());
            }
            return reply("", 204);
        }
        if (request.method == "DELETE" && path.contains("/training_runs/")) {
            const auto id = path.mid(path.lastIndexOf('/') + 1).toStdString();
            std::erase_if(checkpoints,
                [&](const Checkpoint& checkpoint) { return lastSegment(checkpoint.name) == id; });
            return reply("", 204);
        }
        if (request.method == "PATCH") {
            const auto patch = decodeDeploymentPatch(
                body, "min_replica_count,max_replica_count"); // the only one that tests send
            deployments.front().replicaCount = patch->maxReplicaCount;
            deployments.front().readyReplicaCount = patch->maxReplicaCount;
            return reply(encodeDeployment(deployments.front()));
        }
        if (path.endsWith(":resume")) {
            jobs.front().state = JobState::Running;
            jobs.front().stateText = "JOB_STATE_RUNNING";
            return reply(encodeJob(jobs.front()));
        }
        if (path == "/v1/accounts/local/rlorTrainerJobs") {
            TrainerJob job = jobs.front();
            job.name = "accounts/local/rlorTrainerJobs/"
                + request.target.mid(request.target.lastIndexOf('=') + 1).toStdString();
            jobs.push_back(job);
            return reply(encodeJob(job));
        }
        if (request.method == "DELETE") {
            const auto name = path.mid(4).toStdString();
            std::erase_if(models, [&](const Model& row) { return row.name == name; });
            std::erase_if(deployments, [&](const Deployment& row) { return row.name == name; });
            std::erase_if(jobs, [&](const TrainerJob& row) { return row.name == name; });
            return reply("{}");
        }
        if (path.endsWith(":cancel")) {
            jobs.front().state = JobState::Cancelled;
            jobs.front().stateText = "JOB_STATE_CANCELLED";
            return reply("{}");
        }
        return missing();
    }
};

} // namespace desk::test
