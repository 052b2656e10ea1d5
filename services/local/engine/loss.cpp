// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/loss.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace desk::local {
namespace {
    constexpr double kMaxLossSetting = 1e6;

    struct LossKey
    {
        const char* name;
        double low, high; // bounds
    };
    constexpr LossKey kClipLow { "clip_low_threshold", 0.0, kMaxLossSetting };
    constexpr LossKey kClipHigh { "clip_high_threshold", 0.0, kMaxLossSetting };
    constexpr LossKey kBeta { "beta", 0.0, kMaxLossSetting };
    constexpr LossKey kEpsClipC { "eps_clip_c", 1.0, kMaxLossSetting };
    constexpr LossKey kSeqCap { "seq_ratio_log_cap", 0.0, 80.0 };
    constexpr LossKey kRatioCap { "ratio_log_cap", 0.0, 80.0 };

    constexpr std::array kRatioKeys { kRatioCap };
    constexpr std::array kClipKeys { kClipLow, kClipHigh, kRatioCap };
    constexpr std::array kDroKeys { kBeta };
    constexpr std::array kDapoKeys { kClipLow, kClipHigh, kRatioCap, kEpsClipC };
    constexpr std::array kGspoKeys { kClipLow, kClipHigh, kSeqCap };

    constexpr std::array kEntropyInputs { "target_tokens", "weights" };
    constexpr std::array kRatioInputs { "target_tokens", "logprobs", "advantages", "weights" };
    constexpr std::array kClipInputs { "target_tokens", "logprobs", "advantages", "weights",
        "clip_low_threshold", "clip_high_threshold" };
    constexpr std::array kGspoInputs { "target_tokens", "logprobs", "advantages", "weights",
        "clip_low_threshold", "clip_high_threshold", "sequence_ratio_mask" };

    struct LossEntry
    {
        const char* name;
        LossKind kind;
        std::span<const LossKey> keys;
        std::span<const char* const> inputs;
        std::size_t required;
    };
    constexpr std::array<LossEntry, 7> kLosses { {
        { "cross_entropy", LossKind::CrossEntropy, {}, kEntropyInputs, 1 },
        { "importance_sampling", LossKind::ImportanceSampling, kRatioKeys, kRatioInputs, 3 },
        { "ppo", LossKind::Ppo, kClipKeys, kClipInputs, 3 },
        { "cispo", LossKind::Cispo, kClipKeys, kClipInputs, 3 },
        { "dro", LossKind::Dro, kDroKeys, kRatioInputs, 3 },
        { "dapo", LossKind::Dapo, kDapoKeys, kClipInputs, 3 },
        { "gspo", LossKind::Gspo, kGspoKeys, kGspoInputs, 3 },
    } };

    // Names that clients know and of which no formula is public, and what does the same work.
    struct UnknownFormula
    {
        const char* name;
        const char* alternative;
    };
    constexpr UnknownFormula kUnknownFormulas[] {
        { "stable_reinforce", "Use loss_fn=importance_sampling, ppo, cispo or gspo" },
        { "reinforce",
            "Use loss_fn=importance_sampling; with logprobs of the present weights its gradient is "
            "that of REINFORCE" },
        { "dppo", "Use loss_fn=ppo or dapo with clip_low_threshold and clip_high_threshold" },
        { "custom",
            "Call forward_backward_custom: the client computes the loss and sends its gradient as "
            "cross_entropy weights" },
    };

    Error lossUsage(std::string what, std::string next)
    {
        return { Error::Code::Usage, std::move(what), "Nothing was computed", std::move(next), {} };
    }

    const LossEntry& entryOf(LossKind kind) noexcept
    {
        return *std::find_if(kLosses.begin(), kLosses.end(),
            [kind](const LossEntry& entry) { return entry.kind == kind; });
    }

    std::string keyNames(std::span<const LossKey> keys)
    {
        std::string text;
        for (const LossKey& key : keys)
            text += (text.empty() ? "" : ", ") + std::string(key.name);
        return text.empty() ? "none" : text;
    }

    const LossKey* findKey(const LossEntry& entry, std::string_view name)
    {
        for (const LossKey& key : entry.keys)
            if (name == key.name)
                return &key;
        return nullptr;
    }

    std::string shortened(std::string_view text)
    {
        return std::string(text.substr(0, 64));
    }

    Error unknownLoss(std::string_view name)
    {
        for (const UnknownFormula& known : kUnknownFormulas)
            if (name == known.name)
                return lossUsage("The formula of loss_fn '" + std::string(name)
                        + "' is not public, so it cannot be computed here",
                    known.alternative);
        std::string valid;
        for (const LossEntry& entry : kLosses)
            valid += (valid.empty() ? "" : ", ") + std::string(entry.name);
        return lossUsage("Unknown loss_fn '" + shortened(name) + "'; valid: " + valid,
            "Use one of the valid losses");
    }

    Error unknownKey(const LossEntry& entry, std::string_view key)
    {
        if (key == "output" || key == "pooling")
            return lossUsage("loss_fn_config '" + std::string(key)
                    + "' asks for embeddings, which this backend does not compute",
                "Use a loss on target_tokens, or forward_backward_custom with output=\"logprobs\"");
        if (key == "top_k")
            return lossUsage("loss_fn_config 'top_k' is for forward with cross_entropy only",
                "Leave it out, or call forward with cross_entropy");
        return lossUsage("loss_fn_config '" + shortened(key) + "' is no key of " + entry.name
                + "; valid: " + keyNames(entry.keys),
            "Leave it out");
    }

    void setKey(Loss& loss, std::string_view key, double value)
    {
        if (key == kClipLow.name)
            loss.clipLow = value;
        else if (key == kClipHigh.name)
            loss.clipHigh = value;
        else if (key == kBeta.name)
            loss.beta = value;
        else if (key == kEpsClipC.name)
            loss.epsClipC = value;
        else if (key == kSeqCap.name)
            loss.seqRatioLogCap = value;
        else
            loss.ratioLogCap = value;
    }

    std::string numberText(double value)
    {
        std::string text = std::to_string(value);
        text.erase(text.find_last_not_of('0') + 1);
        if (text.back() == '.')
            text.pop_back();
        return text;
    }
} // namespace

Result<Loss> lossFrom(std::string_view name, const std::map<std::string, double>& config,
    const std::map<std::string, std::string>& texts)
{
    const auto entry = std::find_if(kLosses.begin(), kLosses.end(),
        [name](const LossEntry& candidate) { return name == candidate.name; });
    if (entry == kLosses.end())
        return unknownLoss(name);
    Loss loss;
    loss.kind = entry->kind;
    if (loss.kind == LossKind::Cispo) {
        loss.clipLow = 0.0;
        loss.clipHigh = 4.0;
    }
    for (const auto& [key, text] : texts) {
        if (key == "target_logprob_support" && text == "full_vocabulary")
            continue;
        if (key == "target_logprob_support")
            return lossUsage("loss_fn_config 'target_logprob_support' is '" + shortened(text)
                    + "'; only full_vocabulary is computed here",
                "Leave it out");
        const LossKey* known = findKey(*entry, key);
        if (known != nullptr)
            return lossUsage("loss_fn_config '" + key + "' must be a number", "Send a number");
        return unknownKey(*entry, key);
    }
    for (const auto& [key, value] : config) {
        const LossKey* known = findKey(*entry, key);
        if (known == nullptr)
            return unknownKey(*entry, key);
        if (!(value >= known->low) || !(value <= known->high))
            return lossUsage("loss_fn_config '" + key + "' must be a number from "
                    + numberText(known->low) + " to " + numberText(known->high),
                "Correct it");
        setKey(loss, key, value);
    }
    if (loss.clipLow > loss.clipHigh)
        return lossUsage(
            "clip_low_threshold is above clip_high_threshold; both are absolute ratios",
            "Use values such as 0.8 and 1.2");
    return loss;
}

const char* toString(LossKind kind) noexcept
{
    return entryOf(kind).name;
}

LossInputNames lossInputNames(LossKind kind) noexcept
{
    const LossEntry& entry = entryOf(kind);
    return { entry.inputs, entry.required };
}

Status checkLossInputs(const Loss& loss, const LossInputs& inputs, std::size_t positions)
{
    const LossEntry& entry = entryOf(loss.kind);
    const auto missing = [&](const char* field) {
        std::string needed;
        for (std::size_t i = 0; i < entry.required; ++i)
            needed += (i == 0 ? "" : ", ") + std::string(entry.inputs[i]);
        return lossUsage("missing required field '" + std::string(field) + "'; "
                + std::string(entry.name) + " needs " + needed,
            "Correct the data");
    };
    if (inputs.targets.empty())
        return missing("target_tokens");
    if (inputs.candidates < 1
        || inputs.targets.size() != positions * static_cast<std::size_t>(inputs.candidates))
        return lossUsage("target_tokens has " + std::to_string(inputs.targets.size())
                + " elements for " + std::to_string(positions) + " tokens",
            "Correct the data");
    if (!inputs.weights.empty() && inputs.weights.size() != inputs.targets.size())
        return lossUsage("weights and target_tokens differ in shape", "Correct the data");
    const auto isFinite = [](const std::vector<float>& values) {
        return std::all_of(
            values.begin(), values.end(), [](float value) { return std::isfinite(value); });
    };
    if (!isFinite(inputs.weights))
        return lossUsage("a weight is not finite", "Correct the data");
    if (loss.kind == LossKind::CrossEntropy)
        return done();

    if (inputs.candidates != 1)
        return lossUsage(
            std::string(entry.name) + " takes one target per token", "Correct the data");
    if (inputs.logprobs.empty())
        return missing("logprobs");
    if (inputs.advantages.empty())
        return missing("advantages");
    const std::pair<const char*, const std::vector<float>*> perToken[] { { "logprobs",
                                                                             &inputs.logprobs },
        { "advantages", &inputs.advantages }, { "sequence_ratio_mask", &inputs.sequenceRatioMask },
        { "clip_low_threshold", &inputs.clipLow }, { "clip_high_threshold", &inputs.clipHigh } };
    for (const auto& [name, values] : perToken) {
        if (!values->empty() && values->size() != positions)
            return lossUsage(std::string(name) + " has " + std::to_string(values->size())
                    + " elements for " + std::to_string(positions) + " tokens",
                "Correct the data");
        if (!isFinite(*values))
            return lossUsage(
                "a value of " + std::string(name) + " is not finite", "Correct the data");
    }
    return done();
}

} // namespace desk::local
