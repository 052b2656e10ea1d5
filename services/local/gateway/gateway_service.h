// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/deployment_patch_codec.h"
#include "services/codecs/shapes_codec.h"
#include "services/core/result.h"
#include "services/local/gateway/idle_jobs.h"
#include "services/local/gateway/promoter.h"
#include "services/local/objects/object_store.h"
#include "services/local/server/router.h"
#include "services/local/server/task_pool.h"
#include "services/local/serving/serving_service.h"
#include "services/local/trainer/trainer_service.h"

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace desk::local {

/// The control plane below /v1 (gateway.md sections 1 to 5): accounts, trainer jobs, shapes,
/// checkpoints, promotions, models, deployments, and the lists that a dashboard asks for.
/// THREAD: handlers on the server's thread or, where they wait for weights, on the pool's.
class GatewayService
{
public:
    /// Runs something later on the server's thread.
    using After = std::function<void(std::chrono::milliseconds, std::function<void()>)>;
    GatewayService(ObjectStore& store, TrainerService& trainer, ServingService& serving,
        Promoter& promoter, IdleJobs& idle, TaskPool& pool, After after);
    GatewayService(const GatewayService&) = delete;
    GatewayService& operator=(const GatewayService&) = delete;

    void addRoutes(Router& router);

private:
    /// A JSON body or an error, sent by the wrapper that checks the account.
    using Answer = Result<std::string>;
    using Handler = Answer (GatewayService::*)(const HttpRequest&);
    void add(Router& router, const char* method, const char* path, Handler handler);
    /// The same on a thread of the pool: what opens or makes weights must not hold up the server.
    void addSlow(Router& router, const char* method, const char* path, Handler handler);
    void addJobRoutes(Router& router);
    void addModelRoutes(Router& router);
    void addDeploymentRoutes(Router& router);
    void addShapeRoutes(Router& router);
    void addDashboardRoutes(Router& router);
    void send(const Responder& responder, Answer answer) const;

    Answer accounts(const HttpRequest& request);
    Answer account(const HttpRequest& request);
    Answer createJob(const HttpRequest& request);
    Answer listJobs(const HttpRequest& request);
    Answer getJob(const HttpRequest& request);
    Answer deleteJob(const HttpRequest& request);
    Answer resumeJob(const HttpRequest& request);
    Answer cancelJob(const HttpRequest& request);
    Answer listCheckpoints(const HttpRequest& request);
    Answer getCheckpoint(const HttpRequest& request);
    Answer deleteCheckpoint(const HttpRequest& request);
    Answer syncCheckpoint(const HttpRequest& request);
    void promote(const HttpRequest& request, const Responder& responder);
    Answer getOperation(const HttpRequest& request);
    Answer listModels(const HttpRequest& request);
    Answer getModel(const HttpRequest& request);
    Answer deleteModel(const HttpRequest& request);
    Answer createDeployment(const HttpRequest& request);
    Answer listDeployments(const HttpRequest& request);
    Answer getDeployment(const HttpRequest& request);
    Answer deleteDeployment(const HttpRequest& request);
    Answer patchDeployment(const HttpRequest& request);
    Answer scaleDeployment(const HttpRequest& request);
    void addPatch(Router& router, const std::string& path, Handler handler);
    /// Sends `answer` when no replica of the deployment is being replaced, or after a while.
    void sendWhenUpdated(
        const std::string& deployment, const Responder& responder, Answer answer, int looks);
    Answer deploymentShards(const HttpRequest& request);
    Answer deploymentMetrics(const HttpRequest& request);
    Answer deploymentLedger(const HttpRequest& request);
    Answer resetLedger(const HttpRequest& request);
    Answer listTrainingShapes(const HttpRequest& request);
    Answer getTrainingShape(const HttpRequest& request);
    Answer listTrainingShapeVersions(const HttpRequest& request);
    Answer getTrainingShapeVersion(const HttpRequest& request);
    Answer listDeploymentShapes(const HttpRequest& request);
    Answer getDeploymentShape(const HttpRequest& request);
    Answer listDeploymentShapeVersions(const HttpRequest& request);
    Answer getDeploymentShapeVersion(const HttpRequest& request);
    Answer matchDeploymentShapes(const HttpRequest& request);

    /// The row of a base or promoted model that can be trained or served; `name` becomes full.
    [[nodiscard]] Result<ModelRow> usableModel(std::string& name) const;
    [[nodiscard]] Status checkTrainerJob(
        const std::string& name, const std::string& deployment) const;
    [[nodiscard]] Status checkJobLinks(const JobRow& row) const;
    [[nodiscard]] Result<DeploymentRow> newDeployment(const HttpRequest& request) const;
    [[nodiscard]] Status applyPatch(
        const Deployment& present, const std::string& id, const DeploymentPatch& patch);
    /// What a client is told while replicas start: CREATING or UPDATING, until `end`.
    void beginPhase(const std::string& deployment, const char* state);
    void endPhase(const std::string& deployment);
    [[nodiscard]] Result<Deployment> shownDeployment(const std::string& id) const;
    [[nodiscard]] std::string bucketUrl(const Deployment& deployment) const;
    [[nodiscard]] Result<std::vector<TrainingShape>> trainingShapes(
        const std::string& publisher) const;
    [[nodiscard]] Result<TrainingShape> trainingShape(
        const std::string& publisher, const std::string& shape) const;

    ObjectStore& m_store;
    TrainerService& m_trainer;
    ServingService& m_serving;
    Promoter& m_promoter;
    IdleJobs& m_idle;
    TaskPool& m_pool;
    After m_after;
    mutable std::mutex m_mutex; // guards m_phases
    std::map<std::string, std::string> m_phases; // by deployment
};

} // namespace desk::local
