// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/runs/local_backend.h"

#include "services/codecs/ready_codec.h"
#include "services/http/http_client.h"
#include "services/on_finished.h"
#include "services/runs/control_socket.h"
#include "services/secrets/key_store.h"
#include "services/store/process_identity.h"

#include <QCoreApplication>
#include <QDir>
#include <QElapsedTimer>
#include <QFile>
#include <QFileInfo>
#include <QProcess>
#include <QTimer>

#include <csignal>
#include <utility>
#include <vector>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr int kReadyPollMs = 50;
    constexpr qint64 kReadyBudgetMs = 30'000;
    constexpr qint64 kStopBudgetMs = 6000; // SIGTERM ends it within 5 s (cli.md section 4)
    constexpr int kStopPollMs = 50;
    constexpr int kIdleCheckTimeoutMs = 1000;
    constexpr qint64 kMaxReadyBytes = qint64 { 64 } << 10;
    constexpr qint64 kMaxLogBytes = qint64 { 1 } << 20;
    constexpr qint64 kLogTailBytes = 600;
    constexpr auto kJoinTimeout = std::chrono::milliseconds(3000);

    QString programName()
    {
        return u"trainerdesk-local"_s;
    }

    std::optional<ReadyLine> readReadyFile(const QString& path)
    {
        QFile file(path);
        if (!file.open(QIODevice::ReadOnly) || file.size() > kMaxReadyBytes)
            return std::nullopt;
        const auto text = file.read(kMaxReadyBytes);
        auto ready = decodeReadyLine({ text.constData(), static_cast<std::size_t>(text.size()) });
        return ready ? std::optional(*std::move(ready)) : std::nullopt;
    }

    /// The last words of the backend, for an error message; one line.
    std::string tailOfLog(const QString& path, qint64 from)
    {
        QFile file(path);
        if (!file.open(QIODevice::ReadOnly))
            return {};
        file.seek(std::max(from, file.size() - kLogTailBytes));
        auto text = QString::fromUtf8(file.read(kLogTailBytes)).simplified();
        return text.toStdString();
    }

    LocalBackendInfo infoOf(const ReadyLine& ready, bool wasStarted)
    {
        return { QString::fromStdString(ready.url), ready.account,
            QString::fromStdString(ready.keyFile), ready.baseModel, ready.pid, ready.version,
            wasStarted };
    }

} // namespace

class LocalBackend::Private final : public QObject // clazy:exclude=missing-qobject-macro
{
public:
    using Started = Result<LocalBackendInfo>;

    Private(LocalBackend* owner, Profile theProfile, QString theProgram, QStringList theArguments)
        : q(owner)
        , profile(std::move(theProfile))
        , program(std::move(theProgram))
        , arguments(std::move(theArguments))
    {
        if (program.isEmpty())
            program = QCoreApplication::applicationDirPath() + u'/' + programName();
        readyTimer.setInterval(kReadyPollMs);
        connect(&readyTimer, &QTimer::timeout, this, [this] { lookForReady(); });
        stopTimer.setInterval(kStopPollMs);
        connect(&stopTimer, &QTimer::timeout, this, [this] { lookForEnd(); });
    }

    QFuture<Started> start()
    {
        QPromise<Started> promise;
        promise.start();
        auto future = promise.future();
        waiting.push_back(std::move(promise));
        if (state != State::Starting) {
            setState(State::Starting);
            budget.start();
            tryToJoin();
        }
        return future;
    }

    QFuture<Result<bool>> stopIfIdle()
    {
        auto promise = std::make_shared<QPromise<Result<bool>>>();
        promise->start();
        stopping.push_back(promise);
        if (stopping.size() == 1)
            askRunsThenStop();
        return promise->future();
    }

    LocalBackend* q;
    Profile profile;
    QString program;
    QStringList arguments;
    State state = State::Stopped;
    std::optional<LocalBackendInfo> info;

private:
    void setState(State next)
    {
        if (std::exchange(state, next) != next)
            Q_EMIT q->stateChanged(next);
    }

    void finish(const Started& result)
    {
        readyTimer.stop();
        if (result)
            info = *result;
        else
            info.reset();
        setState(result ? State::Serving : State::Failed);
        for (auto& promise : std::exchange(waiting, {})) {
            promise.addResult(result);
            promise.finish();
        }
    }

    /// Whoever the ready file names must be alive and take this profile's key.
    void tryToJoin()
    {
        const auto ready = readReadyFile(profile.readyFile());
        if (!ready || !processStartTicks(ready->pid))
            return launch();
        probe(*ready, false);
    }

    void probe(const ReadyLine& ready, bool wasStarted)
    {
        const auto candidate = infoOf(ready, wasStarted);
        const auto key = readKeyFile(candidate.keyFile);
        if (!key)
            return wasStarted ? finish(key.error()) : launch();
        Connection connection;
        connection.name = "local";
        connection.url = ready.url;
        connection.account = ready.account;
        connection.isLocal = true;
        http = std::make_unique<HttpClient>(
            connection, [bytes = key->key] { return bytes; }, this);
        HttpRequest request;
        request.url = http->url("/v1/accounts");
        request.connectTimeout = kJoinTimeout;
        request.totalTimeout = kJoinTimeout;
        request.maxAttempts = 1;
        request.doing = "join the local backend";
        onFinished(http->send(request), this,
            [this, candidate, wasStarted](const Result<HttpReply>& reply) {
                if (reply)
                    finish(candidate);
                else if (wasStarted)
                    finish(reply.error());
                else
                    launch();
            });
    }

    void launch()
    {
        if (const auto ready = ensureProfile(profile); !ready)
            return finish(ready.error());
        const QFileInfo executable(program);
        if (!executable.isExecutable())
            return finish(Error { Error::Code::NotFound,
                "The local backend " + program.toStdString() + " is not there or cannot be run",
                "Nothing was started", "Build or install trainerdesk-local beside this program",
                {} });
        const auto log = profile.backendLog();
        const auto logSize = QFileInfo(log).size();
        const bool isLong = logSize > kMaxLogBytes;
        logStart = isLong ? 0 : logSize;
        QProcess process;
        process.setProgram(program);
        process.setArguments(
            QStringList { u"--data"_s, profile.localDir, u"--ready-file"_s, profile.readyFile() }
            + arguments);
        process.setWorkingDirectory(profile.localDir);
        process.setStandardInputFile(QProcess::nullDevice());
        process.setStandardOutputFile(QProcess::nullDevice());
        process.setStandardErrorFile(log, isLong ? QIODevice::Truncate : QIODevice::Append);
        qint64 pid = 0;
        if (!process.startDetached(&pid))
            return finish(Error { Error::Code::Backend,
                "The local backend could not be started: " + process.errorString().toStdString(),
                "Nothing was started", "Try again; is the system out of processes or memory?",
                {} });
        startedPid = pid;
        readyTimer.start();
    }

    void lookForReady()
    {
        const auto ready = readReadyFile(profile.readyFile());
        if (ready && ready->pid == startedPid) {
            readyTimer.stop();
            return probe(*ready, true);
        }
        const bool isGone = !processStartTicks(startedPid);
        // Another window may have started one at the same moment: that one is joined.
        if (isGone && ready && ready->pid != startedPid && processStartTicks(ready->pid)) {
            readyTimer.stop();
            return probe(*ready, true);
        }
        const auto words = [this] {
            const auto tail = tailOfLog(profile.backendLog(), logStart);
            return tail.empty() ? std::string {} : ": " + tail;
        };
        if (isGone)
            finish(Error { Error::Code::Backend, "The local backend ended while starting" + words(),
                "Nothing is served; its data is as it was",
                "The whole log is " + profile.backendLog().toStdString(), {} });
        else if (budget.elapsed() > kReadyBudgetMs)
            finish(Error { Error::Code::Backend,
                "The local backend did not say within 30 s that it serves" + words(),
                "It may still be starting",
                "Try again; the log is " + profile.backendLog().toStdString(), {} });
    }

    void askRunsThenStop()
    {
        QStringList sockets;
        const auto folders =
            QDir(profile.runsDir).entryList(QDir::Dirs | QDir::NoDotAndDotDot, QDir::Time);
        for (const auto& folder : folders) {
            const QString socket = profile.runsDir + u'/' + folder + u"/control.sock"_s;
            if (QFileInfo::exists(socket))
                sockets.append(socket);
        }
        askNext(std::move(sockets));
    }

    void askNext(QStringList sockets)
    {
        if (sockets.isEmpty())
            return terminate();
        const auto socket = sockets.takeFirst();
        onFinished(control.status(socket, kIdleCheckTimeoutMs), this,
            [this, sockets](const Result<ControlStatus>& status) {
                // A run that is too busy to answer in time is a run all the same.
                const bool isUsed =
                    status || status.error().message.find("in time") != std::string::npos;
                if (isUsed)
                    endStop(Result<bool>(false));
                else
                    askNext(sockets);
            });
    }

    void terminate()
    {
        const auto ready = readReadyFile(profile.readyFile());
        stopPid = info ? info->pid : ready ? ready->pid : 0;
        const auto executable = QFileInfo(QString::fromStdString(processExecutable(stopPid)));
        // Only what is certainly a backend gets the signal: pids are reused.
        const bool isOurs = executable.fileName().startsWith(QFileInfo(program).fileName());
        if (!processStartTicks(stopPid) || !isOurs)
            return endStop(Result<bool>(true));
        ::kill(static_cast<pid_t>(stopPid), SIGTERM);
        budget.start();
        stopTimer.start();
    }

    void lookForEnd()
    {
        if (!processStartTicks(stopPid))
            endStop(Result<bool>(true));
        else if (budget.elapsed() > kStopBudgetMs)
            endStop(Result<bool>(
                Error { Error::Code::Backend, "The local backend did not end within 6 s",
                    "It was not killed, so that nothing is lost",
                    "Its process id is " + std::to_string(stopPid), {} }));
    }

    void endStop(const Result<bool>& result)
    {
        stopTimer.stop();
        if (result && *result) {
            info.reset();
            setState(State::Stopped);
        }
        for (const auto& promise : std::exchange(stopping, {})) {
            promise->addResult(result);
            promise->finish();
        }
    }

    std::vector<QPromise<Started>> waiting;
    std::vector<std::shared_ptr<QPromise<Result<bool>>>> stopping;
    std::unique_ptr<HttpClient> http;
    ControlSocket control;
    QTimer readyTimer;
    QTimer stopTimer;
    QElapsedTimer budget;
    qint64 startedPid = 0;
    qint64 stopPid = 0;
    qint64 logStart = 0;
};

LocalBackend::LocalBackend(Profile profile, QString program, QStringList arguments, QObject* parent)
    : QObject(parent)
    , m_private(std::make_unique<Private>(
          this, std::move(profile), std::move(program), std::move(arguments)))
{
}

LocalBackend::~LocalBackend() = default;

QFuture<Result<LocalBackendInfo>> LocalBackend::start()
{
    return m_private->start();
}

LocalBackend::State LocalBackend::state() const
{
    return m_private->state;
}

std::optional<LocalBackendInfo> LocalBackend::info() const
{
    return m_private->info;
}

Connection LocalBackend::connection() const
{
    Q_ASSERT(m_private->info);
    Connection connection;
    connection.name = "local";
    connection.url = m_private->info->url.toStdString();
    connection.account = m_private->info->account;
    connection.safetyLevel = SafetyLevel::Free;
    connection.isLocal = true;
    return connection;
}

QFuture<Result<bool>> LocalBackend::stopIfIdle()
{
    return m_private->stopIfIdle();
}

} // namespace desk
