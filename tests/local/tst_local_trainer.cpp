// SPDX-License-Identifier: GPL-3.0-or-later
// The trainer's side over the wire: futures, order, saves, loads, parents.
#include "tests/local/backend_fixture.h"
#include "tests/support/check.h"

#include <algorithm>

namespace {

using desk::FutureReply;
using desk::check::BackendFixture;
using desk::check::BackendProbe;
using desk::check::TrainingProbe;

const desk::Checkpoint& row(const std::vector<desk::Checkpoint>& rows, const std::string& id)
{
    for (const auto& entry : rows)
        if (entry.name == "accounts/local/rlorTrainerJobs/j/checkpoints/" + id)
            return entry;
    desk::check::fail(__FILE__, __LINE__, "no row " + id);
}

TEST(training_lowers_the_loss)
{
    BackendFixture fixture;
    CHECK_EQUAL(fixture.probe.createJob("j").status, 200);
    TrainingProbe training(fixture.probe, "j");
    const auto before = training.loss(0);
    for (int i = 0; i < 5; ++i)
        training.step();
    CHECK(training.loss(0) < before);
}

TEST(a_repeated_submission_runs_once_and_its_result_stays)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    const auto wanted = training.forward(true, 0);
    const auto body = desk::encodeForward(wanted);
    const auto first = training.post("forward_backward", *body).body;
    const auto second = training.post("forward_backward", *body).body;
    CHECK_EQUAL(first, second);
    CHECK_EQUAL(training.result(first).result, training.result(first).result);
    auto other = training.forward(true, 40);
    other.seqId = wanted.seqId;
    CHECK_EQUAL(training.post("forward_backward", *desk::encodeForward(other)).status, 400);
}

TEST(chunks_in_any_order_give_the_same_weights)
{
    std::vector<double> losses;
    for (const bool isReversed : { false, true }) {
        BackendFixture fixture;
        fixture.probe.createJob("j");
        TrainingProbe training(fixture.probe, "j");
        std::vector<desk::ForwardRequest> chunks { training.forward(true, 0),
            training.forward(true, 100), training.forward(true, 200) };
        if (isReversed)
            std::reverse(chunks.begin(), chunks.end());
        std::vector<std::string> futures;
        for (const auto& chunk : chunks)
            futures.push_back(training.post("forward_backward", *desk::encodeForward(chunk)).body);
        desk::OptimStep step;
        step.modelId = training.model();
        step.seqId = training.nextSequence();
        step.adam.learningRate = 1e-2;
        CHECK(training.result(training.post("optim_step", desk::encodeOptimStep(step)).body).state
            == FutureReply::State::Done);
        losses.push_back(training.loss(0));
    }
    CHECK_EQUAL(losses[0], losses[1]);
}

TEST(bad_data_fails_in_its_future_and_the_model_lives_on)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    auto wanted = training.forward(true, 0);
    wanted.data[0].lossInputs["target_tokens"] = desk::intTensor({ 1, 2, 3 });
    auto reply = training.submitForward(wanted);
    CHECK(reply.state == FutureReply::State::Failed);
    CHECK_EQUAL(reply.category, "user");
    CHECK(reply.error.find("datum 0") != std::string::npos);
    wanted = training.forward(true, 0);
    wanted.lossFn = "no_such_loss";
    reply = training.submitForward(wanted);
    CHECK_EQUAL(reply.category, "user");
    CHECK(reply.error.find("cross_entropy") != std::string::npos);
    const auto unread =
        training.post("forward", R"({"forward_input":{"data":[1]},"model_id":"m","seq_id":9})");
    CHECK_EQUAL(unread.status, 200);
    CHECK(training.result(unread.body).state == FutureReply::State::Failed);
    training.step();
}

TEST(the_first_snapshot_must_be_a_base)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    const auto reply = training.saveSampler("step-0001-a1b2c3d4", "delta");
    CHECK(reply.state == FutureReply::State::Failed);
    CHECK_EQUAL(reply.category, "user");
    CHECK(reply.error.find("no base save") != std::string::npos);
    CHECK_EQUAL(fixture.probe.checkpoints("j").size(), 0U);
}

TEST(without_a_deployment_a_delta_stands_on_the_newest_snapshot)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    for (std::size_t i = 0; i < 5; ++i) // weights leave the BF16 grid of the starting ones
        training.step(1e-3, i * 40);
    CHECK(training.saveSampler("b1", "base").state == FutureReply::State::Done);
    training.step(1e-5);
    CHECK(training.saveState("state").state == FutureReply::State::Done);
    CHECK(training.saveSampler("d1", "delta").state == FutureReply::State::Done);
    training.step(1e-5);
    CHECK(training.saveSampler("d2", "delta").state == FutureReply::State::Done);
    const auto rows = fixture.probe.checkpoints("j");
    CHECK_EQUAL(rows.size(), 4U);
    CHECK(row(rows, "b1").isPromotable);
    CHECK_EQUAL(row(rows, "b1").parent, "");
    CHECK_EQUAL(row(rows, "d1").parent, "b1");
    CHECK_EQUAL(row(rows, "d2").parent, "d1");
    CHECK_EQUAL(row(rows, "d2").step.value_or(0), 7);
    CHECK(!row(rows, "d1").isPromotable);
    CHECK(row(rows, "state").type == desk::CheckpointType::Training);
    CHECK_EQUAL(row(rows, "state").restoreReference, "cross_job://j/state");
    // Measured at this learning rate: the delta of a step is ten times smaller than its base.
    CHECK(*row(rows, "d1").sizeBytes * 10 < *row(rows, "d1").baseBytes);
    CHECK(*row(rows, "d1").changedFraction > 0);
    CHECK(*row(rows, "d1").changedFraction < 0.1);
}

TEST(a_delta_stands_on_what_all_replicas_serve)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    CHECK_EQUAL(fixture.probe.createDeployment("d", 2, "j").status, 200);
    TrainingProbe training(fixture.probe, "j");
    training.saveSampler("b1", "base");
    training.saveSampler("b2", "base");
    CHECK_EQUAL(fixture.probe.hotload("d", "b1").status, 200);
    fixture.probe.settled("d");
    training.step(1e-5);
    training.saveSampler("d1", "delta");
    training.saveSampler("d2", "delta"); // not loaded in between: the same parent
    const auto rows = fixture.probe.checkpoints("j");
    CHECK_EQUAL(row(rows, "d1").parent, "b1");
    CHECK_EQUAL(row(rows, "d2").parent, "b1");
}

TEST(a_job_of_a_deployment_first_pair_follows_it_too)
{
    BackendFixture fixture;
    fixture.probe.createDeployment("d", 1);
    fixture.probe.createJob("j", "d");
    TrainingProbe training(fixture.probe, "j");
    training.saveSampler("b1", "base");
    fixture.probe.hotload("d", "b1");
    fixture.probe.settled("d");
    training.saveSampler("b2", "base");
    training.step(1e-5);
    training.saveSampler("d1", "delta");
    CHECK_EQUAL(row(fixture.probe.checkpoints("j"), "d1").parent, "b1");
}

TEST(a_snapshot_is_never_replaced_and_a_state_is)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    CHECK(training.saveSampler("b1", "base").state == FutureReply::State::Done);
    CHECK(training.saveSampler("b1", "base").state == FutureReply::State::Failed);
    CHECK(training.saveState("s").state == FutureReply::State::Done);
    training.step();
    CHECK(training.saveState("s").state == FutureReply::State::Done);
    const auto rows = fixture.probe.checkpoints("j");
    CHECK_EQUAL(rows.size(), 2U);
    CHECK_EQUAL(row(rows, "s").step.value_or(0), 1);
}

TEST(a_save_with_a_time_to_live_goes_by_itself)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    desk::SaveWeights wanted;
    wanted.modelId = training.model();
    const auto save = [&](const char* name, std::int64_t seconds) {
        wanted.path = name;
        wanted.ttlSeconds = seconds;
        wanted.seqId = training.nextSequence();
        return training.result(training.post("save_weights", desk::encodeSaveWeights(wanted)).body);
    };
    CHECK(save("never", 0).state == FutureReply::State::Failed);
    CHECK(save("hour", 3600).state == FutureReply::State::Done);
    CHECK(save("second", 1).state == FutureReply::State::Done);
    const auto rows = fixture.probe.checkpoints("j");
    CHECK(*row(rows, "hour").expires - *row(rows, "hour").created > std::chrono::seconds(3590));
    const auto path = row(rows, "second").path;
    for (int i = 0; i < 1000 && fixture.probe.checkpoints("j").size() > 1; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK_EQUAL(fixture.probe.checkpoints("j").size(), 1U);
    for (int i = 0; i < 1000 && std::filesystem::exists(path); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(!std::filesystem::exists(path));
    CHECK(std::filesystem::exists(row(rows, "hour").path));
}

TEST(names_that_are_no_names_are_user_errors)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    for (const char* name : { "../x", "a/b", "." }) {
        CHECK_EQUAL(training.saveSampler(name, "base").category, "user");
        CHECK_EQUAL(training.saveState(name).category, "user");
    }
    CHECK_EQUAL(training.saveSampler("x", "merged_base").category, "user");
    CHECK_EQUAL(training.load("/etc", true).category, "user");
    CHECK_EQUAL(training.load("cross_job://other/s", true).category, "user");
}

TEST(loading_with_the_optimizer_repeats_the_run_exactly)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    training.step();
    training.saveState("s1");
    training.step();
    const auto expected = training.loss(0);
    CHECK(training.load("s1", true).state == FutureReply::State::Done);
    training.step();
    CHECK_EQUAL(training.loss(0), expected);
    CHECK(training.load("cross_job://j/s1", false).state == FutureReply::State::Done);
    training.step();
    CHECK(training.loss(0) != expected); // without moments the step is another one
}

TEST(after_a_restart_the_error_names_the_newest_save)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    std::string model;
    {
        TrainingProbe training(fixture.probe, "j");
        training.step();
        training.saveState("state-1");
        model = training.model();
    }
    fixture.restart();
    const auto unknown = fixture.probe.call("POST",
        BackendProbe::trainerPath("j", "retrieve_future"), desk::encodeRetrieve("00000000-1"));
    CHECK_EQUAL(unknown.status, 404);
    CHECK(unknown.body.find("state-1 at step 1") != std::string::npos);
    TrainingProbe training(fixture.probe, "j");
    desk::OptimStep step;
    step.modelId = model;
    step.seqId = 40;
    const auto reply =
        training.result(training.post("optim_step", desk::encodeOptimStep(step)).body);
    CHECK(reply.state == FutureReply::State::Failed);
    CHECK(reply.error.find("the newest save of job j is state-1 at step 1") != std::string::npos);
    CHECK(training.load("state-1", true).state == FutureReply::State::Done);
}

TEST(telemetry_and_lists_answer)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    const auto path = [](const char* name) { return BackendProbe::trainerPath("j", name); };
    CHECK_EQUAL(fixture.probe.call("POST", path("telemetry"), R"({"events":[]})").body,
        R"({"status":"accepted"})");
    CHECK_EQUAL(fixture.probe.call("GET", path("list_checkpoints")).body, R"({"checkpoints":[]})");
    CHECK_EQUAL(fixture.probe.call("GET", path("healthz")).status, 200);
    CHECK_EQUAL(fixture.probe.call("POST", path("client/config"), "{}").status, 200);
    CHECK_EQUAL(
        fixture.probe.call("GET", BackendProbe::trainerPath("none", "healthz")).status, 404);
    CHECK_EQUAL(fixture.probe.call("GET", "/api/v1/healthz").status, 200);
}

TEST(a_cancelled_job_ends_its_models_until_it_is_resumed)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    CHECK_EQUAL(
        fixture.probe.call("POST", BackendProbe::accountPath("/rlorTrainerJobs/j:cancel"), "{}")
            .status,
        200);
    CHECK_EQUAL(fixture.probe.call("GET", BackendProbe::trainerPath("j", "healthz")).status, 404);
    const auto wanted = training.forward(true, 0);
    CHECK(training.submitForward(wanted).state == FutureReply::State::Failed);
    const auto resumed =
        fixture.probe.call("POST", BackendProbe::accountPath("/rlorTrainerJobs/j:resume"));
    CHECK(desk::decodeJob(resumed.body)->state == desk::JobState::Running);
    TrainingProbe again(fixture.probe, "j");
    again.step();
}

} // namespace

CHECK_MAIN()
