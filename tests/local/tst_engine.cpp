// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/engine.h"
#include "services/local/engine/inference_model.h"
#include "tests/support/check.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <unistd.h>

using namespace desk;
using namespace desk::local;
namespace fs = std::filesystem;

namespace {
struct Folder
{
    fs::path path;
    Folder()
    {
        static int count = 0;
        path = fs::temp_directory_path()
            / ("tst_engine_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
        fs::create_directories(path);
    }
    ~Folder()
    {
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
};

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

Datum datumOf(const std::string& text)
{
    Datum datum;
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
        datum.tokens.push_back(static_cast<unsigned char>(text[i]));
        datum.loss.targets.push_back(static_cast<unsigned char>(text[i + 1]));
        datum.loss.weights.push_back(1.0F);
    }
    return datum;
}

std::vector<Datum> someData()
{
    return { datumOf("the quick brown fox jumps over the lazy dog"),
        datumOf("a stitch in time saves nine"), datumOf("well begun is half done") };
}

std::unique_ptr<Engine> newEngine(int threads = 2, std::uint64_t seed = 5)
{
    auto engine = Engine::create(smallConfig(), seed, std::make_shared<ThreadPool>(threads));
    CHECK(engine.has_value());
    return std::move(*engine);
}

double lossOf(Engine& engine, const std::vector<Datum>& data, bool backward = false)
{
    ForwardOptions options;
    options.backward = backward;
    const auto result = engine.forward(data, Loss {}, options, {});
    CHECK(result.has_value());
    return result->lossSum;
}

double trainSteps(Engine& engine, int steps, double learningRate = 1e-2)
{
    AdamParams params;
    params.learningRate = learningRate;
    double loss = 0.0;
    for (int i = 0; i < steps; ++i) {
        loss = lossOf(engine, someData(), true);
        CHECK(engine.optimStep(params, GradNormalization::NumLossTokens).has_value());
    }
    return loss;
}

std::string bytesOf(const fs::path& file)
{
    std::ostringstream out;
    out << std::ifstream(file, std::ios::binary).rdbuf();
    return out.str();
}

void writeBytes(const fs::path& file, const std::string& bytes)
{
    std::ofstream(file, std::ios::binary) << bytes;
}

std::string replaced(std::string text, const std::string& from, const std::string& to)
{
    const auto at = text.find(from);
    CHECK(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

std::string refusalOf(const fs::path& folder)
{
    const auto engine = Engine::open(folder, std::make_shared<ThreadPool>(1));
    CHECK(!engine.has_value());
    return engine.error().message;
}
} // namespace

TEST(training_lowersTheLoss)
{
    auto engine = newEngine();
    const double before = lossOf(*engine, someData());
    trainSteps(*engine, 40);
    const double after = lossOf(*engine, someData());
    CHECK(before > 3.0 * 91.0); // near log 259 per token at the start
    CHECK(after < 0.35 * before);
    CHECK_EQUAL(engine->step(), std::int64_t { 40 });
}

TEST(results_doNotDependOnTheNumberOfThreads)
{
    auto one = newEngine(1);
    auto three = newEngine(3);
    CHECK_EQUAL(trainSteps(*one, 5), trainSteps(*three, 5));
    CHECK_EQUAL(lossOf(*one, someData()), lossOf(*three, someData()));
}

TEST(forward_returnsLogprobsPerDatum_andLeavesGradientsAlone)
{
    auto engine = newEngine();
    auto data = someData();
    data[1].loss.weights[0] = 0.0F;
    const auto result = engine->forward(data, Loss {}, {}, {});
    CHECK(result.has_value());
    CHECK_EQUAL(result->data.size(), std::size_t { 3 });
    CHECK_EQUAL(result->data[1].logprobs.size(), data[1].tokens.size());
    CHECK_EQUAL(result->data[1].elementwiseLoss[0], 0.0F);
    CHECK_EQUAL(result->data[1].elementwiseLoss[1], -result->data[1].logprobs[1]);
    CHECK_EQUAL(result->tokens, std::int64_t { 90 });
    CHECK_EQUAL(result->lossTokens, std::int64_t { 89 });
    const auto step = engine->optimStep({}, GradNormalization::None);
    CHECK(step.has_value());
    CHECK_EQUAL(step->gradNorm, 0.0);
    CHECK_EQUAL(step->changedParameters, std::uint64_t { 0 });
}

TEST(normalization_dividesByLossTokensOrSequences)
{
    double raw = 0.0;
    for (const auto& [kind, divisor] :
        { std::pair { GradNormalization::None, 1.0 }, { GradNormalization::NumLossTokens, 90.0 },
            { GradNormalization::NumSequences, 3.0 } }) {
        auto engine = newEngine();
        (void)lossOf(*engine, someData(), true);
        const auto step = engine->optimStep({}, kind);
        CHECK(step.has_value());
        if (kind == GradNormalization::None)
            raw = step->gradNorm;
        CHECK(raw > 0.0);
        CHECK(std::abs(step->gradNorm - raw / divisor) < 1e-9 * raw);
        CHECK_EQUAL(step->gradNormPreNormalization, raw);
    }
}

TEST(gradients_gatherOverCalls_asInOneCall)
{
    auto together = newEngine();
    auto apart = newEngine();
    const auto data = someData();
    (void)lossOf(*together, data, true);
    for (const Datum& datum : data)
        (void)lossOf(*apart, { datum }, true);
    const auto a = together->optimStep({}, GradNormalization::NumSequences);
    const auto b = apart->optimStep({}, GradNormalization::NumSequences);
    CHECK(a.has_value() && b.has_value());
    CHECK(std::abs(a->gradNorm - b->gradNorm) < 1e-5 * a->gradNorm);
}

TEST(topK_returnsTheMostProbableTokens_bestFirst)
{
    auto engine = newEngine();
    trainSteps(*engine, 20);
    ForwardOptions options;
    options.topK = 3;
    const auto result = engine->forward(someData(), Loss {}, options, {});
    CHECK(result.has_value());
    const DatumResult& first = result->data[0];
    CHECK_EQUAL(first.topLogprobs.size(), 3 * first.logprobs.size());
    for (std::size_t i = 0; i < first.logprobs.size(); ++i) {
        CHECK(first.topLogprobs[3 * i] >= first.topLogprobs[3 * i + 1]);
        CHECK(first.topLogprobs[3 * i] >= first.logprobs[i] - 1e-5F);
    }
}

TEST(forward_refusesBadData_withoutEffect)
{
    auto engine = newEngine();
    const auto messageOf = [&](const Datum& datum) {
        const std::vector<Datum> data { someData()[0], datum };
        ForwardOptions options;
        options.backward = true;
        const auto result = engine->forward(data, Loss {}, options, {});
        CHECK(!result.has_value());
        CHECK(result.error().code == Error::Code::Usage);
        return result.error().message;
    };
    Datum bad = datumOf("abc");
    bad.tokens[1] = 259;
    CHECK_EQUAL(messageOf(bad), std::string("Datum 1: token 259 is outside the vocabulary"));
    bad = datumOf("abc");
    bad.loss.targets[0] = -1;
    CHECK_EQUAL(messageOf(bad), std::string("Datum 1: target -1 is outside the vocabulary"));
    bad = datumOf("abc");
    bad.loss.targets.pop_back();
    CHECK_EQUAL(messageOf(bad), std::string("Datum 1: target_tokens has 1 elements for 2 tokens"));
    bad = datumOf("abc");
    bad.loss.targets.clear();
    CHECK_EQUAL(messageOf(bad),
        std::string("Datum 1: missing required field 'target_tokens'; cross_entropy needs "
                    "target_tokens"));
    bad = datumOf("abc");
    bad.loss.weights.resize(1);
    CHECK_EQUAL(messageOf(bad), std::string("Datum 1: weights and target_tokens differ in shape"));
    CHECK_EQUAL(messageOf(datumOf(std::string(98, 'x'))),
        std::string("Datum 1: it has 97 tokens, more than the model's 96 positions"));
    const auto step = engine->optimStep({}, GradNormalization::None);
    CHECK(step.has_value());
    CHECK_EQUAL(step->gradNorm, 0.0);
}

TEST(canceledBackward_leavesGradientsAsBefore)
{
    auto engine = newEngine();
    std::stop_source source;
    source.request_stop();
    ForwardOptions options;
    options.backward = true;
    const auto result = engine->forward(someData(), Loss {}, options, source.get_token());
    CHECK(!result.has_value());
    CHECK(result.error().code == Error::Code::Canceled);
    CHECK_EQUAL(engine->optimStep({}, GradNormalization::None)->gradNorm, 0.0);
}

TEST(savedState_reproducesTheNextStepsExactly)
{
    const Folder folder;
    auto engine = newEngine();
    trainSteps(*engine, 5);
    CHECK(engine->saveState(folder.path / "state").has_value());
    const double expected = trainSteps(*engine, 4);
    const double expectedAfter = lossOf(*engine, someData());

    auto other = newEngine(1, 99);
    (void)lossOf(*other, someData(), true); // gradients that must not survive the load
    CHECK(other->loadState(folder.path / "state", true).has_value());
    CHECK_EQUAL(other->step(), std::int64_t { 5 });
    CHECK_EQUAL(trainSteps(*other, 4), expected);
    CHECK_EQUAL(lossOf(*other, someData()), expectedAfter);

    auto fresh = newEngine(1, 99);
    CHECK(fresh->loadState(folder.path / "state", false).has_value());
    CHECK_EQUAL(fresh->step(), std::int64_t { 0 });
    CHECK(trainSteps(*fresh, 4) != expected);
}

TEST(saveState_doesNotReplaceAFolder)
{
    const Folder folder;
    auto engine = newEngine();
    CHECK(engine->saveState(folder.path / "state").has_value());
    const auto again = engine->saveState(folder.path / "state");
    CHECK(!again.has_value());
    CHECK(again.error().code == Error::Code::Conflict);
    CHECK_EQUAL(std::distance(fs::directory_iterator(folder.path), {}), std::ptrdiff_t { 1 });
}

TEST(loadState_refusesDamageAndOtherModels_withoutEffect)
{
    const Folder folder;
    auto engine = newEngine();
    trainSteps(*engine, 2);
    const double before = lossOf(*engine, someData());
    CHECK(engine->saveState(folder.path / "state").has_value());
    const fs::path file = folder.path / "state" / "state.safetensors";
    const std::string bytes = bytesOf(file);

    writeBytes(file, bytes.substr(0, bytes.size() - 10));
    CHECK(!engine->loadState(folder.path / "state", true).has_value());
    writeBytes(file, replaced(bytes, "trainerdesk-state-1", "trainerdesk-other-1"));
    CHECK(engine->loadState(folder.path / "state", true).error().code == Error::Code::Refused);
    writeBytes(file, replaced(bytes, "\"step\":\"2\"", "\"step\":\"x\""));
    CHECK(engine->loadState(folder.path / "state", true).error().code == Error::Code::Refused);
    CHECK(engine->loadState(folder.path / "none", true).error().code == Error::Code::NotFound);
    writeBytes(file, bytes);

    ModelConfig wider = smallConfig();
    wider.hiddenSize = 40;
    auto other = Engine::create(wider, 1, std::make_shared<ThreadPool>(1));
    CHECK((*other)->loadState(folder.path / "state", true).error().code == Error::Code::Refused);
    CHECK_EQUAL(lossOf(*engine, someData()), before);
    CHECK_EQUAL(engine->step(), std::int64_t { 2 });
}

TEST(exportedFolder_isReadByTrainerAndServer_andKeepsItsFiles)
{
    const Folder folder;
    auto engine = newEngine();
    trainSteps(*engine, 20);
    CHECK(engine->exportHf(folder.path / "a").has_value());
    CHECK(engine->exportHf(folder.path / "a").error().code == Error::Code::Conflict);

    auto opened = Engine::open(folder.path / "a", std::make_shared<ThreadPool>(2));
    CHECK(opened.has_value());
    CHECK_EQUAL((*opened)->parameterCount(), engine->parameterCount());
    // BF16 keeps 8 bits, so the loss moves a little.
    const double exact = lossOf(*engine, someData());
    CHECK(std::abs(lossOf(**opened, someData()) - exact) < 0.02 * exact);
    CHECK((*opened)->exportHf(folder.path / "b").has_value());
    for (const char* name : { "config.json", "generation_config.json", "model.safetensors",
             "tokenizer.json", "tokenizer_config.json" }) {
        CHECK(fs::exists(folder.path / "a" / name));
        CHECK_EQUAL(bytesOf(folder.path / "a" / name), bytesOf(folder.path / "b" / name));
    }
    const auto info = inspectFolder(folder.path / "a");
    CHECK(info.has_value());
    CHECK_EQUAL(info->parameters, engine->parameterCount());
    CHECK_EQUAL(info->weightBytes, 2 * engine->parameterCount());
    const auto model = InferenceModel::open(folder.path / "a");
    CHECK(model.has_value());
    CHECK((*model)->tokenizer().has_value());
}

TEST(generation_followsTheTrainedText_andAgreesWithForward)
{
    const Folder folder;
    auto engine = newEngine();
    trainSteps(*engine, 120);
    CHECK(engine->exportHf(folder.path / "m").has_value());
    const auto model = InferenceModel::open(folder.path / "m");
    SamplingParams greedy;
    greedy.temperature = 0.0;
    greedy.maxTokens = 12;
    const auto done = (*model)->complete("a stitch in", greedy, {}, {});
    CHECK(done.has_value());
    CHECK_EQUAL(done->text, std::string(" time saves "));
    CHECK_EQUAL(done->promptTokens, std::int64_t { 11 });
    CHECK(done->completion.finishReason == FinishReason::Length);

    // The cached path and the batched path are one function.
    auto opened = Engine::open(folder.path / "m", std::make_shared<ThreadPool>(1));
    const auto result =
        (*opened)->forward(std::vector { datumOf("a stitch in time saves ") }, Loss {}, {}, {});
    for (std::size_t i = 0; i < 12; ++i)
        CHECK(std::abs(result->data[0].logprobs[10 + i] - done->completion.logprobs[i]) < 1e-4F);
}

TEST(generation_repeatsWithItsSeed_andStopsWhereAsked)
{
    const Folder folder;
    auto engine = newEngine();
    trainSteps(*engine, 60);
    CHECK(engine->exportHf(folder.path / "m").has_value());
    const auto model = InferenceModel::open(folder.path / "m");
    SamplingParams params;
    params.maxTokens = 24;
    params.seed = 3;
    const auto first = (*model)->complete("the ", params, {}, {});
    CHECK_EQUAL(first->text, (*model)->complete("the ", params, {}, {})->text);
    params.seed = 4;
    CHECK(first->text != (*model)->complete("the ", params, {}, {})->text);

    params.temperature = 0.0;
    const std::vector<std::string> words { "brown" };
    const auto stopped = (*model)->complete("the quick ", params, words, {});
    CHECK_EQUAL(stopped->text, std::string());
    CHECK(stopped->completion.finishReason == FinishReason::Stop);

    params.stopTokens = { 'c' };
    const std::vector<std::int32_t> prompt { 't', 'h', 'e', ' ', 'q', 'u', 'i' };
    const auto none = (*model)->generate(prompt, params, {});
    CHECK(none->tokens.empty());
    CHECK(none->finishReason == FinishReason::Stop);

    params.maxTokens = 1000; // clipped to the positions left
    params.stopTokens.clear();
    params.stopsAtEos = false;
    CHECK_EQUAL((*model)->generate(prompt, params, {})->tokens.size(), std::size_t { 89 });
}

TEST(generation_refusesBadPrompts)
{
    auto engine = newEngine();
    CHECK(engine->generate({}, {}, {}).error().code == Error::Code::Usage);
    const std::vector<std::int32_t> outside { 259 };
    CHECK(engine->generate(outside, {}, {}).error().code == Error::Code::Usage);
    const std::vector<std::int32_t> tooLong(96, 1);
    CHECK(engine->generate(tooLong, {}, {}).error().code == Error::Code::Usage);
    SamplingParams params;
    params.topP = 0.0;
    const std::vector<std::int32_t> one { 1 };
    CHECK(engine->generate(one, params, {}).error().code == Error::Code::Usage);
}

TEST(open_refusesWhatItCannotRun_withTheReason)
{
    const Folder folder;
    auto engine = newEngine();
    const fs::path model = folder.path / "m";
    CHECK(engine->exportHf(model).has_value());
    const std::string config = bytesOf(model / "config.json");
    const auto reasonWith = [&](const std::string& from, const std::string& to) {
        writeBytes(model / "config.json", replaced(config, from, to));
        return refusalOf(model);
    };
    const std::string start = "The model cannot be run here: ";
    CHECK_EQUAL(reasonWith("Qwen3ForCausalLM", "LlamaForCausalLM"),
        start + "architecture LlamaForCausalLM (model_type qwen3) is not supported");
    CHECK_EQUAL(reasonWith("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"),
        model.string() + ": tensor lm_head.weight is missing");
    CHECK_EQUAL(reasonWith("{\n", "{\n\"quantization_config\": {\"quant_method\": \"fp8\"},\n"),
        start + "quantized weights (fp8) are not supported");
    CHECK_EQUAL(reasonWith("\"hidden_size\": 32", "\"hidden_size\": 4611686018427387904"),
        start + "hidden_size is 4611686018427387904, outside 8 to 8192");
    CHECK_EQUAL(reasonWith("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"),
        start + "num_attention_heads must be a multiple of num_key_value_heads");
    CHECK_EQUAL(reasonWith("\"head_dim\": 8", "\"head_dim\": -8"),
        start + "head_dim is -8, outside 2 to 256");
    CHECK_EQUAL(reasonWith("\"vocab_size\": 259", "\"vocab_size\": \"many\""),
        std::string("config.json: vocab_size must be a whole number"));
    CHECK_EQUAL(reasonWith("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 64"),
        model.string() + ": tensor model.layers.2.input_layernorm.weight is missing");
    CHECK_EQUAL(reasonWith("\"intermediate_size\": 48", "\"intermediate_size\": 40"),
        model.string()
            + ": tensor model.layers.0.mlp.gate_proj.weight has not the shape that config.json "
              "tells");
    CHECK_EQUAL(reasonWith("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1"),
        model.string()
            + ": tensor model.layers.1.input_layernorm.weight belongs to no part of a "
              "Qwen3-style model");
    CHECK_EQUAL(reasonWith("{", "["), std::string("config.json: is not a JSON object"));
    writeBytes(model / "config.json", config);

    const std::string weights = bytesOf(model / "model.safetensors");
    writeBytes(model / "model.safetensors", weights.substr(0, weights.size() / 2));
    CHECK(!Engine::open(model, std::make_shared<ThreadPool>(1)).has_value());
    fs::remove(model / "model.safetensors");
    CHECK_EQUAL(refusalOf(model), model.string() + ": there is no model.safetensors");
    writeBytes(model / "model.safetensors", weights);
    CHECK(Engine::open(model, std::make_shared<ThreadPool>(1)).has_value());
}

TEST(open_refusesATrainingState)
{
    const Folder folder;
    auto engine = newEngine();
    CHECK(engine->exportHf(folder.path / "m").has_value());
    CHECK(engine->saveState(folder.path / "s").has_value());
    // Even with a config beside it: the moments belong to no model.
    fs::copy_file(folder.path / "m" / "config.json", folder.path / "s" / "config.json");
    fs::rename(folder.path / "s" / "state.safetensors", folder.path / "s" / "model.safetensors");
    CHECK(refusalOf(folder.path / "s").find("belongs to no part") != std::string::npos);
}

CHECK_MAIN()
