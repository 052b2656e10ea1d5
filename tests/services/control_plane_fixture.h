// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/gateway/trainer_job_manager.h"
#include "tests/support/await_future.h"
#include "tests/support/scripted_server.h"

#include <QFile>
#include <QTest>

#include <deque>
#include <memory>
#include <nlohmann/json.hpp>

namespace desk::test {

using TestJson = nlohmann::ordered_json;

inline Answer answerOf(int status, QByteArray body)
{
    Answer answer;
    answer.status = status;
    answer.body = std::move(body);
    return answer;
}

/// JSON written with ' for ": raw strings with // or \\" in them hide a test class from moc.
inline QByteArray quoted(QByteArray text)
{
    return text.replace('\'', '"');
}

inline Answer lostReply()
{
    Answer answer;
    answer.kind = Answer::Kind::DropBeforeHeaders;
    return answer;
}

/// The clients of one connection to a scripted server, without waiting between attempts.
struct ControlPlane
{
    explicit ControlPlane(const std::string& account = "acme")
    {
        Connection connection;
        connection.name = "test";
        connection.url = server.url().toStdString();
        connection.account = account;
        http = std::make_unique<HttpClient>(connection, [] { return QByteArray("key"); });
        using namespace std::chrono_literals;
        http->setRetryPolicy({ 2ms, 10ms, 0, 5ms });
        client = std::make_unique<FireworksClient>(*http);
        client->setFollowPolicy({ 5ms, 20ms, 5s, 20s });
        jobs = std::make_unique<TrainerJobManager>(*client);
        jobs->setPolicy({ 5ms, 5s, 5s, 50ms, 5s });
        deployments = std::make_unique<DeploymentManager>(*client);
        deployments->setPolicy({ 5ms, 5ms, 5ms, 40ms });
    }
    [[nodiscard]] QByteArrayList sent() const
    {
        QByteArrayList lines;
        for (const auto& request : server.seen())
            lines.append(request.method + ' ' + request.target);
        return lines;
    }
    [[nodiscard]] QByteArray lastBody() const { return server.seen().last().body; }

    ScriptedServer server;
    std::unique_ptr<HttpClient> http;
    std::unique_ptr<FireworksClient> client;
    std::unique_ptr<TrainerJobManager> jobs;
    std::unique_ptr<DeploymentManager> deployments;
};

/// One exchange of a recorded transcript (tests/data/field).
struct Exchange
{
    QByteArray method;
    QByteArray path;
    TestJson body;
    Answer answer;
};

/// Status 0: the connection ends without an answer.
inline std::deque<Exchange> transcript(const char* name)
{
    QFile file(QStringLiteral(DESK_TEST_DATA "/field/") + QLatin1String(name));
    if (!file.open(QIODevice::ReadOnly))
        qFatal("no transcript %s", name);
    std::deque<Exchange> exchanges;
    for (const auto& row : TestJson::parse(file.readAll().toStdString())) {
        Exchange exchange;
        const auto& request = row["request"];
        const auto& response = row["response"];
        exchange.method = QByteArray::fromStdString(request["method"].get<std::string>());
        exchange.path = QByteArray::fromStdString(request["path"].get<std::string>());
        exchange.body = request.value("body", TestJson());
        const int status = response["status"].get<int>();
        const auto& body = response["body"];
        exchange.answer = status == 0
            ? lostReply()
            : answerOf(status,
                QByteArray::fromStdString(
                    body.is_string() ? body.get<std::string>() : body.dump()));
        for (const auto& [header, value] : response["headers"].items())
            exchange.answer.headers.append({ QByteArray::fromStdString(header),
                QByteArray::fromStdString(value.get<std::string>()) });
        exchanges.push_back(std::move(exchange));
    }
    return exchanges;
}

} // namespace desk::test
