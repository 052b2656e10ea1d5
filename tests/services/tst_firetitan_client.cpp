// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/trainer/firetitan_client.h"
#include "services/trainer/forward_chunks.h"
#include "services/trainer/future_poller.h"
#include "tests/support/await_future.h"
#include "tests/support/scripted_server.h"

#include <QTest>

#include <memory>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace {

constexpr const char* kApi = "/training/v1/rlorTrainerJobs/local/j/api/v1/";

Answer ok(QByteArray body)
{
    Answer answer;
    answer.body = std::move(body);
    return answer;
}

Datum datum(std::size_t length)
{
    Datum one;
    one.tokens.assign(length, 1);
    one.lossInputs["target_tokens"] = intTensor(std::vector<std::int64_t>(length, 2));
    return one;
}

} // namespace

/// A trainer that answers every submission with a future "r<n>" and its result from m_results.
class FiretitanClientTest final : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<ScriptedServer> m_server;
    std::unique_ptr<HttpClient> m_http;
    std::unique_ptr<FiretitanServiceClient> m_service;
    QHash<QByteArray, QByteArray> m_results; // by the name of the RPC
    QByteArrayList m_submitted; // names of the RPCs in order
    QByteArrayList m_bodies;
    int m_pendingPolls = 0;
    int m_heldPolls = 0;
    bool m_isHeld = false;

    Answer answerTo(const SeenRequest& request)
    {
        const auto rpc = request.path().mid(static_cast<qsizetype>(qstrlen(kApi)));
        if (rpc == "create_session")
            return ok(R"({"type":"create_session","session_id":"sess-1"})");
        if (rpc == "list_checkpoints")
            return ok(R"({"checkpoints":["step-2","step-4"]})");
        if (rpc != "retrieve_future") {
            m_submitted.append(rpc);
            m_bodies.append(request.body);
            return ok(QByteArray(R"({"request_id":"ID"})").replace("ID", rpc));
        }
        if (m_isHeld) {
            ++m_heldPolls;
            Answer silent;
            silent.kind = Answer::Kind::Silence;
            return silent;
        }
        if (m_pendingPolls-- > 0)
            return ok(R"({"type":"try_again","request_id":"r","queue_state":"active"})");
        for (auto it = m_results.cbegin(); it != m_results.cend(); ++it) {
            if (request.body.contains(QByteArray('"' + it.key() + '"')))
                return ok(it.value());
        }
        Answer gone;
        gone.status = 404;
        return gone;
    }
    std::shared_ptr<FiretitanTrainingClient> client()
    {
        auto created = await(m_service->createTrainingClient("accounts/local/models/desk-tiny"));
        return created ? *created : nullptr;
    }

private Q_SLOTS:
    void init()
    {
        m_submitted.clear();
        m_bodies.clear();
        m_pendingPolls = 0;
        m_heldPolls = 0;
        m_isHeld = false;
        m_results = { { "create_model", R"({"model_id":"sess-1:train:0","type":"create_model"})" },
            { "forward_backward",
                R"({"loss_fn_output_type":"ArrayRecord","loss_fn_outputs":[{"logprobs":{"data":[-0.5],"dtype":"float32","shape":[1]}}],"metrics":{"loss:sum":1.5}})" },
            { "optim_step", R"({"metrics":{"grad_norm":0.5}})" },
            { "save_weights", R"({"path":"m/weights/s","type":"save_weights"})" },
            { "load_weights", R"({"path":"s","type":"load_weights"})" },
            { "save_weights_for_sampler",
                R"({"path":"on-the-trainer","type":"save_weights_for_sampler"})" } };
        m_server = std::make_unique<ScriptedServer>();
        m_server->route = [this](const SeenRequest& request) { return answerTo(request); };
        Connection connection;
        connection.url = m_server->url().toStdString();
        connection.account = "local";
        m_http = std::make_unique<HttpClient>(connection, [] { return "key"_ba; });
        m_http->setRetryPolicy({ 2ms, 5ms, 0 });
        m_service = std::make_unique<FiretitanServiceClient>(
            *m_http, m_server->url().toStdString() + "/training/v1/rlorTrainerJobs/local/j/");
    }
    void cleanup()
    {
        m_service.reset();
        m_http.reset();
        m_server.reset();
    }

    void secondClientOfTheSameKindIsRefusedBeforeAnythingIsSent()
    {
        QVERIFY(client());
        QCOMPARE(m_service->sessionId(), std::string("sess-1"));
        const auto sent = m_server->seen().size();
        const auto second =
            await(m_service->createTrainingClient("accounts/local/models/desk-tiny", 0));
        QCOMPARE(codeOf(second), "usage"_ba);
        QCOMPARE(m_server->seen().size(), sent);
        QVERIFY(await(m_service->createTrainingClient("accounts/local/models/desk-tiny", 8)));
        QVERIFY(m_bodies.last().contains(R"("model_seq_id":1)"));
    }

    void failedCreationMayBeTriedAgain()
    {
        m_results["create_model"] = R"({"error":"out of memory.","category":"server"})";
        const auto failed =
            await(m_service->createTrainingClient("accounts/local/models/desk-tiny"));
        QCOMPARE(codeOf(failed), "backend"_ba);
        QCOMPARE(failed.error().message,
            std::string("Could not create the model for accounts/local/models/desk-tiny: "
                        "out of memory"));
        m_results["create_model"] = R"({"model_id":"sess-1:train:1","type":"create_model"})";
        QVERIFY(client());
    }

    void stepsAreSubmittedInOrderWithGrowingNumbers()
    {
        const auto training = client();
        QVERIFY(training);
        m_pendingPolls = 2;
        auto forward = training->forwardBackward({ datum(3) }, "cross_entropy");
        auto step = training->optimStep(AdamParams {}, GradAccNormalization::NumLossTokens);
        auto save = training->saveState("state-1", 60);
        const auto loss = await(forward);
        QVERIFY(loss);
        QCOMPARE(loss->metrics.at("loss:sum"), 1.5);
        QCOMPARE(loss->outputs.front().at("logprobs").floats.front(), -0.5F);
        const auto metrics = await(step);
        QVERIFY(metrics);
        QCOMPARE(metrics->metrics.at("grad_norm"), 0.5);
        QCOMPARE(await(save)->path, std::string("m/weights/s"));
        QCOMPARE(m_submitted.mid(1).join(' '), "forward_backward optim_step save_weights"_ba);
        QVERIFY(m_bodies.at(1).contains(R"("seq_id":1)"));
        QVERIFY(m_bodies.at(2).contains(R"("seq_id":2)"));
        QVERIFY(m_bodies.at(2).contains(R"("grad_accumulation_normalization":"num_loss_tokens")"));
        QCOMPARE(m_bodies.at(3),
            R"({"model_id":"sess-1:train:0","path":"state-1","seq_id":3,"ttl_seconds":60,"overwrite":false,"type":"save_weights"})"_ba);
    }

    void lostSubmissionIsRepeatedWithTheSameNumber()
    {
        const auto training = client();
        Answer drop;
        drop.kind = Answer::Kind::DropBeforeHeaders;
        m_server->push(drop);
        QVERIFY(await(training->optimStep({})));
        QByteArrayList bodies;
        for (const auto& request : m_server->seen()) {
            if (request.path().endsWith("/optim_step"))
                bodies.append(request.body);
        }
        QVERIFY(bodies.size() >= 2);
        QCOMPARE(bodies.first(), bodies.last());
    }

    void failuresOfTheTrainerKeepTheirCategory()
    {
        const auto training = client();
        m_results["forward_backward"] = R"({"error":"datum 0: too long","category":"user"})";
        const auto users = await(training->forwardBackward({ datum(1) }, "cross_entropy"));
        QCOMPARE(codeOf(users), "refused"_ba);
        QCOMPARE(
            users.error().message, std::string("Could not compute gradients: datum 0: too long"));
        m_results.remove("optim_step"); // the trainer was restarted: 404 on the future
        const auto lost = await(training->optimStep({}));
        QCOMPARE(codeOf(lost), "unknown"_ba); // it was accepted, and nobody says how it ended
        QVERIFY(lost.error().message.find("restarted") != std::string::npos);
        QCOMPARE(codeOf(await(training->forwardBackward({}, "cross_entropy"))), "usage"_ba);
    }

    void manyLongPollsLeaveRoomForSubmissions()
    {
        const auto training = client();
        m_isHeld = true; // polls are not answered
        QList<QFuture<Result<OptimResult>>> steps;
        for (int i = 0; i < 20; ++i)
            steps.append(training->optimStep({}));
        QTRY_COMPARE(m_submitted.count("optim_step"), 20);
        QCOMPARE(m_heldPolls, FuturePoller::kMaxPolls);
        m_isHeld = false;
        for (int i = 0; i < FuturePoller::kMaxPolls; ++i) // those polls stay silent
            steps[i].cancel();
        for (const auto& step : steps.mid(FuturePoller::kMaxPolls))
            QVERIFY(await(step));
    }

    void canceledCallDoesNotStopTheQueue()
    {
        const auto training = client();
        m_pendingPolls = 1000;
        auto first = training->optimStep({});
        QTRY_VERIFY(m_submitted.contains("optim_step"));
        first.cancel();
        QCOMPARE(codeOf(await(first)), "cancelled"_ba);
        m_pendingPolls = 0;
        QVERIFY(await(training->loadStateWithOptimizer("s")));
        QVERIFY(m_bodies.last().contains(R"("optimizer":true)"));
        QVERIFY(await(training->loadState("s")));
        QVERIFY(m_bodies.last().contains(R"("optimizer":false)"));
    }

    void samplerSavesAreBaseFirstAndCarryTheSuffix()
    {
        const auto training = client();
        QCOMPARE(training->nameSuffix().size(), std::size_t { 8 });
        const auto base = await(training->saveWeightsForSamplerExt("step-1"));
        QVERIFY(base);
        QCOMPARE(base->snapshotName, "step-1-" + training->nameSuffix());
        QCOMPARE(base->path, std::string("on-the-trainer"));
        QVERIFY(m_bodies.last().contains(R"("checkpoint_type":"base")"));
        QVERIFY(await(training->saveWeightsForSamplerExt("step-2", {}, 3600)));
        QVERIFY(m_bodies.last().contains(R"("checkpoint_type":"delta")"));
        QVERIFY(m_bodies.last().contains(R"("ttl_seconds":3600)"));
        const auto sent = m_bodies.size();
        QCOMPARE(codeOf(await(training->saveWeightsForSamplerExt("x", "half"))), "usage"_ba);
        QCOMPARE(m_bodies.size(), sent);
        QCOMPARE(
            *await(training->listCheckpoints()), (std::vector<std::string> { "step-2", "step-4" }));
    }

    void checkpointPathsAreResolvedWithoutARequest()
    {
        using Job = std::optional<std::string>;
        const auto resolve = [](const char* name, const Job& job = {}) {
            return FiretitanTrainingClient::resolveCheckpointPath(name, job);
        };
        QCOMPARE(*resolve("step-4"), std::string("step-4"));
        QCOMPARE(*resolve(" step-4 ", " job-a "), std::string("cross_job://job-a/step-4"));
        QCOMPARE(*resolve("gs://b/x"), std::string("gs://b/x"));
        QCOMPARE(*resolve("/abs/x"), std::string("/abs/x"));
        QCOMPARE(resolve("  ").error().message, std::string("checkpoint_name cannot be empty"));
        QCOMPARE(resolve("a", " ").error().message, std::string("source_job_id cannot be empty"));
        QVERIFY(!resolve("gs://b/x", "job"));
        QVERIFY(!resolve("a/b", "job"));
        QVERIFY(!resolve("a", "Job/x"));
    }

    void chunksFollowTheTwoLimits()
    {
        std::vector<Datum> tiny(3000, datum(1));
        auto chunks = chunked(std::move(tiny));
        QCOMPARE(chunks.size(), std::size_t { 3 });
        QCOMPARE(chunks[0].size(), std::size_t { 1024 });
        QCOMPARE(chunks[2].size(), std::size_t { 952 });
        // trainer.md 3.1: seven of 60,000 tokens, with one tensor 1.2 MB each.
        std::vector<std::size_t> sizes;
        std::vector<Datum> large(7);
        for (auto& one : large) {
            one.tokens.assign(60000, 1);
            one.lossInputs["target_tokens"] = intTensor(std::vector<std::int64_t>(60000, 1));
            one.lossInputs["weights"] = floatTensor(std::vector<float>(60000, 1.0F));
        }
        for (const auto& chunk : chunked(std::move(large)))
            sizes.push_back(chunk.size());
        QCOMPARE(sizes, (std::vector<std::size_t> { 2, 2, 2, 1 }));
        ForwardResult a;
        a.outputs.resize(1);
        a.metrics = { { "loss:sum", 1 }, { "p:mean", 3 }, { "x:max", 1 }, { "only:sum", 1 } };
        ForwardResult b;
        b.outputs.resize(3);
        b.metrics = { { "loss:sum", 2 }, { "p:mean", 1 }, { "x:max", 5 } };
        const auto both = merged({ a, b });
        QCOMPARE(both.outputs.size(), std::size_t { 4 });
        const std::map<std::string, double> expected { { "loss:sum", 3 }, { "p:mean", 1.5 },
            { "x:max", 5 } };
        QCOMPARE(both.metrics, expected);
    }
};

QTEST_GUILESS_MAIN(FiretitanClientTest)
#include "tst_firetitan_client.moc"
