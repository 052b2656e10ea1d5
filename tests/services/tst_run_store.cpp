// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/metrics/series_store.h"
#include "services/runs/run_store.h"

#include <QDir>
#include <QElapsedTimer>
#include <QFile>
#include <QLocalServer>
#include <QRegularExpression>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include <unistd.h>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    void append(const QString& path, const QByteArray& text)
    {
        QFile file(path);
        QVERIFY(file.open(QIODevice::Append));
        QCOMPARE(file.write(text), text.size());
    }

    QByteArray line(int step, double loss, double at)
    {
        return "{\"step\":" + QByteArray::number(step)
            + ",\"train/loss\":" + QByteArray::number(loss)
            + ",\"optim/lr\":0.001,\"perf/tokens_per_second\":8000,\"timestamp\":"
            + QByteArray::number(at, 'f', 3) + "}\n";
    }

    double nowSeconds()
    {
        return std::chrono::duration<double>(SystemClock().now().time_since_epoch()).count();
    }

} // namespace

class TestRunStore final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        QTest::failOnWarning(QRegularExpression(u".*"_s));
        m_dir = std::make_unique<QTemporaryDir>();
        m_runs = QDir(m_dir->path()).canonicalPath();
        m_run = m_runs + u"/one"_s;
        QVERIFY(QDir().mkpath(m_run));
        m_ledger = m_run + u"/metrics.jsonl"_s;
        m_store = std::make_unique<RunStore>(m_clock);
    }
    void cleanup() { m_store.reset(); }

    void newRunInAWatchedFolder_appears()
    {
        QSignalSpy added(m_store.get(), &RunStore::runAdded);
        m_store->watchDirectory(m_runs);
        append(m_ledger, line(1, 3.5, 1'700'000'000) + line(2, 3.25, 1'700'000'001));
        QTRY_COMPARE_WITH_TIMEOUT(added.count(), 1, 2000);
        QTRY_COMPARE_WITH_TIMEOUT(facts().step.value_or(0), std::int64_t { 2 }, 1000);
        QCOMPARE(facts().loss.value(), 3.25);
        QCOMPARE(facts().bestLoss.value(), 3.25);
        QCOMPARE(facts().learningRate.value(), 0.001);
        QCOMPARE(facts().tokensPerSecond.value(), 8000.0);
        QCOMPARE(facts().sparkline, (std::vector<double> { 3.5, 3.25 }));
        QVERIFY(facts().series);
        QCOMPARE(facts().series->snapshot("train/loss").size(), std::size_t { 2 });
    }

    void appendedLine_isKnownWithinASecond()
    {
        append(m_ledger, line(1, 3.5, nowSeconds()));
        m_store->openFolder(m_run);
        QTRY_COMPARE(facts().step.value_or(0), std::int64_t { 1 });
        QElapsedTimer clock;
        clock.start();
        append(m_ledger, line(2, 3.0, nowSeconds()));
        QTRY_COMPARE_WITH_TIMEOUT(facts().step.value_or(0), std::int64_t { 2 }, 1000);
        QVERIFY2(clock.elapsed() < 1000, qPrintable(QString::number(clock.elapsed())));
    }

    void tornLine_waitsForItsEnd()
    {
        append(m_ledger, line(1, 3.5, nowSeconds()));
        const auto second = line(2, 3.0, nowSeconds());
        append(m_ledger, second.left(20));
        m_store->openFolder(m_run);
        QTRY_VERIFY(facts().hasTornTail);
        QCOMPARE(facts().step.value(), std::int64_t { 1 });
        append(m_ledger, second.mid(20));
        QTRY_COMPARE(facts().step.value(), std::int64_t { 2 });
        QCOMPARE(facts().skippedLines, std::uint64_t { 0 });
        QVERIFY(!facts().hasTornTail);
    }

    void malformedAndHugeLines_costThemselvesOnly()
    {
        append(m_ledger, line(1, 3.5, nowSeconds()));
        append(m_ledger, "{\"step\": oops}\n");
        append(m_ledger, "{\"x\":\"" + QByteArray(17 << 20, 'y') + "\"}\n");
        append(m_ledger, line(2, 3.0, nowSeconds()));
        m_store->openFolder(m_run);
        QTRY_COMPARE_WITH_TIMEOUT(facts().step.value_or(0), std::int64_t { 2 }, 5000);
        QCOMPARE(facts().skippedLines, std::uint64_t { 2 });
    }

    void replacedLedger_isReadAnew()
    {
        append(m_ledger,
            line(1, 3.5, nowSeconds()) + line(2, 3.0, nowSeconds()) + line(3, 2.5, nowSeconds()));
        m_store->openFolder(m_run);
        QTRY_COMPARE(facts().step.value_or(0), std::int64_t { 3 });
        QVERIFY(QFile::rename(m_ledger, m_ledger + u".pre_resume_000000"_s));
        append(m_ledger, line(1, 3.5, nowSeconds()));
        QTRY_COMPARE(facts().step.value_or(0), std::int64_t { 1 });
        QCOMPARE(facts().sparkline.size(), std::size_t { 1 });
    }

    void truncatedLedger_isReadAnew()
    {
        append(m_ledger, line(1, 3.5, nowSeconds()) + line(2, 3.0, nowSeconds()));
        m_store->openFolder(m_run);
        QTRY_COMPARE(facts().step.value_or(0), std::int64_t { 2 });
        QVERIFY(QFile::resize(m_ledger, 0));
        append(m_ledger, line(1, 9.5, nowSeconds()));
        QTRY_COMPARE(facts().loss.value_or(0), 9.5);
    }

    void configAndCheckpoints_becomeFacts()
    {
        append(m_run + u"/config.json"_s,
            "{\"run_name\":\"stories\",\"job\":\"accounts/local/rlorTrainerJobs/j1\","
            "\"model_name\":\"accounts/local/models/desk-tiny\",\"lora_rank\":0,\"max_steps\":40}");
        append(m_ledger, line(10, 2.5, nowSeconds()));
        append(m_run + u"/checkpoints.jsonl"_s,
            "{\"name\":\"step-0010\",\"batch\":10,\"kind\":\"base\",\"resource_name\":"
            "\"accounts/local/rlorTrainerJobs/j1/checkpoints/step-0010-a1b2c3d4\"}\nnonsense\n"
            "{\"name\":\"torn");
        m_store->openFolder(m_run);
        QTRY_COMPARE(facts().title, std::string("stories"));
        QCOMPARE(facts().totalSteps.value(), std::int64_t { 40 });
        QTRY_COMPARE(facts().checkpoints.size(), std::size_t { 1 });
        QCOMPARE(facts().checkpoints.front().kind, std::string("base"));
        QCOMPARE(facts().checkpoints.front().loss.value(), 2.5);
        QCOMPARE(m_store->runOfJob("accounts/local/rlorTrainerJobs/j1")->id, m_run);
        QCOMPARE(m_store->runOfJob("j1")->id, m_run);
        QVERIFY(!m_store->runOfJob("j2"));
    }

    void writtenEnd_isTheEvidence_data()
    {
        QTest::addColumn<QByteArray>("status");
        QTest::addColumn<QByteArray>("word");
        QTest::addRow("done") << QByteArray("{\"code\":0,\"message\":\"completed\"}")
                              << QByteArray("finished");
        QTest::addRow("cancelled")
            << QByteArray("{\"code\":1,\"message\":\"signal\"}") << QByteArray("cancelled");
        QTest::addRow("failed") << QByteArray("{\"code\":9,\"message\":\"disk full\"}")
                                << QByteArray("failed");
        QTest::addRow("training") << QByteArray("{\"code\":0,\"message\":\"training\"}")
                                  << QByteArray("training");
        QTest::addRow("torn") << QByteArray("{\"code\":0,") << QByteArray("training");
    }
    void writtenEnd_isTheEvidence()
    {
        QFETCH(const QByteArray, status);
        QFETCH(const QByteArray, word);
        append(m_ledger, line(1, 3.5, nowSeconds()));
        append(m_run + u"/status.json"_s, status);
        m_store->openFolder(m_run);
        QTRY_VERIFY(m_store->run(m_run));
        QTRY_COMPARE(QByteArray(toString(facts().evidence)), word);
    }

    void oldLedgerOfADeadProcess_isNotTraining()
    {
        append(m_run + u"/config.json"_s, "{\"pid\":999999999,\"job\":\"j\"}");
        append(m_ledger, line(1, 3.5, nowSeconds()) + line(2, 3.4, nowSeconds()));
        m_store->openFolder(m_run);
        QTRY_VERIFY(m_store->run(m_run));
        QVERIFY(facts().evidence == RunEvidence::Unknown);
        QVERIFY(evidenceFor(facts(), JobState::Running, m_clock.now()) == RunEvidence::Orphaned);
        const auto later = m_clock.now() + std::chrono::minutes(11);
        QVERIFY(evidenceFor(facts(), JobState::Running, later) == RunEvidence::Leaking);
        QVERIFY(evidenceFor(facts(), JobState::Cancelled, later) == RunEvidence::Cancelled);
    }

    void silence_isMeasuredByTheRunsOwnRhythm()
    {
        RunFacts run;
        const auto now = m_clock.now();
        run.lastProgress = now - std::chrono::seconds(100);
        QVERIFY(evidenceFor(run, std::nullopt, now) == RunEvidence::Training);
        run.cadenceSeconds = 60;
        QVERIFY(evidenceFor(run, std::nullopt, now) == RunEvidence::Training);
        run.cadenceSeconds = 0.1;
        QVERIFY(evidenceFor(run, std::nullopt, now) == RunEvidence::Silent);
        run.controlState = "saving";
        QVERIFY(evidenceFor(run, std::nullopt, now) == RunEvidence::Training);
        run.lastProgress = now - std::chrono::seconds(3000);
        QVERIFY(evidenceFor(run, std::nullopt, now) == RunEvidence::Silent);
    }

    void cadence_isTheMedianGap()
    {
        QByteArray text;
        for (int i = 0; i < 20; ++i)
            text += line(i, 3.0, 1'700'000'000 + 2.0 * i + (i == 19 ? 500 : 0));
        append(m_ledger, text);
        m_store->openFolder(m_run);
        QTRY_COMPARE(facts().step.value_or(0), std::int64_t { 19 });
        QCOMPARE(facts().cadenceSeconds.value(), 2.0);
        QVERIFY(facts().evidence == RunEvidence::Silent);
    }

    void liveProcessAndSocket_areSeen()
    {
        append(m_run + u"/config.json"_s,
            "{\"pid\":" + QByteArray::number(static_cast<qint64>(::getpid())) + "}");
        append(m_ledger, line(1, 3.5, nowSeconds()));
        QLocalServer server; // accepts and never answers
        QVERIFY(server.listen(m_run + u"/control.sock"_s));
        m_store->openFolder(m_run);
        QTRY_VERIFY(facts().isProcessAlive);
        QTRY_COMPARE(facts().controlSocket, m_run + u"/control.sock"_s);
        QVERIFY(!facts().isControlReachable);
    }

    void folderWithoutALedger_isRefused()
    {
        QSignalSpy refused(m_store.get(), &RunStore::folderRefused);
        append(m_run + u"/config.json"_s, "{\"architectures\":[\"Qwen3ForCausalLM\"]}");
        m_store->openFolder(m_run);
        m_store->openFolder(m_runs + u"/missing"_s);
        QTRY_COMPARE(refused.count(), 2);
        QVERIFY(m_store->runs().isEmpty());
    }

    void closedRun_staysClosed()
    {
        append(m_ledger, line(1, 3.5, nowSeconds()));
        m_store->watchDirectory(m_runs);
        QTRY_COMPARE(m_store->runs().size(), 1);
        m_store->closeFolder(m_run);
        QTRY_COMPARE(m_store->runs().size(), 0);
        QSignalSpy added(m_store.get(), &RunStore::runAdded);
        m_store->refresh();
        append(m_ledger, line(2, 3.5, nowSeconds()));
        m_store->watchDirectory(m_dir->filePath(u"other"_s));
        QTest::qWait(300); // there is nothing to wait for: nothing must come
        QCOMPARE(added.count(), 0);
        m_store->openFolder(m_run);
        QTRY_COMPARE(added.count(), 1);
    }

    void removedFolder_goes()
    {
        append(m_ledger, line(1, 3.5, nowSeconds()));
        m_store->openFolder(m_run);
        QTRY_COMPARE(m_store->runs().size(), 1);
        QVERIFY(QDir(m_run).removeRecursively());
        QTRY_COMPARE_WITH_TIMEOUT(m_store->runs().size(), 0, 4000);
    }

    void fastWriter_isReportedAtMostTenTimesASecond()
    {
        append(m_ledger, line(0, 3.5, nowSeconds()));
        m_store->openFolder(m_run);
        QTRY_COMPARE(m_store->runs().size(), 1);
        QSignalSpy changed(m_store.get(), &RunStore::runChanged);
        QElapsedTimer clock;
        clock.start();
        for (int i = 1; i <= 100; ++i) {
            append(m_ledger, line(i, 3.5, nowSeconds()));
            QTest::qWait(5);
        }
        QTRY_COMPARE(facts().step.value(), std::int64_t { 100 });
        const auto limit = 2 + clock.elapsed() / 100;
        QVERIFY2(changed.count() <= limit, qPrintable(QString::number(changed.count())));
    }

private:
    RunFacts facts() const { return m_store->run(m_run).value_or(RunFacts {}); }

    SystemClock m_clock;
    std::unique_ptr<QTemporaryDir> m_dir;
    QString m_runs;
    QString m_run;
    QString m_ledger;
    std::unique_ptr<RunStore> m_store;
};

} // namespace desk

QTEST_GUILESS_MAIN(desk::TestRunStore)
#include "tst_run_store.moc"
