// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/local/engine/decoder.h"
#include "services/local/engine/engine.h"
#include "services/local/engine/hf_folder.h"
#include "services/local/engine/network.h"
#include "services/local/engine/state_file.h"

namespace desk::local {

/// The engine behind Engine::open, openLora and create. `m_trained` is what the optimizer moves:
/// all weights, or adapters; `m_weights` is what is computed with: the trained weights rounded to
/// BF16, or the frozen ones of the base.
class DecoderEngine final : public Engine
{
public:
    DecoderEngine(const ModelConfig& config, std::vector<float> weights, SideFiles sideFiles,
        std::shared_ptr<ThreadPool> pool);
    DecoderEngine(
        LoadedFolder base, const LoraSettings& settings, std::shared_ptr<ThreadPool> pool);

    const ModelConfig& config() const noexcept override { return m_config; }
    std::uint64_t parameterCount() const noexcept override { return m_weights.size(); }
    std::uint64_t trainedParameterCount() const noexcept override { return m_trained.size(); }
    const std::optional<LoraSettings>& lora() const noexcept override { return m_lora; }
    std::int64_t step() const noexcept override { return m_moments.step; }
    Result<ForwardResult> forward(std::span<const Datum> data, const Loss& loss,
        ForwardOptions options, std::stop_token stop) override;
    Result<OptimResult> optimStep(
        const AdamParams& params, GradNormalization normalization) override;
    void clearGradients() noexcept override;
    Status exportHf(const std::filesystem::path& folder) const override;
    Status exportAdapter(
        const std::filesystem::path& folder, const std::string& baseModelName) const override;
    Status loadAdapter(const std::filesystem::path& folder) override;
    Status saveState(const std::filesystem::path& folder) const override;
    Status loadState(const std::filesystem::path& folder, bool withOptimizer) override;
    Result<Completion> generate(std::span<const std::int32_t> prompt, const SamplingParams& params,
        std::stop_token stop) const override;

private:
    // What a request adds to the engine when it succeeds, and sums for its metrics.
    struct Tally
    {
        std::int64_t lossTokens = 0;
        std::int64_t lossSequences = 0;
        std::int64_t targets = 0;
        std::int64_t activeTokens = 0;
        std::int64_t clippedTokens = 0;
        double logprobSum = 0.0;
        double ratioSum = 0.0;
        double klSum = 0.0;
    };
    [[nodiscard]] Status check(
        std::span<const Datum> data, const Loss& loss, ForwardOptions options) const;
    [[nodiscard]] Status check(std::size_t index, const Datum& datum, const Loss& loss) const;
    [[nodiscard]] Status passes(std::span<const Datum> data, const Loss& loss,
        ForwardOptions options, const std::stop_token& stop, ForwardResult& result, Tally& tally);
    [[nodiscard]] Status pass(std::span<const Datum> data, const Loss& loss, ForwardOptions options,
        ForwardResult& result, Tally& tally);
    [[nodiscard]] Result<std::vector<double>> lossOf(std::span<const Datum> data, const Loss& loss,
        std::span<const double> logprobs, ForwardResult& result, Tally& tally) const;
    [[nodiscard]] StateKind stateKind() const;
    [[nodiscard]] const float* adapter() const noexcept
    {
        return m_lora ? m_trained.data() : nullptr;
    }
    void roundWeights();

    std::optional<LoraSettings> m_lora;
    ModelConfig m_config;
    LoraLayout m_layout; // rank 0: no adapters
    std::vector<TensorSpec> m_specs; // of m_trained
    SideFiles m_sideFiles;
    std::shared_ptr<ThreadPool> m_pool;
    Network<float> m_network;
    Decoder m_decoder;
    std::vector<float> m_trained;
    std::vector<float> m_weights;
    std::vector<float> m_gradients;
    AdamMoments<float> m_moments;
    std::string m_baseHash; // of the frozen weights
    std::int64_t m_lossTokens = 0; // behind the gathered gradients
    std::int64_t m_lossSequences = 0;
};

} // namespace desk::local
