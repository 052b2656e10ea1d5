// SPDX-License-Identifier: GPL-3.0-or-later
// Deployments over the wire: what is created, echoed, patched and scaled.
#include "services/codecs/error_codec.h"
#include "tests/local/backend_fixture.h"
#include "tests/support/check.h"

#include <string>

namespace {

using desk::check::BackendFixture;
using desk::check::BackendProbe;
using desk::check::TrainingProbe;

const std::string kDeployments = BackendProbe::accountPath("/deployments");

bool has(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

desk::Deployment row(const BackendFixture& fixture, const std::string& id)
{
    auto record = desk::decodeDeployment(fixture.probe.call("GET", kDeployments + "/" + id).body);
    CHECK(record.has_value());
    return *record;
}

std::string body(const std::string& more = {})
{
    return R"({"baseModel":"accounts/local/models/desk-tiny","description":)"
           R"("Fireworks training deployment","minReplicaCount":0,"maxReplicaCount":1,)"
           R"("enableHotLoad":true,"forTraining":false,"hotLoadBucketType":"FW_HOSTED")"
        + more + "}";
}

TEST(the_create_body_of_the_newer_sdk_is_accepted_and_echoed)
{
    BackendFixture fixture;
    fixture.probe.createJob("job-7");
    const auto made = fixture.probe.call("POST",
        kDeployments
            + "?deploymentId=dep-1&skipShapeValidation=true&acceptShapelessRisk=true"
              "&disableSpeculativeDecoding=true",
        body(R"(,"hotLoadTrainerJob":"accounts/local/rlorTrainerJobs/job-7",)"
             R"("hotLoadTransitionType":"SYNC","acceleratorType":"NVIDIA_H200_141GB",)"
             R"("preemptible":true,"annotations":{"k":"v"})"));
    CHECK_EQUAL(made.status, 200);
    CHECK(has(made.body, R"("state":"CREATING")"));
    fixture.restart();
    const auto text = fixture.probe.call("GET", kDeployments + "/dep-1").body;
    for (const char* part : { R"("state":"READY")", R"("hotLoadTransitionType":"SYNC")",
             R"("baseModel":"accounts/local/models/desk-tiny")",
             R"("hotLoadTrainerJob":"accounts/local/rlorTrainerJobs/job-7")",
             R"("hotLoadBucketUrl":"gs://local/rl-checkpoints/local/trainer-job-7/")",
             R"("preemptible":true)", R"("annotations":{"k":"v"})", R"("minReplicaCount":0)",
             R"("maxReplicaCount":1)", R"("desiredReplicaCount":1)",
             R"("description":"Fireworks training deployment")" })
        CHECK(has(text, part));
    // A weight sync waits for a replica, also where the minimum is none.
    CHECK_EQUAL(fixture.probe.replicas("dep-1").size(), 1U);
    CHECK_EQUAL(
        fixture.probe.call("POST", kDeployments + "?deploymentId=dep-1", body()).status, 409);
}

TEST(a_deployment_that_cannot_be_is_refused_and_leaves_nothing)
{
    BackendFixture fixture;
    const auto status = [&](const std::string& query, const std::string& text) {
        return fixture.probe.call("POST", kDeployments + "?deploymentId=d" + query, text).status;
    };
    CHECK_EQUAL(status("", "{"), 400);
    CHECK_EQUAL(status("", "{}"), 400);
    CHECK_EQUAL(status("", R"({"baseModel":"accounts/fireworks/models/none"})"), 404);
    CHECK_EQUAL(status("", body(R"(,"hotLoadTransitionType":"SOON")")), 400);
    CHECK_EQUAL(status("", body(R"(,"hotLoadTrainerJob":"job-7")")), 400);
    CHECK_EQUAL(
        status("", body(R"(,"hotLoadTrainerJob":"accounts/local/rlorTrainerJobs/none")")), 404);
    CHECK_EQUAL(
        status("&acceptShapelessRisk=true",
            body(R"(,"deploymentShape":"accounts/fireworks/deploymentShapes/a/versions/1")")),
        400);
    CHECK_EQUAL(status("",
                    R"({"baseModel":"accounts/local/models/desk-tiny","minReplicaCount":2,)"
                    R"("maxReplicaCount":1})"),
        400);
    CHECK_EQUAL(fixture.probe.call("POST", kDeployments + "?deploymentId=..", body()).status, 400);
    CHECK_EQUAL(status("&validateOnly=true", body()), 200);
    CHECK_EQUAL(fixture.probe.call("GET", kDeployments + "/d").status, 404);
    CHECK(has(fixture.probe.call("GET", kDeployments).body, R"("deployments":[])"));
}

TEST(a_mask_of_two_fields_changes_exactly_these)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    fixture.probe.createJob("k");
    fixture.probe.createDeployment("d", 1, "j");
    const auto before = row(fixture, "d");
    const auto patched = fixture.probe.call("PATCH",
        kDeployments + "/d?updateMask=hot_load_trainer_job%2Chot_load_transition_type",
        R"({"hotLoadTrainerJob":"accounts/local/rlorTrainerJobs/k","hotLoadTransitionType":"SYNC",)"
        R"("description":"not this","maxReplicaCount":9})");
    CHECK_EQUAL(patched.status, 200);
    CHECK(has(patched.body, R"("state":"UPDATING")"));
    fixture.probe.settled("d");
    const auto after = row(fixture, "d");
    CHECK_EQUAL(after.hotLoadTrainerJob, "accounts/local/rlorTrainerJobs/k");
    CHECK_EQUAL(after.transitionType, "SYNC");
    CHECK_EQUAL(after.description, before.description);
    CHECK(after.maxReplicaCount == before.maxReplicaCount);
    CHECK(after.created == before.created);
    CHECK_EQUAL(after.state, "READY");
    CHECK(after.updated.has_value());
    for (const char* mask : { "no_such_field", "base_model", "description,no_such_field" }) {
        const auto refused = fixture.probe.call(
            "PATCH", kDeployments + "/d?updateMask=" + mask, R"({"description":"x"})");
        CHECK_EQUAL(refused.status, 400);
        CHECK_EQUAL(row(fixture, "d").description, before.description);
    }
    CHECK_EQUAL(fixture.probe
                    .call("PATCH", kDeployments + "/d?updateMask=hot_load_trainer_job",
                        R"({"hotLoadTrainerJob":"accounts/local/rlorTrainerJobs/none"})")
                    .status,
        404);
    CHECK_EQUAL(
        fixture.probe.call("PATCH", kDeployments + "/none", R"({"description":"x"})").status, 404);
}

TEST(without_a_mask_a_patch_merges_what_it_holds)
{
    BackendFixture fixture;
    fixture.probe.call(
        "POST", kDeployments + "?deploymentId=d", body(R"(,"annotations":{"a":"b"})"));
    const auto before = row(fixture, "d");
    // What scale_to_zero sends.
    CHECK_EQUAL(
        fixture.probe
            .call("PATCH", kDeployments + "/d", R"({"maxReplicaCount":0,"minReplicaCount":0})")
            .status,
        200);
    const auto after = row(fixture, "d");
    CHECK(after.minReplicaCount == 0 && after.maxReplicaCount == 0 && after.replicaCount == 0);
    CHECK_EQUAL(after.description, before.description);
    CHECK(after.enablesHotLoad);
    CHECK(has(after.json, R"("a": "b")"));
    CHECK_EQUAL(fixture.probe.replicas("d").size(), 0U);
    CHECK_EQUAL(fixture.probe
                    .call("PATCH", kDeployments + "/d",
                        R"({"minReplicaCount":1,"maxReplicaCount":2,"annotations":{"c":"d"}})")
                    .status,
        200);
    CHECK_EQUAL(fixture.probe.settled("d").size(), 1U);
    CHECK(has(row(fixture, "d").json, R"("c": "d")"));
    CHECK_EQUAL(
        fixture.probe
            .call("PATCH", kDeployments + "/d", R"({"minReplicaCount":3,"maxReplicaCount":2})")
            .status,
        400);
}

TEST(the_scale_verb_sets_the_count_and_its_floor)
{
    BackendFixture fixture;
    fixture.probe.call("POST", kDeployments + "?deploymentId=d", body());
    CHECK_EQUAL(
        fixture.probe.call("PATCH", kDeployments + "/d:scale", R"({"replicaCount":2})").status,
        200);
    CHECK_EQUAL(fixture.probe.settled("d").size(), 2U);
    const auto after = row(fixture, "d");
    CHECK(after.minReplicaCount == 2 && after.maxReplicaCount == 2);
    CHECK_EQUAL(fixture.probe.call("PATCH", kDeployments + "/d:scale", "{}").status, 400);
    CHECK_EQUAL(
        fixture.probe.call("PATCH", kDeployments + "/d:scale", R"({"replicaCount":99})").status,
        400);
    CHECK_EQUAL(
        fixture.probe.call("PATCH", kDeployments + "/d:scale", R"({"replica_count":1})").status,
        200);
    CHECK_EQUAL(fixture.probe.settled("d").size(), 1U);
}

TEST(lists_take_filter_and_page_and_a_deleted_one_is_gone)
{
    BackendFixture fixture;
    for (const char* id : { "a", "b" })
        fixture.probe.createDeployment(id, 1);
    const auto path = kDeployments + "?filter=name%3D%22*%2Fa%22&showDeleted=true";
    CHECK_EQUAL(desk::decodeDeployments(fixture.probe.call("GET", path).body)->items.size(), 1U);
    const auto page =
        desk::decodeDeployments(fixture.probe.call("GET", kDeployments + "?pageSize=1").body);
    CHECK_EQUAL(page->items.size(), 1U);
    CHECK(!page->nextPageToken.empty());
    CHECK_EQUAL(
        fixture.probe.call("DELETE", kDeployments + "/a?ignoreChecks=true&hard=true").status, 200);
    CHECK_EQUAL(fixture.probe.call("GET", kDeployments + "/a").status, 404);
    CHECK_EQUAL(fixture.probe.call("DELETE", kDeployments + "/a").status, 404);
}

TEST(the_ledger_tells_every_load_of_every_replica)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    fixture.probe.createDeployment("d", 2, "j");
    const auto ledger = kDeployments + "/d/ledger";
    CHECK_EQUAL(fixture.probe.call("GET", ledger).body, R"({"ledger":[]})");
    TrainingProbe training(fixture.probe, "j");
    training.saveSampler("b1", "base");
    fixture.probe.hotload("d", "b1");
    fixture.probe.settled("d");
    const auto text = fixture.probe.call("GET", ledger).body;
    CHECK(has(text, R"("timestamp":")"));
    CHECK(has(text, R"(\"identity\":\"b1\",\"kind\":\"full\")"));
    CHECK(has(text, R"(\"state\":\"ready\")"));
    CHECK_EQUAL(fixture.probe.call("DELETE", ledger).body, "{}");
    CHECK_EQUAL(fixture.probe.call("GET", ledger).body, R"({"ledger":[]})");
    CHECK_EQUAL(fixture.probe.call("GET", kDeployments + "/none/ledger").status, 404);
    CHECK(has(fixture.probe.call("GET", kDeployments + "/d/shards").body, R"("totalSize":2)"));
    CHECK(has(fixture.probe.call("GET", kDeployments + "/d:metrics").body,
        R"({"metrics":{"replicas":2,"replicas_ready":2,"replicas_failed":0}})"));
}

} // namespace

CHECK_MAIN()
