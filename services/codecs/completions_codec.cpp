// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/completions_codec.h"

#include "services/codecs/json_read.h"

namespace desk {
namespace {

    constexpr std::size_t kMaxStops = 64;

    Result<std::vector<std::int64_t>> tokenIds(const Json& array)
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

    std::vector<std::int64_t> tokensOf(const Json& object, const char* key)
    {
        const auto* field = findField(object, { key });
        if (field == nullptr || !field->is_array())
            return {};
        return tokenIds(*field).value_or({});
    }

    Json rawOutput(const CompletionChoice& choice)
    {
        Json raw;
        raw["prompt_token_ids"] = choice.promptTokenIds;
        raw["completion_token_ids"] = choice.completionTokenIds;
        raw["completion"] = choice.text;
        return raw;
    }

} // namespace

std::string encodeCompletionRequest(const CompletionRequest& request)
{
    Json body;
    body["model"] = request.model;
    if (request.promptTokens)
        body["prompt"] = *request.promptTokens;
    else
        body["prompt"] = request.prompt;
    body["max_tokens"] = request.maxTokens;
    body["temperature"] = request.temperature;
    body["top_p"] = request.topP;
    body["top_k"] = request.topK;
    body["n"] = request.n;
    putKnown(body, "seed", request.seed);
    if (!request.stop.empty())
        body["stop"] = request.stop;
    if (request.isEcho)
        body["echo"] = true;
    if (request.isStream)
        body["stream"] = true;
    if (request.wantsRawOutput)
        body["raw_output"] = true;
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
    const auto* prompt = findField(*object, { "prompt" });
    if (prompt != nullptr && prompt->is_string()) {
        request.prompt = prompt->get<std::string>();
    } else if (prompt != nullptr && prompt->is_array()) {
        auto ids = tokenIds(*prompt);
        if (!ids)
            return ids.error();
        request.promptTokens = *std::move(ids);
    } else {
        return malformed("The completion request has no prompt as text or token ids");
    }
    request.maxTokens = readInt(*object, { "max_tokens", "max_completion_tokens" }).value_or(16);
    request.temperature = readNumber(*object, { "temperature" }).value_or(1.0);
    request.topP = readNumber(*object, { "top_p" }).value_or(1.0);
    request.topK = readInt(*object, { "top_k" }).value_or(0);
    request.n = readSmallInt(*object, { "n" }).value_or(1);
    request.seed = readInt(*object, { "seed" });
    request.stop = readTexts(*object, { "stop" });
    if (auto stop = readText(*object, { "stop" }); !stop.empty())
        request.stop = { std::move(stop) };
    request.isEcho = readBool(*object, { "echo" }, false);
    request.isStream = readBool(*object, { "stream" }, false);
    request.wantsRawOutput = readBool(*object, { "raw_output" }, false);
    if (request.maxTokens < 0 || request.n < 1 || request.temperature < 0 || request.topP <= 0
        || request.topP > 1 || request.topK < 0 || request.stop.size() > kMaxStops)
        return malformed("The completion request has a sampling parameter out of its range");
    return request;
}

std::string encodeCompletion(const Completion& completion)
{
    Json choices = Json::array();
    for (const auto& choice : completion.choices) {
        Json row;
        row["index"] = choice.index;
        row["text"] = choice.text;
        row["finish_reason"] = choice.finishReason;
        if (!choice.completionTokenIds.empty() || !choice.promptTokenIds.empty())
            row["raw_output"] = rawOutput(choice);
        choices.push_back(std::move(row));
    }
    Json body;
    body["id"] = completion.id;
    body["object"] = "text_completion";
    body["created"] = completion.created;
    body["model"] = completion.model;
    body["choices"] = std::move(choices);
    body["usage"]["prompt_tokens"] = completion.promptTokens;
    body["usage"]["completion_tokens"] = completion.completionTokens;
    body["usage"]["total_tokens"] = completion.promptTokens + completion.completionTokens;
    return toText(body);
}

Result<Completion> decodeCompletion(std::string_view body)
{
    const auto object = parseObject(body, "completion");
    if (!object)
        return object.error();
    const auto* choices = findField(*object, { "choices" });
    if (choices == nullptr || !choices->is_array() || choices->empty())
        return malformed("The completion has no choices");
    Completion completion;
    completion.id = readText(*object, { "id" });
    completion.created = readInt(*object, { "created" }).value_or(0);
    completion.model = readText(*object, { "model" });
    for (const auto& row : *choices) {
        const auto* text = findField(row, { "text" });
        if (text == nullptr || !text->is_string())
            return malformed("A choice of the completion has no text");
        CompletionChoice choice;
        choice.index = readSmallInt(row, { "index" }).value_or(0);
        choice.text = text->get<std::string>();
        choice.finishReason = readText(row, { "finish_reason" });
        if (const auto* raw = findField(row, { "raw_output" }); raw != nullptr) {
            choice.promptTokenIds = tokensOf(*raw, "prompt_token_ids");
            choice.completionTokenIds = tokensOf(*raw, "completion_token_ids");
        }
        completion.choices.push_back(std::move(choice));
    }
    if (const auto* usage = findField(*object, { "usage" }); usage != nullptr) {
        completion.promptTokens = readInt(*usage, { "prompt_tokens" }).value_or(0);
        completion.completionTokens = readInt(*usage, { "completion_tokens" }).value_or(0);
    }
    return completion;
}

std::string_view servedSnapshot(std::string_view model) noexcept
{
    const auto at = model.rfind('@');
    return at == std::string_view::npos ? std::string_view() : model.substr(at + 1);
}

} // namespace desk
