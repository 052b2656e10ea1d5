// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/model_config.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace desk::local {
namespace {
    std::uint64_t toCount(int value) noexcept
    {
        return static_cast<std::uint64_t>(value);
    }

    Error refusal(std::string message)
    {
        return { Error::Code::Refused, std::move(message), "The model was not opened",
            "Use a Qwen3-style model (Qwen3ForCausalLM, BF16) of at most "
            "64 million parameters",
            {} };
    }

    struct Bound
    {
        const char* key;
        std::int64_t value;
        std::int64_t low;
        std::int64_t high;
    };

    // Empty when the config is one that can be run; every product below stays far from overflow.
    std::string whyUnsupported(const HfConfig& c)
    {
        if (c.architecture != "Qwen3ForCausalLM" || c.modelType != "qwen3")
            return "architecture " + c.architecture + " (model_type " + c.modelType
                + ") is not supported";
        if (!c.quantization.empty())
            return "quantized weights (" + c.quantization + ") are not supported";
        if (c.hasAttentionBias)
            return "attention_bias must be false";
        if (c.usesSlidingWindow)
            return "use_sliding_window must be false";
        if (!c.ropeScaling.empty())
            return "scaled rotary positions (" + c.ropeScaling + ") are not supported";
        if (c.hiddenAct != "silu")
            return "hidden_act " + c.hiddenAct + " is not supported";
        const Bound bounds[] {
            { "vocab_size", c.vocabSize, 2, 262144 },
            { "hidden_size", c.hiddenSize, 8, 8192 },
            { "intermediate_size", c.intermediateSize, 8, 32768 },
            { "num_hidden_layers", c.layers, 1, 64 },
            { "num_attention_heads", c.heads, 1, 128 },
            { "num_key_value_heads", c.kvHeads, 1, 128 },
            { "head_dim", c.headDim, 2, 256 },
            { "max_position_embeddings", c.maxPositions, 2, 1 << 20 },
        };
        for (const Bound& bound : bounds)
            if (bound.value < bound.low || bound.value > bound.high)
                return std::string(bound.key) + " is " + std::to_string(bound.value) + ", outside "
                    + std::to_string(bound.low) + " to " + std::to_string(bound.high);
        if (c.headDim % 2 != 0)
            return "head_dim must be even";
        if (c.heads % c.kvHeads != 0)
            return "num_attention_heads must be a multiple of num_key_value_heads";
        if (!(c.rmsNormEps > 0.0) || !(c.rmsNormEps < 1.0))
            return "rms_norm_eps must be between 0 and 1";
        if (!(c.ropeTheta >= 1.0) || !std::isfinite(c.ropeTheta))
            return "rope_theta must be at least 1";
        return {};
    }
} // namespace

std::uint64_t parameterCount(const ModelConfig& c) noexcept
{
    const std::uint64_t hidden = toCount(c.hiddenSize);
    const std::uint64_t dim = toCount(c.headDim);
    const std::uint64_t attention = hidden * dim * 2 * (toCount(c.heads) + toCount(c.kvHeads));
    const std::uint64_t layer =
        attention + 3 * hidden * toCount(c.intermediateSize) + 2 * hidden + 2 * dim;
    const std::uint64_t tables = c.tiesEmbeddings ? 1 : 2;
    return tables * toCount(c.vocabSize) * hidden + toCount(c.layers) * layer + hidden;
}

Result<ModelConfig> toModelConfig(const HfConfig& config)
{
    const std::string reason = whyUnsupported(config);
    if (!reason.empty())
        return refusal("The model cannot be run here: " + reason);
    // Longer positions than this are of no use at the sizes that can be run.
    constexpr std::int64_t kMostPositions = 8192;
    ModelConfig c;
    c.vocabSize = static_cast<int>(config.vocabSize);
    c.hiddenSize = static_cast<int>(config.hiddenSize);
    c.intermediateSize = static_cast<int>(config.intermediateSize);
    c.layers = static_cast<int>(config.layers);
    c.heads = static_cast<int>(config.heads);
    c.kvHeads = static_cast<int>(config.kvHeads);
    c.headDim = static_cast<int>(config.headDim);
    c.maxPositions = static_cast<int>(std::min(config.maxPositions, kMostPositions));
    c.rmsNormEps = config.rmsNormEps;
    c.ropeTheta = config.ropeTheta;
    const auto special = [&](std::optional<std::int64_t> id) {
        return id && *id >= 0 && *id < config.vocabSize ? static_cast<std::int32_t>(*id) : -1;
    };
    c.bosToken = special(config.bosToken);
    c.eosToken = config.eosTokens.empty() ? -1 : special(config.eosTokens.front());
    c.padToken = special(config.padToken);
    c.tiesEmbeddings = config.tiesEmbeddings;
    if (parameterCount(c) > kMaxParameters)
        return refusal("The model cannot be run here: it has " + std::to_string(parameterCount(c))
            + " parameters, more than " + std::to_string(kMaxParameters));
    return c;
}

HfConfig toHfConfig(const ModelConfig& config)
{
    HfConfig c;
    c.vocabSize = config.vocabSize;
    c.hiddenSize = config.hiddenSize;
    c.intermediateSize = config.intermediateSize;
    c.layers = config.layers;
    c.heads = config.heads;
    c.kvHeads = config.kvHeads;
    c.headDim = config.headDim;
    c.maxPositions = config.maxPositions;
    c.rmsNormEps = config.rmsNormEps;
    c.ropeTheta = config.ropeTheta;
    c.tiesEmbeddings = config.tiesEmbeddings;
    if (config.bosToken >= 0)
        c.bosToken = config.bosToken;
    if (config.eosToken >= 0)
        c.eosTokens = { config.eosToken };
    if (config.padToken >= 0)
        c.padToken = config.padToken;
    return c;
}

std::vector<TensorSpec> tensorSpecs(const ModelConfig& config)
{
    const std::uint64_t hidden = toCount(config.hiddenSize);
    const std::uint64_t inner = toCount(config.intermediateSize);
    const std::uint64_t dim = toCount(config.headDim);
    const std::uint64_t queries = toCount(config.heads) * dim;
    const std::uint64_t keys = toCount(config.kvHeads) * dim;
    std::vector<TensorSpec> specs;
    std::uint64_t offset = 0;
    const auto add = [&](std::string name, std::vector<std::uint64_t> shape) {
        std::uint64_t count = 1;
        for (const std::uint64_t size : shape)
            count *= size;
        specs.push_back({ std::move(name), std::move(shape), offset, count });
        offset += count;
    };
    add("model.embed_tokens.weight", { toCount(config.vocabSize), hidden });
    for (int l = 0; l < config.layers; ++l) {
        const std::string layer = "model.layers." + std::to_string(l) + ".";
        add(layer + "input_layernorm.weight", { hidden });
        add(layer + "self_attn.q_proj.weight", { queries, hidden });
        add(layer + "self_attn.k_proj.weight", { keys, hidden });
        add(layer + "self_attn.v_proj.weight", { keys, hidden });
        add(layer + "self_attn.q_norm.weight", { dim });
        add(layer + "self_attn.k_norm.weight", { dim });
        add(layer + "self_attn.o_proj.weight", { hidden, queries });
        add(layer + "post_attention_layernorm.weight", { hidden });
        add(layer + "mlp.gate_proj.weight", { inner, hidden });
        add(layer + "mlp.up_proj.weight", { inner, hidden });
        add(layer + "mlp.down_proj.weight", { hidden, inner });
    }
    add("model.norm.weight", { hidden });
    if (!config.tiesEmbeddings)
        add("lm_head.weight", { toCount(config.vocabSize), hidden });
    return specs;
}

} // namespace desk::local
