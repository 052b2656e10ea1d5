// SPDX-License-Identifier: GPL-3.0-or-later
// Kinds of resources that this backend has none of: their lists are empty under the right key, and
// what would create or read one says so.
#include "services/codecs/gateway_codec.h"
#include "services/local/gateway/gateway_service.h"

#include <array>

namespace desk::local {

namespace {

    struct AbsentKind
    {
        const char* collection;
        const char* words;
    };
    /// gateway.md sections 1.6 and 5.
    constexpr std::array kAbsentKinds {
        AbsentKind { "supervisedFineTuningJobs", "managed fine-tuning jobs" },
        AbsentKind { "reinforcementFineTuningJobs", "managed fine-tuning jobs" },
        AbsentKind { "dpoJobs", "managed fine-tuning jobs" },
        AbsentKind { "fineTuningJobs", "managed fine-tuning jobs" },
        AbsentKind { "evaluationJobs", "evaluation jobs" },
        AbsentKind { "evaluators", "evaluators" },
        AbsentKind { "batchInferenceJobs", "batch inference jobs" },
        AbsentKind { "datasets", "data sets: a training client sends its data itself" },
        AbsentKind { "deployedModels", "deployed models beside its deployments" },
        AbsentKind { "apiKeys", "keys beside its own" },
        AbsentKind { "secrets", "secrets" },
        AbsentKind { "users", "users" },
        AbsentKind { "quotas", "quotas" },
        AbsentKind { "trainingSessions", "serverless training sessions" },
        AbsentKind { "trainingRuns", "serverless training runs" },
    };

    Error absent(const std::string& words)
    {
        return Error { Error::Code::NotFound, "this backend has no " + words, "nothing was done",
            "use a trainer job and deployments", {} };
    }

} // namespace

void GatewayService::addDashboardRoutes(Router& router)
{
    for (const auto& kind : kAbsentKinds) {
        const std::string list = std::string("/v1/accounts/{a}/") + kind.collection;
        const std::string key = kind.collection;
        const std::string words = kind.words;
        router.add("GET", list, [this, key](HttpRequest request, Responder responder) {
            if (request.parameter("a") != m_store.account())
                return send(responder, absent("account " + request.parameter("a")));
            auto query = decodeListQuery(request.query);
            send(responder, query ? Answer(encodeEmptyList(key)) : Answer(query.error()));
        });
        const auto refuse = [this, words](HttpRequest, Responder responder) {
            send(responder, absent(words));
        };
        router.add("POST", list, refuse);
        for (const char* method : { "GET", "POST", "PATCH", "PUT", "DELETE" })
            router.add(method, list + "/{rest*}", refuse);
    }
    for (const char* method : { "GET", "POST", "PUT", "PATCH", "DELETE" })
        router.add(
            method, "/training/v1/serverless/{rest*}", [this](HttpRequest, Responder responder) {
                send(responder, absent("serverless training"));
            });
    router.add("GET", "/v1/accounts/{a}/rlorTrainerJobs/{job}/publicLogs",
        [this](HttpRequest request, Responder responder) {
            const auto job = m_store.job(request.parameter("job"));
            send(responder,
                job ? Answer(absent("published logs of a trainer: it is this process"))
                    : Answer(job.error()));
        });
    router.add("POST", "/v1/accounts/{a}/rlorTrainerJobs/{job}:executeTrainStep",
        [this](HttpRequest, Responder responder) {
            send(responder, absent("training steps by the control plane"));
        });
}

} // namespace desk::local
