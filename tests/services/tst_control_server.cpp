// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/runs/control_socket.h"
#include "services/train/control_server.h"

#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QLocalSocket>
#include <QTemporaryDir>
#include <QTest>

using desk::ControlCommand;
using desk::ControlServer;
using desk::ControlStatus;
using namespace Qt::StringLiterals;

class TestControlServer : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void aClient_getsOneLineForEachLineInOrder()
    {
        const QTemporaryDir folder;
        int served = 0;
        ControlServer server([&served](const ControlCommand&, const ControlServer::Reply& reply) {
            reply("{\"n\":" + std::to_string(++served) + "}");
        });
        const QString path = folder.filePath(u"control.sock"_s);
        QVERIFY(server.listen(path).has_value());
        QCOMPARE(QFile::permissions(path) & 0x77, QFile::Permissions());
        QLocalSocket socket;
        socket.connectToServer(path);
        QVERIFY(socket.waitForConnected());
        socket.write("status\npause\nnonsense\ncontinue\n");
        QByteArray got;
        QTRY_VERIFY((got += socket.readAll()).count('\n') == 4);
        const QList<QByteArray> lines = got.split('\n');
        QCOMPARE(lines[0], QByteArray("{\"n\":1}"));
        QCOMPARE(lines[1], QByteArray("{\"n\":2}"));
        QVERIFY(lines[2].contains("\"usage\""));
        QCOMPARE(lines[3], QByteArray("{\"n\":3}"));
    }
    void aLineWithoutEnd_isRefused()
    {
        const QTemporaryDir folder;
        ControlServer server(
            [](const ControlCommand&, const ControlServer::Reply& reply) { reply("{}"); });
        const QString path = folder.filePath(u"control.sock"_s);
        QVERIFY(server.listen(path).has_value());
        QLocalSocket socket;
        socket.connectToServer(path);
        QVERIFY(socket.waitForConnected());
        socket.write(QByteArray(4000, 'x'));
        QTRY_COMPARE(socket.state(), QLocalSocket::UnconnectedState);
        QVERIFY(socket.readAll().contains("1 KiB"));
    }
    void aReplyAfterTheClientLeft_isDropped()
    {
        const QTemporaryDir folder;
        ControlServer::Reply kept;
        ControlServer server(
            [&kept](const ControlCommand&, const ControlServer::Reply& reply) { kept = reply; });
        const QString path = folder.filePath(u"control.sock"_s);
        QVERIFY(server.listen(path).has_value());
        {
            QLocalSocket socket;
            socket.connectToServer(path);
            QVERIFY(socket.waitForConnected());
            socket.write("status\n");
            QTRY_VERIFY(kept);
        }
        QTest::qWait(0);
        kept("{}");
    }
    void aSocketFileThatNobodyServes_isReplaced_oneThatIsServedIsNot()
    {
        const QTemporaryDir folder;
        const QString path = folder.filePath(u"control.sock"_s);
        const auto silent = [](const ControlCommand&, const ControlServer::Reply&) {};
        {
            QFile stale(path);
            QVERIFY(stale.open(QIODevice::WriteOnly));
        }
        ControlServer first(silent);
        QVERIFY(first.listen(path).has_value());
        ControlServer second(silent);
        const desk::Status refused = second.listen(path);
        QVERIFY(!refused.has_value());
        QCOMPARE(refused.error().code, desk::Error::Code::Conflict);
        QVERIFY(QFileInfo::exists(path));
    }
    void aFolderWithALongPath_isReachable()
    {
        const QTemporaryDir folder;
        const QString deep = folder.filePath(QString(90, u'd') + u'/' + QString(90, u'e'));
        QVERIFY(QDir().mkpath(deep));
        ControlServer server([](const ControlCommand&, const ControlServer::Reply& reply) {
            ControlStatus status;
            status.state = "training";
            status.step = 5;
            reply(encodeControlStatus(status));
        });
        const QString path = deep + u"/control.sock"_s;
        QVERIFY(server.listen(path).has_value());
        desk::ControlSocket client;
        const auto future = client.status(path);
        QTRY_VERIFY(future.isFinished());
        QVERIFY(future.result().has_value());
        QCOMPARE(future.result()->step.value_or(0), std::int64_t { 5 });
    }
};

QTEST_GUILESS_MAIN(TestControlServer)
#include "tst_control_server.moc"
