// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/operations/operation_lookup.h"
#include "services/operations/preflight.h"

#include <QRegularExpression>
#include <QTest>

#include <functional>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr auto kJobName = "accounts/local/rlorTrainerJobs/job-1";
    constexpr auto kTiny = "accounts/local/models/desk-tiny";

    std::string nameOf(const std::string& id)
    {
        return std::string(kJobName) + "/checkpoints/" + id;
    }

    Checkpoint rowOf(const std::string& id, CheckpointType type, std::int64_t step)
    {
        Checkpoint row;
        row.name = nameOf(id);
        row.type = type;
        row.step = step;
        row.created = *parseRfc3339("2026-11-21T10:00:00Z") + std::chrono::minutes(step);
        row.isPromotable = type == CheckpointType::InferenceBase;
        return row;
    }

    /// A run with a base at step 10 and a delta at step 20, on a deployment of two replicas.
    OperationFacts healthyFacts()
    {
        OperationFacts facts;
        facts.connection = { "local", "http://127.0.0.1:9", "local", SafetyLevel::Free, true, "",
            "" };
        facts.now = *parseRfc3339("2026-11-21T12:00:00Z");
        TrainerJob job;
        job.name = kJobName;
        job.baseModel = kTiny;
        job.state = JobState::Running;
        job.stateText = "JOB_STATE_RUNNING";
        facts.job = job;
        facts.checkpoints = { rowOf("step-0020-a1b2c3d4", CheckpointType::InferenceArcV2, 20),
            rowOf("step-0010-a1b2c3d4", CheckpointType::InferenceBase, 10),
            rowOf("step-0010", CheckpointType::Training, 10) };
        facts.checkpoints.front().parent = "step-0010-a1b2c3d4";
        Deployment deployment;
        deployment.name = "accounts/local/deployments/eval";
        deployment.baseModel = kTiny;
        deployment.enablesHotLoad = true;
        deployment.hotLoadTrainerJob = kJobName;
        deployment.replicas = { { "r0", "step-0010-a1b2c3d4", true, "ready", "", "", std::nullopt },
            { "r1", "step-0010-a1b2c3d4", true, "ready", "", "", std::nullopt } };
        facts.deployment = deployment;
        facts.areReplicasKnown = true;
        facts.control = ControlStatus {};
        facts.control->state = "training";
        facts.controlSocket = u"/run/control.sock"_s;
        return facts;
    }

    OperationDraft promoteDraft(const std::string& id = "step-0010-a1b2c3d4")
    {
        OperationDraft draft;
        draft.kind = OperationKind::Promote;
        draft.subject = nameOf(id);
        draft.parameters = { { "model_id", "stories-v1" } };
        return draft;
    }

    OperationDraft hotloadDraft(const std::string& id = "step-0020-a1b2c3d4")
    {
        OperationDraft draft;
        draft.kind = OperationKind::Hotload;
        draft.target = "accounts/local/deployments/eval";
        draft.subject = nameOf(id);
        return draft;
    }

    OperationDraft saveDraft(const std::string& kind = "delta")
    {
        OperationDraft draft;
        draft.kind = OperationKind::Save;
        draft.target = kJobName;
        draft.parameters = { { "kind", kind }, { "name", "step-0030" } };
        return draft;
    }

    QByteArray resultOf(const OperationPlan& plan, const char* id)
    {
        for (const auto& check : plan.preflight) {
            if (check.id == id)
                return toString(check.result);
        }
        return "absent";
    }

    const PreflightCheck& check(const OperationPlan& plan, const char* id)
    {
        static const PreflightCheck none;
        for (const auto& one : plan.preflight) {
            if (one.id == id)
                return one;
        }
        return none;
    }

    using Change = std::function<void(OperationFacts&, OperationDraft&)>;

} // namespace

class TestPreflight final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init() { QTest::failOnWarning(QRegularExpression(u".*"_s)); }

    void healthyPromote_isAllowedAndShowsTheExactRequest()
    {
        const auto plan = makePlan(promoteDraft(), healthyFacts());
        QVERIFY(plan.isAllowed);
        QCOMPARE(resultOf(plan, "promotable"), QByteArray("pass"));
        QCOMPARE(resultOf(plan, "base_model"), QByteArray("pass"));
        QCOMPARE(resultOf(plan, "newer"), QByteArray("warn"));
        QCOMPARE(resultOf(plan, "verified"), QByteArray("unknown"));
        QCOMPARE(plan.request.method, std::string("POST"));
        QCOMPARE(plan.request.url,
            std::string(
                "http://127.0.0.1:9/v1/accounts/local/checkpoints/step-0010-a1b2c3d4:promote"));
        QVERIFY(
            plan.request.body.find("\"accounts/local/models/stories-v1\"") != std::string::npos);
        QVERIFY(plan.request.body.find(kJobName) != std::string::npos);
        QCOMPARE(plan.draft.parameters.at("base_model"), std::string(kTiny));
        QVERIFY(!plan.effect.empty());
        QVERIFY(plan.effect.back().isWarning);
    }

    void deltaPromote_isRefusedWithTheNearestPromotable()
    {
        const auto plan = makePlan(promoteDraft("step-0020-a1b2c3d4"), healthyFacts());
        QVERIFY(!plan.isAllowed);
        QCOMPARE(check(plan, "promotable").why,
            std::string("a delta of a full-parameter run is not a whole model; it needs its base"));
        QCOMPARE(check(plan, "promotable").fix, std::string("Promote step-0010-a1b2c3d4 instead"));
    }

    void promoteChecks_data()
    {
        QTest::addColumn<QByteArray>("id");
        QTest::addColumn<QByteArray>("result");
        QTest::addColumn<Change>("change");
        const auto add = [](const char* tag, const char* id, const char* result, Change change) {
            QTest::addRow("%s", tag) << QByteArray(id) << QByteArray(result) << std::move(change);
        };
        add("unknown row", "exists", "fail", [](auto& facts, auto&) { facts.checkpoints.clear(); });
        add("training state", "promotable", "fail",
            [](auto&, auto& draft) { draft.subject = nameOf("step-0010"); });
        add("step 0", "trained", "warn", [](auto& facts, auto&) { facts.checkpoints[1].step = 0; });
        add("step in the name", "trained", "pass",
            [](auto& facts, auto&) { facts.checkpoints[1].step.reset(); });
        add("step unknown", "trained", "unknown", [](auto& facts, auto& draft) {
            facts.checkpoints[1].step.reset();
            facts.checkpoints[1].name = nameOf("mine");
            draft.subject = nameOf("mine");
        });
        add("other base model", "base_model", "fail",
            [](auto&, auto& draft) { draft.parameters["base_model"] = "accounts/x/models/y"; });
        add("job gone", "base_model", "fail", [](auto& facts, auto&) { facts.job.reset(); });
        add("job gone, base given", "base_model", "unknown", [](auto& facts, auto& draft) {
            facts.job.reset();
            draft.parameters["base_model"] = kTiny;
        });
        add("bad id", "model_id", "fail",
            [](auto&, auto& draft) { draft.parameters["model_id"] = "Bad_Id"; });
        add("no id", "model_id", "fail", [](auto&, auto& draft) { draft.parameters.clear(); });
        add("id taken", "model_id_free", "fail", [](auto& facts, auto&) {
            Model model;
            model.name = "accounts/local/models/stories-v1";
            facts.models.push_back(model);
        });
        add("id in an open operation", "model_id_free", "fail", [](auto& facts, auto&) {
            Operation open;
            open.kind = OperationKind::Promote;
            open.parameters["model_id"] = "stories-v1";
            open.state = OperationState::Unknown;
            facts.open.push_back(open);
        });
        add("trainer deleted", "retention", "warn",
            [](auto& facts, auto&) { facts.job->state = JobState::Deleted; });
        add("verified", "verified", "pass",
            [](auto& facts, auto&) { facts.verified = "bit-exact, 21 of 21 tensors"; });
        add("verified with a mismatch", "verified", "fail",
            [](auto& facts, auto&) { facts.verified = "mismatch"; });
        add("verified in part", "verified", "warn",
            [](auto& facts, auto&) { facts.verified = "partial"; });
        add("newest", "newer", "pass",
            [](auto& facts, auto&) { facts.checkpoints.erase(facts.checkpoints.begin()); });
        add("best loss", "loss", "pass", [](auto& facts, auto&) {
            facts.loss = 2.0;
            facts.bestLoss = 2.0;
        });
        add("not the best loss", "loss", "warn", [](auto& facts, auto&) {
            facts.loss = 2.5;
            facts.bestLoss = 2.0;
        });
        add("loss unknown", "loss", "absent", [](auto&, auto&) {});
    }
    void promoteChecks() { checkOne(promoteDraft()); }

    void healthyDeltaHotload_namesTheRecordedParent()
    {
        const auto plan = makePlan(hotloadDraft(), healthyFacts());
        QVERIFY(plan.isAllowed);
        QCOMPARE(check(plan, "chain").why, std::string("all replicas hold step-0010-a1b2c3d4"));
        QCOMPARE(plan.request.headers.at("fireworks-deployment"),
            std::string("accounts/local/deployments/eval"));
        QCOMPARE(plan.request.headers.at("fireworks-model"), std::string(kTiny));
        QVERIFY(plan.request.headers.find("Authorization") == plan.request.headers.end());
        QVERIFY(plan.request.body.find("\"previous_snapshot_identity\":\"step-0010-a1b2c3d4\"")
            != std::string::npos);
        QCOMPARE(plan.draft.parameters.at("timeout_seconds"), std::string("600"));
    }

    void baseHotload_sendsNoChain()
    {
        const auto plan = makePlan(hotloadDraft("step-0010-a1b2c3d4"), healthyFacts());
        QVERIFY(plan.isAllowed);
        QVERIFY(plan.request.body.find("incremental") == std::string::npos);
        QCOMPARE(resultOf(plan, "served"), QByteArray("warn"));
    }

    void hotloadChecks_data()
    {
        QTest::addColumn<QByteArray>("id");
        QTest::addColumn<QByteArray>("result");
        QTest::addColumn<Change>("change");
        const auto add = [](const char* tag, const char* id, const char* result, Change change) {
            QTest::addRow("%s", tag) << QByteArray(id) << QByteArray(result) << std::move(change);
        };
        add("no deployment", "deployment", "fail",
            [](auto& facts, auto&) { facts.deployment.reset(); });
        add("hot load off", "deployment", "fail",
            [](auto& facts, auto&) { facts.deployment->enablesHotLoad = false; });
        add("attached elsewhere", "attached", "fail", [](auto& facts, auto&) {
            facts.deployment->hotLoadTrainerJob = "accounts/local/rlorTrainerJobs/job-2";
        });
        add("attached to none, local", "attached", "warn",
            [](auto& facts, auto&) { facts.deployment->hotLoadTrainerJob.clear(); });
        add("attached to none, remote", "attached", "fail", [](auto& facts, auto&) {
            facts.deployment->hotLoadTrainerJob.clear();
            facts.connection.isLocal = false;
        });
        add("attached by the job", "attached", "pass", [](auto& facts, auto&) {
            facts.deployment->hotLoadTrainerJob.clear();
            facts.job->hotLoadDeploymentId = "eval";
        });
        add("no replica", "replicas", "fail",
            [](auto& facts, auto&) { facts.deployment->replicas.clear(); });
        add("replica not ready", "replicas", "warn",
            [](auto& facts, auto&) { facts.deployment->replicas[1].isReady = false; });
        add("replicas not read", "replicas", "unknown",
            [](auto& facts, auto&) { facts.areReplicasKnown = false; });
        add("other base model", "base_model", "fail",
            [](auto& facts, auto&) { facts.deployment->baseModel = "accounts/x/models/y"; });
        add("one replica behind", "chain", "fail",
            [](auto& facts, auto&) { facts.deployment->replicas[1].currentSnapshot.clear(); });
        add("another snapshot served", "chain", "fail", [](auto& facts, auto&) {
            for (auto& replica : facts.deployment->replicas)
                replica.currentSnapshot = "step-0005-a1b2c3d4";
        });
        add("parent not recorded", "chain", "unknown",
            [](auto& facts, auto&) { facts.checkpoints.front().parent.clear(); });
        add("parent not recorded, nothing served", "chain", "fail", [](auto& facts, auto&) {
            facts.checkpoints.front().parent.clear();
            for (auto& replica : facts.deployment->replicas)
                replica.currentSnapshot.clear();
        });
        add("delta as a whole", "chain", "fail",
            [](auto&, auto& draft) { draft.parameters["full"] = "1"; });
        add("load in progress", "loading", "fail",
            [](auto& facts, auto&) { facts.deployment->replicas[0].stage = "downloading"; });
        add("stale error", "last_error", "warn", [](auto& facts, auto&) {
            facts.deployment->replicas[0].stage = "error";
            facts.deployment->replicas[0].targetSnapshot = "step-0001-a1b2c3d4";
        });
        add("served already", "served", "warn", [](auto& facts, auto&) {
            for (auto& replica : facts.deployment->replicas)
                replica.currentSnapshot = "step-0020-a1b2c3d4";
        });
        add("training state", "exists", "fail",
            [](auto&, auto& draft) { draft.subject = nameOf("step-0010"); });
        add("older snapshot", "newer", "warn",
            [](auto&, auto& draft) { draft.subject = nameOf("step-0010-a1b2c3d4"); });
        add("same one unknown", "open_operation", "fail", [](auto& facts, auto& draft) {
            Operation open;
            open.kind = OperationKind::Hotload;
            open.target = draft.target;
            open.subject = draft.subject;
            open.state = OperationState::Unknown;
            facts.open.push_back(open);
        });
    }
    void hotloadChecks() { checkOne(hotloadDraft()); }

    void healthySave_isOneLineToTheSocket()
    {
        auto draft = saveDraft();
        draft.parameters["ttl_seconds"] = "3600";
        const auto plan = makePlan(draft, healthyFacts());
        QVERIFY(plan.isAllowed);
        QCOMPARE(plan.request.url, std::string("unix:/run/control.sock"));
        QCOMPARE(plan.request.body, std::string("save delta step-0030 3600"));
    }

    void saveChecks_data()
    {
        QTest::addColumn<QByteArray>("id");
        QTest::addColumn<QByteArray>("result");
        QTest::addColumn<Change>("change");
        const auto add = [](const char* tag, const char* id, const char* result, Change change) {
            QTest::addRow("%s", tag) << QByteArray(id) << QByteArray(result) << std::move(change);
        };
        add("no socket", "control_socket", "fail", [](auto& facts, auto&) {
            facts.control.reset();
            facts.controlProblem = "nothing listens";
        });
        add("stopping", "control_socket", "fail",
            [](auto& facts, auto&) { facts.control->state = "stopping"; });
        add("busy", "control_socket", "warn",
            [](auto& facts, auto&) { facts.control->busyWith = "step-0025"; });
        add("job gone", "job", "fail", [](auto& facts, auto&) { facts.job.reset(); });
        add("job deleted", "job", "fail",
            [](auto& facts, auto&) { facts.job->state = JobState::Deleted; });
        add("name taken", "name", "fail",
            [](auto&, auto& draft) { draft.parameters["name"] = "step-0020"; });
        add("bad name", "name", "fail",
            [](auto&, auto& draft) { draft.parameters["name"] = "a b"; });
        add("first delta", "kind", "fail", [](auto& facts, auto&) { facts.checkpoints.clear(); });
        add("LoRA delta", "kind", "warn", [](auto& facts, auto&) { facts.job->loraRank = 16; });
        add("unknown kind", "kind", "fail",
            [](auto&, auto& draft) { draft.parameters["kind"] = "whole"; });
        add("state", "kind", "pass",
            [](auto&, auto& draft) { draft.parameters["kind"] = "state"; });
        add("bad lifetime", "request", "fail",
            [](auto&, auto& draft) { draft.parameters["ttl_seconds"] = "soon"; });
    }
    void saveChecks() { checkOne(saveDraft()); }

    void loraDelta_becomesABase()
    {
        auto facts = healthyFacts();
        facts.job->loraRank = 16;
        const auto plan = makePlan(saveDraft("delta"), facts);
        QVERIFY(plan.isAllowed);
        QCOMPARE(plan.request.body, std::string("save base step-0030"));
    }

    void create_fillsInWhatIsLeftOut()
    {
        OperationDraft draft;
        draft.kind = OperationKind::Create;
        draft.parameters = { { "job", kJobName } };
        const auto plan = makePlan(draft, healthyFacts());
        QVERIFY(plan.isAllowed);
        QCOMPARE(plan.draft.parameters.at("base_model"), std::string(kTiny));
        QCOMPARE(plan.draft.parameters.at("name"), std::string("desk-tiny-1795262400"));
        QCOMPARE(plan.draft.target, std::string("accounts/local/deployments/desk-tiny-1795262400"));
        auto taken = healthyFacts();
        taken.deployments.push_back(*taken.deployment);
        draft.parameters["name"] = "eval";
        QVERIFY(!makePlan(draft, taken).isAllowed);
        draft.parameters["name"] = "Über";
        QVERIFY(!makePlan(draft, healthyFacts()).isAllowed);
        draft.parameters["name"] = "eval2";
        draft.parameters["replicas"] = "0";
        QVERIFY(!makePlan(draft, healthyFacts()).isAllowed);
    }

    void deleteAndCancel_needSomethingThatExists()
    {
        OperationDraft draft;
        draft.kind = OperationKind::Delete;
        draft.target = kJobName;
        draft.parameters = { { "resource", "job" } };
        auto plan = makePlan(draft, healthyFacts());
        QVERIFY(plan.isAllowed);
        QCOMPARE(resultOf(plan, "running"), QByteArray("warn"));
        auto facts = healthyFacts();
        facts.job->state = JobState::Deleted;
        QVERIFY(!makePlan(draft, facts).isAllowed);
        draft.target = "accounts/local/models/none";
        draft.parameters["resource"] = "model";
        QVERIFY(!makePlan(draft, healthyFacts()).isAllowed);
        draft.kind = OperationKind::Cancel;
        QVERIFY(makePlan(draft, healthyFacts()).isAllowed);
        facts.job->state = JobState::Completed;
        QVERIFY(!makePlan(draft, facts).isAllowed);
        draft.kind = OperationKind::Scale;
        QVERIFY(!makePlan(draft, healthyFacts()).isAllowed);
    }

    void effects_areToldFromTheRows()
    {
        Operation promote;
        promote.subject = nameOf("step-0010-a1b2c3d4");
        promote.parameters["model_id"] = "stories-v1";
        QVERIFY(!promoteEffect(promote, {}));
        Model model;
        model.name = "accounts/local/models/stories-v1";
        model.state = "UPLOADING";
        QVERIFY(promoteEffect(promote, { model })->state == OperationState::Unknown);
        model.state = "READY";
        QVERIFY(promoteEffect(promote, { model })->state == OperationState::Succeeded);
        model.promotedFrom = nameOf("step-0030-a1b2c3d4");
        QVERIFY(promoteEffect(promote, { model })->state == OperationState::Failed);

        Operation load;
        load.subject = nameOf("step-0020-a1b2c3d4");
        std::vector<Replica> replicas { { "r0", "step-0020-a1b2c3d4", true, "ready", "", "", 1.0 },
            { "r1", "step-0010-a1b2c3d4", true, "ready", "", "", 1.0 } };
        QVERIFY(hotloadEffect(load, replicas)->state == OperationState::Unknown);
        replicas[1].stage = "error";
        replicas[1].targetSnapshot = "step-0020-a1b2c3d4";
        QVERIFY(hotloadEffect(load, replicas)->state == OperationState::Failed);
        replicas[1] = replicas[0];
        QVERIFY(hotloadEffect(load, replicas)->state == OperationState::Succeeded);
        for (auto& replica : replicas)
            replica = { "r", "other", true, "ready", "", "", 1.0 };
        QVERIFY(!hotloadEffect(load, replicas));

        Operation save;
        save.parameters = { { "name", "step-0030" }, { "kind", "delta" } };
        save.created = *parseRfc3339("2026-11-21T10:30:00Z");
        auto row = rowOf("step-0030-a1b2c3d4", CheckpointType::InferenceArcV2, 30);
        QVERIFY(saveEffect(save, { row })->state == OperationState::Succeeded);
        row.created = *parseRfc3339("2026-11-21T09:00:00Z");
        QVERIFY(!saveEffect(save, { row }));
        row.name = nameOf("step-0030-later");
        QVERIFY(!saveEffect(save, { row }));
    }

private:
    static void checkOne(OperationDraft draft)
    {
        QFETCH(const QByteArray, id);
        QFETCH(const QByteArray, result);
        QFETCH(const Change, change);
        auto facts = healthyFacts();
        change(facts, draft);
        const auto plan = makePlan(draft, facts);
        QCOMPARE(resultOf(plan, id.constData()), result);
        QCOMPARE(plan.isAllowed, firstFailure(plan) == nullptr);
        if (result == "fail") {
            QVERIFY(!plan.isAllowed);
            QVERIFY(!check(plan, id.constData()).why.empty());
            QVERIFY(!check(plan, id.constData()).fix.empty());
        }
    }
};

} // namespace desk

QTEST_GUILESS_MAIN(desk::TestPreflight)
#include "tst_preflight.moc"
