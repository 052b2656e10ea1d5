// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/engine.h"

#include "services/local/engine/decoder.h"
#include "services/local/engine/hf_folder.h"
#include "services/local/engine/network.h"
#include "services/local/engine/state_file.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace desk::local {
namespace {
    // Sequences are computed together up to this many tokens; a longer one goes alone. Fixed,
    // because the sums over tokens depend on it.
    constexpr std::size_t kTokensPerPass = 1024;
    constexpr int kMaxTopK = 256;

    Error dataError(std::size_t datum, const std::string& what)
    {
        return { Error::Code::Usage, "Datum " + std::to_string(datum) + ": " + what,
            "Nothing was computed", "Correct the data", {} };
    }

    Error adapterRefusal()
    {
        return { Error::Code::Refused,
            "The model is trained with all its parameters: it has no "
            "adapter",
            "Nothing was written or loaded", "Create the model with a LoRA rank", {} };
    }

    // Box-Muller on 53-bit uniforms: the standard library's normal distribution is not the same
    // everywhere, the generator is.
    double normalFrom(std::mt19937_64& random)
    {
        const auto uniform = [&] { return (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53; };
        const double radius = std::sqrt(-2.0 * std::log(uniform()));
        return radius * std::cos(6.283185307179586 * uniform());
    }

    std::vector<float> seedWeights(const ModelConfig& config, std::uint64_t seed)
    {
        std::mt19937_64 random(seed);
        std::vector<float> weights(parameterCount(config));
        // Projections into the residual stream are smaller, as their sum grows with the depth.
        const double residual = 0.02 / std::sqrt(2.0 * static_cast<double>(config.layers));
        for (const TensorSpec& spec : tensorSpecs(config)) {
            const bool isNorm = spec.shape.size() == 1;
            const bool isResidual = spec.name.find("o_proj") != std::string::npos
                || spec.name.find("down_proj") != std::string::npos;
            const double deviation = isResidual ? residual : 0.02;
            for (std::uint64_t i = 0; i < spec.count; ++i)
                weights[spec.offset + i] =
                    isNorm ? 1.0F : static_cast<float>(deviation * normalFrom(random));
        }
        return weights;
    }

    class DecoderEngine final : public Engine
    {
    public:
        DecoderEngine(const ModelConfig& config, std::vector<float> weights, SideFiles sideFiles,
            std::shared_ptr<ThreadPool> pool)
            : m_config(config)
            , m_specs(tensorSpecs(config))
            , m_sideFiles(std::move(sideFiles))
            , m_pool(std::move(pool))
            , m_network(config, *m_pool, activeKernels<float>())
            , m_decoder(config)
            , m_weights(std::move(weights))
            , m_gradients(m_weights.size(), 0.0F)
        {
            m_moments.first.assign(m_weights.size(), 0.0F);
            m_moments.second.assign(m_weights.size(), 0.0F);
        }

        const ModelConfig& config() const noexcept override { return m_config; }
        std::uint64_t parameterCount() const noexcept override { return m_weights.size(); }
        std::uint64_t trainedParameterCount() const noexcept override { return m_weights.size(); }
        const std::optional<LoraSettings>& lora() const noexcept override { return m_lora; }
        std::int64_t step() const noexcept override { return m_moments.step; }
        Result<ForwardResult> forward(std::span<const Datum> data, const Loss& loss,
            ForwardOptions options, std::stop_token stop) override;
        Result<OptimResult> optimStep(
            const AdamParams& params, GradNormalization normalization) override;
        void clearGradients() noexcept override;
        Status exportHf(const std::filesystem::path& folder) const override
        {
            return writeFolder(folder, m_config, m_weights, m_sideFiles);
        }
        Status exportAdapter(const std::filesystem::path&, const std::string&) const override
        {
            return adapterRefusal();
        }
        Status loadAdapter(const std::filesystem::path&) override { return adapterRefusal(); }
        Status saveState(const std::filesystem::path& folder) const override
        {
            return writeState(folder, m_config, { m_weights, m_moments });
        }
        Status loadState(const std::filesystem::path& folder, bool withOptimizer) override;
        Result<Completion> generate(std::span<const std::int32_t> prompt,
            const SamplingParams& params, std::stop_token stop) const override
        {
            return m_decoder.generate(m_weights.data(), prompt, params, std::move(stop));
        }

    private:
        Status check(std::size_t index, const Datum& datum) const;
        Status pass(std::span<const Datum> data, const Loss& loss, ForwardOptions options,
            ForwardResult& result);
        std::vector<double> lossOf(std::span<const Datum> data, const Loss& loss,
            std::span<const double> logprobs, std::size_t candidates, ForwardResult& result);

        std::optional<LoraSettings> m_lora;
        ModelConfig m_config;
        std::vector<TensorSpec> m_specs;
        SideFiles m_sideFiles;
        std::shared_ptr<ThreadPool> m_pool;
        Network<float> m_network;
        Decoder m_decoder;
        std::vector<float> m_weights;
        std::vector<float> m_gradients;
        AdamMoments<float> m_moments;
        std::int64_t m_lossTokens = 0; // behind the gathered gradients
        std::int64_t m_lossSequences = 0;
    };

    Status DecoderEngine::check(std::size_t index, const Datum& datum) const
    {
        const std::size_t length = datum.tokens.size();
        if (length == 0)
            return dataError(index, "it has no tokens");
        if (length > static_cast<std::size_t>(m_config.maxPositions))
            return dataError(index,
                "it has " + std::to_string(length) + " tokens, more than the model's "
                    + std::to_string(m_config.maxPositions) + " positions");
        const auto isToken = [&](std::int64_t id) { return id >= 0 && id < m_config.vocabSize; };
        for (const std::int32_t token : datum.tokens)
            if (!isToken(token))
                return dataError(
                    index, "token " + std::to_string(token) + " is outside the vocabulary");
        const LossInputs& inputs = datum.loss;
        if (inputs.targets.empty())
            return dataError(index, "missing required field 'target_tokens'");
        if (inputs.candidates < 1
            || inputs.targets.size() != length * static_cast<std::size_t>(inputs.candidates))
            return dataError(index,
                "target_tokens has " + std::to_string(inputs.targets.size()) + " elements for "
                    + std::to_string(length) + " tokens");
        for (const std::int64_t target : inputs.targets)
            if (!isToken(target))
                return dataError(
                    index, "target " + std::to_string(target) + " is outside the vocabulary");
        if (!inputs.weights.empty() && inputs.weights.size() != inputs.targets.size())
            return dataError(index, "weights and target_tokens differ in shape");
        for (const float weight : inputs.weights)
            if (!std::isfinite(weight))
                return dataError(index, "a weight is not finite");
        return done();
    }

    Result<ForwardResult> DecoderEngine::forward(
        std::span<const Datum> data, const Loss& loss, ForwardOptions options, std::stop_token stop)
    {
        if (data.empty())
            return Error { Error::Code::Usage, "No data provided", "Nothing was computed",
                "Send at least one datum", {} };
        if (options.topK < 0 || options.topK > std::min(kMaxTopK, m_config.vocabSize))
            return Error { Error::Code::Usage,
                "top_k is outside 0 to " + std::to_string(std::min(kMaxTopK, m_config.vocabSize)),
                "Nothing was computed", "Ask for fewer tokens", {} };
        for (std::size_t i = 0; i < data.size(); ++i)
            if (const Status checked = check(i, data[i]); !checked)
                return checked.error();
        // A canceled call must leave the gradients as they were.
        const std::vector<float> gradientsBefore =
            options.backward ? m_gradients : std::vector<float> {};
        const auto tokensBefore = m_lossTokens;
        const auto sequencesBefore = m_lossSequences;
        ForwardResult result;
        for (std::size_t first = 0; first < data.size();) {
            if (stop.stop_requested()) {
                if (options.backward)
                    m_gradients = gradientsBefore;
                m_lossTokens = tokensBefore;
                m_lossSequences = sequencesBefore;
                return Error { Error::Code::Canceled, "The computation was canceled",
                    "The gradients are as before", {}, {} };
            }
            std::size_t last = first;
            std::size_t tokens = 0;
            while (last < data.size() && data[last].loss.candidates == data[first].loss.candidates
                && (last == first || tokens + data[last].tokens.size() <= kTokensPerPass))
                tokens += data[last++].tokens.size();
            if (const Status passed =
                    pass(data.subspan(first, last - first), loss, options, result);
                !passed)
                return passed.error();
            first = last;
        }
        return result;
    }

    Status DecoderEngine::pass(std::span<const Datum> data, const Loss& loss,
        ForwardOptions options, ForwardResult& result)
    {
        TokenBatch batch;
        std::vector<std::int64_t> targets;
        for (const Datum& datum : data) {
            batch.append(datum.tokens);
            targets.insert(targets.end(), datum.loss.targets.begin(), datum.loss.targets.end());
        }
        const auto candidates = static_cast<std::size_t>(data.front().loss.candidates);
        std::vector<double> logprobs(targets.size());
        TopTokens<float> top;
        top.count = options.topK;
        m_network.forward(m_weights.data(), batch);
        m_network.logprobs(
            m_weights.data(), targets, candidates, logprobs, options.topK > 0 ? &top : nullptr);
        const std::size_t before = result.data.size();
        const auto tokensBefore = m_lossTokens;
        const auto sequencesBefore = m_lossSequences;
        const auto byLogprob = lossOf(data, loss, logprobs, candidates, result);
        if (!options.backward) {
            m_lossTokens = tokensBefore;
            m_lossSequences = sequencesBefore;
        } else {
            m_network.backward(
                m_weights.data(), batch, targets, candidates, byLogprob, m_gradients.data());
        }
        const auto k = static_cast<std::size_t>(options.topK);
        for (std::size_t d = 0; k > 0 && d < data.size(); ++d) {
            const auto from = static_cast<std::ptrdiff_t>(batch.starts[d] * k);
            const auto to = static_cast<std::ptrdiff_t>(batch.starts[d + 1] * k);
            result.data[before + d].topLogprobs.assign(
                top.logprobs.begin() + from, top.logprobs.begin() + to);
            result.data[before + d].topIndices.assign(
                top.indices.begin() + from, top.indices.begin() + to);
        }
        return done();
    }

    std::vector<double> DecoderEngine::lossOf(std::span<const Datum> data, const Loss& loss,
        std::span<const double> logprobs, std::size_t candidates, ForwardResult& result)
    {
        std::vector<double> byLogprob;
        byLogprob.reserve(logprobs.size());
        std::size_t at = 0;
        for (const Datum& datum : data) {
            const std::size_t count = datum.tokens.size() * candidates;
            LossValue value = evaluateLoss(loss, datum.loss, logprobs.subspan(at, count));
            DatumResult out;
            for (std::size_t i = 0; i < count; ++i)
                out.logprobs.push_back(static_cast<float>(logprobs[at + i]));
            out.elementwiseLoss = std::move(value.elementwise);
            result.data.push_back(std::move(out));
            result.lossSum += value.sum;
            result.tokens += static_cast<std::int64_t>(datum.tokens.size());
            result.lossTokens += value.lossTokens;
            m_lossTokens += value.lossTokens;
            m_lossSequences += value.lossTokens > 0 ? 1 : 0;
            byLogprob.insert(byLogprob.end(), value.gradient.begin(), value.gradient.end());
            at += count;
        }
        return byLogprob;
    }

    Result<OptimResult> DecoderEngine::optimStep(
        const AdamParams& params, GradNormalization normalization)
    {
        if (const Status checked = checkAdamParams(params); !checked)
            return checked.error();
        double divisor = 1.0;
        if (normalization == GradNormalization::NumLossTokens)
            divisor = static_cast<double>(m_lossTokens);
        else if (normalization == GradNormalization::NumSequences)
            divisor = static_cast<double>(m_lossSequences);
        m_lossTokens = 0;
        m_lossSequences = 0;
        return adamStep<float>(*m_pool, activeKernels<float>(), m_specs, m_weights, m_gradients,
            m_moments, params, divisor);
    }

    void DecoderEngine::clearGradients() noexcept
    {
        std::fill(m_gradients.begin(), m_gradients.end(), 0.0F);
        m_lossTokens = 0;
        m_lossSequences = 0;
    }

    Status DecoderEngine::loadState(const std::filesystem::path& folder, bool withOptimizer)
    {
        auto state = readState(folder, m_config, withOptimizer);
        if (!state)
            return state.error();
        m_weights = std::move(state->weights);
        m_moments = std::move(state->moments);
        clearGradients();
        return done();
    }
} // namespace

Engine::Engine() = default;
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(
    const std::filesystem::path& folder, std::shared_ptr<ThreadPool> pool)
{
    auto loaded = loadFolder(folder);
    if (!loaded)
        return loaded.error();
    return std::unique_ptr<Engine>(new DecoderEngine(
        loaded->config, std::move(loaded->weights), std::move(loaded->sideFiles), std::move(pool)));
}

Result<std::unique_ptr<Engine>> Engine::create(
    const ModelConfig& config, std::uint64_t seed, std::shared_ptr<ThreadPool> pool)
{
    const auto checked = toModelConfig(toHfConfig(config));
    if (!checked)
        return checked.error();
    return std::unique_ptr<Engine>(new DecoderEngine(config, seedWeights(config, seed),
        config.vocabSize >= 256 ? byteTokenizerFiles(config) : SideFiles {}, std::move(pool)));
}

} // namespace desk::local
