// SPDX-License-Identifier: GPL-3.0-or-later
// The clients against the real embedded backend: the whole main job without a window.
#include "services/codecs/ready_codec.h"
#include "services/core/resource_name.h"
#include "services/gateway/account_store.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/gateway/trainer_job_manager.h"
#include "services/secrets/key_store.h"
#include "services/sync/weight_syncer.h"
#include "services/trainer/firetitan_client.h"
#include "tests/support/await_future.h"

#include <QFile>
#include <QFileInfo>
#include <QProcess>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include <memory>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace {

constexpr int kPatienceMs = 60000;

Datum textDatum(const QByteArray& text)
{
    Datum datum;
    std::vector<std::int64_t> targets;
    for (qsizetype i = 0; i + 1 < text.size(); ++i) {
        datum.tokens.push_back(static_cast<unsigned char>(text[i]));
        targets.push_back(static_cast<unsigned char>(text[i + 1]));
    }
    datum.lossInputs["weights"] = floatTensor(std::vector<float>(targets.size(), 1.0F));
    datum.lossInputs["target_tokens"] = intTensor(std::move(targets));
    return datum;
}

template <class T>
std::string messageOf(const Result<T>& result)
{
    return result ? std::string("ok") : result.error().message;
}

} // namespace

#define REQUIRE(result)                                                                            \
    do {                                                                                           \
        auto&& required = (result);                                                                \
        QVERIFY2(required, messageOf(required).c_str());                                           \
    } while (false)

class ClientAgainstLocalTest final : public QObject
{
    Q_OBJECT

private:
    QTemporaryDir m_folder;
    QProcess m_backend;
    ReadyLine m_ready;
    QByteArray m_key;
    std::unique_ptr<HttpClient> m_http;
    std::unique_ptr<FireworksClient> m_client;
    std::unique_ptr<TrainerJobManager> m_jobs;
    std::unique_ptr<DeploymentManager> m_deployments;
    std::unique_ptr<FiretitanServiceClient> m_service;
    std::shared_ptr<FiretitanTrainingClient> m_training;
    SystemClock m_clock;
    std::string m_jobName;
    std::string m_base; // snapshot names
    std::string m_delta;

    void startBackend(const QStringList& more = {})
    {
        m_backend.setProcessChannelMode(QProcess::SeparateChannels);
        m_backend.start(QStringLiteral(DESK_BIN_DIR "/trainerdesk-local"),
            QStringList {
                u"--data"_s, m_folder.filePath(u"data"_s), u"--listen"_s, u"127.0.0.1:0"_s }
                + more);
        QTRY_VERIFY_WITH_TIMEOUT(m_backend.canReadLine(), 20000);
        const auto line = m_backend.readLine();
        const auto ready = decodeReadyLine(line.toStdString());
        REQUIRE(ready);
        m_ready = *ready;
        const auto key = readKeyFile(QString::fromStdString(m_ready.keyFile));
        REQUIRE(key);
        QVERIFY(!key->isReadableByOthers);
        m_key = key->key;
        Connection connection;
        connection.name = "local";
        connection.url = m_ready.url;
        connection.account = m_ready.account;
        m_http = std::make_unique<HttpClient>(connection, [this] { return m_key; });
        m_client = std::make_unique<FireworksClient>(*m_http);
        m_jobs = std::make_unique<TrainerJobManager>(*m_client);
        m_deployments = std::make_unique<DeploymentManager>(*m_client);
    }
    void stopBackend()
    {
        m_training.reset();
        m_service.reset();
        m_deployments.reset();
        m_jobs.reset();
        m_client.reset();
        m_http.reset();
        if (m_backend.state() == QProcess::NotRunning)
            return;
        m_backend.terminate();
        QTRY_COMPARE_WITH_TIMEOUT(m_backend.state(), QProcess::NotRunning, 10000);
        QCOMPARE(m_backend.exitCode(), 0);
    }
    double step(double learningRate,
        const QByteArray& text = "Once upon a time there was a small desk that showed the truth.")
    {
        const auto loss = await(
            m_training->forwardBackward({ textDatum(text), textDatum(text) }, "cross_entropy"),
            kPatienceMs);
        AdamParams adam;
        adam.learningRate = learningRate;
        const auto applied =
            await(m_training->optimStep(adam, GradAccNormalization::NumLossTokens), kPatienceMs);
        if (!loss || !applied) {
            qWarning("%s; %s", messageOf(loss).c_str(), messageOf(applied).c_str());
            return -1;
        }
        return loss->metrics.at("loss:sum");
    }
    Checkpoint checkpointOf(const std::string& id)
    {
        const auto rows = await(m_client->listCheckpoints(m_jobName), kPatienceMs);
        if (!rows)
            return {};
        for (const auto& row : *rows) {
            if (lastSegment(row.name) == id)
                return row;
        }
        return {};
    }
    std::string completed(std::string* model = nullptr)
    {
        CompletionRequest request;
        request.prompt = "Once upon a";
        request.maxTokens = 24;
        request.temperature = 0;
        const auto completion = await(m_deployments->complete("desk", request), kPatienceMs);
        if (!completion)
            return messageOf(completion);
        if (model != nullptr)
            *model = completion->model;
        return completion->choices.front().text;
    }

private Q_SLOTS:
    void initTestCase()
    {
        if (!QFileInfo::exists(QStringLiteral(DESK_BIN_DIR "/trainerdesk-local")))
            QSKIP("trainerdesk-local was not built");
        QVERIFY(m_folder.isValid());
        startBackend();
    }
    void cleanupTestCase() { stopBackend(); }

    void keyIsAsked()
    {
        m_key += "x";
        QCOMPARE(codeOf(await(m_client->listJobs())), "auth"_ba);
        m_key.chop(1);
        const auto jobs = await(m_client->listJobs());
        REQUIRE(jobs);
        QVERIFY(jobs->empty());
    }

    void accountIsTheOnlyOne()
    {
        auto connection = m_http->connection();
        connection.account.clear();
        HttpClient http(connection, [this] { return m_key; });
        FireworksClient client(http);
        const auto account = await(client.account());
        REQUIRE(account);
        QCOMPARE(*account, m_ready.account);
    }

    void jobComesUp()
    {
        CreateJob create;
        create.displayName = "client test";
        create.baseModel = m_ready.baseModel;
        create.jobId = "client-test";
        const auto endpoint = await(m_jobs->createAndWait(create), kPatienceMs);
        REQUIRE(endpoint);
        m_jobName = endpoint->jobName;
        QCOMPARE(endpoint->jobId, std::string("client-test"));
        const auto again = await(m_jobs->createAndWait(create), kPatienceMs); // the same job
        REQUIRE(again);
        QCOMPARE(again->jobName, m_jobName);
        const auto job = await(m_client->getJob("client-test"));
        REQUIRE(job);
        QCOMPARE(job->baseModel, m_ready.baseModel);
        QCOMPARE(job->displayName, std::string("client test"));
        QVERIFY(job->created.has_value());
        m_service = std::make_unique<FiretitanServiceClient>(*m_http, endpoint->baseUrl);
        const auto capabilities = await(m_service->serverCapabilities());
        REQUIRE(capabilities);
        QVERIFY(!capabilities->empty());
        const auto training =
            await(m_service->createTrainingClient(m_ready.baseModel), kPatienceMs);
        REQUIRE(training);
        m_training = *training;
        const auto info = await(m_training->info());
        REQUIRE(info);
        QVERIFY(!info->isLora);
    }

    void lossFalls()
    {
        QVERIFY(m_training);
        const double first = step(1e-3);
        double last = first;
        for (int i = 0; i < 4; ++i)
            last = step(1e-3);
        QVERIFY(first > 0);
        QVERIFY2(last > 0 && last < first, qPrintable(u"%1 → %2"_s.arg(first).arg(last)));
        const auto forward = await(m_training->forward({ textDatum("ab") }, "cross_entropy"));
        REQUIRE(forward);
        QCOMPARE(forward->outputs.size(), std::size_t { 1 });
        QCOMPARE(forward->outputs[0].at("logprobs").floats.size(), std::size_t { 1 });
        const auto wrong = await(m_training->forward({ textDatum("ab") }, "no_such_loss"));
        QCOMPARE(codeOf(wrong), "refused"_ba);
    }

    void stateIsSavedAndRestored()
    {
        QVERIFY(m_training);
        const auto path = await(m_training->saveState("state-1", 3600), kPatienceMs);
        REQUIRE(path);
        const auto names = await(m_training->listCheckpoints());
        REQUIRE(names);
        QCOMPARE(*names, std::vector<std::string> { "state-1" });
        const double before = step(1e-3);
        REQUIRE(await(m_training->loadStateWithOptimizer("state-1"), kPatienceMs));
        const double again = step(1e-3);
        QCOMPARE(again, before); // the very same weights and moments
        const auto source =
            FiretitanTrainingClient::resolveCheckpointPath("state-1", "client-test");
        REQUIRE(source);
        REQUIRE(await(m_training->loadState(*source), kPatienceMs));
        QCOMPARE(step(1e-3), before);
        QVERIFY(!await(m_training->loadState("no-such-state"), kPatienceMs));
        const auto row = checkpointOf("state-1");
        QVERIFY(row.type == CheckpointType::Training);
        QVERIFY(!row.isPromotable);
        QVERIFY(row.expires.has_value());
    }

    void baseThenDelta()
    {
        QVERIFY(m_training);
        const auto early =
            await(m_training->saveWeightsForSamplerExt("early", "delta"), kPatienceMs);
        QCOMPARE(codeOf(early), "refused"_ba); // nothing to stand on
        const auto base = await(m_training->saveWeightsForSamplerExt("step-0001"), kPatienceMs);
        REQUIRE(base);
        m_base = base->snapshotName;
        QCOMPARE(m_base, "step-0001-" + m_training->nameSuffix());
        const auto row = checkpointOf(m_base);
        QVERIFY(row.type == CheckpointType::InferenceBase);
        QVERIFY(row.isPromotable);
        QVERIFY(row.sizeBytes.value_or(0) > 1000000);
        QVERIFY(QFileInfo(QString::fromStdString(row.path)).isDir());
    }

    void promotion()
    {
        const auto row = checkpointOf(m_base);
        PromoteParameters parameters { row.name, "client-model", m_ready.baseModel };
        QByteArrayList heard;
        const auto model = await(
            m_client->promoteCheckpoint(parameters,
                [&](const std::string& text) { heard.append(QByteArray::fromStdString(text)); }),
            kPatienceMs);
        REQUIRE(model);
        QVERIFY(
            !heard.isEmpty() && heard.first().startsWith("accepted accounts/local/operations/"));
        QCOMPARE(model->name, std::string("accounts/local/models/client-model"));
        const auto read = await(m_client->getModel("client-model"));
        REQUIRE(read);
        QCOMPARE(read->state, std::string("READY"));
        QCOMPARE(read->promotedFrom, row.name);
        QVERIFY(QFile::exists(QString::fromStdString(read->path) + u"/config.json"_s));
        const auto models = await(m_client->listModels());
        REQUIRE(models);
        QCOMPARE(models->size(), std::size_t { 2 });
        parameters.baseModel = "accounts/local/models/other";
        parameters.outputModelId = "other-model";
        QVERIFY(!await(m_client->promoteCheckpoint(parameters), kPatienceMs));
        const auto state = checkpointOf("state-1");
        QCOMPARE(codeOf(await(m_client->promoteCheckpoint(
                     { state.name, "state-model", m_ready.baseModel }))),
            "refused"_ba);
    }

    void hotLoadsChangeWhatIsServed()
    {
        CreateDeployment create;
        create.deploymentId = "desk";
        create.baseModel = m_ready.baseModel;
        create.minReplicaCount = 2;
        create.maxReplicaCount = 2;
        create.hotLoadTrainerJob = m_jobName;
        const auto deployment = await(m_deployments->createOrGet(create), kPatienceMs);
        REQUIRE(deployment);
        QVERIFY(deployment->enablesHotLoad);
        QCOMPARE(deployment->hotLoadTrainerJob, m_jobName);
        HotloadParameters parameters;
        parameters.deployment = "desk";
        parameters.baseModel = m_ready.baseModel;
        parameters.request.identity = m_base;
        const auto loaded = await(m_deployments->hotloadAndWait(parameters, 60s), kPatienceMs);
        REQUIRE(loaded);
        QCOMPARE(loaded->size(), std::size_t { 2 });
        std::string model;
        const auto before = completed(&model);
        QCOMPARE(std::string(servedSnapshot(model)), m_base);

        for (int i = 0; i < 12; ++i)
            QVERIFY(step(1e-2, "Once upon a 4711 4711 4711 4711 4711 4711 4711") > 0);
        const auto delta =
            await(m_training->saveWeightsForSamplerExt("step-0002", "delta"), kPatienceMs);
        REQUIRE(delta);
        m_delta = delta->snapshotName;
        const auto row = checkpointOf(m_delta);
        QVERIFY(row.type == CheckpointType::InferenceArcV2);
        QVERIFY(!row.isPromotable);
        QCOMPARE(row.parent, m_base);
        QVERIFY(row.changedFraction.value_or(0) > 0);
        QVERIFY(row.baseBytes.value_or(0) > 0);
        parameters.request.identity = m_delta;
        parameters.request.incremental = IncrementalSnapshot { "step-9999-00000000" };
        QCOMPARE(codeOf(await(m_deployments->hotload(parameters))), "refused"_ba);
        parameters.request.incremental = IncrementalSnapshot { m_base };
        REQUIRE(await(m_deployments->hotloadAndWait(parameters, 60s), kPatienceMs));
        const auto after = completed(&model);
        QCOMPARE(std::string(servedSnapshot(model)), m_delta);
        QVERIFY2(before != after, (before + " | " + after).c_str());
    }

    void syncerGoesOnWithTheChain()
    {
        WeightSyncOptions options;
        options.deployment = "desk";
        options.baseModel = m_ready.baseModel;
        WeightSyncer syncer(*m_training, *m_deployments, options);
        syncer.setChain({ m_delta, 1, {} });
        QVERIFY(step(1e-3) > 0);
        const auto synced = await(syncer.saveAndHotload("step-0003"), kPatienceMs);
        REQUIRE(synced);
        QCOMPARE(synced->checkpointType, std::string("delta"));
        QCOMPARE(synced->parent, m_delta);
        QCOMPARE(syncer.chain().deltasSinceBase, 2);
    }

    void storeSeesEverything()
    {
        AccountStore store(*m_client, *m_deployments, m_clock);
        store.watchJob(QString::fromStdString(m_jobName));
        store.start();
        QTRY_COMPARE(store.deployments().size(), std::size_t { 1 });
        QTRY_COMPARE(store.deployments().front().replicas.size(), std::size_t { 2 });
        QTRY_COMPARE(store.jobs().size(), std::size_t { 1 });
        QTRY_COMPARE(store.models().size(), std::size_t { 2 });
        QTRY_COMPARE(
            store.checkpoints(QString::fromStdString(m_jobName)).size(), std::size_t { 4 });
        QVERIFY(!store.linkError());
    }

    void lostReplyIsUnknownAndTheEffectIsThere()
    {
        stopBackend();
        QFile faults(m_folder.filePath(u"faults.json"_s));
        QVERIFY(faults.open(QIODevice::WriteOnly));
        faults.write("[{\"route\":\"POST */checkpoints/*:promote\",\"nth\":1,"
                     "\"action\":\"drop-reply\"}]");
        faults.close();
        startBackend({ u"--faults"_s, faults.fileName() });
        const auto row = checkpointOf(m_base);
        QCOMPARE(std::string(lastSegment(row.name)), m_base); // kept over the restart
        const auto lost =
            await(m_client->promoteCheckpoint({ row.name, "lost-model", m_ready.baseModel }),
                kPatienceMs);
        QCOMPARE(codeOf(lost), "unknown"_ba);
        const auto isThere = [this] {
            const auto model = await(m_client->getModel("lost-model"));
            return model && model->state == "READY";
        };
        QTRY_VERIFY(isThere());
    }

    void rowsAreDeleted()
    {
        REQUIRE(await(m_deployments->remove("desk")));
        REQUIRE(await(m_client->deleteModel("lost-model")));
        REQUIRE(await(m_client->deleteJob("client-test")));
        const auto jobs = await(m_client->listJobs());
        REQUIRE(jobs);
        QVERIFY(jobs->empty());
    }
};

QTEST_GUILESS_MAIN(ClientAgainstLocalTest)
#include "tst_client_against_local.moc"
