// SPDX-License-Identifier: GPL-3.0-or-later
// What forward_backward_custom does (trainer.md 3.7): a forward with cross_entropy, the loss and
// its gradient at the client, and a backward of cross_entropy with weights = -dL/dlogprob. It must
// train as the built-in twin of the loss does.
#include "services/local/engine/engine.h"
#include "tests/support/check.h"

#include <cmath>

using namespace desk;
using namespace desk::local;

namespace {
ModelConfig smallConfig()
{
    ModelConfig c;
    c.hiddenSize = 24;
    c.intermediateSize = 40;
    c.layers = 2;
    c.heads = 2;
    c.kvHeads = 1;
    c.headDim = 12;
    c.maxPositions = 64;
    return c;
}
std::unique_ptr<Engine> newEngine()
{
    auto engine = Engine::create(smallConfig(), 5, std::make_shared<ThreadPool>(2));
    CHECK(engine.has_value());
    return std::move(*engine);
}

std::vector<Datum> rolloutData()
{
    std::vector<Datum> data(3);
    for (std::size_t d = 0; d < data.size(); ++d)
        for (std::size_t i = 0; i < 30; ++i) {
            const std::size_t at = 7 * i + 11 * d;
            data[d].tokens.push_back(static_cast<std::int32_t>(at % 250));
            data[d].loss.targets.push_back(static_cast<std::int64_t>((at + 7) % 250));
            data[d].loss.weights.push_back(static_cast<float>(static_cast<int>(at % 4) - 1));
            data[d].loss.logprobs.push_back(-5.6F + 0.3F * static_cast<float>(at % 3));
            data[d].loss.advantages.push_back(
                i < 5 ? 0.0F : 0.7F * static_cast<float>(static_cast<int>(at % 5) - 2));
        }
    return data;
}

Result<ForwardResult> call(
    Engine& engine, const std::vector<Datum>& data, const Loss& loss, bool isBackward)
{
    ForwardOptions options;
    options.backward = isBackward;
    return engine.forward(data, loss, options, {});
}

// The client's part: the gradient of its own loss by the log-probabilities, which it reads as
// float.
std::vector<Datum> surrogateData(
    const std::vector<Datum>& data, const ForwardResult& forward, const Loss& clientLoss)
{
    std::vector<Datum> surrogate = data;
    for (std::size_t d = 0; d < data.size(); ++d) {
        const std::vector<double> logprobs(
            forward.data[d].logprobs.begin(), forward.data[d].logprobs.end());
        const LossValue value = evaluateLoss(clientLoss, data[d].loss, logprobs);
        surrogate[d].loss = {};
        surrogate[d].loss.targets = data[d].loss.targets;
        for (const double slope : value.gradient)
            surrogate[d].loss.weights.push_back(static_cast<float>(-slope));
    }
    return surrogate;
}

std::vector<Datum> zeroWeighted(std::vector<Datum> data)
{
    for (Datum& datum : data) {
        LossInputs inputs;
        inputs.targets = datum.loss.targets;
        inputs.weights.assign(inputs.targets.size(), 0.0F);
        datum.loss = inputs;
    }
    return data;
}

void checkTwin(const char* name, const std::map<std::string, double>& config)
{
    const auto loss = lossFrom(name, config);
    CHECK(loss.has_value());
    auto builtIn = newEngine();
    auto custom = newEngine();
    const auto data = rolloutData();
    AdamParams params;
    params.learningRate = 3e-3;
    for (int step = 0; step < 3; ++step) {
        CHECK(call(*builtIn, data, *loss, true).has_value());
        const auto forward = call(*custom, zeroWeighted(data), Loss {}, false);
        CHECK(forward.has_value());
        CHECK_EQUAL(forward->metrics.at("loss:sum"), 0.0);
        const auto surrogate = surrogateData(data, *forward, *loss);
        const auto backward = call(*custom, surrogate, Loss {}, true);
        CHECK(backward.has_value());
        CHECK(backward->metrics.count("loss:sum") == 1);
        const auto a = builtIn->optimStep(params, GradNormalization::NumLossTokens);
        const auto b = custom->optimStep(params, GradNormalization::NumLossTokens);
        CHECK(a.has_value() && b.has_value());
        CHECK(a->gradNorm > 0.0);
        CHECK(std::abs(a->gradNorm - b->gradNorm) < 1e-4 * a->gradNorm);
        const auto next = call(*builtIn, data, *loss, false);
        const auto twin = call(*custom, data, *loss, false);
        // Later steps start from weights that may differ by a rounding to BF16 here and there.
        const double tolerance = step == 0 ? 1e-4 : 1e-3;
        if (std::abs(next->lossSum - twin->lossSum) > tolerance)
            desk::check::fail(__FILE__, __LINE__,
                std::string(name) + " after step " + std::to_string(step + 1) + ": "
                    + desk::check::show(next->lossSum) + " and "
                    + desk::check::show(twin->lossSum));
    }
}
} // namespace

TEST(customLoss_trainsAsItsBuiltInTwin)
{
    checkTwin("cross_entropy", {});
    checkTwin("importance_sampling", {});
    checkTwin("ppo", {});
    checkTwin("cispo", {});
    checkTwin("dro", { { "beta", 0.1 } });
    checkTwin("dapo", { { "eps_clip_c", 1.5 } });
    checkTwin("gspo", {});
}

TEST(crossEntropyTwin_isExact)
{
    auto builtIn = newEngine();
    auto custom = newEngine();
    const auto data = rolloutData();
    CHECK(call(*builtIn, data, Loss {}, true).has_value());
    const auto forward = call(*custom, zeroWeighted(data), Loss {}, false);
    CHECK(call(*custom, surrogateData(data, *forward, Loss {}), Loss {}, true).has_value());
    CHECK_EQUAL(builtIn->optimStep({}, GradNormalization::None)->gradNorm,
        custom->optimStep({}, GradNormalization::None)->gradNorm);
    CHECK_EQUAL(call(*builtIn, data, Loss {}, false)->lossSum,
        call(*custom, data, Loss {}, false)->lossSum);
}

TEST(severalCandidates_takeWeightsOfAnySign)
{
    auto engine = newEngine();
    Datum datum;
    for (int i = 0; i < 10; ++i) {
        datum.tokens.push_back(i);
        for (int k = 0; k < 3; ++k) {
            datum.loss.targets.push_back(10 * i + k);
            datum.loss.weights.push_back(static_cast<float>(k - 1) * 2.5F);
        }
    }
    datum.loss.candidates = 3;
    const auto result = call(*engine, { datum }, Loss {}, true);
    CHECK(result.has_value());
    CHECK_EQUAL(result->data[0].logprobs.size(), std::size_t { 30 });
    CHECK_EQUAL(result->lossTokens, std::int64_t { 10 });
    CHECK(engine->optimStep({}, GradNormalization::NumLossTokens)->gradNorm > 0.0);
}

CHECK_MAIN()
