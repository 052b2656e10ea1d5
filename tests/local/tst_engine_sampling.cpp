// SPDX-License-Identifier: GPL-3.0-or-later
// Sampling: draws, stops, scores, streaming; and that what a sampler says of its tokens is what the
// trainer's forward says of them.
#include "services/local/engine/engine.h"
#include "services/local/engine/inference_model.h"
#include "services/local/engine/token_draw.h"
#include "tests/local/temp_folder.h"
#include "tests/support/check.h"

#include <cmath>
#include <set>
#include <thread>

using namespace desk;
using namespace desk::local;
namespace fs = std::filesystem;
using desk::check::TempFolder;

namespace {
ModelConfig smallConfig()
{
    ModelConfig c;
    c.hiddenSize = 32;
    c.intermediateSize = 48;
    c.layers = 2;
    c.heads = 4;
    c.kvHeads = 2;
    c.headDim = 8;
    c.maxPositions = 96;
    return c;
}
std::shared_ptr<ThreadPool> threads(int count = 2)
{
    return std::make_shared<ThreadPool>(count);
}
std::vector<std::int32_t> tokensOf(const std::string& text)
{
    std::vector<std::int32_t> tokens;
    for (const char c : text)
        tokens.push_back(static_cast<unsigned char>(c));
    return tokens;
}
Datum datumOf(const std::vector<std::int32_t>& tokens)
{
    Datum datum;
    datum.tokens.assign(tokens.begin(), tokens.end() - 1);
    datum.loss.targets.assign(tokens.begin() + 1, tokens.end());
    return datum;
}
void train(Engine& engine, int steps)
{
    AdamParams params;
    params.learningRate = 1e-2;
    ForwardOptions options;
    options.backward = true;
    const std::vector<Datum> data { datumOf(
                                        tokensOf("the quick brown fox jumps over the lazy dog")),
        datumOf(tokensOf("a stitch in time saves nine")) };
    for (int i = 0; i < steps; ++i) {
        CHECK(engine.forward(data, Loss {}, options, {}).has_value());
        CHECK(engine.optimStep(params, GradNormalization::NumLossTokens).has_value());
    }
}

struct Trained
{
    TempFolder folder;
    std::unique_ptr<Engine> engine;
    std::shared_ptr<const InferenceModel> model;
    Trained()
        : engine(std::move(*Engine::create(smallConfig(), 5, threads())))
    {
        train(*engine, 25);
        CHECK(engine->exportHf(folder.path() / "m").has_value());
        model = *InferenceModel::open(folder.path() / "m");
    }
};
const Trained& trained()
{
    static const Trained made;
    return made;
}

SamplingParams sampling(int maxTokens, std::uint64_t seed = 7)
{
    SamplingParams params;
    params.maxTokens = maxTokens;
    params.seed = seed;
    params.stopsAtEos = false;
    return params;
}

// Sampled log-probabilities against the trainer's forward on prompt and sample together.
void checkAgreement(
    Engine& trainer, const std::vector<std::int32_t>& prompt, const Completion& completion)
{
    std::vector<std::int32_t> all = prompt;
    all.insert(all.end(), completion.tokens.begin(), completion.tokens.end());
    const auto result = trainer.forward(std::vector { datumOf(all) }, Loss {}, {}, {});
    CHECK(result.has_value());
    CHECK(completion.tokens.size() > 20);
    for (std::size_t i = 0; i < completion.tokens.size(); ++i)
        if (std::abs(completion.logprobs[i] - result->data[0].logprobs[prompt.size() - 1 + i])
            > 1e-3F)
            desk::check::fail(__FILE__, __LINE__,
                "token " + std::to_string(i) + ": " + desk::check::show(completion.logprobs[i])
                    + " sampled, "
                    + desk::check::show(result->data[0].logprobs[prompt.size() - 1 + i]));
}

double massOf(const std::vector<float>& logits, double temperature, std::size_t token)
{
    double total = 0.0;
    for (const float value : logits)
        total += std::exp(static_cast<double>(value) / temperature);
    return std::exp(static_cast<double>(logits[token]) / temperature) / total;
}
} // namespace

TEST(sampledLogprobs_agreeWithForward_ofTheBaseModel)
{
    const auto prompt = tokensOf("the quick ");
    auto trainer = Engine::open(trained().folder.path() / "m", threads());
    for (const double temperature : { 0.0, 0.7, 1.0, 1.5 }) {
        SamplingParams params = sampling(40);
        params.temperature = temperature;
        params.topK = 30;
        checkAgreement(**trainer, prompt, *trained().model->generate(prompt, params, {}));
    }
}

// The weights of a completion are the exported BF16 ones; the trainer computes with the same.
TEST(sampledLogprobs_agreeWithForward_ofTheModelInTraining)
{
    const TempFolder folder;
    auto engine = std::move(*Engine::create(smallConfig(), 9, threads()));
    const auto prompt = tokensOf("a stitch");
    for (int round = 0; round < 3; ++round) {
        train(*engine, 7);
        const fs::path to = folder.path() / std::to_string(round);
        CHECK(engine->exportHf(to).has_value());
        const auto model = InferenceModel::open(to);
        const auto completion = (*model)->generate(prompt, sampling(50), {});
        checkAgreement(*engine, prompt, *completion);
        const auto live = engine->generate(prompt, sampling(50), {});
        CHECK(live->tokens == completion->tokens);
        CHECK(live->logprobs == completion->logprobs);
    }
}

TEST(sampledLogprobs_agreeWithForward_ofAdapters)
{
    const TempFolder folder;
    LoraSettings settings;
    settings.rank = 8;
    auto engine = std::move(*Engine::openLora(trained().folder.path() / "m", settings, threads()));
    train(*engine, 15);
    CHECK(engine->exportAdapter(folder.path() / "a", "m").has_value());
    const auto model = InferenceModel::withAdapter(trained().model, folder.path() / "a");
    CHECK(model.has_value());
    const auto prompt = tokensOf("a stitch in time saves nine; and the quick brown fox");
    const auto completion = (*model)->generate(prompt, sampling(40), {});
    checkAgreement(*engine, prompt, *completion);
    const auto live = engine->generate(prompt, sampling(40), {});
    CHECK(live->tokens == completion->tokens);
    CHECK((*trained().model->generate(prompt, sampling(40), {})).tokens != completion->tokens);
}

TEST(promptLogprobs_areThoseOfForward_acrossBlocks)
{
    const auto prompt =
        tokensOf("the quick brown fox jumps over the lazy dog and then some more of it");
    CHECK(prompt.size() > 64); // three blocks
    SamplingParams params = sampling(1);
    params.wantsPromptLogprobs = true;
    params.promptTopLogprobs = 3;
    const auto completion = trained().model->generate(prompt, params, {});
    CHECK(completion.has_value());
    CHECK_EQUAL(completion->promptLogprobs.size(), prompt.size());
    CHECK(std::isnan(completion->promptLogprobs[0]));
    ForwardOptions options;
    options.topK = 3;
    const auto expected =
        trained().engine->forward(std::vector { datumOf(prompt) }, Loss {}, options, {});
    const DatumResult& data = expected->data[0];
    for (std::size_t i = 1; i < prompt.size(); ++i)
        CHECK(std::abs(completion->promptLogprobs[i] - data.logprobs[i - 1]) < 1e-4F);
    CHECK_EQUAL(completion->promptTop.tokens.size(), 3 * prompt.size());
    CHECK_EQUAL(completion->promptTop.tokens[0], 0);
    CHECK_EQUAL(completion->promptTop.logprobs[0], -99999.0F);
    for (std::size_t i = 3; i < 3 * prompt.size(); ++i) {
        CHECK_EQUAL(
            static_cast<std::int64_t>(completion->promptTop.tokens[i]), data.topIndices[i - 3]);
        CHECK(std::abs(completion->promptTop.logprobs[i] - data.topLogprobs[i - 3]) < 1e-4F);
    }
}

TEST(samplesScore_isThatOfPromptAndSampleAsAPrompt)
{
    auto all = tokensOf("the lazy ");
    const std::size_t length = all.size();
    const auto completion = trained().model->generate(all, sampling(30), {});
    all.insert(all.end(), completion->tokens.begin(), completion->tokens.end());
    SamplingParams params = sampling(1);
    params.wantsPromptLogprobs = true;
    const auto scored = trained().model->generate(all, params, {});
    for (std::size_t i = 0; i < completion->tokens.size(); ++i)
        CHECK(std::abs(scored->promptLogprobs[length + i] - completion->logprobs[i]) < 1e-4F);
}

TEST(lastN_scoresTheEndOnly)
{
    const auto prompt = tokensOf("the quick brown fox");
    SamplingParams params = sampling(1);
    params.wantsPromptLogprobs = true;
    params.promptTopLogprobs = 2;
    params.promptLogprobsLastN = 4;
    params.promptTargetCandidates = 1;
    params.promptTargets.assign(prompt.size() - 1, 'x');
    const auto completion = trained().model->generate(prompt, params, {});
    for (std::size_t i = 0; i < prompt.size(); ++i) {
        CHECK_EQUAL(std::isnan(completion->promptLogprobs[i]), i < prompt.size() - 4);
        CHECK_EQUAL(completion->promptTop.logprobs[2 * i] == -99999.0F, i < prompt.size() - 4);
    }
    for (const float target : completion->promptTargetLogprobs) // it does not concern these
        CHECK(std::isfinite(target));
}

TEST(promptTargets_areScoredWhereTheyWouldStand)
{
    const auto prompt = tokensOf("the quick");
    SamplingParams params = sampling(1);
    params.wantsPromptLogprobs = true;
    params.promptTargetCandidates = 2;
    for (std::size_t i = 1; i < prompt.size(); ++i) {
        params.promptTargets.push_back(prompt[i]);
        params.promptTargets.push_back(-1);
    }
    const auto completion = trained().model->generate(prompt, params, {});
    CHECK_EQUAL(completion->promptTargetLogprobs.size(), 2 * (prompt.size() - 1));
    for (std::size_t i = 1; i < prompt.size(); ++i) {
        CHECK_EQUAL(completion->promptTargetLogprobs[2 * (i - 1)], completion->promptLogprobs[i]);
        CHECK(std::isnan(completion->promptTargetLogprobs[2 * i - 1]));
    }
}

TEST(altTokens_areDrawnPerPosition_andLeaveTheTextAlone)
{
    const auto prompt = tokensOf("the quick");
    SamplingParams params = sampling(12);
    const auto plain = trained().model->generate(prompt, params, {});
    params.promptAltTokens = 4;
    const auto completion = trained().model->generate(prompt, params, {});
    CHECK(plain->tokens == completion->tokens);
    CHECK_EQUAL(completion->promptAltTokens.size(), 4 * (prompt.size() - 1));
    CHECK_EQUAL(completion->promptAltLogprobs.size(), completion->promptAltTokens.size());
    CHECK(std::set<std::int32_t>(
              completion->promptAltTokens.begin(), completion->promptAltTokens.end())
              .size()
        > 3);
    for (const float logprob : completion->promptAltLogprobs)
        CHECK(logprob <= 0.0F && logprob > -30.0F);
}

TEST(topLogprobs_standBesideEveryDrawnToken)
{
    SamplingParams params = sampling(20);
    params.topLogprobs = 5;
    params.temperature = 0.0;
    const auto completion = trained().model->generate(tokensOf("the "), params, {});
    CHECK_EQUAL(completion->top.tokens.size(), 5 * completion->tokens.size());
    for (std::size_t i = 0; i < completion->tokens.size(); ++i) {
        CHECK_EQUAL(completion->top.tokens[5 * i], completion->tokens[i]);
        CHECK_EQUAL(completion->top.logprobs[5 * i], completion->logprobs[i]);
        for (std::size_t k = 1; k < 5; ++k)
            CHECK(completion->top.logprobs[5 * i + k] <= completion->top.logprobs[5 * i + k - 1]);
        CHECK_EQUAL(completion->samplingLogprobs[i], 0.0F); // greedy: no other was possible
    }
}

TEST(draws_followTheirDistribution)
{
    const std::vector<float> logits { 1.0F, 0.0F, 2.0F, -1.0F, 0.5F };
    const auto frequencies = [&](const SamplingParams& params) {
        std::vector<double> seen(logits.size());
        DrawSource source(11);
        for (int i = 0; i < 40000; ++i) {
            const DrawnToken drawn = drawToken(logits, params, source);
            seen[drawn.token] += 1.0 / 40000;
        }
        return seen;
    };
    SamplingParams params;
    for (const double temperature : { 0.5, 1.0, 2.0 }) {
        params.temperature = temperature;
        const auto seen = frequencies(params);
        for (std::size_t t = 0; t < logits.size(); ++t)
            CHECK(std::abs(seen[t] - massOf(logits, temperature, t)) < 0.01);
    }
    params.temperature = 1.0;
    params.topK = 2; // 2 and 1
    auto seen = frequencies(params);
    CHECK(std::abs(seen[2] - 1.0 / (1.0 + std::exp(-1.0))) < 0.01);
    CHECK(std::abs(seen[2] + seen[0] - 1.0) < 1e-9);
    params.topK = 0;
    params.topP = 0.5; // the best alone holds more than half
    seen = frequencies(params);
    CHECK(seen[2] > 0.999 || massOf(logits, 1.0, 2) < 0.5);
    params.topP = 0.8;
    seen = frequencies(params);
    CHECK_EQUAL(seen[3], 0.0);
}

TEST(samplingLogprob_isOfWhatWasDrawnFrom)
{
    const std::vector<float> logits { 1.0F, 0.0F, 2.0F, -1.0F, 0.5F };
    DrawSource source(3);
    SamplingParams params;
    params.temperature = 0.7;
    for (int i = 0; i < 50; ++i) {
        const DrawnToken drawn = drawToken(logits, params, source);
        CHECK(std::abs(std::exp(drawn.samplingLogprob) - massOf(logits, 0.7, drawn.token)) < 1e-9);
    }
    params.topK = 1;
    CHECK_EQUAL(drawToken(logits, params, source).samplingLogprob, 0.0);
    params.topK = 2;
    params.temperature = 1.0;
    const DrawnToken drawn = drawToken(logits, params, source);
    const double mass = 1.0 / (1.0 + std::exp(drawn.token == 2 ? -1.0 : 1.0));
    CHECK(std::abs(std::exp(drawn.samplingLogprob) - mass) < 1e-9);
    // Plain sampling: both log-probabilities are one.
    const auto completion = trained().model->generate(tokensOf("the "), sampling(30), {});
    for (std::size_t i = 0; i < completion->tokens.size(); ++i)
        CHECK(std::abs(completion->samplingLogprobs[i] - completion->logprobs[i]) < 1e-5F);
}

TEST(equalSeeds_drawEqualTokens_onAnyThread)
{
    const auto prompt = tokensOf("the quick brown fox");
    const auto expected = trained().model->generate(prompt, sampling(40, 1ULL << 63), {});
    std::vector<Completion> made(4);
    std::vector<std::thread> callers;
    for (std::size_t i = 0; i < made.size(); ++i)
        callers.emplace_back([&made, &prompt, i] {
            made[i] = *trained().model->generate(prompt, sampling(40, 1ULL << 63), {});
        });
    for (auto& caller : callers)
        caller.join();
    for (const Completion& completion : made) {
        CHECK(completion.tokens == expected->tokens);
        CHECK(completion.logprobs == expected->logprobs);
    }
    CHECK(trained().model->generate(prompt, sampling(40, 2), {})->tokens != expected->tokens);
}

TEST(stops_endTheText_andArePartOfItWhenKept)
{
    SamplingParams params = sampling(20);
    params.temperature = 0.0;
    const auto prompt = tokensOf("the quick ");
    const auto whole = trained().model->generate(prompt, params, {});
    const std::string text = trained().model->tokenizer()->decode(whole->tokens);
    const std::string word = text.substr(3, 4);
    const auto at = text.find(word);
    const auto check = [&](const SamplingParams& p, std::span<const std::string> words,
                           std::size_t stopSize, std::size_t begin) {
        SamplingParams stopping = p;
        auto completion = trained().model->generate(prompt, stopping, {}, words);
        CHECK(completion.has_value());
        CHECK(completion->finishReason == FinishReason::Stop);
        CHECK_EQUAL(completion->tokens.size(), begin);
        CHECK_EQUAL(completion->logprobs.size(), begin);
        CHECK_EQUAL(completion->samplingLogprobs.size(), begin);
        stopping.keepsStop = true;
        completion = trained().model->generate(prompt, stopping, {}, words);
        CHECK(completion->finishReason == FinishReason::Stop);
        CHECK_EQUAL(completion->tokens.size(), begin + stopSize);
        CHECK(std::equal(
            completion->tokens.begin(), completion->tokens.end(), whole->tokens.begin()));
    };
    const std::vector<std::string> words { "never there", word };
    check(params, words, word.size(), at);
    SamplingParams sequence = params;
    sequence.stopSequences = { { 1, 2 }, tokensOf(word) };
    check(sequence, {}, word.size(), at);
    SamplingParams token = params;
    token.stopTokens = { whole->tokens[2] };
    const auto first = static_cast<std::size_t>(
        std::find(whole->tokens.begin(), whole->tokens.end(), whole->tokens[2])
        - whole->tokens.begin());
    check(token, {}, 1, first);
    SamplingParams none = params;
    none.stopTokens = {};
    CHECK(trained().model->generate(prompt, none, {})->finishReason == FinishReason::Length);
}

TEST(tokensStream_andTheCallerMayEnd)
{
    SamplingParams params = sampling(20);
    std::vector<SampledToken> seen;
    params.onToken = [&](const SampledToken& token) {
        seen.push_back(token);
        return seen.size() < 5;
    };
    const auto completion = trained().model->generate(tokensOf("the "), params, {});
    CHECK(completion->finishReason == FinishReason::Stop);
    CHECK_EQUAL(completion->tokens.size(), std::size_t { 5 });
    for (std::size_t i = 0; i < seen.size(); ++i) {
        CHECK_EQUAL(seen[i].token, completion->tokens[i]);
        CHECK_EQUAL(seen[i].logprob, completion->logprobs[i]);
    }
    // A stop token is not seen unless it is kept.
    seen.clear();
    params.onToken = [&](const SampledToken& token) {
        seen.push_back(token);
        return true;
    };
    params.stopTokens = { completion->tokens[2] };
    const auto stopped = trained().model->generate(tokensOf("the "), params, {});
    CHECK_EQUAL(seen.size(), stopped->tokens.size());
}

TEST(cancellation_endsAPromptAndAText)
{
    std::stop_source source;
    SamplingParams params = sampling(60);
    int seen = 0;
    params.onToken = [&](const SampledToken&) {
        if (++seen == 3)
            source.request_stop();
        return true;
    };
    const auto completion = trained().model->generate(tokensOf("the "), params, source.get_token());
    CHECK(!completion.has_value());
    CHECK(completion.error().code == Error::Code::Canceled);
    CHECK_EQUAL(seen, 3);
    CHECK(trained().model->generate(tokensOf("the "), sampling(5), source.get_token()).error().code
        == Error::Code::Canceled);
}

TEST(fullPrompt_canBeScored)
{
    std::vector<std::int32_t> prompt(96, 'a');
    CHECK(trained().model->generate(prompt, sampling(1), {}).error().code == Error::Code::Usage);
    SamplingParams params = sampling(10);
    params.wantsPromptLogprobs = true;
    const auto completion = trained().model->generate(prompt, params, {});
    CHECK(completion.has_value());
    CHECK_EQUAL(completion->promptLogprobs.size(), std::size_t { 96 });
    CHECK_EQUAL(completion->tokens.size(), std::size_t { 1 });
    CHECK(completion->finishReason == FinishReason::Length);
    prompt.push_back('a');
    CHECK(trained().model->generate(prompt, params, {}).error().code == Error::Code::Usage);
    params.maxTokens = 0;
    prompt.resize(10);
    CHECK(trained().model->generate(prompt, params, {})->tokens.empty());
}

TEST(paramsOutOfRange_areRefusedByName)
{
    const auto prompt = tokensOf("the ");
    const auto messageOf = [&](const SamplingParams& params) {
        const auto result = trained().model->generate(prompt, params, {});
        CHECK(!result.has_value());
        CHECK(result.error().code == Error::Code::Usage);
        return result.error().message;
    };
    SamplingParams params = sampling(1);
    params.topLogprobs = 257;
    CHECK_EQUAL(messageOf(params), std::string("topk_sample_logprobs must be from 0 to 256"));
    params = sampling(1);
    params.promptTopLogprobs = -1;
    CHECK_EQUAL(messageOf(params), std::string("topk_prompt_logprobs must be from 0 to 256"));
    params = sampling(1);
    params.promptLogprobsLastN = 5;
    CHECK_EQUAL(messageOf(params), std::string("prompt_logprobs_last_n must be from 1 to 3"));
    params = sampling(1);
    params.promptTargetCandidates = 1;
    params.promptTargets = { 1, 2 };
    CHECK(messageOf(params).find("target_prompt_logprobs must have a row") == 0);
    params.promptTargets = { 1, 2, 259 };
    CHECK(messageOf(params).find("Target 259 is outside the vocabulary") == 0);
    params = sampling(1);
    params.temperature = -1.0;
    CHECK(messageOf(params).find("out of its range") != std::string::npos);
}

TEST(stopWords_needATokenizer)
{
    const TempFolder folder;
    ModelConfig config = smallConfig();
    config.vocabSize = 64;
    config.bosToken = config.eosToken = config.padToken = -1;
    auto engine = Engine::create(config, 1, threads());
    CHECK((*engine)->exportHf(folder.path() / "m").has_value());
    const auto model = InferenceModel::open(folder.path() / "m");
    const std::vector<std::string> words { "x" };
    const auto refused = (*model)->generate(tokensOf("!"), sampling(2), {}, words);
    CHECK(refused.error().code == Error::Code::Refused);
    CHECK(refused.error().next.find("token ids") != std::string::npos);
    CHECK((*model)->generate(tokensOf("!"), sampling(2), {}).has_value());
}

CHECK_MAIN()
