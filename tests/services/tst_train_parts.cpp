// SPDX-License-Identifier: GPL-3.0-or-later
// Data, schedule and run folder of the training loop, without a trainer.
#include "services/metrics/jsonl_reader.h"
#include "services/train/run_folder.h"
#include "services/train/schedule.h"
#include "services/train/training_data.h"
#include "tests/support/check.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <unistd.h>

using namespace desk;

namespace {

namespace fs = std::filesystem;

class TempRun
{
public:
    TempRun()
    {
        std::string name = (fs::temp_directory_path() / "desk-run-XXXXXX").string();
        m_path = ::mkdtemp(name.data());
    }
    ~TempRun()
    {
        std::error_code ignored;
        fs::remove_all(m_path, ignored);
    }
    TempRun(const TempRun&) = delete;
    TempRun& operator=(const TempRun&) = delete;
    [[nodiscard]] std::string path(const char* below = "") const
    {
        return (m_path / below).string();
    }

private:
    fs::path m_path;
};

std::string contentOf(const std::string& path)
{
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

const ByteVocabulary kBytes;

} // namespace

TEST(text_becomesWindowsWhoseTargetsAreTheNextBytes)
{
    const auto data = TrainingData::fromText("abcdefgh", 3, kBytes);
    CHECK(data.has_value());
    CHECK_EQUAL(data->sequenceCount(), std::size_t { 2 });
    const Datum first = data->sequence(0, 0);
    CHECK(first.tokens == (std::vector<std::int64_t> { 'a', 'b', 'c' }));
    CHECK(
        first.lossInputs.at("target_tokens").ints == (std::vector<std::int64_t> { 'b', 'c', 'd' }));
    CHECK(first.lossInputs.at("weights").floats == (std::vector<float> { 1, 1, 1 }));
    // A shift moves the windows; the last one stays inside the text.
    CHECK(data->sequence(0, 2).tokens == (std::vector<std::int64_t> { 'c', 'd', 'e' }));
    CHECK_EQUAL(data->sequence(1, 2).tokens.size(), std::size_t { 3 });
}

TEST(recipe_carriesLossAdapterAndStart)
{
    const char* text = R"({"lora_rank":8,"lora_alpha":16,"loss_fn":"ppo",)"
                       R"("loss_config":{"clip_low_threshold":0.8,"weighting":"tis"},)"
                       R"("checkpoint_type":"merged_base","ttl_seconds":60,)"
                       R"("init_from_checkpoint":"job-7:step-4","deployment":"d"})";
    const auto recipe = decodeRecipe(text);
    CHECK(recipe.has_value());
    CHECK(recipe->loraAlpha == 16);
    CHECK_EQUAL(recipe->lossFn, std::string("ppo"));
    CHECK(recipe->lossNumbers.at("clip_low_threshold") == 0.8);
    CHECK_EQUAL(recipe->lossTexts.at("weighting"), std::string("tis"));
    CHECK_EQUAL(recipe->initFromCheckpoint, std::string("job-7:step-4"));
    CHECK_EQUAL(recipe->checkpointType, std::string("merged_base"));
    CHECK(decodeRecipe(encodeRecipe(*recipe)).value_or(Recipe {}) == *recipe);
    CHECK(decodeRecipe(encodeRecipe(Recipe {})).value_or(*recipe) == Recipe {});
}

TEST(recipe_saysWhatDoesNotGoTogether)
{
    for (const char* text : { R"({"loss_fn":"no_such"})", R"({"loss_config":3})",
             R"({"loss_config":{"a":[1]}})", R"({"lora_alpha":8})",
             R"({"checkpoint_type":"merged_base"})", R"({"warm_start_from_adapter":"a"})",
             R"({"lora_rank":8,"warm_start_from_adapter":"a","init_from_checkpoint":"b"})" }) {
        const auto recipe = decodeRecipe(text);
        CHECK(!recipe.has_value());
        CHECK(recipe.error().code == Error::Code::Malformed);
    }
    CHECK(decodeRecipe(R"({"los_fn":"ppo"})").error().message.find("loss_fn") != std::string::npos);
}

TEST(examples_mayWeighMoreOrLess)
{
    const auto data = TrainingData::fromJsonLines(
        R"({"prompt":"ab","completion":"cd","advantage":-0.5})", 10, kBytes);
    CHECK(data.has_value());
    const auto batch = std::vector<Datum> { data->sequence(0, 0) };
    CHECK(batch[0].lossInputs.at("weights").floats
        == (std::vector<float> { 0, -0.5F, -0.5F, -0.5F }));
    CHECK(lossTokensOf(batch) == 3);
    CHECK(!TrainingData::fromJsonLines(R"({"text":"ab","weight":"x"})", 10, kBytes).has_value());
    CHECK(!TrainingData::fromJsonLines(R"({"text":"ab","weight":1e9})", 10, kBytes).has_value());
    CHECK(!TrainingData::fromJsonLines(R"({"text":"ab","weight":0})", 10, kBytes).has_value());

    ForwardResult before;
    before.outputs.push_back({ { "logprobs", floatTensor({ -1, -2, -3, -4 }) } });
    const auto policy = policyBatch(batch, before);
    CHECK(policy.has_value());
    const auto& inputs = policy->front().lossInputs;
    CHECK(inputs.at("advantages").floats == (std::vector<float> { 0, -0.5F, -0.5F, -0.5F }));
    CHECK(inputs.at("logprobs").floats == (std::vector<float> { -1, -2, -3, -4 }));
    CHECK(inputs.count("weights") == 0);
    before.outputs[0]["logprobs"] = floatTensor({ -1 });
    CHECK(!policyBatch(batch, before).has_value());
    CHECK(!policyBatch(batch, ForwardResult {}).has_value());
}

TEST(shortText_isOneShorterWindow)
{
    const auto data = TrainingData::fromText("abc", 100, kBytes);
    CHECK_EQUAL(data->sequenceCount(), std::size_t { 1 });
    CHECK(data->sequence(0, 40).tokens == (std::vector<std::int64_t> { 'a', 'b' }));
    CHECK(!TrainingData::fromText("a", 100, kBytes).has_value());
}

TEST(examples_takeTheLossOnTheCompletionAndTheEnd)
{
    const auto data =
        TrainingData::fromJsonLines("{\"prompt\":\"ab\",\"completion\":\"cd\"}\n", 10, kBytes);
    CHECK(data.has_value());
    const Datum datum = data->sequence(0, 0);
    CHECK(datum.tokens == (std::vector<std::int64_t> { 'a', 'b', 'c', 'd' }));
    CHECK(datum.lossInputs.at("target_tokens").ints
        == (std::vector<std::int64_t> { 'b', 'c', 'd', 257 }));
    CHECK(datum.lossInputs.at("weights").floats == (std::vector<float> { 0, 1, 1, 1 }));
    CHECK_EQUAL(lossTokensOf({ datum }), 3.0);
    CHECK_EQUAL(tokensOf({ datum }), std::int64_t { 4 });
}

TEST(messages_takeTheLossOnWhatTheAssistantSays)
{
    const auto data =
        TrainingData::fromJsonLines("{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
                                    "{\"role\":\"assistant\",\"content\":\"yo\"}]}",
            100, kBytes);
    const Datum datum = data->sequence(0, 0);
    CHECK_EQUAL(datum.tokens.size(), std::string("user: hi\nassistant: yo\n").size());
    CHECK_EQUAL(lossTokensOf({ datum }), 4.0); // y o \n and the end
}

TEST(aBrokenExample_isAnErrorThatNamesItsLine)
{
    const auto data =
        TrainingData::fromJsonLines("{\"text\":\"fine\"}\n\n{\"prompt\":\"alone\"}\n", 10, kBytes);
    CHECK(!data.has_value());
    CHECK(data.error().message.find("line 3") != std::string::npos);
    CHECK(!TrainingData::load("/no/such/file.txt", 8, kBytes).has_value());
    CHECK(!TrainingData::fromText("abc", 8, { 100, -1 }).has_value());
}

TEST(batches_dependOnSeedAndStepOnly)
{
    const auto data = TrainingData::fromText(std::string(1000, 'x') + "yz", 10, kBytes);
    BatchSource all(*data, 7, 3);
    std::vector<std::vector<Datum>> inOrder;
    for (std::int64_t step = 1; step <= 40; ++step)
        inOrder.push_back(all.batch(step));
    BatchSource later(*data, 7, 3); // a run that continues at step 31
    for (std::int64_t step = 31; step <= 40; ++step)
        CHECK(later.batch(step) == inOrder[static_cast<std::size_t>(step - 1)]);
    CHECK_EQUAL(all.stepsFor(1), std::int64_t { 15 }); // 100 sequences, 7 a step
    CHECK_EQUAL(all.epochsAt(100), 7.0);
}

TEST(anEpoch_usesEverySequenceOnce)
{
    std::string lines;
    for (int i = 0; i < 20; ++i)
        lines += "{\"text\":\"" + std::string(1, static_cast<char>('a' + i)) + "z\"}\n";
    BatchSource source(*TrainingData::fromJsonLines(lines, 10, kBytes), 4, 9);
    std::multiset<std::int64_t> seen;
    for (std::int64_t step = 1; step <= 5; ++step)
        for (const Datum& datum : source.batch(step))
            seen.insert(datum.tokens.front());
    CHECK_EQUAL(seen.size(), std::size_t { 20 });
    CHECK_EQUAL(std::set<std::int64_t>(seen.begin(), seen.end()).size(), std::size_t { 20 });
}

TEST(schedules_warmUpAndEndAsTheySay)
{
    Recipe recipe;
    recipe.learningRate = 1;
    recipe.warmupSteps = 10;
    CHECK_EQUAL(learningRateAt(recipe, 5, 110), 0.5);
    CHECK_EQUAL(learningRateAt(recipe, 10, 110), 1.0);
    CHECK_EQUAL(learningRateAt(recipe, 11, 110), 1.0);
    CHECK(std::fabs(learningRateAt(recipe, 110, 110) - 0.1) < 1e-3); // cosine, to 10 %
    recipe.schedule = LearningRateSchedule::Linear;
    CHECK(std::fabs(learningRateAt(recipe, 61, 110) - 0.5) < 1e-9);
    recipe.schedule = LearningRateSchedule::Constant;
    CHECK_EQUAL(learningRateAt(recipe, 110, 110), 1.0);
    recipe.warmupSteps = 0;
    CHECK_EQUAL(learningRateAt(recipe, 1, 1), 1.0);
}

TEST(aRunFolder_belongsToOneProcessAndOneRun)
{
    const TempRun temp;
    RunFolder first;
    CHECK(first.open(temp.path("run"), false).has_value());
    RunFolder second;
    const Status taken = second.open(temp.path("run"), true);
    CHECK(!taken.has_value());
    CHECK_EQUAL(toString(taken.error().code), std::string("conflict"));
    CHECK(first.appendMetrics({ 1, { { "train/loss", 2.5 } }, Time {} }).has_value());
    RunFolder third;
    CHECK(!third.open(temp.path("run"), false).has_value());
    CHECK(!third.open(temp.path("none"), true).has_value());
}

TEST(aHalfLine_doesNotSwallowTheNextOne)
{
    const TempRun temp;
    {
        std::ofstream torn(temp.path("metrics.jsonl"));
        torn << "{\"step\":1,\"train/loss\":3}\n{\"step\":2,\"tra";
    }
    RunFolder folder;
    CHECK(folder.open(temp.path(), true).has_value());
    CHECK(folder.appendMetrics({ 2, { { "train/loss", 2.0 } }, Time {} }).has_value());
    SeriesStore store;
    JsonlReader reader(store);
    reader.feed(contentOf(temp.path("metrics.jsonl")));
    CHECK_EQUAL(reader.report().skipped, std::uint64_t { 1 });
    CHECK_EQUAL(store.snapshot("train/loss").size(), std::size_t { 2 });
}

TEST(trimming_keepsTheOldLedgerBeside)
{
    const TempRun temp;
    RunFolder folder;
    CHECK(folder.open(temp.path(), false).has_value());
    for (int step = 1; step <= 5; ++step)
        CHECK(folder.appendMetrics({ step, { { "train/loss", 1.0 } }, Time {} }).has_value());
    const std::string before = contentOf(temp.path("metrics.jsonl"));
    CHECK(folder.trimLedger(3).has_value());
    CHECK_EQUAL(contentOf(temp.path("metrics.jsonl.pre_resume_000003")), before);
    SeriesStore store;
    JsonlReader reader(store);
    reader.feed(contentOf(temp.path("metrics.jsonl")));
    CHECK_EQUAL(store.snapshot("train/loss").size(), std::size_t { 3 });
}

TEST(theResumePoint_isTheNewestState)
{
    const TempRun temp;
    RunFolder folder;
    CHECK(folder.open(temp.path(), false).has_value());
    CHECK(!folder.resumePoint().has_value());
    RunConfig config;
    config.job = "accounts/a/rlorTrainerJobs/j";
    Recipe recipe;
    recipe.data = "/data.txt";
    recipe.maxSteps = 100;
    CHECK(folder.writeConfig(config, recipe).has_value());
    CHECK_EQUAL(folder.resumePoint()->step, std::int64_t { 0 });
    RunCheckpoint line;
    line.name = "step-0010";
    line.step = 10;
    line.kind = "state";
    CHECK(folder.appendCheckpoint(line).has_value());
    line.name = "step-0012-a1b2c3d4";
    line.step = 12;
    line.kind = "base";
    CHECK(folder.appendCheckpoint(line).has_value());
    {
        std::ofstream torn(temp.path("checkpoints.jsonl"), std::ios::app);
        torn << "{\"name\":\"step-0020\",\"st";
    }
    const auto point = folder.resumePoint();
    CHECK_EQUAL(point->step, std::int64_t { 10 });
    CHECK_EQUAL(point->stateName, std::string("step-0010"));
    CHECK_EQUAL(point->newestSampler, std::string("step-0012-a1b2c3d4"));
    CHECK(point->recipe == recipe);
    CHECK_EQUAL(point->config.job, config.job);
}

TEST(aFullDisk_isSaidAndLeavesNoHalfFile)
{
    if (!fs::exists("/dev/full"))
        throw check::Skip("there is no /dev/full");
    const TempRun temp;
    RunFolder folder;
    CHECK(folder.open(temp.path("run"), false).has_value());
    fs::create_symlink("/dev/full", temp.path("run/metrics.jsonl"));
    const Status written = folder.appendMetrics({ 1, { { "train/loss", 1.0 } }, Time {} });
    CHECK(!written.has_value());
    CHECK_EQUAL(toString(written.error().code), std::string("full"));
    CHECK(!written.error().next.empty());
    const Status replaced = replaceFile("/proc/none/config.json", "{}");
    CHECK(!replaced.has_value());
}

CHECK_MAIN()
