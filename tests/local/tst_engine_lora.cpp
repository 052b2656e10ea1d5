// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/hf_codec.h"
#include "services/delta/safetensors.h"
#include "services/local/engine/engine.h"
#include "services/local/engine/inference_model.h"
#include "services/local/engine/lora.h"
#include "services/local/engine/network.h"
#include "tests/local/temp_folder.h"
#include "tests/support/check.h"

#include <cmath>
#include <random>

using namespace desk;
using namespace desk::local;
namespace fs = std::filesystem;
using desk::check::fileBytes;
using desk::check::TempFolder;
using desk::check::writeBytes;

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

std::vector<double> randomParameters(const std::vector<TensorSpec>& specs, std::uint64_t seed)
{
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> uniform(-0.4, 0.4);
    std::vector<double> parameters(specs.back().offset + specs.back().count);
    for (const auto& spec : specs)
        for (std::uint64_t i = 0; i < spec.count; ++i)
            parameters[spec.offset + i] = uniform(random) + (spec.shape.size() == 1 ? 1.0 : 0.0);
    return parameters;
}

struct Problem
{
    TokenBatch batch;
    std::vector<std::int64_t> targets;
    std::vector<double> weights;
};
Problem makeProblem(const ModelConfig& config, const std::vector<std::size_t>& lengths)
{
    std::mt19937_64 random(11);
    Problem problem;
    const auto vocab = static_cast<std::uint64_t>(config.vocabSize);
    for (const std::size_t length : lengths) {
        std::vector<std::int32_t> tokens(length);
        for (auto& token : tokens)
            token = static_cast<std::int32_t>(random() % vocab);
        problem.batch.append(tokens);
    }
    std::uniform_real_distribution<double> uniform(-0.5, 1.5);
    for (std::size_t i = 0; i < problem.batch.tokens.size(); ++i) {
        problem.targets.push_back(static_cast<std::int64_t>(random() % vocab));
        problem.weights.push_back(uniform(random));
    }
    return problem;
}

double lossWith(Network<double>& network, const std::vector<double>& base,
    const std::vector<double>& adapter, const Problem& problem)
{
    std::vector<double> logprobs(problem.targets.size());
    network.forward(base.data(), problem.batch, adapter.data());
    network.logprobs(base.data(), problem.targets, 1, logprobs, nullptr);
    double loss = 0.0;
    for (std::size_t i = 0; i < logprobs.size(); ++i)
        loss -= problem.weights[i] * logprobs[i];
    return loss;
}

void checkAdapterGradients(const ModelConfig& config, const LoraSettings& settings)
{
    ThreadPool pool(2);
    Network<double> network(config, loraLayout(config, settings), pool, activeKernels<double>());
    const Problem problem = makeProblem(config, { 9, 70, 1 });
    const auto base = randomParameters(tensorSpecs(config), 7);
    auto adapter = randomParameters(loraSpecs(config, settings), 8);
    (void)lossWith(network, base, adapter, problem);
    std::vector<double> byLogprob;
    for (const double weight : problem.weights)
        byLogprob.push_back(-weight);
    std::vector<double> gradients(adapter.size(), 0.0);
    network.backward(base.data(), problem.batch, problem.targets, 1, byLogprob, gradients.data());
    std::mt19937_64 random(3);
    for (const auto& spec : loraSpecs(config, settings)) {
        std::size_t largest = spec.offset;
        for (std::size_t i = spec.offset; i < spec.offset + spec.count; ++i)
            if (std::abs(gradients[i]) > std::abs(gradients[largest]))
                largest = i;
        CHECK(std::abs(gradients[largest]) > 1e-3);
        std::vector<std::size_t> chosen { largest };
        for (int i = 0; i < 3; ++i)
            chosen.push_back(spec.offset + random() % spec.count);
        for (const std::size_t at : chosen) {
            constexpr double kStep = 1e-5;
            const double before = adapter[at];
            adapter[at] = before + kStep;
            const double above = lossWith(network, base, adapter, problem);
            adapter[at] = before - kStep;
            const double below = lossWith(network, base, adapter, problem);
            adapter[at] = before;
            const double expected = (above - below) / (2.0 * kStep);
            if (std::abs(gradients[at] - expected) > 1e-6 * std::max(1.0, std::abs(expected)))
                desk::check::fail(__FILE__, __LINE__,
                    spec.name + ": gradient " + desk::check::show(gradients[at])
                        + ", difference quotient " + desk::check::show(expected));
        }
    }
}

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
LoraSettings lora(int rank, double alpha = 16.0)
{
    LoraSettings settings;
    settings.rank = rank;
    settings.alpha = alpha;
    settings.seed = 3;
    return settings;
}
std::shared_ptr<ThreadPool> threads(int count = 2)
{
    return std::make_shared<ThreadPool>(count);
}

Datum datumOf(const std::string& text)
{
    Datum datum;
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
        datum.tokens.push_back(static_cast<unsigned char>(text[i]));
        datum.loss.targets.push_back(static_cast<unsigned char>(text[i + 1]));
    }
    return datum;
}
std::vector<Datum> someData()
{
    return { datumOf("the quick brown fox jumps over the lazy dog"),
        datumOf("a stitch in time saves nine"), datumOf("well begun is half done") };
}
double lossOf(Engine& engine, bool isBackward = false)
{
    ForwardOptions options;
    options.backward = isBackward;
    const auto result = engine.forward(someData(), Loss {}, options, {});
    CHECK(result.has_value());
    return result->lossSum;
}
void train(Engine& engine, int steps, double learningRate = 1e-2)
{
    AdamParams params;
    params.learningRate = learningRate;
    for (int i = 0; i < steps; ++i) {
        (void)lossOf(engine, true);
        CHECK(engine.optimStep(params, GradNormalization::NumLossTokens).has_value());
    }
}

// A base model that has learned something, so that an adapter has something to change.
const fs::path& baseFolder()
{
    static const TempFolder folder;
    static const fs::path base = [] {
        auto engine = Engine::create(smallConfig(), 5, threads());
        CHECK(engine.has_value());
        train(**engine, 20);
        CHECK((*engine)->exportHf(folder.path() / "base").has_value());
        return folder.path() / "base";
    }();
    return base;
}
std::unique_ptr<Engine> openLora(const LoraSettings& settings, int poolThreads = 2)
{
    auto engine = Engine::openLora(baseFolder(), settings, threads(poolThreads));
    CHECK(engine.has_value());
    return std::move(*engine);
}
std::string replaced(std::string text, const std::string& from, const std::string& to)
{
    const auto at = text.find(from);
    CHECK(at != std::string::npos);
    return text.replace(at, from.size(), to);
}
} // namespace

TEST(gradientsOfAAndB_agreeWithFiniteDifferences)
{
    checkAdapterGradients(gradientConfig(), lora(3, 5.0));
}

TEST(gradientsOfAAndB_agree_forOwnUnembedding)
{
    checkAdapterGradients(gradientConfig(false), lora(2, 4.0));
}

TEST(gradientsOfAAndB_agree_forEachPartAlone)
{
    for (int part = 0; part < 3; ++part) {
        LoraSettings settings = lora(2);
        settings.trainsAttention = part == 0;
        settings.trainsMlp = part == 1;
        settings.trainsUnembed = part == 2;
        checkAdapterGradients(gradientConfig(), settings);
    }
}

TEST(networkWithAdapter_isTheNetworkOfMergedWeights)
{
    const ModelConfig config = gradientConfig(false);
    const LoraSettings settings = lora(4, 6.0);
    ThreadPool pool(2);
    Network<float> adapted(config, loraLayout(config, settings), pool, activeKernels<float>());
    Network<float> plain(config, pool, activeKernels<float>());
    const Problem problem = makeProblem(config, { 33, 5 });
    const auto base64 = randomParameters(tensorSpecs(config), 7);
    const auto adapter64 = randomParameters(loraSpecs(config, settings), 8);
    std::vector<float> weights(base64.begin(), base64.end());
    const std::vector<float> adapter(adapter64.begin(), adapter64.end());
    std::vector<double> expected(problem.targets.size());
    adapted.forward(weights.data(), problem.batch, adapter.data());
    adapted.logprobs(weights.data(), problem.targets, 1, expected, nullptr);
    mergeAdapter(config, loraLayout(config, settings), adapter, weights);
    std::vector<double> merged(problem.targets.size());
    plain.forward(weights.data(), problem.batch);
    plain.logprobs(weights.data(), problem.targets, 1, merged, nullptr);
    for (std::size_t i = 0; i < merged.size(); ++i)
        CHECK(std::abs(merged[i] - expected[i]) < 1e-4);
}

TEST(freshAdapter_changesNothing)
{
    auto plain = Engine::open(baseFolder(), threads());
    auto adapted = openLora(lora(8));
    CHECK_EQUAL(lossOf(*adapted), lossOf(**plain));
    CHECK_EQUAL(adapted->parameterCount(), (*plain)->parameterCount());
    CHECK_EQUAL(adapted->lora()->rank, 8);
    CHECK(!(*plain)->lora().has_value());
    // rank x (in + out) of q, k, v, o, gate, up, down per layer and of the unembedding.
    const std::uint64_t layer = 64 + 48 + 48 + 64 + 80 + 80 + 80;
    CHECK_EQUAL(adapted->trainedParameterCount(), 8 * (2 * layer + 32 + 259));
}

TEST(training_lowersTheLoss_andLeavesTheBaseAlone)
{
    auto adapted = openLora(lora(8));
    const double before = lossOf(*adapted);
    train(*adapted, 60);
    CHECK(lossOf(*adapted) < 0.5 * before);
    CHECK_EQUAL(adapted->step(), std::int64_t { 60 });
    auto plain = Engine::open(baseFolder(), threads());
    CHECK_EQUAL(lossOf(**plain), before);
    ForwardOptions options;
    options.backward = true;
    (void)adapted->forward(someData(), Loss {}, options, {});
    const auto step = adapted->optimStep({}, GradNormalization::None);
    CHECK_EQUAL(step->gradNormBuckets.size(), std::size_t { 1 });
    CHECK(step->gradNormBuckets.at("lora") > 0.0);
}

TEST(seedsAndThreads_giveOneResult)
{
    auto one = openLora(lora(4), 1);
    auto three = openLora(lora(4), 3);
    train(*one, 4);
    train(*three, 4);
    CHECK_EQUAL(lossOf(*one), lossOf(*three));
    LoraSettings other = lora(4);
    other.seed = 4;
    auto different = openLora(other);
    train(*different, 4);
    CHECK(lossOf(*different) != lossOf(*one));
}

TEST(settings_areChecked)
{
    const auto messageOf = [](LoraSettings settings) {
        const auto engine = Engine::openLora(baseFolder(), settings, threads());
        CHECK(!engine.has_value());
        CHECK(engine.error().code == Error::Code::Usage);
        return engine.error().message;
    };
    CHECK_EQUAL(messageOf(lora(129)), std::string("lora_config.rank is 129, outside 1 to 128"));
    CHECK_EQUAL(messageOf(lora(0)), std::string("lora_config.rank is 0, outside 1 to 128"));
    CHECK_EQUAL(messageOf(lora(8, 0.0)), std::string("lora_config.alpha must be a number above 0"));
    LoraSettings none = lora(8);
    none.trainsAttention = none.trainsMlp = none.trainsUnembed = false;
    CHECK(messageOf(none).find("trains nothing") != std::string::npos);
    auto largest = openLora(lora(128));
    train(*largest, 1);
    CHECK(Engine::openLora(baseFolder() / "none", lora(8), threads()).error().code
        == Error::Code::NotFound);
}

TEST(savedState_reproducesTheNextStepsExactly)
{
    const TempFolder folder;
    auto engine = openLora(lora(8));
    train(*engine, 5);
    CHECK(engine->saveState(folder.path() / "state").has_value());
    train(*engine, 3);
    auto other = openLora(lora(8), 1);
    (void)lossOf(*other, true); // gradients that must not survive the load
    CHECK(other->loadState(folder.path() / "state", true).has_value());
    CHECK_EQUAL(other->step(), std::int64_t { 5 });
    train(*other, 3);
    CHECK_EQUAL(lossOf(*other), lossOf(*engine));

    auto fresh = openLora(lora(8));
    CHECK(fresh->loadState(folder.path() / "state", false).has_value());
    CHECK_EQUAL(fresh->step(), std::int64_t { 0 });
    train(*fresh, 3);
    CHECK(lossOf(*fresh) != lossOf(*engine));
}

TEST(stateOfAnotherKind_isRefusedInWords)
{
    const TempFolder folder;
    auto engine = openLora(lora(8));
    CHECK(engine->saveState(folder.path() / "lora").has_value());
    auto plain = Engine::open(baseFolder(), threads());
    CHECK((*plain)->saveState(folder.path() / "full").has_value());
    const auto messageOf = [&](Engine& into, const char* name) {
        const auto loaded = into.loadState(folder.path() / name, true);
        CHECK(!loaded.has_value());
        CHECK(loaded.error().code == Error::Code::Refused);
        return loaded.error().message;
    };
    CHECK(messageOf(*engine, "full").find("state of a full-parameter model") != std::string::npos);
    CHECK(messageOf(**plain, "lora").find("state of LoRA adapters") != std::string::npos);
    CHECK(messageOf(*openLora(lora(4)), "lora").find("its rank is 8, here it is 4")
        != std::string::npos);
    CHECK(messageOf(*openLora(lora(8, 32.0)), "lora").find("its alpha is 16, here it is 32")
        != std::string::npos);
    LoraSettings part = lora(8);
    part.trainsMlp = false;
    CHECK(messageOf(*openLora(part), "lora")
              .find("its matrices is attention mlp unembed, here it is attention unembed")
        != std::string::npos);
    // Another base model of the same sizes.
    auto other = Engine::create(smallConfig(), 77, threads());
    CHECK((*other)->exportHf(folder.path() / "base2").has_value());
    auto elsewhere = Engine::openLora(folder.path() / "base2", lora(8), threads());
    CHECK(messageOf(**elsewhere, "lora").find("its base is ") != std::string::npos);
}

TEST(exportedAdapter_hasTheLayoutOfPeft)
{
    const TempFolder folder;
    auto engine = openLora(lora(8));
    train(*engine, 3);
    CHECK(engine->exportAdapter(folder.path() / "a", "accounts/desk/models/tiny").has_value());
    const auto again = engine->exportAdapter(folder.path() / "a", "x");
    CHECK(again.error().code == Error::Code::Conflict);
    const auto config = parseHfAdapter(fileBytes(folder.path() / "a" / "adapter_config.json"));
    CHECK(config.has_value());
    CHECK_EQUAL(config->baseModel, std::string("accounts/desk/models/tiny"));
    CHECK_EQUAL(config->peftType, std::string("LORA"));
    CHECK_EQUAL(config->taskType, std::string("CAUSAL_LM"));
    CHECK_EQUAL(config->rank, std::int64_t { 8 });
    CHECK_EQUAL(config->alpha, 16.0);
    CHECK_EQUAL(config->targetModules.size(), std::size_t { 8 });
    const auto file = SafetensorsFile::open(folder.path() / "a" / "adapter_model.safetensors");
    CHECK(file.has_value());
    CHECK_EQUAL(file->header().tensors.size(), std::size_t { 2 * (2 * 7 + 1) });
    const TensorInfo* a =
        file->header().find("base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight");
    CHECK(a != nullptr && (a->shape == std::vector<std::uint64_t> { 8, 32 }));
    const TensorInfo* b =
        file->header().find("base_model.model.model.layers.0.mlp.down_proj.lora_B.weight");
    CHECK(b != nullptr && (b->shape == std::vector<std::uint64_t> { 32, 8 }));
    CHECK(file->header().find("base_model.model.lm_head.lora_B.weight") != nullptr);
    auto plain = Engine::open(baseFolder(), threads());
    CHECK((*plain)->exportAdapter(folder.path() / "b", "x").error().code == Error::Code::Refused);
    CHECK(!fs::exists(folder.path() / "b"));
}

TEST(adapterFolder_isLoadedByTrainerAndServer)
{
    const TempFolder folder;
    auto engine = openLora(lora(8));
    train(*engine, 30);
    CHECK(engine->exportAdapter(folder.path() / "a", "base").has_value());
    auto other = openLora(lora(8));
    (void)lossOf(*other, true);
    train(*other, 2);
    CHECK(other->loadAdapter(folder.path() / "a").has_value());
    CHECK_EQUAL(lossOf(*other), lossOf(*engine)); // F32: nothing is rounded
    CHECK_EQUAL(other->step(), std::int64_t { 0 });
    CHECK_EQUAL(other->optimStep({}, GradNormalization::None)->gradNorm, 0.0);

    // A higher rank and another alpha hold the same product.
    auto wider = openLora(lora(12, 6.0));
    CHECK(wider->loadAdapter(folder.path() / "a").has_value());
    CHECK(std::abs(lossOf(*wider) - lossOf(*engine)) < 1e-3);
    const auto narrower = openLora(lora(4))->loadAdapter(folder.path() / "a");
    CHECK_EQUAL(narrower.error().message,
        std::string("The adapter has rank 8, the model is trained with rank 4"));
    auto plain = Engine::open(baseFolder(), threads());
    CHECK((*plain)->loadAdapter(folder.path() / "a").error().code == Error::Code::Refused);
}

TEST(mergedFolder_isTheAdaptedModel_uptoRounding)
{
    const TempFolder folder;
    auto engine = openLora(lora(8));
    train(*engine, 5);
    CHECK(engine->exportHf(folder.path() / "m").has_value());
    const auto config = parseHfConfig(fileBytes(folder.path() / "m" / "config.json"));
    CHECK(config.has_value() && !config->tiesEmbeddings);
    auto merged = Engine::open(folder.path() / "m", threads());
    CHECK(merged.has_value());
    const double exact = lossOf(*engine);
    CHECK(std::abs(lossOf(**merged) - exact) < 0.03 * exact);
    train(**merged, 40, 3e-3); // an lm_head of its own trains too
    CHECK(lossOf(**merged) < 0.8 * exact);
    CHECK(fileBytes(folder.path() / "m" / "tokenizer.json")
        == fileBytes(baseFolder() / "tokenizer.json"));

    LoraSettings settings = lora(8);
    settings.trainsUnembed = false;
    auto tied = openLora(settings);
    train(*tied, 5);
    CHECK(tied->exportHf(folder.path() / "t").has_value());
    CHECK(parseHfConfig(fileBytes(folder.path() / "t" / "config.json"))->tiesEmbeddings);
    auto reopened = Engine::open(folder.path() / "t", threads());
    CHECK(std::abs(lossOf(**reopened) - lossOf(*tied)) < 0.03 * lossOf(*tied));
}

TEST(severalAdapters_shareOneBase)
{
    const TempFolder folder;
    const auto base = InferenceModel::open(baseFolder());
    CHECK(base.has_value());
    std::vector<std::shared_ptr<const InferenceModel>> models;
    std::vector<float> expected;
    for (int i = 0; i < 3; ++i) {
        LoraSettings settings = lora(4 + i);
        settings.trainsMlp = i != 1;
        auto engine = openLora(settings);
        train(*engine, 5 + 10 * i);
        const fs::path to = folder.path() / std::to_string(i);
        CHECK(engine->exportAdapter(to, "base").has_value());
        auto model = InferenceModel::withAdapter(*base, to);
        CHECK(model.has_value());
        models.push_back(*model);
        fs::remove_all(to); // read completely
        expected.push_back(
            engine->forward(std::vector { datumOf("a stitch in time") }, Loss {}, {}, {})
                ->data[0]
                .logprobs.back());
    }
    SamplingParams params;
    params.maxTokens = 0;
    params.wantsPromptLogprobs = true;
    std::vector<std::int32_t> prompt;
    for (const char c : std::string("a stitch in time"))
        prompt.push_back(c);
    for (std::size_t i = 0; i < models.size(); ++i) {
        const auto scored = models[i]->generate(prompt, params, {});
        CHECK(scored.has_value());
        CHECK(std::abs(scored->promptLogprobs.back() - expected[i]) < 1e-3F);
        CHECK(models[i]->tokenizer().has_value());
    }
    CHECK(InferenceModel::withAdapter(models[0], folder.path()).error().code == Error::Code::Usage);
}

TEST(adapterFolders_areRefusedWithTheReason)
{
    const TempFolder folder;
    auto engine = openLora(lora(8));
    const fs::path a = folder.path() / "a";
    CHECK(engine->exportAdapter(a, "base").has_value());
    const auto base = InferenceModel::open(baseFolder());
    const std::string config = fileBytes(a / "adapter_config.json");
    const auto reasonWith = [&](const std::string& from, const std::string& to) {
        writeBytes(a / "adapter_config.json", replaced(config, from, to));
        const auto model = InferenceModel::withAdapter(*base, a);
        CHECK(!model.has_value());
        CHECK(!engine->loadAdapter(a).has_value());
        return model.error().message;
    };
    const std::string start = a.string() + ": ";
    CHECK_EQUAL(reasonWith("\"use_dora\": false", "\"use_dora\": true"),
        start + "use_dora is not supported");
    CHECK_EQUAL(reasonWith("\"r\": 8", "\"r\": 4096"), start + "r is 4096, outside 1 to 128");
    CHECK_EQUAL(reasonWith("\"r\": 8", "\"r\": 4"),
        start
            + "tensor base_model.model.lm_head.lora_A.weight is not of the shape that the model "
              "and r give");
    CHECK_EQUAL(
        reasonWith("\"LORA\"", "\"IA3\""), start + "peft_type IA3 is not supported, only LORA");
    CHECK_EQUAL(reasonWith("\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]"),
        start + "modules_to_save is not supported");
    CHECK_EQUAL(reasonWith("\"rank_pattern\": {}", "\"rank_pattern\": {\"q_proj\": 2}"),
        start + "rank_pattern and alpha_pattern are not supported");
    CHECK_EQUAL(reasonWith("\"bias\": \"none\"", "\"bias\": \"all\""),
        start + "trained biases are not supported");
    CHECK_EQUAL(
        reasonWith("\"r\": 8", "\"q\": 8"), std::string("adapter_config.json: r is missing"));
    CHECK_EQUAL(reasonWith("{", "["), std::string("adapter_config.json: is not a JSON object"));
    writeBytes(a / "adapter_config.json", config);
    CHECK(InferenceModel::withAdapter(*base, a).has_value());

    const std::string weights = fileBytes(a / "adapter_model.safetensors");
    writeBytes(a / "adapter_model.safetensors",
        replaced(weights, "layers.1.self_attn.q_proj.lora_A", "layers.9.self_attn.q_proj.lora_A"));
    CHECK(InferenceModel::withAdapter(*base, a).error().message.find("belongs to no matrix")
        != std::string::npos);
    writeBytes(a / "adapter_model.safetensors", weights.substr(0, weights.size() - 9));
    CHECK(!InferenceModel::withAdapter(*base, a).has_value());
    fs::remove(a / "adapter_model.safetensors");
    CHECK(InferenceModel::withAdapter(*base, a).error().code == Error::Code::NotFound);
    CHECK(engine->loadAdapter(folder.path() / "none").error().code == Error::Code::NotFound);
}

TEST(rslora_isTheSameProductWithItsOwnScale)
{
    const TempFolder folder;
    auto engine = openLora(lora(4, 8.0));
    train(*engine, 10);
    const fs::path a = folder.path() / "a";
    CHECK(engine->exportAdapter(a, "base").has_value());
    const std::string config = fileBytes(a / "adapter_config.json");
    // alpha / sqrt(4) with alpha 4 is alpha / 4 with alpha 8.
    writeBytes(a / "adapter_config.json",
        replaced(replaced(config, "\"use_rslora\": false", "\"use_rslora\": true"),
            "\"lora_alpha\": 8", "\"lora_alpha\": 4"));
    auto other = openLora(lora(4, 8.0));
    CHECK(other->loadAdapter(a).has_value());
    CHECK(std::abs(lossOf(*other) - lossOf(*engine)) < 1e-3);
}

CHECK_MAIN()
