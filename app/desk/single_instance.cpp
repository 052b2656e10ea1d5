// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/desk/single_instance.h"

#include <QCryptographicHash>
#include <QDir>
#include <QLocalServer>
#include <QLocalSocket>
#include <QLockFile>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr int kHandOverMs = 1000;
    constexpr qint64 kMaxMessage = 64 * 1024;

    /// Socket paths are limited to about 100 bytes, profile paths are not.
    QString socketName(const QString& stateDir)
    {
        const QByteArray hash = QCryptographicHash::hash(
            QDir(stateDir).canonicalPath().toUtf8(), QCryptographicHash::Sha256);
        return u"trainerdesk-"_s + QString::fromLatin1(hash.toHex().first(24));
    }

} // namespace

SingleInstance::SingleInstance(const QString& stateDir, QObject* parent)
    : QObject(parent)
    , m_name(socketName(stateDir))
    , m_lock(std::make_unique<QLockFile>(QDir(stateDir).filePath(u"window.lock"_s)))
{
    m_lock->setStaleLockTime(0); // stale only when its process is gone
}

SingleInstance::~SingleInstance() = default;

bool SingleInstance::acquire(const QByteArray& message)
{
    if (m_lock->tryLock(0)) {
        listen();
        return true;
    }
    QLocalSocket socket;
    socket.connectToServer(m_name);
    if (!socket.waitForConnected(kHandOverMs))
        return false;
    socket.write(message);
    socket.flush();
    // The first window answers one byte when it has everything.
    m_wasDelivered = socket.waitForReadyRead(kHandOverMs) && socket.read(1) == "k";
    return false;
}

void SingleInstance::listen()
{
    QLocalServer::removeServer(m_name); // left by a killed process; the lock says nobody uses it
    m_server = std::make_unique<QLocalServer>();
    m_server->setSocketOptions(QLocalServer::UserAccessOption);
    connect(m_server.get(), &QLocalServer::newConnection, this, &SingleInstance::readNext);
    m_server->listen(m_name);
}

void SingleInstance::readNext()
{
    while (QLocalSocket* socket = m_server->nextPendingConnection()) {
        connect(socket, &QLocalSocket::disconnected, socket, &QObject::deleteLater);
        connect(socket, &QLocalSocket::readyRead, this, [this, socket] {
            if (socket->bytesAvailable() > kMaxMessage) {
                socket->abort();
                return;
            }
            if (!socket->peek(kMaxMessage).endsWith("end\n"))
                return;
            const QByteArray message = socket->readAll();
            socket->write("k");
            socket->disconnectFromServer();
            Q_EMIT messageReceived(message);
        });
    }
}

} // namespace desk
