// SPDX-License-Identifier: GPL-3.0-or-later
// Weight sync and the checkpoints of a run against the real embedded backend.
#include "services/checkpoints/training_checkpoints.h"
#include "services/core/resource_name.h"
#include "services/store/snapshot_chains.h"
#include "services/sync/weight_syncer.h"
#include "tests/services/local_desk.h"

#include <QFileInfo>
#include <QTest>

#include <cmath>
#include <map>
#include <memory>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

class SyncAgainstLocalTest final : public QObject
{
    Q_OBJECT

private:
    LocalDesk m_desk;
    SystemClock m_clock;
    std::map<std::string, std::unique_ptr<FiretitanServiceClient>> m_services;
    std::unique_ptr<SnapshotChains> m_chains;

    using Client = std::shared_ptr<FiretitanTrainingClient>;

    /// Another client of the job if there is one already: a program that was started again.
    Client client(const std::string& job, int loraRank = 0)
    {
        auto& service = m_services[job];
        const auto url = service ? service->baseUrl() : m_desk.job(job, loraRank);
        service = std::make_unique<FiretitanServiceClient>(*m_desk.http, url);
        const auto made = await(
            service->createTrainingClient(m_desk.ready.baseModel, loraRank), kLocalPatienceMs);
        if (!made)
            qWarning("%s", messageOf(made).c_str());
        return made ? *made : nullptr;
    }
    bool deploy(const std::string& id, const std::string& job, int replicas)
    {
        CreateDeployment create;
        create.deploymentId = id;
        create.baseModel = m_desk.ready.baseModel;
        create.minReplicaCount = replicas;
        create.maxReplicaCount = replicas;
        create.hotLoadTrainerJob = m_desk.jobName(job);
        const auto made = await(m_desk.deployments->createOrGet(create), kLocalPatienceMs);
        if (!made)
            qWarning("%s", messageOf(made).c_str());
        return made.has_value();
    }
    WeightSyncOptions options(const std::string& deployment, const std::string& job) const
    {
        WeightSyncOptions made;
        made.deployment = deployment;
        made.baseModel = m_desk.ready.baseModel;
        made.hotloadTimeout = 60s;
        made.job = m_desk.jobName(job);
        made.chains = m_chains.get();
        made.connection = "local";
        return made;
    }
    static bool step(const Client& training, double learningRate = 1e-2)
    {
        AdamParams params;
        params.learningRate = learningRate;
        auto pass = training->forwardBackward({ textDatum("Once upon a 4711 4711 4711 4711") });
        const auto applied = await(
            training->optimStep(params, GradAccNormalization::NumLossTokens), kLocalPatienceMs);
        return applied && await(pass, kLocalPatienceMs);
    }
    static double loss(const Client& training)
    {
        const auto pass =
            await(training->forward({ textDatum("Once upon a 4711 4711") }), kLocalPatienceMs);
        return pass ? pass->metrics.at("loss:sum") : -1;
    }
    /// Snapshot that answers a completion.
    std::string served(const std::string& deployment)
    {
        CompletionRequest request;
        request.prompt = "Once";
        request.maxTokens = 2;
        const auto answer =
            await(m_desk.deployments->complete(deployment, request), kLocalPatienceMs);
        return answer ? std::string(servedSnapshot(answer->model)) : messageOf(answer);
    }
    TrainingCheckpointsOptions checkpointOptions(const std::string& job) const
    {
        TrainingCheckpointsOptions made;
        made.job = job;
        made.stabilize = 0ms;
        made.poll = 20ms;
        return made;
    }

private Q_SLOTS:
    void initTestCase()
    {
        if (!QFileInfo::exists(QStringLiteral(DESK_BIN_DIR "/trainerdesk-local")))
            QSKIP("trainerdesk-local was not built");
        QCOMPARE(m_desk.start(), QString());
        m_chains = std::make_unique<SnapshotChains>(m_desk.folder.filePath(u"chains"_s));
    }
    void cleanupTestCase()
    {
        m_services.clear();
        m_desk.stop();
    }

    void s14_baseThenDeltasOverARestart()
    {
        auto training = client("sync");
        QVERIFY(training);
        QVERIFY(deploy("two", "sync", 2));
        std::string last;
        {
            WeightSyncer syncer(*training, *m_desk.deployments, options("two", "sync"));
            const auto base = await(syncer.saveAndHotload("step-00000"), kLocalPatienceMs);
            REQUIRE(base);
            QCOMPARE(base->checkpointType, std::string("base"));
            QCOMPARE(base->replicas.size(), std::size_t { 2 });
            QVERIFY(step(training));
            const auto delta = await(syncer.saveAndHotload("step-00001"), kLocalPatienceMs);
            REQUIRE(delta);
            QCOMPARE(delta->checkpointType, std::string("delta"));
            QCOMPARE(delta->parent, base->snapshotName);
            last = delta->snapshotName;
            QCOMPARE(served("two"), last);
        }
        // The program starts again: a new session goes on with the chain that was kept.
        REQUIRE(await(training->saveState("resume"), kLocalPatienceMs));
        training = client("sync");
        REQUIRE(await(training->loadStateWithOptimizer("resume"), kLocalPatienceMs));
        QVERIFY(step(training));
        WeightSyncer syncer(*training, *m_desk.deployments, options("two", "sync"));
        QCOMPARE(syncer.chain().lastLoaded, last);
        const auto delta = await(syncer.saveAndHotload("step-00002"), kLocalPatienceMs);
        REQUIRE(delta);
        QCOMPARE(delta->checkpointType, std::string("delta"));
        QCOMPARE(delta->parent, last);
        QVERIFY(delta->warnings.empty());
        QCOMPARE(served("two"), delta->snapshotName);
        QCOMPARE(*await(syncer.deployedSnapshot()), delta->snapshotName);
        // A save by hand in between moves the parent of the trainer's deltas.
        REQUIRE(await(training->saveWeightsForSamplerExt("by-hand", "base"), kLocalPatienceMs));
        QVERIFY(step(training));
        const auto full = await(syncer.saveAndHotload("step-00003"), kLocalPatienceMs);
        REQUIRE(full);
        QCOMPARE(full->checkpointType, std::string("base"));
        QCOMPARE(full->warnings.size(), std::size_t { 1 });
        syncer.reset();
        QVERIFY(m_chains->read("local two")->lastLoaded.empty());
    }

    void s14_saveOfAnotherSessionDoesNotBreakTheChain()
    {
        const auto training = client("refused");
        QVERIFY(deploy("one", "refused", 1));
        WeightSyncer syncer(*training, *m_desk.deployments, options("one", "refused"));
        const auto base = await(syncer.saveAndHotload("s0"), kLocalPatienceMs);
        REQUIRE(base);
        // Another session saves, and this one does not know: whatever the trainer's delta stands
        // on, the replicas end on the new weights.
        const auto other = client("refused");
        REQUIRE(await(other->saveWeightsForSamplerExt("other", "base"), kLocalPatienceMs));
        QVERIFY(step(training));
        const auto synced = await(syncer.saveAndHotload("s1"), kLocalPatienceMs);
        REQUIRE(synced);
        if (synced->checkpointType == "delta")
            QCOMPARE(synced->parent, base->snapshotName);
        else
            QCOMPARE(synced->warnings.size(), std::size_t { 1 });
        QCOMPARE(served("one"), synced->snapshotName);
    }

    void s14_adaptersAreLoadedWhole()
    {
        const auto training = client("adapter", 8);
        QVERIFY(training);
        QVERIFY(deploy("lora", "adapter", 1));
        WeightSyncer syncer(*training, *m_desk.deployments, options("lora", "adapter"));
        for (const char* name : { "s1", "s2" }) {
            QVERIFY(step(training));
            const auto synced = await(syncer.saveAndHotload(name), kLocalPatienceMs);
            REQUIRE(synced);
            QVERIFY(synced->parent.empty());
            QCOMPARE(served("lora"), synced->snapshotName);
        }
        const auto merged = await(syncer.saveAndHotload("m", "merged_base"), kLocalPatienceMs);
        REQUIRE(merged);
        QVERIFY(merged->parent.empty());
        QCOMPARE(served("lora"), merged->snapshotName);
    }

    void s26_saveIsBaseAndBothRowsShow()
    {
        const auto training = client("run");
        QVERIFY(step(training));
        TrainingCheckpoints checkpoints(
            *training, *m_desk.control, m_clock, checkpointOptions("run"));
        const auto saved = await(checkpoints.save({ "step-1", true, true, {} }), kLocalPatienceMs);
        REQUIRE(saved);
        QCOMPARE(std::string(lastSegment(saved->resumableRow)), std::string("step-1"));
        QCOMPARE(std::string(lastSegment(saved->promotableRow)), training->qualifiedName("step-1"));
        QVERIFY(step(training));
        REQUIRE(await(training->saveWeightsForSamplerExt("step-2", "delta"), kLocalPatienceMs));
        const auto again =
            await(checkpoints.save({ "step-2b", false, true, {} }), kLocalPatienceMs);
        REQUIRE(again); // base, although a delta would be smaller
        QVERIFY(m_desk.row("run", again->snapshotName).type == CheckpointType::InferenceBase);
        const auto once = await(checkpoints.save({ "step-2b", false, true, {} }), kLocalPatienceMs);
        REQUIRE(once);
        QVERIFY(once->hasReusedSnapshot);
    }

    void s26_promoteLatestWarnsOfUntrainedWeights()
    {
        const auto training = client("untrained");
        REQUIRE(await(training->saveWeightsForSamplerExt("step-0", "base"), kLocalPatienceMs));
        QVERIFY(step(training));
        auto made = checkpointOptions("untrained");
        made.lastTrainedStep = 1;
        TrainingCheckpoints checkpoints(*training, *m_desk.control, m_clock, made);
        const auto choice = await(checkpoints.latestPromotable(), kLocalPatienceMs);
        REQUIRE(choice);
        QVERIFY(choice->warnings[0].find("untrained") != std::string::npos);
        QCOMPARE(
            codeOf(await(checkpoints.promoteLatest("untrained-model", m_desk.ready.baseModel, true),
                kLocalPatienceMs)),
            "refused"_ba);
        REQUIRE(await(training->saveWeightsForSamplerExt("step-1", "base"), kLocalPatienceMs));
        const auto promoted =
            await(checkpoints.promoteLatest("trained-model", m_desk.ready.baseModel, true),
                kLocalPatienceMs);
        REQUIRE(promoted);
        QVERIFY(promoted->choice.warnings.empty());
        QCOMPARE(promoted->model.state, std::string("READY"));
    }

    void s26_resumeSaysWhereItBegins()
    {
        auto training = client("resumed");
        const auto resume = [&](const ResumeRequest& request) {
            TrainingCheckpoints checkpoints(
                *training, *m_desk.control, m_clock, checkpointOptions("resumed"));
            return await(checkpoints.resume(request), kLocalPatienceMs);
        };
        const auto fresh = resume({});
        REQUIRE(fresh);
        QVERIFY(fresh->source == ResumeOutcome::Source::Fresh);
        QVERIFY(fresh->statement.find("has no checkpoint") != std::string::npos);
        QVERIFY(step(training));
        REQUIRE(await(training->saveState("step-3"), kLocalPatienceMs));
        const double then = loss(training);
        QVERIFY(step(training));
        REQUIRE(await(training->saveState("step-4"), kLocalPatienceMs));
        const double last = loss(training);
        training = client("resumed");
        QVERIFY(loss(training) != last);
        const auto newest = resume({});
        REQUIRE(newest);
        QVERIFY(newest->source == ResumeOutcome::Source::NewestRow);
        QCOMPARE(loss(training), last);
        const auto named = resume({ "resumed:step-3", {}, true });
        REQUIRE(named);
        QCOMPARE(named->step, 3);
        QCOMPARE(loss(training), then);
        training = client("elsewhere");
        TrainingCheckpoints other(
            *training, *m_desk.control, m_clock, checkpointOptions("elsewhere"));
        const auto cross = await(other.resume({ "resumed:step-4", {}, true }), kLocalPatienceMs);
        REQUIRE(cross);
        QCOMPARE(cross->step, 0);
        QCOMPARE(loss(training), last);
        QCOMPARE(codeOf(await(other.resume({ "resumed:step-9", {}, true }), kLocalPatienceMs)),
            "refused"_ba);
    }

    void s26_adapterWarmStart()
    {
        const auto giver = client("giver", 8);
        QVERIFY(step(giver));
        const auto saved = await(giver->saveWeightsForSamplerExt("a"), kLocalPatienceMs);
        REQUIRE(saved);
        const auto taker = client("taker", 8);
        TrainingCheckpoints checkpoints(
            *taker, *m_desk.control, m_clock, checkpointOptions("taker"));
        const auto warm =
            await(checkpoints.resume({ {}, "cross_job://giver/" + saved->snapshotName, true }),
                kLocalPatienceMs);
        REQUIRE(warm);
        QVERIFY(warm->source == ResumeOutcome::Source::Adapter);
        QVERIFY(std::abs(loss(taker) - loss(giver)) < 1e-3);
    }
};

QTEST_GUILESS_MAIN(SyncAgainstLocalTest)
#include "tst_sync_against_local.moc"
