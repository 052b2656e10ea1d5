// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/adamw.h"
#include "services/local/engine/loss.h"
#include "services/local/engine/model_config.h"
#include "services/local/engine/sampling.h"
#include "services/local/engine/thread_pool.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stop_token>
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
};

struct ForwardOptions
{
    bool backward = false; ///< add the gradients to those gathered since the last step
    int topK = 0; ///< also return the K most probable tokens per position; 0: none
};

/// A model in training: fp32 weights, gradients and Adam moments of one Qwen3-style decoder.
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
    /// A model with seed-made weights and a byte-level tokenizer; equal seeds, equal weights.
    [[nodiscard]] static Result<std::unique_ptr<Engine>> create(
        const ModelConfig& config, std::uint64_t seed, std::shared_ptr<ThreadPool> pool);

    virtual ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    [[nodiscard]] virtual const ModelConfig& config() const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t parameterCount() const noexcept = 0;
    [[nodiscard]] virtual std::int64_t step() const noexcept = 0; ///< optimizer steps taken

    /// Usage error for tokens outside the vocabulary, lengths that do not fit or a sequence longer
    /// than maxPositions. Canceled when `stop` is requested; gradients are then as before.
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
    [[nodiscard]] virtual Status exportHf(const std::filesystem::path& folder) const = 0;
    /// Everything that makes the next step exactly the same: fp32 weights, moments, step count.
    /// Gathered gradients are not part of it. Same safe writing as exportHf.
    [[nodiscard]] virtual Status saveState(const std::filesystem::path& folder) const = 0;
    /// Loads what saveState wrote; without `withOptimizer` moments and step count become zero.
    /// Gathered gradients are cleared. Refused when the shapes are those of another model.
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
