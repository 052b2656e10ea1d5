// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/trainer_codec.h"
#include "services/core/result.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace desk {

/// What a loss of one's own says of a batch.
struct CustomLossValue
{
    double loss = 0; ///< summed over the batch
    /// d loss / d logprob, one vector per datum, as long as its log-probabilities. Signs and sizes
    /// are free; not finite is an error.
    std::vector<std::vector<float>> gradients;
    std::map<std::string, double> metrics; ///< any names
};

/// `logprobs`: one vector per datum, those of its target_tokens (row-major for (N, K) targets).
/// Called once, on a thread of QThreadPool::globalInstance(): what it captures must allow that. An
/// error, or an exception, ends the call; nothing more is sent.
using CustomLoss = std::function<Result<CustomLossValue>(
    const std::vector<Datum>& data, const std::vector<std::vector<float>>& logprobs)>;

/// Empty, or why a custom loss cannot be computed on these datums: keys beside target_tokens and
/// weights, no target_tokens (trainer.md 3.7).
[[nodiscard]] std::string problemWithCustomData(const std::vector<Datum>& data);
/// Empty, or why a built-in loss would fail: missing target_tokens, logprobs, advantages. Names the
/// first datum and says what to do instead. Not asked for an embedding mode ("output").
[[nodiscard]] std::string problemWithBuiltInData(
    const std::vector<Datum>& data, const std::string& lossFn);

/// The datums of the first phase: weights that are missing become zeros.
[[nodiscard]] std::vector<Datum> withZeroWeights(std::vector<Datum> data);
/// The datums of the second: weights = -d loss / d logprob. Usage if the gradients do not fit.
[[nodiscard]] Result<std::vector<Datum>> withGradients(std::vector<Datum> data,
    const CustomLossValue& value, const std::vector<std::vector<float>>& logprobs);
/// "logprobs" of every output; Malformed if one is missing or not as long as its target_tokens.
[[nodiscard]] Result<std::vector<std::vector<float>>> logprobsOf(
    const ForwardResult& result, const std::vector<Datum>& data);
/// Tokens that count: non-zero weights, or all targets where there are no weights. The SDK adds it
/// to the metrics of cross_entropy as "response_tokens" (trainer.md 3.6).
[[nodiscard]] double responseTokens(const std::vector<Datum>& data);

} // namespace desk
