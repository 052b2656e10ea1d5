// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/starter.h"
#include "services/local/engine/engine.h"
#include "services/local/engine/inference_model.h"
#include "tests/support/check.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace desk;
using namespace desk::local;
namespace fs = std::filesystem;

namespace {
struct StarterFolder
{
    fs::path path = fs::temp_directory_path() / ("tst_starter_" + std::to_string(::getpid()));
    StarterFolder()
    {
        fs::create_directories(path);
        for (const StarterFile& file : starterModelFiles())
            std::ofstream(path / std::string(file.name), std::ios::binary) << file.bytes;
    }
    ~StarterFolder()
    {
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
};

std::vector<Datum> windowsOf(std::string_view text, std::size_t first, std::size_t count)
{
    constexpr std::size_t kLength = 128;
    std::vector<Datum> data;
    for (std::size_t w = 0; w < count; ++w) {
        const std::size_t at = (first + w) * kLength % (text.size() - kLength - 1);
        Datum datum;
        for (std::size_t i = at; i < at + kLength; ++i) {
            datum.tokens.push_back(static_cast<unsigned char>(text[i]));
            datum.loss.targets.push_back(static_cast<unsigned char>(text[i + 1]));
        }
        data.push_back(std::move(datum));
    }
    return data;
}

double meanLoss(Engine& engine, const std::vector<Datum>& data, bool backward = false)
{
    ForwardOptions options;
    options.backward = backward;
    const auto result = engine.forward(data, Loss {}, options, {});
    CHECK(result.has_value());
    return result->lossSum / static_cast<double>(result->tokens);
}
} // namespace

TEST(starterModel_isAByteLevelModelOfAboutAMillionParameters)
{
    std::size_t bytes = 0;
    for (const StarterFile& file : starterModelFiles())
        bytes += file.bytes.size();
    CHECK_EQUAL(starterModelFiles().size(), std::size_t { 5 });
    CHECK(bytes <= (std::size_t { 3 } << 20));
    const StarterFolder folder;
    const auto model = InferenceModel::open(folder.path);
    CHECK(model.has_value());
    CHECK_EQUAL((*model)->config().vocabSize, 259);
    CHECK((*model)->config() == ModelConfig {});
    CHECK_EQUAL((*model)->parameterCount(), std::uint64_t { 1017600 });
    CHECK((*model)->tokenizer().has_value());
    const std::string text("\x00\xff h\xc3\xa9", 6);
    const std::vector<std::int32_t> tokens { 0, 255, ' ', 'h', 0xC3, 0xA9 };
    CHECK((*model)->tokenizer()->encode(text) == tokens);
    CHECK_EQUAL((*model)->tokenizer()->decode(tokens), text);
}

TEST(starterModel_writesWords)
{
    const StarterFolder folder;
    const auto model = InferenceModel::open(folder.path);
    SamplingParams params;
    params.temperature = 0.0;
    params.maxTokens = 80;
    const auto done = (*model)->complete("One morning ", params, {}, {});
    CHECK(done.has_value());
    // Words: letters with a blank now and then, no noise.
    const auto blanks = std::count(done->text.begin(), done->text.end(), ' ');
    CHECK(blanks >= 8 && blanks <= 30);
    CHECK(std::all_of(done->text.begin(), done->text.end(),
        [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
}

TEST(fineTuningOnTheSample_lowersLossAndHeldOutLoss)
{
    const StarterFolder folder;
    auto engine = Engine::open(folder.path, std::make_shared<ThreadPool>(2));
    CHECK(engine.has_value());
    const std::string_view text = starterSampleText();
    const auto heldOut = windowsOf(starterSampleEvalText(), 0, 8);
    const double before = meanLoss(**engine, heldOut);
    AdamParams params;
    params.learningRate = 1e-3;
    params.gradClipNorm = 1.0;
    const double first = meanLoss(**engine, windowsOf(text, 0, 4));
    for (std::size_t s = 0; s < 20; ++s) {
        (void)meanLoss(**engine, windowsOf(text, 4 * s, 4), true);
        CHECK((*engine)->optimStep(params, GradNormalization::NumLossTokens).has_value());
    }
    CHECK(meanLoss(**engine, windowsOf(text, 0, 4)) < 0.7 * first);
    CHECK(meanLoss(**engine, heldOut) < 0.7 * before);
}

TEST(oneStepAtASmallRate_changesFewBfloat16Weights)
{
    const StarterFolder folder;
    auto engine = Engine::open(folder.path, std::make_shared<ThreadPool>(2));
    AdamParams params;
    params.learningRate = 1e-5;
    (void)meanLoss(**engine, windowsOf(starterSampleText(), 0, 8), true);
    const auto step = (*engine)->optimStep(params, GradNormalization::NumLossTokens);
    CHECK(step.has_value());
    CHECK(step->changedParameters > 0);
    CHECK(step->changedParameters * 10 < (*engine)->parameterCount());
}

TEST(texts_areSeparatedDialogues_andTheDemoIsALedger)
{
    CHECK(starterSampleText().size() > 10000);
    CHECK(starterSampleText().find("\n\nCustomer: ") != std::string_view::npos);
    CHECK(
        starterSampleText().find(starterSampleEvalText().substr(0, 60)) == std::string_view::npos);
    const std::string_view demo = starterDemoLedger();
    CHECK(
        demo.substr(0, 24) == "{\"step\":1,\"train/loss\":3" || demo.substr(0, 9) == "{\"step\":1");
    CHECK_EQUAL(demo.back(), '\n');
    CHECK(demo.size() < 150000);
}

CHECK_MAIN()
