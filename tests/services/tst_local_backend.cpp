// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/runs/local_backend.h"
#include "services/runs/train_launcher.h"
#include "services/store/process_identity.h"
#include "tests/support/scripted_server.h"

#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QLocalServer>
#include <QLocalSocket>
#include <QRegularExpression>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include <csignal>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    template <class T>
    Result<T> ended(QFuture<Result<T>> future)
    {
        [&] { QTRY_VERIFY_WITH_TIMEOUT(future.isFinished(), 10000); }();
        return future.isFinished() && future.resultCount() > 0
            ? future.result()
            : Result<T>(Error { Error::Code::Canceled, "no result" });
    }

    void write(const QString& path, const QByteArray& text, bool isProgram = false)
    {
        QFile file(path);
        QVERIFY(file.open(QIODevice::WriteOnly));
        QCOMPARE(file.write(text), text.size());
        if (isProgram)
            file.setPermissions(file.permissions() | QFileDevice::ExeOwner);
    }

} // namespace

/// A shell script stands in for the programs; the HTTP side is the scripted server.
class TestLocalBackend final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        QTest::failOnWarning(QRegularExpression(u".*"_s));
        m_dir = std::make_unique<QTemporaryDir>();
        m_profile = profileAt(m_dir->filePath(u"profil ä"_s));
        QVERIFY(ensureProfile(m_profile));
        m_program = m_dir->filePath(u"trainerdesk-local"_s);
        m_server = std::make_unique<test::ScriptedServer>();
        m_server->route = [this](const test::SeenRequest& request) {
            test::Answer answer;
            answer.status = request.headers.value("authorization") == m_acceptedKey ? 200 : 401;
            return answer;
        };
        m_acceptedKey = "Bearer k1";
        write(m_profile.localDir + u"/key"_s, "k1\n");
        QVERIFY(QFile::copy(u"/bin/sleep"_s, m_dir->filePath(u"trainerdesk-local-sleep"_s)));
    }
    void cleanup()
    {
        QFile pids(m_dir->filePath(u"pids"_s));
        if (pids.open(QIODevice::ReadOnly)) {
            for (const auto& line : pids.readAll().split('\n')) {
                const auto pid = line.toLongLong();
                if (pid > 1
                    && processExecutable(pid).find("trainerdesk-local-sleep") != std::string::npos)
                    ::kill(static_cast<pid_t>(pid), SIGKILL);
            }
        }
    }

    void start_waitsForTheReadyLine()
    {
        writeServingProgram();
        LocalBackend backend(m_profile, m_program, { u"--threads"_s, u"1"_s });
        QSignalSpy states(&backend, &LocalBackend::stateChanged);
        const auto first = backend.start();
        const auto second = backend.start(); // one start for both
        const auto info = ended(first);
        QVERIFY2(info, info ? "" : info.error().message.c_str());
        QVERIFY(ended(second));
        QVERIFY(info->wasStarted);
        QCOMPARE(info->url, m_server->url());
        QCOMPARE(backend.state(), LocalBackend::State::Serving);
        QCOMPARE(states.count(), 2);
        QCOMPARE(backend.connection().name, std::string("local"));
        QVERIFY(backend.connection().safetyLevel == SafetyLevel::Free);
        QCOMPARE(startCount(), 1);
        QVERIFY(readText(u"arguments"_s).contains("--threads 1"));
    }

    void secondDesk_joins()
    {
        writeServingProgram();
        LocalBackend first(m_profile, m_program);
        QVERIFY(ended(first.start()));
        LocalBackend second(m_profile, m_program);
        const auto info = ended(second.start());
        QVERIFY(info);
        QVERIFY(!info->wasStarted);
        QCOMPARE(startCount(), 1);
    }

    void backendOutlivesTheDesk()
    {
        writeServingProgram();
        std::int64_t pid = 0;
        {
            LocalBackend backend(m_profile, m_program);
            pid = ended(backend.start())->pid;
        }
        QVERIFY(processStartTicks(pid));
    }

    void readyFileOfADeadBackend_isReplaced()
    {
        writeServingProgram();
        write(m_profile.readyFile(), readyLine("999999999"));
        LocalBackend backend(m_profile, m_program);
        const auto info = ended(backend.start());
        QVERIFY(info);
        QVERIFY(info->wasStarted);
    }

    void tornReadyFile_isIgnored()
    {
        writeServingProgram();
        write(m_profile.readyFile(), "{\"url\":");
        LocalBackend backend(m_profile, m_program);
        QVERIFY(ended(backend.start()));
    }

    void wrongKey_isSaid()
    {
        writeServingProgram();
        m_acceptedKey = "Bearer another";
        LocalBackend backend(m_profile, m_program);
        const auto failed = ended(backend.start());
        QVERIFY(!failed);
        QVERIFY(failed.error().code == Error::Code::Auth);
        QCOMPARE(backend.state(), LocalBackend::State::Failed);
    }

    void missingProgram_isSaid()
    {
        LocalBackend backend(m_profile, m_dir->filePath(u"nothing"_s));
        const auto failed = ended(backend.start());
        QVERIFY(!failed);
        QVERIFY(failed.error().code == Error::Code::NotFound);
    }

    void programThatEnds_isSaidWithItsLastWords()
    {
        write(m_program, "#!/bin/sh\necho 'process 4711 holds this folder' >&2\nexit 4\n", true);
        LocalBackend backend(m_profile, m_program);
        const auto failed = ended(backend.start());
        QVERIFY(!failed);
        QVERIFY(failed.error().message.find("process 4711 holds this folder") != std::string::npos);
        QVERIFY(failed.error().next.find("backend.log") != std::string::npos);
        writeServingProgram(); // and a second try works
        QVERIFY(ended(backend.start()));
    }

    void stopIfIdle_endsTheProcess()
    {
        writeServingProgram();
        LocalBackend backend(m_profile, m_program);
        const auto pid = ended(backend.start())->pid;
        const auto stopped = ended(backend.stopIfIdle());
        QVERIFY(stopped);
        QVERIFY(*stopped);
        QVERIFY(!processStartTicks(pid));
        QCOMPARE(backend.state(), LocalBackend::State::Stopped);
        QVERIFY(!backend.info());
    }

    void stopIfIdle_leavesItToARun()
    {
        writeServingProgram();
        LocalBackend backend(m_profile, m_program);
        const auto pid = ended(backend.start())->pid;
        QVERIFY(QDir().mkpath(m_profile.runsDir + u"/r1"_s));
        QLocalServer run;
        QVERIFY(run.listen(m_profile.runsDir + u"/r1/control.sock"_s));
        connect(&run, &QLocalServer::newConnection, this, [&run] {
            auto* socket = run.nextPendingConnection();
            connect(socket, &QLocalSocket::readyRead, socket,
                [socket] { socket->write("{\"state\":\"training\"}\n"); });
        });
        const auto stopped = ended(backend.stopIfIdle());
        QVERIFY(stopped);
        QVERIFY(!*stopped);
        QVERIFY(processStartTicks(pid));
    }

    void train_reportsTheFirstLine()
    {
        write(m_program,
            "#!/bin/sh\nprintf '%s\\n' \"$*\" > '" + m_dir->filePath(u"arguments"_s).toUtf8()
                + "'\nprintf '{\"run_dir\":\"/r\",\"job\":\"j\",\"pid\":7,"
                  "\"control_socket\":\"/r/control.sock\"}\\n'\n",
            true);
        TrainLauncher launcher(m_profile, m_program);
        QSignalSpy prepared(&launcher, &TrainLauncher::runDirPrepared);
        TrainRequest request;
        request.isSample = true;
        const auto started = ended(launcher.start(request));
        QVERIFY(started);
        QCOMPARE(started->pid, std::int64_t { 7 });
        QCOMPARE(prepared.count(), 1);
        const auto runDir = prepared.first().first().toString();
        QVERIFY(QFileInfo(runDir).isDir());
        QCOMPARE(QString::fromUtf8(readText(u"arguments"_s)).trimmed(),
            u"--profile %1 --connection local --json train --sample --detach --run-dir %2"_s.arg(
                m_profile.root, runDir));
    }

    void train_writesTheRecipe()
    {
        write(m_program,
            "#!/bin/sh\ncat \"$7\" > '" + m_dir->filePath(u"seen"_s).toUtf8()
                + "'\nprintf '{\"run_dir\":\"/r\"}\\n'\n",
            true);
        TrainLauncher launcher(m_profile, m_program);
        TrainRequest request;
        request.recipe = "{\"max_steps\":5}";
        request.label = u"Mein Text"_s;
        QVERIFY(ended(launcher.start(request)));
        QCOMPARE(readText(u"seen"_s), QByteArray("{\"max_steps\":5}"));
    }

    void trainThatFails_isSaid_data()
    {
        QTest::addColumn<QByteArray>("script");
        QTest::addColumn<QByteArray>("words");
        QTest::addRow("stderr") << QByteArray("echo 'no such model' >&2; exit 4")
                                << QByteArray("no such model");
        QTest::addRow("json error") << QByteArray(
            "echo '{\"error\":{\"code\":\"quota\",\"message\":\"over quota\"}}'; exit 4")
                                    << QByteArray("over quota");
        QTest::addRow("killed") << QByteArray("kill -9 $$") << QByteArray("before its first step");
        QTest::addRow("nonsense") << QByteArray("echo nonsense")
                                  << QByteArray("before its first step");
    }
    void trainThatFails_isSaid()
    {
        QFETCH(const QByteArray, script);
        QFETCH(const QByteArray, words);
        write(m_program, "#!/bin/sh\n" + script + '\n', true);
        TrainLauncher launcher(m_profile, m_program);
        TrainRequest request;
        request.isSample = true;
        const auto failed = ended(launcher.start(request));
        QVERIFY(!failed);
        QVERIFY2(failed.error().message.find(words.toStdString()) != std::string::npos,
            failed.error().message.c_str());
    }

    void trainWithoutAnything_isRefused()
    {
        TrainLauncher launcher(m_profile, m_dir->filePath(u"nothing"_s));
        QVERIFY(ended(launcher.start({})).error().code == Error::Code::Usage);
        TrainRequest request;
        request.isSample = true;
        QVERIFY(ended(launcher.start(request)).error().code == Error::Code::NotFound);
    }

private:
    QByteArray readyLine(const QByteArray& pid) const
    {
        return "{\"url\":\"" + m_server->url().toUtf8() + "\",\"account\":\"local\",\"key_file\":\""
            + m_profile.localDir.toUtf8()
            + "/key\",\"base_model\":\"m\",\"vocab_size\":259,"
              "\"models\":[],\"pid\":"
            + pid + ",\"version\":\"1\"}";
    }
    /// Prints its ready line into the file it is told, then sleeps under a name of its own.
    void writeServingProgram()
    {
        const auto dir = m_dir->path().toUtf8();
        write(m_program,
            "#!/bin/sh\necho $$ >> '" + dir + "/pids'\necho \"$*\" > '" + dir
                + "/arguments'\ncat > \"$4.new\" <<E\n" + readyLine("$$")
                + "\nE\nmv \"$4.new\" \"$4\"\nexec '" + dir + "/trainerdesk-local-sleep' 60\n",
            true);
    }
    QByteArray readText(const QString& name) const
    {
        QFile file(m_dir->filePath(name));
        return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
    }
    qsizetype startCount() const { return readText(u"pids"_s).count('\n'); }

    std::unique_ptr<QTemporaryDir> m_dir;
    Profile m_profile;
    QString m_program;
    std::unique_ptr<test::ScriptedServer> m_server;
    QByteArray m_acceptedKey;
};

} // namespace desk

QTEST_GUILESS_MAIN(desk::TestLocalBackend)
#include "tst_local_backend.moc"
