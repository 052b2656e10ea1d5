// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/hf_codec.h"
#include "services/core/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace desk::local {

/// Sizes of a Qwen3-style decoder: RMSNorm, QK-norm per head, rotary positions, grouped-query
/// attention, SwiGLU. A value of this type that came from toModelConfig is within
/// the bounds below. The defaults are those of desk-tiny.
struct ModelConfig
{
    int vocabSize = 259;
    int hiddenSize = 128;
    int intermediateSize = 512;
    int layers = 4;
    int heads = 4;
    int kvHeads = 2;
    int headDim = 32;
    int maxPositions = 512;
    double rmsNormEps = 1e-6;
    double ropeTheta = 10000.0;
    std::int32_t bosToken = 256;
    std::int32_t eosToken = 257;
    std::int32_t padToken = 258;
    bool tiesEmbeddings = true; ///< else lm_head.weight is a tensor of its own
    bool operator==(const ModelConfig&) const = default;
};

/// Largest model that is run: a training state needs 20 bytes per parameter.
inline constexpr std::uint64_t kMaxParameters = 64'000'000;

/// Number of scalars of all tensors; tied embeddings count once.
[[nodiscard]] std::uint64_t parameterCount(const ModelConfig& config) noexcept;

/// Refused, naming the key and the reason, for what the engine cannot run: other architectures,
/// quantized weights, biases, sliding windows, scaled rotary positions, other
/// activations, sizes out of bounds or more than kMaxParameters.
[[nodiscard]] Result<ModelConfig> toModelConfig(const HfConfig& config);
[[nodiscard]] HfConfig toHfConfig(const ModelConfig& config);

/// Name and shape of every tensor in the order of storage, names as transformers has them:
/// model.embed_tokens.weight, model.layers.N.self_attn.q_proj.weight, …, model.norm.weight and,
/// when the embeddings are not tied, lm_head.weight.
struct TensorSpec
{
    std::string name;
    std::vector<std::uint64_t> shape;
    std::uint64_t offset = 0; ///< first scalar in the flat parameter vector
    std::uint64_t count = 0;
};
[[nodiscard]] std::vector<TensorSpec> tensorSpecs(const ModelConfig& config);

} // namespace desk::local
