// SPDX-License-Identifier: GPL-3.0-or-later
// Promotions, operations and models.
#include "services/codecs/gateway_codec.h"
#include "services/core/resource_name.h"
#include "services/local/gateway/gateway_service.h"

#include <memory>

namespace desk::local {

namespace {

    /// An operation costs its client ten seconds until the first look at it, so a copy that is
    /// about to end is waited for.
    constexpr auto kPromotionGrace = std::chrono::milliseconds(2000);

    Model shownModel(Model model)
    {
        model.isMoe = model.isMoe.value_or(false); // the engine runs dense decoders only
        return model;
    }

} // namespace

void GatewayService::addModelRoutes(Router& router)
{
    using G = GatewayService;
    for (const char* path : { "/v1/accounts/{a}/checkpoints/{c}:promote",
             "/v1/accounts/{a}/rlorTrainerJobs/{job}/checkpoints/{c}:promote" })
        router.add("POST", path,
            [this](HttpRequest request, Responder responder) { promote(request, responder); });
    add(router, "GET", "/v1/accounts/{a}/operations/{o}", &G::getOperation);
    add(router, "GET", "/v1/accounts/{a}/models", &G::listModels);
    // Without the check of the account: a stand-in bears the name of a model of another one.
    add(router, "GET", "/v1/accounts/{owner}/models/{m}", &G::getModel);
    add(router, "DELETE", "/v1/accounts/{a}/models/{m}", &G::deleteModel);
}

void GatewayService::promote(const HttpRequest& request, const Responder& responder)
{
    if (request.parameter("a") != m_store.account())
        return send(responder,
            Error { Error::Code::NotFound,
                "there is no account " + request.parameter("a") + " here", "nothing was promoted",
                "use accounts/" + m_store.account(), {} });
    auto wanted = decodePromote(request.body);
    if (!wanted)
        return send(responder, wanted.error());
    if (const auto job = request.parameter("job"); !job.empty())
        wanted->trainerJob = JobName { m_store.account(), job }.toString();
    auto operation = m_promoter.promote(request.parameter("c"), *wanted);
    if (!operation)
        return send(responder, operation.error());
    const auto id = operation->id;
    const bool isAsync = wanted->isAsync;
    const auto tell = [this, responder, id, isAsync] {
        auto row = m_store.operation(id);
        if (!row)
            return send(responder, row.error());
        const auto now = m_promoter.describe(*row);
        PromoteAnswer answer;
        answer.model = now.response;
        if (answer.model)
            answer.model = shownModel(*std::move(answer.model));
        if (isAsync) {
            answer.operation = now;
            answer.operation->response = answer.model;
            return send(responder, encodePromoteAnswer(answer));
        }
        if (now.error)
            return send(responder, *now.error);
        if (!answer.model)
            return send(responder,
                Error {
                    Error::Code::Backend, "the promotion " + id + " gave no model", {}, {}, {} });
        send(responder, encodePromoteAnswer(answer));
    };
    m_promoter.whenEnded(id, tell);
    if (isAsync) // only the first answer counts
        m_after(kPromotionGrace, tell);
}

GatewayService::Answer GatewayService::getOperation(const HttpRequest& request)
{
    auto row = m_store.operation(request.parameter("o"));
    if (!row)
        return row.error();
    auto operation = m_promoter.describe(*row);
    if (operation.response)
        operation.response = shownModel(*std::move(operation.response));
    return encodeOperation(operation);
}

GatewayService::Answer GatewayService::listModels(const HttpRequest& request)
{
    auto query = decodeListQuery(request.query);
    if (!query)
        return query.error();
    auto rows = m_store.models();
    if (!rows)
        return rows.error();
    std::vector<Model> models;
    for (auto& row : *rows)
        models.push_back(shownModel(std::move(row.model)));
    return encodeModelList(models, *query);
}

GatewayService::Answer GatewayService::getModel(const HttpRequest& request)
{
    const auto owner = request.parameter("owner");
    const auto id = request.parameter("m");
    auto row =
        owner == m_store.account() ? m_store.model(id) : m_store.namedModel(modelName(owner, id));
    if (!row)
        return row.error();
    if (owner != m_store.account())
        row->model.name = modelName(owner, id);
    return encodeModel(shownModel(std::move(row->model)));
}

GatewayService::Answer GatewayService::deleteModel(const HttpRequest& request)
{
    const auto id = request.parameter("m");
    const auto name = modelName(m_store.account(), id);
    auto deployments = m_serving.deployments();
    if (!deployments)
        return deployments.error();
    for (const auto& deployment : *deployments)
        if (deployment.baseModel == name)
            return Error { Error::Code::Refused,
                "the model " + id + " is the base of deployment "
                    + std::string(lastSegment(deployment.name)),
                "nothing was deleted", "delete that deployment first", {} };
    if (auto status = m_store.removeModel(id); !status)
        return status.error();
    return std::string("{}");
}

} // namespace desk::local
