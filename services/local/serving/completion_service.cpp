// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/serving/completion_service.h"

#include "services/core/resource_name.h"
#include "services/local/trainer/wire_convert.h"

#include <chrono>
#include <exception>
#include <utility>

namespace desk::local {

namespace {

    constexpr double kMaxTemperature = 100.0;
    constexpr std::size_t kMaxRequestId = 128;

    Status checkCompletion(const desk::CompletionRequest& request)
    {
        const auto bad = [](std::string message) {
            return Error { Error::Code::Usage, std::move(message), "nothing was computed", {}, {} };
        };
        const bool scoresOnly = request.isEcho || request.echoLast;
        if (request.maxTokens < (scoresOnly ? 0 : 1))
            return bad("max_tokens must be 1 or more");
        if (request.temperature > kMaxTemperature)
            return bad("temperature must be from 0 to 100");
        if (request.stop.size() + request.stopTokens.size() > 16)
            return bad("stop takes at most 16 stops");
        if (static_cast<std::size_t>(request.n) * (request.morePrompts.size() + 1) > 128)
            return bad("a request may have 128 choices at most");
        return done();
    }

    std::string requestIdOf(const HttpRequest& request)
    {
        const auto id = request.header("x-request-id");
        return id.size() <= kMaxRequestId ? std::string(id) : std::string {};
    }

} // namespace

CompletionService::CompletionService(ObjectStore& store, ServingService& serving, FairQueue& queue)
    : m_store(store)
    , m_serving(serving)
    , m_queue(queue)
{
}

void CompletionService::addRoutes(Router& router)
{
    for (const auto path : { kCompletionsPath, std::string_view("/v1/completions") })
        router.add("POST", path, [this](HttpRequest request, Responder responder) {
            // What it costs to read a body and open weights is for the queue's threads.
            const auto arrived = std::chrono::steady_clock::now();
            auto shared = std::make_shared<HttpRequest>(std::move(request));
            m_queue.post("completions", [this, responder, shared, arrived] {
                try {
                    prepare(*shared, responder, arrived);
                } catch (const std::exception& problem) {
                    responder.send(completionRefusal(
                        Error { Error::Code::OutOfMemory,
                            std::string("the completion failed: ") + problem.what(),
                            "nothing was computed", "ask for less at once", {} },
                        requestIdOf(*shared)));
                }
            });
        });
}

Result<ServingService::Answering> CompletionService::weightsFor(
    const std::string& model, std::string& modelName)
{
    const auto at = model.rfind('@');
    const auto name = model.substr(0, at);
    const auto wanted = at == std::string::npos ? std::string {} : model.substr(at + 1);
    const auto id = std::string(lastSegment(name));
    if (name == deploymentName(m_store.account(), id)) {
        auto answering = m_serving.answering(id, wanted);
        modelName = name;
        if (answering && !answering->identity.empty())
            modelName += "@" + answering->identity;
        return answering;
    }
    // Names of deployments elsewhere and of serverless sessions are no models.
    const bool isModel =
        model.rfind("accounts/", 0) != 0 || model.find("/models/") != std::string::npos;
    if (!isModel)
        return Error { Error::Code::NotFound, "there is no model " + model + " here",
            "nothing was computed",
            "send accounts/<account>/deployments/<deployment> or accounts/<account>/models/<model>",
            {} };
    modelName = model;
    auto opened = m_serving.openModel(model);
    if (!opened)
        return opened.error();
    return ServingService::Answering { *opened, {}, {} };
}

void CompletionService::prepare(const HttpRequest& request, const Responder& responder,
    std::chrono::steady_clock::time_point arrived)
{
    if (responder.isGone())
        return;
    const auto requestId = requestIdOf(request);
    const auto refuse = [&](const Error& error) {
        responder.send(completionRefusal(error, requestId));
    };
    auto wanted = decodeCompletionRequest(request.body);
    if (!wanted)
        return refuse(wanted.error());
    if (auto status = checkCompletion(*wanted); !status)
        return refuse(status.error());
    CompletionWork::Order order;
    auto weights = weightsFor(wanted->model, order.modelName);
    if (!weights)
        return refuse(weights.error());
    if (!weights->notReady.empty())
        return responder.send(completionTooEarly(weights->notReady, requestId));
    const auto lane = wanted->model;
    order.request = *std::move(wanted);
    order.model = weights->model;
    order.requestId = requestId;
    order.created =
        std::chrono::duration_cast<std::chrono::seconds>(m_store.now().time_since_epoch()).count();
    order.concurrent = m_queue.waiting() + m_queue.running();
    order.arrived = arrived;
    if (lane.find("/deployments/") != std::string::npos)
        order.deployment = lane.substr(0, lane.rfind('@'));
    auto work = CompletionWork::create(std::move(order), responder, m_stop.get_token());
    if (!work)
        return refuse(work.error());
    for (int choice = 0; choice < (*work)->choiceCount(); ++choice)
        m_queue.post(lane, [work = *work, choice] { work->draw(choice); });
}

} // namespace desk::local
