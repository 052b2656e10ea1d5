// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/completions_codec.h"
#include "services/codecs/error_codec.h"
#include "services/codecs/gateway_codec.h"
#include "services/codecs/hotload_codec.h"
#include "services/codecs/json_text.h"
#include "tests/support/check.h"

#include <array>
#include <limits>

using namespace desk;

namespace {

Time at(const char* text)
{
    return *parseRfc3339(text);
}

const char* codeWord(const auto& result)
{
    return result ? "none" : toString(result.error().code);
}

// The example of gateway.md 3.1.
constexpr std::string_view kCheckpointList = R"({"checkpoints":[
 {"name":"accounts/desk-local/rlorTrainerJobs/job-7/checkpoints/step-0-45dda197","createTime":"2026-11-21T10:05:00Z",
  "updateTime":"2026-11-21T10:05:09.4Z","checkpointType":"CHECKPOINT_TYPE_INFERENCE_BASE","promotable":true},
 {"name":"accounts/desk-local/rlorTrainerJobs/job-7/checkpoints/step-1-45dda197","createTime":"2026-11-21T10:06:00.250311Z",
  "updateTime":"2026-11-21T10:06:01Z","checkpointType":"CHECKPOINT_TYPE_INFERENCE_ARC_V2","promotable":false},
 {"name":"accounts/desk-local/rlorTrainerJobs/job-7/checkpoints/step-1","createTime":"2026-11-21T10:06:02Z",
  "updateTime":"2026-11-21T10:06:40Z","checkpointType":"CHECKPOINT_TYPE_TRAINING","promotable":false}],
 "nextPageToken":""})";

} // namespace

TEST(checkpoint_list_of_the_specification_is_read)
{
    const auto page = decodeCheckpoints(kCheckpointList);
    CHECK(page);
    CHECK_EQUAL(page->items.size(), std::size_t { 3 });
    const auto& base = page->items[0];
    CHECK_EQUAL(base.name,
        std::string("accounts/desk-local/rlorTrainerJobs/job-7/checkpoints/step-0-45dda197"));
    CHECK(base.type == CheckpointType::InferenceBase);
    CHECK(base.isPromotable);
    CHECK(base.updated == at("2026-11-21T10:05:09.4Z"));
    CHECK(!base.sizeBytes && !base.step && base.parent.empty());
    CHECK(page->items[1].type == CheckpointType::InferenceArcV2);
    CHECK(!page->items[1].isPromotable);
    CHECK(page->items[1].created == at("2026-11-21T10:06:00.250311Z"));
    CHECK(page->items[2].type == CheckpointType::Training);
    CHECK(page->nextPageToken.empty());
}

TEST(checkpoint_page_has_two_keys_two_token_spellings_and_may_be_empty)
{
    const auto other = decodeCheckpoints(
        R"({"rlorTrainerJobCheckpoints":[{"name":"a/b"}],"next_page_token":"p2"})");
    CHECK(other);
    CHECK_EQUAL(other->items.size(), std::size_t { 1 });
    CHECK_EQUAL(other->nextPageToken, std::string("p2"));
    const auto none = decodeCheckpoints("{}");
    CHECK(none && none->items.empty());
}

TEST(checkpoint_with_extra_facts_comes_back)
{
    Checkpoint checkpoint;
    checkpoint.name = "accounts/local/rlorTrainerJobs/j/checkpoints/step-0010-a1b2c3d4";
    checkpoint.type = CheckpointType::InferenceArcV2;
    checkpoint.typeText = "CHECKPOINT_TYPE_INFERENCE_ARC_V2";
    checkpoint.created = at("2026-11-21T10:06:00.250311Z");
    checkpoint.expires = at("2026-11-22T10:06:00Z");
    checkpoint.parent = "step-0001-a1b2c3d4";
    checkpoint.step = 10;
    checkpoint.sizeBytes = 123'456;
    checkpoint.baseBytes = 2'345'678;
    checkpoint.changedFraction = 0.0625;
    checkpoint.path = "/data/objects/step-0010";
    const auto text = encodeCheckpoint(checkpoint);
    CHECK_EQUAL(text,
        std::string(
            R"({"name":"accounts/local/rlorTrainerJobs/j/checkpoints/step-0010-a1b2c3d4",)"
            R"("createTime":"2026-11-21T10:06:00.250311Z","expireTime":"2026-11-22T10:06:00.000000Z",)"
            R"("checkpointType":"CHECKPOINT_TYPE_INFERENCE_ARC_V2","promotable":false,)"
            R"("parent":"step-0001-a1b2c3d4","step":10,"sizeBytes":"123456","baseBytes":"2345678",)"
            R"("changedFraction":0.0625,"path":"/data/objects/step-0010"})"));
    auto back = decodeCheckpoint(text);
    CHECK(back);
    back->json.clear();
    CHECK(*back == checkpoint);
}

TEST(job_comes_back_and_status_texts_are_found)
{
    TrainerJob job;
    job.name = "accounts/local/rlorTrainerJobs/j";
    job.displayName = "math";
    job.state = JobState::Running;
    job.stateText = "JOB_STATE_RUNNING";
    job.statusMessage = "going on";
    job.baseModel = "accounts/local/models/desk-tiny";
    job.learningRate = 3e-4;
    job.maxContextLength = 256;
    job.created = at("2026-11-21T10:00:00Z");
    job.createdBy = "you";
    job.hotLoadDeploymentId = "d";
    auto back = decodeJob(encodeJob(job));
    CHECK(back);
    back->json.clear();
    CHECK(*back == job);

    const std::array<std::pair<const char*, const char*>, 5> texts { {
        { R"({"name":"n","statusMessage":"a","message":"b"})", "a" },
        { R"({"name":"n","message":"b"})", "b" },
        { R"({"name":"n","status":{"code":"OK","message":"c"}})", "c" },
        { R"({"name":"n","status":{"detail":"d"}})", "d" },
        { R"({"name":"n","status":"e"})", "e" },
    } };
    for (const auto& [body, expected] : texts)
        CHECK_EQUAL(decodeJob(body)->statusMessage, std::string(expected));
    CHECK(decodeJob(R"({"name":"n","state":"JOB_STATE_NEWER"})")->state == JobState::Unrecognized);
}

TEST(job_json_hides_the_keys_of_third_parties)
{
    const auto job = decodeJob(
        R"({"name":"n","wandbConfig":{"apiKey":"SECRET","project":"p"},"trainingConfig":{"maxTokens":7}})");
    CHECK(job);
    CHECK(job->json.find("SECRET") == std::string::npos);
    CHECK(job->json.find("[redacted]") != std::string::npos);
    CHECK(job->json.find("\"maxTokens\": 7") != std::string::npos);
}

TEST(create_job_body_and_query_are_those_of_the_specification)
{
    CreateJob create;
    create.jobId = "training-api-service-9f31c2ab";
    create.trainingShape = "accounts/fireworks/trainingShapes/qwen3-8b-128k/versions/7";
    create.baseModel = "accounts/fireworks/models/qwen3-8b";
    create.region = "US_OHIO_1";
    create.extraArgs = { "--attn flash3" };
    create.trainerReplicaCount = 2;
    create.displayName = "math-grpo";
    create.inactivityTimeout = "1800s";
    CHECK_EQUAL(encodeCreateJob(create),
        std::string(
            R"({"serviceMode":true,"keepAlive":false,"dataset":"",)"
            R"("trainingConfig":{"baseModel":"accounts/fireworks/models/qwen3-8b","loraRank":0,)"
            R"("learningRate":1e-05,"region":"US_OHIO_1","extraArgs":["--attn","flash3"]},)"
            R"("trainerReplicaCount":2,"displayName":"math-grpo","inactivityTimeout":"1800s"})"));
    CHECK_EQUAL(encodeQuery(createJobQuery(create)),
        std::string(
            "rlorTrainerJobId=training-api-service-9f31c2ab&trainingShape=accounts%2Ffireworks"
            "%2FtrainingShapes%2Fqwen3-8b-128k%2Fversions%2F7"));
    const auto back = decodeCreateJob(encodeCreateJob(create), createJobQuery(create));
    CHECK(back);
    CHECK_EQUAL(back->jobId, create.jobId);
    CHECK_EQUAL(back->baseModel, create.baseModel);
    CHECK_EQUAL(back->displayName, create.displayName);
    CHECK_EQUAL(back->extraArgs.size(), std::size_t { 2 });
}

TEST(promotion_is_snake_case_and_reads_both)
{
    Promote promote;
    promote.outputModel = "accounts/desk-local/models/math-v1";
    promote.trainerJob = "accounts/desk-local/rlorTrainerJobs/job-7";
    promote.baseModel = "accounts/fireworks/models/qwen3-8b";
    const std::string snake =
        R"({"output_model":"accounts/desk-local/models/math-v1",)"
        R"("trainer_job_id":"accounts/desk-local/rlorTrainerJobs/job-7",)"
        R"("base_model":"accounts/fireworks/models/qwen3-8b","async_promotion":true})";
    CHECK_EQUAL(encodePromote(promote), snake);
    const std::string camel =
        R"({"outputModel":"accounts/desk-local/models/math-v1",)"
        R"("trainerJobId":"accounts/desk-local/rlorTrainerJobs/job-7",)"
        R"("baseModel":"accounts/fireworks/models/qwen3-8b","asyncPromotion":true})";
    for (const auto& body : { snake, camel }) {
        const auto back = decodePromote(body);
        CHECK(back);
        CHECK_EQUAL(encodePromote(*back), snake);
    }
    CHECK_EQUAL(std::string(codeWord(decodePromote(R"({"output_model":"m","base_model":"b"})"))),
        std::string("malformed"));
}

TEST(operation_in_all_its_states)
{
    const auto pending = decodePromoteAnswer(
        R"({"operation":{"name":"accounts/desk-local/operations/promote-81","done":false,
            "metadata":{"@type":"…","statusMessage":"copying shards"}}})");
    CHECK(pending && pending->operation && !pending->model);
    CHECK(!pending->operation->isDone);
    CHECK_EQUAL(pending->operation->statusMessage, std::string("copying shards"));

    const auto finished = decodeOperation(
        R"({"name":"accounts/desk-local/operations/promote-81","done":true,
            "metadata":{"value":{"status_message":"done"}},
            "response":{"@type":"type.googleapis.com/gateway.Model","name":"accounts/desk-local/models/math-v1",
            "state":"READY","kind":"HF_BASE_MODEL","createTime":"2026-11-21T10:20:00Z"}})");
    CHECK(finished && finished->isDone && finished->response);
    CHECK_EQUAL(finished->statusMessage, std::string("done"));
    CHECK_EQUAL(finished->response->state, std::string("READY"));

    const auto failed = decodeOperation(
        R"({"name":"o","done":true,"error":{"code":9,"message":"not promotable"}})");
    CHECK(failed && failed->error);
    CHECK_EQUAL(std::string(toString(failed->error->code)), std::string("refused"));
    CHECK_EQUAL(failed->error->message, std::string("not promotable"));

    const auto again = decodeOperation(encodeOperation(*finished));
    CHECK(again && again->response);
    CHECK_EQUAL(again->response->name, finished->response->name);
    CHECK(!decodePromoteAnswer("{}"));
}

TEST(deployment_and_model_come_back)
{
    Deployment deployment;
    deployment.name = "accounts/local/deployments/d";
    deployment.baseModel = "accounts/local/models/desk-tiny";
    deployment.state = "READY";
    deployment.replicaCount = 2;
    deployment.readyReplicaCount = 1;
    deployment.minReplicaCount = 1;
    deployment.maxReplicaCount = 4;
    deployment.transitionType = "SYNC";
    deployment.enablesHotLoad = true;
    deployment.hotLoadTrainerJob = "accounts/local/rlorTrainerJobs/j";
    deployment.created = at("2026-11-21T10:00:00Z");
    auto backDeployment = decodeDeployment(encodeDeployment(deployment));
    CHECK(backDeployment);
    backDeployment->json.clear();
    CHECK(*backDeployment == deployment);

    Model model;
    model.name = "accounts/local/models/m";
    model.kind = "HF_BASE_MODEL";
    model.state = "READY";
    model.baseModel = "accounts/local/models/desk-tiny";
    model.path = "/data/models/m";
    model.promotedFrom = "accounts/local/rlorTrainerJobs/j/checkpoints/c";
    auto backModel = decodeModel(encodeModel(model));
    CHECK(backModel);
    backModel->json.clear();
    CHECK(*backModel == model);
    CHECK_EQUAL(decodeModel(R"({"name":"m","peftDetails":{"baseModel":"b"}})")->baseModel,
        std::string("b"));
}

TEST(create_deployment_sends_the_defaults_of_the_sdk)
{
    CreateDeployment create;
    create.deploymentId = "d";
    create.baseModel = "b";
    create.hotLoadTrainerJob = "accounts/a/rlorTrainerJobs/j";
    CHECK_EQUAL(encodeCreateDeployment(create),
        std::string(
            R"({"baseModel":"b","description":"Fireworks training deployment",)"
            R"("minReplicaCount":0,"maxReplicaCount":1,"enableHotLoad":true,"forTraining":false,)"
            R"("hotLoadBucketType":"FW_HOSTED","hotLoadTrainerJob":"accounts/a/rlorTrainerJobs/j"})"));
    const auto back =
        decodeCreateDeployment(encodeCreateDeployment(create), createDeploymentQuery(create));
    CHECK(back);
    CHECK_EQUAL(back->deploymentId, std::string("d"));
    CHECK(back->enableHotLoad);
}

TEST(account_list_comes_back)
{
    const auto page = decodeAccounts(
        encodeAccounts(std::array { Account { "accounts/local", "Local", "me@example.invalid" } }));
    CHECK(page);
    CHECK_EQUAL(page->items.size(), std::size_t { 1 });
    CHECK_EQUAL(page->items[0].name, std::string("accounts/local"));
    CHECK(page->totalSize == std::nullopt || *page->totalSize == 1);
}

TEST(malformed_control_plane_bodies_are_refused)
{
    const std::string deep(2'000, '[');
    const std::array<std::string, 9> bodies { "", "null", "[]", "{", R"({"checkpoints":7})",
        R"({"checkpoints":[7]})", R"({"checkpoints":[{}]})", R"({"checkpoints":[{"name":""}]})",
        R"({"checkpoints":)" + deep };
    for (const auto& body : bodies)
        CHECK_EQUAL(std::string(codeWord(decodeCheckpoints(body))), std::string("malformed"));
    CHECK_EQUAL(
        std::string(codeWord(decodeJob(R"({"name":"a\u0007b"})"))), std::string("malformed"));
    CHECK_EQUAL(std::string(codeWord(decodeJob(R"({"name":")" + std::string(5000, 'n') + "\"}"))),
        std::string("malformed"));
    CHECK(decodeCheckpoints(R"({"checkpoints":[{}]})").error().message.find("row 0")
        != std::string::npos);
}

TEST(hostile_sizes_are_stopped_before_parsing)
{
    CHECK(!checkJsonBounds("[[[]]]", { 100, 2, 10, 10 }));
    CHECK(checkJsonBounds("[[]]", { 100, 2, 10, 10 }));
    CHECK(!checkJsonBounds("[1,2,3,4]", { 100, 2, 2, 10 }));
    CHECK(!checkJsonBounds(R"({"a":1,"b":2,"c":3})", { 100, 2, 10, 2 }));
    CHECK(!checkJsonBounds(std::string(101, ' '), { 100, 2, 10, 10 }));
    // Brackets and commas inside strings do not count.
    CHECK(checkJsonBounds(R"(["[[[,,,\"[[["])", { 100, 1, 0, 1 }));
}

TEST(numbers_are_read_as_text_or_number_and_nonsense_is_not_given)
{
    const auto read = [](const char* value) {
        return decodeCheckpoint(std::string(R"({"name":"n","sizeBytes":)") + value + "}")
            ->sizeBytes;
    };
    CHECK(read("\"42\"") == std::uint64_t { 42 });
    CHECK(read("42") == std::uint64_t { 42 });
    CHECK(read("42.0") == std::uint64_t { 42 });
    CHECK(!read("-1") && !read("\"x\"") && !read("1e300") && !read("true") && !read("4.5"));
    CHECK(!read("99999999999999999999999"));
}

TEST(hotload_of_the_specification)
{
    HotloadRequest request;
    request.identity = "step-2-45dda197";
    request.incremental = IncrementalSnapshot { "step-1-45dda197" };
    const std::string text =
        R"({"identity":"step-2-45dda197","reset_prompt_cache":true,"incremental_snapshot_metadata":)"
        R"({"previous_snapshot_identity":"step-1-45dda197","compression_format":"arc_v2","checksum_format":"alder32"}})";
    CHECK_EQUAL(encodeHotload(request), text);
    CHECK(*decodeHotload(text) == request);
    CHECK(std::get<std::string>(
              decodeHotload(R"({"identity":"i","reset_prompt_cache":"new_session"})")
                  ->resetPromptCache)
        == "new_session");
    CHECK(std::holds_alternative<std::monostate>(
        decodeHotload(R"({"identity":"i"})")->resetPromptCache));
    const std::array<const char*, 6> refused { R"({})", R"({"identity":"a/b"})",
        R"({"identity":"i","surprise":1})", R"({"identity":"i","reset_prompt_cache":"some"})",
        R"({"identity":"i","reset_prompt_cache":3})",
        R"({"identity":"i","incremental_snapshot_metadata":{}})" };
    for (const char* body : refused)
        CHECK(!decodeHotload(body));
    CHECK_EQUAL(decodeHotload(R"({"identity":"i","surprise":1})").error().message,
        std::string("surprise: Extra inputs are not permitted"));
}

TEST(hotload_status_of_every_replica)
{
    const auto replicas = decodeHotloadStatus(R"({"replicas":[
      {"identity":"pod-7c9f-0","readiness":false,"current_snapshot_identity":"step-1-45dda197",
       "loading_state":{"stage":"downloading","target_snapshot_identity":"step-2-45dda197"},"loaded_adapters":[]},
      {"identity":"pod-1","readiness":true,"current_snapshot_identity":null,"loading_state":null}]})");
    CHECK(replicas);
    CHECK_EQUAL(replicas->size(), std::size_t { 2 });
    CHECK_EQUAL((*replicas)[0].stage, std::string("downloading"));
    CHECK_EQUAL((*replicas)[0].targetSnapshot, std::string("step-2-45dda197"));
    CHECK((*replicas)[1].currentSnapshot.empty());
    CHECK_EQUAL((*replicas)[1].stage, std::string("unknown"));
    std::vector<Replica> own { { "r0", "s", true, "idle", "", "", 1.5 },
        { "r1", "", false, "error", "t", "checksum of embed differs", std::nullopt } };
    const auto text = encodeHotloadStatus(own);
    CHECK(text.find(R"("loading_state":{"stage":"idle"})") != std::string::npos);
    CHECK(*decodeHotloadStatus(text) == own);
    CHECK(!decodeHotloadStatus("{}"));
    CHECK(!decodeHotloadStatus(R"({"replicas":{}})"));
    CHECK(decodeHotloadStatus(R"({"replicas":[]})")->empty());
}

TEST(error_bodies_in_every_form)
{
    const std::array<std::pair<std::string, std::string>, 8> forms { {
        { R"({"error":{"code":7,"message":"B200 training needs a higher tier","details":[]}})",
            "B200 training needs a higher tier" },
        { R"({"error":"already exists"})", "already exists" },
        { R"({"code":5,"message":"rlor trainer job not found","details":[]})",
            "rlor trainer job not found" },
        { R"({"detail":"Not found"})", "Not found" },
        { R"({"error":{"reason":7}})", R"({"reason":7})" },
        { "<html>bad\ngateway</html>", "<html>bad gateway</html>" },
        { "", "" },
        { std::string(500, 'x'), std::string(200, 'x') },
    } };
    for (const auto& [body, expected] : forms)
        CHECK_EQUAL(decodeErrorMessage(body), expected);
    CHECK_EQUAL(encodeError(404, "no \"such\" job"),
        std::string(R"({"code":5,"message":"no \"such\" job","details":[]})"));
    const auto error = errorFromReply(409, encodeError(409, "exists."), "create it", "r-1");
    CHECK_EQUAL(error.message, std::string("Could not create it: exists (HTTP 409)"));
    CHECK_EQUAL(error.unchanged, std::string("Nothing was changed on the server"));
    CHECK_EQUAL(error.requestId, std::string("r-1"));
    CHECK_EQUAL(httpStatusFor(Error::Code::Quota), 429);
}

TEST(redaction_spares_what_is_no_secret)
{
    CHECK_EQUAL(
        redactedJson(
            R"({"X-Api-Key":"k","access_token":"k","nextPageToken":"p","prompt_tokens":3,"a":[{"password":1}]})",
            -1),
        std::string(
            R"({"X-Api-Key":"[redacted]","access_token":"[redacted]","nextPageToken":"p","prompt_tokens":3,"a":[{"password":"[redacted]"}]})"));
    CHECK_EQUAL(redactedJson("key=abc"), std::string("[not shown]"));
    CHECK_EQUAL(redactedJson(""), std::string());
}

TEST(query_strings)
{
    const auto query = parseQuery("a=1&b=x%2Fy+z&c&d=%zz&a=2");
    CHECK_EQUAL(query.at("a"), std::string("2"));
    CHECK_EQUAL(query.at("b"), std::string("x/y z"));
    CHECK_EQUAL(query.at("c"), std::string());
    CHECK_EQUAL(query.at("d"), std::string("%zz"));
    CHECK_EQUAL(encodeQuery({ { "k", "ä/ b" } }), std::string("k=%C3%A4%2F%20b"));
}

TEST(completions_with_text_and_ids)
{
    CompletionRequest request;
    request.model = "accounts/a/deployments/d";
    request.prompt = "Once";
    request.maxTokens = 4;
    request.temperature = 0;
    request.seed = 7;
    CHECK_EQUAL(encodeCompletionRequest(request),
        std::string(R"({"model":"accounts/a/deployments/d","prompt":"Once","max_tokens":4,)"
                    R"("temperature":0.0,"top_p":1.0,"top_k":0,"n":1,"seed":7})"));
    CHECK(*decodeCompletionRequest(encodeCompletionRequest(request)) == request);
    // The SDK's probe, gateway.md 4.5.
    const auto probe = decodeCompletionRequest(
        R"({"model":"accounts/a/deployments/d","prompt":[1,2],"max_tokens":4,"temperature":0.0})");
    CHECK(probe && probe->promptTokens);
    CHECK_EQUAL(probe->promptTokens->size(), std::size_t { 2 });
    const std::array<const char*, 7> refused { "{}", R"({"model":"m"})",
        R"({"model":"m","prompt":7})", R"({"model":"m","prompt":["a",1]})",
        R"({"model":"m","prompt":"p","max_tokens":-1})",
        R"({"model":"m","prompt":"p","temperature":-0.5})", R"({"model":"m","prompt":"p","n":0})" };
    for (const char* body : refused)
        CHECK(!decodeCompletionRequest(body));

    Completion completion;
    completion.id = "cmpl-1";
    completion.created = 1'795'255'200;
    completion.model = "accounts/a/deployments/d@step-2-45dda197";
    auto& choice = completion.choices.emplace_back();
    choice.text = " upon";
    choice.finishReason = "length";
    choice.promptTokenIds = { 1, 2 };
    choice.completionTokenIds = { 3 };
    completion.promptTokens = 2;
    completion.completionTokens = 1;
    CHECK(*decodeCompletion(encodeCompletion(completion)) == completion);
    CHECK_EQUAL(std::string(servedSnapshot(completion.model)), std::string("step-2-45dda197"));
    CHECK(servedSnapshot("accounts/a/deployments/d").empty());
    CHECK(!decodeCompletion(R"({"choices":[]})"));
    CHECK(!decodeCompletion(R"({"choices":[{"index":0}]})"));
}

CHECK_MAIN()
