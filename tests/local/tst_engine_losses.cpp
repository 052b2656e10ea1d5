// SPDX-License-Identifier: GPL-3.0-or-later
// Losses of trainer.md 3.4: its reference vectors, gradients against differences, configuration,
// refusals, metrics.
#include "services/local/engine/engine.h"
#include "services/local/engine/loss.h"
#include "tests/support/check.h"

#include <cmath>
#include <limits>
#include <random>

using namespace desk;
using namespace desk::local;

namespace {
using Config = std::map<std::string, double>;

Loss lossOf(const std::string& name, const Config& config = {})
{
    const auto loss = lossFrom(name, config);
    if (!loss)
        desk::check::fail(__FILE__, __LINE__, loss.error().message);
    return *loss;
}

// trainer.md, appendix A.
const std::vector<double> kLogprobs { -0.5, -1.0, -2.0, -0.2 };
LossInputs referenceInputs()
{
    LossInputs inputs;
    inputs.targets = { 0, 0, 0, 0 };
    inputs.logprobs = { -0.7F, -0.6F, -2.0F, -1.2F };
    inputs.advantages = { 1.0F, -0.5F, 0.0F, 2.0F };
    return inputs;
}

struct Reference
{
    const char* name;
    Config config;
    double sum;
    std::vector<double> gradient;
    double gradientTolerance;
};
const std::vector<Reference>& references()
{
    static const Config clips { { "clip_low_threshold", 0.8 }, { "clip_high_threshold", 1.2 } };
    static const Config dapo { { "clip_low_threshold", 0.8 }, { "clip_high_threshold", 1.2 },
        { "eps_clip_c", 3.0 } };
    static const std::vector<Reference> all {
        { "importance_sampling", {}, -6.322806, { -1.22140, 0.33516, 0.0, -5.43656 }, 1e-5 },
        { "ppo", clips, -3.2, { 0.0, 0.0, 0.0, 0.0 }, 1e-6 },
        { "cispo", clips, 0.68, { -1.2, 0.4, 0.0, -2.4 }, 1e-6 },
        { "dro", { { "beta", 0.05 } }, 0.43, { -0.99, 0.48, 0.0, -1.95 }, 1e-6 },
        { "dapo", dapo, -3.2, { 0.0, 0.0, 0.0, 0.0 }, 1e-6 },
        { "gspo", clips, -2.947197, { 0.2176, 0.2176, 0.0, 0.2176 }, 1e-4 },
    };
    return all;
}

struct Drawn
{
    LossInputs inputs;
    std::vector<double> logprobs;
};
Drawn drawnInputs(std::uint64_t seed)
{
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> uniform(-1.0, 1.0);
    Drawn drawn;
    for (int i = 0; i < 24; ++i) {
        const double lp = -1.5 + uniform(random);
        drawn.logprobs.push_back(lp);
        drawn.inputs.targets.push_back(0);
        drawn.inputs.logprobs.push_back(static_cast<float>(lp + 0.5 * uniform(random)));
        drawn.inputs.advantages.push_back(
            i % 5 == 0 ? 0.0F : static_cast<float>(2.0 * uniform(random)));
        drawn.inputs.weights.push_back(
            i % 7 == 0 ? 0.0F : static_cast<float>(1.0 + uniform(random)));
    }
    return drawn;
}

// The largest slope: agreement of zeros would say nothing.
double checkSlopes(const Loss& loss, const LossInputs& inputs, std::vector<double> logprobs)
{
    const LossValue value = evaluateLoss(loss, inputs, logprobs);
    double largest = 0.0;
    for (std::size_t i = 0; i < logprobs.size(); ++i) {
        constexpr double kStep = 1e-6;
        const double before = logprobs[i];
        // cispo holds clamp(r): the derivative is that of its surrogate with the ratio of this
        // point.
        if (loss.kind == LossKind::Cispo) {
            const double ratio = std::exp(before - static_cast<double>(inputs.logprobs[i]));
            const double low =
                inputs.clipLow.empty() ? loss.clipLow : static_cast<double>(inputs.clipLow[i]);
            const double high =
                inputs.clipHigh.empty() ? loss.clipHigh : static_cast<double>(inputs.clipHigh[i]);
            const double weight =
                inputs.weights.empty() ? 1.0 : static_cast<double>(inputs.weights[i]);
            const double expected = -weight * std::min(std::max(ratio, low), high)
                * static_cast<double>(inputs.advantages[i]);
            CHECK(std::abs(value.gradient[i] - expected) < 1e-9);
            largest = std::max(largest, std::abs(expected));
            continue;
        }
        logprobs[i] = before + kStep;
        const double above = evaluateLoss(loss, inputs, logprobs).sum;
        logprobs[i] = before - kStep;
        const double below = evaluateLoss(loss, inputs, logprobs).sum;
        logprobs[i] = before;
        const double expected = (above - below) / (2.0 * kStep);
        largest = std::max(largest, std::abs(expected));
        if (std::abs(value.gradient[i] - expected) > 1e-6 * std::max(1.0, std::abs(expected)))
            desk::check::fail(__FILE__, __LINE__,
                std::string(toString(loss.kind)) + " position " + std::to_string(i) + ": gradient "
                    + desk::check::show(value.gradient[i]) + ", difference quotient "
                    + desk::check::show(expected));
    }
    return largest;
}

ModelConfig smallConfig()
{
    ModelConfig c;
    c.hiddenSize = 16;
    c.intermediateSize = 24;
    c.layers = 1;
    c.heads = 2;
    c.kvHeads = 1;
    c.headDim = 8;
    c.maxPositions = 600;
    return c;
}
std::unique_ptr<Engine> newEngine()
{
    auto engine = Engine::create(smallConfig(), 5, std::make_shared<ThreadPool>(2));
    CHECK(engine.has_value());
    return std::move(*engine);
}
Datum rlDatum(std::size_t length, int salt = 0)
{
    Datum datum;
    for (std::size_t i = 0; i < length; ++i) {
        const int step = static_cast<int>(i) + salt;
        datum.tokens.push_back(step * 7 % 250);
        datum.loss.targets.push_back(step * 5 % 250);
        datum.loss.logprobs.push_back(-5.5F + 0.2F * static_cast<float>(step % 3));
        datum.loss.advantages.push_back(
            step % 4 == 0 ? 0.0F : 0.5F * static_cast<float>(step % 3 - 1));
    }
    return datum;
}
std::string usageOf(const Result<Loss>& loss)
{
    CHECK(!loss.has_value());
    CHECK(loss.error().code == Error::Code::Usage);
    return loss.error().message + " | " + loss.error().next;
}
} // namespace

TEST(losses_giveTheReferenceVectors)
{
    for (const Reference& expected : references()) {
        const LossValue value =
            evaluateLoss(lossOf(expected.name, expected.config), referenceInputs(), kLogprobs);
        if (std::abs(value.sum - expected.sum) > 1e-6)
            desk::check::fail(__FILE__, __LINE__,
                std::string(expected.name) + ": " + desk::check::show(value.sum));
        double elementwise = 0.0;
        for (std::size_t i = 0; i < 4; ++i) {
            if (std::abs(value.gradient[i] - expected.gradient[i]) > expected.gradientTolerance)
                desk::check::fail(__FILE__, __LINE__,
                    std::string(expected.name) + " at " + std::to_string(i) + ": "
                        + desk::check::show(value.gradient[i]));
            elementwise += static_cast<double>(value.elementwise[i]);
        }
        CHECK(std::abs(elementwise - value.sum) < 1e-5);
        CHECK_EQUAL(value.activeTokens, std::int64_t { 3 });
    }
}

TEST(crossEntropy_givesTheReferenceVector)
{
    LossInputs inputs;
    inputs.targets = { 0, 0, 0, 0 };
    inputs.weights = { 0.0F, 1.0F, 2.0F, 0.5F };
    const LossValue value = evaluateLoss(lossOf("cross_entropy"), inputs, kLogprobs);
    CHECK(std::abs(value.sum - 5.1) < 1e-12);
    CHECK((value.gradient == std::vector<double> { 0.0, -1.0, -2.0, -0.5 }));
    CHECK_EQUAL(value.activeTokens, std::int64_t { 0 });
}

TEST(importanceSampling_onItsOwnPolicy_isReinforce)
{
    LossInputs inputs = referenceInputs();
    std::vector<double> logprobs;
    for (const float q : inputs.logprobs)
        logprobs.push_back(static_cast<double>(q));
    const LossValue value = evaluateLoss(lossOf("importance_sampling"), inputs, logprobs);
    CHECK(std::abs(value.sum + 2.5) < 1e-12);
    CHECK((value.gradient == std::vector<double> { -1.0, 0.5, 0.0, -2.0 }));
    CHECK_EQUAL(value.ratioSum, 3.0);
    CHECK_EQUAL(value.klSum, 0.0);
    CHECK_EQUAL(value.lossTokens, std::int64_t { 3 });
}

TEST(gradients_agreeWithFiniteDifferences_forEveryLoss)
{
    std::map<std::string, double> largest;
    for (const std::uint64_t seed : { 1U, 2U, 3U, 4U }) {
        const Drawn drawn = drawnInputs(seed);
        const auto check = [&](const std::string& name, const Config& config,
                               const LossInputs& inputs) {
            double& most = largest[name];
            most = std::max(most, checkSlopes(lossOf(name, config), inputs, drawn.logprobs));
        };
        LossInputs plain = drawn.inputs;
        plain.weights.clear();
        LossInputs masked = drawn.inputs;
        masked.sequenceRatioMask.assign(24, 1.0F);
        masked.sequenceRatioMask[3] = 0.0F;
        LossInputs perToken = drawn.inputs;
        perToken.clipLow.assign(24, 0.9F);
        perToken.clipHigh.assign(24, 1.05F);
        perToken.clipHigh[2] = 2.0F;
        for (const char* name :
            { "cross_entropy", "importance_sampling", "ppo", "cispo", "dro", "dapo", "gspo" }) {
            check(name, {}, drawn.inputs);
            check(name, {}, plain);
        }
        for (const char* name : { "ppo", "cispo", "dapo", "gspo" })
            check(name, {}, perToken);
        check("gspo", {}, masked);
        check("importance_sampling", { { "ratio_log_cap", 0.2 } }, drawn.inputs);
        check("dapo", { { "eps_clip_c", 1.1 }, { "clip_high_threshold", 3.0 } }, drawn.inputs);
    }
    CHECK_EQUAL(largest.size(), std::size_t { 7 });
    for (const auto& [name, most] : largest)
        CHECK(most > 1e-2);
}

TEST(dualClip_boundsTheLossOfBadTokens)
{
    LossInputs inputs;
    inputs.targets = { 0, 0 };
    inputs.logprobs = { -3.0F, -3.0F };
    inputs.advantages = { -1.0F, 1.0F };
    const std::vector<double> logprobs { -1.0, -1.0 }; // r = 7.389
    const LossValue dual =
        evaluateLoss(lossOf("dapo", { { "eps_clip_c", 3.0 } }), inputs, logprobs);
    CHECK(std::abs(static_cast<double>(dual.elementwise[0]) - 3.0) < 1e-6);
    CHECK_EQUAL(dual.gradient[0], 0.0);
    CHECK(std::abs(static_cast<double>(dual.elementwise[1]) + 1.2) < 1e-6);
    const LossValue single = evaluateLoss(lossOf("ppo"), inputs, logprobs);
    CHECK(std::abs(static_cast<double>(single.elementwise[0]) - std::exp(2.0)) < 1e-5);
    CHECK_EQUAL(single.clippedTokens, std::int64_t { 2 });
}

TEST(thresholdsPerToken_replaceTheConfiguredOnes)
{
    LossInputs inputs = referenceInputs();
    inputs.clipLow = { 0.8F, 0.5F, 0.8F, 0.8F };
    inputs.clipHigh = { 1.5F, 1.2F, 1.2F, 3.0F };
    const LossValue value = evaluateLoss(lossOf("ppo"), inputs, kLogprobs);
    // No token is clipped any more: importance sampling.
    CHECK(std::abs(value.sum + 6.322806) < 1e-6);
    CHECK_EQUAL(value.clippedTokens, std::int64_t { 0 });
}

TEST(sequenceRatio_isOfTheMask_andIsCapped)
{
    LossInputs inputs = referenceInputs();
    inputs.sequenceRatioMask = { 1.0F, 0.0F, 0.0F, 0.0F };
    const LossValue one = evaluateLoss(lossOf("gspo"), inputs, kLogprobs);
    CHECK(std::abs(one.ratioSum - 3.0 * std::exp(0.2)) < 1e-6);
    CHECK_EQUAL(one.gradient[1], 0.0);
    inputs.sequenceRatioMask.clear();
    const std::vector<double> far { 40.0, 40.0, 40.0, 40.0 };
    const LossValue capped = evaluateLoss(lossOf("gspo"), inputs, far);
    CHECK(std::abs(capped.ratioSum / 3.0 - std::exp(10.0)) < 1e-6);
    for (const double slope : capped.gradient)
        CHECK_EQUAL(slope, 0.0);
    inputs.sequenceRatioMask = { 0.0F, 0.0F, 0.0F, 0.0F }; // nothing in the mean: ratio one
    CHECK(std::abs(evaluateLoss(lossOf("gspo"), inputs, kLogprobs).sum + 2.5) < 1e-6);
}

TEST(ratioLogCap_boundsTheRatio_andStopsTheGradient)
{
    LossInputs inputs = referenceInputs();
    const LossValue value = evaluateLoss(
        lossOf("importance_sampling", { { "ratio_log_cap", 0.5 } }), inputs, kLogprobs);
    CHECK_EQUAL(value.gradient[3], 0.0);
    CHECK(std::abs(static_cast<double>(value.elementwise[3]) + 2.0 * std::exp(0.5)) < 1e-6);
    CHECK(value.gradient[0] < -1.2);
}

TEST(tokensWithoutAdvantage_takeNoPart_evenWhereTheModelSaysMinusInfinity)
{
    LossInputs inputs = referenceInputs();
    std::vector<double> logprobs = kLogprobs;
    logprobs[2] = -std::numeric_limits<double>::infinity();
    for (const char* name : { "importance_sampling", "ppo", "cispo", "dapo", "gspo" })
        CHECK(std::isfinite(evaluateLoss(lossOf(name), inputs, logprobs).sum));
}

TEST(defaults_areThoseOfTheDocuments)
{
    CHECK_EQUAL(lossOf("ppo").clipLow, 0.8);
    CHECK_EQUAL(lossOf("ppo").clipHigh, 1.2);
    CHECK_EQUAL(lossOf("cispo").clipLow, 0.0);
    CHECK_EQUAL(lossOf("cispo").clipHigh, 4.0);
    CHECK_EQUAL(lossOf("dro").beta, 0.05);
    CHECK_EQUAL(lossOf("dapo").epsClipC, 3.0);
    CHECK_EQUAL(lossOf("gspo").seqRatioLogCap, 10.0);
    CHECK(!lossOf("cispo").ratioLogCap.has_value());
    CHECK_EQUAL(*lossOf("cispo", { { "ratio_log_cap", 20.0 } }).ratioLogCap, 20.0);
}

TEST(names_areRefusedWithTheValidOnes_orTheAlternative)
{
    CHECK_EQUAL(usageOf(lossFrom("zzz")),
        std::string("Unknown loss_fn 'zzz'; valid: cross_entropy, importance_sampling, ppo, cispo, "
                    "dro, dapo, gspo | Use one of the valid losses"));
    CHECK_EQUAL(usageOf(lossFrom("stable_reinforce")),
        std::string("The formula of loss_fn 'stable_reinforce' is not public, so it cannot be "
                    "computed here | Use loss_fn=importance_sampling, ppo, cispo or gspo"));
    CHECK(usageOf(lossFrom("custom")).find("forward_backward_custom") != std::string::npos);
    CHECK(usageOf(lossFrom("reinforce")).find("importance_sampling") != std::string::npos);
    CHECK(usageOf(lossFrom("dppo")).find("ppo or dapo") != std::string::npos);
    CHECK(usageOf(lossFrom(std::string(5000, 'x'))).size() < 300);
}

TEST(configKeys_areRefusedWithTheValidOnes)
{
    CHECK_EQUAL(usageOf(lossFrom("ppo", { { "beta", 0.1 } })),
        std::string("loss_fn_config 'beta' is no key of ppo; valid: clip_low_threshold, "
                    "clip_high_threshold, ratio_log_cap | Leave it out"));
    CHECK_EQUAL(usageOf(lossFrom("cross_entropy", { { "beta", 0.1 } })),
        std::string(
            "loss_fn_config 'beta' is no key of cross_entropy; valid: none | Leave it out"));
    CHECK_EQUAL(usageOf(lossFrom("dro", { { "beta", -1.0 } })),
        std::string("loss_fn_config 'beta' must be a number from 0 to 1000000 | Correct it"));
    CHECK(!lossFrom("dro", { { "beta", std::nan("") } }).has_value());
    CHECK(usageOf(lossFrom("ppo", { { "clip_low_threshold", 1.5 } })).find("above")
        != std::string::npos);
    CHECK(usageOf(lossFrom("ppo", { { "top_k", 2.0 } })).find("forward with cross_entropy")
        != std::string::npos);
    CHECK(usageOf(lossFrom("ppo", {}, { { "clip_low_threshold", "x" } })).find("must be a number")
        != std::string::npos);
}

TEST(embeddingModes_areRefusedWithTheAlternative)
{
    for (const char* mode :
        { "embedding", "projection", "cos_similarity_matrix", "contrastive_loss" })
        CHECK(usageOf(lossFrom("cross_entropy", {}, { { "output", mode } }))
                  .find("forward_backward_custom")
            != std::string::npos);
    CHECK(usageOf(lossFrom("cross_entropy", {}, { { "pooling", "mean" } })).find("embeddings")
        != std::string::npos);
    CHECK(lossFrom("ppo", {}, { { "target_logprob_support", "full_vocabulary" } }).has_value());
    CHECK(usageOf(lossFrom("ppo", {}, { { "target_logprob_support", "candidates" } }))
              .find("full_vocabulary")
        != std::string::npos);
}

TEST(inputNames_tellWhatALossReads)
{
    const LossInputNames names = lossInputNames(LossKind::Gspo);
    CHECK_EQUAL(names.requiredCount, std::size_t { 3 });
    CHECK_EQUAL(std::string(names.names.back()), std::string("sequence_ratio_mask"));
    CHECK_EQUAL(std::string(toString(LossKind::Dapo)), std::string("dapo"));
}

TEST(missingAndMisshapenInputs_nameTheDatumAndTheField)
{
    auto engine = newEngine();
    const auto messageOf = [&](const Datum& datum, const char* loss) {
        ForwardOptions options;
        options.backward = true;
        const auto result =
            engine->forward(std::vector { rlDatum(5), datum }, lossOf(loss), options, {});
        CHECK(!result.has_value());
        CHECK(result.error().code == Error::Code::Usage);
        return result.error().message;
    };
    Datum datum = rlDatum(4);
    datum.loss.logprobs.clear();
    CHECK_EQUAL(messageOf(datum, "ppo"),
        std::string(
            "Datum 1: missing required field 'logprobs'; ppo needs target_tokens, logprobs, "
            "advantages"));
    datum = rlDatum(4);
    datum.loss.advantages.clear();
    CHECK_EQUAL(messageOf(datum, "dro"),
        std::string("Datum 1: missing required field 'advantages'; dro needs target_tokens, "
                    "logprobs, advantages"));
    datum = rlDatum(4);
    datum.loss.advantages.pop_back();
    CHECK_EQUAL(
        messageOf(datum, "ppo"), std::string("Datum 1: advantages has 3 elements for 4 tokens"));
    datum = rlDatum(4);
    datum.loss.clipHigh = { 1.0F };
    CHECK_EQUAL(messageOf(datum, "ppo"),
        std::string("Datum 1: clip_high_threshold has 1 elements for 4 tokens"));
    datum = rlDatum(4);
    datum.loss.logprobs[2] = std::numeric_limits<float>::infinity();
    CHECK_EQUAL(messageOf(datum, "ppo"), std::string("Datum 1: a value of logprobs is not finite"));
    datum = rlDatum(4);
    datum.loss.candidates = 2;
    datum.loss.targets.resize(8);
    CHECK_EQUAL(messageOf(datum, "gspo"), std::string("Datum 1: gspo takes one target per token"));
    CHECK_EQUAL(engine->optimStep({}, GradNormalization::None)->gradNorm, 0.0);
}

TEST(metrics_haveOneColon_andSayWhatTheLossDid)
{
    auto engine = newEngine();
    const std::vector<Datum> data { rlDatum(40), rlDatum(30, 3) };
    for (const char* name :
        { "cross_entropy", "importance_sampling", "ppo", "cispo", "dro", "dapo", "gspo" }) {
        const auto result = engine->forward(data, lossOf(name), {}, {});
        CHECK(result.has_value());
        for (const auto& [key, value] : result->metrics) {
            CHECK(key.find(':') != std::string::npos && key.find(':') == key.rfind(':'));
            CHECK(std::isfinite(value));
        }
        CHECK_EQUAL(result->metrics.at("loss:sum"), result->lossSum);
        CHECK_EQUAL(result->metrics.at("num_tokens:sum"), 70.0);
        CHECK_EQUAL(result->metrics.count("ratio_mean:mean"),
            std::size_t { std::string(name) == "cross_entropy" ? 0U : 1U });
    }
    // By hand for importance sampling.
    const auto result = engine->forward(data, lossOf("importance_sampling"), {}, {});
    double ratio = 0.0;
    double kl = 0.0;
    double active = 0.0;
    double clipped = 0.0;
    for (std::size_t d = 0; d < data.size(); ++d)
        for (std::size_t i = 0; i < data[d].tokens.size(); ++i) {
            if (data[d].loss.advantages[i] == 0.0F)
                continue;
            const double difference = static_cast<double>(result->data[d].logprobs[i])
                - static_cast<double>(data[d].loss.logprobs[i]);
            ratio += std::exp(difference);
            kl -= difference;
            clipped += std::exp(difference) < 0.8 || std::exp(difference) > 1.2 ? 1.0 : 0.0;
            active += 1.0;
        }
    CHECK_EQUAL(result->metrics.at("active_tokens:sum"), active);
    CHECK(std::abs(result->metrics.at("ratio_mean:mean") - ratio / active) < 1e-5);
    CHECK(std::abs(result->metrics.at("kl:mean") - kl / active) < 1e-5);
    CHECK(std::abs(result->metrics.at("clip_frac:mean") - clipped / active) < 1e-9);
}

TEST(everyLoss_trainsTheEngine)
{
    for (const char* name : { "importance_sampling", "ppo", "cispo", "dro", "dapo", "gspo" }) {
        auto engine = newEngine();
        std::vector<Datum> data { rlDatum(40), rlDatum(30, 3) };
        const auto before = engine->forward(data, lossOf("cross_entropy"), {}, {});
        for (std::size_t d = 0; d < data.size(); ++d)
            data[d].loss.logprobs = before->data[d].logprobs;
        ForwardOptions options;
        options.backward = true;
        const auto first = engine->forward(data, lossOf(name), options, {});
        CHECK(first.has_value());
        AdamParams params;
        params.learningRate = 1e-3;
        const auto step = engine->optimStep(params, GradNormalization::NumLossTokens);
        CHECK(step.has_value() && step->gradNorm > 0.0);
        const auto second = engine->forward(data, lossOf(name), {}, {});
        // cispo's value is no measure of progress, its surrogate's gradient is.
        if (std::string(name) != "cispo")
            CHECK(second->lossSum < first->lossSum);
        CHECK(second->metrics.at("ratio_mean:mean") != 1.0);
    }
}

TEST(lossThatIsNotFinite_leavesNoGradient_evenOfEarlierPasses)
{
    auto engine = newEngine();
    auto reference = newEngine();
    ForwardOptions options;
    options.backward = true;
    const std::vector<Datum> good { rlDatum(30) };
    for (Engine* each : { engine.get(), reference.get() })
        CHECK(each->forward(good, lossOf("importance_sampling"), options, {}).has_value());
    // Two passes; the second one overflows.
    std::vector<Datum> bad { rlDatum(590), rlDatum(590, 1) };
    bad[1].loss.logprobs[5] = -3e38F;
    bad[1].loss.advantages[5] = 1.0F;
    const auto result = engine->forward(bad, lossOf("importance_sampling"), options, {});
    CHECK(!result.has_value());
    CHECK(result.error().code == Error::Code::Backend);
    CHECK(result.error().message.find("Datum 1: the loss is not finite") == 0);
    const auto a = engine->optimStep({}, GradNormalization::NumLossTokens);
    const auto b = reference->optimStep({}, GradNormalization::NumLossTokens);
    CHECK_EQUAL(a->gradNorm, b->gradNorm);
    CHECK_EQUAL(a->gradNormPreNormalization, b->gradNormPreNormalization);
}

CHECK_MAIN()
