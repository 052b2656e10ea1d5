// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/runs/control_socket.h"

#include <QDir>
#include <QFile>
#include <QLocalServer>
#include <QLocalSocket>
#include <QRegularExpression>
#include <QTemporaryDir>
#include <QTest>

#include <functional>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    /// A run that answers each command line by a function; no answer: it hangs.
    class FakeRun final
    {
    public:
        std::function<QByteArray(const QByteArray& line)> answer;
        bool closesAtOnce = false;
        QList<QByteArray> lines;

        bool listen(const QString& path)
        {
            QObject::connect(&m_server, &QLocalServer::newConnection, &m_server, [this] {
                auto* socket = m_server.nextPendingConnection();
                QObject::connect(socket, &QLocalSocket::readyRead, &m_server, [this, socket] {
                    if (!socket->canReadLine())
                        return;
                    lines.append(socket->readLine().trimmed());
                    if (closesAtOnce)
                        return socket->disconnectFromServer();
                    if (const auto reply = answer ? answer(lines.last()) : QByteArray();
                        !reply.isEmpty())
                        socket->write(reply);
                });
            });
            return m_server.listen(path);
        }

    private:
        QLocalServer m_server;
    };

} // namespace

class TestControlSocket final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        QTest::failOnWarning(QRegularExpression(u".*"_s));
        m_dir = std::make_unique<QTemporaryDir>();
        m_path = m_dir->filePath(u"control.sock"_s);
    }

    void status_isDecoded()
    {
        FakeRun run;
        run.answer = [](const QByteArray&) {
            return QByteArray(
                "{\"state\":\"training\",\"job\":\"accounts/local/rlorTrainerJobs/j\","
                "\"pid\":42,\"step\":7,\"total_steps\":100,\"loss\":2.5}\n");
        };
        QVERIFY(run.listen(m_path));
        ControlSocket control;
        const auto reply = control.status(m_path);
        QTRY_VERIFY(reply.isFinished());
        const auto status = reply.result();
        QVERIFY(status);
        QCOMPARE(status->state, std::string("training"));
        QCOMPARE(status->step.value(), std::int64_t { 7 });
        QCOMPARE(status->loss.value(), 2.5);
        QCOMPARE(run.lines, QList<QByteArray> { "status" });
    }

    void save_sendsOneLineAndGivesTheResult()
    {
        FakeRun run;
        run.answer = [](const QByteArray&) {
            return QByteArray("{\"path\":\"/x\",\"snapshot_name\":\"step-2-a1b2c3d4\",\"name\":"
                              "\"accounts/l/rlorTrainerJobs/j/checkpoints/step-2-a1b2c3d4\","
                              "\"kind\":\"delta\",\"parent\":\"step-1-a1b2c3d4\",\"bytes\":10,"
                              "\"ratio\":12.5,\"changed_fraction\":0.25}\n");
        };
        QVERIFY(run.listen(m_path));
        ControlSocket control;
        const auto reply = control.save(m_path, "delta", "step-2", 3600);
        QTRY_VERIFY(reply.isFinished());
        QVERIFY(reply.result());
        QCOMPARE(reply.result()->ratio.value(), 12.5);
        QCOMPARE(reply.result()->parent, std::string("step-1-a1b2c3d4"));
        QCOMPARE(run.lines, QList<QByteArray> { "save delta step-2 3600" });
    }

    void nameWithASpace_isNotSent()
    {
        FakeRun run;
        QVERIFY(run.listen(m_path));
        ControlSocket control;
        const auto reply = control.save(m_path, "base", "two words", 0);
        QVERIFY(reply.isFinished());
        QVERIFY(reply.result().error().code == Error::Code::Usage);
        QVERIFY(run.lines.isEmpty());
    }

    void errorOfTheRun_isPassedOn()
    {
        FakeRun run;
        run.answer = [](const QByteArray&) {
            return QByteArray("{\"error\":{\"code\":\"refused\",\"message\":\"no base yet\","
                              "\"unchanged\":\"nothing was saved\",\"next\":\"save a base\"}}\n");
        };
        QVERIFY(run.listen(m_path));
        ControlSocket control;
        const auto reply = control.save(m_path, "delta", "d", 0);
        QTRY_VERIFY(reply.isFinished());
        QVERIFY(reply.result().error().code == Error::Code::Refused);
        QCOMPARE(reply.result().error().message, std::string("no base yet"));
    }

    void noSocket_isUnreachable()
    {
        ControlSocket control;
        for (const auto& path : { QString(), m_path }) {
            const auto reply = control.save(path, "base", "b", 0);
            QTRY_VERIFY(reply.isFinished());
            QVERIFY(reply.result().error().code == Error::Code::Unreachable);
        }
    }

    void socketNobodyServes_isUnreachable()
    {
        { // a file that is left of a killed run
            QLocalServer server;
            QVERIFY(server.listen(m_path));
            QVERIFY(QFile::link(m_path, m_dir->filePath(u"left.sock"_s)));
        }
        QFile file(m_path);
        QVERIFY(file.open(QIODevice::WriteOnly));
        ControlSocket control;
        const auto reply = control.status(m_path);
        QTRY_VERIFY(reply.isFinished());
        QVERIFY(reply.result().error().code == Error::Code::Unreachable);
    }

    void hangingRun_leavesASaveUnknownAndAStatusUnreachable()
    {
        FakeRun run;
        QVERIFY(run.listen(m_path));
        ControlSocket control;
        const auto save = control.save(m_path, "base", "b", 0, 100);
        const auto status = control.status(m_path, 100);
        QTRY_VERIFY(save.isFinished() && status.isFinished());
        QVERIFY(save.result().error().code == Error::Code::Unknown);
        QVERIFY(status.result().error().code == Error::Code::Unreachable);
    }

    void runThatDiesInASave_leavesItUnknown()
    {
        FakeRun run;
        run.closesAtOnce = true;
        QVERIFY(run.listen(m_path));
        ControlSocket control;
        const auto reply = control.save(m_path, "base", "b", 0);
        QTRY_VERIFY(reply.isFinished());
        QVERIFY(reply.result().error().code == Error::Code::Unknown);
    }

    void endlessReply_isRefused()
    {
        FakeRun run;
        run.answer = [](const QByteArray&) { return QByteArray(3 << 20, 'x'); };
        QVERIFY(run.listen(m_path));
        ControlSocket control;
        const auto reply = control.status(m_path);
        QTRY_VERIFY(reply.isFinished());
        QVERIFY(reply.result().error().code == Error::Code::Malformed);
    }

    void longPath_isReached()
    {
        const auto deep = m_dir->filePath(QString(60, u'a') + u'/' + QString(60, u'b'));
        QVERIFY(QDir().mkpath(deep));
        FakeRun run;
        run.answer = [](const QByteArray&) { return QByteArray("{\"state\":\"paused\"}\n"); };
        QVERIFY(run.listen(m_path));
        QVERIFY(QFile::rename(m_path, deep + u"/control.sock"_s));
        ControlSocket control;
        const auto reply = control.status(deep + u"/control.sock"_s);
        QTRY_VERIFY(reply.isFinished());
        QVERIFY(reply.result());
        QCOMPARE(reply.result()->state, std::string("paused"));
    }

    void destroyedSocket_cancels()
    {
        FakeRun run;
        QVERIFY(run.listen(m_path));
        auto control = std::make_unique<ControlSocket>();
        const auto reply = control->command(m_path, "status", 60000);
        control.reset();
        QVERIFY(reply.isCanceled());
    }

    void commandLines_data()
    {
        QTest::addColumn<QByteArray>("line");
        QTest::addColumn<bool>("isFine");
        QTest::addRow("status") << QByteArray("status") << true;
        QTest::addRow("save") << QByteArray("save base step-0010") << true;
        QTest::addRow("save ttl") << QByteArray("save state s 60") << true;
        QTest::addRow("empty") << QByteArray() << false;
        QTest::addRow("unknown") << QByteArray("explode") << false;
        QTest::addRow("kind") << QByteArray("save full s") << false;
        QTest::addRow("no name") << QByteArray("save base") << false;
        QTest::addRow("slash") << QByteArray("save base ../x") << false;
        QTest::addRow("hidden") << QByteArray("save base .x") << false;
        QTest::addRow("ttl text") << QByteArray("save base x 1h") << false;
        QTest::addRow("ttl zero") << QByteArray("save base x 0") << false;
        QTest::addRow("ttl huge") << QByteArray("save base x 99999999999999999999") << false;
        QTest::addRow("too many") << QByteArray("save base x 1 2") << false;
        QTest::addRow("long") << QByteArray("save base ") + QByteArray(2000, 'x') << false;
    }
    void commandLines()
    {
        QFETCH(const QByteArray, line);
        QFETCH(const bool, isFine);
        const auto parsed =
            parseControlCommand({ line.constData(), static_cast<std::size_t>(line.size()) });
        QCOMPARE(parsed.has_value(), isFine);
    }

private:
    std::unique_ptr<QTemporaryDir> m_dir;
    QString m_path;
};

} // namespace desk

QTEST_GUILESS_MAIN(desk::TestControlSocket)
#include "tst_control_socket.moc"
