// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/serving/completion_service.h"

#include "services/codecs/error_codec.h"
#include "services/core/resource_name.h"
#include "services/local/server/auth.h"
#include "services/local/trainer/wire_convert.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <random>

namespace desk::local {

namespace {

    constexpr std::int64_t kMaxNewTokens = 4096;
    constexpr int kMaxChoices = 8;

    Error badCompletion(std::string message, std::string next = {})
    {
        return Error { Error::Code::Usage, std::move(message), "nothing was computed",
            std::move(next), {} };
    }

    Status checkCompletion(const desk::CompletionRequest& request)
    {
        if (request.isStream)
            return badCompletion("streamed completions are not offered by this backend",
                "send the request without stream");
        if (request.maxTokens < 1 || request.maxTokens > kMaxNewTokens)
            return badCompletion("max_tokens must be from 1 to " + std::to_string(kMaxNewTokens));
        if (!(request.temperature >= 0 && request.temperature <= 100))
            return badCompletion("temperature must be from 0 to 100");
        if (!(request.topP > 0 && request.topP <= 1))
            return badCompletion("top_p must be above 0 and at most 1");
        if (request.n < 1 || request.n > kMaxChoices)
            return badCompletion("n must be from 1 to " + std::to_string(kMaxChoices));
        if (request.stop.size() > 16)
            return badCompletion("stop takes at most 16 texts");
        return done();
    }

    SamplingParams samplingOf(const desk::CompletionRequest& request, int choice)
    {
        SamplingParams params;
        params.maxTokens = static_cast<int>(request.maxTokens);
        params.temperature = request.temperature;
        params.topP = request.topP;
        params.topK = static_cast<int>(std::clamp<std::int64_t>(request.topK, 0, 1 << 20));
        const auto seed = request.seed
            ? static_cast<std::uint64_t>(*request.seed)
            : (std::uint64_t { std::random_device {}() } << 32) | std::random_device {}();
        params.seed = seed + static_cast<std::uint64_t>(choice);
        return params;
    }

    Result<std::vector<std::int32_t>> promptOf(const desk::CompletionRequest& request)
    {
        std::vector<std::int32_t> tokens;
        for (const auto token : *request.promptTokens) {
            if (token < 0 || token > std::numeric_limits<std::int32_t>::max())
                return badCompletion(
                    "token " + std::to_string(token) + " is not in the vocabulary");
            tokens.push_back(static_cast<std::int32_t>(token));
        }
        return tokens;
    }

    /// Cuts a text where the first of the stop words begins.
    bool cutAtStop(std::string& text, const std::vector<std::string>& stops)
    {
        auto cut = std::string::npos;
        for (const auto& stop : stops)
            if (!stop.empty())
                cut = std::min(cut, text.find(stop));
        if (cut == std::string::npos)
            return false;
        text.resize(cut);
        return true;
    }

    Result<desk::CompletionChoice> completeTokens(const InferenceModel& model,
        const desk::CompletionRequest& request, const SamplingParams& params,
        const std::stop_token& stop)
    {
        auto prompt = promptOf(request);
        if (!prompt)
            return prompt.error();
        auto made = model.generate(*prompt, params, stop);
        if (!made)
            return made.error();
        desk::CompletionChoice choice;
        if (model.tokenizer())
            choice.text = model.tokenizer()->decode(made->tokens);
        choice.finishReason =
            cutAtStop(choice.text, request.stop) || made->finishReason == FinishReason::Stop
            ? "stop"
            : "length";
        choice.promptTokenIds = *request.promptTokens;
        choice.completionTokenIds.assign(made->tokens.begin(), made->tokens.end());
        return choice;
    }

    Result<desk::CompletionChoice> completeText(const InferenceModel& model,
        const desk::CompletionRequest& request, const SamplingParams& params,
        const std::stop_token& stop)
    {
        if (!model.tokenizer())
            return badCompletion("this model takes no text: " + model.tokenizerProblem(),
                "send the prompt as token ids");
        auto made = model.complete(request.prompt, params, request.stop, stop);
        if (!made)
            return made.error();
        desk::CompletionChoice choice;
        choice.text = std::move(made->text);
        choice.finishReason =
            made->completion.finishReason == FinishReason::Stop ? "stop" : "length";
        const auto prompt = model.tokenizer()->encode(request.prompt);
        choice.promptTokenIds.assign(prompt.begin(), prompt.end());
        choice.completionTokenIds.assign(
            made->completion.tokens.begin(), made->completion.tokens.end());
        return choice;
    }

} // namespace

CompletionService::CompletionService(ObjectStore& store, ServingService& serving, TaskPool& pool)
    : m_store(store)
    , m_serving(serving)
    , m_pool(pool)
{
}

void CompletionService::addRoutes(Router& router)
{
    for (const auto path : { kCompletionsPath, std::string_view("/v1/completions") })
        router.add("POST", path, [this](HttpRequest request, Responder responder) {
            m_pool.post(
                [this, responder, shared = std::make_shared<HttpRequest>(std::move(request))] {
                    answer(*shared, responder);
                });
        });
}

void CompletionService::answer(const HttpRequest& request, const Responder& responder)
{
    const auto refuse = [&](const Error& error) {
        responder.send(errorResponse(httpStatusFor(error.code), wireMessage(error)));
    };
    auto wanted = decodeCompletionRequest(request.body);
    if (!wanted)
        return refuse(wanted.error());
    auto made = complete(*wanted);
    if (!made)
        return refuse(made.error());
    auto response = jsonResponse(encodeCompletion(*made));
    if (const auto id = request.header("x-request-id"); !id.empty() && id.size() <= 128)
        response.headers.push_back({ "x-request-id", std::string(id) });
    responder.send(std::move(response));
}

Result<ServingService::Answering> CompletionService::weightsFor(
    const desk::CompletionRequest& request, std::string& modelName)
{
    const auto id = std::string(lastSegment(request.model));
    if (request.model == deploymentName(m_store.account(), id)) {
        auto answering = m_serving.answering(id);
        modelName = request.model;
        if (answering && !answering->identity.empty())
            modelName += "@" + answering->identity;
        return answering;
    }
    if (request.model != desk::modelName(m_store.account(), id))
        return Error { Error::Code::NotFound, "there is no model " + request.model + " here",
            "nothing was computed",
            "send accounts/<account>/deployments/<deployment> or accounts/<account>/models/<model>",
            {} };
    modelName = request.model;
    auto model = m_serving.openModel(id);
    if (!model)
        return model.error();
    return ServingService::Answering { *model, {} };
}

Result<desk::Completion> CompletionService::complete(const desk::CompletionRequest& request)
{
    if (auto status = checkCompletion(request); !status)
        return status.error();
    desk::Completion completion;
    auto weights = weightsFor(request, completion.model);
    if (!weights)
        return weights.error();
    completion.id = "cmpl-" + randomHex(24);
    completion.created =
        std::chrono::duration_cast<std::chrono::seconds>(m_store.now().time_since_epoch()).count();
    for (int i = 0; i < request.n; ++i) {
        const auto params = samplingOf(request, i);
        auto choice = request.promptTokens
            ? completeTokens(*weights->model, request, params, m_stop.get_token())
            : completeText(*weights->model, request, params, m_stop.get_token());
        if (!choice)
            return choice.error();
        choice->index = i;
        completion.promptTokens = static_cast<std::int64_t>(choice->promptTokenIds.size());
        completion.completionTokens += static_cast<std::int64_t>(choice->completionTokenIds.size());
        if (request.isEcho && !request.promptTokens)
            choice->text = request.prompt + choice->text;
        if (!request.wantsRawOutput) {
            choice->promptTokenIds.clear();
            choice->completionTokenIds.clear();
        }
        completion.choices.push_back(std::move(*choice));
    }
    return completion;
}

} // namespace desk::local
