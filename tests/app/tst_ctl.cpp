// SPDX-License-Identifier: GPL-3.0-or-later
// What trainerdesk-ctl promises before any server is asked: exit codes, JSON errors, ledgers.
#include "tests/app/ctl_fixture.h"

#include <QTcpServer>

using desk::test::CtlFixture;
using desk::test::CtlJson;
using desk::test::CtlRun;
using namespace Qt::StringLiterals;

class TestCtl : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void help_beginsWithOneSentenceAndListsTheVerbs()
    {
        const CtlRun help = m_ctl.run({ u"--help"_s });
        QCOMPARE(help.exitCode, 0);
        QVERIFY(help.out.startsWith("Does without a window what Trainer Desk does"));
        for (const char* verb : { "connections", "jobs", "checkpoints", "save", "promote",
                 "hotload", "models", "deployments", "operations", "train", "metrics", "complete" })
            QVERIFY2(help.out.contains(verb), verb);
        const CtlRun checkpoints = m_ctl.run({ u"checkpoints"_s, u"--help"_s });
        QVERIFY(checkpoints.out.contains("extend") && checkpoints.out.contains("delete"));
        const CtlRun deployments = m_ctl.run({ u"deployments"_s, u"--help"_s });
        QVERIFY(deployments.out.contains("scale") && deployments.out.contains("previous"));
        QVERIFY(m_ctl.run({ u"models"_s, u"--help"_s }).out.contains("export"));
        for (const char* word : { "create", "resume", "cancel", "delete" }) {
            const CtlRun one = m_ctl.run({ u"jobs"_s, QLatin1String(word), u"--help"_s });
            QVERIFY2(one.out.contains("--dry-run"), word);
        }
        QVERIFY(m_ctl.run({ u"promote"_s, u"--help"_s }).out.contains("Example:"));
        QVERIFY(m_ctl.run({ u"--version"_s }).out.startsWith("trainerdesk-ctl "));
    }
    void wrongCommandLines_exit2_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::newRow("nothing") << QStringList {};
        QTest::newRow("no such verb") << QStringList { u"explode"_s };
        QTest::newRow("group alone") << QStringList { u"jobs"_s };
        QTest::newRow("kind") << QStringList { u"save"_s, u"j"_s, u"--kind"_s, u"huge"_s,
            u"--name"_s, u"n"_s };
        QTest::newRow("no lifetime") << QStringList { u"checkpoints"_s, u"extend"_s, u"j/c"_s };
        QTest::newRow("no number") << QStringList { u"deployments"_s, u"scale"_s, u"d"_s };
        QTest::newRow("no folder") << QStringList { u"models"_s, u"export"_s, u"m"_s };
        QTest::newRow("no model id") << QStringList { u"promote"_s, u"j/c"_s };
        QTest::newRow("two sources") << QStringList { u"train"_s, u"r.json"_s, u"--sample"_s };
        QTest::newRow("continue alone") << QStringList { u"train"_s, u"--continue"_s };
        QTest::newRow("nobody asked") << QStringList { u"complete"_s, u"hello"_s };
        QTest::newRow("no connection yet") << QStringList { u"jobs"_s, u"list"_s };
        QTest::newRow("plain http")
            << QStringList { u"connections"_s, u"add"_s, u"x"_s, u"http://example.com"_s };
    }
    void wrongCommandLines_exit2()
    {
        QFETCH(QStringList, arguments);
        const CtlFixture fresh;
        const CtlRun text = fresh.run(arguments);
        QCOMPARE(text.exitCode, 2);
        QVERIFY(text.out.isEmpty());
        QVERIFY(!text.err.isEmpty());
        const CtlRun json = fresh.run(QStringList { u"--json"_s } + arguments);
        QCOMPARE(json.exitCode, 2);
        QCOMPARE(json.json()["error"]["code"].get<std::string>(), "usage");
        QVERIFY(json.json()["error"].contains("next"));
    }
    void optionsStandBeforeOrAfterTheVerb()
    {
        const CtlRun before = m_ctl.run({ u"--json"_s, u"operations"_s, u"list"_s });
        const CtlRun after = m_ctl.run({ u"operations"_s, u"list"_s, u"--json"_s });
        QCOMPARE(before.exitCode, 0);
        QCOMPARE(after.exitCode, 0);
        QVERIFY(before.json()["items"].empty());
        QVERIFY(after.json()["items"].empty());
    }
    void anUnknownConnection_exits1()
    {
        const CtlRun run =
            m_ctl.run({ u"jobs"_s, u"list"_s, u"--connection"_s, u"nowhere"_s, u"--json"_s });
        QCOMPARE(run.exitCode, 1);
        QCOMPARE(run.json()["error"]["code"].get<std::string>(), "not_found");
    }
    void aServerThatIsNotThere_exits4()
    {
        QTcpServer reserved; // a port that nobody listens on once it is closed
        QVERIFY(reserved.listen(QHostAddress::LocalHost));
        const QString url = u"http://127.0.0.1:%1"_s.arg(reserved.serverPort());
        reserved.close();
        QProcess process;
        const CtlRun run = m_ctl.run({ u"jobs"_s, u"list"_s, u"--connection"_s, url, u"--json"_s });
        QCOMPARE(run.exitCode, 4);
        QCOMPARE(run.json()["error"]["code"].get<std::string>(), "unreachable");
    }
    void connections_areKeptAndRemoved()
    {
        const CtlFixture fresh;
        QCOMPARE(fresh.run({ u"connections"_s, u"add"_s, u"work"_s, u"https://example.com/"_s })
                     .exitCode,
            0);
        const CtlJson list = fresh.run({ u"connections"_s, u"list"_s, u"--json"_s }).json();
        QCOMPARE(list["items"].size(), std::size_t { 2 });
        QCOMPARE(list["items"][1]["url"].get<std::string>(), "https://example.com");
        QCOMPARE(fresh.run({ u"connections"_s, u"remove"_s, u"work"_s }).exitCode, 0);
        QCOMPARE(fresh.run({ u"connections"_s, u"remove"_s, u"work"_s }).exitCode, 1);
    }
    void metricsRead_describesALedger()
    {
        const QString path = QStringLiteral(DESK_TEST_DATA "/metrics/jsonl-damaged/run");
        const CtlRun run = m_ctl.run({ u"metrics"_s, u"read"_s, path, u"--json"_s });
        QCOMPARE(run.exitCode, 0);
        QCOMPARE(run.json()["malformed"]["skipped"].get<int>(), 10);
        QCOMPARE(run.json()["runs"][0]["metrics"]["loss"]["points"].get<int>(), 20);
        QVERIFY(!run.json()["runs"][0]["metrics"]["loss"].contains("values"));
        const CtlRun text = m_ctl.run({ u"metrics"_s, u"read"_s, path });
        QVERIFY(text.out.contains("line 3 skipped"));
        QCOMPARE(m_ctl.run({ u"metrics"_s, u"read"_s, m_ctl.path("none") }).exitCode, 3);
    }
    void aBadRecipe_exits3AndNamesTheNearestKey()
    {
        const QString recipe = m_ctl.writeRecipe({ { "learning_rat", 1 } });
        const CtlRun run = m_ctl.run({ u"--connection"_s, u"local"_s, u"train"_s, recipe,
            u"--run-dir"_s, m_ctl.path("bad"), u"--json"_s });
        QCOMPARE(run.exitCode, 3);
        QVERIFY(run.json()["error"]["message"].get<std::string>().find("`learning_rate`")
            != std::string::npos);
    }
    void continuingNothing_exits1()
    {
        QDir().mkpath(m_ctl.path("empty"));
        const CtlRun run = m_ctl.run(
            { u"train"_s, u"--continue"_s, u"--run-dir"_s, m_ctl.path("empty"), u"--json"_s });
        QCOMPARE(run.exitCode, 1);
        QCOMPARE(run.json()["error"]["code"].get<std::string>(), "not_found");
    }
    void aKeyFileThatIsNotThere_exits3()
    {
        const CtlRun run = m_ctl.run({ u"jobs"_s, u"list"_s, u"--connection"_s,
            u"http://127.0.0.1:9"_s, u"--key-file"_s, m_ctl.path("nokey") });
        QCOMPARE(run.exitCode, 3);
    }

private:
    CtlFixture m_ctl;
};

QTEST_GUILESS_MAIN(TestCtl)
#include "tst_ctl.moc"
