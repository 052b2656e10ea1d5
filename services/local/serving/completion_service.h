// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/completions_codec.h"
#include "services/core/result.h"
#include "services/local/sampling/fair_queue.h"
#include "services/local/server/router.h"
#include "services/local/serving/completion_work.h"
#include "services/local/serving/serving_service.h"

#include <chrono>
#include <stop_token>
#include <string>

namespace desk::local {

/// POST /inference/v1/completions and its alias /v1/completions (gateway.md section 4.9), whole or
/// streamed. The model is a deployment (with `@<snapshot>`: that snapshot of it), a promoted model
/// or a base model. 404 for what is not there, 425 for what is not ready yet, never a 5xx for
/// either (gateway.md section 4.7). A client that hangs up stops its generation.
class CompletionService
{
public:
    CompletionService(ObjectStore& store, ServingService& serving, FairQueue& queue);
    CompletionService(const CompletionService&) = delete;
    CompletionService& operator=(const CompletionService&) = delete;

    void addRoutes(Router& router);
    void stop() { m_stop.request_stop(); }

private:
    void prepare(const HttpRequest& request, const Responder& responder,
        std::chrono::steady_clock::time_point arrived);
    [[nodiscard]] Result<ServingService::Answering> weightsFor(
        const std::string& model, std::string& modelName);

    ObjectStore& m_store;
    ServingService& m_serving;
    FairQueue& m_queue;
    std::stop_source m_stop;
};

} // namespace desk::local
