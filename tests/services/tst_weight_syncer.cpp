// SPDX-License-Identifier: GPL-3.0-or-later
// Weight sync onto a scripted deployment (S14, field case P021).
#include "services/store/snapshot_chains.h"
#include "services/sync/weight_syncer.h"
#include "tests/services/fake_trainer.h"

#include <QDir>
#include <QFile>
#include <QTemporaryDir>
#include <QTest>

#include <memory>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

class WeightSyncerTest final : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<FakeTrainer> m_trainer;
    std::unique_ptr<DeploymentManager> m_deployments;
    std::unique_ptr<QTemporaryDir> m_folder;
    std::unique_ptr<SnapshotChains> m_chains;

    WeightSyncOptions options() const
    {
        WeightSyncOptions made;
        made.deployment = "accounts/local/deployments/d";
        made.baseModel = "b";
        made.hotloadTimeout = 5s;
        made.job = "accounts/local/rlorTrainerJobs/j";
        made.chains = m_chains.get();
        made.connection = "local";
        return made;
    }
    static QByteArray previous(const std::string& identity)
    {
        return QByteArray::fromStdString("\"previous_snapshot_identity\":\"" + identity + "\"");
    }

private Q_SLOTS:
    void init()
    {
        m_trainer = std::make_unique<FakeTrainer>();
        m_deployments = std::make_unique<DeploymentManager>(*m_trainer->control);
        m_folder = std::make_unique<QTemporaryDir>();
        m_chains = std::make_unique<SnapshotChains>(m_folder->filePath(u"chains"_s));
    }
    void cleanup()
    {
        m_deployments.reset();
        m_trainer.reset();
    }

    void baseFirstThenDeltasOnWhatAllReplicasConfirmed()
    {
        const auto training = m_trainer->client();
        m_trainer->replicas.push_back({ "r1", "", true, "idle", "", "", {} });
        WeightSyncer syncer(*training, *m_deployments, options());
        std::vector<SnapshotChain> chains;
        syncer.onChainChanged = [&](const SnapshotChain& chain) { chains.push_back(chain); };
        auto running = syncer.saveAndHotload("s1");
        QCOMPARE(codeOf(await(syncer.saveAndHotload("other"))), "conflict"_ba);
        const auto base = await(running);
        QVERIFY(base);
        QCOMPARE(base->checkpointType, std::string("base"));
        QCOMPARE(base->replicas.size(), std::size_t { 2 });
        QVERIFY(!m_trainer->hotloads.back().contains("incremental_snapshot_metadata"));
        QCOMPARE(syncer.chain().lastLoaded, training->qualifiedName("s1"));
        const auto delta = await(syncer.saveAndHotload("s2"));
        QVERIFY(delta);
        QCOMPARE(delta->checkpointType, std::string("delta"));
        QCOMPARE(delta->parent, training->qualifiedName("s1"));
        QVERIFY(m_trainer->hotloads.back().contains(previous(delta->parent)));
        QVERIFY(m_trainer->hotloads.back().contains("\"checksum_format\":\"alder32\""));
        QCOMPARE(*await(syncer.deployedSnapshot()), training->qualifiedName("s2"));
        QCOMPARE(chains.size(), std::size_t { 2 });
        QCOMPARE(chains.back().deltasSinceBase, 1);
    }

    void chainSurvivesARestart()
    {
        auto training = m_trainer->client();
        {
            WeightSyncer syncer(*training, *m_deployments, options());
            QVERIFY(await(syncer.saveAndHotload("s1")));
        }
        const auto first = training->qualifiedName("s1");
        m_trainer->service = m_trainer->makeService(); // another session, another suffix
        training = m_trainer->client();
        WeightSyncer syncer(*training, *m_deployments, options());
        QCOMPARE(syncer.chain().lastLoaded, first);
        const auto delta = await(syncer.saveAndHotload("s2"));
        QVERIFY(delta);
        QCOMPARE(delta->parent, first);
        QVERIFY(delta->warnings.empty());
        auto other = options();
        other.job = "accounts/local/rlorTrainerJobs/another";
        WeightSyncer fresh(*training, *m_deployments, other);
        QVERIFY(fresh.chain().lastLoaded.empty()); // the chain of another trainer
    }

    void keptChainThatTheReplicasDoNotServeIsNotContinued()
    {
        auto training = m_trainer->client();
        {
            WeightSyncer syncer(*training, *m_deployments, options());
            QVERIFY(await(syncer.saveAndHotload("s1")));
        }
        m_trainer->replicas[0].currentSnapshot = "somebody-elses";
        m_trainer->service = m_trainer->makeService();
        training = m_trainer->client();
        WeightSyncer syncer(*training, *m_deployments, options());
        const auto synced = await(syncer.saveAndHotload("s2"));
        QVERIFY(synced);
        QCOMPARE(synced->checkpointType, std::string("base"));
        QCOMPARE(synced->warnings.size(), std::size_t { 1 });
        QVERIFY(synced->warnings[0].find("replica r0 serves somebody-elses") != std::string::npos);
    }

    void damagedChainIsAWarningAndABase()
    {
        const auto training = m_trainer->client();
        QVERIFY(m_chains->write("local accounts/local/deployments/d", { "x", 1, "j" }));
        QDir folder(m_folder->filePath(u"chains"_s));
        QFile file(folder.filePath(folder.entryList(QDir::Files).first()));
        QVERIFY(file.open(QIODevice::WriteOnly | QIODevice::Truncate));
        file.write("{");
        file.close();
        WeightSyncer syncer(*training, *m_deployments, options());
        const auto synced = await(syncer.saveAndHotload("s1"));
        QVERIFY(synced);
        QCOMPARE(synced->checkpointType, std::string("base"));
        QCOMPARE(synced->warnings.size(), std::size_t { 1 });
    }

    void resetStartsAgainWithBase()
    {
        const auto training = m_trainer->client();
        WeightSyncer syncer(*training, *m_deployments, options());
        QVERIFY(await(syncer.saveAndHotload("s1")));
        syncer.reset();
        QCOMPARE(await(syncer.saveAndHotload("s2"))->checkpointType, std::string("base"));
        QVERIFY(m_chains->read("local accounts/local/deployments/d")->lastLoaded.find("s2")
            == std::size_t { 0 });
    }

    void failureEndsTheChain()
    {
        const auto training = m_trainer->client();
        WeightSyncer syncer(*training, *m_deployments, options());
        QVERIFY(await(syncer.saveAndHotload("s1")));
        m_trainer->onHotload = [this](const std::string& identity) {
            m_trainer->replicas[0].stage = "error";
            m_trainer->replicas[0].targetSnapshot = identity;
        };
        QCOMPARE(codeOf(await(syncer.saveAndHotload("s2"))), "backend"_ba);
        QVERIFY(syncer.chain().lastLoaded.empty());
        QVERIFY(m_chains->read("local accounts/local/deployments/d")->lastLoaded.empty());
        m_trainer->onHotload = {};
        m_trainer->replicas[0].stage = "idle";
        QCOMPARE(await(syncer.saveAndHotload("s3"))->checkpointType, std::string("base"));
        // A save that fails before anything was loaded also ends it; one that never began does not.
        m_trainer->results["save_weights_for_sampler"] = R"({"error":"disk","category":"server"})";
        QCOMPARE(codeOf(await(syncer.saveAndHotload("s4"))), "backend"_ba);
        QVERIFY(syncer.chain().lastLoaded.empty());
    }

    void slowHotloadIsUnknownAfterItsTime()
    {
        const auto training = m_trainer->client();
        auto brief = options();
        brief.hotloadTimeout = 30ms;
        m_trainer->onHotload = [](const std::string&) {};
        WeightSyncer syncer(*training, *m_deployments, brief);
        QCOMPARE(codeOf(await(syncer.saveAndHotload("s1"))), "unknown"_ba);
        QVERIFY(syncer.chain().lastLoaded.empty());
    }

    /// Field case P021: one replica stayed on the snapshot before.
    void deltaNeedsItsParentOnEveryReplica()
    {
        const auto training = m_trainer->client();
        m_trainer->replicas.push_back({ "r2", "", true, "idle", "", "", {} });
        WeightSyncer syncer(*training, *m_deployments, options());
        QVERIFY(await(syncer.saveAndHotload("s1")));
        m_trainer->replicas[1].currentSnapshot = "step-10";
        const auto saves = m_trainer->submissions.size();
        const auto refused = await(syncer.saveAndHotload("s2", "delta"));
        QCOMPARE(codeOf(refused), "conflict"_ba);
        QVERIFY(refused.error().message.find("replica r2 serves step-10, not s1-")
            != std::string::npos);
        QCOMPARE(m_trainer->submissions.size(), saves); // nothing was saved
        QVERIFY(!syncer.chain().lastLoaded.empty()); // and the chain stands
        const auto full = await(syncer.saveAndHotload("s3"));
        QCOMPARE(full->checkpointType, std::string("base"));
    }

    void saveOfSomebodyElseInBetweenMakesAFullSnapshot()
    {
        const auto training = m_trainer->client();
        WeightSyncer syncer(*training, *m_deployments, options());
        QVERIFY(await(syncer.saveAndHotload("s1")));
        QVERIFY(await(training->saveWeightsForSamplerExt("by-hand", "base")));
        const auto synced = await(syncer.saveAndHotload("s2"));
        QCOMPARE(synced->checkpointType, std::string("base"));
        QVERIFY(
            synced->warnings[0].find("the trainer's newest save is by-hand") != std::string::npos);
    }

    void refusedDeltaIsFollowedByABase()
    {
        const auto training = m_trainer->client();
        WeightSyncer syncer(*training, *m_deployments, options());
        QVERIFY(await(syncer.saveAndHotload("s1")));
        m_trainer->hotloadAnswers.push_back(
            statusAnswer(400, R"({"detail":"the delta stands on another snapshot"})"));
        const auto synced = await(syncer.saveAndHotload("s2"));
        QVERIFY(synced);
        QCOMPARE(synced->checkpointType, std::string("base"));
        QCOMPARE(synced->snapshotName, training->qualifiedName("s2-full"));
        QVERIFY(synced->warnings[0].find("refused") != std::string::npos);
        QCOMPARE(syncer.chain().deltasSinceBase, 0);
    }

    void firstTypeDeltaStandsOnWhatIsServed()
    {
        const auto training = m_trainer->client();
        auto warm = options();
        warm.firstCheckpointType = "Delta";
        m_trainer->replicas[0].currentSnapshot = "step-9-aaaaaaaa";
        WeightSyncer syncer(*training, *m_deployments, warm);
        const auto synced = await(syncer.saveAndHotload("s1"));
        QVERIFY(synced);
        QCOMPARE(synced->checkpointType, std::string("delta"));
        QCOMPARE(synced->parent, std::string("step-9-aaaaaaaa"));
    }

    void basesComeAtTheirInterval()
    {
        const auto training = m_trainer->client();
        auto often = options();
        often.fullEvery = 1;
        WeightSyncer syncer(*training, *m_deployments, often);
        std::string types;
        for (const char* name : { "s1", "s2", "s3" })
            types += await(syncer.saveAndHotload(name))->checkpointType + " ";
        QCOMPARE(types, std::string("base delta base "));
    }

    void adaptersAndMergedBasesAreNeverDeltas()
    {
        const auto training = m_trainer->client(8);
        auto lora = options();
        lora.ttlSeconds = 60;
        WeightSyncer syncer(*training, *m_deployments, lora);
        for (const auto& [name, type] : { std::pair("s1", ""), std::pair("s2", ""),
                 std::pair("s3", "delta"), std::pair("s4", "merged_base") }) {
            const auto synced = await(syncer.saveAndHotload(name, type));
            QVERIFY2(synced, name);
            QVERIFY(!m_trainer->hotloads.back().contains("incremental_snapshot_metadata"));
            QVERIFY(synced->parent.empty());
        }
        QVERIFY(m_trainer->last().has(R"("checkpoint_type":"merged_base")"));
        QVERIFY(m_trainer->last().has(R"("ttl_seconds":60)"));
        QVERIFY(syncer.chain().lastLoaded.empty());
    }

    void unreachableDeploymentSavesNothing()
    {
        const auto training = m_trainer->client();
        WeightSyncer syncer(*training, *m_deployments, options());
        QVERIFY(await(syncer.saveAndHotload("s1")));
        const auto saves = m_trainer->submissions.size();
        const auto kept = syncer.chain();
        m_trainer->server.close();
        QCOMPARE(codeOf(await(syncer.saveAndHotload("s2"))), "unreachable"_ba);
        QCOMPARE(m_trainer->submissions.size(), saves);
        QVERIFY(syncer.chain() == kept);
    }

    void canceledSyncEndsAndFreesTheSyncer()
    {
        const auto training = m_trainer->client();
        WeightSyncer syncer(*training, *m_deployments, options());
        m_trainer->holdsPolls = true;
        auto running = syncer.saveAndHotload("s1");
        QTRY_COMPARE(m_trainer->heldPolls, 1);
        running.cancel();
        QCOMPARE(codeOf(await(running)), "cancelled"_ba);
        m_trainer->holdsPolls = false;
        QVERIFY(await(syncer.saveAndHotload("s2")));
    }
};

QTEST_GUILESS_MAIN(WeightSyncerTest)
#include "tst_weight_syncer.moc"
