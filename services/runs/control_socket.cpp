// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/runs/control_socket.h"

#include "services/on_finished.h"

#include <QFile>
#include <QFileInfo>
#include <QLocalSocket>
#include <QTimer>

#include <fcntl.h>
#include <memory>
#include <unistd.h>
#include <utility>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr qint64 kMaxReplyBytes = qint64 { 1 } << 20;
    // sun_path of a Unix socket address, without its terminating zero (unix(7)).
    constexpr qsizetype kMaxSocketPath = 107;

    std::string_view viewOf(const QByteArray& bytes)
    {
        return { bytes.constData(), static_cast<std::size_t>(bytes.size()) };
    }

    /// One command in flight; a child of the ControlSocket, deletes itself when it has ended.
    class Exchange final : public QObject // clazy:exclude=missing-qobject-macro
    {
    public:
        Exchange(QString path, QByteArray line, QObject* parent)
            : QObject(parent)
            , m_path(std::move(path))
            , m_line(std::move(line))
        {
            m_promise.start();
            connect(&m_socket, &QLocalSocket::connected, this, &Exchange::send);
            connect(&m_socket, &QLocalSocket::readyRead, this, &Exchange::read);
            connect(&m_socket, &QLocalSocket::disconnected, this, &Exchange::lost);
            connect(&m_socket, &QLocalSocket::errorOccurred, this, &Exchange::lost);
            connect(&m_timer, &QTimer::timeout, this, [this] {
                fail(m_isSent ? Error::Code::Unknown : Error::Code::Unreachable,
                    "The run did not answer on its control socket in time");
            });
            m_timer.setSingleShot(true);
        }
        ~Exchange() override
        {
            m_isFinished = true; // the socket reports its own end, to nobody
            m_socket.abort();
            if (m_folder >= 0)
                ::close(m_folder);
        }
        Q_DISABLE_COPY_MOVE(Exchange)

        QFuture<Result<QByteArray>> future() const { return m_promise.future(); }

        void start(int timeoutMs)
        {
            m_timer.start(timeoutMs);
            m_socket.connectToServer(reachablePath());
        }

    private:
        /// A path too long for a socket address is reached through its open folder.
        QString reachablePath()
        {
            if (QFile::encodeName(m_path).size() <= kMaxSocketPath)
                return m_path;
            const QFileInfo info(m_path);
            m_folder = ::open(QFile::encodeName(info.absolutePath()).constData(),
                O_PATH | O_DIRECTORY | O_CLOEXEC);
            return u"/proc/self/fd/%1/%2"_s.arg(m_folder).arg(info.fileName());
        }

        void send()
        {
            m_isSent = true;
            m_socket.write(m_line + '\n');
        }

        void read()
        {
            if (m_isFinished || !m_socket.isOpen())
                return;
            m_reply += m_socket.read(kMaxReplyBytes + 1 - m_reply.size());
            const auto end = m_reply.indexOf('\n');
            if (end >= 0)
                finish(Result<QByteArray>(m_reply.left(end)));
            else if (m_reply.size() > kMaxReplyBytes)
                fail(Error::Code::Malformed, "The run answered with more than 1 MiB on one line");
        }

        void lost()
        {
            if (m_isFinished)
                return;
            if (m_isSent)
                read(); // what came with the end
            if (m_isFinished)
                return;
            if (m_isSent)
                fail(Error::Code::Unknown, "The run closed its control socket before it answered");
            else
                fail(Error::Code::Unreachable, "Nothing listens on the run's control socket");
        }

        void fail(Error::Code code, const char* message)
        {
            const bool isLost = code == Error::Code::Unknown;
            finish(Result<QByteArray>(Error { code, message,
                isLost ? "It is not known whether the command took effect" : "Nothing was changed",
                isLost ? "Look at the run and its checkpoints before trying again"
                       : "Check that the training still runs; its log is trainer.log in the run "
                         "folder",
                {} }));
        }

        void finish(Result<QByteArray> result)
        {
            if (std::exchange(m_isFinished, true))
                return;
            m_timer.stop();
            m_promise.addResult(std::move(result));
            m_promise.finish();
            m_socket.abort();
            deleteLater();
        }

        const QString m_path;
        const QByteArray m_line;
        QPromise<Result<QByteArray>> m_promise;
        QLocalSocket m_socket;
        QTimer m_timer;
        QByteArray m_reply;
        int m_folder = -1;
        bool m_isSent = false;
        bool m_isFinished = false;
    };

} // namespace

ControlSocket::ControlSocket(QObject* parent)
    : QObject(parent)
{
}

ControlSocket::~ControlSocket() = default;

QFuture<Result<QByteArray>> ControlSocket::command(
    const QString& socket, const QByteArray& line, int timeoutMs)
{
    if (socket.isEmpty())
        return finishedFuture(
            Result<QByteArray>(Error { Error::Code::Unreachable, "The run has no control socket",
                "Nothing was changed", "Only runs started by Trainer Desk have one", {} }));
    auto* exchange = new Exchange(socket, line, this);
    auto future = exchange->future();
    exchange->start(timeoutMs);
    return future;
}

namespace {

    /// The reply line as a value; a lost reply of a command that changes nothing is no mystery.
    template <class T, class Decode>
    QFuture<Result<T>> decodedReply(
        const QFuture<Result<QByteArray>>& reply, QObject* guard, bool isReadOnly, Decode decode)
    {
        auto promise = std::make_shared<QPromise<Result<T>>>();
        promise->start();
        onFinished(reply, guard, [promise, decode, isReadOnly](const Result<QByteArray>& line) {
            if (line) {
                promise->addResult(decode(viewOf(*line)));
            } else {
                auto error = line.error();
                if (isReadOnly && error.code == Error::Code::Unknown) {
                    error.code = Error::Code::Unreachable;
                    error.unchanged = "Nothing was changed";
                }
                promise->addResult(Result<T>(std::move(error)));
            }
            promise->finish();
        });
        return promise->future();
    }

} // namespace

QFuture<Result<ControlStatus>> ControlSocket::status(const QString& socket, int timeoutMs)
{
    return decodedReply<ControlStatus>(
        command(socket, "status", timeoutMs), this, true, decodeControlStatus);
}

QFuture<Result<ControlSaved>> ControlSocket::save(const QString& socket, const std::string& kind,
    const std::string& name, std::int64_t ttlSeconds, int timeoutMs)
{
    auto line = "save " + kind + ' ' + name;
    if (ttlSeconds > 0)
        line += ' ' + std::to_string(ttlSeconds);
    // What the run would refuse is not sent, so that a space cannot make two words of one.
    if (const auto parsed = parseControlCommand(line); !parsed)
        return finishedFuture(Result<ControlSaved>(parsed.error()));
    return decodedReply<ControlSaved>(command(socket, QByteArray::fromStdString(line), timeoutMs),
        this, false, decodeControlSaved);
}

QFuture<Result<ControlStatus>> ControlSocket::pause(const QString& socket)
{
    return decodedReply<ControlStatus>(
        command(socket, "pause", kStatusTimeoutMs), this, false, decodeControlStatus);
}

QFuture<Result<ControlStatus>> ControlSocket::resume(const QString& socket)
{
    return decodedReply<ControlStatus>(
        command(socket, "continue", kStatusTimeoutMs), this, false, decodeControlStatus);
}

QFuture<Result<ControlStatus>> ControlSocket::stop(const QString& socket)
{
    return decodedReply<ControlStatus>(
        command(socket, "stop", kStatusTimeoutMs), this, false, decodeControlStatus);
}

} // namespace desk
