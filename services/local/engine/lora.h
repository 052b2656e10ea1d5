// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/model_config.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace desk::local {

/// Low-rank adapters beside frozen weights: y = W x + (alpha / rank) B A x (lora_config of
/// trainer.md 2.1). Defaults as the SDK's.
struct LoraSettings
{
    int rank = 32; ///< 1 to kMaxLoraRank
    double alpha = 32.0; ///< above 0
    std::uint64_t seed = 0; ///< of the A matrices; equal seeds, equal adapters
    bool trainsAttention = true; ///< q_proj, k_proj, v_proj, o_proj
    bool trainsMlp = true; ///< gate_proj, up_proj, down_proj
    bool trainsUnembed = true; ///< lm_head; tied embeddings keep their input side
    bool operator==(const LoraSettings&) const = default;
};

inline constexpr int kMaxLoraRank = 128;

/// Usage error, naming the field, for a rank or alpha out of range or when nothing would train.
[[nodiscard]] Status checkLoraSettings(const LoraSettings& settings);

/// Tensors of an adapter in the order of storage, names as peft has them without the leading
/// "base_model.model.": model.layers.N.self_attn.q_proj.lora_A.weight (rank x in), …lora_B.weight
/// (out x rank), …, lm_head.lora_A.weight.
[[nodiscard]] std::vector<TensorSpec> loraSpecs(
    const ModelConfig& config, const LoraSettings& settings);

/// One adapted matrix of a group; its columns of the group's product begin at `column`.
struct LoraPart
{
    std::size_t b = 0; ///< offset of B (out x rank)
    std::size_t out = 0;
    std::size_t column = 0;
};
/// Matrices with one input, whose A lie one after the other.
struct LoraGroup
{
    std::size_t a = 0; ///< offset of the first A (rank x in)
    std::size_t in = 0;
    std::vector<LoraPart> parts; ///< empty: not adapted
};
struct LoraLayer
{
    LoraGroup qkv, output, gateUp, down;
};
struct LoraLayout
{
    std::size_t rank = 0;
    double scale = 0.0; ///< alpha / rank
    std::vector<LoraLayer> layers;
    LoraGroup unembed;
    std::size_t size = 0; ///< scalars
};
[[nodiscard]] LoraLayout loraLayout(const ModelConfig& config, const LoraSettings& settings);

/// A uniform in +-1 / sqrt(in) (the starting values of peft), B zero: the adapter changes nothing.
[[nodiscard]] std::vector<float> seedAdapter(
    const ModelConfig& config, const LoraSettings& settings);

/// weights += scale B A for every adapted matrix. With an unembed adapter `config` must have an
/// lm_head of its own (tiesEmbeddings false).
void mergeAdapter(const ModelConfig& config, const LoraLayout& layout,
    const std::vector<float>& adapter, std::vector<float>& weights);

} // namespace desk::local
