// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/http/http_client.h"
#include "tests/support/await_future.h"

#include <QFile>
#include <QSslCertificate>
#include <QSslConfiguration>
#include <QSslKey>
#include <QSslServer>
#include <QSslSocket>
#include <QTest>

#include <memory>

using namespace desk;
using namespace desk::test;
using namespace Qt::StringLiterals;

namespace {

QString dataFile(const QString& name)
{
    return QStringLiteral(DESK_TEST_DATA "/http/") + name;
}

} // namespace

/// A server whose authority only the tests know.
class TlsTest final : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<QSslServer> m_server;
    QByteArray m_received; // in clear text

    Result<HttpReply> get(const std::string& caFile = {})
    {
        Connection connection;
        connection.url = "https://127.0.0.1:" + std::to_string(m_server->serverPort());
        connection.caFile = caFile;
        HttpClient client(connection, [] { return "fw_secret"_ba; });
        HttpRequest request;
        request.url = client.url("/v1/accounts");
        request.isIdempotent = true;
        request.doing = "list the accounts";
        return await(client.send(std::move(request)));
    }

private Q_SLOTS:
    void initTestCase()
    {
        if (!QSslSocket::supportsSsl())
            QSKIP("no TLS library");
    }
    void init()
    {
        qunsetenv("SSL_CERT_FILE");
        qunsetenv("SSL_CERT_DIR");
        m_received.clear();
        QFile key(dataFile(u"server.key"_s));
        QVERIFY(key.open(QIODevice::ReadOnly));
        auto configuration = QSslConfiguration::defaultConfiguration();
        configuration.setLocalCertificateChain(
            QSslCertificate::fromPath(dataFile(u"server.pem"_s)));
        configuration.setPrivateKey(QSslKey(&key, QSsl::Ec));
        m_server = std::make_unique<QSslServer>();
        m_server->setSslConfiguration(configuration);
        QVERIFY(m_server->listen(QHostAddress::LocalHost));
        connect(m_server.get(), &QSslServer::pendingConnectionAvailable, this, [this] {
            auto* socket = m_server->nextPendingConnection();
            connect(socket, &QTcpSocket::readyRead, this, [this, socket] {
                m_received += socket->readAll();
                if (m_received.contains("\r\n\r\n"))
                    socket->write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
            });
        });
    }
    void cleanup() { m_server.reset(); }

    void p041_unknownAuthorityIsRefusedBeforeTheKeyIsSent()
    {
        const auto reply = get();
        QCOMPARE(codeOf(reply), "unreachable"_ba);
        const auto& message = reply.error().message;
        QVERIFY2(message.find("127.0.0.1") != std::string::npos, message.c_str());
        QVERIFY2(message.find("issuer: Desk Test CA") != std::string::npos, message.c_str());
        QCOMPARE(reply.error().unchanged, std::string("Nothing was sent"));
        QVERIFY(reply.error().next.find("CA file") != std::string::npos);
        QVERIFY(reply.error().next.find("SSL_CERT_FILE") != std::string::npos);
        QVERIFY(m_received.isEmpty());
    }

    void p041_caFileOfTheConnectionIsTrusted()
    {
        const auto reply = get(dataFile(u"ca.pem"_s).toStdString());
        QVERIFY2(reply, reply ? "" : reply.error().message.c_str());
        QVERIFY(m_received.toLower().contains("x-api-key: fw_secret"));
    }

    void p041_environmentIsHonored()
    {
        qputenv("SSL_CERT_FILE", dataFile(u"ca.pem"_s).toUtf8());
        QVERIFY(get());
        qunsetenv("SSL_CERT_FILE");
        qputenv("SSL_CERT_DIR", dataFile({}).toUtf8());
        QVERIFY(get());
        qputenv("SSL_CERT_DIR", "/nonexistent");
        QVERIFY(!get());
    }
};

QTEST_GUILESS_MAIN(TlsTest)
#include "tst_tls.moc"
