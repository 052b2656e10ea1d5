// SPDX-License-Identifier: GPL-3.0-or-later
// Answers of the completions route: whole bodies and events of a stream.
#include "services/codecs/completions_codec.h"
#include "services/codecs/error_codec.h"
#include "services/codecs/json_read.h"

#include <algorithm>
#include <array>
#include <utility>

namespace desk {
namespace {

    constexpr std::size_t kMaxEvents = 1'000'000;

    std::vector<std::int64_t> idsOf(const Json& object, const char* key)
    {
        std::vector<std::int64_t> ids;
        const auto* field = findField(object, { key });
        if (field == nullptr || !field->is_array())
            return ids;
        for (const auto& element : *field)
            if (element.is_number_integer())
                ids.push_back(element.get<std::int64_t>());
        return ids;
    }

    Json byteList(const std::string& bytes)
    {
        Json list = Json::array();
        for (const char byte : bytes)
            list.push_back(static_cast<unsigned char>(byte));
        return list;
    }

    Json rawOutputJson(const CompletionChoice& choice)
    {
        Json raw;
        raw["prompt_fragments"] = Json::array();
        raw["prompt_token_ids"] = choice.promptTokenIds;
        raw["completion"] = choice.rawText.empty() ? choice.text : choice.rawText;
        raw["completion_token_ids"] = choice.completionTokenIds;
        return raw;
    }

    Json structuredJson(const std::vector<TokenLogprob>& tokens)
    {
        Json content = Json::array();
        for (const auto& token : tokens) {
            Json row;
            row["token"] = token.token;
            row["token_id"] = token.tokenId;
            row["bytes"] = byteList(token.bytes);
            row["logprob"] = token.logprob;
            row["sampling_logprob"] =
                token.samplingLogprob ? Json(*token.samplingLogprob) : Json(nullptr);
            row["text_offset"] = token.textOffset;
            if (!token.top.empty()) {
                Json top = Json::array();
                for (const auto& entry : token.top)
                    top.push_back(Json { { "token", entry.token }, { "token_id", entry.tokenId },
                        { "logprob", entry.logprob } });
                row["top_logprobs"] = std::move(top);
            }
            content.push_back(std::move(row));
        }
        Json logprobs;
        logprobs["content"] = std::move(content);
        return logprobs;
    }

    /// The older form: five parallel lists.
    Json legacyJson(const std::vector<TokenLogprob>& tokens)
    {
        Json lists;
        for (const char* key : { "tokens", "token_logprobs", "token_ids", "text_offset" })
            lists[key] = Json::array();
        bool hasTop = false;
        Json tops = Json::array();
        for (const auto& token : tokens) {
            lists["tokens"].push_back(token.token);
            lists["token_logprobs"].push_back(token.logprob);
            lists["token_ids"].push_back(token.tokenId);
            lists["text_offset"].push_back(token.textOffset);
            Json top = Json::object();
            for (const auto& entry : token.top)
                top[entry.token] = entry.logprob;
            hasTop = hasTop || !token.top.empty();
            tops.push_back(std::move(top));
        }
        lists["top_logprobs"] = hasTop ? std::move(tops) : Json(nullptr);
        return lists;
    }

    Json choiceJson(const CompletionChoice& choice)
    {
        Json row;
        row["index"] = choice.index;
        row["text"] = choice.text;
        row["finish_reason"] = nullptr;
        if (!choice.finishReason.empty())
            row["finish_reason"] = choice.finishReason;
        if (choice.logprobsForm == LogprobsForm::Structured)
            row["logprobs"] = structuredJson(choice.logprobs);
        if (choice.logprobsForm == LogprobsForm::Legacy)
            row["logprobs"] = legacyJson(choice.logprobs);
        if (!choice.completionTokenIds.empty() || !choice.promptTokenIds.empty())
            row["raw_output"] = rawOutputJson(choice);
        putKnown(row, "prompt_token_ids", choice.choicePromptTokenIds);
        putKnown(row, "token_ids", choice.tokenIds);
        return row;
    }

    Json completionJson(const Completion& completion)
    {
        Json choices = Json::array();
        for (const auto& choice : completion.choices)
            choices.push_back(choiceJson(choice));
        Json body;
        body["id"] = completion.id;
        body["object"] = "text_completion";
        body["created"] = completion.created;
        body["model"] = completion.model;
        body["choices"] = std::move(choices);
        return body;
    }

    void putUsage(Json& body, const Completion& completion)
    {
        Json usage;
        usage["prompt_tokens"] = completion.promptTokens;
        usage["completion_tokens"] = completion.completionTokens;
        usage["total_tokens"] = completion.promptTokens + completion.completionTokens;
        usage["prompt_tokens_details"]["cached_tokens"] = completion.cachedPromptTokens;
        body["usage"] = std::move(usage);
        if (!completion.perfMetrics.empty())
            body["perf_metrics"] = completion.perfMetrics;
    }

    std::string bytesOf(const Json& row, const std::string& fallback)
    {
        const auto* list = findField(row, { "bytes" });
        if (list == nullptr || !list->is_array())
            return fallback;
        std::string bytes;
        for (const auto& byte : *list)
            if (byte.is_number_integer())
                bytes.push_back(static_cast<char>(byte.get<std::int64_t>() & 0xFF));
        return bytes;
    }

    TokenLogprob tokenFrom(const Json& row)
    {
        TokenLogprob token;
        token.token = readText(row, { "token" });
        token.bytes = bytesOf(row, token.token);
        token.tokenId = readInt(row, { "token_id" }).value_or(-1);
        token.logprob = readNumber(row, { "logprob" }).value_or(0.0);
        token.samplingLogprob = readNumber(row, { "sampling_logprob" });
        token.textOffset = readInt(row, { "text_offset" }).value_or(0);
        if (const auto* top = findField(row, { "top_logprobs" }); top != nullptr && top->is_array())
            for (const auto& entry : *top)
                token.top.push_back(
                    { readText(entry, { "token" }), readInt(entry, { "token_id" }).value_or(-1),
                        readNumber(entry, { "logprob" }).value_or(0.0) });
        return token;
    }

    std::vector<TokenLogprob> legacyTokens(const Json& lists)
    {
        std::vector<TokenLogprob> tokens;
        const auto* texts = findField(lists, { "tokens" });
        if (texts == nullptr || !texts->is_array())
            return tokens;
        const auto at = [&](const char* key, std::size_t index) -> Json {
            const auto* list = findField(lists, { key });
            return list != nullptr && list->is_array() && index < list->size() ? (*list)[index]
                                                                               : Json();
        };
        for (std::size_t i = 0; i < texts->size(); ++i) {
            Json row;
            row["token"] = (*texts)[i];
            row["logprob"] = at("token_logprobs", i);
            row["token_id"] = at("token_ids", i);
            row["text_offset"] = at("text_offset", i);
            auto token = tokenFrom(row);
            if (const auto top = at("top_logprobs", i); top.is_object())
                for (const auto& item : top.items())
                    if (item.value().is_number())
                        token.top.push_back({ item.key(), -1, item.value().get<double>() });
            tokens.push_back(std::move(token));
        }
        return tokens;
    }

    void readLogprobLists(const Json& row, CompletionChoice& choice)
    {
        const auto* field = findField(row, { "logprobs" });
        if (field == nullptr || !field->is_object())
            return;
        if (const auto* content = findField(*field, { "content" });
            content != nullptr && content->is_array()) {
            choice.logprobsForm = LogprobsForm::Structured;
            for (const auto& token : *content)
                choice.logprobs.push_back(tokenFrom(token));
        } else if (findField(*field, { "tokens" }) != nullptr) {
            choice.logprobsForm = LogprobsForm::Legacy;
            choice.logprobs = legacyTokens(*field);
        }
    }

    Result<CompletionChoice> choiceFrom(const Json& row)
    {
        const auto* text = findField(row, { "text" });
        if (text == nullptr || !text->is_string())
            return malformed("A choice of the completion has no text");
        CompletionChoice choice;
        choice.index = readSmallInt(row, { "index" }).value_or(0);
        choice.text = text->get<std::string>();
        choice.finishReason = readText(row, { "finish_reason" });
        if (const auto* raw = findField(row, { "raw_output" }); raw != nullptr) {
            choice.promptTokenIds = idsOf(*raw, "prompt_token_ids");
            choice.completionTokenIds = idsOf(*raw, "completion_token_ids");
            choice.rawText = readText(*raw, { "completion" });
            if (choice.rawText == choice.text)
                choice.rawText.clear();
        }
        if (findField(row, { "token_ids" }) != nullptr)
            choice.tokenIds = idsOf(row, "token_ids");
        if (findField(row, { "prompt_token_ids" }) != nullptr)
            choice.choicePromptTokenIds = idsOf(row, "prompt_token_ids");
        readLogprobLists(row, choice);
        return choice;
    }

    Result<Completion> completionFrom(const Json& object)
    {
        const auto* choices = findField(object, { "choices" });
        if (choices == nullptr || !choices->is_array())
            return malformed("The completion has no choices");
        Completion completion;
        completion.id = readText(object, { "id" });
        completion.created = readInt(object, { "created" }).value_or(0);
        completion.model = readText(object, { "model" });
        for (const auto& row : *choices) {
            auto choice = choiceFrom(row);
            if (!choice)
                return choice.error();
            completion.choices.push_back(*std::move(choice));
        }
        if (const auto* usage = findField(object, { "usage" }); usage != nullptr) {
            completion.promptTokens = readInt(*usage, { "prompt_tokens" }).value_or(0);
            completion.completionTokens = readInt(*usage, { "completion_tokens" }).value_or(0);
            if (const auto* details = findField(*usage, { "prompt_tokens_details" });
                details != nullptr)
                completion.cachedPromptTokens = readInt(*details, { "cached_tokens" }).value_or(0);
        }
        if (const auto* metrics = findField(object, { "perf_metrics" });
            metrics != nullptr && metrics->is_object())
            for (const auto& item : metrics->items())
                completion.perfMetrics[item.key()] = item.value().is_string()
                    ? item.value().get<std::string>()
                    : toText(item.value());
        return completion;
    }

    // Streams

    struct StreamEvent
    {
        std::string name;
        std::string data;
    };

    /// Events end with an empty line; what is not ended so is lost to every client.
    Result<std::vector<StreamEvent>> eventsOf(std::string_view body)
    {
        std::vector<StreamEvent> events;
        StreamEvent event;
        bool isOpen = false;
        while (!body.empty()) {
            const auto end = body.find_first_of("\r\n");
            if (end == std::string_view::npos)
                return malformed("The stream was cut off within an event");
            const auto line = body.substr(0, end);
            body.remove_prefix(end + (body.substr(end, 2) == "\r\n" ? 2 : 1));
            if (line.empty()) {
                if (isOpen)
                    events.push_back(std::exchange(event, {}));
                isOpen = false;
                if (events.size() > kMaxEvents)
                    return malformed("The stream has too many events");
                continue;
            }
            const auto colon = line.find(':');
            if (colon == 0)
                continue; // a comment
            const auto name = line.substr(0, colon);
            auto value =
                colon == std::string_view::npos ? std::string_view {} : line.substr(colon + 1);
            if (!value.empty() && value.front() == ' ')
                value.remove_prefix(1);
            if (name == "event")
                event.name = std::string(value);
            if (name == "data") {
                event.data += (event.data.empty() ? "" : "\n") + std::string(value);
                isOpen = true;
            }
        }
        if (isOpen)
            return malformed("The stream was cut off: its last event has no end");
        return events;
    }

    Error streamError(const Json& object)
    {
        const auto* error = findField(object, { "error" });
        const Json& inner = error != nullptr ? *error : object;
        const auto status = readSmallInt(inner, { "status_code", "status" }).value_or(500);
        return errorFromReply(status, toText(object), "complete the text", {});
    }

    void join(CompletionChoice& into, CompletionChoice&& part)
    {
        into.text += part.text;
        if (!part.finishReason.empty())
            into.finishReason = part.finishReason;
        if (!part.completionTokenIds.empty() || !part.promptTokenIds.empty()) {
            into.completionTokenIds = std::move(part.completionTokenIds);
            into.promptTokenIds = std::move(part.promptTokenIds);
            into.rawText = part.rawText;
        }
        if (part.logprobsForm != LogprobsForm::None)
            into.logprobsForm = part.logprobsForm;
        std::move(part.logprobs.begin(), part.logprobs.end(), std::back_inserter(into.logprobs));
        if (part.tokenIds) {
            if (!into.tokenIds)
                into.tokenIds.emplace();
            into.tokenIds->insert(
                into.tokenIds->end(), part.tokenIds->begin(), part.tokenIds->end());
        }
        if (part.choicePromptTokenIds)
            into.choicePromptTokenIds = std::move(part.choicePromptTokenIds);
    }

    void join(Completion& into, Completion&& part)
    {
        if (into.id.empty())
            into.id = part.id;
        into.created = part.created;
        if (!part.model.empty())
            into.model = part.model;
        if (part.promptTokens > 0) {
            into.promptTokens = part.promptTokens;
            into.completionTokens = part.completionTokens;
            into.cachedPromptTokens = part.cachedPromptTokens;
        }
        if (!part.perfMetrics.empty())
            into.perfMetrics = std::move(part.perfMetrics);
        for (auto& choice : part.choices) {
            const auto known = std::find_if(into.choices.begin(), into.choices.end(),
                [&](const CompletionChoice& other) { return other.index == choice.index; });
            if (known == into.choices.end()) {
                into.choices.emplace_back();
                into.choices.back().index = choice.index;
                join(into.choices.back(), std::move(choice));
            } else {
                join(*known, std::move(choice));
            }
        }
    }

} // namespace

std::string encodeCompletion(const Completion& completion)
{
    auto body = completionJson(completion);
    putUsage(body, completion);
    return toText(body);
}

Result<Completion> decodeCompletion(std::string_view body)
{
    const auto object = parseObject(body, "completion");
    if (!object)
        return object.error();
    auto completion = completionFrom(*object);
    if (completion && completion->choices.empty())
        return malformed("The completion has no choices");
    return completion;
}

std::string encodeCompletionEvent(const Completion& part)
{
    auto body = completionJson(part);
    if (part.promptTokens > 0)
        putUsage(body, part);
    return "data: " + toText(body) + "\n\n";
}

std::string encodeCompletionErrorEvent(int httpStatus, std::string_view message)
{
    Json error;
    error["status_code"] = httpStatus;
    error["message"] = std::string(message);
    Json body;
    body["error"] = std::move(error);
    return "event: error\ndata: " + toText(body) + "\n\n";
}

Result<Completion> decodeCompletionStream(std::string_view body)
{
    const auto events = eventsOf(body);
    if (!events)
        return events.error();
    Completion whole;
    for (const auto& event : *events) {
        if (event.name != "error" && event.data == "[DONE]")
            break;
        auto object = parseObject(event.data, "event of the stream");
        if (!object) {
            if (event.name == "ping" || event.name == "heartbeat" || event.name == "keepalive")
                continue;
            return object.error();
        }
        if (event.name == "error" || findField(*object, { "error" }) != nullptr)
            return streamError(*object);
        auto part = completionFrom(*object);
        if (!part)
            return part.error();
        join(whole, *std::move(part));
    }
    std::sort(whole.choices.begin(), whole.choices.end(),
        [](const auto& a, const auto& b) { return a.index < b.index; });
    if (whole.choices.empty())
        return malformed("The stream has no choices");
    for (auto& choice : whole.choices) {
        if (choice.finishReason.empty())
            return malformed("The stream was cut off before a finish reason");
        if (choice.rawText == choice.text)
            choice.rawText.clear();
    }
    return whole;
}

} // namespace desk
