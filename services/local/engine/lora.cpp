// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/lora.h"

#include "services/local/engine/gemm.h"
#include "services/local/engine/network.h"

#include <cmath>
#include <random>

namespace desk::local {
namespace {
    std::size_t loraSize(int value) noexcept
    {
        return static_cast<std::size_t>(value);
    }

    Error loraUsage(std::string what, std::string next)
    {
        return { Error::Code::Usage, std::move(what), "No adapter was made", std::move(next), {} };
    }

    struct LoraMatrix
    {
        const char* name;
        std::size_t out;
    };

    // Walks the adapter in the order of storage: first the A of a group, then its B.
    struct LoraWalk
    {
        std::size_t rank;
        std::size_t offset = 0;
        std::vector<TensorSpec> specs {};

        void add(std::string name, std::size_t rows, std::size_t cols)
        {
            specs.push_back({ std::move(name), { rows, cols }, offset, rows * cols });
            offset += rows * cols;
        }
        LoraGroup group(
            const std::string& prefix, std::size_t in, const std::vector<LoraMatrix>& matrices)
        {
            LoraGroup group;
            group.a = offset;
            group.in = in;
            for (const LoraMatrix& matrix : matrices)
                add(prefix + matrix.name + ".lora_A.weight", rank, in);
            std::size_t column = 0;
            for (const LoraMatrix& matrix : matrices) {
                group.parts.push_back({ offset, matrix.out, column });
                column += matrix.out;
                add(prefix + matrix.name + ".lora_B.weight", matrix.out, rank);
            }
            return group;
        }
    };

    LoraLayout walkAdapter(
        const ModelConfig& c, const LoraSettings& settings, std::vector<TensorSpec>* specs)
    {
        const std::size_t hidden = loraSize(c.hiddenSize);
        const std::size_t inner = loraSize(c.intermediateSize);
        const std::size_t queries = loraSize(c.heads) * loraSize(c.headDim);
        const std::size_t keys = loraSize(c.kvHeads) * loraSize(c.headDim);
        LoraLayout layout;
        layout.rank = loraSize(settings.rank);
        layout.scale = settings.alpha / static_cast<double>(settings.rank);
        LoraWalk walk { layout.rank };
        for (int l = 0; l < c.layers; ++l) {
            const std::string prefix = "model.layers." + std::to_string(l) + ".";
            LoraLayer layer;
            if (settings.trainsAttention) {
                layer.qkv = walk.group(prefix + "self_attn.", hidden,
                    { { "q_proj", queries }, { "k_proj", keys }, { "v_proj", keys } });
                layer.output = walk.group(prefix + "self_attn.", queries, { { "o_proj", hidden } });
            }
            if (settings.trainsMlp) {
                layer.gateUp = walk.group(
                    prefix + "mlp.", hidden, { { "gate_proj", inner }, { "up_proj", inner } });
                layer.down = walk.group(prefix + "mlp.", inner, { { "down_proj", hidden } });
            }
            layout.layers.push_back(std::move(layer));
        }
        if (settings.trainsUnembed)
            layout.unembed = walk.group("", hidden, { { "lm_head", loraSize(c.vocabSize) } });
        layout.size = walk.offset;
        if (specs != nullptr)
            *specs = std::move(walk.specs);
        return layout;
    }

    void mergeGroup(const LoraLayout& layout, const LoraGroup& group,
        const std::vector<float>& adapter, float* weights)
    {
        const std::size_t rank = layout.rank;
        std::vector<float> scaled;
        for (std::size_t p = 0; p < group.parts.size(); ++p) {
            const LoraPart& part = group.parts[p];
            scaled.assign(adapter.begin() + static_cast<std::ptrdiff_t>(part.b),
                adapter.begin() + static_cast<std::ptrdiff_t>(part.b + part.out * rank));
            for (float& value : scaled)
                value *= static_cast<float>(layout.scale);
            multiply<float>(nullptr, activeKernels<float>(), { part.out, group.in, rank },
                rowMajor(scaled.data(), rank),
                rowMajor(adapter.data() + group.a + p * rank * group.in, group.in),
                weights + part.column * group.in, group.in, true);
        }
    }
} // namespace

Status checkLoraSettings(const LoraSettings& settings)
{
    if (settings.rank < 1 || settings.rank > kMaxLoraRank)
        return loraUsage("lora_config.rank is " + std::to_string(settings.rank) + ", outside 1 to "
                + std::to_string(kMaxLoraRank),
            "Use a rank such as 8 or 32, or 0 for full-parameter training");
    if (!(settings.alpha > 0.0) || !(settings.alpha <= 1e6))
        return loraUsage("lora_config.alpha must be a number above 0", "Use alpha 32");
    if (!settings.trainsAttention && !settings.trainsMlp && !settings.trainsUnembed)
        return loraUsage("lora_config trains nothing: train_attn, train_mlp and train_unembed are "
                         "all false",
            "Set one of them");
    return done();
}

std::vector<TensorSpec> loraSpecs(const ModelConfig& config, const LoraSettings& settings)
{
    std::vector<TensorSpec> specs;
    (void)walkAdapter(config, settings, &specs);
    return specs;
}

LoraLayout loraLayout(const ModelConfig& config, const LoraSettings& settings)
{
    return walkAdapter(config, settings, nullptr);
}

std::vector<float> seedAdapter(const ModelConfig& config, const LoraSettings& settings)
{
    const auto specs = loraSpecs(config, settings);
    std::vector<float> adapter(specs.back().offset + specs.back().count, 0.0F);
    std::mt19937_64 random(settings.seed);
    for (const TensorSpec& spec : specs) {
        if (spec.name.find(".lora_A.") == std::string::npos)
            continue;
        const double bound = 1.0 / std::sqrt(static_cast<double>(spec.shape[1]));
        for (std::uint64_t i = spec.offset; i < spec.offset + spec.count; ++i)
            adapter[i] =
                static_cast<float>(bound * (static_cast<double>(random() >> 11) * 0x1p-52 - 1.0));
    }
    return adapter;
}

void mergeAdapter(const ModelConfig& config, const LoraLayout& layout,
    const std::vector<float>& adapter, std::vector<float>& weights)
{
    const auto offsets = layerOffsets(config);
    for (std::size_t l = 0; l < offsets.size(); ++l) {
        const LoraLayer& layer = layout.layers[l];
        mergeGroup(layout, layer.qkv, adapter, weights.data() + offsets[l].qkv);
        mergeGroup(layout, layer.output, adapter, weights.data() + offsets[l].output);
        mergeGroup(layout, layer.gateUp, adapter, weights.data() + offsets[l].gateUp);
        mergeGroup(layout, layer.down, adapter, weights.data() + offsets[l].down);
    }
    mergeGroup(layout, layout.unembed, adapter, weights.data() + unembedOffset(config));
}

} // namespace desk::local
