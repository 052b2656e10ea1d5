// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/resource_name.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/gateway/trainer_job_manager.h"
#include "tests/support/await_future.h"
#include "tests/support/scripted_server.h"

#include <QTest>

#include <memory>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace {

const std::string kJob = "accounts/local/rlorTrainerJobs/job-7";
const std::string kCheckpoint = kJob + "/checkpoints/step-0-45dda197";
constexpr const char* kPromotePath = "/v1/accounts/local/checkpoints/step-0-45dda197:promote";
constexpr const char* kHotload = "/hot_load/v1/models/hot_load";

PromoteParameters promotion(const std::string& id = "math-v1")
{
    return { kCheckpoint, id, "accounts/local/models/desk-tiny" };
}

Answer reply(int status, QByteArray body)
{
    Answer answer;
    answer.status = status;
    answer.body = std::move(body);
    return answer;
}

Answer dropped()
{
    Answer answer;
    answer.kind = Answer::Kind::DropBeforeHeaders;
    return answer;
}

QByteArray replicas(const std::vector<Replica>& rows)
{
    return QByteArray::fromStdString(encodeHotloadStatus(rows));
}

HotloadParameters hotloadOf(const std::string& identity)
{
    HotloadParameters parameters;
    parameters.deployment = "d";
    parameters.baseModel = "accounts/local/models/desk-tiny";
    parameters.request.identity = identity;
    return parameters;
}

} // namespace

class FireworksClientTest final : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<ScriptedServer> m_server;
    std::unique_ptr<HttpClient> m_http;
    std::unique_ptr<FireworksClient> m_client;
    std::unique_ptr<TrainerJobManager> m_jobs;
    std::unique_ptr<DeploymentManager> m_deployments;

    void connectAs(const std::string& account)
    {
        Connection connection;
        connection.url = m_server->url().toStdString();
        connection.account = account;
        m_deployments.reset();
        m_jobs.reset();
        m_client.reset();
        m_http = std::make_unique<HttpClient>(connection, [] { return "key"_ba; });
        m_http->setRetryPolicy({ 5ms, 20ms, 0 });
        m_client = std::make_unique<FireworksClient>(*m_http);
        m_jobs = std::make_unique<TrainerJobManager>(*m_client);
        m_jobs->setPolicy({ 10ms, 20s, 20s });
        m_deployments = std::make_unique<DeploymentManager>(*m_client);
    }
    QByteArray seenTarget(qsizetype i) const { return m_server->seen().at(i).target; }

private Q_SLOTS:
    void init()
    {
        m_server = std::make_unique<ScriptedServer>();
        connectAs("local");
    }
    void cleanup()
    {
        m_deployments.reset();
        m_jobs.reset();
        m_client.reset();
        m_http.reset();
        m_server.reset();
    }

    void accountIsResolvedOnce()
    {
        connectAs({});
        m_server->push(200, R"({"accounts":[{"name":"accounts/desk-local"}],"nextPageToken":""})");
        m_server->push(200, R"({"rlorTrainerJobs":[]})");
        m_server->push(200, R"({"models":[]})");
        QVERIFY(await(m_client->listJobs()));
        QVERIFY(await(m_client->listModels()));
        QCOMPARE(seenTarget(0), "/v1/accounts?pageSize=2"_ba);
        QCOMPARE(seenTarget(1), "/v1/accounts/desk-local/rlorTrainerJobs?pageSize=200"_ba);
        QCOMPARE(seenTarget(2), "/v1/accounts/desk-local/models?pageSize=200"_ba);
    }

    void accountThatIsNotCertainIsAnError_data()
    {
        QTest::addColumn<QByteArray>("body");
        QTest::addColumn<QByteArray>("words");
        QTest::newRow("none") << "{}"_ba
                              << "not associated with any Fireworks account"_ba;
        QTest::newRow("two") << R"({"accounts":[{"name":"accounts/a"},{"name":"accounts/b"}]})"_ba
                             << "access to multiple accounts: a, b"_ba;
        QTest::newRow("empty") << R"({"accounts":[{"name":"accounts/"}]})"_ba
                               << "Could not parse account ID"_ba;
    }
    void accountThatIsNotCertainIsAnError()
    {
        QFETCH(QByteArray, body);
        QFETCH(QByteArray, words);
        connectAs({});
        m_server->push(200, body);
        const auto jobs = await(m_client->listJobs());
        QVERIFY(!jobs);
        QVERIFY(QByteArray::fromStdString(jobs.error().message).contains(words));
        QCOMPARE(m_server->seen().size(), 1);
    }

    void checkpointsOfAllPagesNewestFirstByTime()
    {
        m_server->push(200,
            R"({"checkpoints":[{"name":"a","createTime":"2026-11-21T10:05:00.9Z"},{"name":"b","createTime":"2026-11-21T10:05:00.25Z"}],"nextPageToken":"p/2"})");
        m_server->push(200,
            R"({"checkpoints":[{"name":"c","createTime":"2026-11-21T10:05:00.250311Z"},{"name":"d"}]})");
        const auto rows = await(m_client->listCheckpoints("job-7"));
        QVERIFY(rows);
        QByteArrayList names;
        for (const auto& row : *rows)
            names.append(QByteArray::fromStdString(row.name));
        QCOMPARE(names.join(' '), "a c b d"_ba);
        QCOMPARE(
            seenTarget(0), "/v1/accounts/local/rlorTrainerJobs/job-7/checkpoints?pageSize=200"_ba);
        QCOMPARE(seenTarget(1),
            "/v1/accounts/local/rlorTrainerJobs/job-7/checkpoints?pageSize=200&pageToken=p%2F2"_ba);
    }

    void listThatDoesNotEndIsRefused()
    {
        m_server->route = [](const SeenRequest&) {
            return reply(200, R"({"checkpoints":[],"nextPageToken":"again"})");
        };
        const auto rows = await(m_client->listCheckpoints(kJob));
        QCOMPARE(codeOf(rows), "malformed"_ba);
    }

    void rejectedModelIdSendsNothing_data()
    {
        QTest::addColumn<QByteArray>("id");
        QTest::newRow("empty") << ""_ba;
        QTest::newRow("capital") << "Math"_ba;
        QTest::newRow("slash") << "a/b"_ba;
        QTest::newRow("long") << QByteArray(64, 'a');
    }
    void rejectedModelIdSendsNothing()
    {
        QFETCH(QByteArray, id);
        const auto model = await(m_client->promoteCheckpoint(promotion(id.toStdString())));
        QCOMPARE(codeOf(model), "usage"_ba);
        QCOMPARE(model.error().unchanged, std::string("Nothing was sent"));
        QCOMPARE(m_server->seen().size(), 0);
        auto wrongName = promotion();
        wrongName.name = "step-0";
        QVERIFY(!await(m_client->promoteCheckpoint(wrongName)));
        QCOMPARE(m_server->seen().size(), 0);
    }

    void promotionFollowsItsOperation()
    {
        m_server->push(200,
            R"({"operation":{"name":"accounts/local/operations/promote-81","done":false,"metadata":{"statusMessage":"copying"}}})");
        m_server->push(503, R"({"message":"busy"})"); // transient
        m_server->push(200,
            R"({"name":"accounts/local/operations/promote-81","done":false,"metadata":{"statusMessage":"verifying"}})");
        m_server->push(200,
            R"({"name":"accounts/local/operations/promote-81","done":true,"response":{"name":"accounts/local/models/math-v1","state":"READY"}})");
        QByteArrayList heard;
        const auto model = await(m_client->promoteCheckpoint(promotion(),
            [&](const std::string& text) { heard.append(QByteArray::fromStdString(text)); }));
        QVERIFY(model);
        QCOMPARE(model->name, std::string("accounts/local/models/math-v1"));
        QCOMPARE(heard.join('|'),
            "accepted accounts/local/operations/promote-81|copying|Could not read the operation: "
            "busy (HTTP 503)|copying|verifying"_ba);
        const auto& sent = m_server->seen().first();
        QCOMPARE(sent.method, "POST"_ba);
        QCOMPARE(sent.target, QByteArray(kPromotePath));
        QCOMPARE(sent.body,
            R"({"output_model":"accounts/local/models/math-v1","trainer_job_id":"accounts/local/rlorTrainerJobs/job-7","base_model":"accounts/local/models/desk-tiny","async_promotion":true})"_ba);
        QCOMPARE(seenTarget(1), "/v1/accounts/local/operations/promote-81"_ba);
        QCOMPARE(m_server->count("POST", kPromotePath), 1);
    }

    void promotionThatAnswersAtOnce()
    {
        m_server->push(
            200, R"({"model":{"name":"accounts/local/models/math-v1","state":"READY"}})");
        const auto model = await(m_client->promoteCheckpoint(promotion()));
        QVERIFY(model);
        QCOMPARE(m_server->seen().size(), 1);
    }

    void promotionThatFails()
    {
        m_server->push(200,
            R"({"operation":{"name":"o","done":true,"error":{"code":9,"message":"not promotable"}}})");
        const auto failed = await(m_client->promoteCheckpoint(promotion()));
        QCOMPARE(codeOf(failed), "refused"_ba);
        QCOMPARE(failed.error().message, std::string("not promotable"));
        m_server->push(400, R"({"code":9,"message":"delta cannot be promoted","details":[]})");
        const auto refused = await(m_client->promoteCheckpoint(promotion()));
        QCOMPARE(codeOf(refused), "refused"_ba);
        QCOMPARE(m_server->count("POST", kPromotePath), 2);
    }

    void lostReplyOfPromotionIsUnknownAndNotSentAgain_data()
    {
        QTest::addColumn<int>("status");
        QTest::newRow("dropped") << 0;
        QTest::newRow("bad gateway") << 502;
        QTest::newRow("nonsense") << 200;
    }
    void lostReplyOfPromotionIsUnknownAndNotSentAgain()
    {
        QFETCH(int, status);
        m_server->push(status == 0 ? dropped() : reply(status, "<html>sorry</html>"));
        const auto model = await(m_client->promoteCheckpoint(promotion()));
        QCOMPARE(codeOf(model), "unknown"_ba);
        QCOMPARE(m_server->count("POST", kPromotePath), 1);
    }

    void createJobFallsBackToTheExistingOne()
    {
        CreateJob create;
        create.jobId = "job-7";
        create.baseModel = "accounts/local/models/desk-tiny";
        m_server->push(409, R"({"message":"exists"})");
        m_server->push(
            200, R"({"name":"accounts/local/rlorTrainerJobs/job-7","state":"JOB_STATE_RUNNING"})");
        const auto job = await(m_client->createJob(create));
        QVERIFY(job);
        QCOMPARE(job->name, kJob);
        QCOMPARE(seenTarget(0), "/v1/accounts/local/rlorTrainerJobs?rlorTrainerJobId=job-7"_ba);
        QCOMPARE(seenTarget(1), "/v1/accounts/local/rlorTrainerJobs/job-7"_ba);

        m_server->push(409, R"({"message":"exists"})");
        m_server->push(
            200, R"({"name":"accounts/local/rlorTrainerJobs/job-7","state":"JOB_STATE_ARCHIVED"})");
        const auto archived = await(m_client->createJob(create));
        QCOMPARE(codeOf(archived), "conflict"_ba);
        QVERIFY(archived.error().message.find("archived and cannot be recreated with the same ID")
            != std::string::npos);
    }

    void verbsOfJobsAndModels()
    {
        m_server->push(200, "{}");
        QVERIFY(await(m_client->cancelJob("job-7")));
        m_server->push(200, "{}");
        QVERIFY(await(m_client->deleteJob(kJob)));
        m_server->push(
            200, R"({"name":"accounts/local/rlorTrainerJobs/job-7","state":"JOB_STATE_CREATING"})");
        QVERIFY(await(m_client->resumeJob("job-7")));
        m_server->push(200, R"({"name":"accounts/x/models/m"})");
        QVERIFY(await(m_client->getModel("accounts/x/models/m")));
        m_server->push(200, "{}");
        QVERIFY(await(m_client->deleteModel("m")));
        QByteArrayList sent;
        for (const auto& request : m_server->seen())
            sent.append(request.method + ' ' + request.target);
        QCOMPARE(sent.join('\n'),
            "POST /v1/accounts/local/rlorTrainerJobs/job-7:cancel\n"
            "DELETE /v1/accounts/local/rlorTrainerJobs/job-7\n"
            "POST /v1/accounts/local/rlorTrainerJobs/job-7:resume\n"
            "GET /v1/accounts/x/models/m\n"
            "DELETE /v1/accounts/local/models/m"_ba);
    }

    void endpointIsReadyWhenHealthzAnswers()
    {
        int looks = 0;
        m_server->route = [&](const SeenRequest& request) {
            if (request.path().endsWith("/healthz"))
                return looks < 4 ? reply(404, R"({"message":"not yet"})")
                                 : reply(200, R"({"status":"ok"})");
            ++looks;
            const QByteArray state = looks == 1 ? "JOB_STATE_PENDING" : "JOB_STATE_RUNNING";
            return reply(200,
                QByteArray(
                    R"({"name":"accounts/local/rlorTrainerJobs/job-7","trainingConfig":{"maxContextLength":256},"state":"STATE"})")
                    .replace("STATE", state));
        };
        CreateJob create;
        create.jobId = "job-7";
        create.baseModel = "b";
        const auto endpoint = await(m_jobs->createAndWait(create));
        QVERIFY(endpoint);
        QCOMPARE(endpoint->jobName, kJob);
        QCOMPARE(endpoint->jobId, std::string("job-7"));
        QCOMPARE(endpoint->baseUrl,
            m_server->url().toStdString() + "/training/v1/rlorTrainerJobs/local/job-7");
        QCOMPARE(endpoint->maxContextLength.value_or(0), std::int64_t { 256 });
        QVERIFY(
            m_server->count("GET", "/training/v1/rlorTrainerJobs/local/job-7/api/v1/healthz") >= 2);
    }

    void endpointThatNeverComes_data()
    {
        QTest::addColumn<QByteArray>("state");
        QTest::addColumn<QByteArray>("code");
        QTest::addColumn<QByteArray>("words");
        QTest::newRow("failed") << "JOB_STATE_FAILED"_ba
                                << "backend"_ba
                                << "failed: out of luck"_ba;
        QTest::newRow("archived") << "JOB_STATE_ARCHIVED"_ba
                                  << "not_found"_ba
                                  << "is archived"_ba;
        QTest::newRow("pending") << "JOB_STATE_PENDING"_ba
                                 << "backend"_ba
                                 << "remained pending for capacity"_ba;
        QTest::newRow("silent") << "JOB_STATE_RUNNING"_ba
                                << "backend"_ba
                                << "did not become ready within"_ba;
    }
    void endpointThatNeverComes()
    {
        QFETCH(QByteArray, state);
        QFETCH(QByteArray, code);
        QFETCH(QByteArray, words);
        m_jobs->setPolicy({ 10ms, 150ms, 150ms });
        m_server->route = [&](const SeenRequest& request) {
            if (request.path().endsWith("/healthz"))
                return reply(404, "{}");
            return reply(200,
                QByteArray(
                    R"({"name":"accounts/local/rlorTrainerJobs/job-7","statusMessage":"out of luck","state":"STATE"})")
                    .replace("STATE", state));
        };
        const auto endpoint = await(m_jobs->waitForExisting("job-7"));
        QVERIFY(!endpoint);
        QCOMPARE(codeOf(endpoint), code);
        QVERIFY(QByteArray::fromStdString(endpoint.error().message).contains(words));
    }

    void createOrGetDeployment()
    {
        CreateDeployment create;
        create.deploymentId = "d";
        create.baseModel = "accounts/local/models/desk-tiny";
        m_server->push(404, R"({"message":"none"})");
        m_server->push(503, R"({"message":"busy"})");
        m_server->push(200, R"({"name":"accounts/local/deployments/d","state":"READY"})");
        const auto deployment = await(m_deployments->createOrGet(create));
        QVERIFY(deployment);
        QCOMPARE(deployment->name, std::string("accounts/local/deployments/d"));
        // At most once: whether the id exists is looked up instead.
        QCOMPARE(m_server->count("POST", "/v1/accounts/local/deployments"), 1);
        QCOMPARE(seenTarget(1), "/v1/accounts/local/deployments?deploymentId=d"_ba);
    }

    void hotloadWatchesEveryReplica()
    {
        m_server->push(200, "{}");
        m_server->push(200, replicas({}));
        m_server->push(200,
            replicas({ { "r0", "s1", true, "idle", "", "", {} },
                { "r1", "", false, "downloading", "s1", "", {} } }));
        m_server->push(503, "{}"); // tolerated
        m_server->push(200,
            replicas({ { "r0", "s1", true, "idle", "", "", {} },
                { "r1", "s1", true, "idle", "", "", {} } }));
        QList<int> ready;
        const auto done = await(m_deployments->hotloadAndWait(hotloadOf("s1"), 5s,
            [&](const HotloadProgress& progress) { ready.append(progress.readyCount); }));
        QVERIFY(done);
        QCOMPARE(done->size(), std::size_t { 2 });
        QCOMPARE(ready, (QList<int> { 0, 1, 2 }));
        const auto& sent = m_server->seen().first();
        QCOMPARE(sent.target, QByteArray(kHotload));
        QCOMPARE(sent.body, R"({"identity":"s1","reset_prompt_cache":true})"_ba);
        QCOMPARE(sent.headers.value("fireworks-model"), "accounts/local/models/desk-tiny"_ba);
        QCOMPARE(sent.headers.value("fireworks-deployment"), "accounts/local/deployments/d"_ba);
        QCOMPARE(m_server->count("POST", kHotload), 1);
    }

    void hotloadFailsWhenAReplicaFailsOnIt()
    {
        m_server->push(200, "{}");
        // A stale error of another target is no failure.
        m_server->push(200,
            replicas({ { "r0", "s1", false, "error", "s0", "old", {} },
                { "r1", "s0", false, "downloading", "s1", "", {} } }));
        // r1 still loads: the failure of r0 is not yet the end.
        m_server->push(200,
            replicas({ { "r0", "s0", false, "error", "s1", "checksum differs", {} },
                { "r1", "s0", false, "applying", "s1", "", {} } }));
        m_server->push(200,
            replicas({ { "r0", "s0", false, "error", "s1", "checksum differs", {} },
                { "r1", "s1", true, "idle", "", "", {} } }));
        m_server->route = [](const SeenRequest&) {
            return reply(200,
                replicas({ { "r0", "s0", false, "error", "s1", "checksum differs", {} },
                    { "r1", "s1", true, "idle", "", "", {} } }));
        };
        const auto failed = await(m_deployments->hotloadAndWait(hotloadOf("s1"), 5s));
        QCOMPARE(codeOf(failed), "backend"_ba);
        QCOMPARE(failed.error().message,
            std::string("The hot load of s1 failed: replica r0 (checksum differs) failed on s1; "
                        "1 of 2 serve it"));
    }

    void fleetIsDescribedAsItIs()
    {
        // Replicas without a name, as some servers report them.
        std::vector<Replica> fleet { { "", "step-12", true, "idle", "step-12", "", {} },
            { "", "step-12", true, "idle", "step-12", "", {} },
            { "", "step-11", true, "error", "step-12", "", {} },
            { "", "step-11", false, "loading", "step-12", "", {} } };
        auto seen = hotloadProgress(fleet, "step-12");
        QCOMPARE(seen.summary,
            std::string("Mixed: 2 of 4 on step-12, replica 3 on step-11 (error), "
                        "replica 4 on step-11 (loading)"));
        QVERIFY(!seen.isDone);
        fleet[3] = fleet[0];
        seen = hotloadProgress(fleet, "step-12");
        QCOMPARE(
            seen.summary, std::string("Mixed: 3 of 4 on step-12, replica 3 on step-11 (error)"));
        QCOMPARE(seen.failure, std::string("replica 3 failed on step-12; 3 of 4 serve it"));
        fleet[2] = { "", "step-12", true, "error", "step-09", "", {} }; // stale
        seen = hotloadProgress(fleet, "step-12");
        QCOMPARE(seen.summary, std::string("4 of 4 on step-12"));
        QVERIFY(seen.isDone && seen.failure.empty());
    }

    void hotloadThatDoesNotEndIsUnknown()
    {
        m_server->push(200, "{}");
        m_server->route = [](const SeenRequest&) {
            return reply(200, replicas({ { "r0", "", false, "downloading", "s1", "", {} } }));
        };
        const auto open = await(m_deployments->hotloadAndWait(hotloadOf("s1"), 250ms));
        QCOMPARE(codeOf(open), "unknown"_ba);
    }

    void lostReplyOfHotloadIsUnknown()
    {
        m_server->push(dropped());
        const auto lost = await(m_deployments->hotloadAndWait(hotloadOf("s1"), 5s));
        QCOMPARE(codeOf(lost), "unknown"_ba);
        QCOMPARE(m_server->seen().size(), 1);
    }

    void resetPromptCacheIsLeftOutWhenTheServerDoesNotKnowIt()
    {
        m_server->push(
            400, R"({"error":"body.reset_prompt_cache: Extra inputs are not permitted"})");
        m_server->push(200, "{}");
        QVERIFY(await(m_deployments->hotload(hotloadOf("s1"))));
        QCOMPARE(m_server->seen().at(1).body, R"({"identity":"s1"})"_ba);
        m_server->push(200, "{}");
        QVERIFY(await(m_deployments->hotload(hotloadOf("s2")))); // remembered
        QCOMPARE(m_server->seen().at(2).body, R"({"identity":"s2"})"_ba);
        m_server->push(400, R"({"error":"previous identity is not the parent"})");
        QCOMPARE(codeOf(await(m_deployments->hotload(hotloadOf("s3")))), "refused"_ba);
        QCOMPARE(m_server->seen().size(), 4);
    }

    void completionNamesTheDeployment()
    {
        m_server->push(200,
            R"({"id":"c","model":"accounts/local/deployments/d@s1","choices":[{"index":0,"text":" upon","finish_reason":"length"}]})");
        CompletionRequest request;
        request.prompt = "Once";
        const auto completion = await(m_deployments->complete("d", request));
        QVERIFY(completion);
        QCOMPARE(completion->choices.front().text, std::string(" upon"));
        QCOMPARE(m_server->seen().first().target, "/inference/v1/completions"_ba);
        QVERIFY(
            m_server->seen().first().body.contains(R"("model":"accounts/local/deployments/d")"));
    }

    void cancelStopsTheChain()
    {
        m_server->route = [](const SeenRequest&) {
            return reply(200, R"({"operation":{"name":"o","done":false},"name":"o","done":false})");
        };
        auto future = m_client->promoteCheckpoint(promotion());
        QTRY_VERIFY(m_server->seen().size() >= 3);
        future.cancel();
        QCOMPARE(codeOf(await(future)), "cancelled"_ba);
        const auto count = m_server->seen().size();
        QTest::qWait(250); // two polling intervals: nothing more may come
        QVERIFY(m_server->seen().size() <= count + 1);
    }

    void deadGuardEndsTheFuture()
    {
        m_server->route = [](const SeenRequest&) {
            return reply(200, R"({"name":"o","done":false})");
        };
        auto future = m_client->waitForOperation("o");
        QTRY_VERIFY(m_server->seen().size() >= 1);
        m_deployments.reset();
        m_jobs.reset();
        m_client.reset();
        QCOMPARE(codeOf(await(future)), "cancelled"_ba);
    }
};

QTEST_GUILESS_MAIN(FireworksClientTest)
#include "tst_fireworks_client.moc"
