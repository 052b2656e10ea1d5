// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/rehearsal_report.h"
#include "services/runs/rehearsal_findings.h"
#include "tests/support/check.h"

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace desk;

/// A script without a fault: trained five steps, saved both kinds after the last one, tidied up.
RehearsalRecord cleanRecord()
{
    RehearsalRecord record;
    record.id = "rehearsal-1";
    record.began = parseRfc3339("2026-11-25T10:00:00Z");
    RehearsedModel model;
    model.id = "s1:train:0";
    model.job = "job-1";
    model.baseModel = "Qwen/Qwen3-8B";
    model.backwardCalls = 5;
    model.trainedTokens = 500;
    model.steps = 5;
    model.firstLoss = 4.0;
    model.lastLoss = 2.5;
    record.models.push_back(model);
    record.jobs.push_back({ "job-1", model.baseModel, "JOB_STATE_DELETED", true,
        parseRfc3339("2026-11-25T10:00:01Z"), parseRfc3339("2026-11-25T10:02:01Z") });
    record.checkpoints.push_back({ "job-1", "final", "state", false, 5, record.began });
    record.checkpoints.push_back({ "job-1", "final-00000001", "base", true, 5, record.began });
    record.deployments.push_back({ "eval", "READY", 2, "final-00000001", true,
        parseRfc3339("2026-11-25T10:00:30Z"), parseRfc3339("2026-11-25T10:01:30Z") });
    return record;
}

std::vector<std::string> ids(const RehearsalRecord& record)
{
    std::vector<std::string> all;
    for (const auto& finding : findMistakes(record))
        all.push_back((finding.isMistake ? "" : "note ") + finding.id);
    return all;
}

TEST(aCleanRunHasNoFinding)
{
    CHECK(findMistakes(cleanRecord()).empty());
}

TEST(noStateIsAMistake)
{
    auto record = cleanRecord();
    record.checkpoints.erase(record.checkpoints.begin());
    CHECK_EQUAL(ids(record), std::vector<std::string> { "no_resumable_save" });
}

TEST(stepsAfterTheNewestStateAreANote)
{
    auto record = cleanRecord();
    record.checkpoints[0].step = 3;
    CHECK_EQUAL(ids(record), std::vector<std::string> { "note steps_after_last_state" });
}

TEST(onlyADeltaLeavesNothingToPromote)
{
    auto record = cleanRecord();
    record.checkpoints[1] = { "job-1", "step-5-00000001", "delta", false, 5, record.began };
    CHECK_EQUAL(ids(record), std::vector<std::string> { "nothing_promotable" });
}

TEST(aBaseOfStepZeroIsTheUntrainedTrap)
{
    auto record = cleanRecord();
    record.checkpoints[1].step = 0;
    CHECK_EQUAL(ids(record), std::vector<std::string> { "only_untrained_promotable" });
    record.promoted.push_back({ "support-v1", "HF_BASE_MODEL",
        "accounts/local/rlorTrainerJobs/job-1/checkpoints/final-00000001" });
    CHECK_EQUAL(ids(record),
        (std::vector<std::string> { "only_untrained_promotable", "untrained_promoted" }));
}

TEST(promotingADeltaIsToldFromOtherRefusals)
{
    auto record = cleanRecord();
    record.checkpoints.push_back({ "job-1", "step-5-00000001", "delta", false, 5, record.began });
    record.refusals.push_back(
        { "POST", "/v1/accounts/local/rlorTrainerJobs/job-1/checkpoints/step-5-00000001:promote",
            400, "needs its base", 2 });
    record.refusals.push_back(
        { "POST", "/v1/accounts/local/checkpoints/final:promote", 400, "bad id", 1 });
    CHECK_EQUAL(ids(record), (std::vector<std::string> { "delta_promoted", "promotion_refused" }));
}

TEST(whatWasLeftUpCostsMoney)
{
    auto record = cleanRecord();
    record.deployments[0].isDeleted = false;
    record.deployments[0].deleted.reset();
    record.jobs[0] = { "job-1", "m", "JOB_STATE_RUNNING", false, record.began, {} };
    CHECK_EQUAL(
        ids(record), (std::vector<std::string> { "deployment_left_up", "trainer_left_running" }));
    record.deployments[0].replicas = 0;
    CHECK_EQUAL(ids(record), std::vector<std::string> { "trainer_left_running" });
}

TEST(aRunWithoutAJobOfItsOwnLeavesNoTrainer)
{
    auto record = cleanRecord();
    record.models[0].job = "s1-train-0";
    record.jobs[0] = { "s1-train-0", "m", "JOB_STATE_RUNNING", false, record.began, {} };
    for (auto& row : record.checkpoints)
        row.job = "s1-train-0";
    CHECK(findMistakes(record).empty());
}

TEST(gradientsWithoutAStep)
{
    auto record = cleanRecord();
    record.models[0].steps = 0;
    CHECK_EQUAL(ids(record), std::vector<std::string> { "never_stepped" });
}

TEST(costIsTheTimeOfTrainersAndReplicas)
{
    const auto cost = costOf(cleanRecord(), *parseRfc3339("2026-11-25T10:10:00Z"));
    CHECK_EQUAL(cost.trainerSeconds, 120.0);
    CHECK_EQUAL(cost.replicaSeconds, 120.0); // two replicas for a minute
    auto open = cleanRecord();
    open.jobs[0].ended.reset();
    open.jobs[0].created = parseRfc3339("2026-11-25T09:00:00Z"); // was there before
    CHECK_EQUAL(costOf(open, *parseRfc3339("2026-11-25T10:10:00Z")).trainerSeconds, 600.0);
}

TEST(theRecordRoundTrips)
{
    auto record = cleanRecord();
    record.standIns.push_back({ "Qwen/Qwen3-8B", "qwen3-8b", 151936, 4881472, "family", false });
    record.promoted.push_back({ "support-v1", "HF_BASE_MODEL", "a/b" });
    record.hotLoads.push_back({ "eval", "final-00000001", 200 });
    record.refusals.push_back({ "POST", "/x", 400, "no \"x\"", 3 });
    record.sampledSequences = 4;
    record.completions = 5;
    record.requests = 6;
    const auto read = decodeRehearsal(encodeRehearsal(record));
    CHECK(read.has_value());
    CHECK(*read == record);
    CHECK(!decodeRehearsal("{}"));
    CHECK(!decodeRehearsal("[1"));
}

TEST(aStandInSaysWhatItIs)
{
    const StandIn known { "Qwen/Qwen3-8B", "qwen3-8b", 151936, 4881472, "family", false };
    CHECK_EQUAL(standInSentence(known),
        "Qwen/Qwen3-8B is played by a small stand-in with random weights (4881472 parameters, "
        "vocabulary of 151936), the vocabulary being that of its family");
    const StandIn unknown { "me/x", "x", 259, 10000, "unknown", false };
    CHECK(standInSentence(unknown).find("--stand-in me/x=SIZE") != std::string::npos);
}

TEST(theReportForPeople)
{
    RehearsalReport report;
    report.command = { "python", "train.py" };
    report.seconds = 90;
    report.record = cleanRecord();
    report.record.checkpoints.erase(report.record.checkpoints.begin());
    report.findings = findMistakes(report.record);
    report.cost = { 120, 60 };
    CHECK(!isClean(report));
    const auto text = toText(report);
    CHECK(text.find("trained     Qwen/Qwen3-8B (all parameters): 5 steps, 500 tokens, loss a token "
                    "4 -> 2.5")
        != std::string::npos);
    CHECK(text.find("would cost  2.0 min of trainers, 1.0 min of replicas") != std::string::npos);
    CHECK(text.find("MISTAKE     s1:train:0 trained 5 steps and saved no state")
        != std::string::npos);
    report.findings.clear();
    CHECK(isClean(report));
    report.exitCode = 1;
    CHECK(!isClean(report));
}

} // namespace

CHECK_MAIN()
