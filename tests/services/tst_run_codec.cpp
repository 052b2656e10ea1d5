// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/control_codec.h"
#include "services/codecs/journal_codec.h"
#include "services/codecs/run_codec.h"
#include "tests/support/check.h"

#include <string>
#include <vector>

namespace {

using namespace desk;

TEST(runConfig_roundTripsBesideTheRecipe)
{
    RunConfig config;
    config.runName = "stories";
    config.job = "accounts/local/rlorTrainerJobs/j";
    config.connection = "local";
    config.baseModel = "accounts/local/models/desk-tiny";
    config.loraRank = 8;
    config.learningRate = 0.1 + 0.2;
    config.totalSteps = 400;
    config.pid = 4711;
    const auto text = encodeRunConfig(config, R"({"data":"x.jsonl","learning_rate":7})");
    CHECK(text.find("\"data\": \"x.jsonl\"") != std::string::npos);
    const auto read = decodeRunConfig(text);
    CHECK(read.has_value());
    CHECK(*read == config);
}

TEST(runConfig_readsTheNamesOfOtherWriters)
{
    const auto read = decodeRunConfig(
        R"({"recipe_name":"sl","base_model":"m","num_steps":9,"lora_rank":99999999,"pid":"x"})");
    CHECK(read.has_value());
    CHECK_EQUAL(read->runName, "sl");
    CHECK_EQUAL(read->baseModel, "m");
    CHECK_EQUAL(read->totalSteps.value(), 9);
    CHECK_EQUAL(read->loraRank, 65536);
    CHECK_EQUAL(read->pid, 0);
}

TEST(runCheckpoint_roundTripsOnOneLine)
{
    RunCheckpoint row;
    row.name = "step-0010";
    row.step = 10;
    row.kind = "delta";
    row.resourceName = "accounts/local/rlorTrainerJobs/j/checkpoints/step-0010-a1b2c3d4";
    row.path = "/data/läufe";
    row.savedAt = parseRfc3339("2026-11-21T14:02:11.000250Z");
    row.loss = 2.5;
    row.isFinal = true;
    const auto line = encodeRunCheckpoint(row);
    CHECK(line.find('\n') == std::string::npos);
    const auto read = decodeRunCheckpoint(line);
    CHECK(read.has_value());
    CHECK(*read == row);
}

TEST(runCheckpoint_readsTinkerCookbookLines)
{
    const auto state = decodeRunCheckpoint(
        R"({"name":"000020","batch":20,"epoch":0,"state_path":"tinker://r:train:0/weights/20"})");
    CHECK(state.has_value());
    CHECK_EQUAL(state->kind, "state");
    CHECK_EQUAL(state->step.value(), 20);
    const auto both =
        decodeRunCheckpoint(R"({"name":"final","final":true,"state_path":"a","sampler_path":"b"})");
    CHECK(both.has_value());
    CHECK(both->isFinal);
    CHECK_EQUAL(both->kind, "");
    CHECK_EQUAL(both->path, "b");
}

TEST(runStatus_roundTrips)
{
    const RunStatus status { 9, "no such file", 40 };
    CHECK(*decodeRunStatus(encodeRunStatus(status)) == status);
    CHECK(!decodeRunStatus("{\"message\":\"x\"}").has_value());
}

TEST(detachedRun_roundTripsAndCarriesErrors)
{
    const DetachedRun run { "/r", "j", 7, "/r/control.sock" };
    CHECK(*decodeDetachedRun(encodeDetachedRun(run)) == run);
    const auto failed =
        decodeDetachedRun(encodeControlError({ Error::Code::Quota, "over quota", "u", "n", "r" }));
    CHECK(!failed.has_value());
    CHECK(failed.error().code == Error::Code::Quota);
    CHECK_EQUAL(failed.error().requestId, "r");
}

TEST(controlStatus_roundTrips)
{
    ControlStatus status;
    status.state = "saving";
    status.runDir = "/r";
    status.job = "j";
    status.pid = 1;
    status.step = 3;
    status.totalSteps = 9;
    status.loss = 1.25;
    status.newestBase = "b";
    status.busyWith = "step-3";
    CHECK(*decodeControlStatus(encodeControlStatus(status)) == status);
}

TEST(controlSaved_roundTripsAndMustNameSomething)
{
    ControlSaved saved { "/p", "s", "n", "delta", "parent", 10, 12.5, 0.25 };
    CHECK(*decodeControlSaved(encodeControlSaved(saved)) == saved);
    CHECK(!decodeControlSaved("{}").has_value());
}

TEST(hostileTexts_areRefused)
{
    const std::vector<std::string> texts { "", "[]", "7", "{", "{\"a\":" + std::string(200000, '['),
        "{\"a\":\"" + std::string(2 << 20, 'x') + "\"}", std::string("{\0", 2), "\xff\xfe{}" };
    for (const auto& text : texts) {
        CHECK(!decodeRunConfig(text).has_value());
        CHECK(!decodeRunCheckpoint(text).has_value());
        CHECK(!decodeRunStatus(text).has_value());
        CHECK(!decodeDetachedRun(text).has_value());
        CHECK(!decodeControlStatus(text).has_value());
        CHECK(!decodeControlSaved(text).has_value());
    }
}

TEST(journalColumns_roundTripAnyBytes)
{
    const std::map<std::string, std::string> map { { "a", "ü\n\"" }, { "", "x" } };
    CHECK(*decodeTextMap(encodeTextMap(map)) == map);
    const RequestPreview request { "POST", "http://x", { { "h", "v" } }, "{\"a\":1}" };
    CHECK(*decodeRequestPreview(encodeRequestPreview(request)) == request);
    const std::vector<Replica> replicas { { "r0", "s", true, "ready", "t", "e", 0.1 }, {} };
    CHECK(*decodeReplicas(encodeReplicas(replicas)) == replicas);
    CHECK(!decodeReplicas("[7]").has_value());
    CHECK(decodeTextMap(encodeTextMap({ { "a", "\xff" } })).has_value());
}

} // namespace

CHECK_MAIN()
