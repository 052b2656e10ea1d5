// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/scripted_server.h"

#include <QHostAddress>
#include <QTimer>

using namespace Qt::StringLiterals;

namespace desk::test {
namespace {

    /// True and the request, once all of it has arrived in `buffer`, from which it is taken.
    bool takeRequest(QByteArray& buffer, SeenRequest& request)
    {
        const auto end = buffer.indexOf("\r\n\r\n");
        if (end < 0)
            return false;
        const auto lines = buffer.left(end).split('\n');
        const auto first = lines.first().trimmed().split(' ');
        if (first.size() < 2)
            return false;
        request.method = first[0];
        request.target = first[1];
        for (const auto& line : lines.mid(1)) {
            const auto colon = line.indexOf(':');
            request.headers[line.left(colon).trimmed().toLower()] = line.mid(colon + 1).trimmed();
        }
        const auto length = request.headers.value("content-length", "0").toLongLong();
        if (buffer.size() < end + 4 + length)
            return false;
        request.body = buffer.mid(end + 4, length);
        buffer.remove(0, end + 4 + length);
        return true;
    }

} // namespace

ScriptedServer::ScriptedServer(QObject* parent)
    : QObject(parent)
{
    m_server.listen(QHostAddress::LocalHost);
    connect(&m_server, &QTcpServer::newConnection, this, [this] {
        while (auto* socket = m_server.nextPendingConnection()) {
            connect(socket, &QTcpSocket::readyRead, this, [this, socket] { read(socket); });
            connect(socket, &QTcpSocket::disconnected, this, [this, socket] {
                m_pending.remove(socket);
                socket->deleteLater();
            });
        }
    });
}

QString ScriptedServer::url() const
{
    return u"http://127.0.0.1:"_s + QString::number(m_server.serverPort());
}

void ScriptedServer::push(int status, QByteArray body)
{
    Answer answer;
    answer.status = status;
    answer.body = std::move(body);
    push(std::move(answer));
}

qsizetype ScriptedServer::count(const QByteArray& method, const QByteArray& path) const
{
    qsizetype count = 0;
    for (const auto& request : m_seen)
        count += request.method == method && request.path() == path ? 1 : 0;
    return count;
}

void ScriptedServer::close()
{
    m_server.close();
    const auto sockets = m_pending.keys();
    for (auto* socket : sockets)
        socket->abort();
}

void ScriptedServer::read(QTcpSocket* socket)
{
    auto& buffer = m_pending[socket];
    buffer += socket->readAll();
    SeenRequest request;
    while (takeRequest(buffer, request)) {
        m_seen.append(request);
        Answer next;
        if (!m_script.empty()) {
            next = std::move(m_script.front());
            m_script.pop_front();
        } else if (route) {
            next = route(request);
        } else {
            next.status = 404;
            next.body = R"({"code":5,"message":"not scripted","details":[]})";
        }
        if (next.delayMs <= 0) {
            answer(socket, next);
        } else {
            QTimer::singleShot(next.delayMs, this, [this, next, held = QPointer(socket)] {
                if (held)
                    answer(held, next);
            });
        }
        request = {};
    }
}

void ScriptedServer::answer(QTcpSocket* socket, const Answer& answer)
{
    if (answer.kind == Answer::Kind::Silence)
        return;
    if (answer.kind == Answer::Kind::DropBeforeHeaders) {
        socket->disconnectFromHost();
        return;
    }
    QByteArray head = "HTTP/1.1 " + QByteArray::number(answer.status)
        + " Scripted\r\nContent-Type: application/json\r\nContent-Length: "
        + QByteArray::number(answer.body.size()) + "\r\n";
    for (const auto& [name, value] : answer.headers)
        head += name + ": " + value + "\r\n";
    head += "\r\n";
    switch (answer.kind) {
    case Answer::Kind::DropInHeaders:
        socket->write(head.left(head.size() / 2));
        socket->disconnectFromHost();
        break;
    case Answer::Kind::DropInBody:
        socket->write(head + answer.body.left(answer.body.size() / 2));
        socket->disconnectFromHost();
        break;
    case Answer::Kind::Reply:
    case Answer::Kind::DropBeforeHeaders:
    case Answer::Kind::Silence:
        socket->write(head + answer.body);
        break;
    }
}

} // namespace desk::test
