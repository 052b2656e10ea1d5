// SPDX-License-Identifier: GPL-3.0-or-later
// S25 over a scripted server: jobs that are created, awaited, resumed, reconnected, canceled and
// deleted; training shapes.
#include "tests/services/control_plane_fixture.h"

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace {

constexpr const char* kJobs = "/v1/accounts/acme/rlorTrainerJobs";
constexpr const char* kHealth = "/training/v1/rlorTrainerJobs/acme/job-7/api/v1/healthz";

QByteArray jobRow(const QByteArray& state, const QByteArray& more = {})
{
    auto row =
        quoted("{'name':'accounts/acme/rlorTrainerJobs/job-7','state':'JOB_STATE_STATE'MORE}");
    return row.replace("STATE_STATE", QByteArray("STATE_" + state)).replace("MORE", more);
}

CreateJob wanted()
{
    CreateJob create;
    create.jobId = "job-7";
    create.baseModel = "accounts/fireworks/models/toy";
    return create;
}

/// Plays states of the job in order, the last one for ever; healthz answers 200.
void playStates(ControlPlane& plane, QByteArrayList states)
{
    auto left = std::make_shared<QByteArrayList>(std::move(states));
    plane.server.route = [left](const SeenRequest& request) {
        if (request.path() == kHealth)
            return answerOf(200, "{}");
        if (request.path().endsWith(":resume"))
            return answerOf(200, jobRow("CREATING"));
        const auto state = left->size() > 1 ? left->takeFirst() : left->first();
        return answerOf(200, jobRow(state));
    };
}

} // namespace

class TrainerJobsTest final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void createAndWait_endsWithTheEndpoint()
    {
        ControlPlane plane;
        int looks = 0;
        plane.server.route = [&](const SeenRequest& request) {
            if (request.path() == kHealth)
                return looks < 5 ? answerOf(503, "{}") : answerOf(200, "{}");
            ++looks;
            return answerOf(200,
                jobRow(looks < 3 ? "PENDING" : "RUNNING",
                    R"(,"statusMessage":"Warning: capacity is low","trainingConfig":{"maxContextLength":4096})"));
        };
        QByteArrayList heard;
        const auto endpoint = await(plane.jobs->createAndWait(wanted(),
            [&](const std::string& text) { heard.append(QByteArray::fromStdString(text)); }));
        QVERIFY2(endpoint, endpoint ? "" : endpoint.error().message.c_str());
        QCOMPARE(endpoint->jobName, std::string("accounts/acme/rlorTrainerJobs/job-7"));
        QCOMPARE(endpoint->baseUrl,
            plane.server.url().toStdString() + "/training/v1/rlorTrainerJobs/acme/job-7");
        QCOMPARE(endpoint->maxContextLength.value_or(0), std::int64_t { 4096 });
        QCOMPARE(heard, (QByteArrayList { "pending", "Warning: capacity is low", "running" }));
        QCOMPARE(plane.server.count("POST", kJobs), 1);
    }

    void anIdIsMadeAndKept()
    {
        ControlPlane plane;
        playStates(plane, { "RUNNING" });
        auto create = wanted();
        create.jobId.clear();
        plane.server.push(200, jobRow("RUNNING"));
        QVERIFY(await(plane.jobs->createAndWait(create)));
        const auto query = plane.server.seen().first().target.split('=').last();
        QVERIFY(query.startsWith("training-api-service-"));
        QCOMPARE(query.size(), 21 + 8);
        QVERIFY(TrainerJobManager::newJobId() != TrainerJobManager::newJobId());
    }

    void lostCreation_isLookedUpAndNeverSentAgain_data()
    {
        QTest::addColumn<int>("status");
        QTest::addColumn<bool>("isThere");
        QTest::addColumn<QByteArray>("code");
        QTest::newRow("lost, there") << 0 << true << "none"_ba;
        QTest::newRow("lost, not there") << 0 << false << "unknown"_ba;
        QTest::newRow("502, there") << 502 << true << "none"_ba;
        QTest::newRow("503, not there") << 503 << false << "unknown"_ba;
        QTest::newRow("conflict, there") << 409 << true << "none"_ba;
        QTest::newRow("quota") << 429 << false << "quota"_ba;
        QTest::newRow("tier") << 403 << false << "auth"_ba;
        QTest::newRow("shape") << 412 << false << "refused"_ba;
        QTest::newRow("billing") << 402 << false << "quota"_ba;
    }
    void lostCreation_isLookedUpAndNeverSentAgain()
    {
        QFETCH(int, status);
        QFETCH(bool, isThere);
        QFETCH(QByteArray, code);
        ControlPlane plane;
        plane.server.push(
            status == 0 ? lostReply() : answerOf(status, R"({"code":8,"message":"no"})"));
        plane.server.route = [isThere](const SeenRequest&) {
            return isThere ? answerOf(200, jobRow("CREATING"))
                           : answerOf(404, R"({"code":5,"message":"not found"})");
        };
        const auto job = await(plane.client->createJob(wanted()));
        QCOMPARE(codeOf(job), code);
        QCOMPARE(plane.server.count("POST", kJobs), 1);
        if (code == "unknown")
            QVERIFY(job.error().unchanged.find("not sent again") != std::string::npos);
    }

    void whatIsWrongWithACreation_isSaidBeforeItIsSent_data()
    {
        QTest::addColumn<int>("kind");
        QTest::addColumn<QByteArray>("words");
        QTest::newRow("no base") << 0 << "needs a base model"_ba;
        QTest::newRow("long name") << 1 << "longer than 63 characters"_ba;
        QTest::newRow("timeout text") << 2 << "is a duration such as 1800s"_ba;
        QTest::newRow("timeout negative") << 3 << "is negative"_ba;
        QTest::newRow("timeout long") << 4 << "at most 3 hours"_ba;
        QTest::newRow("bare shape") << 5 << "a training shape is accounts/"_ba;
        QTest::newRow("shape and nodes") << 6 << "decides nodes and accelerators"_ba;
        QTest::newRow("rank") << 7 << "LoRA rank is negative"_ba;
    }
    void whatIsWrongWithACreation_isSaidBeforeItIsSent()
    {
        QFETCH(int, kind);
        QFETCH(QByteArray, words);
        auto create = wanted();
        if (kind == 0)
            create.baseModel.clear();
        else if (kind == 1)
            create.displayName = std::string(64, 'x');
        else if (kind == 2)
            create.inactivityTimeout = "30 min";
        else if (kind == 3)
            create.inactivityTimeout = "-1s";
        else if (kind == 4)
            create.inactivityTimeout = "10800.1s";
        else if (kind == 5)
            create.trainingShape = "toy-lora";
        else if (kind == 6)
            create.trainingShape = "accounts/fireworks/trainingShapes/toy", create.nodeCount = 2;
        else
            create.loraRank = -1;
        ControlPlane plane;
        const auto job = await(plane.client->createJob(create));
        QCOMPARE(codeOf(job), "usage"_ba);
        QVERIFY2(QByteArray::fromStdString(job.error().message).contains(words),
            job.error().message.c_str());
        QCOMPARE(plane.server.seen().size(), 0);
        create = wanted();
        create.inactivityTimeout = "10800s";
        create.trainingShape = "accounts/fireworks/trainingShapes/toy/versions/7";
        create.displayName = std::string(63, 'x');
        QVERIFY(checkCreateJob(create).empty());
    }

    void everyStateWhileWaiting_data()
    {
        QTest::addColumn<QByteArray>("state");
        QTest::addColumn<QByteArray>("code");
        QTest::addColumn<QByteArray>("words");
        const auto row = [](const char* state, const char* code, const char* words) {
            QTest::newRow(state) << QByteArray(state) << QByteArray(code) << QByteArray(words);
        };
        row("RUNNING", "none", "");
        row("IDLE", "none", "");
        row("FAILED", "backend", "failed");
        row("DELETED", "not_found", "is archived");
        row("ARCHIVED", "not_found", "is archived");
        row("PENDING", "backend", "remained pending for capacity");
        for (const char* stopped : { "CANCELLING", "CANCELLED", "COMPLETED", "EARLY_STOPPED",
                 "EXPIRED", "PAUSED", "DELETING", "DELETING_CLEANING_UP" })
            row(stopped, "backend", "stopped before it became ready");
        for (const char* slow : { "UNSPECIFIED", "CREATING", "VALIDATING", "CREATING_INPUT_DATASET",
                 "WRITING_RESULTS", "RE_QUEUEING", "NEW_WORD" })
            row(slow, "backend", "did not become ready within");
    }
    void everyStateWhileWaiting()
    {
        QFETCH(QByteArray, state);
        QFETCH(QByteArray, code);
        QFETCH(QByteArray, words);
        ControlPlane plane;
        plane.jobs->setPolicy({ 2ms, 25ms, 25ms, 15ms, 25ms });
        playStates(plane, { state });
        const auto endpoint = await(plane.jobs->waitForExisting("job-7"));
        QCOMPARE(codeOf(endpoint), code);
        if (!endpoint)
            QVERIFY2(QByteArray::fromStdString(endpoint.error().message).contains(words),
                endpoint.error().message.c_str());
    }

    void pendingDoesNotCountAgainstReadiness()
    {
        ControlPlane plane;
        plane.jobs->setPolicy({ 5ms, 5s, 40ms, 15ms, 25ms });
        QByteArrayList states;
        for (int i = 0; i < 20; ++i) // 100 ms, longer than readiness may take
            states.append("PENDING");
        playStates(plane, states + QByteArrayList { "RUNNING" });
        QVERIFY(await(plane.jobs->waitForExisting("job-7")));
    }

    void resumeAndWait_toleratesTheOldStateForAWhile()
    {
        ControlPlane plane;
        playStates(plane, { "CANCELLED", "CANCELLED", "CREATING", "RUNNING" });
        const auto endpoint = await(plane.jobs->resumeAndWait("job-7"));
        QVERIFY2(endpoint, endpoint ? "" : endpoint.error().message.c_str());
        QCOMPARE(plane.server.count("POST", "/v1/accounts/acme/rlorTrainerJobs/job-7:resume"), 1);
        // A resume whose reply was lost is not sent again.
        plane.server.push(lostReply());
        QCOMPARE(codeOf(await(plane.jobs->resumeAndWait("job-7"))), "unknown"_ba);
        QCOMPARE(plane.server.count("POST", "/v1/accounts/acme/rlorTrainerJobs/job-7:resume"), 2);
    }

    void reconnectAndWait_doesWhatTheStateNeeds_data()
    {
        QTest::addColumn<QByteArrayList>("states");
        QTest::addColumn<int>("resumes");
        QTest::addColumn<QByteArray>("code");
        QTest::newRow("runs") << QByteArrayList { "RUNNING" } << 0 << "none"_ba;
        for (const char* state : { "FAILED", "CANCELLED", "PAUSED", "COMPLETED" })
            QTest::newRow(state) << QByteArrayList { state, "RUNNING" } << 1 << "none"_ba;
        QTest::newRow("creating, then runs")
            << QByteArrayList { "CREATING", "CREATING", "RUNNING" } << 0 << "none"_ba;
        QTest::newRow("deleting for ever") << QByteArrayList { "DELETING" } << 0 << "backend"_ba;
        QTest::newRow("archived") << QByteArrayList { "ARCHIVED" } << 0 << "not_found"_ba;
    }
    void reconnectAndWait_doesWhatTheStateNeeds()
    {
        QFETCH(QByteArrayList, states);
        QFETCH(int, resumes);
        QFETCH(QByteArray, code);
        ControlPlane plane;
        plane.jobs->setPolicy({ 2ms, 5s, 5s, 50ms, 40ms });
        playStates(plane, states);
        const auto endpoint = await(plane.jobs->reconnectAndWait("job-7"));
        QCOMPARE(codeOf(endpoint), code);
        QCOMPARE(
            plane.server.count("POST", "/v1/accounts/acme/rlorTrainerJobs/job-7:resume"), resumes);
        if (code == "backend")
            QVERIFY(endpoint.error().message.find("is stuck in deleting") != std::string::npos);
    }

    void reconnectAndWait_toleratesAServerThatIsAway()
    {
        ControlPlane plane;
        for (int i = 0; i < 9; ++i)
            plane.server.push(503, "{}");
        playStates(plane, { "RUNNING" });
        QVERIFY(await(plane.jobs->reconnectAndWait("job-7")));
    }

    void singleCalls()
    {
        ControlPlane plane;
        plane.server.push(404, R"({"message":"none"})");
        const auto none = await(plane.jobs->tryGet("job-7"));
        QVERIFY(none && !*none);
        plane.server.push(200, jobRow("CANCELLED"));
        const auto some = await(plane.jobs->tryGet("job-7"));
        QVERIFY(some && *some);
        plane.server.push(
            400, R"({"code":9,"message":"cannot cancel job in state: JOB_STATE_DELETED"})");
        const auto refused = await(plane.jobs->cancel("job-7"));
        QCOMPARE(codeOf(refused), "refused"_ba);
        QVERIFY(refused.error().message.find("JOB_STATE_DELETED") != std::string::npos);
        plane.server.push(200, "{}");
        QVERIFY(await(plane.jobs->remove("job-7")));
        plane.server.push(503, "{}");
        QVERIFY(!await(plane.jobs->remove("job-7")));
        QCOMPARE(plane.server.count("DELETE", "/v1/accounts/acme/rlorTrainerJobs/job-7"), 2);
        auto waiting = plane.jobs->waitForExisting("job-7");
        plane.server.route = [](const SeenRequest&) { return answerOf(200, jobRow("PENDING")); };
        waiting.cancel();
        QCOMPARE(codeOf(await(waiting)), "cancelled"_ba);
    }

    void trainingShapes()
    {
        const auto version = QByteArray(
            R"({"name":"accounts/fireworks/trainingShapes/toy/versions/7","snapshot":{"trainerMode":"LORA_TRAINER","trainerImageTag":"0.0.1","maxSupportedContextLength":131072,"nodeCount":1,"acceleratorType":"NVIDIA_H200_141GB","acceleratorCount":8,"baseModelWeightPrecision":"BFLOAT16","trainerShardingScheme":{"pipelineParallelism":2},"deploymentShapeVersion":"accounts/fireworks/deploymentShapes/toy/versions/3"}})");
        ControlPlane plane;
        plane.server.push(200, R"({"trainingShapeVersions":[)" + version + "]}");
        const auto newest =
            await(plane.jobs->resolveTrainingProfile("accounts/fireworks/trainingShapes/toy"));
        QVERIFY(newest);
        QCOMPARE(plane.sent().last(),
            "GET /v1/accounts/fireworks/trainingShapes/toy/"
            "versions?filter=latest_validated%3Dtrue&pageSize=1"_ba);
        QCOMPARE(newest->trainingShape(), std::string("accounts/fireworks/trainingShapes/toy"));
        QVERIFY(newest->supportsLora());
        QCOMPARE(newest->pipelineParallelism, 2);
        QCOMPARE(newest->maxSupportedContextLength, std::int64_t { 131072 });
        plane.server.push(200, version);
        const auto pinned = await(plane.jobs->resolveTrainingProfile(newest->trainingShapeVersion));
        QVERIFY(pinned && *pinned == *newest);
        QCOMPARE(
            plane.sent().last(), "GET /v1/accounts/fireworks/trainingShapes/toy/versions/7"_ba);
        plane.server.push(200, R"({"trainingShapeVersions":[]})");
        QCOMPARE(codeOf(await(
                     plane.jobs->resolveTrainingProfile("accounts/fireworks/trainingShapes/toy"))),
            "not_found"_ba);
        plane.server.push(401, R"({"message":"inference key"})");
        const auto denied =
            await(plane.jobs->resolveTrainingProfile("accounts/fireworks/trainingShapes/toy"));
        QVERIFY(denied.error().next.find("training scope") != std::string::npos);
        const auto count = plane.server.seen().size();
        QCOMPARE(codeOf(await(plane.jobs->resolveTrainingProfile("toy"))), "usage"_ba);
        QCOMPARE(plane.server.seen().size(), count);
    }
};

QTEST_GUILESS_MAIN(TrainerJobsTest)
#include "tst_trainer_jobs.moc"
