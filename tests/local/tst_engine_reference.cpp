// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/adamw.h"
#include "services/local/engine/engine.h"
#include "services/local/engine/loss.h"
#include "services/local/engine/network.h"
#include "tests/support/check.h"

#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <thread>

using namespace desk::local;

namespace {
// Weights by a formula, so that another program can make the same ones.
ModelConfig formulaConfig()
{
    ModelConfig c;
    c.vocabSize = 23;
    c.hiddenSize = 16;
    c.intermediateSize = 24;
    c.layers = 2;
    c.heads = 4;
    c.kvHeads = 2;
    c.headDim = 8;
    c.maxPositions = 128;
    c.bosToken = c.eosToken = c.padToken = -1;
    return c;
}

template <class T>
std::vector<T> formulaWeights()
{
    std::vector<T> weights(parameterCount(formulaConfig()));
    for (const TensorSpec& spec : tensorSpecs(formulaConfig()))
        for (std::uint64_t i = spec.offset; i < spec.offset + spec.count; ++i) {
            const double value =
                0.3 * std::sin(0.7 * static_cast<double>(i) + 0.1 * static_cast<double>(i % 13));
            weights[i] = static_cast<T>(spec.shape.size() == 1 ? 1.0 + value : value);
        }
    return weights;
}

template <class T>
std::vector<double> formulaLogprobs(std::size_t length, const Kernels<T>& kernels)
{
    TokenBatch batch;
    std::vector<std::int32_t> tokens;
    std::vector<std::int64_t> targets;
    for (std::size_t j = 0; j < length; ++j) {
        tokens.push_back(static_cast<std::int32_t>((7 * j + 3) % 23));
        targets.push_back(static_cast<std::int64_t>((5 * j + 1) % 23));
    }
    batch.append(tokens);
    ThreadPool pool(2);
    Network<T> network(formulaConfig(), pool, kernels);
    const auto weights = formulaWeights<T>();
    std::vector<double> logprobs(length);
    network.forward(weights.data(), batch);
    network.logprobs(weights.data(), targets, 1, logprobs, nullptr);
    return logprobs;
}

// From an independent forward in double precision (NumPy).
constexpr double kLogprobs[] { -3.390592287963, -3.279306502113, -2.429390217424, -3.549253770660,
    -3.308859071022, -3.931307057601 };
constexpr double kLossOf6 = 19.888708906784;
constexpr double kLossOf70 = 235.572653341801;

double lossOf(const std::vector<double>& logprobs)
{
    return -std::accumulate(logprobs.begin(), logprobs.end(), 0.0);
}

struct AdamCase
{
    double clip;
    double first[2], second[2];
};

template <class T>
void checkAdam(const AdamCase& expected, double tolerance)
{
    const std::vector<TensorSpec> tensors { { "w", { 2 }, 0, 2 } };
    std::vector<T> weights { T(1), T(-2) };
    std::vector<T> gradients { T(3), T(4) };
    AdamMoments<T> moments { { T(0), T(0) }, { T(0), T(0) }, 0 };
    AdamParams params;
    params.learningRate = 0.1;
    params.weightDecay = 0.01;
    params.gradClipNorm = expected.clip;
    ThreadPool pool(1);
    for (const auto& kernels : allKernels<T>()) {
        if (!kernels.isSupported())
            continue;
        weights = { T(1), T(-2) };
        gradients = { T(3), T(4) };
        moments = { { T(0), T(0) }, { T(0), T(0) }, 0 };
        const auto one =
            adamStep<T>(pool, kernels, tensors, weights, gradients, moments, params, 1.0);
        CHECK(one.has_value());
        CHECK(std::abs(one->gradNorm - 5.0) < tolerance);
        CHECK_EQUAL(static_cast<double>(gradients[0]), 0.0);
        for (std::size_t i = 0; i < 2; ++i)
            CHECK(std::abs(static_cast<double>(weights[i]) - expected.first[i]) < tolerance);
        gradients = { T(-1), T(2) };
        const auto two =
            adamStep<T>(pool, kernels, tensors, weights, gradients, moments, params, 1.0);
        CHECK(two.has_value());
        CHECK(std::abs(two->gradNorm - 2.2360680) < tolerance);
        CHECK_EQUAL(two->step, std::int64_t { 2 });
        for (std::size_t i = 0; i < 2; ++i)
            CHECK(std::abs(static_cast<double>(weights[i]) - expected.second[i]) < tolerance);
    }
}
} // namespace

TEST(logprobs_areThoseOfAnIndependentForward)
{
    const auto six = formulaLogprobs<double>(6, activeKernels<double>());
    for (std::size_t i = 0; i < six.size(); ++i)
        CHECK(std::abs(six[i] - kLogprobs[i]) < 1e-11);
    CHECK(std::abs(lossOf(six) - kLossOf6) < 1e-10);
    // Longer than a block of queries.
    CHECK(
        std::abs(lossOf(formulaLogprobs<double>(70, activeKernels<double>())) - kLossOf70) < 1e-9);
}

TEST(floatLosses_agreeOnEveryKernelTable)
{
    for (const auto& kernels : allKernels<float>())
        if (kernels.isSupported()) {
            CHECK(std::abs(lossOf(formulaLogprobs<float>(6, kernels)) - kLossOf6) < 1e-4);
            CHECK(std::abs(lossOf(formulaLogprobs<float>(70, kernels)) - kLossOf70) < 1e-3);
        }
}

TEST(trainingOfSeedMadeWeights_givesTheRecordedLosses)
{
    ModelConfig config = formulaConfig();
    config.vocabSize = 32;
    auto engine = Engine::create(config, 42, std::make_shared<ThreadPool>(2));
    CHECK(engine.has_value());
    std::vector<Datum> data(2);
    for (std::size_t d = 0; d < data.size(); ++d)
        for (std::size_t j = 0; j < 40; ++j) {
            data[d].tokens.push_back(static_cast<std::int32_t>((3 * j + d) % 32));
            data[d].loss.targets.push_back(static_cast<std::int64_t>((3 * j + 3 + d) % 32));
            data[d].loss.weights.push_back(j % 4 == 0 ? 0.0F : 0.5F);
        }
    AdamParams params;
    params.learningRate = 0.01;
    params.gradClipNorm = 1.0;
    params.weightDecay = 0.01;
    ForwardOptions options;
    options.backward = true;
    constexpr double kLosses[] { 105.024779, 99.285550, 95.066057, 91.708665 };
    for (const double expected : kLosses) {
        const auto result = (*engine)->forward(data, Loss {}, options, {});
        CHECK(result.has_value());
        CHECK(std::abs(result->lossSum - expected) < 1e-5 * expected);
        CHECK((*engine)->optimStep(params, GradNormalization::NumLossTokens).has_value());
    }
}

// trainer.md, appendix A.
TEST(crossEntropy_matchesTheReferenceVector)
{
    LossInputs inputs;
    inputs.targets = { 0, 0, 0, 0 };
    inputs.weights = { 0.0F, 1.0F, 2.0F, 0.5F };
    const std::vector<double> logprobs { -0.5, -1.0, -2.0, -0.2 };
    const LossValue value = evaluateLoss(Loss {}, inputs, logprobs);
    CHECK(std::abs(value.sum - 5.1) < 1e-12);
    const std::vector<double> expected { 0.0, -1.0, -2.0, -0.5 };
    CHECK(value.gradient == expected);
    CHECK_EQUAL(value.lossTokens, std::int64_t { 3 });
    CHECK_EQUAL(value.elementwise[2], 4.0F);

    inputs.weights.clear(); // missing weights are ones
    CHECK(std::abs(evaluateLoss(Loss {}, inputs, logprobs).sum - 3.7) < 1e-12);

    inputs.weights = { 0.0F, -1.0F, 0.0F, 0.0F }; // (N, K) with K = 2; weights of any sign
    inputs.candidates = 2;
    const LossValue pairs = evaluateLoss(Loss {}, inputs, logprobs);
    CHECK(std::abs(pairs.sum + 1.0) < 1e-12);
    CHECK_EQUAL(pairs.lossTokens, std::int64_t { 1 });
}

TEST(lossNames_areChecked)
{
    CHECK(lossFrom("cross_entropy").has_value());
    const auto unknown = lossFrom("zzz");
    CHECK(!unknown.has_value());
    CHECK(unknown.error().message.find("valid: cross_entropy, importance_sampling")
        != std::string::npos);
}

TEST(adamw_matchesTheReferenceVectors)
{
    const AdamCase cases[] {
        { 0.0, { 0.8990000, -2.0980000 }, { 0.8576703, -2.1898313 } },
        { 1.0, { 0.8990000, -2.0980000 }, { 0.8888381, -2.1958976 } },
    };
    for (const AdamCase& expected : cases) {
        checkAdam<double>(expected, 1e-7);
        checkAdam<float>(expected, 1e-6);
    }
}

TEST(adamw_refusesBadParams_andGradientsThatAreNotFinite)
{
    const std::vector<TensorSpec> tensors { { "w", { 2 }, 0, 2 } };
    std::vector<double> weights { 1.0, 2.0 };
    std::vector<double> gradients { 1.0, std::nan("") };
    AdamMoments<double> moments { { 0.0, 0.0 }, { 0.0, 0.0 }, 0 };
    ThreadPool pool(1);
    const auto step = adamStep<double>(
        pool, activeKernels<double>(), tensors, weights, gradients, moments, {}, 1.0);
    CHECK(!step.has_value());
    CHECK(step.error().code == desk::Error::Code::Backend);
    CHECK_EQUAL(weights[0], 1.0);
    CHECK_EQUAL(gradients[1], 0.0);
    CHECK_EQUAL(moments.step, std::int64_t { 0 });

    AdamParams params;
    params.beta1 = 1.0;
    CHECK(!checkAdamParams(params).has_value());
    params = {};
    params.learningRate = std::numeric_limits<double>::infinity();
    CHECK_EQUAL(checkAdamParams(params).error().message,
        std::string("learning_rate must be a number that is not negative"));
}

TEST(parallelLoop_runsEveryIndexOnce_andServesSeveralCallers)
{
    ThreadPool pool(4);
    CHECK_EQUAL(pool.threads(), 4);
    std::vector<std::thread> callers;
    std::atomic<int> wrong { 0 };
    for (int c = 0; c < 3; ++c)
        callers.emplace_back([&] {
            for (std::size_t count : { 0U, 1U, 2U, 7U, 1000U })
                for (int round = 0; round < 20; ++round) {
                    std::vector<std::atomic<int>> seen(count);
                    pool.forEach(count, [&](std::size_t i) { ++seen[i]; });
                    for (const auto& times : seen)
                        wrong += times == 1 ? 0 : 1;
                }
        });
    for (auto& caller : callers)
        caller.join();
    CHECK_EQUAL(wrong.load(), 0);
}

CHECK_MAIN()
