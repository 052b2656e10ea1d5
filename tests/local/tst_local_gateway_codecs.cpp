// SPDX-License-Identifier: GPL-3.0-or-later
// Lists with filter, order and mask; patches; bodies of the newer clients; structured errors.
#include "services/codecs/deployment_patch_codec.h"
#include "services/codecs/error_codec.h"
#include "services/codecs/gateway_codec.h"
#include "services/codecs/rest_codec.h"
#include "services/codecs/shapes_codec.h"
#include "tests/support/check.h"

#include <vector>

using namespace desk;

namespace {

std::vector<TrainerJob> jobsOf(std::initializer_list<const char*> names)
{
    std::vector<TrainerJob> jobs;
    std::int64_t second = 0;
    for (const char* name : names) {
        TrainerJob job;
        job.name = std::string("accounts/a/rlorTrainerJobs/") + name;
        job.displayName = name;
        job.baseModel = "accounts/a/models/m";
        job.loraRank = static_cast<int>(second);
        job.state = second % 2 == 0 ? JobState::Running : JobState::Cancelled;
        job.created = Time(std::chrono::seconds(1'795'000'000 + second++));
        jobs.push_back(std::move(job));
    }
    return jobs;
}

/// Display names of a page, joined.
std::string namesIn(const Result<std::string>& body)
{
    if (!body)
        return std::string("error: ") + toString(body.error().code);
    const auto page = decodeJobs(*body);
    std::string names;
    for (const auto& job : page->items)
        names += (names.empty() ? "" : ",") + std::string(job.displayName);
    return names;
}

std::string filtered(const std::string& filter)
{
    const auto jobs = jobsOf({ "ant", "bee", "cat" });
    ListQuery query;
    query.filter = filter;
    return namesIn(encodeJobList(jobs, query));
}

TEST(filters_compare_texts_numbers_and_times)
{
    CHECK_EQUAL(filtered(""), "ant,bee,cat");
    CHECK_EQUAL(filtered(R"(state="JOB_STATE_RUNNING")"), "ant,cat");
    CHECK_EQUAL(filtered("state = JOB_STATE_CANCELLED"), "bee");
    CHECK_EQUAL(filtered("state!=JOB_STATE_CANCELLED"), "ant,cat");
    CHECK_EQUAL(filtered("training_config.lora_rank >= 1"), "bee,cat");
    CHECK_EQUAL(filtered("trainingConfig.loraRank<1"), "ant");
    CHECK_EQUAL(filtered("createTime>2026-11-18T11:06:40Z"), "bee,cat");
    CHECK_EQUAL(filtered("create_time <= \"2026-11-18T11:06:41.000Z\""), "ant,bee");
    CHECK_EQUAL(filtered("display_name=\"b*\""), "bee");
    CHECK_EQUAL(filtered("displayName=\"*t\""), "ant,cat");
    CHECK_EQUAL(filtered("displayName:e"), "bee");
    CHECK_EQUAL(filtered("trainingConfig:loraRank"), "ant,bee,cat");
    CHECK_EQUAL(filtered("serviceMode=true"), "ant,bee,cat");
    CHECK_EQUAL(filtered("noSuchField=1"), "");
    CHECK_EQUAL(filtered("noSuchField!=1"), "ant,bee,cat");
    CHECK_EQUAL(filtered("cat"), "cat");
}

TEST(filters_combine_and_or_binds_more_tightly)
{
    CHECK_EQUAL(filtered("displayName=ant OR displayName=cat"), "ant,cat");
    CHECK_EQUAL(filtered("NOT displayName=ant"), "bee,cat");
    CHECK_EQUAL(
        filtered("displayName=ant OR displayName=bee AND state=JOB_STATE_CANCELLED"), "bee");
    CHECK_EQUAL(
        filtered("displayName=ant OR (displayName=bee AND state=JOB_STATE_CANCELLED)"), "ant,bee");
    CHECK_EQUAL(filtered("displayName=cat state=JOB_STATE_RUNNING"), "cat");
}

TEST(filters_that_cannot_be_read_are_refused)
{
    for (const char* bad : { "(", "a=", "=a", "a=1)", "a=\"x", "AND", "NOT", "a=1 OR" })
        CHECK_EQUAL(filtered(bad), "error: usage");
    CHECK_EQUAL(filtered(std::string(5000, 'a')), "error: usage");
    CHECK_EQUAL(filtered(std::string(100, '(') + "a" + std::string(100, ')')), "error: usage");
}

TEST(lists_are_ordered_masked_and_paged)
{
    const auto jobs = jobsOf({ "ant", "bee", "cat" });
    ListQuery query;
    query.orderBy = "create_time desc";
    CHECK_EQUAL(namesIn(encodeJobList(jobs, query)), "cat,bee,ant");
    query.orderBy = "state, displayName desc";
    CHECK_EQUAL(namesIn(encodeJobList(jobs, query)), "bee,cat,ant");
    query.orderBy = "state sideways";
    CHECK_EQUAL(namesIn(encodeJobList(jobs, query)), "error: usage");
    query.orderBy.clear();
    query.readMask = "state,training_config.lora_rank";
    query.pageSize = 1;
    CHECK_EQUAL(*encodeJobList(jobs, query),
        R"({"rlorTrainerJobs":[{"name":"accounts/a/rlorTrainerJobs/ant","state":"JOB_STATE_RUNNING",)"
        R"("trainingConfig":{"loraRank":0}}],"nextPageToken":)"
            + std::string("\"") + decodeJobs(*encodeJobList(jobs, query))->nextPageToken
            + R"(","totalSize":3})");
    query.readMask.clear();
    const auto token = decodeJobs(*encodeJobList(jobs, query))->nextPageToken;
    query.pageToken = token;
    CHECK_EQUAL(namesIn(encodeJobList(jobs, query)), "bee");
    query.filter = "state=JOB_STATE_RUNNING"; // the token is of another list now
    CHECK_EQUAL(namesIn(encodeJobList(jobs, query)), "error: usage");
    query.filter.clear();
    for (const char* bad : { "x", "1", "1-2", "-1", "99999999999999999999999-1" }) {
        query.pageToken = bad;
        CHECK_EQUAL(namesIn(encodeJobList(jobs, query)), "error: usage");
    }
}

TEST(list_queries_are_bounded)
{
    CHECK_EQUAL(decodeListQuery({})->pageSize, 50U);
    CHECK_EQUAL(decodeListQuery({ { "pageSize", "500" } })->pageSize, 200U);
    CHECK_EQUAL(decodeListQuery({ { "page_size", "7" } })->pageSize, 7U);
    CHECK_EQUAL(decodeListQuery({ { "pageSize", "0" } })->pageSize, 50U);
    CHECK(!decodeListQuery({ { "pageSize", "-1" } }).has_value());
    CHECK(decodeListQuery({ { "showDeleted", "true" } })->showDeleted);
    CHECK_EQUAL(encodeEmptyList("dpoJobs"), R"({"dpoJobs":[],"nextPageToken":"","totalSize":0})");
}

TEST(the_three_create_bodies_of_the_newer_sdk_are_read_and_shown_again)
{
    const auto manual = decodeCreateJob(
        R"({"serviceMode":true,"keepAlive":false,"dataset":"","trainingConfig":{"baseModel":"accounts/fireworks/models/toy","loraRank":8,"learningRate":1e-05,"maxContextLength":128},"useReservation":true,"nodeCount":1,"displayName":"d"})",
        { { "skipValidations", "true" }, { "rlorTrainerJobId", "j" } });
    CHECK(manual->skipValidations);
    CHECK_EQUAL(manual->loraRank, 8);
    CHECK(manual->useReservation == true);
    CHECK_EQUAL(jobDetails(*manual), R"({"nodeCount":1,"useReservation":true})");
    const auto shape = decodeCreateJob(
        R"({"serviceMode":true,"keepAlive":false,"dataset":"","trainingConfig":{"baseModel":"m","loraRank":0,"learningRate":1e-05,"projectionHeadDim":4,"region":"US_OHIO_1","extraArgs":["--a b"],"epochs":3},)"
        R"("trainerReplicaCount":2,"useReservation":false,"reservationTarget":"r1","extraValues":{"a":"b"},"forwardOnly":true,"purpose":"P","preemptible":true,"managedBy":"x","inactivityTimeout":"1800s","rewardWeights":["w"]})",
        { { "trainingShape", "accounts/fireworks/trainingShapes/toy-lora" } });
    TrainerJob job;
    job.name = "accounts/a/rlorTrainerJobs/j";
    job.baseModel = shape->baseModel;
    job.inactivityTimeout = shape->inactivityTimeout;
    job.json = jobDetails(*shape);
    const auto row = encodeJob(job);
    for (const char* text :
        { R"("projectionHeadDim":4)", R"("region":"US_OHIO_1")", R"("extraArgs":["--a","b"])",
            R"("epochs":3)", R"("trainerReplicaCount":2)", R"("useReservation":false)",
            R"("reservationTarget":"r1")", R"("extraValues":{"a":"b"})", R"("forwardOnly":true)",
            R"("purpose":"P")", R"("preemptible":true)", R"("managedBy":"x")",
            R"("inactivityTimeout":"1800s")", R"("rewardWeights":["w"])", R"("keepAlive":false)",
            R"("trainingShape":"accounts/fireworks/trainingShapes/toy-lora")" })
        CHECK(row.find(text) != std::string::npos);
    // Decoded and encoded again, a row loses nothing and gains nothing.
    CHECK_EQUAL(encodeJob(*decodeJob(row)).size(), row.size());
}

TEST(deployments_echo_what_they_do_not_interpret)
{
    const auto wanted = decodeCreateDeployment(
        R"({"baseModel":"accounts/fireworks/models/toy","description":"d","minReplicaCount":0,"maxReplicaCount":1,"enableHotLoad":true,"forTraining":true,)"
        R"("hotLoadBucketType":"FW_HOSTED","hotLoadTransitionType":"SYNC","acceleratorType":"NVIDIA_H200_141GB","preemptible":true,"annotations":{"k":"v"},)"
        R"("placement":{"region":"US_OHIO_1"},"extraValues":{"a":"b"},"extraArgs":["--x y"],"autoscalingPolicy":{"scaleUpWindow":"30s"}})",
        { { "deploymentId", "d" }, { "skipShapeValidation", "true" },
            { "acceptShapelessRisk", "true" }, { "disableSpeculativeDecoding", "true" } });
    CHECK(wanted->skipShapeValidation && wanted->acceptShapelessRisk);
    CHECK_EQUAL(wanted->hotLoadTransitionType, "SYNC");
    Deployment record;
    record.name = "accounts/a/deployments/d";
    record.enablesHotLoad = true;
    record.replicaCount = 1;
    record.transitionType = wanted->hotLoadTransitionType;
    record.json = deploymentDetails(*wanted);
    const auto row = encodeDeployment(record);
    for (const char* text : { R"("hotLoadTransitionType":"SYNC")", R"("annotations":{"k":"v"})",
             R"("preemptible":true)", R"("placement":{"region":"US_OHIO_1"})",
             R"("extraArgs":["--x","y"])", R"("autoscalingPolicy":{"scaleUpWindow":"30s"})",
             R"("acceleratorType":"NVIDIA_H200_141GB")" })
        CHECK(row.find(text) != std::string::npos);
    const auto read = decodeDeployment(row);
    CHECK_EQUAL(read->transitionType, "SYNC");
    CHECK_EQUAL(
        decodeDeployment(R"({"name":"n","hotLoadTransitionType":"HOT_LOAD_TRANSITION_TYPE_ASYNC"})")
            ->transitionType,
        "ASYNC");
}

TEST(a_patch_changes_what_its_mask_names_in_either_spelling)
{
    const std::string body = R"({"hotLoadTrainerJob":"accounts/a/rlorTrainerJobs/j",)"
                             R"("hot_load_transition_type":"HOT_LOAD_TRANSITION_TYPE_SYNC",)"
                             R"("maxReplicaCount":7,"description":"n"})";
    const auto two = decodeDeploymentPatch(body, "hot_load_trainer_job,hot_load_transition_type");
    CHECK_EQUAL(two->hotLoadTrainerJob.value_or(""), "accounts/a/rlorTrainerJobs/j");
    CHECK_EQUAL(two->hotLoadTransitionType.value_or(""), "SYNC");
    CHECK(!two->maxReplicaCount && !two->description);
    const auto camel = decodeDeploymentPatch(body, "hotLoadTrainerJob, maxReplicaCount");
    CHECK(camel->hotLoadTrainerJob && camel->maxReplicaCount == 7);
    CHECK(!camel->hotLoadTransitionType);
    const auto all = decodeDeploymentPatch(body, "");
    CHECK(all->hotLoadTrainerJob && all->hotLoadTransitionType && all->description);
    const auto cleared = decodeDeploymentPatch("{}", "description");
    CHECK_EQUAL(cleared->description.value_or("not there"), "");
    for (const char* bad : { "base_model", "state", "no_such_field", "name.x" })
        CHECK(decodeDeploymentPatch(body, bad).error().code == Error::Code::Refused);
    CHECK_EQUAL(decodeDeploymentPatch(body, "no_such_field").error().message,
        "a deployment has no field 'noSuchField'");
    CHECK(!decodeDeploymentPatch(R"({"hotLoadTransitionType":"SOON"})", "").has_value());
    // What C++ writes is what C++ reads.
    DeploymentPatch patch;
    patch.hotLoadTransitionType = "ASYNC";
    patch.description = "d";
    const auto again = decodeDeploymentPatch(encodeDeploymentPatch(patch), updateMaskOf(patch));
    CHECK_EQUAL(updateMaskOf(patch), "description,hot_load_transition_type");
    CHECK(again->hotLoadTransitionType == "ASYNC" && again->description == "d");
}

TEST(further_fields_of_a_patch_are_merged_into_the_details)
{
    const auto patch = decodeDeploymentPatch(
        R"({"annotations":{"a":"b"},"autoscaling_policy":{"scaleUpWindow":"1s"}})",
        "annotations,autoscaling_policy,draft_model");
    CHECK_EQUAL(patchedDetails(R"({"draftModel":"x","kept":1})", patch->otherFields),
        R"({"kept":1,"annotations":{"a":"b"},"autoscalingPolicy":{"scaleUpWindow":"1s"}})");
    CHECK_EQUAL(patchedDetails("", ""), "{}");
}

TEST(models_carry_their_details_as_the_service_writes_them)
{
    Model model;
    model.name = "accounts/a/models/m";
    model.kind = "HF_PEFT_ADDON";
    model.baseModel = "accounts/a/models/b";
    model.isMoe = false;
    model.parameterCount = 8190735360;
    model.contextLength = 512;
    model.adapterRank = 16;
    model.adapterTargets = { "q_proj", "v_proj" };
    model.fineTuningJob = "accounts/a/rlorTrainerJobs/j";
    const auto row = encodeModel(model);
    CHECK(row.find(R"("baseModelDetails":{"moe":false,"parameterCount":"8190735360"})")
        != std::string::npos);
    CHECK(
        row.find(
            R"("peftDetails":{"baseModel":"accounts/a/models/b","r":16,"targetModules":["q_proj","v_proj"]})")
        != std::string::npos);
    const auto read = decodeModel(row);
    CHECK(read->isMoe == false);
    CHECK(read->parameterCount == 8190735360);
    CHECK(read->adapterRank == 16);
    CHECK_EQUAL(read->fineTuningJob, model.fineTuningJob);
    CHECK(!decodeModel(R"({"name":"n","baseModelDetails":{"moe":"no"}})")->isMoe);
}

TEST(errors_carry_their_reason_where_clients_look_for_it)
{
    const auto body =
        encodeError(429, "no GPUs", ErrorInfo { "QUOTA_EXCEEDED", { { "quota_required", "5" } } });
    CHECK_EQUAL(body,
        R"({"code":8,"message":"no GPUs","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo",)"
        R"("reason":"QUOTA_EXCEEDED","domain":"training.fireworks.ai",)"
        R"("metadata":{"version":"1","source":"lifecycle","quota_required":"5"}}]})");
    CHECK_EQUAL(decodeErrorInfo(body).reason, "QUOTA_EXCEEDED");
    CHECK_EQUAL(decodeErrorInfo(R"({"error":)" + body + "}").metadata.at("quota_required"), "5");
    CHECK_EQUAL(decodeErrorInfo("{").reason, "");
    CHECK_EQUAL(decodeErrorInfo(R"({"error":"already exists"})").reason, "");
    CHECK_EQUAL(encodeError(400, "x", ErrorInfo { "PREREQUISITE_NOT_MET", {} }).substr(0, 9),
        R"({"code":9)");
    CHECK_EQUAL(encodeError(404, "x", ErrorInfo {}), R"({"code":5,"message":"x","details":[]})");
}

TEST(shapes_have_the_versions_that_a_profile_is_read_from)
{
    TrainingShape shape;
    shape.name = "accounts/fireworks/trainingShapes/tiny";
    shape.version = "1";
    shape.baseModel = "accounts/a/models/tiny";
    shape.trainerMode = "LORA_TRAINER";
    shape.contextLength = 512;
    shape.deploymentShapeVersion = "accounts/fireworks/deploymentShapes/tiny/versions/1";
    ListQuery query;
    query.filter = "latest_validated=true";
    query.pageSize = 1;
    const auto page = encodeTrainingShapeVersions({ &shape, 1 }, query);
    for (const char* text :
        { R"({"trainingShapeVersions":[{"name":"accounts/fireworks/trainingShapes/tiny/versions/1")",
            R"("latestValidated":true)", R"("trainerMode":"LORA_TRAINER")",
            R"("maxSupportedContextLength":512)", R"("pipelineParallelism":1)",
            R"("deploymentShapeVersion":"accounts/fireworks/deploymentShapes/tiny/versions/1")" })
        CHECK(page->find(text) != std::string::npos);
    query.filter = "latest_validated=false";
    CHECK_EQUAL(*encodeTrainingShapeVersions({ &shape, 1 }, query),
        R"({"trainingShapeVersions":[],"nextPageToken":"","totalSize":0})");
}

TEST(tinker_paths_have_three_segments)
{
    const auto path = parseTinkerPath("tinker://s:train:0/sampler_weights/0001");
    CHECK_EQUAL(path->run, "s:train:0");
    CHECK_EQUAL(path->kind, "sampler_weights");
    CHECK_EQUAL(path->toString(), "tinker://s:train:0/sampler_weights/0001");
    for (const char* bad : { "", "tinker://", "tinker://a/weights", "tinker://a/weights/",
             "tinker://a/weights/b/c", "tinker://a/other/b", "gs://a/weights/b",
             "tinker://../weights/b", "tinker://a/weights/.." })
        CHECK(!parseTinkerPath(bad).has_value());
}

} // namespace

CHECK_MAIN()
