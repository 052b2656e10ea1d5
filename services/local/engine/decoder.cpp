// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/decoder.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

namespace desk::local {
namespace {
    std::size_t decoderSize(int value) noexcept
    {
        return static_cast<std::size_t>(value);
    }

    // splitmix64 (Steele, Lea, Flood): the same draws on every platform.
    class DrawSource
    {
    public:
        explicit DrawSource(std::uint64_t seed)
            : m_state(seed)
        {
        }
        double uniform() noexcept // [0, 1)
        {
            m_state += 0x9E3779B97F4A7C15ULL;
            std::uint64_t z = m_state;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
            return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
        }

    private:
        std::uint64_t m_state;
    };

    std::size_t mostProbable(const std::vector<float>& logits)
    {
        return static_cast<std::size_t>(
            std::max_element(logits.begin(), logits.end()) - logits.begin());
    }

    std::size_t drawToken(
        const std::vector<float>& logits, const SamplingParams& params, DrawSource& source)
    {
        if (params.temperature <= 0.0)
            return mostProbable(logits);
        std::vector<std::size_t> order(logits.size());
        std::iota(order.begin(), order.end(), std::size_t { 0 });
        std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
        });
        if (params.topK > 0)
            order.resize(std::min(order.size(), decoderSize(params.topK)));
        std::vector<double> weights(order.size());
        const auto top = static_cast<double>(logits[order.front()]);
        double total = 0.0;
        for (std::size_t i = 0; i < order.size(); ++i) {
            weights[i] =
                std::exp((static_cast<double>(logits[order[i]]) - top) / params.temperature);
            total += weights[i];
        }
        double kept = 0.0; // the smallest set of best tokens that holds topP of the mass
        std::size_t count = 0;
        while (count < order.size() && kept < params.topP * total)
            kept += weights[count++];
        double left = source.uniform() * kept;
        for (std::size_t i = 0; i < count; ++i) {
            left -= weights[i];
            if (left < 0.0)
                return order[i];
        }
        return order[count > 0 ? count - 1 : 0];
    }

    float logprobOf(const std::vector<float>& logits, std::size_t token)
    {
        const auto top = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
        double total = 0.0;
        for (const float value : logits)
            total += std::exp(static_cast<double>(value) - top);
        return static_cast<float>(static_cast<double>(logits[token]) - top - std::log(total));
    }

    Error promptError(std::string what, std::string next)
    {
        return { Error::Code::Usage, std::move(what), "Nothing was generated", std::move(next),
            {} };
    }
} // namespace

struct Decoder::Cache
{
    std::size_t position = 0;
    std::size_t capacity = 0;
    std::vector<std::vector<float>> keys, values; // per layer: capacity x keys
    std::vector<float> x, normed, qkv, attention, wide, activated, scores, logits;
};

Decoder::Decoder(const ModelConfig& config)
    : m_config(config)
    , m_kernels(activeKernels<float>())
    , m_offsets(layerOffsets(config))
    , m_finalNorm(finalNormOffset(config))
{
    fillRotations(config, m_cos, m_sin);
}

void Decoder::rotate(float* head, std::size_t position) const
{
    const std::size_t half = decoderSize(m_config.headDim) / 2;
    const float* c = m_cos.data() + position * half;
    const float* s = m_sin.data() + position * half;
    for (std::size_t j = 0; j < half; ++j) {
        const float a = head[j];
        const float b = head[j + half];
        head[j] = a * c[j] - b * s[j];
        head[j + half] = b * c[j] + a * s[j];
    }
}

// Queries of cache.qkv, already normed and rotated, against all cached keys.
void Decoder::attend(Cache& cache, std::size_t layer) const
{
    const std::size_t dim = decoderSize(m_config.headDim);
    const std::size_t keys = decoderSize(m_config.kvHeads) * dim;
    const std::size_t group = decoderSize(m_config.heads / m_config.kvHeads);
    const float scale = 1.0F / std::sqrt(static_cast<float>(dim));
    const std::size_t seen = cache.position + 1;
    for (std::size_t head = 0; head < decoderSize(m_config.heads); ++head) {
        const float* query = cache.qkv.data() + head * dim;
        const std::size_t at = head / group * dim;
        for (std::size_t t = 0; t < seen; ++t)
            cache.scores[t] = m_kernels.dot(query, cache.keys[layer].data() + t * keys + at, dim);
        (void)m_kernels.softmax(cache.scores.data(), seen, scale);
        float* out = cache.attention.data() + head * dim;
        std::fill_n(out, dim, 0.0F);
        for (std::size_t t = 0; t < seen; ++t)
            m_kernels.addScaled(
                cache.scores[t], cache.values[layer].data() + t * keys + at, out, dim);
    }
}

void Decoder::advance(const float* weights, std::int32_t token, Cache& cache) const
{
    const std::size_t hidden = decoderSize(m_config.hiddenSize);
    const std::size_t inner = decoderSize(m_config.intermediateSize);
    const std::size_t dim = decoderSize(m_config.headDim);
    const std::size_t heads = decoderSize(m_config.heads);
    const std::size_t kvHeads = decoderSize(m_config.kvHeads);
    const std::size_t keys = kvHeads * dim;
    const auto eps = static_cast<float>(m_config.rmsNormEps);
    const auto apply = [&](std::size_t offset, std::size_t rows, const std::vector<float>& in,
                           std::size_t count, float* out, bool adds) {
        for (std::size_t r = 0; r < rows; ++r) {
            const float value = m_kernels.dot(weights + offset + r * count, in.data(), count);
            out[r] = adds ? out[r] + value : value;
        }
    };
    std::copy_n(weights + static_cast<std::size_t>(token) * hidden, hidden, cache.x.data());
    for (std::size_t l = 0; l < m_offsets.size(); ++l) {
        const LayerOffsets& at = m_offsets[l];
        (void)m_kernels.rmsNorm(
            cache.x.data(), weights + at.inputNorm, cache.normed.data(), hidden, eps);
        apply(at.qkv, heads * dim + 2 * keys, cache.normed, hidden, cache.qkv.data(), false);
        for (std::size_t h = 0; h < heads + kvHeads; ++h) {
            float* head = cache.qkv.data() + h * dim;
            (void)m_kernels.rmsNorm(
                head, weights + (h < heads ? at.qNorm : at.kNorm), head, dim, eps);
            rotate(head, cache.position);
        }
        std::copy_n(
            cache.qkv.data() + heads * dim, keys, cache.keys[l].data() + cache.position * keys);
        std::copy_n(cache.qkv.data() + heads * dim + keys, keys,
            cache.values[l].data() + cache.position * keys);
        attend(cache, l);
        apply(at.output, hidden, cache.attention, heads * dim, cache.x.data(), true);
        (void)m_kernels.rmsNorm(
            cache.x.data(), weights + at.postNorm, cache.normed.data(), hidden, eps);
        apply(at.gateUp, 2 * inner, cache.normed, hidden, cache.wide.data(), false);
        m_kernels.swiglu(
            cache.wide.data(), cache.wide.data() + inner, cache.activated.data(), inner);
        apply(at.down, hidden, cache.activated, inner, cache.x.data(), true);
    }
    (void)m_kernels.rmsNorm(
        cache.x.data(), weights + m_finalNorm, cache.normed.data(), hidden, eps);
    apply(0, decoderSize(m_config.vocabSize), cache.normed, hidden, cache.logits.data(), false);
    ++cache.position;
}

Status Decoder::check(std::span<const std::int32_t> prompt, const SamplingParams& params) const
{
    if (prompt.empty())
        return promptError("The prompt is empty", "Give at least one token");
    if (prompt.size() >= decoderSize(m_config.maxPositions))
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
    return done();
}

Result<Completion> Decoder::generate(const float* weights, std::span<const std::int32_t> prompt,
    const SamplingParams& params, std::stop_token stop,
    const std::function<bool(std::int32_t)>& onToken) const
{
    if (const Status checked = check(prompt, params); !checked)
        return checked.error();
    const auto started = std::chrono::steady_clock::now();
    const std::size_t dim = decoderSize(m_config.headDim);
    const std::size_t keys = decoderSize(m_config.kvHeads) * dim;
    const std::size_t room = decoderSize(m_config.maxPositions) - prompt.size();
    const std::size_t wanted = std::min(room, decoderSize(params.maxTokens));
    Cache cache;
    cache.capacity = prompt.size() + wanted;
    cache.keys.assign(m_offsets.size(), std::vector<float>(cache.capacity * keys));
    cache.values = cache.keys;
    cache.x.resize(decoderSize(m_config.hiddenSize));
    cache.normed.resize(cache.x.size());
    cache.qkv.resize(decoderSize(m_config.heads) * dim + 2 * keys);
    cache.attention.resize(decoderSize(m_config.heads) * dim);
    cache.wide.resize(2 * decoderSize(m_config.intermediateSize));
    cache.activated.resize(decoderSize(m_config.intermediateSize));
    cache.scores.resize(cache.capacity);
    cache.logits.resize(decoderSize(m_config.vocabSize));

    const auto ends = [&](std::int32_t token) {
        return (params.stopsAtEos && token == m_config.eosToken)
            || std::find(params.stopTokens.begin(), params.stopTokens.end(), token)
            != params.stopTokens.end();
    };
    Completion completion;
    DrawSource source(params.seed);
    for (const std::int32_t token : prompt) {
        if (stop.stop_requested())
            break;
        advance(weights, token, cache);
    }
    while (completion.tokens.size() < wanted) {
        if (stop.stop_requested())
            return Error { Error::Code::Canceled, "The generation was canceled", {}, {}, {} };
        if (!std::all_of(cache.logits.begin(), cache.logits.end(),
                [](float value) { return std::isfinite(value); }))
            return Error { Error::Code::Backend, "The weights give values that are not finite",
                "The text was not generated", "Load an older checkpoint", {} };
        const std::size_t drawn = drawToken(cache.logits, params, source);
        const auto token = static_cast<std::int32_t>(drawn);
        if (ends(token)) {
            completion.finishReason = FinishReason::Stop;
            break;
        }
        completion.tokens.push_back(token);
        completion.logprobs.push_back(logprobOf(cache.logits, drawn));
        if (onToken && !onToken(token)) {
            completion.finishReason = FinishReason::Stop;
            break;
        }
        if (completion.tokens.size() < wanted)
            advance(weights, token, cache);
    }
    completion.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    return completion;
}

} // namespace desk::local
