// SPDX-License-Identifier: GPL-3.0-or-later
// The control plane's calls, row by row of the reference pages, against the real embedded backend.
#include "services/core/promotability.h"
#include "services/core/resource_name.h"
#include "services/gateway/model_export.h"
#include "tests/services/local_desk.h"

#include <QFileInfo>
#include <QTest>

#include <cmath>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

class ControlAgainstLocalTest final : public QObject
{
    Q_OBJECT

private:
    LocalDesk m_desk;
    std::unique_ptr<FiretitanServiceClient> m_service;
    std::shared_ptr<FiretitanTrainingClient> m_training;
    std::string m_job;
    Checkpoint m_base;
    Checkpoint m_delta;
    Checkpoint m_state;

    PromoteParameters promotion(const std::string& id) const
    {
        PromoteParameters parameters;
        parameters.name = m_base.name;
        parameters.outputModelId = id;
        parameters.baseModel = m_desk.ready.baseModel;
        return parameters;
    }
    template <class T>
    static Result<T> wait(QFuture<Result<T>> future)
    {
        return await(std::move(future), kLocalPatienceMs);
    }
    bool step()
    {
        auto pass = m_training->forwardBackward({ textDatum("Once upon a time.") });
        AdamParams adam;
        adam.learningRate = 1e-3;
        const auto applied = wait(m_training->optimStep(adam, GradAccNormalization::NumLossTokens));
        return wait(pass) && applied;
    }

private Q_SLOTS:
    void initTestCase()
    {
        if (!QFileInfo::exists(QStringLiteral(DESK_BIN_DIR "/trainerdesk-local")))
            QSKIP("trainerdesk-local was not built");
        QCOMPARE(m_desk.start(), QString());
        m_job = m_desk.jobName("control");
        const auto url = m_desk.job("control");
        m_service = std::make_unique<FiretitanServiceClient>(*m_desk.http, url);
        const auto training = wait(m_service->createTrainingClient(m_desk.ready.baseModel, 0));
        REQUIRE(training);
        m_training = *training;
        QVERIFY(step());
        const auto base = wait(m_training->saveWeightsForSamplerExt("step-1", "base"));
        REQUIRE(base);
        QVERIFY(step());
        const auto delta = wait(m_training->saveWeightsForSamplerExt("step-2", "delta"));
        REQUIRE(delta);
        REQUIRE(wait(m_training->saveState("state-2")));
        m_base = m_desk.row(m_job, base->snapshotName);
        m_delta = m_desk.row(m_job, delta->snapshotName);
        m_state = m_desk.row(m_job, "state-2");
    }
    void cleanupTestCase()
    {
        m_training.reset();
        m_service.reset();
        m_desk.stop();
    }

    void s4_theServersFlagAgreesWithTheMatrix()
    {
        for (const auto* row : { &m_base, &m_delta, &m_state })
            QCOMPARE(row->isPromotable, promotabilityOf(row->type).isPromotable);
        QVERIFY(promotabilityOf(m_base).isPromotable);
        QVERIFY(!promotabilityOf(m_delta).isPromotable);
        QVERIFY(promotabilityOf(m_state).isResumable);
    }

    void s7_s12_promotionByNameInheritsFromItsBase()
    {
        const auto model = wait(m_desk.control->promoteCheckpoint(promotion("by-name")));
        REQUIRE(model);
        QCOMPARE(model->state, std::string("READY"));
        const auto shown = wait(m_desk.control->getModel("by-name"));
        const auto base = wait(m_desk.control->getModel(m_desk.ready.baseModel));
        REQUIRE(shown);
        REQUIRE(base);
        QCOMPARE(shown->baseModel, m_desk.ready.baseModel);
        QCOMPARE(shown->kind, std::string("HF_BASE_MODEL"));
        QVERIFY(shown->contextLength == base->contextLength);
        QVERIFY(shown->isMoe == base->isMoe);
    }

    void s8_s9_deprecatedForms()
    {
        auto pair = promotion("by-pair");
        pair.name.clear();
        pair.jobId = "control";
        pair.checkpointId = lastSegment(m_base.name);
        pair.hotLoadDeploymentId = "none";
        QByteArrayList heard;
        const auto model = wait(m_desk.control->promoteCheckpoint(
            pair, [&](const std::string& text) { heard.append(QByteArray::fromStdString(text)); }));
        REQUIRE(model);
        QVERIFY(heard.size() >= 2 && heard[0].startsWith("warning ")
            && heard[1].startsWith("warning "));
    }

    void s11_refusalsOfBothSides()
    {
        QCOMPARE(codeOf(wait(m_desk.control->promoteCheckpoint(promotion("Bad")))), "usage"_ba);
        for (const auto* row : { &m_delta, &m_state }) {
            auto parameters = promotion("never");
            parameters.name = row->name;
            QCOMPARE(codeOf(wait(m_desk.control->promoteCheckpoint(parameters))), "refused"_ba);
        }
        auto unknown = promotion("never");
        unknown.name = m_job + "/checkpoints/no-such-00000000";
        QCOMPARE(codeOf(wait(m_desk.control->promoteCheckpoint(unknown))), "not_found"_ba);
        auto wrongBase = promotion("never");
        wrongBase.baseModel = "accounts/fireworks/models/other";
        QVERIFY(!wait(m_desk.control->promoteCheckpoint(wrongBase)));
        QCOMPARE(codeOf(wait(m_desk.control->getModel("never"))), "not_found"_ba);
    }

    void s13_newestFirst()
    {
        const auto rows = wait(m_desk.control->listCheckpoints("control"));
        REQUIRE(rows);
        QCOMPARE(rows->size(), std::size_t { 3 });
        for (std::size_t i = 1; i < rows->size(); ++i)
            QVERIFY((*rows)[i - 1].created >= (*rows)[i].created);
        QCOMPARE(rows->back().name, m_base.name);
    }

    void s6_extendAndForEver()
    {
        for (const auto* row : { &m_base, &m_state }) {
            REQUIRE(wait(m_desk.control->extendCheckpoint(*row, std::int64_t { 7200 })));
            const auto now = m_desk.row(m_job, std::string(lastSegment(row->name)));
            QVERIFY(now.expires.has_value());
            const auto left = *now.expires - SystemClock().now();
            QVERIFY(left > 7100s && left <= 7200s);
            REQUIRE(wait(m_desk.control->extendCheckpoint(*row, std::nullopt)));
            QVERIFY(!m_desk.row(m_job, std::string(lastSegment(row->name))).expires);
        }
        QVERIFY(!wait(m_desk.control->extendCheckpoint(m_base, std::int64_t { 5 })));
    }

    void s15_deploymentManager()
    {
        auto& deployments = *m_desk.deployments;
        CreateDeployment create;
        create.deploymentId = "eval";
        create.baseModel = m_desk.ready.baseModel;
        create.minReplicaCount = 2;
        create.maxReplicaCount = 2;
        create.hotLoadTrainerJob = m_job;
        REQUIRE(wait(deployments.createOrGet(create)));
        REQUIRE(wait(deployments.createOrGet(create))); // the same one
        REQUIRE(wait(deployments.waitForReady("eval", 20s)));
        const auto warm = wait(deployments.warmUp("eval"));
        QVERIFY(warm && *warm);
        const auto load = [&](const Checkpoint& row, const std::string& parent,
                              ResetPromptCache reset) {
            HotloadParameters parameters;
            parameters.deployment = "eval";
            parameters.baseModel = m_desk.ready.baseModel;
            parameters.request.identity = lastSegment(row.name);
            parameters.request.resetPromptCache = std::move(reset);
            if (!parent.empty()) {
                parameters.request.incremental = IncrementalSnapshot {};
                parameters.request.incremental->previousIdentity = parent;
            }
            return wait(deployments.hotloadAndWait(parameters, 30s));
        };
        const std::string base(lastSegment(m_base.name));
        const std::string delta(lastSegment(m_delta.name));
        for (const ResetPromptCache& policy : { ResetPromptCache(true), ResetPromptCache(false),
                 ResetPromptCache(std::string("all")), ResetPromptCache(std::string("new_session")),
                 ResetPromptCache(std::string("none")) }) {
            const auto replicas = load(m_base, {}, policy);
            REQUIRE(replicas);
            QCOMPARE(replicas->size(), std::size_t { 2 });
        }
        QVERIFY(!load(m_base, {}, std::string("sometimes")));
        const auto replicas = load(m_delta, base, true);
        REQUIRE(replicas);
        for (const auto& replica : *replicas)
            QVERIFY(servesSnapshot(replica, delta));
        REQUIRE(wait(deployments.scale("eval", 3)));
        REQUIRE(wait(deployments.waitForReady("eval", 20s)));
        QTRY_VERIFY_WITH_TIMEOUT(
            [&] {
                const auto now = wait(deployments.hotloadStatus("eval", m_desk.ready.baseModel));
                return now && hotloadProgress(*now, delta).isDone && now->size() == 3;
            }(),
            20000);
        DeploymentPatch name;
        name.displayName = "Evaluation";
        const auto renamed = wait(deployments.patch("eval", name));
        REQUIRE(renamed);
        QCOMPARE(renamed->displayName, std::string("Evaluation"));
    }

    void s15_reattachInBothForms()
    {
        QVERIFY(!m_desk.job("other").empty());
        auto& deployments = *m_desk.deployments;
        const auto moved = wait(deployments.reattach(
            "eval", m_desk.jobName("other"), TransitionType::Async, SettledBy::Deployment, 30s));
        REQUIRE(moved);
        QCOMPARE(moved->hotLoadTrainerJob, m_desk.jobName("other"));
        const auto back = wait(deployments.reattach(
            "eval", m_job, TransitionType::Unchanged, SettledBy::Replicas, 30s));
        REQUIRE(back);
        REQUIRE(wait(deployments.waitForReady("eval", 20s)));
        const auto replicas = wait(deployments.hotloadStatus("eval", m_desk.ready.baseModel));
        REQUIRE(replicas);
        for (const auto& replica : *replicas)
            QVERIFY(replica.currentSnapshot.empty()); // the base model again
        REQUIRE(wait(deployments.scale("eval", 0)));
        REQUIRE(wait(deployments.remove("eval")));
    }

    void s25_jobsThroughTheirStates()
    {
        auto& jobs = *m_desk.jobs;
        CreateJob create;
        create.baseModel = m_desk.ready.baseModel;
        create.loraRank = 4;
        const auto made = wait(jobs.createAndWait(create));
        REQUIRE(made);
        QVERIFY(made->baseUrl.find("/training/v1/rlorTrainerJobs/") != std::string::npos);
        REQUIRE(wait(jobs.cancel(made->jobId)));
        const auto canceled = wait(jobs.tryGet(made->jobId));
        QVERIFY(canceled && *canceled && (*canceled)->state == JobState::Cancelled);
        const auto again = wait(jobs.reconnectAndWait(made->jobId));
        REQUIRE(again);
        QCOMPARE(again->baseUrl, made->baseUrl);
        REQUIRE(wait(jobs.reconnectAndWait(made->jobId))); // it runs
        REQUIRE(wait(jobs.cancel(made->jobId)));
        REQUIRE(wait(jobs.resumeAndWait(made->jobId)));
        REQUIRE(wait(jobs.remove(made->jobId)));
        QCOMPARE(codeOf(wait(jobs.waitForExisting(made->jobId))), "not_found"_ba);
        QVERIFY(!wait(jobs.cancel(made->jobId)));
        create.jobId = made->jobId;
        const auto archived = wait(m_desk.control->createJob(create));
        QCOMPARE(codeOf(archived), "conflict"_ba);
        QVERIFY(
            archived.error().message.find("archived and cannot be recreated") != std::string::npos);
    }

    void s25_trainingShapesAreResolved()
    {
        const auto none = wait(m_desk.jobs->resolveTrainingProfile(
            "accounts/" + m_desk.ready.account + "/trainingShapes/no-such-shape"));
        QVERIFY(!none);
        const auto shape = "accounts/" + m_desk.ready.account + "/trainingShapes/"
            + std::string(lastSegment(m_desk.ready.baseModel));
        const auto profile = wait(m_desk.jobs->resolveTrainingProfile(shape));
        REQUIRE(profile);
        QCOMPARE(profile->trainingShape(), shape);
        const auto pinned =
            wait(m_desk.jobs->resolveTrainingProfile(profile->trainingShapeVersion));
        QVERIFY(pinned && *pinned == *profile);
    }

    void modelsAreExported()
    {
        const auto folder = m_desk.folder.filePath(u"export"_s);
        const auto done =
            wait(exportModelFiles(*m_desk.control, "by-name", folder, {}, m_desk.http.get()));
        REQUIRE(done);
        QVERIFY(QFileInfo::exists(folder + u"/model.safetensors"_s));
        QVERIFY(done->bytes > 1000);
        const auto again =
            wait(exportModelFiles(*m_desk.control, "by-name", folder, {}, m_desk.http.get()));
        QCOMPARE(codeOf(again), "conflict"_ba);
    }

    void s10_theJobIsGone_itsRowsArePromoted()
    {
        REQUIRE(wait(m_desk.jobs->remove("control")));
        const auto model = wait(m_desk.control->promoteCheckpoint(promotion("after-the-end")));
        REQUIRE(model);
        QCOMPARE(model->state, std::string("READY"));
        REQUIRE(wait(m_desk.control->deleteCheckpoint(m_state)));
        QVERIFY(m_desk.row(m_job, "state-2").name.empty());
    }
};

QTEST_GUILESS_MAIN(ControlAgainstLocalTest)
#include "tst_control_against_local.moc"
