// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/desk/command_line.h"
#include "app/desk/message_log.h"
#include "app/desk/single_instance.h"

#include <QFile>
#include <QLocalSocket>
#include <QProcess>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

using namespace Qt::StringLiterals;
using namespace desk;

namespace {

Result<DeskOptions> parse(const QStringList& arguments)
{
    return parseDeskOptions(QStringList(u"trainerdesk"_s) + arguments, u"/home/m"_s);
}

} // namespace

class TestCommandLine final : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void init() { QTest::failOnWarning(QRegularExpression(u".*"_s)); }
    void options_areRead();
    void relativePaths_becomeAbsolute();
    void wrongOptions_areUsageErrors_data();
    void wrongOptions_areUsageErrors();
    void help_needsNoWindow();
    void handOver_roundTripsLineEndsInPaths();
    void handOver_tornOrHuge_isRefused_data();
    void handOver_tornOrHuge_isRefused();
    void secondInstance_handsItsMessageOver();
    void profiles_doNotSeeEachOther();
    void lockOfAKilledProcess_isTakenOver();
    void brokenMessage_isIgnored();
    void log_hidesSecrets_data();
    void log_hidesSecrets();
};

void TestCommandLine::options_areRead()
{
    const auto options = parse({ u"--local"_s, u"--theme"_s, u"dark"_s, u"--read-only"_s,
        u"--profile"_s, u"p"_s, u"run"_s });
    QVERIFY(options);
    QVERIFY(options->usesLocal);
    QVERIFY(options->isReadOnly);
    QCOMPARE(options->theme, u"dark"_s);
    QCOMPARE(options->profile, u"/home/m/p"_s);
    QCOMPARE(options->paths, QStringList(u"/home/m/run"_s));
}

void TestCommandLine::relativePaths_becomeAbsolute()
{
    QCOMPARE(parse({ u"../x/./y"_s })->paths, QStringList(u"/home/x/y"_s));
    QCOMPARE(parse({ u"/a b/ä"_s })->paths, QStringList(u"/a b/ä"_s));
}

void TestCommandLine::wrongOptions_areUsageErrors_data()
{
    QTest::addColumn<QStringList>("arguments");
    QTest::addRow("unknown option") << QStringList { u"--colour"_s };
    QTest::addRow("theme") << QStringList { u"--theme"_s, u"blue"_s };
    QTest::addRow("empty profile") << QStringList { u"--profile"_s, u""_s };
    QTest::addRow("local and another")
        << QStringList { u"--local"_s, u"--connection"_s, u"work"_s };
}

void TestCommandLine::wrongOptions_areUsageErrors()
{
    QFETCH(const QStringList, arguments);
    const auto options = parse(arguments);
    QVERIFY(!options);
    QVERIFY(options.error().code == Error::Code::Usage);
    QVERIFY(!options.error().next.empty());
}

void TestCommandLine::help_needsNoWindow()
{
    QProcess process;
    QProcessEnvironment environment;
    environment.insert(u"PATH"_s, u"/usr/bin:/bin"_s); // no DISPLAY, no platform
    process.setProcessEnvironment(environment);
    QSignalSpy finished(&process, &QProcess::finished);
    process.start(QStringLiteral(DESK_BIN_DIR "/trainerdesk"), { u"--help"_s });
    QTRY_COMPARE(finished.size(), 1);
    QCOMPARE(process.exitCode(), 0);
    QVERIFY(process.readAllStandardOutput().contains("--read-only"));
    QProcess wrong;
    wrong.setProcessEnvironment(environment);
    QSignalSpy ended(&wrong, &QProcess::finished);
    wrong.start(QStringLiteral(DESK_BIN_DIR "/trainerdesk"), { u"--nonsense"_s });
    QTRY_COMPARE(ended.size(), 1);
    QCOMPARE(wrong.exitCode(), 2);
}

void TestCommandLine::handOver_roundTripsLineEndsInPaths()
{
    DeskOptions options;
    options.paths = { u"/a b\nc"_s, u"/ä%20"_s };
    options.usesLocal = true;
    options.connection = u"work"_s;
    options.wantsNewWindow = true;
    const auto back = decodeHandOver(encodeHandOver(options));
    QVERIFY(back);
    QVERIFY(*back == options);
}

void TestCommandLine::handOver_tornOrHuge_isRefused_data()
{
    QTest::addColumn<QByteArray>("text");
    QTest::addRow("torn") << QByteArray("path /a\n");
    QTest::addRow("empty") << QByteArray();
    QTest::addRow("no value") << QByteArray("path\nend\n");
    QTest::addRow("huge") << QByteArray("path " + QByteArray(70'000, 'x') + "\nend\n");
}

void TestCommandLine::handOver_tornOrHuge_isRefused()
{
    QFETCH(const QByteArray, text);
    QVERIFY(!decodeHandOver(text));
}

void TestCommandLine::secondInstance_handsItsMessageOver()
{
    const QTemporaryDir folder;
    SingleInstance first(folder.path());
    QVERIFY(first.acquire("end\n"));
    QSignalSpy received(&first, &SingleInstance::messageReceived);
    // The second one waits for an answer, so it is another process, as in life.
    QProcess second;
    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
    environment.insert(u"QT_QPA_PLATFORM"_s, u"offscreen"_s);
    second.setProcessEnvironment(environment);
    const QTemporaryDir profile;
    QVERIFY(QDir(profile.path()).mkpath(u"state"_s));
    SingleInstance holder(profile.filePath(u"state"_s));
    QVERIFY(holder.acquire("end\n"));
    QSignalSpy handed(&holder, &SingleInstance::messageReceived);
    QSignalSpy finished(&second, &QProcess::finished);
    second.start(QStringLiteral(DESK_BIN_DIR "/trainerdesk"),
        { u"--profile"_s, profile.path(), u"--local"_s, u"/some/run"_s });
    QTRY_COMPARE_WITH_TIMEOUT(finished.size(), 1, 20000);
    QCOMPARE(second.exitCode(), 0);
    QCOMPARE(handed.size(), 1);
    const auto options = decodeHandOver(handed.at(0).at(0).toByteArray());
    QVERIFY(options);
    QVERIFY(options->usesLocal);
    QCOMPARE(options->paths, QStringList(u"/some/run"_s));
    QCOMPARE(received.size(), 0);
}

void TestCommandLine::profiles_doNotSeeEachOther()
{
    const QTemporaryDir one;
    const QTemporaryDir two;
    SingleInstance first(one.path());
    SingleInstance second(two.path());
    QVERIFY(first.acquire("end\n"));
    QVERIFY(second.acquire("end\n"));
}

void TestCommandLine::lockOfAKilledProcess_isTakenOver()
{
    const QTemporaryDir folder;
    QFile lock(folder.filePath(u"window.lock"_s));
    QVERIFY(lock.open(QIODevice::WriteOnly));
    lock.write("999999999\ntrainerdesk\n" + QSysInfo::machineHostName().toUtf8() + "\n");
    lock.close();
    SingleInstance first(folder.path());
    QVERIFY(first.acquire("end\n"));
}

void TestCommandLine::brokenMessage_isIgnored()
{
    const QTemporaryDir folder;
    auto first = std::make_unique<SingleInstance>(folder.path());
    QVERIFY(first->acquire("end\n"));
    QSignalSpy received(first.get(), &SingleInstance::messageReceived);
    first.reset(); // ends with a client that never came: nothing to wait for
    QCOMPARE(received.size(), 0);
}

void TestCommandLine::log_hidesSecrets_data()
{
    QTest::addColumn<QString>("text");
    QTest::addColumn<QString>("shown");
    QTest::addRow("key") << u"sent fw_3ZabcdefGHI to x"_s << u"sent [redacted] to x"_s;
    QTest::addRow("bearer") << u"Authorization: Bearer abc.def"_s << u"Authorization: [redacted]"_s;
    QTest::addRow("json") << u"{\"apiKey\":\"abc\"}"_s << u"{\"apiKey\":\"[redacted]\"}"_s;
    QTest::addRow("plain") << u"step 12 of 40"_s << u"step 12 of 40"_s;
}

void TestCommandLine::log_hidesSecrets()
{
    QFETCH(const QString, text);
    QTEST(withoutSecrets(text), "shown");
}

QTEST_GUILESS_MAIN(TestCommandLine)
#include "tst_command_line.moc"
