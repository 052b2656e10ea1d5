// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/completions_codec.h"
#include "services/core/result.h"
#include "services/local/server/router.h"
#include "services/local/server/task_pool.h"
#include "services/local/serving/serving_service.h"

#include <stop_token>

namespace desk::local {

/// POST /inference/v1/completions and its alias /v1/completions (gateway.md section 4.9), not
/// streamed. The model is a deployment, a promoted model or a base model.
class CompletionService
{
public:
    CompletionService(ObjectStore& store, ServingService& serving, TaskPool& pool);
    CompletionService(const CompletionService&) = delete;
    CompletionService& operator=(const CompletionService&) = delete;

    void addRoutes(Router& router);
    void stop() { m_stop.request_stop(); }

private:
    void answer(const HttpRequest& request, const Responder& responder);
    [[nodiscard]] Result<ServingService::Answering> weightsFor(
        const desk::CompletionRequest& request, std::string& modelName);
    [[nodiscard]] Result<desk::Completion> complete(const desk::CompletionRequest& request);

    ObjectStore& m_store;
    ServingService& m_serving;
    TaskPool& m_pool;
    std::stop_source m_stop;
};

} // namespace desk::local
