// SPDX-License-Identifier: GPL-3.0-or-later
// The transport under strain: pauses that servers ask for, many objects at once, proxies, a machine
// that slept, servers that close connections.
#include "services/gateway/account_store.h"
#include "services/http/proxy_policy.h"
#include "services/http/sleep_watch.h"
#include "tests/services/control_plane_fixture.h"

#include <QFile>
#include <QSignalSpy>
#include <QSslCertificate>
#include <QSslConfiguration>
#include <QSslKey>
#include <QSslServer>
#include <QSslSocket>
#include <QTcpSocket>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace {

HttpRequest requestOf(HttpClient& http, const char* method, bool isIdempotent)
{
    HttpRequest request;
    request.method = method;
    request.url = http.url("/v1/thing");
    request.isIdempotent = isIdempotent;
    request.doing = "do the thing";
    if (request.method != "GET")
        request.body = "{}";
    return request;
}

Answer silence()
{
    Answer answer;
    answer.kind = Answer::Kind::Silence;
    return answer;
}

QProcessEnvironment environmentOf(std::initializer_list<std::pair<QString, QString>> values)
{
    QProcessEnvironment environment;
    for (const auto& [name, value] : values)
        environment.insert(name, value);
    return environment;
}

QString dataPath(const char* name)
{
    return QStringLiteral(DESK_TEST_DATA "/http/") + QLatin1String(name);
}

/// As nginx with keepalive_requests 3: it would speak HTTP/2, and closes after three requests.
class ClosingServer final : public QObject // clazy:exclude=missing-qobject-macro
{
public:
    ClosingServer()
    {
        QFile key(dataPath("server.key"));
        if (!key.open(QIODevice::ReadOnly))
            return;
        auto configuration = QSslConfiguration::defaultConfiguration();
        configuration.setLocalCertificateChain(QSslCertificate::fromPath(dataPath("server.pem")));
        configuration.setPrivateKey(QSslKey(&key, QSsl::Ec));
        configuration.setAllowedNextProtocols({ "h2", "http/1.1" });
        m_server.setSslConfiguration(configuration);
        m_server.listen(QHostAddress::LocalHost);
        connect(&m_server, &QSslServer::pendingConnectionAvailable, this, [this] {
            auto* socket = qobject_cast<QSslSocket*>(m_server.nextPendingConnection());
            protocols.append(socket->sslConfiguration().nextNegotiatedProtocol());
            connect(socket, &QSslSocket::readyRead, this, [this, socket] { serve(socket); });
        });
    }
    void serve(QSslSocket* socket)
    {
        auto& state = m_states[socket];
        state.first += socket->readAll();
        while (true) {
            const auto end = state.first.indexOf("\r\n\r\n");
            if (end < 0)
                return;
            const auto head = state.first.left(end).toLower();
            const auto at = head.indexOf("content-length:");
            const auto length =
                at < 0 ? 0 : head.mid(at + 15).split('\r').first().trimmed().toInt();
            if (state.first.size() < end + 4 + length)
                return;
            const auto body = state.first.mid(end + 4, length);
            state.first.remove(0, end + 4 + length);
            constexpr int kKeepAliveRequests = 3;
            if (++state.second > kKeepAliveRequests)
                return; // arrived after the end was announced to nobody
            if (!body.isEmpty())
                ++writes[body];
            socket->write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
            if (state.second == kKeepAliveRequests) {
                socket->flush();
                socket->disconnectFromHost();
            }
        }
    }
    [[nodiscard]] Connection connection() const
    {
        Connection to;
        to.name = "closing";
        to.url = "https://127.0.0.1:" + std::to_string(m_server.serverPort());
        to.caFile = dataPath("ca.pem").toStdString();
        return to;
    }

    QByteArrayList protocols;
    QHash<QByteArray, int> writes;

private:
    QHash<QSslSocket*, std::pair<QByteArray, int>> m_states; // bytes, requests
    QSslServer m_server;
};

} // namespace

class TransportTest final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void p038_pausesAsTheServerAsks()
    {
        auto exchanges = transcript("P038/answers_429.json");
        QCOMPARE(exchanges.size(), std::size_t { 8 });
        const auto pauseOf = [&](std::size_t i) {
            QByteArray wish;
            QByteArray date;
            for (const auto& [name, value] : exchanges[i].answer.headers)
                (name == "Retry-After" ? wish : date) = value;
            return retryAfter(wish, date);
        };
        QVERIFY(pauseOf(0) == 7s);
        QVERIFY(pauseOf(1) == 9s); // a date, by the server's own clock
        QVERIFY(pauseOf(2) == 24h);
        QVERIFY(!pauseOf(3)); // -3
        QVERIFY(!pauseOf(4)); // soon
        QVERIFY(!pauseOf(5)); // none
        QVERIFY(pauseOf(6) == 2s);
        QVERIFY(retryAfter("1e12", {}) == 24h);
        QVERIFY(retryAfter("Wednesday, 25-Nov-26 07:00:09 GMT", "Wed Nov 25 07:00:00 2026") == 9s);
        QVERIFY(!retryAfter("nan", {}) && !retryAfter("", {}));

        // 1: it waits; nothing is asked meanwhile.
        ControlPlane plane;
        plane.server.push(exchanges[0].answer);
        auto polling = plane.client->listJobs();
        QTRY_COMPARE(plane.server.seen().size(), 1);
        QTRY_VERIFY(plane.http->serverPause() > 6s);
        QVERIFY(plane.http->serverPause() <= 7s);
        auto other = plane.client->listModels();
        QTest::qWait(60);
        QCOMPARE(plane.server.seen().size(), 1);
        polling.cancel();
        other.cancel();
        QCOMPARE(codeOf(await(other)), "cancelled"_ba);
    }

    void p038_aDayIsShownAndNotWaitedInSilence()
    {
        auto exchanges = transcript("P038/answers_429.json");
        ControlPlane plane;
        plane.server.push(exchanges[2].answer);
        const auto paused = await(plane.client->listJobs());
        QCOMPARE(codeOf(paused), "quota"_ba);
        QVERIFY2(paused.error().next.find("asked to wait 24 h: paused") != std::string::npos,
            paused.error().next.c_str());
        QVERIFY(plane.http->serverPause() > 23h);
        // The list of the window waits too, and counts it down; a person may ask at once.
        SystemClock clock;
        AccountStore store(*plane.client, *plane.deployments, clock);
        plane.server.route = [](const SeenRequest&) { return answerOf(200, "{}"); };
        QSignalSpy polled(&store, &AccountStore::polled);
        store.start();
        QTRY_COMPARE(polled.count(), 1);
        QVERIFY(store.untilNextPoll() > 23h);
        store.refreshNow();
        QTRY_COMPARE(polled.count(), 2);
    }

    void p038_nonsenseMeansOurOwnBackOff()
    {
        auto exchanges = transcript("P038/answers_429.json");
        ControlPlane plane;
        plane.server.push(exchanges[3].answer);
        plane.server.push(exchanges[4].answer);
        plane.server.push(200, R"({"rlorTrainerJobs":[]})");
        QVERIFY(await(plane.client->listJobs()));
        QCOMPARE(plane.server.seen().size(), 3);
        QVERIFY(RetryPolicy().minRateDelay == 1s); // the floor outside tests
    }

    void p038_aQuotaIsNoPace()
    {
        auto exchanges = transcript("P038/answers_429.json");
        ControlPlane plane;
        plane.server.push(exchanges[5].answer);
        plane.server.route = [](const SeenRequest&) { return answerOf(404, "{}"); };
        CreateJob create;
        create.jobId = "x";
        create.baseModel = "accounts/acme/models/m";
        const auto refused = await(plane.client->createJob(create));
        QCOMPARE(codeOf(refused), "quota"_ba);
        QVERIFY(refused.error().message.find("quota training-h100-count exhausted: 32 of 32")
            != std::string::npos);
        QCOMPARE(plane.server.seen().size(), 1);
        QVERIFY(plane.http->serverPause() == 0s);
    }

    void p038_aLongPollThatIsNotReadyIsNoError()
    {
        auto exchanges = transcript("P038/answers_429.json");
        ControlPlane plane;
        plane.server.push(exchanges[7].answer);
        auto poll = requestOf(*plane.http, "POST", true);
        poll.acceptedStatuses = { 408 };
        const auto reply = await(plane.http->send(std::move(poll)));
        QVERIFY(reply && reply->status == 408 && reply->attempts == 1);
    }

    void p038_fortyObjects_sixAtATime()
    {
        ControlPlane plane;
        plane.server.route = [](const SeenRequest&) { return silence(); };
        std::vector<QFuture<Result<Model>>> polls;
        for (int i = 0; i < 40; ++i)
            polls.push_back(plane.client->getModel("m" + std::to_string(i)));
        QTRY_COMPARE(plane.server.seen().size(), 6);
        QTest::qWait(50);
        QCOMPARE(plane.server.seen().size(), 6);
        QCOMPARE(plane.http->inFlight(HttpLane::Read), 6);
        // Neither a change nor a long poll waits behind them.
        for (int i = 0; i < 6; ++i) {
            auto poll = requestOf(*plane.http, "POST", true);
            poll.acceptedStatuses = { 408 };
            (void)plane.http->send(std::move(poll));
        }
        QTRY_COMPARE(plane.server.seen().size(), 12);
        plane.server.push(200, "{}");
        QVERIFY(await(plane.client->cancelJob("job-1")));
        // Those that end make room.
        for (int i = 0; i < 6; ++i)
            polls[static_cast<std::size_t>(i)].cancel();
        QTRY_COMPARE(plane.server.seen().size(), 13 + 6);
        for (auto& poll : polls)
            poll.cancel();
        QTRY_COMPARE(plane.http->inFlight(HttpLane::Read), 0);
    }

    void theRetrySetIsThatOfTheSpecification_data()
    {
        QTest::addColumn<int>("status");
        QTest::addColumn<bool>("isRepeated");
        for (const int status : { 408, 429, 500, 502, 503, 504 })
            QTest::addRow("%d", status) << status << true;
        for (const int status : { 400, 401, 402, 403, 404, 409, 412, 422, 425, 501 })
            QTest::addRow("%d", status) << status << false;
    }
    void theRetrySetIsThatOfTheSpecification()
    {
        QFETCH(int, status);
        QFETCH(bool, isRepeated);
        ControlPlane plane;
        plane.server.push(status, R"({"code":2,"message":"no"})");
        plane.server.push(200, "{}");
        const auto reply = await(plane.http->send(requestOf(*plane.http, "GET", true)));
        QCOMPARE(bool(reply), isRepeated);
        QCOMPARE(plane.server.seen().size(), isRepeated ? 2 : 1);
        if (!reply)
            QVERIFY(!reply.error().message.empty() && !reply.error().next.empty());
        // A change is sent once whatever the answer is.
        ControlPlane changed;
        changed.server.push(status, R"({"code":2,"message":"no"})");
        changed.server.push(200, "{}");
        QVERIFY(!await(changed.http->send(requestOf(*changed.http, "DELETE", false))));
        QCOMPARE(changed.server.seen().size(), 1);
    }

    void sleep_isTheGapBetweenTwoClocks()
    {
        qint64 wall = 1'000'000;
        qint64 steady = 5'000;
        SleepWatch watch([&] { return wall; }, [&] { return steady; });
        QList<qint64> slept;
        connect(&watch, &SleepWatch::slept, this,
            [&](std::chrono::milliseconds asleep) { slept.append(asleep.count()); });
        wall += 5'000, steady += 5'000;
        watch.look();
        wall += 5'900, steady += 5'000; // a clock that is put right a little
        watch.look();
        QVERIFY(slept.isEmpty());
        wall += 42 * 60'000, steady += 1'000;
        watch.look();
        QCOMPARE(slept, QList<qint64> { 42 * 60'000 - 1'000 });
        wall -= 3'600'000; // set back: no sleep
        watch.look();
        wall += 5'000, steady += 5'000;
        watch.look();
        QCOMPARE(slept.size(), 1);
    }

    void sleep_readsAreAskedAgain_changesAreNot()
    {
        ControlPlane plane;
        plane.server.push(silence());
        auto read = plane.client->getModel("m");
        QTRY_COMPARE(plane.server.seen().size(), 1);
        plane.server.push(silence());
        auto change = plane.client->cancelJob("job-1");
        QTRY_COMPARE(plane.server.seen().size(), 2);
        plane.server.push(200, R"({"name":"accounts/acme/models/m","state":"READY"})");
        QSignalSpy told(plane.http.get(), &HttpClient::machineSlept);
        plane.http->noteServerPause(50min);
        Q_EMIT plane.http->sleepWatch().slept(40min);
        QVERIFY(await(read));
        QCOMPARE(told.count(), 1);
        QCOMPARE(plane.server.seen().size(), 3);
        QVERIFY(plane.http->serverPause() < 11min); // the pause went by meanwhile
        QVERIFY(!change.isFinished());
        change.cancel();
    }

    void sleep_listsAreReadAgain()
    {
        ControlPlane plane;
        plane.server.route = [](const SeenRequest&) { return answerOf(200, "{}"); };
        SystemClock clock;
        AccountStore store(*plane.client, *plane.deployments, clock);
        store.setPollInterval(1h);
        QSignalSpy polled(&store, &AccountStore::polled);
        store.start();
        QTRY_COMPARE(polled.count(), 1);
        Q_EMIT plane.http->sleepWatch().slept(30s);
        QTRY_COMPARE(polled.count(), 2);
    }

    void proxies_ofTheEnvironment_data()
    {
        QTest::addColumn<QString>("url");
        QTest::addColumn<QString>("noProxy");
        QTest::addColumn<QString>("expected"); // label; "direct"; empty: not said
        const QString api = u"https://api.example.com/v1"_s;
        const QString proxy = u"proxy p.corp:8080"_s;
        QTest::newRow("https") << api << QString() << proxy;
        QTest::newRow("http has none") << u"http://api.example.com/"_s << QString() << QString();
        QTest::newRow("host") << api << u"localhost,api.example.com"_s << u"direct"_s;
        QTest::newRow("domain") << api << u"example.com"_s << u"direct"_s;
        QTest::newRow("domain with dot") << api << u" .example.com "_s << u"direct"_s;
        QTest::newRow("star domain") << api << u"*.example.com"_s << u"direct"_s;
        QTest::newRow("no part of a word") << api << u"ample.com"_s << proxy;
        QTest::newRow("star") << api << u"*"_s << u"direct"_s;
        QTest::newRow("port") << api << u"example.com:443"_s << u"direct"_s;
        QTest::newRow("other port") << api << u"example.com:8443"_s << proxy;
        QTest::newRow("address") << u"https://10.1.2.3/"_s << u"10.1.2.3"_s << u"direct"_s;
        QTest::newRow("network") << u"https://10.1.2.3/"_s << u"10.0.0.0/8"_s << u"direct"_s;
        QTest::newRow("other network") << u"https://11.1.2.3/"_s << u"10.0.0.0/8"_s << proxy;
        QTest::newRow("v6") << u"https://[fd00::1]/"_s << u"[fd00::1]:443"_s << u"direct"_s;
        QTest::newRow("v6 network") << u"https://[fd00::1]/"_s << u"fd00::/8"_s << u"direct"_s;
    }
    void proxies_ofTheEnvironment()
    {
        QFETCH(QString, url);
        QFETCH(QString, noProxy);
        QFETCH(QString, expected);
        const auto found = proxyFromEnvironment(QUrl(url),
            environmentOf({ { u"HTTPS_PROXY"_s, u"http://me:secret@p.corp:8080"_s },
                { u"NO_PROXY"_s, noProxy } }));
        if (expected.isEmpty()) {
            QVERIFY(!found);
            return;
        }
        QVERIFY(found);
        if (expected == u"direct"_s) {
            QVERIFY(found->type() == QNetworkProxy::NoProxy);
            return;
        }
        QCOMPARE(proxyLabel(*found), expected); // no user, no password
        QCOMPARE(found->user(), u"me"_s);
        QCOMPARE(found->password(), u"secret"_s);
    }

    void proxies_formsAndOrder()
    {
        const QUrl url(u"https://api.example.com"_s);
        const auto lower = proxyFromEnvironment(
            url, environmentOf({ { u"HTTPS_PROXY"_s, u"a:1"_s }, { u"https_proxy"_s, u"b:2"_s } }));
        QCOMPARE(proxyLabel(*lower), u"proxy b:2"_s);
        const auto all =
            proxyFromEnvironment(url, environmentOf({ { u"ALL_PROXY"_s, u"socks5://s.corp"_s } }));
        QCOMPARE(proxyLabel(*all), u"proxy s.corp:1080"_s);
        QVERIFY(all->type() == QNetworkProxy::Socks5Proxy);
        QVERIFY(!proxyFromEnvironment(url, environmentOf({})));
        const auto local = proxiesFor(QNetworkProxyQuery(QUrl(u"http://127.0.0.1:1/"_s)));
        QVERIFY(local.size() == 1 && local.first().type() == QNetworkProxy::NoProxy);
    }

    void proxies_seeNoKey()
    {
        ScriptedServer proxy;
        proxy.route = [](const SeenRequest&) { return answerOf(502, "no way"); };
        qputenv("HTTPS_PROXY", proxy.url().toUtf8());
        qunsetenv("https_proxy");
        qunsetenv("NO_PROXY");
        qunsetenv("no_proxy");
        Connection connection;
        connection.url = "https://api.example.invalid";
        HttpClient http(connection, [] { return "fw_secret"_ba; });
        http.setRetryPolicy({ 2ms, 10ms, 0 });
        const auto reply = await(http.send(requestOf(http, "POST", false)));
        qunsetenv("HTTPS_PROXY");
        QVERIFY(!reply);
        QVERIFY(proxy.seen().size() >= 1);
        QCOMPARE(proxy.seen().first().method, "CONNECT"_ba);
        QCOMPARE(proxy.seen().first().target, "api.example.invalid:443"_ba);
        for (const auto& request : proxy.seen())
            for (const auto& value : request.headers)
                QVERIFY(!value.contains("fw_secret"));
        QVERIFY2(codeOf(reply) == "unreachable", reply.error().message.c_str());
        QCOMPARE(reply.error().unchanged, std::string("Nothing was sent"));
    }

    void p039_aServerThatClosesItsConnections()
    {
        if (!QSslSocket::supportsSsl())
            QSKIP("no TLS library");
        ClosingServer server;
        HttpClient http(server.connection(), [] { return "fw_secret"_ba; });
        http.setRetryPolicy({ 2ms, 10ms, 0 });
        for (int i = 0; i < 100; ++i) {
            const auto reply = await(http.send(requestOf(http, "GET", true)));
            QVERIFY2(reply, reply ? "" : reply.error().message.c_str());
        }
        int answered = 0;
        for (int i = 0; i < 20; ++i) {
            auto write = requestOf(http, "POST", false);
            const QByteArray body = "{\"write\":" + QByteArray::number(i) + "}";
            write.body = body;
            const auto reply = await(http.send(std::move(write)));
            answered += reply ? 1 : 0;
            // Answered, or its fate is said to be open; never a second time.
            QVERIFY2(reply || codeOf(reply) == "unknown" || codeOf(reply) == "unreachable",
                codeOf(reply).constData());
            QVERIFY(server.writes.value(body) <= 1);
            QVERIFY(!reply || server.writes.value(body) == 1);
        }
        QVERIFY(answered > 10);
        QVERIFY(server.protocols.size() > 30); // a fresh connection after every third request
        QVERIFY(!server.protocols.contains("h2")); // offered, not taken
    }
};

QTEST_GUILESS_MAIN(TransportTest)
#include "tst_transport.moc"
