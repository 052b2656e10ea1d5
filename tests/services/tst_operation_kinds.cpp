// SPDX-License-Identifier: GPL-3.0-or-later
// Operations beside save, promotion and hot load: each is planned, journaled, sent once, followed,
// and looked up when its reply was lost.
#include "tests/services/control_plane_fixture.h"
#include "tests/services/desk_fixture.h"
#include "tests/services/fake_plane.h"

#include <QTemporaryDir>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace {

const std::string kBaseRow = std::string(FakePlane::kJob) + "/checkpoints/step-0010-a1b2c3d4";
const std::string kDeltaRow = std::string(FakePlane::kJob) + "/checkpoints/step-0020-a1b2c3d4";

} // namespace

class OperationKindsTest final : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<QTemporaryDir> m_dir;
    std::unique_ptr<FakePlane> m_plane;
    std::unique_ptr<DeskProcess> m_desk;

    Result<OperationPlan> plan(const OperationDraft& draft)
    {
        return endOf(m_desk->center->plan(draft));
    }
    Operation commit(const OperationDraft& draft)
    {
        const auto planned = plan(draft);
        if (!planned || !planned->isAllowed)
            return {};
        const auto done = endOf(m_desk->center->commit(*planned));
        return done ? *done : Operation {};
    }
    QByteArray lastChange() const
    {
        QByteArray line;
        for (const auto& request : m_plane->server.seen())
            if (request.method != "GET")
                line = request.method + ' ' + request.target + ' ' + request.body;
        return line;
    }
    Operation load(const std::string& row)
    {
        auto draft = draftFor(OperationKind::Hotload, FakePlane::kDeployment, {});
        draft.subject = row;
        return commit(draft);
    }

private Q_SLOTS:
    void init()
    {
        m_dir = std::make_unique<QTemporaryDir>();
        m_plane = std::make_unique<FakePlane>();
        m_desk = std::make_unique<DeskProcess>(
            m_dir->filePath(u"journal.sqlite"_s), m_plane->server.url(), "local");
        QVERIFY(endOf(m_desk->center->start()));
    }
    void cleanup()
    {
        m_desk.reset();
        m_plane.reset();
    }

    void extend_showsBothExpiriesAndChangesOne()
    {
        const auto draft = draftFor(OperationKind::Extend, kBaseRow, { { "ttl_seconds", "7200" } });
        const auto planned = plan(draft);
        QVERIFY(planned && planned->isAllowed);
        QCOMPARE(planned->request.method, std::string("PUT"));
        QVERIFY(planned->request.url.find("/training_runs/s1:train:0/checkpoints/sampler_weights/"
                                          "step-0010-a1b2c3d4/ttl")
            != std::string::npos);
        QCOMPARE(planned->request.body, std::string("{\"ttl_seconds\":7200}"));
        QCOMPARE(planned->effect.front().before, std::string("never, as far as is known"));
        const auto done = commit(draft);
        QCOMPARE(toString(done.state), "succeeded");
        QVERIFY(done.result.find("\"expires\":\"20") != std::string::npos);
        QVERIFY(m_plane->checkpoints[1].expires.has_value());
        const auto sooner =
            plan(draftFor(OperationKind::Extend, kBaseRow, { { "ttl_seconds", "3600" } }));
        QVERIFY(checkNamed(*sooner, "sooner") != nullptr);
        QCOMPARE(toString(commit(
                     draftFor(OperationKind::Extend, kBaseRow, { { "ttl_seconds", "never" } }))
                              .state),
            "succeeded");
        QVERIFY(!m_plane->checkpoints[1].expires.has_value());
    }

    void extend_refusesWhatTrainersRefuse_data()
    {
        QTest::addColumn<QByteArray>("ttl");
        for (const char* ttl : { "0", "-5", "3599", "315360001", "soon", "" })
            QTest::newRow(ttl) << QByteArray(ttl);
    }
    void extend_refusesWhatTrainersRefuse()
    {
        QFETCH(QByteArray, ttl);
        const auto planned = plan(
            draftFor(OperationKind::Extend, kBaseRow, { { "ttl_seconds", ttl.toStdString() } }));
        QVERIFY(planned && !planned->isAllowed);
        QVERIFY(!endOf(m_desk->center->commit(*planned)));
        QVERIFY(lastChange().isEmpty());
    }

    void extend_lostReply_isLookedUp()
    {
        const auto draft = draftFor(OperationKind::Extend, kBaseRow, { { "ttl_seconds", "7200" } });
        m_plane->nextChange = lostReply();
        const auto lost = commit(draft);
        QCOMPARE(toString(lost.state), "unknown");
        const auto found = endOf(m_desk->center->reconcile(QString::fromStdString(lost.id)));
        QCOMPARE(toString(found->state), "succeeded");
    }

    void deleteCheckpoint_protectsDeltas()
    {
        const auto base =
            draftFor(OperationKind::Delete, kBaseRow, { { "resource", "checkpoint" } });
        const auto planned = plan(base);
        QVERIFY(planned && !planned->isAllowed);
        QVERIFY(checkNamed(*planned, "parent")->why.find("step-0020-a1b2c3d4 does") == 0);
        m_plane->serve("step-0020-a1b2c3d4");
        const auto delta =
            draftFor(OperationKind::Delete, kDeltaRow, { { "resource", "checkpoint" } });
        QVERIFY(checkNamed(*plan(delta), "served")->why.find("eval serves it") == 0);
        QCOMPARE(toString(commit(delta).state), "succeeded");
        QVERIFY(lastChange().startsWith("DELETE /training/v1/rlorTrainerJobs/local/job-1/api/v1/"));
        m_plane->nextChange = lostReply();
        const auto lost = commit(base);
        QCOMPARE(toString(lost.state), "unknown");
        const auto found = endOf(m_desk->center->reconcile(QString::fromStdString(lost.id)));
        QCOMPARE(toString(found->state), "succeeded");
        QVERIFY(m_plane->checkpoints.empty());
    }

    void scale_waitsForItsReplicas()
    {
        const auto draft =
            draftFor(OperationKind::Scale, FakePlane::kDeployment, { { "replicas", "3" } });
        const auto planned = plan(draft);
        QVERIFY(planned && planned->isAllowed);
        QVERIFY(planned->request.url.find("updateMask=min_replica_count%2Cmax_replica_count")
            != std::string::npos);
        const auto done = commit(draft);
        QCOMPARE(toString(done.state), "succeeded");
        QCOMPARE(m_plane->deployments.front().replicaCount.value_or(0), 3);
        const auto same = plan(draft);
        QVERIFY(checkNamed(*same, "changes") != nullptr);
        const auto none =
            plan(draftFor(OperationKind::Scale, FakePlane::kDeployment, { { "replicas", "0" } }));
        QVERIFY(none->isAllowed && checkNamed(*none, "serving") != nullptr);
        for (const char* bad : { "65", "-1", "two", "" })
            QVERIFY(!plan(
                draftFor(OperationKind::Scale, FakePlane::kDeployment, { { "replicas", bad } }))
                         ->isAllowed);
        QVERIFY(!plan(draftFor(OperationKind::Scale, "accounts/local/deployments/none",
                          { { "replicas", "1" } }))
                     ->isAllowed);
    }

    void scale_lostReply_isLookedUp()
    {
        m_plane->nextChange = lostReply();
        const auto lost =
            commit(draftFor(OperationKind::Scale, FakePlane::kDeployment, { { "replicas", "1" } }));
        QCOMPARE(toString(lost.state), "unknown");
        const auto found = endOf(m_desk->center->reconcile(QString::fromStdString(lost.id)));
        QCOMPARE(toString(found->state), "succeeded");
    }

    void previous_goesBackThroughTheChain()
    {
        const auto draft = draftFor(OperationKind::Previous, FakePlane::kDeployment, {});
        const auto none = plan(draft);
        QVERIFY(none && !none->isAllowed); // the journal knows no load
        QCOMPARE(toString(load(kBaseRow).state), "succeeded");
        QVERIFY(!plan(draft)->isAllowed); // the only one is served now
        QCOMPARE(toString(load(kDeltaRow).state), "succeeded");
        auto back = plan(draft);
        QVERIFY(back && back->isAllowed);
        QCOMPARE(back->draft.subject, kBaseRow);
        QVERIFY(back->sentence.find("serve step-0010-a1b2c3d4 again") != std::string::npos);
        QCOMPARE(toString(commit(draft).state), "succeeded");
        QCOMPARE(m_plane->replicas.front().currentSnapshot, std::string("step-0010-a1b2c3d4"));
        // And forth: the delta needs its base first, which is a whole load again.
        const auto count = m_plane->posts();
        const auto forth = commit(draft);
        QCOMPARE(toString(forth.state), "succeeded");
        QCOMPARE(m_plane->posts() - count, 2);
        QVERIFY(lastChange().contains(R"("previous_snapshot_identity":"step-0010-a1b2c3d4")"));
        QCOMPARE(m_plane->replicas.front().currentSnapshot, std::string("step-0020-a1b2c3d4"));
        QVERIFY(stagesOf(forth, "running").contains("step-0010-a1b2c3d4 is loaded, 1 of 2"));
    }

    void previous_withoutItsBase_isRefused()
    {
        QCOMPARE(toString(load(kBaseRow).state), "succeeded");
        QCOMPARE(toString(load(kDeltaRow).state), "succeeded");
        QCOMPARE(toString(load(kBaseRow).state), "succeeded");
        m_plane->checkpoints.pop_back(); // the base has gone
        const auto planned = plan(draftFor(OperationKind::Previous, FakePlane::kDeployment, {}));
        QVERIFY(planned && !planned->isAllowed);
        QVERIFY(checkNamed(*planned, "chain") != nullptr);
    }

    void resume_onlyWhatHasStopped()
    {
        const auto draft = draftFor(OperationKind::Resume, FakePlane::kJob, {});
        QVERIFY(!plan(draft)->isAllowed); // it runs
        m_plane->jobs.front().state = JobState::Cancelled;
        m_plane->jobs.front().stateText = "JOB_STATE_CANCELLED";
        const auto done = commit(draft);
        QCOMPARE(toString(done.state), "succeeded");
        QVERIFY(done.result.find(
                    "\"endpoint\":\"" + m_plane->server.url().toStdString() + "/training/v1/")
            != std::string::npos);
        m_plane->jobs.front().state = JobState::Failed;
        m_plane->jobs.front().stateText = "JOB_STATE_FAILED";
        m_plane->nextChange = lostReply();
        const auto lost = commit(draft);
        QCOMPARE(toString(lost.state), "unknown");
        const auto found = endOf(m_desk->center->reconcile(QString::fromStdString(lost.id)));
        QCOMPARE(toString(found->state), "succeeded");
        QVERIFY(!plan(draftFor(OperationKind::Resume, "accounts/local/rlorTrainerJobs/none", {}))
                     ->isAllowed);
    }

    void createJob_isReviewedLikeEverything()
    {
        auto draft = draftFor(OperationKind::Create, {},
            { { "resource", "job" }, { "base_model", FakePlane::kBaseModel }, { "lora_rank", "8" },
                { "name", "trial" }, { "id", "job-9" } });
        const auto planned = plan(draft);
        QVERIFY(planned && planned->isAllowed);
        QCOMPARE(planned->draft.target, std::string("accounts/local/rlorTrainerJobs/job-9"));
        QVERIFY(planned->request.url.find("?rlorTrainerJobId=job-9") != std::string::npos);
        QVERIFY(planned->request.body.find("\"loraRank\":8") != std::string::npos);
        const auto done = commit(draft);
        QCOMPARE(toString(done.state), "succeeded");
        QVERIFY(done.result.find("\"endpoint\":\"http") != std::string::npos);
        // A lost reply is looked up by the id at once.
        draft.parameters["id"] = "job-10";
        draft.parameters["wait"] = "0";
        m_plane->nextChange = lostReply();
        QCOMPARE(toString(commit(draft).state), "succeeded");
        draft.parameters["lora_rank"] = "many";
        QVERIFY(!plan(draft)->isAllowed);
        draft.parameters["lora_rank"] = "0";
        draft.parameters["base_model"] = "";
        QVERIFY(!plan(draft)->isAllowed);
    }

    void s8_deprecatedForms_areInJournalAndResult()
    {
        auto draft = draftFor(OperationKind::Promote, {},
            { { "model_id", "stories-v1" }, { "form", "pair" },
                { "hot_load_deployment_id", "eval" } });
        draft.subject = kBaseRow;
        const auto planned = plan(draft);
        QVERIFY(planned && planned->isAllowed);
        QCOMPARE(planned->warnings.size(), std::size_t { 2 });
        const auto done = commit(draft);
        QCOMPARE(toString(done.state), "succeeded");
        QCOMPARE(stagesOf(done, "warning").size(), 2);
        QVERIFY(done.result.find("\"warnings\":[\"the form with a job and a checkpoint id is "
                                 "deprecated")
            != std::string::npos);
        QVERIFY(
            lastChange().contains(R"("hot_load_deployment_id":"accounts/local/deployments/eval")"));
        // What was shown is what was sent.
        QVERIFY(lastChange().endsWith(QByteArray::fromStdString(planned->request.body)));
    }

    void s4_theReasonIsInTheReview()
    {
        auto draft = draftFor(OperationKind::Promote, {}, { { "model_id", "stories-v1" } });
        draft.subject = kDeltaRow;
        const auto planned = plan(draft);
        QVERIFY(planned && !planned->isAllowed);
        const auto* check = checkNamed(*planned, "promotable");
        QCOMPARE(check->why,
            std::string("a delta of a full-parameter run is not a whole model; it needs its base"));
        QCOMPARE(check->fix, std::string("Promote step-0010-a1b2c3d4 instead"));
    }
};

QTEST_GUILESS_MAIN(OperationKindsTest)
#include "tst_operation_kinds.moc"
