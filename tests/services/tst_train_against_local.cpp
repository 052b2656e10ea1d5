// SPDX-License-Identifier: GPL-3.0-or-later
// Whole training runs of `train` recipes against the real embedded backend.
#include "services/core/resource_name.h"
#include "services/train/train_loop.h"
#include "tests/services/local_desk.h"

#include <QEventLoop>
#include <QFile>
#include <QFileInfo>
#include <QTest>
#include <QTimer>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

class TrainAgainstLocalTest final : public QObject
{
    Q_OBJECT

private:
    LocalDesk m_desk;
    SystemClock m_clock;
    std::unique_ptr<SnapshotChains> m_chains;
    std::string m_job; // of the last run
    QByteArray m_log;

    QString runFolder(const char* name) const
    {
        return m_desk.folder.filePath(QString::fromLatin1(name));
    }
    static QByteArray contentOf(const QString& path)
    {
        QFile file(path);
        return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
    }
    /// Runs a recipe to its end; the error in words, or "ok".
    std::string train(const char* name, const QByteArray& recipe, const QByteArray& data)
    {
        auto read = decodeRecipe(recipe.toStdString());
        if (!read)
            return messageOf(read);
        TrainSpec spec;
        spec.recipe = *std::move(read);
        spec.baseModel = m_desk.ready.baseModel;
        spec.runName = name;
        spec.connection = "local";
        const ByteVocabulary vocabulary { 259, 257 };
        auto examples = data.startsWith('{')
            ? TrainingData::fromJsonLines(data.toStdString(), spec.recipe.maxSeqLen, vocabulary)
            : TrainingData::fromText(data.toStdString(), spec.recipe.maxSeqLen, vocabulary);
        if (!examples)
            return messageOf(examples);
        spec.data = *std::move(examples);
        RunFolder folder;
        if (const auto opened = folder.open(runFolder(name).toStdString(), false); !opened)
            return messageOf(opened);
        TrainLoop loop({ *m_desk.http, *m_desk.control, *m_desk.jobs, *m_desk.deployments, m_clock,
                           m_chains.get() },
            folder, std::move(spec));
        std::optional<Status> result;
        QEventLoop events; // QTest::qWaitFor sleeps between events, which a training feels
        connect(&loop, &TrainLoop::ended, this, [&](const Status& status) {
            result = status;
            events.quit();
        });
        QTimer::singleShot(kLocalPatienceMs, &events, &QEventLoop::quit);
        loop.start();
        if (!result)
            events.exec();
        if (!result)
            return "it did not end";
        m_job = loop.status().job;
        m_log = contentOf(runFolder(name) + u"/trainer.log"_s);
        return messageOf(*result);
    }
    std::vector<Checkpoint> rows()
    {
        const auto read = await(m_desk.control->listCheckpoints(m_job), kLocalPatienceMs);
        return read ? *read : std::vector<Checkpoint> {};
    }
    /// train/loss of the first and of the last step in the ledger.
    std::pair<double, double> losses(const char* name) const
    {
        const auto lines = contentOf(runFolder(name) + u"/metrics.jsonl"_s).split('\n');
        const auto lossIn = [](const QByteArray& line) {
            const auto at = line.indexOf("\"train/loss\":");
            const auto rest = line.mid(at + 13);
            return at < 0 ? 0.0 : rest.left(rest.indexOf(',')).toDouble();
        };
        QList<double> all;
        for (const auto& line : lines) {
            if (line.contains("train/loss"))
                all.append(lossIn(line));
        }
        return all.isEmpty() ? std::pair(0.0, 0.0) : std::pair(all.first(), all.last());
    }

private Q_SLOTS:
    void initTestCase()
    {
        if (!QFileInfo::exists(QStringLiteral(DESK_BIN_DIR "/trainerdesk-local")))
            QSKIP("trainerdesk-local was not built");
        QCOMPARE(m_desk.start(), QString());
        m_chains = std::make_unique<SnapshotChains>(runFolder("chains"));
    }
    void cleanupTestCase() { m_desk.stop(); }

    void adapterRunTrainsSavesAndServes()
    {
        CreateDeployment create;
        create.deploymentId = "lora";
        create.baseModel = m_desk.ready.baseModel;
        create.minReplicaCount = create.maxReplicaCount = 1;
        REQUIRE(await(m_desk.deployments->createOrGet(create), kLocalPatienceMs));
        const auto ended = train("lora-run",
            R"({"lora_rank":8,"lora_alpha":16,"max_steps":12,"batch_size":2,"max_seq_len":32,)"
            R"("learning_rate":0.01,"warmup_steps":1,"seed":3,"sampler_save_every":5,)"
            R"("state_save_every":5,"deployment":"accounts/local/deployments/lora"})",
            "Once upon a time there was a small desk that showed the truth, and it was good.");
        QCOMPARE(ended, std::string("ok"));
        const auto [first, last] = losses("lora-run");
        QVERIFY2(last < first, qPrintable(u"%1, %2"_s.arg(first).arg(last)));
        QVERIFY(m_log.contains("Started fresh from the base model"));
        int adapters = 0;
        for (const auto& row : rows()) {
            if (row.type == CheckpointType::InferenceLora) {
                ++adapters;
                QVERIFY(row.isPromotable);
            } else {
                QVERIFY(row.type == CheckpointType::TrainingLora);
            }
        }
        QVERIFY2(adapters >= 2, m_log.constData()); // the syncs and the final one
        const auto ledger = contentOf(runFolder("lora-run") + u"/checkpoints.jsonl"_s);
        QVERIFY(ledger.contains(R"("kind":"lora")"));
        CompletionRequest request;
        request.prompt = "Once";
        request.maxTokens = 2;
        const auto answer = await(m_desk.deployments->complete("lora", request), kLocalPatienceMs);
        REQUIRE(answer);
        QVERIFY2(servedSnapshot(answer->model).starts_with("step-001"), m_log.constData());
    }

    void mergedSavesOfAnAdapterRun()
    {
        const auto ended = train("merged-run",
            R"({"lora_rank":4,"max_steps":3,"batch_size":1,"max_seq_len":16,)"
            R"("sampler_save_every":2,"checkpoint_type":"merged_base"})",
            "Once upon a time there was a small desk.");
        QCOMPARE(ended, std::string("ok"));
        int merged = 0;
        for (const auto& row : rows())
            merged += row.type == CheckpointType::InferenceBase ? 1 : 0;
        QCOMPARE(merged, 1);
        QVERIFY(contentOf(runFolder("merged-run") + u"/checkpoints.jsonl"_s)
                    .contains(R"("kind":"merged")"));
    }

    void fullRunKeepsTheChainOfItsDeployment()
    {
        CreateDeployment create;
        create.deploymentId = "full";
        create.baseModel = m_desk.ready.baseModel;
        create.minReplicaCount = create.maxReplicaCount = 1;
        REQUIRE(await(m_desk.deployments->createOrGet(create), kLocalPatienceMs));
        const auto ended = train("full-run",
            R"({"max_steps":6,"batch_size":1,"max_seq_len":16,"sampler_save_every":2,)"
            R"("ttl_seconds":3600,"deployment":"accounts/local/deployments/full"})",
            "Once upon a time there was a small desk.");
        QCOMPARE(ended, std::string("ok"));
        const auto chain = m_chains->read("local accounts/local/deployments/full");
        REQUIRE(chain);
        QCOMPARE(chain->job, m_job);
        QVERIFY2(!chain->lastLoaded.empty(), m_log.constData());
        for (const auto& row : rows())
            QVERIFY2(row.expires.has_value(), row.name.c_str());
    }

    void runStartsFromAStateOfAnotherJob()
    {
        QCOMPARE(train("source-run", R"({"max_steps":4,"batch_size":1,"max_seq_len":16})",
                     "Once upon a time there was a small desk."),
            std::string("ok"));
        const auto source = std::string(lastSegment(m_job));
        const QByteArray recipe = R"({"max_steps":2,"batch_size":1,"max_seq_len":16,)"
                                  R"("init_from_checkpoint":"JOB:final"})";
        const auto ended =
            train("from-run", QByteArray(recipe).replace("JOB", QByteArray::fromStdString(source)),
                "Once upon a time there was a small desk.");
        QCOMPARE(ended, std::string("ok"));
        QVERIFY2(m_log.contains("Weights and optimizer of final of the job"), m_log.constData());
        QVERIFY(losses("from-run").first < losses("source-run").first);
        const auto missing =
            train("missing-run", QByteArray(recipe).replace("JOB", "no-such-job"), "Once upon");
        QVERIFY2(missing.find("no-such-job") != std::string::npos, missing.c_str());
        QVERIFY(!QFileInfo::exists(runFolder("missing-run") + u"/metrics.jsonl"_s));
    }

    void policyLossRaisesWhatItIsToldIsGood_data()
    {
        QTest::addColumn<QByteArray>("loss");
        QTest::addColumn<QByteArray>("config");
        QTest::newRow("importance sampling") << "importance_sampling"_ba
                                             << "{}"_ba;
        QTest::newRow("ppo") << "ppo"_ba
                             << R"({"clip_low_threshold":0.8,"clip_high_threshold":1.2})"_ba;
        QTest::newRow("cispo") << "cispo"_ba
                               << R"({"clip_high_threshold":4})"_ba;
    }
    void policyLossRaisesWhatItIsToldIsGood()
    {
        QFETCH(QByteArray, loss);
        QFETCH(QByteArray, config);
        const QByteArray name = "policy-" + loss;
        QByteArray recipe = R"({"max_steps":6,"batch_size":2,"max_seq_len":24,"eval_every":6,)"
                            R"("learning_rate":0.003,"schedule":"constant","loss_fn":"LOSS",)"
                            R"("loss_config":CONFIG})";
        recipe.replace("LOSS", loss).replace("CONFIG", config);
        const auto ended = train(name.constData(), recipe,
            "{\"prompt\":\"good: \",\"completion\":\"yes yes yes\",\"advantage\":1}\n"
            "{\"prompt\":\"bad: \",\"completion\":\"no no no\",\"advantage\":-0.1}\n");
        QCOMPARE(ended, std::string("ok"));
        // Ratios of 1 and mean advantages: the loss per token is what the batch was told.
        const auto metrics =
            contentOf(m_desk.folder.filePath(QString::fromLatin1(name)) + u"/metrics.jsonl"_s);
        QCOMPARE(metrics.count("\"train/loss\""), 6);
    }
};

QTEST_GUILESS_MAIN(TrainAgainstLocalTest)
#include "tst_train_against_local.moc"
