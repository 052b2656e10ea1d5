// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/network.h"
#include "tests/support/check.h"

#include <cmath>
#include <random>

using namespace desk::local;

namespace {
ModelConfig gradientConfig(bool tiesEmbeddings = true)
{
    ModelConfig c;
    c.vocabSize = 19;
    c.hiddenSize = 12;
    c.intermediateSize = 20;
    c.layers = 2;
    c.heads = 4;
    c.kvHeads = 2;
    c.headDim = 6;
    c.maxPositions = 128;
    c.bosToken = c.eosToken = c.padToken = -1;
    c.tiesEmbeddings = tiesEmbeddings;
    return c;
}

std::vector<double> randomParameters(const ModelConfig& config)
{
    std::mt19937_64 random(7);
    std::uniform_real_distribution<double> uniform(-0.4, 0.4);
    std::vector<double> parameters(parameterCount(config));
    for (const auto& spec : tensorSpecs(config))
        for (std::uint64_t i = 0; i < spec.count; ++i)
            parameters[spec.offset + i] = uniform(random) + (spec.shape.size() == 1 ? 1.0 : 0.0);
    return parameters;
}

struct Problem
{
    TokenBatch batch;
    std::vector<std::int64_t> targets;
    std::vector<double> weights;
    std::size_t candidates = 1;
};

Problem makeProblem(
    const ModelConfig& config, std::vector<std::size_t> lengths, std::size_t candidates)
{
    std::mt19937_64 random(11);
    Problem problem;
    problem.candidates = candidates;
    for (const std::size_t length : lengths) {
        std::vector<std::int32_t> tokens(length);
        for (auto& token : tokens)
            token =
                static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(config.vocabSize));
        problem.batch.append(tokens);
    }
    std::uniform_real_distribution<double> uniform(-0.5, 1.5);
    for (std::size_t i = 0; i < problem.batch.tokens.size() * candidates; ++i) {
        problem.targets.push_back(
            static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(config.vocabSize)));
        problem.weights.push_back(uniform(random));
    }
    return problem;
}

double lossOf(
    Network<double>& network, const std::vector<double>& parameters, const Problem& problem)
{
    std::vector<double> logprobs(problem.targets.size());
    network.forward(parameters.data(), problem.batch);
    network.logprobs(parameters.data(), problem.targets, problem.candidates, logprobs, nullptr);
    double loss = 0.0;
    for (std::size_t i = 0; i < logprobs.size(); ++i)
        loss -= problem.weights[i] * logprobs[i];
    return loss;
}

std::vector<double> gradientOf(
    Network<double>& network, const std::vector<double>& parameters, const Problem& problem)
{
    (void)lossOf(network, parameters, problem);
    std::vector<double> byLogprob;
    for (const double weight : problem.weights)
        byLogprob.push_back(-weight);
    std::vector<double> gradients(parameters.size(), 0.0);
    network.backward(parameters.data(), problem.batch, problem.targets, problem.candidates,
        byLogprob, gradients.data());
    return gradients;
}

// Every tensor: the elements with the largest gradients and some drawn ones, against central
// differences. A gradient of zero everywhere must not pass as agreement.
void checkAgainstDifferences(const ModelConfig& config, const Problem& problem)
{
    ThreadPool pool(2);
    Network<double> network(config, pool, activeKernels<double>());
    auto parameters = randomParameters(config);
    const auto gradients = gradientOf(network, parameters, problem);
    std::mt19937_64 random(3);
    for (const auto& spec : tensorSpecs(config)) {
        std::vector<std::size_t> chosen;
        std::size_t largest = spec.offset;
        for (std::size_t i = spec.offset; i < spec.offset + spec.count; ++i)
            if (std::abs(gradients[i]) > std::abs(gradients[largest]))
                largest = i;
        chosen.push_back(largest);
        for (int i = 0; i < 5; ++i)
            chosen.push_back(spec.offset + random() % spec.count);
        CHECK(std::abs(gradients[largest]) > 1e-3);
        for (const std::size_t at : chosen) {
            constexpr double kStep = 1e-5;
            const double before = parameters[at];
            parameters[at] = before + kStep;
            const double above = lossOf(network, parameters, problem);
            parameters[at] = before - kStep;
            const double below = lossOf(network, parameters, problem);
            parameters[at] = before;
            const double expected = (above - below) / (2.0 * kStep);
            const double error = std::abs(gradients[at] - expected);
            if (error > 1e-6 * std::max(1.0, std::abs(expected)))
                desk::check::fail(__FILE__, __LINE__,
                    spec.name + ": gradient " + desk::check::show(gradients[at])
                        + ", difference quotient " + desk::check::show(expected));
        }
    }
}
} // namespace

TEST(gradients_agreeWithFiniteDifferences_forEveryTensor)
{
    checkAgainstDifferences(gradientConfig(), makeProblem(gradientConfig(), { 9, 5, 1 }, 1));
}

TEST(gradients_agreeWithFiniteDifferences_forSeveralCandidatesAndBlocksOfQueries)
{
    checkAgainstDifferences(gradientConfig(), makeProblem(gradientConfig(), { 70 }, 3));
}

TEST(gradients_agreeWithFiniteDifferences_forAnUnembeddingOfItsOwn)
{
    const ModelConfig config = gradientConfig(false);
    CHECK_EQUAL(tensorSpecs(config).back().name, std::string("lm_head.weight"));
    checkAgainstDifferences(config, makeProblem(config, { 9, 5 }, 2));
}

TEST(gradients_addUp_overCalls)
{
    const ModelConfig config = gradientConfig();
    ThreadPool pool(1);
    Network<double> network(config, pool, activeKernels<double>());
    const auto parameters = randomParameters(config);
    const Problem problem = makeProblem(config, { 9 }, 1);
    const auto once = gradientOf(network, parameters, problem);
    std::vector<double> byLogprob;
    for (const double weight : problem.weights)
        byLogprob.push_back(-weight);
    auto twice = once;
    (void)lossOf(network, parameters, problem);
    network.backward(parameters.data(), problem.batch, problem.targets, 1, byLogprob, twice.data());
    for (std::size_t i = 0; i < once.size(); ++i)
        CHECK(std::abs(twice[i] - 2.0 * once[i]) <= 1e-12 * std::max(1.0, std::abs(once[i])));
}

// float against double: what trains is the same function.
TEST(floatNetwork_agreesWithDouble_onEveryKernelTable)
{
    const ModelConfig config = gradientConfig();
    ThreadPool pool(2);
    const auto parameters = randomParameters(config);
    const Problem problem = makeProblem(config, { 33, 17, 2 }, 1);
    Network<double> exact(config, pool, activeKernels<double>());
    const auto expected = gradientOf(exact, parameters, problem);
    std::vector<double> expectedLogprobs(problem.targets.size());
    exact.forward(parameters.data(), problem.batch);
    exact.logprobs(parameters.data(), problem.targets, 1, expectedLogprobs, nullptr);
    double largest = 0.0;
    for (const double value : expected)
        largest = std::max(largest, std::abs(value));

    const std::vector<float> narrow(parameters.begin(), parameters.end());
    std::vector<double> byLogprob;
    for (const double weight : problem.weights)
        byLogprob.push_back(-weight);
    for (const auto& kernels : allKernels<float>()) {
        if (!kernels.isSupported())
            continue;
        Network<float> network(config, pool, kernels);
        std::vector<double> logprobs(problem.targets.size());
        std::vector<float> gradients(narrow.size(), 0.0F);
        network.forward(narrow.data(), problem.batch);
        network.logprobs(narrow.data(), problem.targets, 1, logprobs, nullptr);
        network.backward(
            narrow.data(), problem.batch, problem.targets, 1, byLogprob, gradients.data());
        for (std::size_t i = 0; i < logprobs.size(); ++i)
            CHECK(std::abs(logprobs[i] - expectedLogprobs[i]) < 2e-5);
        for (std::size_t i = 0; i < gradients.size(); ++i)
            CHECK(std::abs(static_cast<double>(gradients[i]) - expected[i]) < 2e-5 * largest);
    }
}

CHECK_MAIN()
