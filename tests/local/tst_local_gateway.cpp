// SPDX-License-Identifier: GPL-3.0-or-later
// Control plane, promotion, hot load and completions over the wire.
#include "services/delta/engine.h"
#include "tests/local/backend_fixture.h"
#include "tests/support/check.h"

#include <filesystem>

namespace {

using desk::FutureReply;
using desk::check::BackendFixture;
using desk::check::BackendProbe;
using desk::check::TrainingProbe;

TEST(a_wrong_key_is_401_everywhere_but_at_healthz)
{
    BackendFixture fixture;
    const auto port = fixture.probe.port();
    CHECK_EQUAL(desk::check::request(port, "GET", "/healthz").status, 200);
    for (const char* path : { "/v1/accounts", "/v1/nothing", "/api/v1/healthz" }) {
        CHECK_EQUAL(desk::check::request(port, "GET", path).status, 401);
        CHECK_EQUAL(
            desk::check::request(port, "GET", path, {}, "X-Api-Key: wrong\r\n").status, 401);
    }
}

TEST(there_is_one_account)
{
    BackendFixture fixture;
    const auto accounts = desk::decodeAccounts(fixture.probe.call("GET", "/v1/accounts").body);
    CHECK_EQUAL(accounts->items.size(), 1U);
    CHECK_EQUAL(accounts->items[0].name, "accounts/local");
    CHECK_EQUAL(fixture.probe.call("GET", "/v1/accounts/other/models").status, 404);
}

TEST(jobs_are_created_once_listed_in_pages_and_buried)
{
    BackendFixture fixture;
    for (const char* id : { "j1", "j2", "j3" })
        CHECK_EQUAL(fixture.probe.createJob(id).status, 200);
    CHECK_EQUAL(fixture.probe.createJob("j1").status, 409);
    const auto list = BackendProbe::accountPath("/rlorTrainerJobs");
    const auto body = fixture.probe.call("GET", list + "?pageSize=2").body;
    CHECK(body.find("\"totalSize\":3") != std::string::npos);
    const auto first = desk::decodeJobs(body);
    CHECK_EQUAL(first->items.size(), 2U);
    const auto second = desk::decodeJobs(
        fixture.probe.call("GET", list + "?pageSize=2&pageToken=" + first->nextPageToken).body);
    CHECK_EQUAL(second->items.size(), 1U);
    CHECK_EQUAL(second->nextPageToken, "");
    CHECK_EQUAL(fixture.probe.call("GET", list + "?pageToken=x").status, 400);
    CHECK_EQUAL(fixture.probe.call("DELETE", list + "/j2").status, 200);
    CHECK_EQUAL(fixture.probe.call("DELETE", list + "/j2").status, 200);
    CHECK_EQUAL(desk::decodeJobs(fixture.probe.call("GET", list).body)->items.size(), 2U);
    CHECK(desk::decodeJob(fixture.probe.call("GET", list + "/j2").body)->state
        == desk::JobState::Archived);
    CHECK_EQUAL(fixture.probe.createJob("j2").status, 409);
    CHECK_EQUAL(fixture.probe.call("GET", list + "/none").status, 404);
}

TEST(jobs_that_cannot_train_are_refused)
{
    BackendFixture fixture;
    desk::CreateJob wanted;
    wanted.jobId = "j";
    wanted.baseModel = "accounts/fireworks/models/qwen3-8b";
    const auto path = BackendProbe::accountPath("/rlorTrainerJobs?rlorTrainerJobId=j");
    CHECK_EQUAL(fixture.probe.call("POST", path, desk::encodeCreateJob(wanted)).status, 404);
    wanted.baseModel = BackendProbe::baseModel();
    wanted.loraRank = 129;
    CHECK_EQUAL(fixture.probe.call("POST", path, desk::encodeCreateJob(wanted)).status, 400);
    CHECK_EQUAL(fixture.probe.call("POST", path, "{").status, 400);
    CHECK_EQUAL(fixture.probe.createJob("..").status, 400);
}

TEST(a_promotion_copies_the_files_and_happens_once)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    for (int i = 0; i < 3; ++i)
        training.step(1e-2);
    training.saveSampler("b1", "base");
    const auto answer = desk::decodePromoteAnswer(fixture.probe.promote("j", "b1", "mine").body);
    const auto again = desk::decodePromoteAnswer(fixture.probe.promote("j", "b1", "mine").body);
    CHECK_EQUAL(answer->operation->name, again->operation->name);
    const auto done = fixture.probe.finished(answer->operation->name);
    CHECK(!done.error.has_value());
    CHECK_EQUAL(done.response->name, "accounts/local/models/mine");
    CHECK_EQUAL(done.response->promotedFrom, "accounts/local/rlorTrainerJobs/j/checkpoints/b1");
    const auto checkpoint = fixture.probe.checkpoints("j").at(0);
    CHECK_EQUAL(
        desk::check::fileBytes(std::filesystem::path(done.response->path) / "model.safetensors"),
        desk::check::fileBytes(std::filesystem::path(checkpoint.path) / "model.safetensors"));
    CHECK(checkpoint.path != done.response->path);
    CHECK(fixture.probe.complete("accounts/local/models/mine").choices.at(0).text
        != fixture.probe.complete(BackendProbe::baseModel()).choices.at(0).text);
    const auto models = BackendProbe::accountPath("/models");
    CHECK_EQUAL(desk::decodeModels(fixture.probe.call("GET", models).body)->items.size(), 2U);
    CHECK_EQUAL(fixture.probe.call("DELETE", models + "/desk-tiny").status, 400);
    CHECK_EQUAL(fixture.probe.call("DELETE", models + "/mine").status, 200);
    CHECK_EQUAL(fixture.probe.call("GET", models + "/mine").status, 404);
    CHECK(!std::filesystem::exists(done.response->path));
    const auto anew = desk::decodePromoteAnswer(fixture.probe.promote("j", "b1", "mine").body);
    CHECK(fixture.probe.finished(anew->operation->name).response.has_value());
}

TEST(what_cannot_be_promoted_is_refused_with_the_reason)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    training.saveSampler("b1", "base");
    training.step(1e-5);
    training.saveSampler("d1", "delta");
    training.saveState("s1");
    CHECK_EQUAL(fixture.probe.promote("j", "none", "m").status, 404);
    CHECK_EQUAL(fixture.probe.promote("j", "s1", "m").status, 400);
    const auto delta = fixture.probe.promote("j", "d1", "m");
    CHECK_EQUAL(delta.status, 400);
    CHECK(delta.body.find("is not promotable: it is a delta") != std::string::npos);
    CHECK_EQUAL(fixture.probe.promote("j", "b1", "Bad_Id").status, 400);
    CHECK_EQUAL(fixture.probe.promote("j", "b1", "desk-tiny").status, 409);
    desk::Promote wrongBase;
    wrongBase.outputModel = "accounts/local/models/m";
    wrongBase.trainerJob = "accounts/local/rlorTrainerJobs/j";
    wrongBase.baseModel = "accounts/local/models/other";
    CHECK_EQUAL(fixture.probe
                    .call("POST", BackendProbe::accountPath("/checkpoints/b1:promote"),
                        desk::encodePromote(wrongBase))
                    .status,
        400);
}

TEST(two_replicas_load_a_base_then_a_delta_bit_by_bit)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    CHECK_EQUAL(fixture.probe.createDeployment("d", 2, "j").status, 200);
    const std::string model = "accounts/local/deployments/d";
    const auto first = fixture.probe.complete(model);
    CHECK_EQUAL(first.model, model);
    TrainingProbe training(fixture.probe, "j");
    for (int i = 0; i < 3; ++i)
        training.step(1e-2);
    training.saveSampler("b1", "base");
    CHECK_EQUAL(fixture.probe.hotload("d", "b1").status, 200);
    for (const auto& replica : fixture.probe.settled("d"))
        CHECK_EQUAL(replica.currentSnapshot, "b1");
    const auto second = fixture.probe.complete(model);
    CHECK_EQUAL(second.model, model + "@b1");
    CHECK(second.choices.at(0).text != first.choices.at(0).text);
    training.step(1e-4);
    training.saveSampler("d1", "delta");
    CHECK_EQUAL(fixture.probe.hotload("d", "d1", "b1").status, 200);
    for (const auto& replica : fixture.probe.settled("d")) {
        CHECK_EQUAL(replica.currentSnapshot, "d1");
        CHECK_EQUAL(replica.stage, "ready");
        CHECK(replica.seconds.has_value());
    }
    CHECK_EQUAL(fixture.probe.complete(model).model, model + "@d1");
    // base XOR delta, computed here, is what both replicas hold on disk.
    auto engine = desk::openDeltaEngine(desk::DevicePolicy::CpuOnly);
    const auto rows = fixture.probe.checkpoints("j");
    for (const char* replica : { "0", "1" }) {
        desk::VerifyJob job;
        job.base = rows.at(0).path;
        job.deltas = { rows.at(1).path };
        job.target = fixture.folder.path() / "objects/replicas/d" / replica / "d1";
        const auto report = (*engine)->verify(job, {});
        CHECK(report.has_value());
        CHECK(report->verdict == desk::Verdict::Exact);
        CHECK(report->counts.total > 0);
    }
}

TEST(a_delta_that_does_not_fit_is_refused)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    fixture.probe.createDeployment("d", 2, "j");
    TrainingProbe training(fixture.probe, "j");
    training.saveSampler("b1", "base");
    training.step(1e-5);
    training.saveSampler("d1", "delta");
    const auto unserved = fixture.probe.hotload("d", "d1", "b1");
    CHECK_EQUAL(unserved.status, 400);
    CHECK(unserved.body.find("serves the base model") != std::string::npos);
    CHECK_EQUAL(fixture.probe.hotload("d", "b1").status, 200);
    fixture.probe.settled("d");
    const auto wrongParent = fixture.probe.hotload("d", "d1", "other");
    CHECK_EQUAL(wrongParent.status, 400);
    CHECK(wrongParent.body.find("stands on b1, not on other") != std::string::npos);
    CHECK_EQUAL(fixture.probe.hotload("d", "d1").status, 400);
    CHECK_EQUAL(fixture.probe.hotload("d", "b1", "b1").status, 400);
    CHECK_EQUAL(fixture.probe.hotload("d", "none").status, 404);
    CHECK_EQUAL(fixture.probe.hotload("none", "b1").status, 404);
    CHECK_EQUAL(fixture.probe.call("POST", desk::kHotloadPath, "{}").status, 404);
    for (const auto& replica : fixture.probe.settled("d"))
        CHECK_EQUAL(replica.currentSnapshot, "b1");
}

TEST(one_replica_fails_and_a_repeated_load_mends_it)
{
    BackendFixture fixture(
        R"([{"route":"POST /hot_load/*","nth":1,"action":"replica-error","replica":2}])");
    fixture.probe.createJob("j");
    fixture.probe.createDeployment("d", 2, "j");
    TrainingProbe training(fixture.probe, "j");
    training.saveSampler("b1", "base");
    CHECK_EQUAL(fixture.probe.hotload("d", "b1").status, 200);
    auto replicas = fixture.probe.settled("d");
    CHECK_EQUAL(replicas.at(0).currentSnapshot, "b1");
    CHECK_EQUAL(replicas.at(1).currentSnapshot, "");
    CHECK_EQUAL(replicas.at(1).stage, "error");
    CHECK_EQUAL(replicas.at(1).targetSnapshot, "b1");
    CHECK(replicas.at(1).error.find("injected") != std::string::npos);
    fixture.restart();
    replicas = fixture.probe.settled("d");
    CHECK_EQUAL(replicas.at(1).stage, "error"); // an ended load is not started again
    CHECK_EQUAL(replicas.at(1).targetSnapshot, "b1");
    // The count of faults starts again with the process: this load fails, too, the next does not.
    CHECK_EQUAL(fixture.probe.hotload("d", "b1").status, 200);
    fixture.probe.settled("d");
    CHECK_EQUAL(fixture.probe.hotload("d", "b1").status, 200);
    CHECK_EQUAL(fixture.probe.settled("d").at(1).currentSnapshot, "b1");
}

TEST(a_repeated_load_does_not_start_twice)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    fixture.probe.createDeployment("d", 1, "j");
    TrainingProbe training(fixture.probe, "j");
    training.saveSampler("b1", "base");
    fixture.probe.hotload("d", "b1");
    const auto loaded = fixture.probe.settled("d").at(0).seconds;
    CHECK_EQUAL(fixture.probe.hotload("d", "b1").status, 200);
    CHECK(fixture.probe.settled("d").at(0).seconds == loaded);
}

TEST(deployments_survive_a_restart_with_what_they_serve)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    fixture.probe.createDeployment("d", 2, "j");
    CHECK_EQUAL(fixture.probe.createDeployment("d", 2, "j").status, 409);
    TrainingProbe training(fixture.probe, "j");
    training.step();
    training.saveSampler("b1", "base");
    fixture.probe.hotload("d", "b1");
    fixture.probe.settled("d");
    const auto before = fixture.probe.complete("accounts/local/deployments/d");
    fixture.restart();
    const auto after = fixture.probe.complete("accounts/local/deployments/d");
    CHECK_EQUAL(after.model, "accounts/local/deployments/d@b1");
    CHECK_EQUAL(after.choices.at(0).text, before.choices.at(0).text);
    const auto path = BackendProbe::accountPath("/deployments/d");
    const auto record = desk::decodeDeployment(fixture.probe.call("GET", path).body);
    CHECK_EQUAL(record->name, "accounts/local/deployments/d");
    CHECK_EQUAL(record->replicaCount.value_or(0), 2);
    CHECK_EQUAL(fixture.probe.call("DELETE", path).status, 200);
    CHECK_EQUAL(fixture.probe.call("GET", path).status, 404);
    CHECK(!std::filesystem::exists(fixture.folder.path() / "objects/replicas/d"));
}

TEST(scaling_gives_new_replicas_what_the_others_serve)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    fixture.probe.createDeployment("d", 1, "j");
    TrainingProbe training(fixture.probe, "j");
    training.saveSampler("b1", "base");
    fixture.probe.hotload("d", "b1");
    fixture.probe.settled("d");
    const auto path = BackendProbe::accountPath("/deployments/d");
    CHECK_EQUAL(fixture.probe.call("PATCH", path + ":scale", R"({"replicaCount":3})").status, 200);
    auto replicas = fixture.probe.settled("d");
    CHECK_EQUAL(replicas.size(), 3U);
    CHECK_EQUAL(replicas.at(2).currentSnapshot, "b1");
    CHECK_EQUAL(fixture.probe
                    .call("PATCH", path + "?updateMask=max_replica_count",
                        R"({"maxReplicaCount":1,"minReplicaCount":9})")
                    .status,
        200);
    CHECK_EQUAL(fixture.probe.settled("d").size(), 1U);
    CHECK_EQUAL(fixture.probe.call("PATCH", path + "?updateMask=base_model", "{}").status, 400);
    const auto renamed =
        fixture.probe.call("PATCH", path + "?updateMask=display_name", R"({"displayName":"n"})");
    CHECK_EQUAL(desk::decodeDeployment(renamed.body)->displayName, "n");
}

TEST(reattaching_brings_new_pods_that_serve_the_base_model)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    fixture.probe.createJob("k");
    fixture.probe.createDeployment("d", 1, "j");
    TrainingProbe training(fixture.probe, "j");
    training.saveSampler("b1", "base");
    fixture.probe.hotload("d", "b1");
    const auto before = fixture.probe.settled("d").at(0);
    const auto path = BackendProbe::accountPath("/deployments/d?updateMask=hot_load_trainer_job");
    CHECK_EQUAL(
        fixture.probe
            .call("PATCH", path, R"({"hotLoadTrainerJob":"accounts/local/rlorTrainerJobs/k"})")
            .status,
        200);
    const auto after = fixture.probe.settled("d").at(0);
    CHECK(after.identity != before.identity);
    CHECK_EQUAL(after.currentSnapshot, "");
    CHECK_EQUAL(fixture.probe.hotload("d", "b1").status, 404); // not of the job it follows now
}

TEST(faults_come_before_or_after_the_effect)
{
    BackendFixture fixture(
        R"([{"route":"POST */rlorTrainerJobs","nth":1,"action":"drop-reply"},
            {"route":"POST */rlorTrainerJobs","nth":2,"action":"status","status":503,"retry_after":2}])");
    CHECK_EQUAL(fixture.probe.createJob("dropped").status, 0);
    const auto busy = fixture.probe.createJob("busy");
    CHECK_EQUAL(busy.status, 503);
    CHECK(busy.head.find("Retry-After: 2") != std::string::npos);
    const auto job = [&](const char* id) {
        return fixture.probe.call("GET", BackendProbe::accountPath("/rlorTrainerJobs/") + id)
            .status;
    };
    CHECK_EQUAL(job("dropped"), 200);
    CHECK_EQUAL(job("busy"), 404);
}

TEST(completions_refuse_what_they_cannot_do)
{
    BackendFixture fixture;
    const auto status = [&](const std::string& body) {
        return fixture.probe.call("POST", desk::kCompletionsPath, body).status;
    };
    const std::string model = R"("model":"accounts/local/models/desk-tiny",)";
    CHECK_EQUAL(status("{" + model + R"("prompt":[72,105],"max_tokens":4,"temperature":0})"), 200);
    CHECK_EQUAL(status("{" + model + R"("prompt":[99999],"max_tokens":4})"), 400);
    CHECK_EQUAL(status("{" + model + R"("prompt":"x","max_tokens":0})"), 400);
    CHECK_EQUAL(status("{" + model + R"("prompt":"x","temperature":-1})"), 400);
    CHECK_EQUAL(status(R"({"model":"accounts/local/deployments/none","prompt":"x"})"), 404);
    CHECK_EQUAL(status(R"({"model":"nonsense","prompt":"x"})"), 404);
    CHECK_EQUAL(status("{"), 400);
}

TEST(a_second_backend_on_the_same_folder_says_who_holds_it)
{
    BackendFixture fixture;
    auto second = desk::local::Backend::start(fixture.config);
    CHECK(!second.has_value());
    CHECK(second.error().code == desk::Error::Code::Conflict);
}

} // namespace

CHECK_MAIN()
