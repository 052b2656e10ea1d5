// SPDX-License-Identifier: GPL-3.0-or-later
// Field cases of promotion and hot load: recorded answers, played to the desk.
#include "tests/services/control_plane_fixture.h"
#include "tests/services/desk_fixture.h"
#include "tests/services/fake_plane.h"

#include <QTemporaryDir>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace {

const std::string kAcmeJob = "accounts/acme/rlorTrainerJobs/job-1";

QByteArray listOf(const char* key, const QByteArray& rows)
{
    return "{\"" + QByteArray(key) + "\":[" + rows + "]}";
}

std::vector<Replica> replicasIn(const Exchange& exchange)
{
    const auto rows = decodeHotloadStatus(exchange.answer.body.toStdString());
    return rows ? *rows : std::vector<Replica> {};
}

/// Whether `sent` holds everything of `wanted`.
bool holds(const TestJson& sent, const TestJson& wanted)
{
    for (const auto& [key, value] : wanted.items())
        if (!sent.contains(key) || sent[key] != value)
            return false;
    return true;
}

} // namespace

class FieldControlTest final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    /// A promotion whose end nobody tells is Unknown, survives a restart and is found later.
    void p019_promotionThatGoesOnWithoutUs()
    {
        const auto exchanges = transcript("P019/promote.json");
        ScriptedServer server;
        int polls = 0;
        int looks = -1; // of the list of models; below 0: not there yet
        server.route = [&](const SeenRequest& request) {
            const auto path = request.path();
            if (path == exchanges[1].path && request.method == "POST")
                return holds(TestJson::parse(request.body.toStdString()), exchanges[1].body)
                    ? exchanges[1].answer
                    : answerOf(400, "not the recorded request");
            if (path == exchanges[2].path) {
                ++polls;
                return polls == 1 ? exchanges[2].answer
                    : polls == 2  ? exchanges[3].answer
                                  : lostReply();
            }
            if (path.endsWith("/models")) {
                if (looks < 0)
                    return answerOf(200, listOf("models", {}));
                const auto& row = exchanges[looks++ < 2 ? 5U : 6U].answer.body;
                return answerOf(200, listOf("models", row));
            }
            if (path.endsWith("/checkpoints"))
                return answerOf(200,
                    listOf("checkpoints",
                        quoted("{'name':'accounts/acme/rlorTrainerJobs/job-1/checkpoints/"
                               "step-420-a1b2c3d4','promotable':true,"
                               "'checkpointType':'CHECKPOINT_TYPE_INFERENCE_BASE'}")));
            if (path.endsWith("/deployments"))
                return answerOf(200, "{}");
            return answerOf(200,
                quoted("{'name':'accounts/acme/rlorTrainerJobs/job-1','state':'JOB_STATE_RUNNING',"
                       "'trainingConfig':{'baseModel':'accounts/fireworks/models/qwen3-8b'}}"));
        };
        const QTemporaryDir dir;
        const auto file = dir.filePath(u"journal.sqlite"_s);
        QString id;
        {
            DeskProcess desk(file, server.url(), "acme");
            QVERIFY(endOf(desk.center->start()));
            auto draft =
                draftFor(OperationKind::Promote, {}, { { "model_id", "policy-step-420" } });
            draft.subject = kAcmeJob + "/checkpoints/step-420-a1b2c3d4";
            const auto plan = endOf(desk.center->plan(draft));
            QVERIFY(plan && plan->isAllowed);
            QByteArrayList states;
            connect(desk.center.get(), &OperationCenter::operationChanged, this,
                [&](const QString& changed) {
                    const QByteArray state = toString(desk.center->operation(changed)->state);
                    if (states.isEmpty() || states.last() != state)
                        states.append(state);
                });
            const auto lost = endOf(desk.center->commit(*plan));
            QVERIFY(lost);
            QCOMPARE(states, (QByteArrayList { "sent", "accepted", "running", "unknown" }));
            const auto told = stagesOf(*lost, "running");
            QCOMPARE(told.first(), "copying 3 of 17"_ba);
            // The page of the gateway is text in the record, nothing else.
            const auto isPage = [](const QByteArray& text) {
                return text.contains("<html><body>Bad Gateway</body></html> (HTTP 502)");
            };
            QVERIFY(std::any_of(told.begin(), told.end(), isPage));
            id = QString::fromStdString(lost->id);
        }
        DeskProcess desk(file, server.url(), "acme");
        QCOMPARE(endOf(desk.center->start()).value_or(0), 1); // it is still unknown
        looks = 0;
        const auto found = endOf(desk.center->reconcile(id));
        QVERIFY(found);
        QCOMPARE(toString(found->state), "succeeded");
        QVERIFY(stagesOf(*found, "running").contains("UPLOADING"));
        QVERIFY(found->result.find("HF_BASE_MODEL") != std::string::npos);
        QCOMPARE(server.count("POST", exchanges[1].path), 1);
    }

    /// A delta goes only onto the parent that every replica has confirmed.
    void p021_oneReplicaStayedBehind()
    {
        const auto exchanges = transcript("P021/one_replica_failed.json");
        FakePlane plane;
        plane.replicas = replicasIn(exchanges[1]);
        QCOMPARE(plane.replicas.size(), std::size_t { 2 });
        plane.checkpoints.clear();
        for (const auto* id : { "step-12", "step-11" })
            plane.checkpoints.push_back(
                FakePlane::row(id, CheckpointType::InferenceArcV2, id[6] - '0'));
        plane.checkpoints[0].parent = "step-11";
        plane.checkpoints[1].parent = "step-10";
        const QTemporaryDir dir;
        DeskProcess desk(dir.filePath(u"journal.sqlite"_s), plane.server.url(), "local");
        QVERIFY(endOf(desk.center->start()));
        auto draft = draftFor(OperationKind::Hotload, FakePlane::kDeployment, {});
        draft.subject = std::string(FakePlane::kJob) + "/checkpoints/step-12";
        const auto plan = endOf(desk.center->plan(draft));
        QVERIFY(plan && !plan->isAllowed);
        const auto* chain = checkNamed(*plan, "chain");
        QCOMPARE(chain->why,
            std::string("the delta stands on step-11, which 1 of 2 replicas hold; replica 2 holds "
                        "step-10 (error, target step-11)"));
        QVERIFY(chain->fix.find("full snapshot") != std::string::npos);
        QVERIFY(!endOf(desk.center->commit(*plan)));
        QCOMPARE(plane.posts(), 0);
    }

    /// Booleans of older SDKs, words of newer ones, servers that know neither.
    void p023_cachePoliciesInEveryForm()
    {
        const auto exchanges = transcript("P023/cache_policies.json");
        ControlPlane plane;
        for (std::size_t i = 0; i < 3; ++i) {
            const auto& body = exchanges[i].body;
            HotloadParameters parameters;
            parameters.deployment = "d";
            parameters.baseModel = "m";
            parameters.request.identity = body["identity"].get<std::string>();
            const auto& reset = body["reset_prompt_cache"];
            parameters.request.resetPromptCache = reset.is_boolean()
                ? ResetPromptCache(reset.get<bool>())
                : ResetPromptCache(reset.get<std::string>());
            if (body.contains("incremental_snapshot_metadata"))
                parameters.request.incremental =
                    IncrementalSnapshot { "step-10", "arc_v2", "alder32" };
            plane.server.push(exchanges[i].answer);
            QVERIFY(await(plane.deployments->hotload(parameters)));
            QVERIFY(TestJson::parse(plane.lastBody().toStdString()) == body);
        }
    }

    void p023_aServerThatKnowsNoPolicy_isToldToThePerson()
    {
        const auto exchanges = transcript("P023/cache_policies.json");
        FakePlane plane;
        plane.nextChange = exchanges[3].answer; // 400
        plane.actsFirst = false;
        const QTemporaryDir dir;
        DeskProcess desk(dir.filePath(u"journal.sqlite"_s), plane.server.url(), "local");
        QVERIFY(endOf(desk.center->start()));
        auto draft = draftFor(OperationKind::Hotload, FakePlane::kDeployment,
            { { "reset_prompt_cache", "new_session" } });
        draft.subject = std::string(FakePlane::kJob) + "/checkpoints/step-0010-a1b2c3d4";
        const auto plan = endOf(desk.center->plan(draft));
        const auto done = endOf(desk.center->commit(*plan));
        QCOMPARE(toString(done->state), "succeeded");
        QCOMPARE(plane.posts(), 2); // exactly one more, without the field
        const auto told = stagesOf(*done, "running");
        QVERIFY(std::any_of(told.begin(), told.end(), [](const QByteArray& text) {
            return text.contains("cache not reset: answers may mix old and new weights");
        }));
    }

    /// A fleet on two versions is called mixed, while it moves and at rest.
    void p025_mixedFleet()
    {
        const auto exchanges = transcript("P025/mixed.json");
        const auto moving = hotloadProgress(replicasIn(exchanges[0]), "step-12");
        QVERIFY(moving.summary.rfind("Mixed: 2 of 4 on step-12", 0) == 0);
        QVERIFY(!moving.isDone && !moving.isSettled);
        const auto resting = hotloadProgress(replicasIn(exchanges[1]), "step-12");
        QCOMPARE(
            resting.summary, std::string("Mixed: 3 of 4 on step-12, replica 3 on step-11 (error)"));
        QVERIFY(!resting.isDone && resting.isSettled && !resting.failure.empty());
        const auto stale = hotloadProgress(replicasIn(exchanges[2]), "step-12");
        QVERIFY(stale.isDone && stale.failure.empty());

        // Watched through the three answers it neither fails nor succeeds too early.
        ControlPlane plane;
        for (const auto& exchange : exchanges)
            plane.server.push(exchange.answer);
        QByteArrayList summaries;
        const auto done = await(plane.deployments->waitForHotload(
            "d", "m", "step-12", 5s, [&](const HotloadProgress& progress) {
                summaries.append(QByteArray::fromStdString(progress.summary));
            }));
        QVERIFY(done);
        QCOMPARE(summaries.size(), 3);
        QCOMPARE(summaries.last(), "4 of 4 on step-12"_ba);

        // A fleet that stays mixed has failed, and says what to do.
        ControlPlane staying;
        staying.server.route = [&](const SeenRequest&) { return exchanges[1].answer; };
        const auto failed = await(staying.deployments->waitForHotload("d", "m", "step-12", 5s));
        QCOMPARE(codeOf(failed), "backend"_ba);
        QCOMPARE(failed.error().next, std::string("Load again, or load the snapshot before it"));
    }
};

QTEST_GUILESS_MAIN(FieldControlTest)
#include "tst_field_control.moc"
