// SPDX-License-Identifier: GPL-3.0-or-later
// Trainer jobs, shapes, lists and error bodies over the wire.
#include "services/codecs/error_codec.h"
#include "services/local/gateway/idle_jobs.h"
#include "tests/local/backend_fixture.h"
#include "tests/local/store_fixture.h"
#include "tests/support/check.h"

#include <string>

namespace {

using desk::check::BackendFixture;
using desk::check::BackendProbe;
using desk::check::TrainingProbe;

const std::string kJobs = BackendProbe::accountPath("/rlorTrainerJobs");

bool has(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

std::string config(const std::string& more = {})
{
    return R"("trainingConfig":{"baseModel":"accounts/local/models/desk-tiny","loraRank":0,)"
           R"("learningRate":1e-05)"
        + more + "}";
}

TEST(every_documented_create_body_makes_a_job)
{
    BackendFixture fixture;
    const auto create = [&](const std::string& query, const std::string& body) {
        return fixture.probe.call("POST", kJobs + "?" + query, "{" + body + "}");
    };
    // fireworks-sdk-1.2.30.md 12.1: manual, auto shape, shape; gateway.md 2.2: the older client.
    const auto manual = create("skipValidations=true&rlorTrainerJobId=manual",
        R"("serviceMode":true,"keepAlive":false,"dataset":"",)"
            + config(R"(,"maxContextLength":128)")
            + R"(,"useReservation":true,"nodeCount":1,"displayName":"d")");
    CHECK_EQUAL(manual.status, 200);
    CHECK(has(manual.body, R"("name":"accounts/local/rlorTrainerJobs/manual")"));
    CHECK(has(manual.body, R"("maxContextLength":128)"));
    CHECK_EQUAL(create("rlorTrainerJobId=auto",
                    config(R"(,"maxContextLength":64)") + R"(,"useReservation":true)")
                    .status,
        200);
    const auto shape = create("trainingShape=accounts%2Ffireworks%2FtrainingShapes%2Fdesk-tiny-lora"
                              "&rlorTrainerJobId=shape",
        config(R"(,"projectionHeadDim":4,"region":"US_OHIO_1","extraArgs":["--a","b"])")
            + R"(,"trainerReplicaCount":2,"useReservation":false,"reservationTarget":"r1",)"
              R"("extraValues":{"a":"b"},"forwardOnly":true,"purpose":"P","preemptible":true,)"
              R"("managedBy":"x","inactivityTimeout":"1800s")");
    CHECK_EQUAL(shape.status, 200);
    CHECK(has(shape.body, R"("maxContextLength":512)")); // of the base model
    fixture.restart();
    const auto kept = fixture.probe.call("GET", kJobs + "/shape").body;
    for (const char* text : { R"("trainerReplicaCount":2)", R"("reservationTarget":"r1")",
             R"("inactivityTimeout":"1800s")", R"("forwardOnly":true)", R"("region":"US_OHIO_1")" })
        CHECK(has(kept, text));
    const auto old = create("deploymentId=dep&rlorTrainerJobId=old",
        R"("serviceMode":true,"disableInactivityCleanup":true,)" + config());
    CHECK(has(old.body, R"("hotLoadDeploymentId":"dep")"));
    // Without an id the server makes one; snake_case is as good as camelCase.
    const auto own = fixture.probe.call("POST", kJobs,
        R"({"training_config":{"base_model":"accounts/local/models/desk-tiny","lora_rank":128}})");
    CHECK(has(own.body, "/rlorTrainerJobs/training-api-service-"));
    CHECK(has(own.body, R"("loraRank":128)"));
}

TEST(what_a_job_cannot_be_is_refused_by_name)
{
    BackendFixture fixture;
    struct Case
    {
        const char* query;
        std::string body;
        int status;
        const char* words;
    };
    const Case cases[] {
        { "rlorTrainerJobId=Not_A_Label", config(), 400, "cannot be the id" },
        { "rlorTrainerJobId=-a", config(), 400, "cannot be the id" },
        { "rlorTrainerJobId=a", config(R"(,"loraRank":129)"), 400, "128" },
        { "rlorTrainerJobId=a", config(R"(,"loraRank":-1)"), 400, "out of range" },
        { "rlorTrainerJobId=a", config() + R"(,"inactivityTimeout":"30m")", 400, "duration" },
        { "rlorTrainerJobId=a", config(R"(,"maxContextLength":0)"), 400, "maxContextLength" },
        { "rlorTrainerJobId=a", config(R"(,"projectionHeadDim":-4)"), 400, "projectionHeadDim" },
        { "rlorTrainerJobId=a", config() + R"(,"displayName":")" + std::string(64, 'x') + "\"", 400,
            "63 characters" },
        { "rlorTrainerJobId=a", R"("trainingConfig":{})", 400, "baseModel" },
        { "rlorTrainerJobId=a", R"("displayName":"x")", 400, "trainingConfig" },
        { "rlorTrainerJobId=a",
            R"("trainingConfig":{"baseModel":"accounts/fireworks/models/no-such-model"})", 404,
            "no-such-model" },
    };
    for (const auto& one : cases) {
        const auto reply =
            fixture.probe.call("POST", kJobs + "?" + one.query, "{" + one.body + "}");
        CHECK_EQUAL(reply.status, one.status);
        CHECK(has(desk::decodeErrorMessage(reply.body), one.words));
    }
    CHECK_EQUAL(desk::decodeJobs(fixture.probe.call("GET", kJobs).body)->items.size(), 0U);
}

TEST(states_follow_cancel_resume_and_delete)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    const auto state = [&] {
        return desk::decodeJob(fixture.probe.call("GET", kJobs + "/j").body)->stateText;
    };
    const auto healthz = BackendProbe::trainerPath("j", "healthz");
    CHECK_EQUAL(state(), "JOB_STATE_RUNNING");
    CHECK_EQUAL(fixture.probe.call("GET", healthz).status, 200);
    CHECK_EQUAL(fixture.probe.call("POST", kJobs + "/j:cancel", "{}").body, "{}");
    CHECK_EQUAL(state(), "JOB_STATE_CANCELLED");
    CHECK_EQUAL(fixture.probe.call("GET", healthz).status, 404); // never 5xx while not ready
    const auto cancelled = desk::decodeJob(fixture.probe.call("GET", kJobs + "/j").body);
    CHECK(cancelled->completed.has_value());
    CHECK_EQUAL(cancelled->statusMessage, "cancelled by a request");
    CHECK_EQUAL(fixture.probe.call("POST", kJobs + "/j:cancel", "{}").status, 200);
    // The body may be empty; the state is left before the answer.
    const auto resumed = fixture.probe.call("POST", kJobs + "/j:resume");
    CHECK_EQUAL(resumed.status, 200);
    CHECK_EQUAL(desk::decodeJob(resumed.body)->stateText, "JOB_STATE_RUNNING");
    CHECK(!desk::decodeJob(resumed.body)->completed);
    CHECK_EQUAL(fixture.probe.call("GET", healthz).status, 200);
    CHECK_EQUAL(fixture.probe.call("POST", kJobs + "/none:resume").status, 404);
    CHECK_EQUAL(fixture.probe.call("DELETE", kJobs + "/j").body, "{}");
    CHECK_EQUAL(state(), "JOB_STATE_ARCHIVED");
    const auto again = fixture.probe.call("POST", kJobs + "/j:cancel", "{}");
    CHECK_EQUAL(again.status, 400);
    CHECK_EQUAL(desk::decodeErrorMessage(again.body),
        "cannot cancel job in state: JOB_STATE_DELETED; nothing was changed");
    CHECK(has(again.body, R"("code":9)"));
    CHECK_EQUAL(fixture.probe.call("POST", kJobs + "/j:resume").status, 400);
    CHECK_EQUAL(fixture.probe.call("GET", healthz).status, 404);
    CHECK_EQUAL(fixture.probe.createJob("j").status, 409);
}

TEST(checkpoints_of_stopped_and_deleted_jobs_are_listed_and_promoted)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    {
        TrainingProbe training(fixture.probe, "j");
        training.saveSampler("b1", "base");
        training.saveState("s1");
    }
    for (const char* verb : { ":cancel", "" }) {
        fixture.probe.call(*verb ? "POST" : "DELETE", kJobs + "/j" + verb, *verb ? "{}" : "");
        CHECK_EQUAL(fixture.probe.checkpoints("j").size(), 2U);
        const std::string model = *verb ? "of-cancelled" : "of-deleted";
        CHECK_EQUAL(fixture.probe.promote("j", "b1", model).status, 200);
    }
    const auto one = fixture.probe.call("GET", kJobs + "/j/checkpoints/b1");
    CHECK(desk::decodeCheckpoint(one.body)->isPromotable);
    CHECK(has(fixture.probe.call("POST", kJobs + "/j/checkpoints/b1:sync", "{}").body,
        R"({"checkpoint":{"name":"accounts/local/rlorTrainerJobs/j/checkpoints/b1")"));
    CHECK_EQUAL(fixture.probe.call("DELETE", kJobs + "/j/checkpoints/b1").status, 200);
    CHECK_EQUAL(fixture.probe.call("GET", kJobs + "/j/checkpoints/b1").status, 404);
    CHECK_EQUAL(fixture.probe.promote("j", "b1", "too-late").status, 404);
}

TEST(job_lists_take_filter_order_mask_and_deleted_ones)
{
    BackendFixture fixture;
    for (const char* id : { "a", "b", "c" })
        fixture.probe.createJob(id);
    fixture.probe.call("POST", kJobs + "/b:cancel", "{}");
    fixture.probe.call("DELETE", kJobs + "/c");
    const auto names = [&](const std::string& query) {
        const auto page = desk::decodeJobs(fixture.probe.call("GET", kJobs + "?" + query).body);
        std::string joined;
        for (const auto& job : page->items)
            joined += std::string(job.name.substr(job.name.rfind('/') + 1));
        return joined;
    };
    CHECK_EQUAL(names("orderBy=name"), "ab");
    CHECK_EQUAL(names("orderBy=name&showDeleted=true"), "abc");
    CHECK_EQUAL(names("filter=state%3D%22JOB_STATE_RUNNING%22"), "a");
    CHECK_EQUAL(names("orderBy=name%20desc&pageSize=1"), "b");
    CHECK_EQUAL(fixture.probe.call("GET", kJobs + "?readMask=state&orderBy=name&pageSize=1")
                    .body.substr(0, 98),
        R"({"rlorTrainerJobs":[{"name":"accounts/local/rlorTrainerJobs/a","state":"JOB_STATE_RUNNING"}],"next)");
    CHECK_EQUAL(fixture.probe.call("GET", kJobs + "/a?readMask=state").body,
        R"({"name":"accounts/local/rlorTrainerJobs/a","state":"JOB_STATE_RUNNING"})");
    CHECK_EQUAL(fixture.probe.call("GET", kJobs + "?filter=(").status, 400);
    CHECK_EQUAL(fixture.probe.call("GET", kJobs + "?pageSize=many").status, 400);
}

TEST(a_trainer_and_a_deployment_agree_on_who_feeds_whom)
{
    BackendFixture fixture;
    fixture.probe.createJob("first");
    fixture.probe.createDeployment("d", 1, "first");
    const auto mismatch = fixture.probe.createJob("second", "d");
    CHECK_EQUAL(mismatch.status, 400);
    CHECK(has(mismatch.body, "hotload flow mismatch: trainer wants deployment-first"));
    CHECK_EQUAL(fixture.probe.createJob("keyed", "other").status, 200);
    const auto refused = fixture.probe.createDeployment("e", 1, "keyed");
    CHECK_EQUAL(refused.status, 400);
    CHECK(has(refused.body, "trainer keyed is deployment-first-keyed for deployment other"));
}

TEST(training_shapes_lead_to_a_base_model_and_a_deployment_shape)
{
    BackendFixture fixture;
    for (const char* publisher : { "fireworks", "local" }) {
        const std::string root = std::string("/v1/accounts/") + publisher;
        const auto list = fixture.probe.call("GET", root + "/trainingShapes?pageSize=200");
        CHECK_EQUAL(list.status, 200);
        CHECK(has(list.body, R"("trainerMode":"POLICY_TRAINER")"));
        CHECK(has(list.body, R"("trainerMode":"LORA_TRAINER")"));
        CHECK(has(list.body, R"("baseModel":"accounts/local/models/desk-tiny")"));
        const auto versions = fixture.probe.call("GET",
            root + "/trainingShapes/desk-tiny/versions?filter=latest_validated%3Dtrue&pageSize=1");
        const auto version = root.substr(4) + "/trainingShapes/desk-tiny/versions/1";
        CHECK(has(versions.body, R"({"trainingShapeVersions":[{"name":")" + version + "\""));
        CHECK(has(versions.body, R"("maxSupportedContextLength":512)"));
        const auto one = fixture.probe.call("GET", "/v1/" + version);
        CHECK(has(one.body, R"("snapshot":{"name":")" + root.substr(4)));
        const auto shape = root.substr(4) + "/deploymentShapes/desk-tiny/versions/1";
        CHECK(has(one.body, R"("deploymentShapeVersion":")" + shape + "\""));
        CHECK_EQUAL(fixture.probe.call("GET", "/v1/" + shape).status, 200);
        CHECK(has(fixture.probe.call("GET", root + "/deploymentShapes?targetModel=desk-tiny").body,
            R"("totalSize":1)"));
        CHECK(has(fixture.probe.call("GET", root + "/deploymentShapes?targetModel=other").body,
            R"("totalSize":0)"));
        CHECK_EQUAL(fixture.probe
                        .call("POST", root + "/deploymentShapeVersions:match",
                            R"({"baseModel":"accounts/local/models/desk-tiny"})")
                        .status,
            200);
    }
    CHECK_EQUAL(
        fixture.probe.call("GET", "/v1/accounts/fireworks/trainingShapes/no-such-shape/versions")
            .status,
        404);
    CHECK_EQUAL(
        fixture.probe.call("GET", "/v1/accounts/fireworks/trainingShapes/desk-tiny/versions/2")
            .status,
        404);
    CHECK_EQUAL(fixture.probe.call("GET", "/v1/accounts/other/trainingShapes").status, 404);
}

TEST(every_model_says_whether_it_is_a_mixture_of_experts)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    training.saveSampler("b1", "base");
    fixture.probe.promote("j", "b1", "mine");
    const auto list = fixture.probe.call("GET", BackendProbe::accountPath("/models")).body;
    const auto models = desk::decodeModels(list);
    CHECK_EQUAL(models->items.size(), 2U);
    for (const auto& model : models->items) {
        CHECK(model.isMoe == false);
        CHECK(model.contextLength == 512);
        CHECK(model.parameterCount.value_or(0) > 0);
    }
}

TEST(kinds_that_this_backend_lacks_have_empty_lists_under_their_keys)
{
    BackendFixture fixture;
    for (const char* key :
        { "supervisedFineTuningJobs", "reinforcementFineTuningJobs", "dpoJobs", "fineTuningJobs",
            "evaluationJobs", "evaluators", "batchInferenceJobs", "datasets", "deployedModels",
            "apiKeys", "secrets", "users", "quotas", "trainingSessions", "trainingRuns" }) {
        const auto path = BackendProbe::accountPath("/") + key;
        CHECK_EQUAL(fixture.probe.call("GET", path + "?pageSize=200&filter=x%3D1").body,
            std::string("{\"") + key + R"(":[],"nextPageToken":"","totalSize":0})");
        CHECK_EQUAL(fixture.probe.call("GET", path + "/one").status, 404);
        CHECK_EQUAL(fixture.probe.call("POST", path, "{}").status, 404);
    }
    CHECK_EQUAL(fixture.probe.call("GET", kJobs + "/none/publicLogs").status, 404);
}

TEST(serverless_routes_say_that_there_are_none)
{
    BackendFixture fixture;
    for (const char* path : { "/training/v1/serverless/api/v1/create_session",
             "/training/v1/serverless/inference/v1/completions",
             "/v1/accounts/local/trainingSessions/ts-1/checkpoints/c:promote" }) {
        const auto reply = fixture.probe.call("POST", path, "{}");
        CHECK_EQUAL(reply.status, 404);
        CHECK(has(desk::decodeErrorMessage(reply.body), "serverless"));
    }
    CHECK_EQUAL(
        fixture.probe.call("GET", "/v1/accounts/local/trainingSessions/ts-1/checkpoints").status,
        404);
    CHECK_EQUAL(
        fixture.probe.call("DELETE", "/v1/accounts/local/trainingSessions/ts-1").status, 404);
}

TEST(paths_with_doubled_slashes_and_bearer_keys_are_the_same_requests)
{
    BackendFixture fixture;
    CHECK_EQUAL(fixture.probe.call("GET", "//v1///accounts").status, 200);
    auto key = desk::check::fileBytes(fixture.folder.path() / "key");
    key.pop_back();
    const auto port = fixture.probe.port();
    CHECK_EQUAL(desk::check::request(port, "GET", "/v1/accounts?pageSize=2", {},
                    "Authorization: Bearer " + key + "\r\nContent-Type: application/json\r\n")
                    .status,
        200);
    const auto wrong = desk::check::request(port, "GET", "/v1/accounts", {}, "X-Api-Key: no\r\n");
    CHECK_EQUAL(wrong.status, 401);
    CHECK(has(wrong.body, R"({"code":16,"message":")"));
    const auto method = fixture.probe.call("PUT", "/v1/accounts", "{}");
    CHECK_EQUAL(method.status, 405);
    CHECK(has(method.head, "Allow: GET"));
    const auto unknown = fixture.probe.call("GET", "/v1/nothing");
    CHECK(has(unknown.body, R"({"code":5,"message":")"));
}

TEST(errors_of_the_control_plane_name_their_reason)
{
    BackendFixture fixture;
    const auto reason = [&](const char* method, const std::string& path, const std::string& body) {
        return desk::decodeErrorInfo(fixture.probe.call(method, path, body).body).reason;
    };
    CHECK_EQUAL(reason("GET", kJobs + "/none", {}), "RESOURCE_NOT_FOUND");
    CHECK_EQUAL(reason("POST", kJobs, "{"), "INVALID_INPUT");
    fixture.probe.createJob("j");
    CHECK_EQUAL(
        desk::decodeErrorInfo(fixture.probe.createJob("j").body).reason, "RESOURCE_INVALID");
    fixture.probe.call("DELETE", kJobs + "/j");
    CHECK_EQUAL(reason("POST", kJobs + "/j:resume", {}), "PREREQUISITE_NOT_MET");
    const auto other = fixture.probe.call("GET", "/v1/accounts/other/rlorTrainerJobs");
    CHECK_EQUAL(other.status, 404);
    CHECK_EQUAL(
        desk::decodeErrorMessage(other.body), "there is no account other here; use accounts/local");
}

TEST(a_job_is_ended_by_the_timeout_it_was_created_with_and_by_nothing_else)
{
    desk::check::StoreFolder files;
    const auto add = [&](const char* id, const char* timeout, const char* json) {
        desk::local::JobRow row;
        row.id = id;
        row.job.state = desk::JobState::Running;
        row.job.created = files.clock.now();
        desk::CreateJob wanted;
        wanted.inactivityTimeout = timeout;
        row.job.json = *json ? std::string(json) : desk::jobDetails(wanted);
        CHECK(files.store->addJob(row).has_value());
    };
    add("short", "60s", "");
    add("long", "3600.5s", "");
    add("none", "", "");
    add("kept", "", R"({"inactivityTimeout":"1s","disableInactivityCleanup":true})");
    std::string ended;
    desk::local::IdleJobs idle(*files.store,
        [&](const std::string& job, const std::string& why) { ended += job + ": " + why + "; "; });
    const auto use = [&](const char* path) {
        desk::local::HttpRequest request;
        CHECK(desk::local::splitTarget(path, request));
        idle.note(request);
    };
    files.clock.advance(std::chrono::seconds(59));
    use("/training/v1/rlorTrainerJobs/local/short/api/v1/session_heartbeat");
    files.clock.advance(std::chrono::seconds(59));
    use("/training/v1/rlorTrainerJobs/local/short/api/v1/healthz");
    use("/v1/accounts/local/rlorTrainerJobs/short");
    idle.expire();
    CHECK_EQUAL(ended, "");
    files.clock.advance(std::chrono::seconds(1));
    idle.expire();
    CHECK_EQUAL(ended, "short: ended after 60s without use; ");
    CHECK(files.store->job("short")->job.state == desk::JobState::Completed);
    CHECK_EQUAL(files.store->job("short")->job.statusMessage, "ended after 60s without use");
    idle.expire();
    files.clock.advance(std::chrono::hours(24));
    idle.expire();
    CHECK_EQUAL(
        ended, "short: ended after 60s without use; long: ended after 3600.5s without use; ");
    CHECK(files.store->job("none")->job.state == desk::JobState::Running);
    CHECK(files.store->job("kept")->job.state == desk::JobState::Running);
}

TEST(durations_are_those_of_proto3)
{
    using std::chrono::microseconds;
    CHECK(desk::local::durationFrom("1800s") == microseconds(1'800'000'000));
    CHECK(desk::local::durationFrom("1.5s") == microseconds(1'500'000));
    CHECK(desk::local::durationFrom("0.000000001s") == microseconds(0));
    for (const char* bad :
        { "", "s", "30m", "-1s", "1.s", ".5s", "1.1234567890s", "1 s", "1234567890123s" })
        CHECK(!desk::local::durationFrom(bad));
}

TEST(answers_of_the_service_that_this_backend_never_gives_by_itself_can_be_played)
{
    BackendFixture fixture(
        R"([{"route":"POST */rlorTrainerJobs","nth":1,"action":"status","status":403,
             "message":"B200 training needs a higher tier","reason":"TIER_REQUIRED"},
            {"route":"POST */rlorTrainerJobs","nth":2,"action":"status","status":429,
             "message":"no GPUs","reason":"QUOTA_EXCEEDED","metadata":{"quota_available":"0"}},
            {"route":"POST */rlorTrainerJobs","nth":3,"action":"status","status":412,
             "message":"training shape not enabled"},
            {"route":"POST */rlorTrainerJobs","nth":4,"action":"status","status":503,
             "body":"upstream connect error"}])");
    const auto tier = fixture.probe.createJob("j");
    CHECK_EQUAL(tier.status, 403);
    CHECK_EQUAL(desk::decodeErrorInfo(tier.body).reason, "TIER_REQUIRED");
    CHECK(has(tier.body, R"("code":7)"));
    const auto quota = fixture.probe.createJob("j");
    CHECK_EQUAL(quota.status, 429);
    CHECK_EQUAL(desk::decodeErrorInfo(quota.body).metadata.at("quota_available"), "0");
    CHECK_EQUAL(fixture.probe.createJob("j").status, 412);
    CHECK_EQUAL(fixture.probe.createJob("j").body, "upstream connect error");
    CHECK_EQUAL(fixture.probe.createJob("j").status, 200);
}

TEST(in_a_rehearsal_shapes_and_models_of_the_service_have_stand_ins)
{
    BackendFixture fixture;
    const std::string shape = "/v1/accounts/fireworks/trainingShapes/qwen3-8b-128k-h200";
    const std::string model = "/v1/accounts/fireworks/models/qwen3-8b";
    CHECK_EQUAL(fixture.probe.call("GET", shape + "/versions").status, 404);
    CHECK_EQUAL(fixture.probe.call("GET", model).status, 404);
    CHECK_EQUAL(fixture.probe
                    .call("POST", "/local/v1/rehearsals",
                        R"({"vocabularies":{"accounts/fireworks/models/qwen3-8b":300}})")
                    .status,
        200);
    const auto versions =
        fixture.probe.call("GET", shape + "/versions?filter=latest_validated%3Dtrue&pageSize=1");
    CHECK_EQUAL(versions.status, 200);
    CHECK(has(versions.body, R"("baseModel":"accounts/fireworks/models/qwen3-8b")"));
    CHECK(has(versions.body, R"("latestValidated":true)"));
    CHECK_EQUAL(fixture.probe.call("GET", shape + "/versions/7").status, 200);
    const auto row = desk::decodeModel(fixture.probe.call("GET", model).body);
    CHECK_EQUAL(row->name, "accounts/fireworks/models/qwen3-8b");
    CHECK(row->isMoe == false);
    const auto job = fixture.probe.call("POST",
        kJobs
            + "?rlorTrainerJobId=j&trainingShape=accounts%2Ffireworks%2FtrainingShapes%2F"
              "qwen3-8b-128k-h200",
        R"({"trainingConfig":{"baseModel":"accounts/fireworks/models/qwen3-8b","loraRank":0}})");
    CHECK_EQUAL(job.status, 200);
    CHECK(has(desk::decodeJob(job.body)->statusMessage, "stand-in"));
    // A resumed job is played by the same one, and says so.
    fixture.probe.call("POST", kJobs + "/j:cancel", "{}");
    const auto resumed = fixture.probe.call("POST", kJobs + "/j:resume");
    CHECK(has(desk::decodeJob(resumed.body)->statusMessage, "stand-in"));
}

} // namespace

CHECK_MAIN()
