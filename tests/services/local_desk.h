// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/ready_codec.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/gateway/trainer_job_manager.h"
#include "services/secrets/key_store.h"
#include "services/trainer/firetitan_client.h"
#include "tests/support/await_future.h"

#include <QDir>
#include <QProcess>
#include <QTemporaryDir>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace desk::test {

inline constexpr int kLocalPatienceMs = 60000;

/// A trainerdesk-local of its own with all clients of the desk.
class LocalDesk
{
public:
    LocalDesk() = default;
    LocalDesk(const LocalDesk&) = delete;
    LocalDesk& operator=(const LocalDesk&) = delete;
    ~LocalDesk() { stop(); }

    /// Empty, or why it did not come up.
    QString start()
    {
        backend.start(QStringLiteral(DESK_BIN_DIR "/trainerdesk-local"),
            { QStringLiteral("--data"), folder.filePath(QStringLiteral("data")),
                QStringLiteral("--listen"), QStringLiteral("127.0.0.1:0") });
        for (int i = 0; i < 200 && !backend.canReadLine(); ++i)
            backend.waitForReadyRead(100);
        const auto line = decodeReadyLine(backend.readLine().toStdString());
        if (!line)
            return QString::fromStdString(line.error().message);
        ready = *line;
        const auto read = readKeyFile(QString::fromStdString(ready.keyFile));
        if (!read)
            return QString::fromStdString(read.error().message);
        key = read->key;
        Connection connection;
        connection.name = "local";
        connection.url = ready.url;
        connection.account = ready.account;
        http = std::make_unique<HttpClient>(connection, [this] { return key; });
        control = std::make_unique<FireworksClient>(*http);
        jobs = std::make_unique<TrainerJobManager>(*control);
        deployments = std::make_unique<DeploymentManager>(*control);
        return {};
    }
    void stop()
    {
        deployments.reset();
        jobs.reset();
        control.reset();
        http.reset();
        if (backend.state() == QProcess::NotRunning)
            return;
        backend.terminate();
        backend.waitForFinished(10000);
    }
    /// The endpoint's URL; empty when the job did not come up.
    std::string job(const std::string& id, int loraRank = 0)
    {
        CreateJob create;
        create.displayName = id;
        create.baseModel = ready.baseModel;
        create.jobId = id;
        create.loraRank = loraRank;
        const auto endpoint = await(jobs->createAndWait(create), kLocalPatienceMs);
        if (!endpoint) {
            qWarning("%s", endpoint.error().message.c_str());
            return {};
        }
        return endpoint->baseUrl;
    }
    [[nodiscard]] std::string jobName(const std::string& id) const
    {
        return "accounts/" + ready.account + "/rlorTrainerJobs/" + id;
    }
    /// The row of the job with that id; an empty one if there is none.
    Checkpoint row(const std::string& job, const std::string& id)
    {
        const auto rows = await(control->listCheckpoints(job), kLocalPatienceMs);
        if (rows) {
            for (const auto& one : *rows) {
                if (one.name.size() > id.size()
                    && one.name.compare(one.name.size() - id.size(), id.size(), id) == 0)
                    return one;
            }
        }
        return {};
    }

    QTemporaryDir folder;
    QProcess backend;
    ReadyLine ready;
    QByteArray key;
    std::unique_ptr<HttpClient> http;
    std::unique_ptr<FireworksClient> control;
    std::unique_ptr<TrainerJobManager> jobs;
    std::unique_ptr<DeploymentManager> deployments;
};

/// A byte-level sequence: every byte but the last predicts the next.
inline Datum textDatum(const QByteArray& text)
{
    Datum datum;
    std::vector<std::int64_t> targets;
    for (qsizetype i = 0; i + 1 < text.size(); ++i) {
        datum.tokens.push_back(static_cast<unsigned char>(text[i]));
        targets.push_back(static_cast<unsigned char>(text[i + 1]));
    }
    datum.lossInputs["weights"] = floatTensor(std::vector<float>(targets.size(), 1.0F));
    datum.lossInputs["target_tokens"] = intTensor(std::move(targets));
    return datum;
}

template <class T>
std::string messageOf(const Result<T>& result)
{
    return result ? std::string("ok") : result.error().message;
}

} // namespace desk::test

/// Evaluates its argument once: it may be a call that changes something.
#define REQUIRE(result)                                                                            \
    do {                                                                                           \
        auto&& required = (result);                                                                \
        QVERIFY2(required, desk::test::messageOf(required).c_str());                               \
    } while (false)
