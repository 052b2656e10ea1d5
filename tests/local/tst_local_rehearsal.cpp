// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/rehearsal_codec.h"
#include "services/local/rehearsal/stand_ins.h"
#include "tests/local/backend_fixture.h"
#include "tests/support/check.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace {

using namespace desk;
using desk::check::BackendFixture;
using desk::check::BackendProbe;

struct Rehearsed
{
    explicit Rehearsed(const std::string& begin = "{}")
    {
        const auto reply = fixture.probe.call("POST", "/local/v1/rehearsals", begin);
        CHECK_EQUAL(reply.status, 200);
        const auto read = decodeRehearsalStarted(reply.body);
        CHECK(read.has_value());
        started = *read;
        script = BackendProbe(fixture.backend->ready().url, started.key);
    }
    RehearsalRecord record(const char* method = "GET") const
    {
        const auto reply = fixture.probe.call(method, "/local/v1/rehearsals/" + started.id);
        CHECK_EQUAL(reply.status, 200);
        auto read = decodeRehearsal(reply.body);
        CHECK(read.has_value());
        return *std::move(read);
    }
    BackendFixture fixture;
    RehearsalStarted started;
    BackendProbe script; ///< speaks with the key of the rehearsal
};

std::string jobBody(const std::string& baseModel)
{
    CreateJob wanted;
    wanted.jobId = "rehearsed";
    wanted.baseModel = baseModel;
    return encodeCreateJob(wanted);
}
constexpr const char* kJobs = "/v1/accounts/local/rlorTrainerJobs?rlorTrainerJobId=rehearsed";

TEST(vocabulariesOfFamilies)
{
    CHECK_EQUAL(local::vocabularyOfFamily("accounts/fireworks/models/qwen3-8b").value(), 151936U);
    CHECK_EQUAL(local::vocabularyOfFamily("meta-llama/Llama-3.1-8B-Instruct").value(), 128256U);
    CHECK_EQUAL(
        local::vocabularyOfFamily("accounts/fireworks/models/llama-v3p1-8b").value(), 128256U);
    CHECK(!local::vocabularyOfFamily("me/something"));
}

TEST(anUnknownModelIsRefusedOutsideARehearsal)
{
    BackendFixture fixture;
    const auto reply = fixture.probe.call("POST", kJobs, jobBody("Qwen/Qwen3-8B"));
    CHECK_EQUAL(reply.status, 404);
    CHECK(reply.body.find("rehearse") != std::string::npos);
    CHECK_EQUAL(fixture.backend->ready().models.size(), 1U);
}

TEST(anUnknownModelGetsAStandInOfTheRightVocabulary)
{
    Rehearsed rehearsed(R"({"vocabularies":{"me/mine":1000}})");
    CHECK_EQUAL(rehearsed.script.call("POST", kJobs, jobBody("me/mine")).status, 200);
    const auto record = rehearsed.record();
    CHECK_EQUAL(record.standIns.size(), 1U);
    CHECK_EQUAL(record.standIns[0].name, "me/mine");
    CHECK_EQUAL(record.standIns[0].vocabSize, 1000U);
    CHECK_EQUAL(record.standIns[0].vocabularyFrom, "given");
    CHECK_EQUAL(record.jobs.size(), 1U);
    CHECK_EQUAL(record.jobs[0].baseModel, "me/mine");
    const auto models = rehearsed.fixture.probe.call("GET", "/v1/accounts/local/models").body;
    CHECK(models.find("Stand-in for me/mine") != std::string::npos);
    // The window shows the message of a job, the SDK that of its session.
    const auto job = decodeJob(
        rehearsed.fixture.probe.call("GET", "/v1/accounts/local/rlorTrainerJobs/rehearsed").body);
    CHECK(job.has_value());
    CHECK_EQUAL(job->statusMessage.substr(0, 42), "me/mine is played by a small stand-in with");
    const auto session = decodeSessionCreated(
        rehearsed.script
            .call("POST", BackendProbe::trainerPath("rehearsed", "create_session"),
                encodeCreateSession({}))
            .body);
    CHECK(session.has_value());
    CHECK(session->infoMessage.find("me/mine is played by a small stand-in") != std::string::npos);
}

TEST(aStandInOutlivesARestartAndIsNotMadeTwice)
{
    Rehearsed rehearsed(R"({"vocabularies":{"me/mine":1000}})");
    CHECK_EQUAL(rehearsed.script.call("POST", kJobs, jobBody("me/mine")).status, 200);
    rehearsed.fixture.restart();
    const auto models = rehearsed.fixture.probe.call("GET", "/v1/accounts/local/models").body;
    CHECK(models.find("Stand-in for me/mine") != std::string::npos);
    CHECK(models.find("mine-2") == std::string::npos);
    // The model is there now, so it may be used without a rehearsal, too.
    const auto again = rehearsed.fixture.probe.call(
        "POST", "/v1/accounts/local/rlorTrainerJobs?rlorTrainerJobId=later", jobBody("me/mine"));
    CHECK_EQUAL(again.status, 200);
}

TEST(theKeyOfARehearsalEndsWithIt)
{
    Rehearsed rehearsed;
    CHECK_EQUAL(rehearsed.script.call("GET", "/v1/accounts").status, 200);
    CHECK_EQUAL(rehearsed.record("DELETE").requests, 1);
    CHECK_EQUAL(rehearsed.script.call("GET", "/v1/accounts").status, 401);
    CHECK_EQUAL(
        rehearsed.fixture.probe.call("GET", "/local/v1/rehearsals/" + rehearsed.started.id).status,
        404);
}

TEST(refusalsAndDeploymentsAreRecorded)
{
    Rehearsed rehearsed;
    CHECK_EQUAL(rehearsed.script.createJob("job-1").status, 200);
    CHECK_EQUAL(rehearsed.script.createDeployment("eval", 1, "job-1").status, 200);
    for (int i = 0; i < 2; ++i)
        CHECK(rehearsed.script.hotload("eval", "no-such-snapshot").status >= 400);
    // Requests of others are none of the rehearsal's business.
    CHECK_EQUAL(rehearsed.fixture.probe.createDeployment("other", 1).status, 200);
    const auto record = rehearsed.record();
    CHECK_EQUAL(record.deployments.size(), 1U);
    CHECK_EQUAL(record.deployments[0].id, "eval");
    CHECK_EQUAL(record.deployments[0].replicas, 1);
    CHECK_EQUAL(record.hotLoads.size(), 2U);
    CHECK_EQUAL(record.refusals.size(), 1U);
    CHECK_EQUAL(record.refusals[0].count, 2);
}

TEST(hostileModelNamesMakeNothing)
{
    Rehearsed rehearsed;
    for (const std::string name : { "../../etc/passwd", "/abs", "a b", "" })
        CHECK(rehearsed.script.call("POST", kJobs, jobBody(name)).status >= 400);
    const auto huge = std::string(5000, 'x');
    CHECK(rehearsed.script.call("POST", kJobs, jobBody(huge)).status >= 400);
    CHECK(rehearsed.record().standIns.empty());
}

TEST(aTokenizerOfTheHubCacheGoesWithTheStandIn)
{
    check::TempFolder cache;
    const auto snapshot = cache.path() / "models--me--mine" / "snapshots" / "0123abcd";
    std::filesystem::create_directories(snapshot);
    std::ofstream(snapshot / "tokenizer.json") << "{\"version\":\"1.0\"}";
    Rehearsed rehearsed(encodeRehearsalBegin({ { { "me/mine", 700 } }, cache.path().string() }));
    CHECK_EQUAL(rehearsed.script.call("POST", kJobs, jobBody("me/mine")).status, 200);
    CHECK(rehearsed.record().standIns[0].hasOwnTokenizer);
    const auto served =
        rehearsed.fixture.probe.call("GET", "/hf/me/mine/resolve/main/tokenizer.json");
    CHECK_EQUAL(served.status, 200);
    CHECK_EQUAL(served.body, "{\"version\":\"1.0\"}");
}

} // namespace

CHECK_MAIN()
