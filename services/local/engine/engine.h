// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/adamw.h"
#include "services/local/engine/lora.h"
#include "services/local/engine/loss.h"
#include "services/local/engine/model_config.h"
#include "services/local/engine/sampling.h"
#include "services/local/engine/thread_pool.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace desk::local {

/// One sequence with its loss inputs; position i of `tokens` predicts `targets` i.
struct Datum
{
    std::vector<std::int32_t> tokens;
    LossInputs loss;
};

struct DatumResult
{
    std::vector<float> logprobs; ///< of the targets, shape of LossInputs::targets
    std::vector<float> elementwiseLoss; ///< what each of them adds to the loss
    std::vector<float> topLogprobs; ///< tokens x topK, only when asked for
    std::vector<std::int64_t> topIndices;
};

struct ForwardResult
{
    std::vector<DatumResult> data; ///< one per datum, in order
    double lossSum = 0.0; ///< summed over tokens and data, never a mean
    std::int64_t tokens = 0;
    std::int64_t lossTokens = 0; ///< tokens whose loss has a gradient
    /// Ready for the wire (trainer.md 3.6), every name with one colon: loss:sum, num_tokens:sum,
    /// num_loss_tokens:sum, mean_logprob:mean; RL losses also active_tokens:sum, ratio_mean:mean,
    /// clip_frac:mean, kl:mean (of the sampler to the model, mean of q - lp over active tokens).
    std::map<std::string, double> metrics;
};

struct ForwardOptions
{
    bool backward = false; ///< add the gradients to those gathered since the last step
    int topK = 0; ///< also return the K most probable tokens per position; 0: none
};

/// A model in training: fp32 weights, gradients and Adam moments of one Qwen3-style decoder, or of
/// LoRA adapters beside a frozen one. Full-parameter weights are rounded to BF16 for every
/// computation, so forward, a completion and an exported folder are one model, and what a sampler
/// says of a token is what the trainer says of it; the step is applied to the fp32 values.
/// Adapters are computed with as they are (fp32), and exported so.
/// All functions block; one caller at a time (the owner serializes), any thread. Results do not
/// depend on the number of threads of the pool. A call that returns an Error changed nothing.
class Engine
{
public:
    /// Opens a Hugging Face folder; Refused with the reason when it is a model that this engine
    /// cannot run (isSupported in model_config.h), Malformed or Unreadable when the files are not
    /// right. Gradients and moments start at zero.
    [[nodiscard]] static Result<std::unique_ptr<Engine>> open(
        const std::filesystem::path& folder, std::shared_ptr<ThreadPool> pool);
    /// The same folder with fresh adapters in training; its own weights stay as they are. Usage
    /// error for settings that checkLoraSettings refuses.
    [[nodiscard]] static Result<std::unique_ptr<Engine>> openLora(
        const std::filesystem::path& folder, const LoraSettings& settings,
        std::shared_ptr<ThreadPool> pool);
    /// A model with seed-made weights and a byte-level tokenizer; equal seeds, equal weights.
    [[nodiscard]] static Result<std::unique_ptr<Engine>> create(
        const ModelConfig& config, std::uint64_t seed, std::shared_ptr<ThreadPool> pool);

    virtual ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    [[nodiscard]] virtual const ModelConfig& config() const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t parameterCount() const noexcept = 0; ///< of the model
    [[nodiscard]] virtual std::uint64_t trainedParameterCount() const noexcept = 0;
    [[nodiscard]] virtual const std::optional<LoraSettings>& lora() const noexcept = 0;
    [[nodiscard]] virtual std::int64_t step() const noexcept = 0; ///< optimizer steps taken

    /// Usage error, naming the datum and the field, for tokens outside the vocabulary, inputs that
    /// the loss needs and that are missing or of another length, or a sequence longer than
    /// maxPositions. Canceled when `stop` is requested; Backend when a loss or a log-probability is
    /// not finite. After any error the gradients are bit for bit as before.
    [[nodiscard]] virtual Result<ForwardResult> forward(std::span<const Datum> data,
        const Loss& loss, ForwardOptions options, std::stop_token stop) = 0;
    /// Normalizes, clips and applies the gathered gradients, then clears them. Without gradients
    /// since the last step this is a step with zero gradient. Backend error, and nothing applied,
    /// when the gradient norm is not finite; the gradients are cleared then.
    [[nodiscard]] virtual Result<OptimResult> optimStep(
        const AdamParams& params, GradNormalization normalization) = 0;
    virtual void clearGradients() noexcept = 0;

    /// Writes the weights as a Hugging Face folder (BF16, round to nearest even). Written beside
    /// the target, fsynced, read back and compared, renamed; Conflict when `folder` exists.
    /// With adapters: the merged model; one whose lm_head is adapted gets an lm_head of its own
    /// (tie_word_embeddings false). Rounding makes it differ slightly from base and adapter.
    [[nodiscard]] virtual Status exportHf(const std::filesystem::path& folder) const = 0;
    /// Writes the adapters alone as peft reads them: adapter_config.json (naming `baseModelName`)
    /// and adapter_model.safetensors (F32, so nothing is rounded). Safe as exportHf. Refused for a
    /// full-parameter model.
    [[nodiscard]] virtual Status exportAdapter(
        const std::filesystem::path& folder, const std::string& baseModelName) const = 0;
    /// Takes the adapters of a peft folder (rank at most that of this engine, matrices that it
    /// trains; those that are missing there become zero). Moments and step count become zero,
    /// gathered gradients are cleared. Refused otherwise and for a full-parameter model.
    [[nodiscard]] virtual Status loadAdapter(const std::filesystem::path& folder) = 0;
    /// Everything that makes the next step exactly the same: fp32 weights, moments, step count;
    /// with adapters theirs alone, the folder of the base is needed as well.
    /// Gathered gradients are not part of it. Same safe writing as exportHf.
    [[nodiscard]] virtual Status saveState(const std::filesystem::path& folder) const = 0;
    /// Loads what saveState wrote; without `withOptimizer` moments and step count become zero.
    /// Gathered gradients are cleared. Refused when the shapes are those of another model or the
    /// state is one of adapters with other settings.
    [[nodiscard]] virtual Status loadState(
        const std::filesystem::path& folder, bool withOptimizer) = 0;

    /// Draws tokens from the present weights. Usage error for a prompt that is empty, too long or
    /// has tokens outside the vocabulary.
    [[nodiscard]] virtual Result<Completion> generate(std::span<const std::int32_t> prompt,
        const SamplingParams& params, std::stop_token stop) const = 0;

protected:
    Engine();
};

} // namespace desk::local
