// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/gateway/promoter.h"
#include "services/local/objects/object_store.h"
#include "services/local/server/router.h"
#include "services/local/serving/serving_service.h"
#include "services/local/trainer/trainer_service.h"

namespace desk::local {

/// The control plane below /v1 (gateway.md sections 1 to 4): accounts, trainer jobs, checkpoints,
/// promotions, models, deployments. THREAD: the server's.
class GatewayService
{
public:
    GatewayService(
        ObjectStore& store, TrainerService& trainer, ServingService& serving, Promoter& promoter);
    GatewayService(const GatewayService&) = delete;
    GatewayService& operator=(const GatewayService&) = delete;

    void addRoutes(Router& router);

private:
    /// A JSON body or an error, sent by the wrapper that checks the account.
    using Answer = Result<std::string>;
    using Handler = Answer (GatewayService::*)(const HttpRequest&);
    void add(Router& router, const char* method, const char* path, Handler handler);

    Answer accounts(const HttpRequest& request);
    Answer createJob(const HttpRequest& request);
    Answer listJobs(const HttpRequest& request);
    Answer getJob(const HttpRequest& request);
    Answer deleteJob(const HttpRequest& request);
    Answer resumeJob(const HttpRequest& request);
    Answer cancelJob(const HttpRequest& request);
    Answer listCheckpoints(const HttpRequest& request);
    Answer promote(const HttpRequest& request);
    Answer getOperation(const HttpRequest& request);
    Answer listModels(const HttpRequest& request);
    Answer getModel(const HttpRequest& request);
    Answer deleteModel(const HttpRequest& request);
    Answer createDeployment(const HttpRequest& request);
    Answer listDeployments(const HttpRequest& request);
    Answer getDeployment(const HttpRequest& request);
    Answer deleteDeployment(const HttpRequest& request);
    Answer patchDeployment(const HttpRequest& request);

    [[nodiscard]] Status checkBaseModel(const std::string& name) const;
    [[nodiscard]] Status checkTrainerJob(const std::string& name) const;

    ObjectStore& m_store;
    TrainerService& m_trainer;
    ServingService& m_serving;
    Promoter& m_promoter;
};

} // namespace desk::local
