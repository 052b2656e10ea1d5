// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace desk {

enum class LearningRateSchedule
{
    Constant,
    Linear, ///< to 0 over the steps
    Cosine ///< to 10 % over the steps
};

/// What `trainerdesk-ctl train RECIPE.json` reads (cli.md section 5). JSON keys are the snake_case
/// forms of these names; `schedule` is "constant", "linear" or "cosine";
/// `grad_accumulation_normalization` is "none", "num_loss_tokens" or "num_sequences"; `loss_config`
/// is an object of numbers and texts.
struct Recipe
{
    std::string name; ///< display name of job and run; may be empty
    std::string baseModel; ///< full name or bare id; empty: the backend's own
    int loraRank = 0; ///< 0: full parameters
    std::optional<double> loraAlpha; ///< nullopt: 32
    std::string data; ///< path of a .jsonl or text file; relative to the recipe
    int batchSize = 8; ///< sequences a step
    int maxSeqLen = 128; ///< tokens
    std::optional<double> epochs; ///< one of these two; both absent: 1 epoch
    std::optional<std::int64_t> maxSteps;
    double learningRate = 5e-4;
    LearningRateSchedule schedule = LearningRateSchedule::Cosine;
    int warmupSteps = 0;
    double weightDecay = 0;
    double gradClipNorm = 1; ///< 0: off
    std::string gradAccumulationNormalization = "num_loss_tokens";
    /// cross_entropy, or a policy loss (importance_sampling, ppo, cispo, dro, dapo, gspo): then
    /// each batch is computed twice, first for the log-probabilities that the ratios are taken to,
    /// and the advantage of a token is the `advantage` of its example (1 if it has none).
    std::string lossFn = "cross_entropy";
    std::map<std::string, double> lossNumbers; ///< loss_config: clip_low_threshold, beta, …
    std::map<std::string, std::string> lossTexts;
    std::string evalData;
    int evalEvery = 0; ///< steps; 0: never
    int stateSaveEvery = 0;
    int samplerSaveEvery = 0;
    /// Of periodic sampler saves: base, delta, merged_base (LoRA); empty: base, then delta. A LoRA
    /// run saves its whole adapter for base and delta.
    std::string checkpointType;
    std::optional<std::int64_t> ttlSeconds;
    std::string initFromCheckpoint; ///< reference of a state to start from (resume_reference.h)
    std::string warmStartFromAdapter; ///< adapter to start from; LoRA only, excludes the reference
    std::string deployment; ///< sampler saves are hot-loaded there; empty: none
    std::int64_t seed = 0;
    bool operator==(const Recipe&) const = default;
};

[[nodiscard]] std::string encodeRecipe(const Recipe& recipe, int indent = 2);
/// At most 1 MiB. An unknown key is an error that names the nearest known one; so is a value of
/// the wrong type or out of range. Errors: Malformed.
[[nodiscard]] Result<Recipe> decodeRecipe(std::string_view text);

} // namespace desk
