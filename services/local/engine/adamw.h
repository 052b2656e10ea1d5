// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/kernels.h"
#include "services/local/engine/model_config.h"
#include "services/local/engine/thread_pool.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace desk::local {

/// AdamParams of trainer.md section 4 with the SDK's defaults.
struct AdamParams
{
    double learningRate = 1e-4;
    double beta1 = 0.9;
    double beta2 = 0.95;
    double eps = 1e-12;
    double weightDecay = 0.0; ///< decoupled
    double gradClipNorm = 0.0; ///< global norm; 0: off
    bool operator==(const AdamParams&) const = default;
};

/// What the gathered gradient is divided by before clipping (grad_accumulation_normalization).
enum class GradNormalization
{
    None,
    NumLossTokens, ///< tokens with non-zero gradient since the last step
    NumSequences ///< data with at least one such token
};

struct OptimResult
{
    std::int64_t step = 0; ///< count after this step
    double gradNorm = 0.0; ///< global, after normalization, before clipping
    double gradNormRms = 0.0; ///< gradNorm / sqrt(number of parameters)
    double gradNormPreNormalization = 0.0; ///< of the raw sum
    double gradNormPostClip = 0.0;
    double learningRate = 0.0;
    std::map<std::string, double> gradNormBuckets; ///< attn, mlp, embed, norm; lora
    std::uint64_t changedParameters = 0; ///< weights whose BF16 value is another than before
};

template <class T>
struct AdamMoments
{
    std::vector<T> first;
    std::vector<T> second;
    std::int64_t step = 0; ///< steps taken
};

/// Usage error, naming the field, for params no step can be taken with: not finite, a beta outside
/// [0, 1), a negative eps, clip norm or weight decay.
[[nodiscard]] Status checkAdamParams(const AdamParams& params);

/// One step: gradients are divided by `divisor`, clipped by their global norm and applied
/// (p = p (1 - lr wd) - lr m^ / (sqrt(v^) + eps), trainer.md appendix A). Clears the gradients.
/// Backend error, with nothing applied but the gradients cleared, when their norm is not finite.
template <class T>
[[nodiscard]] Result<OptimResult> adamStep(ThreadPool& pool, const Kernels<T>& kernels,
    std::span<const TensorSpec> tensors, std::span<T> weights, std::span<T> gradients,
    AdamMoments<T>& moments, const AdamParams& params, double divisor);

} // namespace desk::local
