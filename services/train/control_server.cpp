// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/train/control_server.h"

#include <QFile>
#include <QFileInfo>
#include <QLocalSocket>
#include <QPointer>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace desk {
namespace {

    constexpr qsizetype kMaxControlLine = 1024;
    constexpr int kMaxControlClients = 32;

    Error controlServerError(const char* what, const QByteArray& path)
    {
        return { Error::Code::Unreadable,
            std::string(what) + " the control socket " + path.toStdString() + ": "
                + std::strerror(errno),
            "no training was started", "choose another run folder", {} };
    }

    sockaddr_un addressOf(const QByteArray& path)
    {
        sockaddr_un address {};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.constData(), static_cast<std::size_t>(path.size()));
        return address;
    }

    bool somebodyServes(const sockaddr_un& address)
    {
        const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (probe < 0)
            return false;
        const int connected =
            ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address);
        const bool isServed = connected == 0 || errno == EAGAIN;
        ::close(probe);
        return isServed;
    }

} // namespace

ControlServer::ControlServer(Handler handler, QObject* parent)
    : QObject(parent)
    , m_handler(std::move(handler))
{
    connect(&m_server, &QLocalServer::newConnection, this, &ControlServer::accept);
}

ControlServer::~ControlServer()
{
    // The sockets die with m_server, after m_clients: they must not report to it then.
    for (auto client = m_clients.cbegin(); client != m_clients.cend(); ++client)
        client.key()->disconnect(this);
    m_server.close();
    if (!m_path.isEmpty())
        QFile::remove(m_path);
    if (m_folder >= 0)
        ::close(m_folder);
}

Status ControlServer::listen(const QString& path)
{
    QByteArray native = QFile::encodeName(path);
    if (native.size() >= qsizetype { sizeof(sockaddr_un::sun_path) }) {
        const QFileInfo info(path);
        m_folder = ::open(
            QFile::encodeName(info.absolutePath()).constData(), O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (m_folder < 0)
            return controlServerError("cannot create", native);
        native = "/proc/self/fd/" + QByteArray::number(m_folder) + '/'
            + QFile::encodeName(info.fileName());
    }
    const sockaddr_un address = addressOf(native);
    if (somebodyServes(address))
        return Error { Error::Code::Conflict, "another process serves " + path.toStdString(),
            "no training was started", "wait for it, or stop it", {} };
    ::unlink(native.constData());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return controlServerError("cannot create", native);
    const bool isBound =
        ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0
        && ::chmod(native.constData(), 0600) == 0 && ::listen(fd, 16) == 0;
    if (!isBound || !m_server.listen(qintptr { fd })) {
        const Error error = controlServerError("cannot listen on", native);
        ::close(fd);
        return error;
    }
    m_path = path;
    return done();
}

void ControlServer::accept()
{
    while (QLocalSocket* socket = m_server.nextPendingConnection()) {
        if (m_clients.size() >= kMaxControlClients) {
            socket->abort();
            socket->deleteLater();
            continue;
        }
        m_clients.insert(socket, {});
        connect(socket, &QLocalSocket::readyRead, this, [this, socket] { read(socket); });
        connect(socket, &QLocalSocket::disconnected, this, [this, socket] {
            m_clients.remove(socket);
            socket->deleteLater();
        });
        read(socket);
    }
}

void ControlServer::read(QLocalSocket* socket)
{
    const auto client = m_clients.find(socket);
    if (client == m_clients.end())
        return;
    client->bytes += socket->read(8 * kMaxControlLine);
    const qsizetype end = client->bytes.indexOf('\n');
    if (end > kMaxControlLine || (end < 0 && client->bytes.size() > kMaxControlLine)) {
        socket->write(QByteArray::fromStdString(encodeControlError({ Error::Code::Usage,
                          "the command is longer than 1 KiB", "nothing was done", {}, {} }))
            + '\n');
        socket->disconnectFromServer();
        return;
    }
    next(socket);
}

void ControlServer::next(QLocalSocket* socket)
{
    const auto client = m_clients.find(socket);
    if (client == m_clients.end() || client->isBusy)
        return;
    const qsizetype end = client->bytes.indexOf('\n');
    if (end < 0)
        return;
    const QByteArray line = client->bytes.left(end).trimmed();
    client->bytes.remove(0, end + 1);
    client->isBusy = true;
    const Reply reply = [this, guard = QPointer<QLocalSocket>(socket),
                            self = QPointer<ControlServer>(this)](std::string text) {
        if (!guard || !self)
            return;
        guard->write(QByteArray::fromStdString(text) + '\n');
        const auto answered = m_clients.find(guard);
        if (answered == m_clients.end())
            return;
        answered->isBusy = false;
        // Queued: a client that sends many lines must not recurse through them.
        QMetaObject::invokeMethod(
            this, [this, guard] { guard ? read(guard) : void(); }, Qt::QueuedConnection);
    };
    const auto command =
        parseControlCommand({ line.constData(), static_cast<std::size_t>(line.size()) });
    if (!command)
        return reply(encodeControlError(command.error()));
    m_handler(*command, reply);
}

} // namespace desk
