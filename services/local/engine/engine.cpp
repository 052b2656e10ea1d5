// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/engine.h"

#include "services/local/engine/adapter_folder.h"
#include "services/local/engine/bfloat16.h"
#include "services/local/engine/decoder_engine.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <random>

namespace desk::local {
namespace {
    constexpr std::size_t kRoundBlock = 65536;

    Error noAdapter()
    {
        return { Error::Code::Refused,
            "The model is trained with all its parameters: it has no adapter",
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

    // FNV-1a over words: tells one base model from another, not an attacker's from ours.
    std::string hashOf(const std::vector<float>& weights)
    {
        std::uint64_t hash = 0xCBF29CE484222325ULL;
        for (const float value : weights)
            hash = (hash ^ std::bit_cast<std::uint32_t>(value)) * 0x100000001B3ULL;
        static constexpr char kDigits[] = "0123456789abcdef";
        std::string text;
        for (int shift = 60; shift >= 0; shift -= 4)
            text += kDigits[(hash >> shift) & 15U];
        return text;
    }

    std::string partsOf(const LoraSettings& settings)
    {
        std::string text;
        if (settings.trainsAttention)
            text += "attention ";
        if (settings.trainsMlp)
            text += "mlp ";
        if (settings.trainsUnembed)
            text += "unembed ";
        text.pop_back();
        return text;
    }
} // namespace

DecoderEngine::DecoderEngine(const ModelConfig& config, std::vector<float> weights,
    SideFiles sideFiles, std::shared_ptr<ThreadPool> pool)
    : m_config(config)
    , m_specs(tensorSpecs(config))
    , m_sideFiles(std::move(sideFiles))
    , m_pool(std::move(pool))
    , m_network(config, *m_pool, activeKernels<float>())
    , m_decoder(config)
    , m_trained(std::move(weights))
    , m_weights(m_trained.size())
    , m_gradients(m_trained.size(), 0.0F)
{
    m_moments.first.assign(m_trained.size(), 0.0F);
    m_moments.second.assign(m_trained.size(), 0.0F);
    roundWeights();
}

DecoderEngine::DecoderEngine(
    LoadedFolder base, const LoraSettings& settings, std::shared_ptr<ThreadPool> pool)
    : m_lora(settings)
    , m_config(base.config)
    , m_layout(loraLayout(m_config, settings))
    , m_specs(loraSpecs(m_config, settings))
    , m_sideFiles(std::move(base.sideFiles))
    , m_pool(std::move(pool))
    , m_network(m_config, m_layout, *m_pool, activeKernels<float>())
    , m_decoder(m_config)
    , m_trained(seedAdapter(m_config, settings))
    , m_weights(std::move(base.weights))
    , m_gradients(m_trained.size(), 0.0F)
    , m_baseHash(hashOf(m_weights))
{
    m_moments.first.assign(m_trained.size(), 0.0F);
    m_moments.second.assign(m_trained.size(), 0.0F);
}

void DecoderEngine::roundWeights()
{
    if (m_lora)
        return;
    const std::size_t count = m_weights.size();
    m_pool->forEach((count + kRoundBlock - 1) / kRoundBlock, [&](std::size_t block) {
        const std::size_t last = std::min(count, (block + 1) * kRoundBlock);
        for (std::size_t i = block * kRoundBlock; i < last; ++i)
            m_weights[i] = fromBfloat16(toBfloat16(m_trained[i]));
    });
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
    auto result = adamStep<float>(*m_pool, activeKernels<float>(), m_specs, m_trained, m_gradients,
        m_moments, params, divisor);
    roundWeights();
    return result;
}

void DecoderEngine::clearGradients() noexcept
{
    std::fill(m_gradients.begin(), m_gradients.end(), 0.0F);
    m_lossTokens = 0;
    m_lossSequences = 0;
}

Status DecoderEngine::exportHf(const std::filesystem::path& folder) const
{
    if (!m_lora)
        return writeFolder(folder, m_config, m_weights, m_sideFiles);
    ModelConfig config = m_config;
    SideFiles sideFiles = m_sideFiles;
    std::vector<float> merged = m_weights;
    if (!m_layout.unembed.parts.empty() && config.tiesEmbeddings) {
        config.tiesEmbeddings = false;
        sideFiles.erase("config.json"); // it says that they are tied
        const auto table = static_cast<std::size_t>(config.vocabSize)
            * static_cast<std::size_t>(config.hiddenSize);
        merged.reserve(merged.size() + table);
        std::copy_n(m_weights.begin(), table, std::back_inserter(merged));
    }
    mergeAdapter(config, m_layout, m_trained, merged);
    return writeFolder(folder, config, merged, sideFiles);
}

Status DecoderEngine::exportAdapter(
    const std::filesystem::path& folder, const std::string& baseModelName) const
{
    if (!m_lora)
        return noAdapter();
    return writeAdapterFolder(folder, m_config, *m_lora, m_trained, baseModelName);
}

Status DecoderEngine::loadAdapter(const std::filesystem::path& folder)
{
    if (!m_lora)
        return noAdapter();
    const auto loaded = loadAdapterFolder(folder, m_config);
    if (!loaded)
        return loaded.error();
    auto fitted = fitAdapter(m_config, *loaded, *m_lora);
    if (!fitted)
        return fitted.error();
    m_trained = std::move(*fitted);
    m_moments.first.assign(m_trained.size(), 0.0F);
    m_moments.second.assign(m_trained.size(), 0.0F);
    m_moments.step = 0;
    clearGradients();
    return done();
}

StateKind DecoderEngine::stateKind() const
{
    StateKind kind { m_specs, {} };
    if (m_lora) {
        std::array<char, 32> alpha {};
        std::snprintf(alpha.data(), alpha.size(), "%.17g", m_lora->alpha);
        kind.facts = { { "rank", std::to_string(m_lora->rank) }, { "alpha", alpha.data() },
            { "matrices", partsOf(*m_lora) }, { "base", m_baseHash } };
    }
    return kind;
}

Status DecoderEngine::saveState(const std::filesystem::path& folder) const
{
    return writeState(folder, stateKind(), { m_trained, m_moments });
}

Status DecoderEngine::loadState(const std::filesystem::path& folder, bool withOptimizer)
{
    auto state = readState(folder, stateKind(), withOptimizer);
    if (!state)
        return state.error();
    m_trained = std::move(state->weights);
    m_moments = std::move(state->moments);
    clearGradients();
    roundWeights();
    return done();
}

Result<Completion> DecoderEngine::generate(
    std::span<const std::int32_t> prompt, const SamplingParams& params, std::stop_token stop) const
{
    return m_decoder.generate(
        { m_weights.data(), m_lora ? &m_layout : nullptr, adapter() }, prompt, params, stop);
}

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

Result<std::unique_ptr<Engine>> Engine::openLora(const std::filesystem::path& folder,
    const LoraSettings& settings, std::shared_ptr<ThreadPool> pool)
{
    if (const Status checked = checkLoraSettings(settings); !checked)
        return checked.error();
    auto loaded = loadFolder(folder);
    if (!loaded)
        return loaded.error();
    return std::unique_ptr<Engine>(
        new DecoderEngine(std::move(*loaded), settings, std::move(pool)));
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
