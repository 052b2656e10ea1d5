// SPDX-License-Identifier: GPL-3.0-or-later
// S15 over a scripted server: hot loads by the deployment manager, masks, scale, readiness,
// warm-up, re-attachment in the forms of both SDK generations.
#include "tests/services/control_plane_fixture.h"

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace {

constexpr const char* kHotload = "/hot_load/v1/models/hot_load";
constexpr const char* kDeployment = "/v1/accounts/acme/deployments/d";
const std::string kJob = "accounts/acme/rlorTrainerJobs/job-2";

QByteArray fleet(const std::vector<Replica>& rows)
{
    return QByteArray::fromStdString(encodeHotloadStatus(rows));
}

Replica pod(const std::string& name, const std::string& snapshot)
{
    return { name, snapshot, true, "idle", "", "", {} };
}

HotloadParameters loadOf(const std::string& identity, ResetPromptCache reset = true)
{
    HotloadParameters parameters;
    parameters.deployment = "d";
    parameters.baseModel = "accounts/fireworks/models/toy";
    parameters.request.identity = identity;
    parameters.request.resetPromptCache = std::move(reset);
    return parameters;
}

QByteArray deploymentRow(
    const QByteArray& state, const QByteArray& job, const QByteArray& transition = "ASYNC")
{
    auto row = quoted("{'name':'accounts/acme/deployments/d','state':'STATE','enableHotLoad':true,"
                      "'baseModel':'accounts/fireworks/models/toy',"
                      "'hotLoadTrainerJob':'accounts/acme/rlorTrainerJobs/JOB',"
                      "'hotLoadTransitionType':'TRANSITION'}");
    return row.replace("STATE", state).replace("JOB", job).replace("TRANSITION", transition);
}

} // namespace

class DeploymentManagerTest final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void everyReplicaCounts_notOnlyTheFirst()
    {
        ControlPlane plane;
        plane.server.push(200, "{}");
        plane.server.push(200,
            fleet({ pod("a", "s1"), { "b", "s0", false, "downloading", "s1", "", {} },
                pod("c", "s0") }));
        plane.server.push(200, fleet({ pod("a", "s1"), pod("b", "s1"), pod("c", "s1") }));
        QStringList seen;
        const auto done = await(plane.deployments->hotloadAndWait(
            loadOf("s1"), 5s, [&](const HotloadProgress& progress) {
                seen.append(QString::fromStdString(progress.summary));
            }));
        QVERIFY(done);
        QCOMPARE(seen.first(),
            u"Mixed: 1 of 3 on s1, replica b on s0 (downloading), replica c on s0 (idle)"_s);
        QCOMPARE(seen.last(), u"3 of 3 on s1"_s);
    }

    void anErrorOfAnotherTarget_isStale()
    {
        ControlPlane plane;
        plane.server.push(200, "{}");
        plane.server.push(200, fleet({ { "a", "s0", true, "error", "s0-old", "bad file", {} } }));
        plane.server.push(200, fleet({ { "a", "s0", true, "error", "", "bad file", {} } }));
        plane.server.push(200, fleet({ pod("a", "s1") }));
        QVERIFY(await(plane.deployments->hotloadAndWait(loadOf("s1"), 5s)));
    }

    void anErrorOfThisTarget_isAFailureWithItsWords()
    {
        ControlPlane plane;
        plane.server.push(200, "{}");
        plane.server.push(
            200, fleet({ { "a", "s0", true, "error", "s1", "checksum differs", {} } }));
        const auto failed = await(plane.deployments->hotloadAndWait(loadOf("s1"), 5s));
        QCOMPARE(codeOf(failed), "backend"_ba);
        QVERIFY(failed.error().message.find("checksum differs") != std::string::npos);
        QVERIFY(!failed.error().next.empty());
    }

    void cachePolicies_wordsAndBooleans_data()
    {
        QTest::addColumn<int>("kind");
        QTest::addColumn<QByteArray>("field");
        QTest::newRow("true") << 0 << R"("reset_prompt_cache":true)"_ba;
        QTest::newRow("false") << 1 << R"("reset_prompt_cache":false)"_ba;
        QTest::newRow("all") << 2 << R"("reset_prompt_cache":"all")"_ba;
        QTest::newRow("new_session") << 3 << R"("reset_prompt_cache":"new_session")"_ba;
        QTest::newRow("none") << 4 << R"("reset_prompt_cache":"none")"_ba;
    }
    void cachePolicies_wordsAndBooleans()
    {
        QFETCH(int, kind);
        QFETCH(QByteArray, field);
        static const ResetPromptCache kPolicies[] { true, false, std::string("all"),
            std::string("new_session"), std::string("none") };
        ControlPlane plane;
        plane.server.push(200, "{}");
        QVERIFY(await(plane.deployments->hotload(loadOf("s1", kPolicies[kind]))));
        QVERIFY2(plane.lastBody().contains(field), plane.lastBody().constData());
        QVERIFY(plane.deployments->sendsResetPromptCache());
    }

    void adaptersOfALoraRun_count()
    {
        ControlPlane plane;
        plane.server.push(200, "{}");
        plane.server.push(200,
            R"({"replicas":[{"identity":"a","readiness":true,"current_snapshot_identity":null,"loading_state":{"stage":"idle"},"loaded_adapters":[{"identity":"s1","status":"loading"}]}]})");
        plane.server.push(200,
            R"({"replicas":[{"identity":"a","readiness":true,"current_snapshot_identity":null,"loading_state":{"stage":"idle"},"loaded_adapters":[{"identity":"s0","status":"loaded"},{"identity":"s1","status":"loaded"}]}]})");
        const auto done = await(plane.deployments->hotloadAndWait(loadOf("s1"), 5s));
        QVERIFY(done);
        QCOMPARE(done->front().loadedAdapters.size(), std::size_t { 2 });
        QCOMPARE(plane.server.seen().size(), 3);
    }

    void statusThatIsNone_isSaid_data()
    {
        QTest::addColumn<QByteArray>("body");
        QTest::newRow("no replicas") << "{}"_ba;
        QTest::newRow("no array") << R"({"replicas":{}})"_ba;
        QTest::newRow("no json") << "<html>"_ba;
    }
    void statusThatIsNone_isSaid()
    {
        QFETCH(QByteArray, body);
        ControlPlane plane;
        plane.server.push(200, "{}");
        plane.server.push(200, body);
        QCOMPARE(codeOf(await(plane.deployments->hotloadAndWait(loadOf("s1"), 5s))), "unknown"_ba);
    }

    void patchAlwaysHasAMask()
    {
        ControlPlane plane;
        plane.server.push(200, deploymentRow("READY", "job-1"));
        DeploymentPatch patch;
        patch.displayName = "eval";
        patch.minReplicaCount = 1;
        QVERIFY(await(plane.deployments->patch("d", patch)));
        QCOMPARE(plane.sent().last(),
            "PATCH /v1/accounts/acme/deployments/d?updateMask=min_replica_count%2Cdisplay_name"_ba);
        QCOMPARE(plane.lastBody(), R"({"minReplicaCount":1,"displayName":"eval"})"_ba);
        QCOMPARE(codeOf(await(plane.deployments->patch("d", {}))), "usage"_ba);
        QCOMPARE(plane.server.seen().size(), 1);
    }

    void scale_isOneMaskedPatchAndSentOnce()
    {
        ControlPlane plane;
        plane.server.push(200, deploymentRow("UPDATING", "job-1"));
        QVERIFY(await(plane.deployments->scale("d", 0)));
        QCOMPARE(plane.lastBody(), R"({"minReplicaCount":0,"maxReplicaCount":0})"_ba);
        QCOMPARE(codeOf(await(plane.deployments->scale("d", 65))), "usage"_ba);
        QCOMPARE(codeOf(await(plane.deployments->scale("d", -1))), "usage"_ba);
        plane.server.push(lostReply());
        QCOMPARE(codeOf(await(plane.deployments->scale("d", 2))), "unknown"_ba);
        plane.server.push(503, R"({"code":14,"message":"DEPLOYMENT_SCALING_UP"})");
        const auto busy = await(plane.deployments->scale("d", 2));
        QCOMPARE(codeOf(busy), "backend"_ba);
        QVERIFY(busy.error().message.find("DEPLOYMENT_SCALING_UP") != std::string::npos);
        QCOMPARE(plane.server.count("PATCH", kDeployment), 3);
    }

    void ready_byStateOrByTheProbe()
    {
        ControlPlane plane;
        plane.server.push(200, deploymentRow("UPDATING", "job-1"));
        plane.server.push(200, deploymentRow("CREATING", "job-1"));
        plane.server.push(425, R"({"message":"too early"})");
        plane.server.push(200, deploymentRow("CREATING", "job-1"));
        plane.server.push(200, R"({"choices":[{"index":0,"text":"x"}]})");
        const auto ready = await(plane.deployments->waitForReady("d", 5s));
        QVERIFY(ready);
        QCOMPARE(ready->state, std::string("READY"));
        const auto probe = plane.server.seen().last();
        QCOMPARE(probe.target, "/inference/v1/completions"_ba);
        QVERIFY(probe.body.contains(R"("prompt":[1,2])"));
        QVERIFY(probe.body.contains(R"("model":"accounts/acme/deployments/d")"));
        plane.server.push(200, deploymentRow("FAILED", "job-1"));
        QCOMPARE(codeOf(await(plane.deployments->waitForReady("d", 5s))), "backend"_ba);
        plane.server.route = [](const SeenRequest&) {
            return answerOf(200, deploymentRow("UPDATING", "job-1"));
        };
        QCOMPARE(codeOf(await(plane.deployments->waitForReady("d", 20ms))), "unknown"_ba);
    }

    void warmUp_triesAndNeverFails()
    {
        ControlPlane plane;
        plane.server.push(404, R"({"message":"not up"})");
        plane.server.push(425, R"({"message":"too early"})");
        plane.server.push(200, R"({"choices":[{"index":0,"text":"x"}]})");
        const auto warm = await(plane.deployments->warmUp("d", 30));
        QVERIFY(warm && *warm);
        QCOMPARE(plane.server.seen().size(), 3);
        plane.server.route = [](const SeenRequest&) { return answerOf(404, "{}"); };
        const auto cold = await(plane.deployments->warmUp("d", 3));
        QVERIFY(cold && !*cold);
        QCOMPARE(plane.server.seen().size(), 6);
    }

    void reattach_1_2_30_settlesByTheDeployment()
    {
        ControlPlane plane;
        plane.server.push(200, deploymentRow("UPDATING", "job-1"));
        plane.server.push(200, deploymentRow("READY", "job-1", "SYNC"));
        plane.server.push(200, deploymentRow("UPDATING", "job-2"));
        plane.server.push(200, deploymentRow("READY", "job-1", "SYNC")); // not yet
        plane.server.push(200, deploymentRow("READY", "job-2"));
        const auto attached = await(plane.deployments->reattach(
            "d", kJob, TransitionType::Async, SettledBy::Deployment, 5s));
        QVERIFY(attached);
        QCOMPARE(attached->hotLoadTrainerJob, kJob);
        QCOMPARE(plane.server.count("PATCH", kDeployment), 1);
        const auto& patch = plane.server.seen().at(2);
        QCOMPARE(patch.target.split('?').last(),
            "updateMask=hot_load_trainer_job%2Chot_load_transition_type"_ba);
        QCOMPARE(patch.body,
            R"({"hotLoadTrainerJob":"accounts/acme/rlorTrainerJobs/job-2","hotLoadTransitionType":"ASYNC"})"_ba);
        QCOMPARE(plane.server.count("GET", kHotload), 0);
    }

    void reattach_nothingToDo_sendsNoPatch()
    {
        ControlPlane plane;
        plane.server.push(200, deploymentRow("READY", "job-2"));
        QVERIFY(await(plane.deployments->reattach(
            "d", kJob, TransitionType::Async, SettledBy::Deployment, 5s)));
        QCOMPARE(plane.server.seen().size(), 1);
    }

    void reattach_1_2_3_settlesByANewReplica()
    {
        ControlPlane plane;
        plane.server.push(200, deploymentRow("READY", "job-1"));
        plane.server.push(200, fleet({ pod("pod-1", "s9") }));
        plane.server.push(200, deploymentRow("UPDATING", "job-2"));
        plane.server.push(200, fleet({ pod("pod-1", "s9") }));
        plane.server.push(200, fleet({})); // empty for a moment
        plane.server.push(200, fleet({ pod("pod-2", "") }));
        QVERIFY(await(plane.deployments->reattach(
            "d", kJob, TransitionType::Unchanged, SettledBy::Replicas, 5s)));
        QCOMPARE(plane.server.seen().at(2).target.split('?').last(),
            "updateMask=hot_load_trainer_job"_ba);
        QCOMPARE(plane.server.seen().size(), 6);
    }

    void reattach_thatDoesNotSettle_isUnknown()
    {
        ControlPlane plane;
        plane.server.route = [](const SeenRequest&) {
            return answerOf(200, deploymentRow("READY", "job-1"));
        };
        const auto open = await(plane.deployments->reattach(
            "d", kJob, TransitionType::Unchanged, SettledBy::Deployment, 30ms));
        QCOMPARE(codeOf(open), "unknown"_ba);
        QCOMPARE(plane.server.count("PATCH", kDeployment), 1);
        plane.server.route = [](const SeenRequest&) {
            return answerOf(200, deploymentRow("FAILED", "job-1"));
        };
        QCOMPARE(codeOf(await(plane.deployments->reattach(
                     "d", kJob, TransitionType::Unchanged, SettledBy::Deployment, 30ms))),
            "backend"_ba);
    }

    void everythingCanBeCanceled()
    {
        ControlPlane plane;
        const auto loading = fleet({ { "a", "", false, "downloading", "s1", "", {} } });
        const auto updating = deploymentRow("UPDATING", "job-1");
        plane.server.route = [&](const SeenRequest& request) {
            if (request.path() == kHotload)
                return answerOf(200, loading);
            return request.method == "POST" ? answerOf(404, "{}") : answerOf(200, updating);
        };
        const auto parameters = loadOf("s1");
        auto load = plane.deployments->hotloadAndWait(parameters, 60s);
        auto ready = plane.deployments->waitForReady("d", 60s);
        auto warm = plane.deployments->warmUp("d", 1000);
        auto moved = plane.deployments->reattach(
            "d", kJob, TransitionType::Unchanged, SettledBy::Deployment, 60s);
        QTRY_VERIFY(plane.server.seen().size() > 12);
        load.cancel();
        ready.cancel();
        warm.cancel();
        moved.cancel();
        QCOMPARE(codeOf(await(load)), "cancelled"_ba);
        QCOMPARE(codeOf(await(ready)), "cancelled"_ba);
        QCOMPARE(codeOf(await(warm)), "cancelled"_ba);
        QCOMPARE(codeOf(await(moved)), "cancelled"_ba);
    }
};

QTEST_GUILESS_MAIN(DeploymentManagerTest)
#include "tst_deployment_manager.moc"
