// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/serving/completion_work.h"

#include "services/codecs/error_codec.h"
#include "services/local/server/auth.h"
#include "services/local/trainer/wire_convert.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <random>
#include <utility>

namespace desk::local {

namespace {

    using WorkClock = std::chrono::steady_clock;

    Error badCompletion(std::string message, std::string next = {})
    {
        return Error { Error::Code::Usage, std::move(message), "nothing was computed",
            std::move(next), {} };
    }

    std::int64_t codePoints(std::string_view bytes)
    {
        return std::count_if(bytes.begin(), bytes.end(),
            [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; });
    }

    /// Length of the part that does not end within a UTF-8 sequence.
    std::size_t wholeLetters(std::string_view bytes)
    {
        for (std::size_t back = 1; back <= std::min<std::size_t>(4, bytes.size()); ++back) {
            const auto byte = static_cast<unsigned char>(bytes[bytes.size() - back]);
            if ((byte & 0xC0U) == 0x80U)
                continue;
            const std::size_t length = byte >= 0xF0U ? 4
                : byte >= 0xE0U                      ? 3
                : byte >= 0xC0U                      ? 2
                                                     : 1;
            return length > back ? bytes.size() - back : bytes.size();
        }
        return bytes.size();
    }

    /// Length of the part that cannot be the beginning of a stop.
    std::size_t beforeStops(std::string_view text, const std::vector<std::string>& stops)
    {
        auto length = text.size();
        for (const auto& stop : stops) {
            if (stop.empty())
                continue;
            length = std::min(length, text.find(stop));
            for (auto part = std::min(stop.size() - 1, text.size()); part > 0; --part)
                if (text.substr(text.size() - part) == std::string_view(stop).substr(0, part)) {
                    length = std::min(length, text.size() - part);
                    break;
                }
        }
        return length;
    }

    std::string secondsText(std::chrono::steady_clock::duration time)
    {
        return std::to_string(std::chrono::duration<double>(time).count());
    }

    HttpResponse withRequestId(HttpResponse response, const std::string& requestId)
    {
        if (!requestId.empty())
            response.headers.push_back({ "x-request-id", requestId });
        return response;
    }

} // namespace

HttpResponse completionRefusal(const Error& error, const std::string& requestId)
{
    HttpResponse response;
    std::string_view code = "INTERNAL";
    switch (error.code) {
    case Error::Code::Usage:
    case Error::Code::Malformed:
    case Error::Code::Refused:
        response.status = 400;
        code = "invalid_request_error";
        break;
    case Error::Code::NotFound:
        response.status = 404;
        code = "NOT_FOUND";
        break;
    case Error::Code::Canceled:
    case Error::Code::OutOfMemory:
        response.status = 503;
        code = "UNAVAILABLE";
        response.headers.push_back({ "Retry-After", "1" });
        break;
    default:
        response.status = 500;
    }
    // The SDK compares the message of a refused field word by word.
    const bool isFieldRefusal = error.message.rfind("Extra inputs are not permitted", 0) == 0;
    response.body =
        encodeCompletionError(code, isFieldRefusal ? error.message : wireMessage(error));
    return withRequestId(std::move(response), requestId);
}

HttpResponse completionTooEarly(const std::string& message, const std::string& requestId)
{
    HttpResponse response;
    response.status = 425;
    response.body = encodeCompletionError("DEPLOYMENT_NOT_READY", message);
    return withRequestId(std::move(response), requestId);
}

CompletionWork::CompletionWork(Order order, const Responder& responder)
    : m_order(std::move(order))
    , m_responder(responder)
    , m_id("cmpl-" + randomHex(24))
{
}

Result<std::shared_ptr<CompletionWork>> CompletionWork::create(
    Order order, const Responder& responder, const std::stop_token& stop)
{
    std::shared_ptr<CompletionWork> work(new CompletionWork(std::move(order), responder));
    if (auto status = work->readPrompts(); !status)
        return status.error();
    for (std::size_t prompt = 0; prompt < work->m_prompts.size(); ++prompt)
        for (int sample = 0; sample < work->m_order.request.n; ++sample) {
            Choice choice;
            choice.prompt = prompt;
            choice.sample = sample;
            choice.made.index = static_cast<int>(work->m_choices.size());
            work->m_choices.push_back(std::move(choice));
        }
    work->m_left = work->choiceCount();
    const auto halt = [weak = std::weak_ptr(work)] {
        if (const auto live = weak.lock())
            live->m_stop.request_stop();
    };
    work->m_stopsWith.emplace(stop, halt);
    responder.onGone(halt);
    return work;
}

Status CompletionWork::readPrompts()
{
    const auto& request = m_order.request;
    std::vector<CompletionPrompt> prompts { { request.prompt, request.promptTokens } };
    prompts.insert(prompts.end(), request.morePrompts.begin(), request.morePrompts.end());
    const auto& config = m_order.model->config();
    for (const auto& prompt : prompts) {
        std::vector<std::int32_t> tokens;
        if (prompt.tokens) {
            for (const auto token : *prompt.tokens) {
                if (token < 0 || token >= config.vocabSize)
                    return badCompletion("token " + std::to_string(token)
                            + " is not in the vocabulary of " + std::to_string(config.vocabSize),
                        "use the tokenizer of the model");
                tokens.push_back(static_cast<std::int32_t>(token));
            }
        } else {
            if (!m_order.model->tokenizer())
                return badCompletion(
                    "this model takes no text: " + m_order.model->tokenizerProblem(),
                    "send the prompt as token ids");
            tokens = m_order.model->tokenizer()->encode(prompt.text);
            if (tokens.empty() && config.bosToken >= 0)
                tokens.push_back(config.bosToken);
        }
        if (tokens.empty())
            return badCompletion("the prompt is empty", "give at least one token");
        const auto room = static_cast<std::int64_t>(config.maxPositions)
            - static_cast<std::int64_t>(tokens.size());
        const bool isTooLong = request.failsWhenTooLong ? room < request.maxTokens : room < 1;
        if (isTooLong)
            return badCompletion("the prompt has " + std::to_string(tokens.size())
                    + " tokens and max_tokens is " + std::to_string(request.maxTokens)
                    + "; the context of the model holds " + std::to_string(config.maxPositions),
                "shorten the prompt");
        m_prompts.push_back(std::move(tokens));
    }
    if (!request.stop.empty() && !m_order.model->tokenizer())
        return badCompletion("this model takes no stop texts: " + m_order.model->tokenizerProblem(),
            "send the stops as token ids");
    return done();
}

std::vector<std::int32_t> CompletionWork::echoOf(const Choice& choice) const
{
    const auto& prompt = m_prompts[choice.prompt];
    auto count = m_order.request.isEcho ? prompt.size() : std::size_t { 0 };
    if (m_order.request.echoLast)
        count = std::min(prompt.size(), static_cast<std::size_t>(*m_order.request.echoLast));
    return { prompt.end() - static_cast<std::ptrdiff_t>(count), prompt.end() };
}

SamplingParams CompletionWork::paramsOf(const Choice& choice) const
{
    const auto& request = m_order.request;
    const auto& config = m_order.model->config();
    SamplingParams params;
    params.maxTokens =
        static_cast<int>(std::min<std::int64_t>(request.maxTokens, config.maxPositions));
    params.temperature = request.temperature;
    params.topP = request.topP;
    params.topK = static_cast<int>(std::clamp<std::int64_t>(request.topK, 0, config.vocabSize));
    std::random_device random;
    const auto seed = request.seed
        ? static_cast<std::uint64_t>(*request.seed)
        : (std::uint64_t { random() } << 32) | std::uint64_t { random() };
    params.seed = seed + 0xD1B54A32D192ED03ULL * static_cast<std::uint64_t>(choice.made.index);
    for (const auto token : request.stopTokens)
        if (token >= 0 && token < config.vocabSize)
            params.stopTokens.push_back(static_cast<std::int32_t>(token));
    params.stopsAtEos = !request.ignoresEos;
    params.keepsStop = true;
    if (request.logprobs == LogprobsForm::None)
        return params;
    params.topLogprobs = request.topLogprobs;
    if (!echoOf(choice).empty()) {
        params.wantsPromptLogprobs = true;
        params.promptTopLogprobs = request.topLogprobs;
    }
    return params;
}

TokenLogprob CompletionWork::entryOf(
    std::int32_t token, double logprob, std::optional<double> sampling, std::string& text) const
{
    TokenLogprob entry;
    entry.tokenId = token;
    if (m_order.model->tokenizer())
        entry.bytes = m_order.model->tokenizer()->decode({ &token, 1 });
    entry.token = entry.bytes;
    entry.logprob = logprob;
    entry.samplingLogprob = sampling;
    entry.textOffset = codePoints(text);
    text += entry.bytes;
    return entry;
}

void CompletionWork::addTop(TokenLogprob& entry, const TopLogprobs& top, std::size_t row) const
{
    const auto count = static_cast<std::size_t>(std::max(0, top.count));
    for (std::size_t i = row * count; count > 0 && i < (row + 1) * count; ++i) {
        if (i >= top.tokens.size() || top.logprobs[i] <= -99998.0F)
            continue;
        TopLogprob best;
        best.tokenId = top.tokens[i];
        if (m_order.model->tokenizer())
            best.token = m_order.model->tokenizer()->decode({ &top.tokens[i], 1 });
        best.logprob = static_cast<double>(top.logprobs[i]);
        entry.top.push_back(std::move(best));
    }
}

std::string CompletionWork::textOf(const Completion& made) const
{
    if (!m_order.model->tokenizer())
        return {};
    auto tokens = std::span<const std::int32_t>(made.tokens);
    const auto& stops = m_order.request.stopTokens;
    if (made.finishReason == FinishReason::Stop && !tokens.empty()
        && std::find(stops.begin(), stops.end(), tokens.back()) != stops.end())
        tokens = tokens.first(tokens.size() - 1);
    auto text = m_order.model->tokenizer()->decode(tokens);
    auto cut = std::string::npos;
    for (const auto& stop : m_order.request.stop)
        if (!stop.empty())
            cut = std::min(cut, text.find(stop));
    if (cut != std::string::npos)
        text.resize(cut);
    return text;
}

void CompletionWork::takeLogprobs(Choice& choice, const Completion& made) const
{
    const auto& prompt = m_prompts[choice.prompt];
    const auto echo = echoOf(choice);
    std::string text;
    for (std::size_t i = 0; i < echo.size(); ++i) {
        const auto position = prompt.size() - echo.size() + i;
        // The first token of a prompt has none; clients drop the entry, but it must be a number.
        const auto known =
            position < made.promptLogprobs.size() && std::isfinite(made.promptLogprobs[position])
            ? static_cast<double>(made.promptLogprobs[position])
            : 0.0;
        auto entry = entryOf(echo[i], known, std::nullopt, text);
        addTop(entry, made.promptTop, position);
        choice.made.logprobs.push_back(std::move(entry));
    }
    for (std::size_t i = 0; i < made.tokens.size(); ++i) {
        auto entry = entryOf(made.tokens[i], static_cast<double>(made.logprobs[i]),
            static_cast<double>(made.samplingLogprobs[i]), text);
        addTop(entry, made.top, i);
        choice.made.logprobs.push_back(std::move(entry));
    }
    choice.made.logprobsForm = m_order.request.logprobs;
}

void CompletionWork::takeCompletion(Choice& choice, const Completion& made) const
{
    const auto& request = m_order.request;
    const auto& prompt = m_prompts[choice.prompt];
    const auto echo = echoOf(choice);
    if (!echo.empty() && m_order.model->tokenizer())
        choice.made.text = m_order.model->tokenizer()->decode(echo);
    choice.made.text += textOf(made);
    choice.made.finishReason = made.finishReason == FinishReason::Stop ? "stop" : "length";
    std::vector<std::int64_t> ids(echo.begin(), echo.end());
    ids.insert(ids.end(), made.tokens.begin(), made.tokens.end());
    if (request.wantsTokenIds) {
        choice.made.tokenIds = ids;
        choice.made.choicePromptTokenIds.emplace(prompt.begin(), prompt.end());
    }
    if (request.wantsRawOutput) {
        choice.made.promptTokenIds.assign(prompt.begin(), prompt.end());
        choice.made.completionTokenIds = std::move(ids);
    }
    if (request.logprobs != LogprobsForm::None)
        takeLogprobs(choice, made);
}

void CompletionWork::draw(int index)
{
    auto& choice = m_choices[static_cast<std::size_t>(index)];
    {
        const std::scoped_lock lock(m_mutex);
        if (m_isEnded)
            return;
        if (!m_began)
            m_began = WorkClock::now();
    }
    auto params = paramsOf(choice);
    // An echo comes first, and its log-probabilities are known at the end only.
    const bool holdsBack = !echoOf(choice).empty();
    params.onToken = [this, index, holdsBack](const SampledToken& token) {
        sendToken(holdsBack ? -1 : index, token);
        return true;
    };
    Result<Completion> made = Error {};
    try {
        made = m_order.model->generate(
            m_prompts[choice.prompt], params, m_stop.get_token(), m_order.request.stop);
        if (made)
            takeCompletion(choice, *made);
    } catch (const std::exception& problem) {
        made = Error { Error::Code::OutOfMemory,
            std::string("the completion failed: ") + problem.what(), "nothing was computed",
            "ask for less at once", {} };
    }
    if (!made)
        return refuse(made.error());
    {
        const std::scoped_lock lock(m_mutex);
        m_completionTokens += static_cast<std::int64_t>(made->tokens.size());
    }
    finishChoice(index);
}

desk::Completion CompletionWork::shell() const
{
    desk::Completion answer;
    answer.id = m_id;
    answer.created = m_order.created;
    answer.model = m_order.modelName;
    return answer;
}

HttpResponse CompletionWork::head() const
{
    return withRequestId({}, m_order.requestId);
}

void CompletionWork::putFigures(desk::Completion& answer) const
{
    for (const auto& prompt : m_prompts)
        answer.promptTokens += static_cast<std::int64_t>(prompt.size());
    answer.completionTokens = m_completionTokens;
    const auto now = WorkClock::now();
    const auto began = m_began.value_or(now);
    const auto first = m_firstToken.value_or(now);
    // Clients steer by the queue's duration: it must be there (fireworks-sdk-1.2.30.md 15.2).
    answer.perfMetrics = { { "prompt-tokens", std::to_string(answer.promptTokens) },
        { "cached-prompt-tokens", "0" },
        { "prefill-queue-duration", secondsText(began - m_order.arrived) },
        { "generation-queue-duration", "0.000000" }, { "tokenizer-queue-duration", "0.000000" },
        { "tokenizer-duration", "0.000000" }, { "prefill-duration", secondsText(first - began) },
        { "generation-duration", secondsText(now - first) },
        { "server-time-to-first-token", secondsText(first - m_order.arrived) },
        { "server-processing-time", secondsText(now - m_order.arrived) },
        { "num-concurrent-requests", std::to_string(m_order.concurrent) },
        { "backend-host", "trainerdesk-local" } };
    if (!m_order.deployment.empty())
        answer.perfMetrics["deployment"] = m_order.deployment;
}

void CompletionWork::send(desk::Completion&& part)
{
    if (!m_stream) {
        auto start = head();
        start.contentType = "text/event-stream";
        start.headers.push_back({ "Cache-Control", "no-cache" });
        m_stream = m_responder.stream(std::move(start));
    }
    m_stream->write(encodeCompletionEvent(part));
}

void CompletionWork::sendToken(int index, const SampledToken& token)
{
    const std::scoped_lock lock(m_mutex);
    if (!m_firstToken)
        m_firstToken = WorkClock::now();
    if (m_isEnded || index < 0 || !m_order.request.isStream)
        return;
    auto& choice = m_choices[static_cast<std::size_t>(index)];
    auto part = shell();
    desk::CompletionChoice row;
    row.index = index;
    auto entry = entryOf(token.token, static_cast<double>(token.logprob),
        static_cast<double>(token.samplingLogprob), choice.text);
    const auto& stopTokens = m_order.request.stopTokens;
    if (std::find(stopTokens.begin(), stopTokens.end(), token.token) != stopTokens.end())
        choice.text.resize(choice.text.size() - entry.bytes.size()); // it ends the text
    const auto safe = beforeStops(choice.text, m_order.request.stop);
    const auto whole = wholeLetters(std::string_view(choice.text).substr(0, safe));
    if (whole > choice.sent)
        row.text = choice.text.substr(choice.sent, whole - choice.sent);
    choice.sent = std::max(choice.sent, whole);
    // Alternatives are known at the end only: with them, log-probabilities come then.
    if (m_order.request.logprobs != LogprobsForm::None && m_order.request.topLogprobs == 0) {
        row.logprobsForm = m_order.request.logprobs;
        row.logprobs.push_back(std::move(entry));
        ++choice.tokensSent;
    }
    if (m_order.request.wantsTokenIds) {
        row.tokenIds = std::vector<std::int64_t> { token.token };
        ++choice.idsSent;
        if (!choice.hasBegun)
            row.choicePromptTokenIds.emplace(
                m_prompts[choice.prompt].begin(), m_prompts[choice.prompt].end());
    }
    choice.hasBegun = true;
    part.choices.push_back(std::move(row));
    send(std::move(part));
}

/// What is left of a choice: held back text and entries, the reason of its end, its raw output.
void CompletionWork::sendEnd(int index)
{
    auto& choice = m_choices[static_cast<std::size_t>(index)];
    auto part = shell();
    auto row = choice.made;
    row.rawText = row.text;
    row.text = row.text.size() > choice.sent ? row.text.substr(choice.sent) : std::string {};
    const auto entries = std::min(choice.tokensSent, row.logprobs.size());
    row.logprobs.erase(
        row.logprobs.begin(), row.logprobs.begin() + static_cast<std::ptrdiff_t>(entries));
    if (row.logprobs.empty())
        row.logprobsForm = LogprobsForm::None;
    if (row.tokenIds && choice.hasBegun) {
        row.choicePromptTokenIds.reset();
        const auto sent = std::min(choice.idsSent, row.tokenIds->size());
        row.tokenIds->erase(
            row.tokenIds->begin(), row.tokenIds->begin() + static_cast<std::ptrdiff_t>(sent));
    }
    part.choices.push_back(std::move(row));
    if (m_left == 0)
        putFigures(part);
    if (!m_order.request.wantsPerfMetrics)
        part.perfMetrics.clear();
    send(std::move(part));
}

void CompletionWork::finishChoice(int index)
{
    const std::scoped_lock lock(m_mutex);
    if (m_isEnded)
        return;
    --m_left;
    if (!m_firstToken)
        m_firstToken = WorkClock::now();
    if (m_order.request.isStream)
        sendEnd(index);
    if (m_left > 0)
        return;
    m_isEnded = true;
    if (m_order.request.isStream) {
        m_stream->write(std::string(kCompletionDone));
        return m_stream->end();
    }
    auto answer = shell();
    for (auto& choice : m_choices)
        answer.choices.push_back(std::move(choice.made));
    putFigures(answer);
    auto response = head();
    for (const auto& [name, value] : answer.perfMetrics)
        response.headers.push_back({ "fireworks-" + name, value });
    if (!m_order.request.wantsPerfMetrics)
        answer.perfMetrics.clear();
    response.body = encodeCompletion(answer);
    m_responder.send(std::move(response));
}

void CompletionWork::refuse(const Error& error)
{
    m_stop.request_stop();
    const std::scoped_lock lock(m_mutex);
    if (std::exchange(m_isEnded, true))
        return;
    const auto response = completionRefusal(error, m_order.requestId);
    if (!m_stream)
        return m_responder.send(response);
    m_stream->write(encodeCompletionErrorEvent(response.status, wireMessage(error)));
    m_stream->end();
}

} // namespace desk::local
