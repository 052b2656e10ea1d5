// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QByteArray>
#include <QHash>
#include <QList>
#include <QObject>
#include <QPointer>
#include <QString>
#include <QTcpServer>
#include <QTcpSocket>

#include <deque>
#include <functional>
#include <utility>

namespace desk::test {

struct SeenRequest
{
    QByteArray method;
    QByteArray target; ///< path and query as sent
    QHash<QByteArray, QByteArray> headers; ///< names in lower case
    QByteArray body;
    [[nodiscard]] QByteArray path() const { return target.split('?').first(); }
};

/// What the server does with one request.
struct Answer
{
    enum class Kind
    {
        Reply, ///< status, headers, body
        DropBeforeHeaders, ///< reads the request, then closes
        DropInHeaders, ///< half of the header block, then closes
        DropInBody, ///< headers with the full length, half of the body, then closes
        Silence ///< never answers
    };
    Kind kind = Kind::Reply;
    int status = 200;
    QByteArray body = "{}";
    QList<std::pair<QByteArray, QByteArray>> headers;
    int delayMs = 0;
};

/// An HTTP/1.1 server for tests on 127.0.0.1 that plays answers in order, or asks a function.
class ScriptedServer final : public QObject // clazy:exclude=missing-qobject-macro
{
public:
    explicit ScriptedServer(QObject* parent = nullptr);

    [[nodiscard]] QString url() const; ///< http://127.0.0.1:<port>
    void push(Answer answer) { m_script.push_back(std::move(answer)); }
    void push(int status, QByteArray body);
    /// Asked when the script is empty. Without it: 404.
    std::function<Answer(const SeenRequest&)> route;
    [[nodiscard]] const QList<SeenRequest>& seen() const { return m_seen; }
    [[nodiscard]] qsizetype count(const QByteArray& method, const QByteArray& path) const;
    void close(); ///< refuses connections from now on; cuts those that are open

private:
    void read(QTcpSocket* socket);
    void answer(QTcpSocket* socket, const Answer& answer);

    QHash<QTcpSocket*, QByteArray> m_pending;
    std::deque<Answer> m_script;
    QList<SeenRequest> m_seen;
    QTcpServer m_server; // last: its sockets report to the members above while they end
};

} // namespace desk::test
