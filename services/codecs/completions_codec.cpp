// SPDX-License-Identifier: GPL-3.0-or-later
// Requests of the completions route; answers are in completion_answer.cpp.
#include "services/codecs/completions_codec.h"

#include "services/codecs/json_read.h"

#include <array>
#include <cmath>

namespace desk {
namespace {

    constexpr std::size_t kMaxStops = 64;
    constexpr std::size_t kMaxPrompts = 64;
    constexpr int kMaxChoices = 128; // of the public API
    constexpr int kMaxTop = 64;

    Error refusedParameter(std::string message)
    {
        return { Error::Code::Refused, std::move(message), "Nothing was computed", {}, {} };
    }

    Result<std::vector<std::int64_t>> promptIds(const Json& array)
    {
        std::vector<std::int64_t> ids;
        ids.reserve(array.size());
        for (const auto& element : array) {
            if (!element.is_number_integer())
                return malformed("The prompt is an array of something else than token ids");
            ids.push_back(element.get<std::int64_t>());
        }
        return ids;
    }

    Result<CompletionPrompt> onePrompt(const Json& value)
    {
        CompletionPrompt prompt;
        if (value.is_string()) {
            prompt.text = value.get<std::string>();
            return prompt;
        }
        if (!value.is_array())
            return malformed("The completion request has no prompt as text or token ids");
        auto ids = promptIds(value);
        if (!ids)
            return ids.error();
        prompt.tokens = *std::move(ids);
        return prompt;
    }

    /// A text, token ids, or a list of either.
    Status readPrompts(const Json& object, CompletionRequest& request)
    {
        const auto* field = findField(object, { "prompt" });
        if (field == nullptr)
            return malformed("The completion request has no prompt as text or token ids");
        const bool isList = field->is_array() && !field->empty() && field->front().is_array();
        const bool isTextList = field->is_array() && !field->empty() && field->front().is_string();
        std::vector<CompletionPrompt> prompts;
        if (isList || isTextList) {
            if (field->size() > kMaxPrompts)
                return refusedParameter("prompt: at most " + std::to_string(kMaxPrompts)
                    + " prompts may be sent at once");
            for (const auto& element : *field) {
                auto prompt = onePrompt(element);
                if (!prompt)
                    return prompt.error();
                prompts.push_back(*std::move(prompt));
            }
        } else {
            auto prompt = onePrompt(*field);
            if (!prompt)
                return prompt.error();
            prompts.push_back(*std::move(prompt));
        }
        request.prompt = std::move(prompts.front().text);
        request.promptTokens = std::move(prompts.front().tokens);
        prompts.erase(prompts.begin());
        request.morePrompts = std::move(prompts);
        return done();
    }

    Status readStops(const Json& object, CompletionRequest& request)
    {
        const auto* field = findField(object, { "stop" });
        if (field == nullptr)
            return done();
        if (field->is_string()) {
            request.stop = { field->get<std::string>() };
            return done();
        }
        if (!field->is_array())
            return malformed("stop is neither a text nor a list");
        if (field->size() > kMaxStops)
            return refusedParameter(
                "stop: at most " + std::to_string(kMaxStops) + " stops may be given");
        for (const auto& stop : *field) {
            if (stop.is_number_integer())
                request.stopTokens.push_back(stop.get<std::int64_t>());
            else if (stop.is_string())
                request.stop.push_back(stop.get<std::string>());
            else
                return malformed("stop holds something else than texts and token ids");
        }
        return done();
    }

    Status readLogprobs(const Json& object, CompletionRequest& request)
    {
        request.topLogprobs = readSmallInt(object, { "top_logprobs" }).value_or(0);
        const auto* field = findField(object, { "logprobs" });
        if (field == nullptr)
            return done();
        if (field->is_boolean()) {
            request.logprobs = field->get<bool>() ? LogprobsForm::Structured : LogprobsForm::None;
        } else if (field->is_number_integer()) {
            const auto count = field->get<std::int64_t>();
            if (count < 0 || count > 5)
                return refusedParameter("logprobs: the number form takes 0 to 5");
            request.logprobs = LogprobsForm::Legacy;
            request.topLogprobs = static_cast<int>(count);
        } else {
            return malformed("logprobs is neither true or false nor a number");
        }
        if (request.topLogprobs < 0 || request.topLogprobs > kMaxTop)
            return refusedParameter("top_logprobs: must be from 0 to " + std::to_string(kMaxTop));
        return done();
    }

    /// Fields that change the answer and that this backend does not follow: to leave them out
    /// silently would be a wrong answer. Their neutral values are fine.
    Status checkUnfollowed(const Json& object)
    {
        // The exact words make the SDK fall back (fireworks-sdk-1.2.30.md 15.1).
        static constexpr std::array kExtra { "routing_matrix_format", "top_sampling_format",
            "top_sampling_logprobs", "sampling_mask", "images" };
        for (const char* key : kExtra)
            if (const auto* field = findField(object, { key });
                field != nullptr && !(field->is_array() && field->empty()))
                return refusedParameter(
                    "Extra inputs are not permitted, field: '" + std::string(key) + "'");
        struct Neutral
        {
            const char* key;
            double value;
        };
        static constexpr std::array kNeutral { Neutral { "frequency_penalty", 0 },
            Neutral { "presence_penalty", 0 }, Neutral { "repetition_penalty", 1 },
            Neutral { "min_p", 0 }, Neutral { "typical_p", 1 } };
        for (const auto& [key, value] : kNeutral)
            if (const auto given = readNumber(object, { key });
                given && std::abs(*given - value) > 1e-12)
                return refusedParameter(std::string(key)
                    + ": this backend samples with "
                      "temperature, top_p and top_k only; leave it out");
        for (const char* key : { "logit_bias", "response_format", "mirostat_target" })
            if (const auto* field = findField(object, { key }); field != nullptr
                && !(field->is_object() && field->empty())
                && readText(*field, { "type" }) != "text")
                return refusedParameter(std::string(key)
                    + ": this backend samples with "
                      "temperature, top_p and top_k only; leave it out");
        return done();
    }

    /// A number in words must not become the default in silence.
    Status checkNumbers(const Json& object)
    {
        for (const char* key :
            { "max_tokens", "max_completion_tokens", "top_k", "n", "echo_last", "top_logprobs" })
            if (findField(object, { key }) != nullptr && !readInt(object, { key }))
                return malformed(std::string(key) + " is not a whole number");
        for (const char* key : { "temperature", "top_p" })
            if (findField(object, { key }) != nullptr && !readNumber(object, { key }))
                return malformed(std::string(key) + " is not a number");
        return done();
    }

    /// All 64 bits, with or without sign.
    std::optional<std::int64_t> readSeed(const Json& object)
    {
        const auto* field = findField(object, { "seed" });
        if (field != nullptr && field->is_number_unsigned())
            return static_cast<std::int64_t>(field->get<std::uint64_t>());
        return readInt(object, { "seed" });
    }

    Status checkRanges(const CompletionRequest& request)
    {
        if (request.maxTokens < 0)
            return refusedParameter("max_tokens: must be 0 or more");
        if (request.n < 1 || request.n > kMaxChoices)
            return refusedParameter("n: must be from 1 to " + std::to_string(kMaxChoices));
        if (!(request.temperature >= 0))
            return refusedParameter("temperature: must be 0 or more");
        if (!(request.topP > 0) || request.topP > 1)
            return refusedParameter("top_p: must be above 0 and at most 1");
        if (request.topK < 0)
            return refusedParameter("top_k: must be 0 (unlimited) or more");
        if (request.echoLast && *request.echoLast < 0)
            return refusedParameter("echo_last: must be 0 or more");
        return done();
    }

    Json promptJson(const std::string& text, const std::optional<std::vector<std::int64_t>>& tokens)
    {
        return tokens ? Json(*tokens) : Json(text);
    }

    Json promptField(const CompletionRequest& request)
    {
        if (request.morePrompts.empty())
            return promptJson(request.prompt, request.promptTokens);
        Json list = Json::array();
        list.push_back(promptJson(request.prompt, request.promptTokens));
        for (const auto& prompt : request.morePrompts)
            list.push_back(promptJson(prompt.text, prompt.tokens));
        return list;
    }

    void putStops(Json& body, const CompletionRequest& request)
    {
        if (request.stop.empty() && request.stopTokens.empty())
            return;
        Json stops = Json::array();
        for (const auto& stop : request.stop)
            stops.push_back(stop);
        for (const auto token : request.stopTokens)
            stops.push_back(token);
        body["stop"] = std::move(stops);
    }

    void putLogprobs(Json& body, const CompletionRequest& request)
    {
        if (request.logprobs == LogprobsForm::Legacy)
            body["logprobs"] = request.topLogprobs;
        if (request.logprobs == LogprobsForm::Structured) {
            body["logprobs"] = true;
            if (request.topLogprobs > 0)
                body["top_logprobs"] = request.topLogprobs;
        }
    }

} // namespace

std::string encodeCompletionRequest(const CompletionRequest& request)
{
    Json body;
    body["model"] = request.model;
    body["prompt"] = promptField(request);
    body["max_tokens"] = request.maxTokens;
    body["temperature"] = request.temperature;
    body["top_p"] = request.topP;
    body["top_k"] = request.topK;
    body["n"] = request.n;
    putKnown(body, "seed", request.seed);
    putStops(body, request);
    putLogprobs(body, request);
    putKnown(body, "echo_last", request.echoLast);
    if (request.failsWhenTooLong)
        body["context_length_exceeded_behavior"] = "error";
    const auto flag = [&](const char* key, bool isSet) {
        if (isSet)
            body[key] = true;
    };
    flag("echo", request.isEcho);
    flag("stream", request.isStream);
    flag("raw_output", request.wantsRawOutput);
    flag("perf_metrics_in_response", request.wantsPerfMetrics);
    flag("return_token_ids", request.wantsTokenIds);
    flag("ignore_eos", request.ignoresEos);
    return toText(body);
}

Result<CompletionRequest> decodeCompletionRequest(std::string_view body)
{
    const auto object = parseObject(body, "completion request");
    if (!object)
        return object.error();
    auto model = requireName(*object, { "model" }, "completion request");
    if (!model)
        return model.error();
    CompletionRequest request;
    request.model = *std::move(model);
    for (const auto& status : { readPrompts(*object, request), readStops(*object, request),
             readLogprobs(*object, request), checkUnfollowed(*object), checkNumbers(*object) })
        if (!status)
            return status.error();
    request.maxTokens = readInt(*object, { "max_tokens", "max_completion_tokens" }).value_or(16);
    request.temperature = readNumber(*object, { "temperature" }).value_or(1.0);
    request.topP = readNumber(*object, { "top_p" }).value_or(1.0);
    request.topK = readInt(*object, { "top_k" }).value_or(0);
    request.n = readSmallInt(*object, { "n" }).value_or(1);
    request.seed = readSeed(*object);
    request.echoLast = readInt(*object, { "echo_last" });
    request.isEcho = readBool(*object, { "echo" }, false);
    request.isStream = readBool(*object, { "stream" }, false);
    request.wantsRawOutput = readBool(*object, { "raw_output" }, false);
    request.wantsPerfMetrics = readBool(*object, { "perf_metrics_in_response" }, false);
    request.wantsTokenIds = readBool(*object, { "return_token_ids" }, false);
    request.ignoresEos = readBool(*object, { "ignore_eos" }, false);
    request.failsWhenTooLong = readText(*object, { "context_length_exceeded_behavior" }) == "error";
    if (auto status = checkRanges(request); !status)
        return status.error();
    return request;
}

std::string encodeCompletionError(std::string_view code, std::string_view message)
{
    Json error;
    error["object"] = "error";
    error["type"] = code == "invalid_request_error" ? "invalid_request_error" : "error";
    error["code"] = std::string(code);
    error["message"] = std::string(message);
    Json body;
    body["error"] = std::move(error);
    return toText(body);
}

std::string_view servedSnapshot(std::string_view model) noexcept
{
    const auto at = model.rfind('@');
    return at == std::string_view::npos ? std::string_view() : model.substr(at + 1);
}

} // namespace desk
