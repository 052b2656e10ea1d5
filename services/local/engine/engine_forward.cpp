// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/decoder_engine.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace desk::local {
namespace {
    // Sequences are computed together up to this many tokens; a longer one goes alone. Fixed,
    // because the sums over tokens depend on it.
    constexpr std::size_t kTokensPerPass = 1024;
    constexpr int kMaxTopK = 256;

    Error dataError(std::size_t datum, const std::string& what, const std::string& next)
    {
        return { Error::Code::Usage, "Datum " + std::to_string(datum) + ": " + what,
            "Nothing was computed", next, {} };
    }

    std::size_t endOfPass(std::span<const Datum> data, std::size_t first)
    {
        std::size_t last = first;
        std::size_t tokens = 0;
        while (last < data.size() && data[last].loss.candidates == data[first].loss.candidates
            && (last == first || tokens + data[last].tokens.size() <= kTokensPerPass))
            tokens += data[last++].tokens.size();
        return last;
    }

    // As a float, which is what goes out and into the gradient.
    bool isFloat(double value)
    {
        return std::abs(value) <= static_cast<double>(std::numeric_limits<float>::max());
    }

    double ratioOr(double sum, std::int64_t count, double fallback)
    {
        return count > 0 ? sum / static_cast<double>(count) : fallback;
    }
} // namespace

Status DecoderEngine::check(std::size_t index, const Datum& datum, const Loss& loss) const
{
    const std::string correct = "Correct the data";
    const std::size_t length = datum.tokens.size();
    if (length == 0)
        return dataError(index, "it has no tokens", correct);
    if (length > static_cast<std::size_t>(m_config.maxPositions))
        return dataError(index,
            "it has " + std::to_string(length) + " tokens, more than the model's "
                + std::to_string(m_config.maxPositions) + " positions",
            "Shorten it");
    const auto isToken = [&](std::int64_t id) { return id >= 0 && id < m_config.vocabSize; };
    for (const std::int32_t token : datum.tokens)
        if (!isToken(token))
            return dataError(
                index, "token " + std::to_string(token) + " is outside the vocabulary", correct);
    if (const Status checked = checkLossInputs(loss, datum.loss, length); !checked)
        return dataError(index, checked.error().message, checked.error().next);
    for (const std::int64_t target : datum.loss.targets)
        if (!isToken(target))
            return dataError(
                index, "target " + std::to_string(target) + " is outside the vocabulary", correct);
    return done();
}

Status DecoderEngine::check(
    std::span<const Datum> data, const Loss& loss, ForwardOptions options) const
{
    if (data.empty())
        return Error { Error::Code::Usage, "No data provided", "Nothing was computed",
            "Send at least one datum", {} };
    if (options.topK < 0 || options.topK > std::min(kMaxTopK, m_config.vocabSize))
        return Error { Error::Code::Usage,
            "top_k is outside 0 to " + std::to_string(std::min(kMaxTopK, m_config.vocabSize)),
            "Nothing was computed", "Ask for fewer tokens", {} };
    for (std::size_t i = 0; i < data.size(); ++i)
        if (const Status checked = check(i, data[i], loss); !checked)
            return checked;
    return done();
}

Result<ForwardResult> DecoderEngine::forward(
    std::span<const Datum> data, const Loss& loss, ForwardOptions options, std::stop_token stop)
{
    if (const Status checked = check(data, loss, options); !checked)
        return checked.error();
    // A request that fails in a later pass must leave the gradients as they were; a single pass
    // fails before it touches them.
    const bool keepsCopy = options.backward && endOfPass(data, 0) < data.size();
    const std::vector<float> before = keepsCopy ? m_gradients : std::vector<float> {};
    ForwardResult result;
    Tally tally;
    if (const Status passed = passes(data, loss, options, stop, result, tally); !passed) {
        if (keepsCopy)
            m_gradients = before;
        return passed.error();
    }
    if (options.backward) {
        m_lossTokens += tally.lossTokens;
        m_lossSequences += tally.lossSequences;
    }
    result.lossTokens = tally.lossTokens;
    result.metrics = { { "loss:sum", result.lossSum },
        { "num_tokens:sum", static_cast<double>(result.tokens) },
        { "num_loss_tokens:sum", static_cast<double>(result.lossTokens) },
        { "mean_logprob:mean", ratioOr(tally.logprobSum, tally.targets, 0.0) } };
    if (loss.kind != LossKind::CrossEntropy) {
        result.metrics["active_tokens:sum"] = static_cast<double>(tally.activeTokens);
        result.metrics["ratio_mean:mean"] = ratioOr(tally.ratioSum, tally.activeTokens, 1.0);
        result.metrics["clip_frac:mean"] =
            ratioOr(static_cast<double>(tally.clippedTokens), tally.activeTokens, 0.0);
        result.metrics["kl:mean"] = ratioOr(tally.klSum, tally.activeTokens, 0.0);
    }
    return result;
}

Status DecoderEngine::passes(std::span<const Datum> data, const Loss& loss, ForwardOptions options,
    const std::stop_token& stop, ForwardResult& result, Tally& tally)
{
    for (std::size_t first = 0; first < data.size();) {
        if (stop.stop_requested())
            return Error { Error::Code::Canceled, "The computation was canceled",
                "The gradients are as before", {}, {} };
        const std::size_t last = endOfPass(data, first);
        if (const Status passed =
                pass(data.subspan(first, last - first), loss, options, result, tally);
            !passed)
            return passed;
        first = last;
    }
    return done();
}

Status DecoderEngine::pass(std::span<const Datum> data, const Loss& loss, ForwardOptions options,
    ForwardResult& result, Tally& tally)
{
    TokenBatch batch;
    std::vector<std::int64_t> targets;
    for (const Datum& datum : data) {
        batch.append(datum.tokens);
        targets.insert(targets.end(), datum.loss.targets.begin(), datum.loss.targets.end());
    }
    const auto candidates = static_cast<std::size_t>(data.front().loss.candidates);
    std::vector<double> logprobs(targets.size());
    TopTokens<float> top;
    top.count = options.topK;
    m_network.forward(m_weights.data(), batch, adapter());
    m_network.logprobs(
        m_weights.data(), targets, candidates, logprobs, options.topK > 0 ? &top : nullptr);
    const std::size_t before = result.data.size();
    const auto byLogprob = lossOf(data, loss, logprobs, result, tally);
    if (!byLogprob)
        return byLogprob.error();
    if (options.backward)
        m_network.backward(
            m_weights.data(), batch, targets, candidates, *byLogprob, m_gradients.data());
    const auto k = static_cast<std::size_t>(options.topK);
    for (std::size_t d = 0; k > 0 && d < data.size(); ++d) {
        const auto from = static_cast<std::ptrdiff_t>(batch.starts[d] * k);
        const auto to = static_cast<std::ptrdiff_t>(batch.starts[d + 1] * k);
        result.data[before + d].topLogprobs.assign(
            top.logprobs.begin() + from, top.logprobs.begin() + to);
        result.data[before + d].topIndices.assign(
            top.indices.begin() + from, top.indices.begin() + to);
    }
    return done();
}

Result<std::vector<double>> DecoderEngine::lossOf(std::span<const Datum> data, const Loss& loss,
    std::span<const double> logprobs, ForwardResult& result, Tally& tally) const
{
    std::vector<double> byLogprob;
    byLogprob.reserve(logprobs.size());
    std::size_t at = 0;
    for (const Datum& datum : data) {
        const std::size_t count = datum.loss.targets.size();
        const auto own = logprobs.subspan(at, count);
        LossValue value = evaluateLoss(loss, datum.loss, own);
        const bool isFinite = isFloat(value.sum) && std::all_of(own.begin(), own.end(), isFloat)
            && std::all_of(value.gradient.begin(), value.gradient.end(), isFloat);
        if (!isFinite)
            return Error { Error::Code::Backend,
                "Datum " + std::to_string(result.data.size())
                    + ": the loss is not finite (NaN or infinity)",
                "No gradient of this request was kept",
                "Check logprobs and advantages, or set ratio_log_cap; if plain cross_entropy gives "
                "this too, load the newest save and use a lower learning rate",
                {} };
        DatumResult out;
        out.logprobs.assign(own.begin(), own.end());
        out.elementwiseLoss = std::move(value.elementwise);
        result.data.push_back(std::move(out));
        result.lossSum += value.sum;
        result.tokens += static_cast<std::int64_t>(datum.tokens.size());
        tally.lossTokens += value.lossTokens;
        tally.lossSequences += value.lossTokens > 0 ? 1 : 0;
        tally.targets += static_cast<std::int64_t>(count);
        for (const double lp : own)
            tally.logprobSum += lp;
        tally.activeTokens += value.activeTokens;
        tally.clippedTokens += value.clippedTokens;
        tally.ratioSum += value.ratioSum;
        tally.klSum += value.klSum;
        byLogprob.insert(byLogprob.end(), value.gradient.begin(), value.gradient.end());
        at += count;
    }
    return byLogprob;
}

} // namespace desk::local
