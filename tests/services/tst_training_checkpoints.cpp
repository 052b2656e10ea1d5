// SPDX-License-Identifier: GPL-3.0-or-later
// Saving, promoting and resuming over a scripted trainer and control plane (S26, runs.md 2.3).
#include "services/checkpoints/training_checkpoints.h"
#include "tests/services/fake_trainer.h"

#include <QTest>

#include <memory>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

class TrainingCheckpointsTest final : public QObject
{
    Q_OBJECT

private:
    struct Row
    {
        std::string id;
        std::string type;
        bool isPromotable;
        int minute;
    };
    std::unique_ptr<FakeTrainer> m_trainer;
    std::shared_ptr<FiretitanTrainingClient> m_training;
    SystemClock m_clock;

    static QByteArray listOf(const std::vector<Row>& rows)
    {
        std::string body = "{\"checkpoints\":[";
        for (const auto& row : rows) {
            if (body.back() == '}')
                body += ",";
            const auto minute = (row.minute < 10 ? "0" : "") + std::to_string(row.minute);
            body += "{\"name\":\"accounts/local/rlorTrainerJobs/j/checkpoints/" + row.id
                + "\",\"createTime\":\"2026-11-21T10:" + minute + ":00Z\",\"checkpointType\":\""
                + "CHECKPOINT_TYPE_" + row.type
                + "\",\"promotable\":" + (row.isPromotable ? "true" : "false") + "}";
        }
        return QByteArray::fromStdString(body + "]}");
    }
    TrainingCheckpointsOptions options() const
    {
        TrainingCheckpointsOptions made;
        made.job = "j";
        made.appearTimeout = 200ms;
        made.stabilize = 0ms;
        made.poll = 2ms;
        return made;
    }

private Q_SLOTS:
    void init()
    {
        m_trainer = std::make_unique<FakeTrainer>();
        m_training = m_trainer->client();
        QVERIFY(m_training);
    }
    void cleanup()
    {
        m_training.reset();
        m_trainer.reset();
    }

    void bothRowsAreSavedAndAwaited()
    {
        const auto snapshot = m_training->qualifiedName("step-4");
        int lists = 0;
        m_trainer->listRows = [&] {
            ++lists;
            if (lists < 3) // rows show up late
                return QByteArray("{}");
            return listOf(
                { { "step-4", "TRAINING", false, 1 }, { snapshot, "INFERENCE_BASE", true, 2 } });
        };
        TrainingCheckpoints saves(*m_training, *m_trainer->control, m_clock, options());
        const auto saved = await(saves.save({ "step-4", true, true, 600 }));
        QVERIFY(saved);
        QCOMPARE(m_trainer->rpcs().mid(1).join(' '), "save_weights save_weights_for_sampler"_ba);
        QVERIFY(m_trainer->last().has(R"("checkpoint_type":"base")")); // always, if promotable
        QVERIFY(m_trainer->last().has(R"("ttl_seconds":600)"));
        QCOMPARE(saved->statePath, std::string("saved-here"));
        QCOMPARE(saved->resumableRow,
            std::string("accounts/local/rlorTrainerJobs/j/checkpoints/step-4"));
        QCOMPARE(saved->snapshotName, snapshot);
        QVERIFY(!saved->hasReusedSnapshot);
        QVERIFY(saved->warnings.empty());
    }

    void stateThatTheServerRenamedIsFound()
    {
        int lists = 0;
        m_trainer->listRows = [&] {
            const std::vector<Row> old { { "step-4", "TRAINING", false, 1 } };
            if (++lists == 1)
                return listOf(old);
            return listOf({ old[0], { "step-5", "TRAINING", false, 9 } });
        };
        TrainingCheckpoints saves(*m_training, *m_trainer->control, m_clock, options());
        const auto saved = await(saves.save({ "step-4b", true, false, {} }));
        QVERIFY(saved);
        QCOMPARE(saved->stateName, std::string("step-5"));
    }

    void snapshotOfThisSessionIsNotSavedTwice()
    {
        m_trainer->checkpoints =
            listOf({ { m_training->qualifiedName("step-4"), "INFERENCE_BASE", true, 1 } });
        TrainingCheckpoints saves(*m_training, *m_trainer->control, m_clock, options());
        const auto saved = await(saves.save({ "step-4", false, true, {} }));
        QVERIFY(saved);
        QVERIFY(saved->hasReusedSnapshot);
        QCOMPARE(m_trainer->rpcs().count("save_weights_for_sampler"), 0);
        // The same name of another session holds other weights.
        m_trainer->checkpoints = listOf({ { "step-4-00000000", "INFERENCE_BASE", true, 1 } });
        QVERIFY(await(saves.save({ "step-4", false, true, {} })));
        QCOMPARE(m_trainer->rpcs().count("save_weights_for_sampler"), 1);
    }

    void lateRowIsAWarningAndAFailedSaveAnError()
    {
        TrainingCheckpoints saves(*m_training, *m_trainer->control, m_clock, options());
        const auto late = await(saves.save({ "step-4", true, false, {} }));
        QVERIFY(late);
        QVERIFY(late->resumableRow.empty());
        QCOMPARE(late->warnings.size(), std::size_t { 1 });
        m_trainer->results["save_weights"] = R"({"error":"disk full","category":"server"})";
        QCOMPARE(codeOf(await(saves.save({ "step-5", true, true, {} }))), "backend"_ba);
        QCOMPARE(m_trainer->rpcs().count("save_weights_for_sampler"), 0);
        QCOMPARE(codeOf(await(saves.save({ "step-6", false, false, {} }))), "usage"_ba);
        m_trainer->checkpointsStatus = 403;
        const auto saved = m_trainer->submissions.size();
        QCOMPARE(codeOf(await(saves.save({ "step-7", true, false, {} }))), "auth"_ba);
        QCOMPARE(m_trainer->submissions.size(), saved); // the list comes first
    }

    void untrainedRowsAreWarnedOf()
    {
        m_trainer->checkpoints = listOf({ { "step-0-aaaaaaaa", "INFERENCE_BASE", true, 1 },
            { "step-9-aaaaaaaa", "INFERENCE_ARC_V2", false, 9 } });
        auto made = options();
        made.lastTrainedStep = 9;
        TrainingCheckpoints saves(*m_training, *m_trainer->control, m_clock, made);
        const auto choice = await(saves.latestPromotable());
        QVERIFY(choice);
        QVERIFY(
            choice->warnings[0].find("step 0: these weights are untrained") != std::string::npos);
        QVERIFY(choice->warnings.back().find("another session") != std::string::npos);
        const auto strict = await(saves.promoteLatest("out", "b", true));
        QCOMPARE(codeOf(strict), "refused"_ba);
        QVERIFY(m_trainer->promotions.isEmpty());
        QByteArrayList heard;
        const auto promoted = await(saves.promoteLatest("out", "b", false,
            [&](const std::string& text) { heard.append(QByteArray::fromStdString(text)); }));
        QVERIFY(promoted);
        QVERIFY(!heard.isEmpty() && heard.first().startsWith("warning: step-0-aaaaaaaa"));
        QCOMPARE(m_trainer->promotions.size(), 1);
        QCOMPARE(promoted->choice.warnings, choice->warnings);
    }

    void rowsThatAreNotTheBestAreWarnedOf()
    {
        m_trainer->checkpoints = listOf({ { "step-2-aaaaaaaa", "INFERENCE_LORA", true, 2 },
            { "step-8-aaaaaaaa", "INFERENCE_LORA", true, 1 },
            { "step-4-aaaaaaaa", "INFERENCE_LORA", true, 4 } });
        auto made = options();
        made.lastTrainedStep = 20;
        made.scoreOf = [](const Checkpoint& row) -> std::optional<double> {
            return row.name.find("step-2") != std::string::npos ? 1.5 : 2.5;
        };
        TrainingCheckpoints saves(*m_training, *m_trainer->control, m_clock, made);
        const auto choice = await(saves.latestPromotable());
        QVERIFY(choice);
        QVERIFY(choice->row.name.find("step-4") != std::string::npos);
        std::string all;
        for (const auto& warning : choice->warnings)
            all += warning + "\n";
        for (const char* words : { "the run has trained to step 20",
                 "is not the best: step-2-aaaaaaaa", "step-8-aaaaaaaa is of a later step, 8" })
            QVERIFY2(all.find(words) != std::string::npos, all.c_str());
    }

    void nothingToPromoteSaysWhy()
    {
        m_trainer->checkpoints = listOf({ { "step-9-aaaaaaaa", "INFERENCE_ARC_V2", false, 9 } });
        TrainingCheckpoints saves(*m_training, *m_trainer->control, m_clock, options());
        const auto none = await(saves.promoteLatest("out", "b"));
        QCOMPARE(codeOf(none), "not_found"_ba);
        QVERIFY(none.error().message.find("needs its base") != std::string::npos);
        const auto asked = m_trainer->server.seen().size();
        QCOMPARE(codeOf(await(saves.promoteLatest("Bad_Id", "b"))), "usage"_ba);
        QCOMPARE(m_trainer->server.seen().size(), asked); // S11: a rejected id sends nothing
    }

    void resumeTakesTheReferenceFirst()
    {
        m_trainer->checkpoints = listOf({ { "step-9", "TRAINING", false, 9 } });
        TrainingCheckpoints saves(*m_training, *m_trainer->control, m_clock, options());
        const auto same = await(saves.resume({ "j:step-4", {}, true }));
        QVERIFY(same);
        QVERIFY(same->source == ResumeOutcome::Source::Reference);
        QCOMPARE(same->step, 4);
        QVERIFY(m_trainer->last().has(R"("path":"step-4")"));
        QVERIFY(m_trainer->last().has(R"("optimizer":true)"));
        const auto other = await(saves.resume({ "older:step-4", {}, false }));
        QVERIFY(other);
        QCOMPARE(other->step, 0);
        QVERIFY(!other->hasOptimizer);
        QVERIFY(other->statement.find("optimizer starts fresh") != std::string::npos);
        QVERIFY(m_trainer->last().has("cross_job:"));
        QVERIFY(m_trainer->last().has(R"("optimizer":false)"));
        QCOMPARE(codeOf(await(saves.resume({ "a b", {}, true }))), "usage"_ba);
        m_trainer->results["load_weights"] = R"({"error":"no such state","category":"user"})";
        QCOMPARE(codeOf(await(saves.resume({ "j:step-5", {}, true }))), "refused"_ba);
    }

    void resumeTakesTheNewestRowByTime()
    {
        m_trainer->checkpoints = listOf({ { "step-20", "TRAINING", false, 3 },
            { "step-12", "TRAINING", false, 7 }, { "z-aaaaaaaa", "INFERENCE_BASE", true, 8 } });
        TrainingCheckpoints saves(*m_training, *m_trainer->control, m_clock, options());
        const auto newest = await(saves.resume({}));
        QVERIFY(newest);
        QVERIFY(newest->source == ResumeOutcome::Source::NewestRow);
        QCOMPARE(newest->checkpoint, std::string("step-12"));
        QCOMPARE(newest->step, 12);
        // One that cannot be loaded is an error: neither an older one nor a fresh start.
        m_trainer->results["load_weights"] = R"({"error":"gone","category":"user"})";
        QCOMPARE(codeOf(await(saves.resume({}))), "refused"_ba);
        QCOMPARE(m_trainer->rpcs().count("load_weights"), 2);
    }

    void resumeNeverStartsFreshInSilence()
    {
        TrainingCheckpoints saves(*m_training, *m_trainer->control, m_clock, options());
        const auto fresh = await(saves.resume({}));
        QVERIFY(fresh);
        QVERIFY(fresh->source == ResumeOutcome::Source::Fresh);
        QCOMPARE(fresh->statement,
            std::string("Started fresh from the base model: the job j has no checkpoint"));
        m_trainer->checkpoints = listOf({ { "s-aaaaaaaa", "INFERENCE_BASE", true, 1 } });
        QVERIFY(await(saves.resume({}))->statement.find("no resumable one among its 1")
            != std::string::npos);
        m_trainer->checkpointsStatus = 500;
        RetryPolicy quick;
        quick.firstDelay = 1ms;
        quick.maxDelay = 1ms;
        m_trainer->http->setRetryPolicy(quick);
        QCOMPARE(codeOf(await(saves.resume({}))), "backend"_ba); // not a fresh start
        m_trainer->checkpointsStatus = 404;
        QCOMPARE(codeOf(await(saves.resume({}))), "not_found"_ba);
        QCOMPARE(m_trainer->rpcs().count("load_weights"), 0);
    }

    void adapterComesLastAndAlone()
    {
        TrainingCheckpoints full(*m_training, *m_trainer->control, m_clock, options());
        QCOMPARE(codeOf(await(full.resume({ "s", "gs:a", true }))), "usage"_ba);
        QCOMPARE(codeOf(await(full.resume({ {}, "gs:a", true }))), "usage"_ba);
        const auto adapter = m_trainer->client(8);
        TrainingCheckpoints saves(*adapter, *m_trainer->control, m_clock, options());
        const auto warm = await(saves.resume({ {}, "gs:a", true }));
        QVERIFY(warm);
        QVERIFY(warm->source == ResumeOutcome::Source::Adapter);
        QVERIFY(warm->statement.find("new optimizer at step 0") != std::string::npos);
        QCOMPARE(m_trainer->last().rpc, "load_adapter"_ba);
        m_trainer->checkpoints = listOf({ { "step-3", "TRAINING_LORA", false, 1 } });
        const auto row = await(saves.resume({ {}, "gs:a", true }));
        QVERIFY(row);
        QVERIFY(row->source == ResumeOutcome::Source::NewestRow);
        QCOMPARE(row->warnings.size(), std::size_t { 1 }); // the adapter was not loaded
    }
};

QTEST_GUILESS_MAIN(TrainingCheckpointsTest)
#include "tst_training_checkpoints.moc"
