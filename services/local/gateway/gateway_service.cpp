// SPDX-License-Identifier: GPL-3.0-or-later
// Routes of the control plane, and what all of them share.
#include "services/local/gateway/gateway_service.h"

#include "services/codecs/error_codec.h"
#include "services/codecs/gateway_codec.h"
#include "services/core/resource_name.h"
#include "services/local/trainer/wire_convert.h"

#include <utility>

namespace desk::local {

namespace {

    /// Reasons of gateway.md section 8 for what this server refuses.
    const char* reasonOf(Error::Code code)
    {
        switch (code) {
        case Error::Code::Usage:
        case Error::Code::Malformed:
            return "INVALID_INPUT";
        case Error::Code::Refused:
            return "PREREQUISITE_NOT_MET";
        case Error::Code::NotFound:
            return "RESOURCE_NOT_FOUND";
        case Error::Code::Conflict:
            return "RESOURCE_INVALID";
        case Error::Code::Quota:
            return "QUOTA_EXCEEDED";
        case Error::Code::Auth:
            return "PERMISSION_DENIED";
        case Error::Code::Canceled:
            return "CANCELLED";
        case Error::Code::Full:
        case Error::Code::OutOfMemory:
            return "INSUFFICIENT_CAPACITY";
        default:
            return "INTERNAL_ERROR";
        }
    }

} // namespace

GatewayService::GatewayService(ObjectStore& store, TrainerService& trainer, ServingService& serving,
    Promoter& promoter, IdleJobs& idle, TaskPool& pool, After after)
    : m_store(store)
    , m_trainer(trainer)
    , m_serving(serving)
    , m_promoter(promoter)
    , m_idle(idle)
    , m_pool(pool)
    , m_after(std::move(after))
{
}

void GatewayService::send(const Responder& responder, Answer answer) const
{
    if (answer)
        return responder.send(jsonResponse(std::move(*answer)));
    const auto& error = answer.error();
    HttpResponse response;
    response.status = httpStatusFor(error.code);
    response.body =
        encodeError(response.status, wireMessage(error), ErrorInfo { reasonOf(error.code), {} });
    responder.send(std::move(response));
}

void GatewayService::add(Router& router, const char* method, const char* path, Handler handler)
{
    router.add(method, path, [this, handler](HttpRequest request, Responder responder) {
        const auto account = request.parameter("a");
        if (!account.empty() && account != m_store.account())
            return send(responder,
                Error { Error::Code::NotFound, "there is no account " + account + " here", {},
                    "use accounts/" + m_store.account(), {} });
        auto answer = (this->*handler)(request);
        const auto mask = request.queryValue("readMask");
        const bool isOne = request.method == "GET" && !mask.empty() && answer
            && answer->find("\"nextPageToken\"") == std::string::npos;
        send(responder, isOne ? Answer(maskedBody(*answer, mask)) : std::move(answer));
    });
}

void GatewayService::addSlow(Router& router, const char* method, const char* path, Handler handler)
{
    router.add(method, path, [this, handler](HttpRequest request, Responder responder) {
        const auto account = request.parameter("a");
        if (!account.empty() && account != m_store.account())
            return send(responder,
                Error { Error::Code::NotFound, "there is no account " + account + " here", {},
                    "use accounts/" + m_store.account(), {} });
        m_pool.post(
            [this, handler, responder, kept = std::make_shared<HttpRequest>(std::move(request))] {
                send(responder, (this->*handler)(*kept));
            });
    });
}

void GatewayService::addRoutes(Router& router)
{
    add(router, "GET", "/v1/accounts", &GatewayService::accounts);
    add(router, "GET", "/v1/accounts/{a}", &GatewayService::account);
    addJobRoutes(router);
    addModelRoutes(router);
    addDeploymentRoutes(router);
    addShapeRoutes(router);
    addDashboardRoutes(router);
}

GatewayService::Answer GatewayService::accounts(const HttpRequest&)
{
    Account account;
    account.name = "accounts/" + m_store.account();
    account.displayName = "Local backend";
    account.email = "local@localhost.invalid";
    return encodeAccounts({ &account, 1 });
}

GatewayService::Answer GatewayService::account(const HttpRequest&)
{
    Account account;
    account.name = "accounts/" + m_store.account();
    account.displayName = "Local backend";
    account.email = "local@localhost.invalid";
    return encodeAccount(account);
}

Result<ModelRow> GatewayService::usableModel(std::string& name) const
{
    auto row = m_store.namedModel(name);
    if (!row) {
        auto error = row.error();
        if (error.code == Error::Code::NotFound && error.next.empty())
            error.next = "list the models of accounts/" + m_store.account();
        return error;
    }
    if (row->model.kind == "HF_PEFT_ADDON")
        return Error { Error::Code::Refused, "the model " + row->id + " is an adapter",
            "nothing was created", "use its base model " + row->model.baseModel, {} };
    if (name == row->id)
        name = modelName(m_store.account(), row->id);
    return row;
}

} // namespace desk::local
