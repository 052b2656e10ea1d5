// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/decoder.h"
#include "services/local/engine/decoder_cache.h"
#include "services/local/engine/token_draw.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

namespace desk::local {
namespace {
    constexpr std::size_t kPromptBlock = 32; // fixed: the sums depend on it
    constexpr std::size_t kMaxStopSequences = 64;
    constexpr int kMaxPromptCandidates = 256;
    constexpr float kNoScore = std::numeric_limits<float>::quiet_NaN();

    Error promptError(std::string what, std::string next)
    {
        return { Error::Code::Usage, std::move(what), "Nothing was generated", std::move(next),
            {} };
    }

    Error rangeError(const std::string& field, int low, std::size_t high)
    {
        return promptError(
            field + " must be from " + std::to_string(low) + " to " + std::to_string(high),
            "Correct it");
    }

    bool scoresPrompt(const SamplingParams& p)
    {
        return p.wantsPromptLogprobs || p.promptTopLogprobs > 0 || p.promptTargetCandidates > 0
            || p.promptAltTokens > 0;
    }

    bool isFinite(std::span<const float> logits)
    {
        return std::all_of(
            logits.begin(), logits.end(), [](float value) { return std::isfinite(value); });
    }

    Error notFinite()
    {
        return { Error::Code::Backend, "The weights give values that are not finite",
            "The text was not generated", "Load an older checkpoint", {} };
    }

    Error generationCanceled()
    {
        return { Error::Code::Canceled, "The generation was canceled", {}, {}, {} };
    }

    float scoreOf(std::span<const float> logits, std::int64_t token, double lse)
    {
        return token < 0 ? kNoScore
                         : static_cast<float>(
                             static_cast<double>(logits[static_cast<std::size_t>(token)]) - lse);
    }

    // What is known of prompt position `next` (the token after `row`'s position).
    void scorePosition(std::size_t next, std::span<const float> logits,
        std::span<const std::int32_t> prompt, const SamplingParams& p, DrawSource& source,
        Completion& completion)
    {
        const double lse = logSumExp(logits);
        const auto lastN = static_cast<std::size_t>(p.promptLogprobsLastN);
        const bool isWanted = lastN == 0 || next + lastN >= prompt.size();
        if (p.wantsPromptLogprobs)
            completion.promptLogprobs.push_back(
                isWanted ? scoreOf(logits, prompt[next], lse) : kNoScore);
        if (p.promptTopLogprobs > 0) {
            if (isWanted)
                appendTop(completion.promptTop, logits, lse);
            else
                appendNoTop(completion.promptTop);
        }
        const auto candidates = static_cast<std::size_t>(p.promptTargetCandidates);
        for (std::size_t k = 0; k < candidates; ++k)
            completion.promptTargetLogprobs.push_back(
                scoreOf(logits, p.promptTargets[(next - 1) * candidates + k], lse));
        for (int k = 0; k < p.promptAltTokens; ++k) {
            const DrawnToken drawn = drawToken(logits, p, source);
            completion.promptAltTokens.push_back(static_cast<std::int32_t>(drawn.token));
            completion.promptAltLogprobs.push_back(
                scoreOf(logits, static_cast<std::int64_t>(drawn.token), lse));
        }
    }

    Status checkPromptScores(std::size_t length, const SamplingParams& p, const ModelConfig& config)
    {
        const auto vocab = static_cast<std::size_t>(config.vocabSize);
        const std::size_t most = std::min<std::size_t>(kMaxTopLogprobs, vocab);
        const auto isOutside = [&](int value) {
            return value < 0 || static_cast<std::size_t>(value) > most;
        };
        if (isOutside(p.topLogprobs))
            return rangeError("topk_sample_logprobs", 0, most);
        if (isOutside(p.promptTopLogprobs))
            return rangeError("topk_prompt_logprobs", 0, most);
        if (isOutside(p.promptAltTokens))
            return rangeError("prompt_alt_tokens_k", 0, most);
        if (p.promptLogprobsLastN < 0
            || static_cast<std::size_t>(p.promptLogprobsLastN) >= std::max<std::size_t>(length, 2))
            return rangeError("prompt_logprobs_last_n", 1, length - 1);
        if (p.promptTargetCandidates < 0 || p.promptTargetCandidates > kMaxPromptCandidates)
            return rangeError("target_prompt_logprobs' second dimension", 1, kMaxPromptCandidates);
        if (p.promptTargets.size()
            != (length - 1) * static_cast<std::size_t>(p.promptTargetCandidates))
            return promptError(
                "target_prompt_logprobs must have a row for every prompt token after "
                "the first",
                "Send (prompt length - 1) rows");
        for (const std::int64_t target : p.promptTargets)
            if (target < -1 || target >= config.vocabSize)
                return promptError("Target " + std::to_string(target)
                        + " is outside the vocabulary of " + std::to_string(vocab),
                    "Use the tokenizer of the model, or -1 for nothing");
        return done();
    }

    // How many tokens are left of a text that ends here; nothing when it goes on.
    std::optional<std::size_t> stopAt(const SamplingParams& params, const ModelConfig& config,
        std::span<const std::int32_t> tokens)
    {
        const std::int32_t last = tokens.back();
        if ((params.stopsAtEos && last == config.eosToken)
            || std::find(params.stopTokens.begin(), params.stopTokens.end(), last)
                != params.stopTokens.end())
            return tokens.size() - (params.keepsStop ? 0 : 1);
        for (const auto& sequence : params.stopSequences)
            if (!sequence.empty() && sequence.size() <= tokens.size()
                && std::equal(sequence.begin(), sequence.end(),
                    tokens.end() - static_cast<std::ptrdiff_t>(sequence.size())))
                return tokens.size() - (params.keepsStop ? 0 : sequence.size());
        return std::nullopt;
    }

    void cutTo(Completion& completion, std::size_t count)
    {
        completion.tokens.resize(count);
        completion.logprobs.resize(count);
        completion.samplingLogprobs.resize(count);
        const std::size_t top = count * static_cast<std::size_t>(completion.top.count);
        completion.top.tokens.resize(top);
        completion.top.logprobs.resize(top);
    }
} // namespace

Status Decoder::check(std::span<const std::int32_t> prompt, const SamplingParams& params) const
{
    if (prompt.empty())
        return promptError("The prompt is empty", "Give at least one token");
    // A prompt that fills all positions can be scored, and one token drawn after it.
    if (prompt.size() > m_sizes.positions
        || (prompt.size() == m_sizes.positions && !scoresPrompt(params)))
        return promptError("The prompt has " + std::to_string(prompt.size())
                + " tokens; the model has " + std::to_string(m_config.maxPositions) + " positions",
            "Shorten the prompt");
    for (const std::int32_t token : prompt)
        if (token < 0 || token >= m_config.vocabSize)
            return promptError("Token " + std::to_string(token) + " is outside the vocabulary of "
                    + std::to_string(m_config.vocabSize),
                "Use the tokenizer of the model");
    if (params.maxTokens < 0 || params.topK < 0 || !std::isfinite(params.temperature)
        || params.temperature < 0.0 || !(params.topP > 0.0) || params.topP > 1.0)
        return promptError("A sampling parameter is out of its range",
            "Use max_tokens and top_k from 0, temperature from 0, top_p above 0 up to 1");
    if (params.stopSequences.size() > kMaxStopSequences)
        return promptError("There are more than 64 stop sequences", "Send fewer");
    return checkPromptScores(prompt.size(), params, m_config);
}

Status Decoder::readPrompt(const DecoderWeights& w, std::span<const std::int32_t> prompt,
    const SamplingParams& params, const std::stop_token& stop, Cache& cache,
    Completion& completion) const
{
    const bool scores = scoresPrompt(params);
    // Draws of their own, so that asking for them does not change the text.
    DrawSource source(params.seed ^ 0xA5A5A5A5A5A5A5A5ULL);
    completion.promptTop.count = params.promptTopLogprobs;
    if (params.wantsPromptLogprobs)
        completion.promptLogprobs.push_back(kNoScore);
    appendNoTop(completion.promptTop);
    for (std::size_t first = 0; first < prompt.size(); first += kPromptBlock) {
        if (stop.stop_requested())
            return generationCanceled();
        const std::size_t count = std::min(kPromptBlock, prompt.size() - first);
        advance(w, prompt.subspan(first, count), cache);
        if (!scores)
            continue;
        logits(w, 0, count, cache);
        for (std::size_t i = 0; i < count && first + i + 1 < prompt.size(); ++i) {
            const std::span row(cache.logits.data() + i * m_sizes.vocab, m_sizes.vocab);
            if (!isFinite(row))
                return notFinite();
            scorePosition(first + i + 1, row, prompt, params, source, completion);
        }
    }
    logits(w, (prompt.size() - 1) % kPromptBlock, 1, cache);
    return done();
}

Result<Completion> Decoder::generate(const DecoderWeights& weights,
    std::span<const std::int32_t> prompt, const SamplingParams& params, const std::stop_token& stop,
    const EndOfText& endOfText) const
{
    if (const Status checked = check(prompt, params); !checked)
        return checked.error();
    const auto started = std::chrono::steady_clock::now();
    const std::size_t room = std::max<std::size_t>(1, m_sizes.positions - prompt.size());
    const std::size_t wanted = std::min(room, static_cast<std::size_t>(params.maxTokens));
    Cache cache = newCache(prompt.size() + wanted, std::min(kPromptBlock, prompt.size()));
    Completion completion;
    completion.top.count = params.topLogprobs;
    if (const Status read = readPrompt(weights, prompt, params, stop, cache, completion); !read)
        return read.error();

    DrawSource source(params.seed);
    while (completion.tokens.size() < wanted) {
        if (stop.stop_requested())
            return generationCanceled();
        const std::span row(cache.logits.data(), m_sizes.vocab);
        if (!isFinite(row))
            return notFinite();
        const DrawnToken drawn = drawToken(row, params, source);
        const double lse = logSumExp(row);
        const SampledToken token { static_cast<std::int32_t>(drawn.token),
            scoreOf(row, static_cast<std::int64_t>(drawn.token), lse),
            static_cast<float>(drawn.samplingLogprob) };
        completion.tokens.push_back(token.token);
        completion.logprobs.push_back(token.logprob);
        completion.samplingLogprobs.push_back(token.samplingLogprob);
        if (params.topLogprobs > 0)
            appendTop(completion.top, row, lse);
        auto end = stopAt(params, m_config, completion.tokens);
        const bool isSeen =
            !end || *end == completion.tokens.size() || completion.tokens.size() - *end > 1;
        if (isSeen && params.onToken && !params.onToken(token) && !end)
            end = completion.tokens.size();
        if (!end && endOfText)
            end = endOfText(completion.tokens);
        if (end) {
            completion.finishReason = FinishReason::Stop;
            cutTo(completion, *end);
            break;
        }
        if (completion.tokens.size() < wanted) {
            advance(weights, { &token.token, 1 }, cache);
            logits(weights, 0, 1, cache);
        }
    }
    completion.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    return completion;
}

} // namespace desk::local
