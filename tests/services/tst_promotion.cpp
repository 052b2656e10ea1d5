// SPDX-License-Identifier: GPL-3.0-or-later
// Promotions over a scripted server: names, deprecated forms, what is refused before it is sent,
// lists of checkpoints, expiry and deletion of single ones.
#include "services/core/promotability.h"
#include "services/core/resource_name.h"
#include "tests/services/control_plane_fixture.h"

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace {

const std::string kJob = "accounts/acme/rlorTrainerJobs/job-1";
const std::string kBaseModel = "accounts/fireworks/models/qwen3-8b";
constexpr const char* kPromote = "/v1/accounts/acme/checkpoints/step-4-a1b2c3d4:promote";
constexpr const char* kReady =
    R"({"model":{"name":"accounts/acme/models/math-v1","state":"READY","kind":"HF_BASE_MODEL"}})";
constexpr const char* kBody =
    R"({"output_model":"accounts/acme/models/math-v1","trainer_job_id":"accounts/acme/rlorTrainerJobs/job-1","base_model":"accounts/fireworks/models/qwen3-8b","async_promotion":true})";

PromoteParameters byName()
{
    PromoteParameters parameters;
    parameters.name = kJob + "/checkpoints/step-4-a1b2c3d4";
    parameters.outputModelId = "math-v1";
    parameters.baseModel = kBaseModel;
    return parameters;
}

PromoteParameters byPair()
{
    auto parameters = byName();
    parameters.name.clear();
    parameters.jobId = "job-1";
    parameters.checkpointId = "step-4-a1b2c3d4";
    return parameters;
}

Checkpoint rowAt(const std::string& id, CheckpointType type, const char* created)
{
    Checkpoint row;
    row.name = kJob + "/checkpoints/" + id;
    row.type = type;
    row.created = *parseRfc3339(created);
    return row;
}

} // namespace

class PromotionTest final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void s7_byFourSegmentName_noWarning()
    {
        ControlPlane plane;
        plane.server.push(200, kReady);
        QByteArrayList heard;
        const auto model = await(plane.client->promoteCheckpoint(byName(),
            [&](const std::string& text) { heard.append(QByteArray::fromStdString(text)); }));
        QVERIFY(model);
        QCOMPARE(model->kind, std::string("HF_BASE_MODEL"));
        QCOMPARE(plane.sent(), QByteArrayList { "POST " + QByteArray(kPromote) });
        QCOMPARE(plane.lastBody(), QByteArray(kBody));
        QVERIFY(heard.isEmpty());
        QVERIFY(promoteWarnings(byName()).empty());
    }

    void s8_pairForm_worksAndWarns()
    {
        ControlPlane plane;
        plane.server.push(200, kReady);
        QByteArrayList heard;
        const auto model = await(plane.client->promoteCheckpoint(byPair(),
            [&](const std::string& text) { heard.append(QByteArray::fromStdString(text)); }));
        QVERIFY(model);
        QCOMPARE(plane.lastBody(), QByteArray(kBody));
        QCOMPARE(heard.size(), 1);
        QVERIFY(heard.first().startsWith("warning the form with a job and a checkpoint id is "
                                         "deprecated"));
        auto full = byPair();
        full.jobId = kJob;
        plane.server.push(200, kReady);
        QVERIFY(await(plane.client->promoteCheckpoint(full)));
        QCOMPARE(plane.lastBody(), QByteArray(kBody));
    }

    void s8_pairForm_findsTheAccountOfTheKey()
    {
        ControlPlane plane { std::string() };
        plane.server.push(200, R"({"accounts":[{"name":"accounts/acme"}]})");
        plane.server.push(200, kReady);
        QVERIFY(await(plane.client->promoteCheckpoint(byPair())));
        QCOMPARE(plane.sent(),
            (QByteArrayList { "GET /v1/accounts?pageSize=2", "POST " + QByteArray(kPromote) }));
        // By name no account is asked for.
        ControlPlane named { std::string() };
        named.server.push(200, kReady);
        QVERIFY(await(named.client->promoteCheckpoint(byName())));
        QCOMPARE(named.server.seen().size(), 1);
    }

    void s9_hotLoadDeploymentId_worksAndWarns()
    {
        ControlPlane plane;
        plane.server.push(200, kReady);
        auto parameters = byName();
        parameters.hotLoadDeploymentId = "d";
        QVERIFY(await(plane.client->promoteCheckpoint(parameters)));
        QVERIFY(
            plane.lastBody().contains(R"("hot_load_deployment_id":"accounts/acme/deployments/d")"));
        const auto warnings = promoteWarnings(parameters);
        QCOMPARE(warnings.size(), std::size_t { 1 });
        QVERIFY(warnings[0].find("hot_load_deployment_id is deprecated") == 0);
        auto both = byPair();
        both.hotLoadDeploymentId = "";
        QCOMPARE(promoteWarnings(both).size(), std::size_t { 2 }); // even an empty one
    }

    void s10_theTrainerNeedNotRun()
    {
        ControlPlane plane;
        plane.server.route = [](const SeenRequest& request) {
            if (request.method == "POST")
                return answerOf(200, kReady);
            return answerOf(200,
                R"({"checkpoints":[{"name":"accounts/acme/rlorTrainerJobs/job-1/checkpoints/step-4-a1b2c3d4","checkpointType":"CHECKPOINT_TYPE_INFERENCE_BASE","promotable":true}]})");
        };
        // No request goes to the trainer, nor to its job.
        const auto rows = await(plane.client->listCheckpoints("job-1"));
        QVERIFY(rows && rows->front().isPromotable);
        QVERIFY(await(plane.client->promoteCheckpoint(byName())));
        QCOMPARE(plane.server.seen().size(), 2);
    }

    void s11_whatIsRejectedSendsNothing_data()
    {
        QTest::addColumn<QByteArray>("words");
        QTest::addColumn<int>("kind");
        QTest::newRow("both forms") << "a name or a checkpoint id, not both"_ba << 0;
        QTest::newRow("name of three") << "checkpoint"_ba << 1;
        QTest::newRow("another job") << "is one of job-1, not of job-2"_ba << 2;
        QTest::newRow("half a pair") << "needs the name of a checkpoint"_ba << 3;
        QTest::newRow("no id") << "output_model_id is required"_ba << 4;
        QTest::newRow("no base model") << "needs the base model"_ba << 5;
        QTest::newRow("capitals") << "contains invalid characters"_ba << 6;
        QTest::newRow("64 letters") << "is too long (64 chars)"_ba << 7;
        QTest::newRow("newline") << "contains invalid characters"_ba << 8;
    }
    void s11_whatIsRejectedSendsNothing()
    {
        QFETCH(QByteArray, words);
        QFETCH(int, kind);
        auto p = byName();
        if (kind == 0)
            p.checkpointId = "c";
        else if (kind == 1)
            p.name = "accounts/acme/checkpoints/c";
        else if (kind == 2)
            p.jobId = "job-2";
        else if (kind == 3)
            p = byPair(), p.checkpointId.clear();
        else if (kind == 4)
            p.outputModelId.clear();
        else if (kind == 5)
            p.baseModel.clear();
        else if (kind == 6)
            p.outputModelId = "Math";
        else if (kind == 7)
            p.outputModelId = std::string(64, 'a');
        else
            p.outputModelId = "math-v1\n";
        ControlPlane plane { std::string() };
        const auto model = await(plane.client->promoteCheckpoint(p));
        QVERIFY(!model);
        QVERIFY2(QByteArray::fromStdString(model.error().message).contains(words),
            model.error().message.c_str());
        QCOMPARE(plane.server.seen().size(), 0);
    }

    void s11_boundariesOfTheId()
    {
        QVERIFY(validateOutputModelId("a").empty());
        QVERIFY(validateOutputModelId(std::string(63, 'a')).empty());
        QVERIFY(validateOutputModelId("-0-").empty());
        QCOMPARE(validateOutputModelId("A" + std::string(63, 'a')).size(), std::size_t { 2 });
    }

    void s12_whatTheModelInheritsIsShown()
    {
        ControlPlane plane;
        plane.server.push(200,
            R"({"operation":{"name":"accounts/acme/operations/o","done":true,"response":{"@type":"type.googleapis.com/gateway.Model","name":"accounts/acme/models/math-v1","state":"READY","kind":"HF_PEFT_ADDON","contextLength":131072,"peftDetails":{"baseModel":"accounts/fireworks/models/qwen3-8b","r":16,"targetModules":["q_proj"]}}}})");
        const auto model = await(plane.client->promoteCheckpoint(byName()));
        QVERIFY(model);
        QCOMPARE(model->baseModel, kBaseModel);
        QCOMPARE(model->contextLength.value_or(0), std::int64_t { 131072 });
        QCOMPARE(model->adapterRank.value_or(0), 16);
    }

    void aModelThatIsStillUploading_isWaitedFor()
    {
        ControlPlane plane;
        plane.server.push(
            200, R"({"model":{"name":"accounts/acme/models/math-v1","state":"UPLOADING"}})");
        plane.server.push(200, R"({"name":"accounts/acme/models/math-v1","state":"UPLOADING"})");
        plane.server.push(502, "<html>bad gateway</html>");
        plane.server.push(200, R"({"name":"accounts/acme/models/math-v1","state":"READY"})");
        QByteArrayList heard;
        const auto model = await(plane.client->promoteCheckpoint(byName(),
            [&](const std::string& text) { heard.append(QByteArray::fromStdString(text)); }));
        QVERIFY(model);
        QCOMPARE(model->state, std::string("READY"));
        QCOMPARE(heard.first(), "UPLOADING"_ba);
        QCOMPARE(plane.server.count("POST", kPromote), 1);
    }

    void anOlderServer_getsOneRequestWithoutTheAsyncField()
    {
        ControlPlane plane;
        plane.server.push(400, quoted("{'code':3,'message':'unknown field async_promotion'}"));
        plane.server.push(200, kReady);
        QByteArrayList heard;
        const auto model = await(plane.client->promoteCheckpoint(byName(),
            [&](const std::string& text) { heard.append(QByteArray::fromStdString(text)); }));
        QVERIFY(model);
        QCOMPARE(heard, QByteArrayList { "resent without async_promotion"_ba });
        QVERIFY(!plane.lastBody().contains("async_promotion"));
        // Once: a second refusal is the answer.
        plane.server.push(400, R"({"message":"asyncPromotion is unknown"})");
        plane.server.push(400, R"({"message":"async_promotion is unknown"})");
        QCOMPARE(codeOf(await(plane.client->promoteCheckpoint(byName()))), "refused"_ba);
        QCOMPARE(plane.server.count("POST", kPromote), 4);
    }

    void anEndThatNeverComes_isUnknown()
    {
        ControlPlane plane;
        plane.client->setFollowPolicy({ 2ms, 5ms, 5s, 30ms });
        plane.server.route = [](const SeenRequest& request) {
            const QByteArray operation = R"({"name":"accounts/acme/operations/o","done":false})";
            return answerOf(
                200, request.method == "POST" ? "{\"operation\":" + operation + '}' : operation);
        };
        const auto open = await(plane.client->promoteCheckpoint(byName()));
        QCOMPARE(codeOf(open), "unknown"_ba);
        QVERIFY(open.error().message.find("not canceled") != std::string::npos);
        QCOMPARE(plane.server.count("POST", kPromote), 1);
    }

    void errorsOfTheService_sayWhatToDo_data()
    {
        QTest::addColumn<int>("status");
        QTest::addColumn<QByteArray>("body");
        QTest::addColumn<QByteArray>("code");
        QTest::newRow("delta") << 400 << R"({"code":9,"message":"checkpoint is not promotable"})"_ba
                               << "refused"_ba;
        QTest::newRow("gone") << 404 << R"({"code":5,"message":"not found in GCS"})"_ba
                              << "not_found"_ba;
        QTest::newRow("tier") << 403 << R"({"error":{"code":7,"message":"needs tier"}})"_ba
                              << "auth"_ba;
        QTest::newRow("billing") << 402 << R"({"error":"credit depleted"})"_ba
                                 << "quota"_ba;
        QTest::newRow("conflict") << 409 << R"({"message":"model exists"})"_ba
                                  << "conflict"_ba;
        QTest::newRow("early") << 425 << "too early"_ba
                               << "refused"_ba;
        QTest::newRow("rate") << 429 << R"({"message":"quota"})"_ba
                              << "quota"_ba;
        QTest::newRow("timeout") << 408 << "{}"_ba
                                 << "unknown"_ba;
        QTest::newRow("gateway") << 502 << "<html>"_ba
                                 << "unknown"_ba;
        QTest::newRow("gateway timeout") << 504 << ""_ba
                                         << "unknown"_ba;
    }
    void errorsOfTheService_sayWhatToDo()
    {
        QFETCH(int, status);
        QFETCH(QByteArray, body);
        QFETCH(QByteArray, code);
        ControlPlane plane;
        plane.server.push(status, body);
        const auto model = await(plane.client->promoteCheckpoint(byName()));
        QCOMPARE(codeOf(model), code);
        QVERIFY(!model.error().next.empty());
        QCOMPARE(plane.server.seen().size(), 1); // at most once
    }

    void s13_listOverRest()
    {
        ControlPlane plane;
        plane.server.push(200,
            quoted(
                "{'checkpoints':["
                "{'name':'accounts/acme/rlorTrainerJobs/job-1/checkpoints/"
                "step-0-45dda197','createTime':'2026-11-21T10:05:00Z','updateTime':'2026-11-21T10:"
                "05:09.4Z','checkpointType':'CHECKPOINT_TYPE_INFERENCE_BASE','promotable':true},"
                "{'name':'accounts/acme/rlorTrainerJobs/job-1/checkpoints/"
                "step-1-45dda197','createTime':'2026-11-21T10:06:00.250311Z','checkpointType':'"
                "CHECKPOINT_TYPE_INFERENCE_ARC_V2','promotable':false}],"
                "'next_page_token':'p2'}"));
        plane.server.push(200,
            quoted("{'rlorTrainerJobCheckpoints':["
                   "{'name':'accounts/acme/rlorTrainerJobs/job-1/checkpoints/"
                   "step-1','createTime':'2026-11-21T10:06:00.9Z','checkpointType':'CHECKPOINT_"
                   "TYPE_TRAINING','promotable':false},"
                   "{'name':'accounts/acme/rlorTrainerJobs/job-1/checkpoints/"
                   "adapter-1','createTime':'2026-11-21T10:06:00.25Z','checkpointType':'CHECKPOINT_"
                   "TYPE_INFERENCE_LORA','promotable':true}],'nextPageToken':''}"));
        const auto rows = await(plane.client->listCheckpoints("job-1"));
        QVERIFY2(rows, rows ? "" : rows.error().message.c_str());
        QByteArrayList ids;
        for (const auto& row : *rows)
            ids.append(QByteArray::fromStdString(std::string(lastSegment(row.name))));
        // By parsed time: .9 is later than .250311, which is later than .25.
        QCOMPARE(ids.join(' '), "step-1 step-1-45dda197 adapter-1 step-0-45dda197"_ba);
        QVERIFY(promotabilityOf((*rows)[0]).isResumable);
        QVERIFY(!promotabilityOf((*rows)[1]).isPromotable);
        QVERIFY(promotabilityOf((*rows)[2]).isPromotable);
        QCOMPARE(plane.sent().last(),
            "GET /v1/accounts/acme/rlorTrainerJobs/job-1/checkpoints?pageSize=200&pageToken=p2"_ba);
        plane.server.push(200, "{}");
        const auto none = await(plane.client->listCheckpoints("job-1"));
        QVERIFY(none && none->empty());
        plane.server.push(404, R"({"message":"job was not found"})");
        QCOMPARE(codeOf(await(plane.client->listCheckpoints("job-2"))), "not_found"_ba);
    }

    void s6_aCheckpointIsExtendedWhereItsTrainerKeepsIt()
    {
        ControlPlane plane;
        plane.server.push(200,
            quoted("{'checkpoints':[{'checkpoint_id':'weights/step-1','tinker_path':'tinker://"
                   "s1:train:0/weights/step-1','time':'2026-11-21T10:06:02Z'},"
                   "{'checkpoint_id':'sampler_weights/step-1-45dda197','tinker_path':'tinker://"
                   "s1:train:0/sampler_weights/"
                   "step-1-45dda197','time':'2026-11-21T10:06:00Z'}],'cursor':{'offset':0,'limit':"
                   "200,'total_count':2}}"));
        plane.server.push(204, "");
        QVERIFY(await(plane.client->extendCheckpoint(
            rowAt("step-1-45dda197", CheckpointType::InferenceBase, "2026-11-21T10:06:00Z"),
            std::int64_t { 3600 })));
        QCOMPARE(plane.sent(),
            (QByteArrayList {
                "GET /training/v1/rlorTrainerJobs/acme/job-1/api/v1/checkpoints?limit=200&offset=0",
                "PUT /training/v1/rlorTrainerJobs/acme/job-1/api/v1/training_runs/s1:train:0/"
                "checkpoints/sampler_weights/step-1-45dda197/ttl" }));
        QCOMPARE(plane.lastBody(), R"({"ttl_seconds":3600})"_ba);
    }

    void s6_twoRunsWithOneName_areToldApartByTime()
    {
        const auto list = quoted("{'checkpoints':[{'tinker_path':'tinker://s1:train:0/weights/"
                                 "final','time':'2026-11-21T10:00:00Z'},{'tinker_path':'tinker://"
                                 "s2:train:0/weights/final','time':'2026-11-21T11:00:00Z'}]}");
        ControlPlane plane;
        plane.server.push(200, list);
        plane.server.push(204, "");
        QVERIFY(await(plane.client->deleteCheckpoint(
            rowAt("final", CheckpointType::Training, "2026-11-21T11:00:00.4Z"))));
        QVERIFY(plane.sent().last().startsWith("DELETE /training/v1/rlorTrainerJobs/acme/job-1/"
                                               "api/v1/training_runs/s2:train:0/"));
        plane.server.push(200, list);
        const auto none = await(plane.client->deleteCheckpoint(
            rowAt("final", CheckpointType::Training, "2026-11-21T12:00:00Z")));
        QCOMPARE(codeOf(none), "not_found"_ba);
        // A lost reply is not followed by another request.
        plane.server.push(200, list);
        plane.server.push(lostReply());
        const auto lost = await(plane.client->deleteCheckpoint(
            rowAt("final", CheckpointType::Training, "2026-11-21T11:00:00Z")));
        QCOMPARE(codeOf(lost), "unknown"_ba);
        QCOMPARE(plane.server.seen().size(), 5);
    }

    void s6_aServiceWithoutSuchRoutes_saysSo()
    {
        ControlPlane plane;
        const auto refused = await(plane.client->extendCheckpoint(
            rowAt("final", CheckpointType::Training, "2026-11-21T11:00:00Z"), std::nullopt));
        QCOMPARE(codeOf(refused), "refused"_ba);
        QVERIFY(refused.error().message.find("does not let anyone change a single checkpoint")
            != std::string::npos);
        QCOMPARE(plane.server.seen().size(), 1);
    }
};

QTEST_GUILESS_MAIN(PromotionTest)
#include "tst_promotion.moc"
