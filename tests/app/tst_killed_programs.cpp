// SPDX-License-Identifier: GPL-3.0-or-later
// kill -9 of each program in the middle of a save, a promotion, a hot load: nothing is lost,
// nothing is done twice, and what the journal says in the end is what the server has.
#include "tests/app/ctl_fixture.h"

#include <QRegularExpression>

using namespace Qt::StringLiterals;

namespace desk::test {
namespace {

    QString killedText(const CtlJson& value)
    {
        return value.is_string() ? QString::fromStdString(value.get<std::string>()) : QString();
    }

    /// A verb of trainerdesk-ctl that is under way.
    class RunningCtl
    {
    public:
        RunningCtl(const CtlFixture& ctl, const QStringList& arguments)
        {
            ctl.configure(m_process, QStringList { u"--connection"_s, u"local"_s } + arguments);
            m_process.start();
        }
        ~RunningCtl()
        {
            m_process.kill();
            m_process.waitForFinished();
        }
        RunningCtl(const RunningCtl&) = delete;
        RunningCtl& operator=(const RunningCtl&) = delete;

        /// Waits for a word of its notes, such as the stage "sent".
        bool says(const QByteArray& word, int timeoutMs = 20000)
        {
            return QTest::qWaitFor([&] { return words().contains(word); }, timeoutMs);
        }
        void killNow()
        {
            ::kill(static_cast<pid_t>(m_process.processId()), SIGKILL);
            m_process.waitForFinished();
        }
        int exitCode(int timeoutMs)
        {
            const bool hasEnded = QTest::qWaitFor(
                [&] { return m_process.state() == QProcess::NotRunning; }, timeoutMs);
            return hasEnded && m_process.exitStatus() == QProcess::NormalExit ? m_process.exitCode()
                                                                              : -1;
        }
        QByteArray words()
        {
            m_words += m_process.readAllStandardError();
            return m_words;
        }

    private:
        QProcess m_process;
        QByteArray m_words;
    };

} // namespace

class TestKilledPrograms final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        QTest::failOnWarning(QRegularExpression(u".*"_s));
        m_ctl = std::make_unique<CtlFixture>();
    }
    void cleanup() { m_ctl.reset(); }

    void promoterKilled_leavesUnknownAndTheTruthIsFound()
    {
        m_ctl->startBackend("[{\"route\":\"POST */checkpoints/*:promote\",\"action\":\"delay\","
                            "\"ms\":1500}]");
        const auto base = trainedBase();
        {
            RunningCtl promote(*m_ctl, { u"promote"_s, base, u"--model-id"_s, u"killed-v1"_s });
            QVERIFY2(promote.says("sent:"), promote.words().constData());
            promote.killNow();
        }
        QCOMPARE(newestState(), u"unknown"_s);
        expectTruth([this] { return countOf(u"models"_s, u"killed-v1"_s); });
    }

    void backendKilledInAPromotion_leavesUnknownAndTheTruthIsFound()
    {
        m_ctl->startBackend("[{\"route\":\"POST */checkpoints/*:promote\",\"action\":\"delay\","
                            "\"ms\":1500}]");
        const auto base = trainedBase();
        RunningCtl promote(*m_ctl, { u"promote"_s, base, u"--model-id"_s, u"killed-v2"_s });
        QVERIFY2(promote.says("sent:"), promote.words().constData());
        killBackend();
        QCOMPARE(promote.exitCode(60000), 6);
        QCOMPARE(newestState(), u"unknown"_s); // ctl has started the backend again
        expectTruth([this] { return countOf(u"models"_s, u"killed-v2"_s); });
    }

    void loaderKilled_leavesUnknownAndTheTruthIsFound()
    {
        m_ctl->startBackend("[{\"route\":\"GET /hot_load/*\",\"action\":\"delay\",\"ms\":700}]");
        const auto base = trainedBase();
        createDeployment();
        {
            RunningCtl load(*m_ctl, { u"hotload"_s, base, u"--deployment"_s, u"eval"_s });
            QVERIFY2(load.says("accepted:"), load.words().constData());
            load.killNow();
        }
        QCOMPARE(newestState(), u"unknown"_s);
        expectTruth([this] { return servedCount(); });
        QCOMPARE(servedCount(), 1); // the server finishes what it has accepted
    }

    void backendKilledInALoad_leavesUnknownAndTheTruthIsFound()
    {
        m_ctl->startBackend("[{\"route\":\"GET /hot_load/*\",\"action\":\"delay\",\"ms\":1500}]");
        const auto base = trainedBase();
        createDeployment();
        RunningCtl load(*m_ctl, { u"hotload"_s, base, u"--deployment"_s, u"eval"_s });
        QVERIFY2(load.says("accepted:"), load.words().constData());
        killBackend();
        QCOMPARE(load.exitCode(90000), 6);
        QVERIFY(load.words().contains("did not answer"));
        expectTruth([this] { return servedCount(); });
        QCOMPARE(servedCount(), 1); // an accepted load is resumed by the next start
    }

    void trainerKilledInASave_leavesUnknownAndTheTruthIsFound()
    {
        m_ctl->startBackend("[{\"route\":\"POST *save_weights_for_sampler*\",\"nth\":2,"
                            "\"action\":\"delay\",\"ms\":1500}]");
        const auto run = longRun();
        const auto job = killedText(run["job"]);
        const auto first =
            m_ctl->local({ u"save"_s, job, u"--kind"_s, u"base"_s, u"--name"_s, u"first"_s });
        QVERIFY2(first.exitCode == 0, first.all().constData());
        {
            RunningCtl save(
                *m_ctl, { u"save"_s, job, u"--kind"_s, u"base"_s, u"--name"_s, u"second"_s });
            QVERIFY2(save.says("sent:"), save.words().constData());
            QTest::qWait(300); // the request to the server is under way
            ::kill(static_cast<pid_t>(run["pid"].get<qint64>()), SIGKILL);
            QCOMPARE(save.exitCode(60000), 6);
        }
        QCOMPARE(newestState(), u"unknown"_s);
        expectTruth([this, job] { return countOf(u"checkpoints"_s, u"second-"_s, job); });
        QCOMPARE(countOf(u"checkpoints"_s, u"first-"_s, job), 1);
    }

    void saverKilled_leavesUnknownAndTheTruthIsFound()
    {
        m_ctl->startBackend("[{\"route\":\"POST *save_weights_for_sampler*\","
                            "\"action\":\"delay\",\"ms\":1500}]");
        const auto job = killedText(longRun()["job"]);
        {
            RunningCtl save(
                *m_ctl, { u"save"_s, job, u"--kind"_s, u"base"_s, u"--name"_s, u"first"_s });
            QVERIFY2(save.says("sent:"), save.words().constData());
            save.killNow();
        }
        QCOMPARE(newestState(), u"unknown"_s);
        expectTruth([this, job] { return countOf(u"checkpoints"_s, u"first-"_s, job); });
        QCOMPARE(countOf(u"checkpoints"_s, u"first-"_s, job), 1); // the run was not disturbed
    }

private:
    /// A short training that leaves a base snapshot; its full name.
    QString trainedBase()
    {
        const auto recipe = m_ctl->writeRecipe({ { "max_steps", 2 } });
        const auto run =
            m_ctl->local({ u"train"_s, recipe, u"--run-dir"_s, m_ctl->path("runs/short") });
        if (run.exitCode != 0)
            qFatal("the training failed: %s", run.all().constData());
        const auto jobs = m_ctl->local({ u"jobs"_s, u"list"_s }).json();
        m_job = killedText(jobs["items"][0]["id"]);
        const auto rows = m_ctl->local({ u"checkpoints"_s, u"list"_s, m_job }).json();
        for (const auto& row : rows["items"]) {
            if (row["kind"] == "base")
                return killedText(row["name"]);
        }
        return {};
    }

    CtlJson longRun()
    {
        const auto recipe = m_ctl->writeRecipe({ { "max_steps", 100000 } });
        return m_ctl
            ->local({ u"train"_s, recipe, u"--run-dir"_s, m_ctl->path("runs/long"), u"--detach"_s })
            .json();
    }

    void createDeployment()
    {
        const auto made = m_ctl->local({ u"deployments"_s, u"create"_s, u"--job"_s, m_job,
            u"--name"_s, u"eval"_s, u"--replicas"_s, u"1"_s });
        QVERIFY2(made.exitCode == 0, made.all().constData());
    }

    void killBackend() { ::kill(static_cast<pid_t>(m_ctl->backendPid()), SIGKILL); }

    QString newestState()
    {
        const auto list = m_ctl->local({ u"operations"_s, u"list"_s }).json();
        return list["items"].empty() ? QString() : killedText(list["items"][0]["state"]);
    }

    int countOf(const QString& noun, const QString& idStart, const QString& job = {})
    {
        QStringList arguments { noun, u"list"_s };
        if (!job.isEmpty())
            arguments << job;
        int count = 0;
        const auto list = m_ctl->local(arguments).json();
        for (const auto& row : list["items"])
            count += killedText(row["id"]).startsWith(idStart) ? 1 : 0;
        return count;
    }

    int servedCount()
    {
        const auto row = m_ctl->local({ u"deployments"_s, u"show"_s, u"eval"_s }).json();
        return row["identity"].is_string() ? 1 : 0;
    }

    /// Reconciles until the end is known; then it is what the server has, once or not at all.
    template <class Count>
    void expectTruth(Count count)
    {
        QString state;
        for (int i = 0; i < 4 && state != u"succeeded" && state != u"failed"; ++i) {
            const auto found = m_ctl->run(
                { u"--connection"_s, u"local"_s, u"--json"_s, u"operations"_s, u"reconcile"_s },
                60000);
            state = newestState();
            QVERIFY2(!state.isEmpty(), found.all().constData());
        }
        const int there = count();
        QVERIFY2(there <= 1, "done twice");
        QCOMPARE(state, there == 1 ? u"succeeded"_s : u"failed"_s);
    }

    std::unique_ptr<CtlFixture> m_ctl;
    QString m_job;
};

} // namespace desk::test

QTEST_GUILESS_MAIN(desk::test::TestKilledPrograms)
#include "tst_killed_programs.moc"
