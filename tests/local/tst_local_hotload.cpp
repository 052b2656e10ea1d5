// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/error_codec.h"
#include "tests/local/backend_fixture.h"
#include "tests/local/sample_probe.h"

#include <array>
#include <cmath>
#include <filesystem>
#include <thread>

using namespace desk::check;
using desk::FutureReply;

namespace {

const std::string kDeployment = "accounts/local/deployments/d";

/// Log-probability of the second token of a prompt, and the weights that said it.
struct Score
{
    double logprob = 0;
    std::string identity;
};
Score scoreOf(const BackendFixture& fixture, const std::string& model = kDeployment)
{
    desk::CompletionRequest wanted;
    wanted.model = model;
    wanted.prompt = "Once upon a time";
    wanted.maxTokens = 0;
    wanted.isEcho = true;
    wanted.logprobs = desk::LogprobsForm::Structured;
    const auto reply =
        fixture.probe.call("POST", desk::kCompletionsPath, desk::encodeCompletionRequest(wanted));
    const auto made = desk::decodeCompletion(reply.body);
    if (!made)
        fail(__FILE__, __LINE__, "no completion: " + reply.body);
    return { made->choices.at(0).logprobs.at(5).logprob,
        std::string(desk::servedSnapshot(made->model)) };
}

RawConnection::Reply postLoad(const BackendFixture& fixture, const std::string& body,
    const std::string& headers = BackendProbe::hotloadHeaders("d"))
{
    return fixture.probe.call("POST", desk::kHotloadPath, body, headers);
}

std::string identityBody(const std::string& identity, const std::string& more = {})
{
    return R"({"identity":")" + identity + "\"" + more + "}";
}

struct Stage // a job, a deployment that follows it, a trained model
{
    explicit Stage(BackendFixture& fixture, int rank = 0, int replicas = 1)
        : training((fixture.probe.createJob("j"), fixture.probe), "j", rank)
    {
        CHECK_EQUAL(fixture.probe.createDeployment("d", replicas, "j").status, 200);
    }
    void save(const std::string& name, const std::string& type = "base")
    {
        training.step(5e-3, m_offset += 64);
        const auto reply = training.saveSampler(name, type);
        if (reply.state != FutureReply::State::Done)
            fail(__FILE__, __LINE__, reply.error);
    }
    TrainingProbe training;

private:
    std::size_t m_offset = 0;
};

// P023: booleans of older SDKs, words of newer ones, and a request without the field.
TEST(every_cache_policy_gives_the_new_models_answers)
{
    BackendFixture fixture;
    Stage stage(fixture);
    auto before = scoreOf(fixture);
    CHECK_EQUAL(before.identity, "");
    int number = 0;
    for (const char* reset : { R"(,"reset_prompt_cache":true)", R"(,"reset_prompt_cache":false)",
             R"(,"reset_prompt_cache":"all")", R"(,"reset_prompt_cache":"new_session")",
             R"(,"reset_prompt_cache":"none")", "" }) {
        const auto name = "s" + std::to_string(++number);
        stage.save(name);
        const auto reply = postLoad(fixture, identityBody(name, reset));
        CHECK_EQUAL(reply.status, 200);
        CHECK_EQUAL(reply.body, "{}");
        fixture.probe.settled("d");
        const auto after = scoreOf(fixture);
        CHECK_EQUAL(after.identity, name);
        CHECK(std::abs(after.logprob - before.logprob) > 1e-6);
        before = after;
    }
    // The same prompt, by the trainer that made the weights.
    desk::Datum datum;
    for (const char c : std::string("Once upon a tim"))
        datum.tokens.push_back(static_cast<unsigned char>(c));
    std::vector<std::int64_t> targets;
    for (const char c : std::string("nce upon a time"))
        targets.push_back(static_cast<unsigned char>(c));
    datum.lossInputs["weights"] = desk::floatTensor(std::vector<float>(targets.size(), 1.0F));
    datum.lossInputs["target_tokens"] = desk::intTensor(targets);
    auto wanted = stage.training.forward(false, 0);
    wanted.data = { datum };
    const auto read = desk::decodeForwardResult(stage.training.submitForward(wanted).result);
    CHECK(std::abs(
              static_cast<double>(read->outputs.at(0).at("logprobs").floats.at(4)) - before.logprob)
        < 1e-3);
}

TEST(both_spellings_of_the_checksum_load_a_chain)
{
    BackendFixture fixture;
    Stage stage(fixture, 0, 2);
    stage.save("b");
    CHECK_EQUAL(fixture.probe.hotload("d", "b").status, 200);
    fixture.probe.settled("d");
    std::string parent = "b";
    int number = 0;
    for (const char* checksum :
        { R"(,"checksum_format":"alder32")", R"(,"checksum_format":"adler32")", "" }) {
        const auto name = "x" + std::to_string(++number);
        stage.save(name, "delta");
        const auto reply = postLoad(fixture,
            identityBody(name,
                R"(,"incremental_snapshot_metadata":{"previous_snapshot_identity":")" + parent
                    + R"(","compression_format":"arc_v2")" + checksum + "}"));
        CHECK_EQUAL(reply.status, 200);
        for (const auto& replica : fixture.probe.settled("d"))
            CHECK_EQUAL(replica.currentSnapshot, name);
        CHECK_EQUAL(scoreOf(fixture).identity, name);
        parent = name;
    }
}

TEST(adapters_are_loaded_beside_the_weights)
{
    BackendFixture fixture;
    Stage stage(fixture, 8);
    const auto base = scoreOf(fixture);
    stage.save("a1");
    CHECK_EQUAL(fixture.probe.hotload("d", "a1").status, 200);
    const auto first = fixture.probe.settled("d").at(0);
    CHECK(first.loadedAdapters == std::vector<std::string>({ "a1" }));
    CHECK(first.loadingAdapters.empty());
    CHECK_EQUAL(first.error, "");
    const auto one = scoreOf(fixture);
    CHECK_EQUAL(one.identity, "a1");
    CHECK(std::abs(one.logprob - base.logprob) > 1e-6);
    stage.save("a2");
    // Adapters have no chain.
    CHECK_EQUAL(fixture.probe.hotload("d", "a2", "a1").status, 400);
    CHECK_EQUAL(fixture.probe.hotload("d", "a2").status, 200);
    CHECK(fixture.probe.settled("d").at(0).loadedAdapters
        == std::vector<std::string>({ "a1", "a2" }));
    const auto two = scoreOf(fixture);
    CHECK_EQUAL(two.identity, "a2");
    // By identity: each of them.
    const auto again = scoreOf(fixture, kDeployment + "@a1");
    CHECK_EQUAL(again.identity, "a1");
    CHECK(std::abs(again.logprob - one.logprob) < 1e-6);
    CHECK_EQUAL(scoreOf(fixture, kDeployment + "@a2").identity, "a2");
    const auto none = fixture.probe.call("POST", desk::kCompletionsPath,
        R"({"model":"accounts/local/deployments/d@a3","prompt":"x"})");
    CHECK_EQUAL(none.status, 404);
    // What was loaded last is served after a restart, too.
    fixture.restart();
    const auto after = scoreOf(fixture);
    CHECK_EQUAL(after.identity, "a2");
    CHECK(std::abs(after.logprob - two.logprob) < 1e-6);
    CHECK(fixture.probe.settled("d").at(0).loadedAdapters == std::vector<std::string>({ "a2" }));
}

TEST(a_promoted_adapter_answers_on_its_base)
{
    BackendFixture fixture;
    Stage stage(fixture, 8);
    stage.save("a1");
    CHECK_EQUAL(fixture.probe.hotload("d", "a1").status, 200);
    fixture.probe.settled("d");
    const auto reply = fixture.probe.promote("j", "a1", "promoted");
    CHECK_EQUAL(reply.status, 200);
    if (const auto operation = desk::decodeOperation(reply.body); operation && !operation->isDone)
        fixture.probe.finished(operation->name);
    const auto promoted = scoreOf(fixture, "accounts/local/models/promoted");
    CHECK(std::abs(promoted.logprob - scoreOf(fixture).logprob) < 1e-6);
}

TEST(a_failed_load_keeps_the_weights_and_the_next_one_clears_it)
{
    BackendFixture fixture(
        R"([{"route":"* /hot_load/*","nth":2,"action":"replica-error","replica":1}])");
    Stage stage(fixture);
    stage.save("b1");
    stage.save("b2");
    CHECK_EQUAL(fixture.probe.hotload("d", "b1").status, 200);
    // Reading the status counts as a request of the route, so that the second one is any of them.
    const auto first = fixture.probe.settled("d").at(0);
    CHECK_EQUAL(first.currentSnapshot, "b1");
    const auto folder = fixture.folder.path() / "objects";
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
        if (entry.path().string().find("/b2/") != std::string::npos
            && entry.path().extension() == ".safetensors")
            std::filesystem::resize_file(entry.path(), 100);
    CHECK_EQUAL(fixture.probe.hotload("d", "b2").status, 200);
    const auto failed = fixture.probe.settled("d").at(0);
    CHECK_EQUAL(failed.stage, "error");
    CHECK_EQUAL(failed.targetSnapshot, "b2"); // the SDK tells stale errors by it
    CHECK_EQUAL(failed.currentSnapshot, "b1");
    CHECK(!failed.error.empty());
    CHECK_EQUAL(scoreOf(fixture).identity, "b1");
    stage.save("b3");
    CHECK_EQUAL(fixture.probe.hotload("d", "b3").status, 200);
    const auto mended = fixture.probe.settled("d").at(0);
    CHECK_EQUAL(mended.currentSnapshot, "b3");
    CHECK_EQUAL(mended.error, "");
    CHECK(mended.stage != "error");
}

TEST(another_address_may_name_the_snapshot)
{
    BackendFixture fixture;
    Stage stage(fixture);
    stage.save("b");
    fixture.probe.createJob("k");
    fixture.probe.createDeployment("e", 1, "k");
    const auto headers = BackendProbe::hotloadHeaders("e");
    CHECK_EQUAL(postLoad(fixture, identityBody("b"), headers).status, 404);
    CHECK_EQUAL(postLoad(fixture, identityBody("b"),
                    headers + "x-fireworks-hot-load-source-url: gs://bucket/local/j\r\n")
                    .status,
        200);
    CHECK_EQUAL(fixture.probe.settled("e").at(0).currentSnapshot, "b");
    CHECK_EQUAL(postLoad(fixture, identityBody("b"),
                    headers + "x-fireworks-hot-load-source-url: gs://bucket/elsewhere\r\n")
                    .status,
        400);
}

struct Refusal
{
    std::string body;
    std::string headers;
    int status;
    const char* words;
};

TEST(every_refusal_of_a_load_says_why)
{
    BackendFixture fixture;
    Stage stage(fixture);
    stage.save("b");
    stage.save("x", "delta");
    fixture.probe.createDeployment("free", 1);
    fixture.probe.createDeployment("zero", 1, "j");
    fixture.probe.call(
        "PATCH", BackendProbe::accountPath("/deployments/zero:scale"), R"({"replicaCount":0})");
    const auto own = BackendProbe::hotloadHeaders("d");
    const auto increment = [](const std::string& fields) {
        return identityBody("x", R"(,"incremental_snapshot_metadata":{)" + fields + "}");
    };
    const std::vector<Refusal> refusals {
        { "{", own, 400, "JSON" },
        { "{}", own, 400, "identity" },
        { identityBody("a/b"), own, 400, "slash" },
        { identityBody("b", R"(,"reset_prompt_cache":"some")"), own, 400, "reset_prompt_cache" },
        { identityBody("b", R"(,"unknown_field":1)"), own, 400, "Extra inputs are not permitted" },
        { identityBody("b"), "", 404, "fireworks-deployment" },
        { identityBody("b"), BackendProbe::hotloadHeaders("none"), 404, "none" },
        { identityBody("b"), "fireworks-deployment: accounts/other/deployments/d\r\n", 404,
            "other" },
        { identityBody("nothing"), own, 404, "nothing" },
        { identityBody("b"),
            "fireworks-model: accounts/local/models/other\r\nfireworks-deployment: " + kDeployment
                + "\r\n",
            400, "fireworks-model" },
        { identityBody("x"), own, 400, "incremental_snapshot_metadata" },
        { increment(R"("previous_snapshot_identity":"y","compression_format":"arc_v2")"), own, 400,
            "stands on b" },
        { increment(R"("previous_snapshot_identity":"b","compression_format":"zip")"), own, 400,
            "arc_v2" },
        { increment(R"("previous_snapshot_identity":"b","checksum_format":"crc32")"), own, 400,
            "checksum_format" },
        { increment(R"("compression_format":"arc_v2")"), own, 400, "previous_snapshot_identity" },
        // The chain: no replica has the parent yet.
        { increment(R"("previous_snapshot_identity":"b","compression_format":"arc_v2")"), own, 400,
            "base model" },
        { identityBody(
              "b", R"(,"incremental_snapshot_metadata":{"previous_snapshot_identity":"a"})"),
            own, 400, "full" },
        { identityBody("b"), BackendProbe::hotloadHeaders("zero"), 400, "zero" },
    };
    for (const auto& refusal : refusals) {
        const auto reply = postLoad(fixture, refusal.body, refusal.headers);
        if (reply.status != refusal.status)
            fail(__FILE__, __LINE__, refusal.body + " gave " + reply.body);
        const auto error = desk::errorFromReply(reply.status, reply.body, "load", {});
        if (error.message.find(refusal.words) == std::string::npos)
            fail(__FILE__, __LINE__, refusal.words + (": " + error.message));
    }
    for (const auto& [headers, status] : std::vector<std::pair<std::string, int>> {
             { "", 404 }, { BackendProbe::hotloadHeaders("none"), 404 }, { own, 200 } })
        CHECK_EQUAL(fixture.probe.call("GET", desk::kHotloadPath, {}, headers).status, status);
    CHECK_EQUAL(fixture.probe.replicas("d").at(0).currentSnapshot, "");
    CHECK(fixture.probe.replicas("zero").empty());
}

TEST(a_moved_deployment_updates_and_comes_back_with_the_base_model)
{
    BackendFixture fixture;
    Stage stage(fixture, 0, 2);
    stage.save("b");
    CHECK_EQUAL(fixture.probe.hotload("d", "b").status, 200);
    const auto before = fixture.probe.settled("d");
    fixture.probe.createJob("k");
    const auto path = BackendProbe::accountPath("/deployments/d");
    const auto patched = fixture.probe.call("PATCH",
        path + "?updateMask=hot_load_trainer_job%2Chot_load_transition_type",
        R"({"hotLoadTrainerJob":"accounts/local/rlorTrainerJobs/k","hotLoadTransitionType":"SYNC"})");
    CHECK_EQUAL(patched.status, 200);
    auto record = desk::decodeDeployment(patched.body);
    CHECK(record->state == "UPDATING" || record->state == "READY");
    CHECK_EQUAL(record->hotLoadTrainerJob, "accounts/local/rlorTrainerJobs/k");
    for (int i = 0; i < 2000 && record->state != "READY"; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        record = desk::decodeDeployment(fixture.probe.call("GET", path).body);
        CHECK(record->state == "UPDATING" || record->state == "READY");
    }
    CHECK_EQUAL(record->transitionType, "SYNC");
    const auto after = fixture.probe.settled("d");
    CHECK_EQUAL(after.size(), std::size_t { 2 });
    CHECK(after.at(0).identity != before.at(0).identity);
    CHECK_EQUAL(after.at(0).currentSnapshot, "");
    CHECK_EQUAL(scoreOf(fixture).identity, "");
}

// gateway.md section 4.7: SYNC transitions answer 425 until the swap is over, ASYNC ones go on.
TEST(a_deployment_that_swaps_in_one_go_is_too_early_meanwhile)
{
    BackendFixture fixture;
    Stage stage(fixture, 0, 4);
    CHECK_EQUAL(
        fixture.probe
            .call("PATCH",
                BackendProbe::accountPath("/deployments/d?updateMask=hot_load_transition_type"),
                R"({"hotLoadTransitionType":"SYNC"})")
            .status,
        200);
    const std::string body = R"({"model":")" + kDeployment + R"(","prompt":[1,2],"max_tokens":1})";
    bool wasEarly = false;
    for (int i = 0; i < 20 && !wasEarly; ++i) {
        const auto name = "s" + std::to_string(i);
        stage.save(name);
        CHECK_EQUAL(fixture.probe.hotload("d", name).status, 200);
        const auto reply = fixture.probe.call("POST", desk::kCompletionsPath, body);
        CHECK(reply.status == 425 || reply.status == 200);
        wasEarly = reply.status == 425;
        if (wasEarly)
            CHECK(reply.body.find("DEPLOYMENT_NOT_READY") != std::string::npos);
        fixture.probe.settled("d");
        CHECK_EQUAL(fixture.probe.call("POST", desk::kCompletionsPath, body).status, 200);
    }
    CHECK(wasEarly);
}

} // namespace

CHECK_MAIN()
