// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/adamw.h"

#include "services/local/engine/bfloat16.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace desk::local {
namespace {
    constexpr std::size_t kAdamBlock = 4096; // fixed, so that the norm has a fixed order of terms

    struct AdamBlock
    {
        std::size_t begin, end;
        std::size_t tensor;
    };

    std::vector<AdamBlock> adamBlocks(std::span<const TensorSpec> tensors)
    {
        std::vector<AdamBlock> blocks;
        for (std::size_t t = 0; t < tensors.size(); ++t)
            for (std::uint64_t at = 0; at < tensors[t].count; at += kAdamBlock)
                blocks.push_back({ tensors[t].offset + at,
                    tensors[t].offset + std::min<std::uint64_t>(at + kAdamBlock, tensors[t].count),
                    t });
        return blocks;
    }

    const char* bucketOf(const std::string& name)
    {
        if (name.find(".lora_") != std::string::npos)
            return "lora";
        if (name.find("norm") != std::string::npos)
            return "norm";
        if (name.find(".self_attn.") != std::string::npos)
            return "attn";
        return name.find(".mlp.") != std::string::npos ? "mlp" : "embed";
    }

    template <class T>
    std::vector<double> squaresOf(
        ThreadPool& pool, std::span<const AdamBlock> blocks, std::span<const T> gradients)
    {
        std::vector<double> sums(blocks.size());
        pool.forEach(blocks.size(), [&](std::size_t b) {
            double sum = 0.0;
            for (std::size_t i = blocks[b].begin; i < blocks[b].end; ++i)
                sum += static_cast<double>(gradients[i]) * static_cast<double>(gradients[i]);
            sums[b] = sum;
        });
        return sums;
    }

    template <class T>
    std::uint64_t changedInBlock(const T* before, const T* after, std::size_t count)
    {
        std::uint64_t changed = 0;
        for (std::size_t i = 0; i < count; ++i)
            changed += toBfloat16(static_cast<float>(before[i]))
                    != toBfloat16(static_cast<float>(after[i]))
                ? 1U
                : 0U;
        return changed;
    }

    AdamScalars adamScalars(const AdamParams& params, std::int64_t step, double gradScale)
    {
        const auto t = static_cast<double>(step);
        AdamScalars s;
        s.beta1 = params.beta1;
        s.beta2 = params.beta2;
        s.stepSize = params.learningRate / (1.0 - std::pow(params.beta1, t));
        s.secondScale = 1.0 / std::sqrt(1.0 - std::pow(params.beta2, t));
        s.eps = params.eps;
        s.decay = 1.0 - params.learningRate * params.weightDecay;
        s.gradScale = gradScale;
        return s;
    }

    Error adamUsage(const std::string& what)
    {
        return { Error::Code::Usage, what, "No optimizer step was taken", "Correct adam_params",
            {} };
    }
} // namespace

Status checkAdamParams(const AdamParams& p)
{
    const std::array<std::pair<const char*, double>, 6> all { { { "learning_rate", p.learningRate },
        { "beta1", p.beta1 }, { "beta2", p.beta2 }, { "eps", p.eps },
        { "weight_decay", p.weightDecay }, { "grad_clip_norm", p.gradClipNorm } } };
    for (const auto& [name, value] : all)
        if (!std::isfinite(value) || value < 0.0)
            return adamUsage(std::string(name) + " must be a number that is not negative");
    if (p.beta1 >= 1.0 || p.beta2 >= 1.0)
        return adamUsage("beta1 and beta2 must be below 1");
    return done();
}

template <class T>
Result<OptimResult> adamStep(ThreadPool& pool, const Kernels<T>& kernels,
    std::span<const TensorSpec> tensors, std::span<T> weights, std::span<T> gradients,
    AdamMoments<T>& moments, const AdamParams& params, double divisor)
{
    if (const Status checked = checkAdamParams(params); !checked)
        return checked.error();
    const auto blocks = adamBlocks(tensors);
    const auto squares = squaresOf<T>(pool, blocks, gradients);
    const double safeDivisor = divisor > 0.0 ? divisor : 1.0;
    OptimResult result;
    double total = 0.0;
    for (std::size_t b = 0; b < blocks.size(); ++b) {
        total += squares[b];
        result.gradNormBuckets[bucketOf(tensors[blocks[b].tensor].name)] += squares[b];
    }
    for (auto& [name, value] : result.gradNormBuckets)
        value = std::sqrt(value) / safeDivisor;
    result.gradNormPreNormalization = std::sqrt(total);
    result.gradNorm = result.gradNormPreNormalization / safeDivisor;
    if (!std::isfinite(result.gradNorm)) {
        std::fill(gradients.begin(), gradients.end(), T(0));
        return Error { Error::Code::Backend, "The gradient norm is not finite",
            "No optimizer step was taken; the gathered gradients were dropped",
            "Load the newest save and use a lower learning rate", {} };
    }
    const bool clips = params.gradClipNorm > 0.0 && result.gradNorm > params.gradClipNorm;
    const double clip = clips ? params.gradClipNorm / result.gradNorm : 1.0;
    result.gradNormPostClip = result.gradNorm * clip;
    result.gradNormRms = result.gradNorm / std::sqrt(static_cast<double>(weights.size()));
    result.learningRate = params.learningRate;
    result.step = ++moments.step;

    const AdamScalars scalars = adamScalars(params, moments.step, clip / safeDivisor);
    std::vector<std::uint64_t> changed(blocks.size());
    pool.forEach(blocks.size(), [&](std::size_t b) {
        const std::size_t at = blocks[b].begin;
        const std::size_t count = blocks[b].end - at;
        std::array<T, kAdamBlock> before;
        std::copy_n(weights.data() + at, count, before.data());
        kernels.adamw(weights.data() + at, moments.first.data() + at, moments.second.data() + at,
            gradients.data() + at, count, scalars);
        changed[b] = changedInBlock(before.data(), weights.data() + at, count);
        std::fill_n(gradients.data() + at, count, T(0));
    });
    for (const std::uint64_t count : changed)
        result.changedParameters += count;
    return result;
}

template Result<OptimResult> adamStep<float>(ThreadPool&, const Kernels<float>&,
    std::span<const TensorSpec>, std::span<float>, std::span<float>, AdamMoments<float>&,
    const AdamParams&, double);
template Result<OptimResult> adamStep<double>(ThreadPool&, const Kernels<double>&,
    std::span<const TensorSpec>, std::span<double>, std::span<double>, AdamMoments<double>&,
    const AdamParams&, double);

} // namespace desk::local
