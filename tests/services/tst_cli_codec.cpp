// SPDX-License-Identifier: GPL-3.0-or-later
// Recipe, ready line, ledger lines and the JSON that trainerdesk-ctl prints.
#include "services/codecs/cli_codec.h"
#include "services/codecs/ledger_codec.h"
#include "services/codecs/ready_codec.h"
#include "services/codecs/recipe_codec.h"
#include "tests/support/check.h"

#include <limits>
#include <nlohmann/json.hpp>

using namespace desk;
using CliJson = nlohmann::json;

namespace {

CliJson parsed(const std::string& text)
{
    return CliJson::parse(text);
}

} // namespace

TEST(aRecipe_comesBackAsItWas)
{
    Recipe recipe;
    recipe.name = "mine";
    recipe.data = "data.jsonl";
    recipe.maxSteps = 300;
    recipe.learningRate = 0.1 + 0.2;
    recipe.schedule = LearningRateSchedule::Linear;
    recipe.checkpointType = "delta";
    recipe.ttlSeconds = 3600;
    recipe.seed = 42;
    const auto read = decodeRecipe(encodeRecipe(recipe));
    CHECK(read.has_value());
    CHECK(*read == recipe);
}

TEST(aRecipeThatIsWrong_saysWhatAndWhatToDo)
{
    const std::pair<const char*, const char*> cases[] = {
        { "{\"learning_rat\":1}", "`learning_rate`" },
        { "{\"batchsize\":1}", "`batch_size`" },
        { "{\"schedule\":\"cosin\"}", "constant, linear, cosine" },
        { "{\"batch_size\":0}", "1 to 4096" },
        { "{\"batch_size\":\"8\"}", "`batch_size`" },
        { "{\"learning_rate\":-1}", "`learning_rate`" },
        { "{\"epochs\":1,\"max_steps\":2}", "not both" },
        { "{\"data\":7}", "`data` must be a text" },
        { "[1]", "recipe" },
        { "{\"lora_rank\":", "recipe" },
    };
    for (const auto& [text, expected] : cases) {
        const auto read = decodeRecipe(text);
        CHECK(!read.has_value());
        if (read.error().message.find(expected) == std::string::npos)
            std::printf("  %s: %s\n", text, read.error().message.c_str());
        CHECK(read.error().message.find(expected) != std::string::npos);
        CHECK(!read.error().unchanged.empty());
        CHECK(!read.error().next.empty());
    }
    CHECK(!decodeRecipe(std::string(2'000'000, ' ')).has_value());
}

TEST(aReadyLine_comesBackAsItWas)
{
    const ReadyLine ready { "http://127.0.0.1:40123", "local", "/p/key",
        "accounts/local/models/desk-tiny", 259,
        { { "desk-tiny", "accounts/local/models/desk-tiny", 853376, 259 } }, 4711, "0.1.0" };
    const auto read = decodeReadyLine(encodeReadyLine(ready));
    CHECK(read.has_value());
    CHECK(*read == ready);
    CHECK(!decodeReadyLine("{\"url\":\"http://x\"}").has_value());
    CHECK(!decodeReadyLine("").has_value());
}

TEST(ledgerRows_areOneLineWithNonFiniteNumbersAsTexts)
{
    const std::string line = encodeLedgerRow({ 7,
        { { "train/loss", 0.1 }, { "x", std::numeric_limits<double>::infinity() } }, Time {} });
    CHECK_EQUAL(line,
        std::string("{\"step\":7,\"train/loss\":0.1,\"x\":\"Infinity\","
                    "\"timestamp\":\"1970-01-01T00:00:00.000000Z\"}"));
    CHECK_EQUAL(ledgerStepOf(line).value_or(-1), std::int64_t { 7 });
    CHECK(!ledgerStepOf("{\"step\":7,").has_value());
    CHECK(!ledgerStepOf("{\"loss\":7}").has_value());
}

TEST(whatIsNotKnown_isNullAndNotLeftOut)
{
    CliJob row;
    row.job.name = "accounts/a/rlorTrainerJobs/j";
    row.job.stateText = "JOB_STATE_RUNNING";
    const CliJson job = parsed(encodeCliJob(row));
    for (const char* key : { "name", "id", "display_name", "kind", "state", "base_model",
             "lora_rank", "step", "total_steps", "loss", "last_progress", "evidence", "created",
             "updated", "run_dir", "checkpoints", "source" })
        CHECK(job.contains(key));
    CHECK_EQUAL(job["id"], CliJson("j"));
    CHECK(job["step"].is_null() && job["loss"].is_null() && job["created"].is_null());
    CHECK_EQUAL(job["evidence"], CliJson("unknown"));

    CliCheckpoint checkpoint;
    checkpoint.checkpoint.name = "accounts/a/rlorTrainerJobs/j/checkpoints/step-1";
    checkpoint.checkpoint.type = CheckpointType::InferenceArcV2;
    checkpoint.checkpoint.sizeBytes = 100;
    checkpoint.checkpoint.baseBytes = 470;
    checkpoint.loss = std::numeric_limits<double>::quiet_NaN();
    const CliJson shown = parsed(encodeCliCheckpoint(checkpoint));
    CHECK_EQUAL(shown["job"], CliJson("accounts/a/rlorTrainerJobs/j"));
    CHECK_EQUAL(shown["kind"], CliJson("delta"));
    CHECK_EQUAL(shown["ratio"], CliJson(4.7));
    CHECK_EQUAL(shown["loss"], CliJson("NaN"));
    CHECK(shown["verified"].is_null() && shown["parent"].is_null());
    CHECK(!whyNotPromotable(checkpoint.checkpoint).empty());
}

TEST(anOperation_showsItsRequestItsStagesAndItsError)
{
    Operation operation;
    operation.id = "op-1";
    operation.kind = OperationKind::Promote;
    operation.state = OperationState::Unknown;
    operation.request = { "POST", "https://api.example.com/v1/accounts/a/checkpoints/c:promote",
        { { "Content-Type", "application/json" } }, "{\"output_model\":\"m\"}" };
    operation.stages = { { "sent", Time {}, "" } };
    operation.errorCode = "unknown";
    operation.errorMessage = "the reply was lost";
    const CliJson shown = parsed(encodeCliOperation(operation));
    CHECK_EQUAL(shown["request"]["path"], CliJson("/v1/accounts/a/checkpoints/c:promote"));
    CHECK_EQUAL(shown["request"]["body"]["output_model"], CliJson("m"));
    CHECK_EQUAL(shown["stages"][0]["stage"], CliJson("sent"));
    CHECK_EQUAL(shown["error"]["code"], CliJson("unknown"));
    CHECK(shown["result"].is_null());
}

TEST(listsErrorsAndWarnings_haveTheShapesOfTheContract)
{
    const std::vector<std::string> items { "{\"a\":1}", "{\"a\":2}" };
    const CliJson list = parsed(encodeCliList(Time {}, "local", items));
    CHECK_EQUAL(list["items"][1]["a"], CliJson(2));
    CHECK_EQUAL(list["connection"], CliJson("local"));
    CHECK(parsed(encodeCliList(Time {}, "", {}))["connection"].is_null());
    const CliJson error =
        parsed(encodeCliError({ Error::Code::Refused, "no \"way\"", "nothing", "do this", "r-1" }));
    CHECK_EQUAL(error["error"]["code"], CliJson("refused"));
    CHECK_EQUAL(error["error"]["message"], CliJson("no \"way\""));
    CHECK_EQUAL(error["error"]["request_id"], CliJson("r-1"));
    const std::vector<std::string> warnings { "old form" };
    CHECK_EQUAL(parsed(withCliWarnings("{}", warnings))["warnings"][0], CliJson("old form"));
    CHECK_EQUAL(parsed(withCliWarnings("{\"a\":1}", warnings))["a"], CliJson(1));
    CHECK_EQUAL(withCliWarnings("{\"a\":1}", {}), std::string("{\"a\":1}"));
}

TEST(examples_areReadInThreeForms)
{
    CHECK_EQUAL(decodeTrainingExample("{\"text\":\"a\"}")->parts.size(), std::size_t { 1 });
    CHECK_EQUAL(decodeTrainingExample("{\"prompt\":\"a\",\"completion\":\"b\"}")->parts.size(),
        std::size_t { 2 });
    CHECK(!decodeTrainingExample("{\"prompt\":\"a\"}").has_value());
    CHECK(!decodeTrainingExample("{\"completion\":\"\"}").has_value());
    CHECK(!decodeTrainingExample("{\"messages\":[{\"role\":\"user\"}]}").has_value());
    CHECK(!decodeTrainingExample("[1]").has_value());
}

CHECK_MAIN()
