// SPDX-License-Identifier: GPL-3.0-or-later
// How a training client speaks: order, repetition, long polls, heartbeats (trainer.md 1.10, 2.4, 5,
// 9; fireworks-sdk-1.2.30.md 6.3, 17).
#include "services/trainer/future_poller.h"
#include "services/trainer/submission_queue.h"
#include "tests/services/fake_trainer.h"

#include <QSignalSpy>
#include <QTest>

#include <algorithm>
#include <memory>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

class TrainerTransportTest final : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<FakeTrainer> m_trainer;

    [[nodiscard]] QList<qsizetype> arrivals(const QByteArray& rpc) const
    {
        QList<qsizetype> at;
        for (qsizetype i = 0; i < m_trainer->submissions.size(); ++i) {
            if (m_trainer->submissions[i].rpc == rpc)
                at.append(i);
        }
        return at;
    }
    [[nodiscard]] QByteArrayList keysOf(const QByteArray& rpc) const
    {
        QByteArrayList keys;
        for (const auto& request : m_trainer->server.seen()) {
            if (request.path().endsWith(QByteArray("/" + rpc)))
                keys.append(request.headers.value("x-idempotency-key"));
        }
        return keys;
    }

private Q_SLOTS:
    void init() { m_trainer = std::make_unique<FakeTrainer>(); }
    void cleanup() { m_trainer.reset(); }

    void partsTravelSideBySideAndAStepWaitsForAllOfThem()
    {
        const auto training = m_trainer->client();
        QVERIFY(training);
        // The answer to the first part is late: the others must not wait for it, the step must.
        m_trainer->delayMs = [](const FakeTrainer::Submission& submission) {
            return submission.has("\"seq_id\":1}") ? 60 : 0;
        };
        auto pass = training->forwardBackward(std::vector<Datum>(3000, plainDatum(1)));
        auto step = training->optimStep({});
        QTRY_COMPARE(arrivals("forward_backward").size(), 3);
        QVERIFY(arrivals("optim_step").isEmpty());
        const auto result = await(pass);
        QVERIFY(result);
        QVERIFY(await(step));
        QCOMPARE(result->outputs.size(), std::size_t { 3000 });
        QCOMPARE(result->metrics.at("loss:sum"), 3000.0);
        for (const char* number : { "\"seq_id\":1}", "\"seq_id\":2}", "\"seq_id\":3}" }) {
            const auto& all = m_trainer->submissions;
            QCOMPARE(std::count_if(all.begin(), all.end(),
                         [number](const FakeTrainer::Submission& one) { return one.has(number); }),
                1);
        }
        QVERIFY(m_trainer->last().has("\"seq_id\":4"));
    }

    void sixtyFourOperationsAreOutstandingAtMost()
    {
        const auto training = m_trainer->client();
        m_trainer->holdsPolls = true;
        QList<QFuture<Result<OptimResult>>> steps;
        for (int i = 0; i < 70; ++i)
            steps.append(training->optimStep({}));
        QTRY_COMPARE(arrivals("optim_step").size(), SubmissionQueue::kMaxOutstanding);
        QTRY_COMPARE(m_trainer->heldPolls, FuturePoller::kMaxPolls);
        QTest::qWait(20); // nothing more leaves
        QCOMPARE(arrivals("optim_step").size(), 64);
        m_trainer->holdsPolls = false;
        for (int i = 0; i < FuturePoller::kMaxPolls; ++i)
            steps[i].cancel(); // their polls stay silent; a place is free again
        for (const auto& step : steps.mid(FuturePoller::kMaxPolls))
            QVERIFY(await(step));
        QCOMPARE(arrivals("optim_step").size(), 70);
    }

    void everyTransientAnswerIsRepeatedWithOneNumberAndOneKey()
    {
        const auto training = m_trainer->client();
        auto& first = m_trainer->before["optim_step"];
        first = { droppedAnswer(), statusAnswer(503), statusAnswer(500), statusAnswer(408),
            statusAnswer(409), statusAnswer(425), statusAnswer(429, "{}", "0"), statusAnswer(402),
            statusAnswer(400, "") };
        QVERIFY(await(training->optimStep({})));
        const auto keys = keysOf("optim_step");
        QVERIFY(keys.size() >= 10);
        QVERIFY(keys.first().startsWith("desk-"));
        QCOMPARE(keys.count(keys.first()), keys.size());
        for (const auto& request : m_trainer->server.seen()) {
            if (request.path().endsWith("/optim_step"))
                QVERIFY(request.body.contains("\"seq_id\":1,"));
        }
        QVERIFY(m_trainer->service->notices().back().text.find("payment")
            != std::string::npos); // 402 is said
    }

    void definiteRefusalsEndTheCallAndUseUpTheNumber_data()
    {
        QTest::addColumn<int>("status");
        QTest::addColumn<QByteArray>("code");
        QTest::newRow("400") << 400 << "refused"_ba;
        QTest::newRow("401") << 401 << "auth"_ba;
        QTest::newRow("403") << 403 << "auth"_ba;
        QTest::newRow("404") << 404 << "not_found"_ba;
        QTest::newRow("422") << 422 << "refused"_ba;
    }
    void definiteRefusalsEndTheCallAndUseUpTheNumber()
    {
        QFETCH(int, status);
        QFETCH(QByteArray, code);
        const auto training = m_trainer->client();
        m_trainer->before["optim_step"] = { statusAnswer(status, R"({"detail":"key bad"})") };
        const auto refused = await(training->optimStep({}));
        QCOMPARE(codeOf(refused), code);
        QVERIFY(refused.error().message.find("[redacted] bad") != std::string::npos);
        QVERIFY(await(training->saveState("s")));
        QVERIFY(m_trainer->last().has("\"seq_id\":2"));
    }

    void silenceOfASubmissionEndsUnknownAfterItsBudget()
    {
        const auto training = m_trainer->client();
        auto timing = TrainerTiming {};
        timing.submissionBudget = 30ms;
        m_trainer->service->setTiming(timing);
        for (int i = 0; i < 40; ++i)
            m_trainer->before["save_weights"].push_back(droppedAnswer());
        QCOMPARE(codeOf(await(training->saveState("s"))), "unknown"_ba); // it may have been saved
        m_trainer->server.close();
        QCOMPARE(codeOf(await(training->saveState("s"))), "unreachable"_ba); // certainly not
    }

    void answerThatNobodyUnderstandsIsUnknown()
    {
        const auto training = m_trainer->client();
        m_trainer->before["optim_step"] = { okAnswer(R"({"request_id":7})") };
        QCOMPARE(codeOf(await(training->optimStep({}))), "unknown"_ba);
    }

    void stepBehindAFailedGradientIsNotSent()
    {
        const auto training = m_trainer->client();
        m_trainer->before["forward_backward"] = { statusAnswer(400) };
        auto pass = training->forwardBackward({ plainDatum(1) });
        auto step = training->optimStep({}); // asked for before anybody could know
        QCOMPARE(codeOf(await(pass)), "refused"_ba);
        const auto held = await(step);
        QCOMPARE(codeOf(held), "conflict"_ba);
        QVERIFY(held.error().message.find("gradients") != std::string::npos);
        QVERIFY(arrivals("optim_step").isEmpty());
        QVERIFY(await(training->optimStep({}))); // nothing was added: a new step is no mistake
    }

    void stepAfterAPartWasLostNeedsALoadedState()
    {
        const auto training = m_trainer->client();
        m_trainer->before["forward_backward"] = { statusAnswer(400) };
        auto pass = training->forwardBackward(std::vector<Datum>(1500, plainDatum(1)));
        const auto failed = await(pass);
        QCOMPARE(codeOf(failed), "refused"_ba);
        QVERIFY(failed.error().unchanged.find("gradients of the others") != std::string::npos);
        QCOMPARE(codeOf(await(training->optimStep({}))), "conflict"_ba);
        QVERIFY(await(training->loadStateWithOptimizer("s")));
        QVERIFY(await(training->optimStep({})));
    }

    void pollsFollowTheTable()
    {
        const auto training = m_trainer->client();
        auto& polls = m_trainer->before["retrieve_future"];
        polls = { okAnswer(R"({"type":"try_again","request_id":"f1","queue_state":"active"})"),
            statusAnswer(408,
                R"({"type":"try_again","queue_state":"paused_capacity",)"
                R"("queue_state_reason":"paused by hand"})"),
            statusAnswer(500), statusAnswer(503), statusAnswer(425), statusAnswer(429, "{}", "0"),
            statusAnswer(402), statusAnswer(400), statusAnswer(400), droppedAnswer(),
            okAnswer("{\"metrics\":") };
        const auto step = await(training->optimStep({}));
        QVERIFY(step);
        QCOMPARE(step->metrics.at("grad_norm"), 0.5);
        QCOMPARE(arrivals("optim_step").size(), 1); // polled again, never submitted again
        QCOMPARE(m_trainer->service->notices().back().text,
            std::string("The trainer is paused (paused_capacity) for sess-1:train:0: "
                        "paused by hand"));
        const auto& seen = m_trainer->server.seen();
        const auto lastPoll = std::find_if(seen.rbegin(), seen.rend(),
            [](const SeenRequest& one) { return one.path().endsWith("retrieve_future"); });
        QCOMPARE(lastPoll->headers.value("x-tinker-request-type"), "OptimStep"_ba);
        QVERIFY(lastPoll->headers.value("x-tinker-request-iteration").toInt() >= 10);
    }

    void pollsThatEndBadly_data()
    {
        QTest::addColumn<int>("status");
        QTest::addColumn<int>("times");
        QTest::addColumn<QByteArray>("code");
        QTest::newRow("400 four times") << 400 << 4 << "refused"_ba;
        QTest::newRow("401") << 401 << 1 << "auth"_ba;
        QTest::newRow("404") << 404 << 1 << "unknown"_ba;
        QTest::newRow("410") << 410 << 1 << "unknown"_ba;
        QTest::newRow("422") << 422 << 1 << "refused"_ba;
    }
    void pollsThatEndBadly()
    {
        QFETCH(int, status);
        QFETCH(int, times);
        QFETCH(QByteArray, code);
        const auto training = m_trainer->client();
        for (int i = 0; i < times; ++i)
            m_trainer->before["retrieve_future"].push_back(statusAnswer(status));
        QCOMPARE(codeOf(await(training->optimStep({}))), code);
        QVERIFY(await(training->optimStep({}))); // the client stays usable
    }

    /// Field case P036: a result went to the dead connection of a poll that was given up.
    void lostResultAfterAnAbandonedPollIsUnknownAndSaysWhy()
    {
        TrainerTiming timing;
        timing.pollTimeout = 20ms;
        m_trainer->service->setTiming(timing);
        const auto training = m_trainer->client();
        Answer silence;
        silence.kind = Answer::Kind::Silence;
        m_trainer->before["retrieve_future"] = { silence,
            statusAnswer(404, R"({"detail":"Future not found"})") };
        const auto lost = await(training->optimStep({}));
        QCOMPARE(codeOf(lost), "unknown"_ba);
        QVERIFY(lost.error().message.find("dead connection") != std::string::npos);
        QVERIFY(!lost.error().next.empty());
        // A server that keeps results answers the second poll.
        m_trainer->before["retrieve_future"] = { silence };
        QVERIFY(await(training->optimStep({})));
    }

    void silentTrainerEndsUnknown()
    {
        const auto training = m_trainer->client();
        TrainerTiming timing;
        timing.pollTimeout = 20ms;
        timing.pollSilence = 30ms;
        m_trainer->service->setTiming(timing);
        m_trainer->holdsPolls = true;
        QCOMPARE(codeOf(await(training->optimStep({}))), "unknown"_ba);
    }

    void modelsShareThePolls()
    {
        const auto busy = m_trainer->client();
        const auto other = m_trainer->client(8);
        m_trainer->holdsPolls = true;
        QList<QFuture<Result<OptimResult>>> steps;
        for (int i = 0; i < 10; ++i)
            steps.append(busy->optimStep({}));
        QTRY_COMPARE(m_trainer->heldPolls, FuturePoller::kMaxPolls);
        auto mine = other->optimStep({});
        QTRY_COMPARE(arrivals("optim_step").size(), 11);
        m_trainer->holdsPolls = false;
        steps[0].cancel(); // one place is free: the other model's turn
        QVERIFY(await(mine));
    }

    void heartbeatsGoOutWhileAnyClientLives()
    {
        TrainerTiming timing;
        timing.heartbeat = 10ms;
        m_trainer->service->setTiming(timing);
        auto training = m_trainer->client();
        QTRY_VERIFY(m_trainer->heartbeats >= 3);
        QVERIFY(m_trainer->server.seen().back().body.size() > 0);
        m_trainer->service.reset();
        const auto sofar = m_trainer->heartbeats;
        QTRY_VERIFY(m_trainer->heartbeats >= sofar + 3); // the training client is enough
        training.reset();
        QTest::qWait(20); // one may be on its way
        const auto last = m_trainer->heartbeats;
        QTest::qWait(50);
        QCOMPARE(m_trainer->heartbeats, last);
    }

    void heartbeatsThatAreNotTakenAreNoticedOnce()
    {
        TrainerTiming timing;
        timing.heartbeat = 5ms;
        timing.heartbeatSilence = 20ms;
        m_trainer->service->setTiming(timing);
        for (int i = 0; i < 1000; ++i)
            m_trainer->before["session_heartbeat"].push_back(statusAnswer(503));
        const auto training = m_trainer->client();
        QTRY_COMPARE(m_trainer->service->notices().size(), std::size_t { 1 });
        QTest::qWait(30);
        QCOMPARE(m_trainer->service->notices().size(), std::size_t { 1 });
        QVERIFY(m_trainer->service->notices().front().kind == SessionNotice::Kind::Warning);
    }

    void sleepOfTheMachineIsNoticed()
    {
        const auto training = m_trainer->client();
        QSignalSpy slept(&m_trainer->service->session(), &TrainerSession::slept);
        const auto beats = m_trainer->heartbeats;
        Q_EMIT m_trainer->http->machineSlept(42min);
        QCOMPARE(slept.size(), 1);
        QCOMPARE(slept.first().first().toLongLong(), 2520);
        QCOMPARE(m_trainer->service->notices().back().text,
            std::string("This machine slept for 2520 s without a heartbeat; the trainer may have "
                        "been stopped meanwhile"));
        QTRY_VERIFY(m_trainer->heartbeats > beats); // at once, not at the next beat
    }

    void messagesOfTheSessionAreNotices()
    {
        m_trainer->direct["create_session"] =
            R"({"type":"create_session","session_id":"s","info_message":"toy model",)"
            R"("warning_message":"stand-in for m","error_message":null})";
        QSignalSpy noticed(&m_trainer->service->session(), &TrainerSession::noticed);
        QVERIFY(m_trainer->client());
        const auto& notices = m_trainer->service->notices();
        QCOMPARE(notices.size(), std::size_t { 2 });
        QVERIFY((notices[0] == SessionNotice { SessionNotice::Kind::Info, "toy model" }));
        QVERIFY((notices[1] == SessionNotice { SessionNotice::Kind::Warning, "stand-in for m" }));
        QCOMPARE(noticed.size(), 2);
    }

    void clientsMadeAtOnceShareOneSession()
    {
        auto one = m_trainer->service->createTrainingClient("accounts/local/models/m");
        auto two = m_trainer->service->createTrainingClient("accounts/local/models/m", 8);
        QVERIFY(await(one));
        QVERIFY(await(two));
        qsizetype sessions = 0;
        for (const auto& request : m_trainer->server.seen())
            sessions += request.path().endsWith("/create_session") ? 1 : 0;
        QCOMPARE(sessions, 1);
    }

    void everyFutureCanBeCanceled()
    {
        const auto training = m_trainer->client();
        const auto sampler = await(m_trainer->service->createSamplingClient("m"));
        QVERIFY(sampler);
        m_trainer->holdsPolls = true;
        const auto stop = [](auto future) {
            future.cancel();
            return codeOf(await(future));
        };
        QCOMPARE(stop(training->forward({ plainDatum(2) })), "cancelled"_ba);
        QCOMPARE(stop(training->forwardBackward({ plainDatum(2) })), "cancelled"_ba);
        QCOMPARE(stop(training->forwardBackwardCustom({ plainDatum(2) },
                     [](const auto&, const auto&) { return CustomLossValue {}; })),
            "cancelled"_ba);
        QCOMPARE(stop(training->optimStep({})), "cancelled"_ba);
        QCOMPARE(stop(training->saveState("s")), "cancelled"_ba);
        QCOMPARE(stop(training->loadState("s")), "cancelled"_ba);
        QCOMPARE(stop(training->saveWeightsForSamplerExt("s")), "cancelled"_ba);
        QCOMPARE(stop(training->saveWeightsAndGetSamplingClient()), "cancelled"_ba);
        QCOMPARE(stop(training->listCheckpoints()), "cancelled"_ba);
        QCOMPARE(stop(training->info()), "cancelled"_ba);
        SampleRequest request;
        request.prompt = { 1 };
        QCOMPARE(stop((*sampler)->sample(request)), "cancelled"_ba);
        QCOMPARE(stop(m_trainer->service->weightsInfo("s")), "cancelled"_ba);
        QCOMPARE(stop(m_trainer->service->serverCapabilities()), "cancelled"_ba);
        QCOMPARE(stop(m_trainer->service->createTrainingClient("b")), "cancelled"_ba);
        m_trainer->holdsPolls = false;
        QVERIFY(await(training->optimStep({}))); // and the client goes on
        QVERIFY(await(m_trainer->service->createTrainingClient("b")));
    }

    void clientsMayDieWithTheirCallsOpen()
    {
        auto training = m_trainer->client();
        m_trainer->holdsPolls = true;
        auto pass = training->forwardBackward({ plainDatum(2) });
        auto step = training->optimStep({});
        QTRY_COMPARE(m_trainer->heldPolls, 2);
        training.reset();
        QTRY_COMPARE(m_trainer->http->inFlight(HttpLane::LongPoll), 0); // no connection is kept
        m_trainer->holdsPolls = false;
        auto second = m_trainer->client(8);
        m_trainer->holdsPolls = true;
        auto other = second->optimStep({});
        QTRY_COMPARE(m_trainer->heldPolls, 3);
        second.reset();
        m_trainer->service.reset();
        QTRY_COMPARE(m_trainer->http->inFlight(HttpLane::LongPoll), 0);
        QCOMPARE(codeOf(await(other)), "cancelled"_ba);
        QCOMPARE(codeOf(await(pass)), "cancelled"_ba);
        QCOMPARE(codeOf(await(step)), "cancelled"_ba);
    }
};

QTEST_GUILESS_MAIN(TrainerTransportTest)
#include "tst_trainer_transport.moc"
