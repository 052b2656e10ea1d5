// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/http/http_client.h"
#include "services/http/tls_policy.h"
#include "services/on_finished.h"
#include "tests/support/await_future.h"
#include "tests/support/scripted_server.h"

#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include <memory>
#include <optional>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace {

const QByteArray kKey = "fw_secret_0123456789";

Connection connectionTo(const QString& url)
{
    Connection connection;
    connection.name = "test";
    connection.url = url.toStdString();
    return connection;
}

QByteArray wordOf(Error::Code code)
{
    return toString(code);
}

} // namespace

class HttpClientTest final : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<ScriptedServer> m_server;
    std::unique_ptr<HttpClient> m_client;

    HttpRequest request(const char* method, bool isIdempotent) const
    {
        HttpRequest request;
        request.method = method;
        request.url = m_client->url("/v1/thing");
        request.isIdempotent = isIdempotent;
        request.totalTimeout = 5s;
        request.doing = "do the thing";
        if (request.method != "GET")
            request.body = R"({"a":1})";
        return request;
    }
    static Result<HttpReply> wait(QFuture<Result<HttpReply>> future)
    {
        return await(std::move(future));
    }

private Q_SLOTS:
    void init()
    {
        m_server = std::make_unique<ScriptedServer>();
        m_client = std::make_unique<HttpClient>(connectionTo(m_server->url()), [] { return kKey; });
        m_client->setRetryPolicy({ 5ms, 20ms, 0.25, 100ms });
    }
    void cleanup()
    {
        m_client.reset();
        m_server.reset();
    }

    void sendsKeyAndJsonHeaders()
    {
        m_server->push(200, R"({"ok":true})");
        const auto reply = wait(m_client->send(request("POST", false)));
        QVERIFY(reply);
        QCOMPARE(reply->status, 200);
        QCOMPARE(reply->body, QByteArray(R"({"ok":true})"));
        QCOMPARE(m_server->seen().size(), 1);
        const auto& seen = m_server->seen().first();
        QCOMPARE(seen.method, "POST"_ba);
        QCOMPARE(seen.target, "/v1/thing"_ba);
        QCOMPARE(seen.body, QByteArray(R"({"a":1})"));
        QCOMPARE(seen.headers.value("x-api-key"), kKey);
        QCOMPARE(seen.headers.value("authorization"), "Bearer " + kKey);
        QCOMPARE(seen.headers.value("content-type"), "application/json"_ba);
        QCOMPARE(m_client->requestsPerMinute(), 1);
    }

    void statusBecomesErrorCode_data()
    {
        QTest::addColumn<int>("status");
        QTest::addColumn<int>("code");
        const auto row = [](int status, Error::Code code) {
            QTest::addRow("%d", status) << status << static_cast<int>(code);
        };
        row(400, Error::Code::Refused);
        row(401, Error::Code::Auth);
        row(402, Error::Code::Quota);
        row(403, Error::Code::Auth);
        row(404, Error::Code::NotFound);
        row(409, Error::Code::Conflict);
        row(412, Error::Code::Refused);
        row(422, Error::Code::Refused);
        row(429, Error::Code::Quota);
        row(500, Error::Code::Backend);
        row(503, Error::Code::Backend);
        row(302, Error::Code::Backend);
        row(502, Error::Code::Unknown); // a gateway does not know what its upstream did
        row(504, Error::Code::Unknown);
    }
    void statusBecomesErrorCode()
    {
        QFETCH(int, status);
        QFETCH(int, code);
        Answer answer;
        answer.status = status;
        answer.body = R"({"error":{"code":7,"message":"because of the test.","details":[]}})";
        answer.headers = { { "x-request-id", "r-77" } };
        m_server->push(answer);
        const auto reply = wait(m_client->send(request("POST", false)));
        QVERIFY(!reply);
        QCOMPARE(static_cast<int>(reply.error().code), code);
        QVERIFY(reply.error().message.find("Could not do the thing: because of the test (HTTP "
                    + std::to_string(status) + ")")
            == 0);
        QCOMPARE(reply.error().requestId, std::string("r-77"));
        QCOMPARE(m_server->seen().size(), 1); // never sent twice
    }

    void lostReplyOfPostIsUnknownAndNotSentAgain_data()
    {
        QTest::addColumn<int>("kind");
        QTest::newRow("before headers") << static_cast<int>(Answer::Kind::DropBeforeHeaders);
        QTest::newRow("in headers") << static_cast<int>(Answer::Kind::DropInHeaders);
        QTest::newRow("in body") << static_cast<int>(Answer::Kind::DropInBody);
    }
    void lostReplyOfPostIsUnknownAndNotSentAgain()
    {
        QFETCH(int, kind);
        Answer answer;
        answer.kind = static_cast<Answer::Kind>(kind);
        answer.body = R"({"accepted":true,"padding":"xxxxxxxxxxxxxxxxxxxxxxxx"})";
        m_server->push(answer);
        const auto reply = wait(m_client->send(request("POST", false)));
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::Unknown));
        QVERIFY(reply.error().message.find("may have taken effect") != std::string::npos);
        QCOMPARE(m_server->seen().size(), 1);
    }

    void lostReplyOfPostOnReusedConnectionIsNotSentAgain()
    {
        m_server->push(200, "{}");
        QVERIFY(wait(m_client->send(request("GET", true))));
        Answer drop;
        drop.kind = Answer::Kind::DropBeforeHeaders;
        m_server->push(drop);
        const auto reply = wait(m_client->send(request("POST", false)));
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::Unknown));
        QCOMPARE(m_server->count("POST", "/v1/thing"), 1);
    }

    void lostReplyOfPostWithoutBodyIsNotSentAgain()
    {
        Answer drop;
        drop.kind = Answer::Kind::DropBeforeHeaders;
        m_server->push(drop);
        auto bare = request("POST", false);
        bare.body.clear();
        const auto reply = wait(m_client->send(std::move(bare)));
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::Unknown));
        QCOMPARE(m_server->seen().size(), 1);
        QCOMPARE(m_server->seen().first().body, "{}"_ba); // an empty one would be sent again
    }

    void silenceOfPostIsUnknown()
    {
        Answer silent;
        silent.kind = Answer::Kind::Silence;
        m_server->push(silent);
        auto slow = request("POST", false);
        slow.totalTimeout = 100ms;
        const auto reply = wait(m_client->send(std::move(slow)));
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::Unknown));
        QVERIFY(reply.error().message.find("gave no answer within 0.1 s") != std::string::npos);
    }

    void refusedConnectionIsUnreachable()
    {
        m_server->close();
        const auto reply = wait(m_client->send(request("POST", false)));
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::Unreachable));
        QCOMPARE(reply.error().unchanged, std::string("Nothing was sent"));
    }

    void idempotentIsRepeated_data()
    {
        QTest::addColumn<int>("kind");
        QTest::addColumn<int>("status");
        QTest::newRow("503") << static_cast<int>(Answer::Kind::Reply) << 503;
        QTest::newRow("500") << static_cast<int>(Answer::Kind::Reply) << 500;
        QTest::newRow("408") << static_cast<int>(Answer::Kind::Reply) << 408;
        QTest::newRow("half body") << static_cast<int>(Answer::Kind::DropInBody) << 200;
    }
    void idempotentIsRepeated()
    {
        QFETCH(int, kind);
        QFETCH(int, status);
        Answer first;
        first.kind = static_cast<Answer::Kind>(kind);
        first.status = status;
        m_server->push(first);
        m_server->push(first);
        m_server->push(200, R"({"n":3})");
        const auto reply = wait(m_client->send(request("GET", true)));
        QVERIFY(reply);
        QCOMPARE(reply->body, QByteArray(R"({"n":3})"));
        QCOMPARE(reply->attempts, 3);
        QCOMPARE(m_server->seen().size(), 3);
    }

    void idempotentGivesUpAfterItsAttempts()
    {
        for (int i = 0; i < 10; ++i)
            m_server->push(503, R"({"message":"busy"})");
        const auto reply = wait(m_client->send(request("GET", true)));
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::Backend));
        QCOMPARE(m_server->seen().size(), 4);
    }

    void refusalsAreNotRepeated()
    {
        m_server->push(404, R"({"message":"no such thing"})");
        const auto reply = wait(m_client->send(request("GET", true)));
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::NotFound));
        QCOMPARE(m_server->seen().size(), 1);
    }

    void retryAfterIsHonored()
    {
        Answer busy;
        busy.status = 429;
        busy.headers = { { "Retry-After", "0.2" } };
        m_server->push(busy);
        m_server->push(200, "{}");
        QElapsedTimer clock;
        clock.start();
        const auto reply = wait(m_client->send(request("GET", true)));
        QVERIFY(reply);
        QVERIFY2(clock.elapsed() >= 200, "the wish of the server counts, not the back-off");
        QCOMPARE(reply->attempts, 2);
    }

    void retryAfterAsDateCountsFromTheServersClock()
    {
        Answer busy;
        busy.status = 503;
        busy.headers = { { "Retry-After", "Mon, 25 Nov 2080 07:00:00 GMT" },
            { "Date", "Mon, 25 Nov 2080 07:00:00 GMT" } };
        m_server->push(busy);
        m_server->push(200, "{}");
        QVERIFY(wait(m_client->send(request("GET", true)))); // not in 2080
    }

    void nonsenseRetryAfterMeansOwnBackOff()
    {
        for (const char* value : { "-3", "soon" }) {
            Answer busy;
            busy.status = 429;
            busy.headers = { { "Retry-After", value } };
            m_server->push(busy);
        }
        m_server->push(200, "{}");
        QElapsedTimer clock;
        clock.start();
        const auto reply = wait(m_client->send(request("GET", true)));
        QVERIFY(reply);
        QCOMPARE(reply->attempts, 3);
        QVERIFY(clock.elapsed() >= 200); // never faster than the floor after 429
        QCOMPARE(m_client->serverPause().count(), 0);
    }

    void quotaOfACreateIsNotRepeated()
    {
        m_server->push(
            429, R"({"code":8,"message":"quota training-h100-count exhausted: 32 of 32"})");
        const auto reply = wait(m_client->send(request("POST", true)));
        QCOMPARE(codeOf(reply), "quota"_ba);
        QVERIFY(reply.error().message.find("quota training-h100-count exhausted: 32 of 32")
            != std::string::npos);
        QCOMPARE(m_server->seen().size(), 1);
    }

    void acceptedStatusIsAReply()
    {
        m_server->push(408, R"({"detail":"not ready"})");
        auto poll = request("POST", true);
        poll.acceptedStatuses = { 408 };
        const auto reply = wait(m_client->send(std::move(poll)));
        QVERIFY(reply);
        QCOMPARE(reply->status, 408);
    }

    void longRetryAfterIsLeftToTheCaller()
    {
        Answer busy;
        busy.status = 429;
        busy.headers = { { "Retry-After", "3600" } };
        m_server->push(busy);
        const auto reply = wait(m_client->send(request("GET", true)));
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::Quota));
        QCOMPARE(reply.error().next,
            std::string(
                "The server asked to wait 1 h: paused until then, or try again now by hand"));
        QVERIFY(m_client->serverPause() > 3590s);
        QCOMPARE(m_server->seen().size(), 1);
    }

    void tooLargeAnswerIsRefused()
    {
        m_server->push(200, QByteArray(200'000, 'x'));
        auto small = request("GET", true);
        small.maxReplyBytes = 100'000;
        const auto reply = wait(m_client->send(std::move(small)));
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::Malformed));
        QVERIFY(reply.error().message.find("larger than 100000 bytes") != std::string::npos);
        QCOMPARE(m_server->seen().size(), 1);
    }

    void cancelEndsTheRequest()
    {
        Answer silent;
        silent.kind = Answer::Kind::Silence;
        m_server->push(silent);
        auto future = m_client->send(request("GET", true));
        QTRY_COMPARE(m_server->seen().size(), 1);
        future.cancel();
        const auto reply = wait(future);
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::Canceled));
    }

    void destroyedClientEndsItsFutures()
    {
        Answer silent;
        silent.kind = Answer::Kind::Silence;
        m_server->push(silent);
        const auto future = m_client->send(request("GET", true));
        QTRY_COMPARE(m_server->seen().size(), 1);
        m_client.reset();
        const auto reply = wait(future);
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::Canceled));
    }

    void keyIsInNoError()
    {
        Answer echo;
        echo.status = 400;
        echo.body = QByteArray(R"({"message":"bad key KEY"})").replace("KEY", kKey);
        echo.headers = { { "x-request-id", kKey } };
        m_server->push(echo);
        const auto reply = wait(m_client->send(request("POST", false)));
        QVERIFY(!reply);
        const auto& error = reply.error();
        const auto all = error.message + error.unchanged + error.next + error.requestId;
        QVERIFY(all.find(kKey.toStdString()) == std::string::npos);
        QVERIFY(error.message.find("bad key [redacted]") != std::string::npos);
    }

    void plainHttpLeavesThisMachineNever()
    {
        auto far = request("GET", true);
        far.url = QUrl(u"http://api.example.invalid/v1"_s);
        const auto reply = wait(m_client->send(std::move(far)));
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::Usage));
        QCOMPARE(m_client->requestCount(), 0);
    }

    void redirectIsNotFollowed()
    {
        Answer redirect;
        redirect.status = 302;
        redirect.headers = { { "Location", "/elsewhere" } };
        m_server->push(redirect);
        QVERIFY(!wait(m_client->send(request("GET", true))));
        QCOMPARE(m_server->seen().size(), 1);
    }

    void redactsHeaders()
    {
        const auto shown = redacted({ { "X-Api-Key", "k" }, { "Authorization", "Bearer k" },
            { "Set-Cookie", "k" }, { "fireworks-model", "m" } });
        const HttpHeaders expected { { "X-Api-Key", "[redacted]" },
            { "Authorization", "[redacted]" }, { "Set-Cookie", "[redacted]" },
            { "fireworks-model", "m" } };
        QCOMPARE(shown, expected);
    }

    void missingCaFileIsSaid()
    {
        auto connection = connectionTo(u"https://127.0.0.1:1"_s);
        connection.caFile = "/nonexistent/ca.pem";
        HttpClient client(connection, [] { return kKey; });
        HttpRequest get;
        get.url = client.url("/v1");
        const auto reply = wait(client.send(std::move(get)));
        QVERIFY(!reply);
        QCOMPARE(codeOf(reply), wordOf(Error::Code::Unreadable));
        QVERIFY(reply.error().message.find("/nonexistent/ca.pem") != std::string::npos);
    }

    void collapsesSlashes()
    {
        HttpClient client(connectionTo(u"http://127.0.0.1:1/"_s), {});
        QCOMPARE(client.url("//hot_load/v1").toString(), u"http://127.0.0.1:1/hot_load/v1"_s);
        QVERIFY(isLoopback(QUrl(u"http://127.9.9.9:1"_s)));
        QVERIFY(isLoopback(QUrl(u"http://[::1]:1"_s)));
        QVERIFY(isLoopback(QUrl(u"http://localhost:1"_s)));
        QVERIFY(!isLoopback(QUrl(u"http://localhost.example:1"_s)));
    }
};

QTEST_GUILESS_MAIN(HttpClientTest)
#include "tst_http_client.moc"
