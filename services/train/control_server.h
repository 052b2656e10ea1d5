// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/control_codec.h"
#include "services/core/result.h"

#include <QHash>
#include <QLocalServer>
#include <QObject>
#include <QString>

#include <functional>
#include <string>

class QLocalSocket;

namespace desk {

/// The control socket of a run: one text line in, one JSON line out, in order, several lines per
/// connection allowed (cli.md section 5). Only this user may connect (mode 0600). Lines are at
/// most 1 KiB; a longer one ends its connection.
/// THREAD: the one it lives on.
class ControlServer final : public QObject
{
    Q_OBJECT

public:
    using Reply = std::function<void(std::string line)>; ///< may be called later, once
    using Handler = std::function<void(const ControlCommand& command, Reply reply)>;

    explicit ControlServer(Handler handler, QObject* parent = nullptr);
    ~ControlServer() override; ///< removes the socket file
    Q_DISABLE_COPY_MOVE(ControlServer)

    /// A socket file that nobody serves is replaced. Conflict: somebody does.
    [[nodiscard]] Status listen(const QString& path);

private:
    void accept();
    void read(QLocalSocket* socket);
    void next(QLocalSocket* socket);

    Handler m_handler;
    QLocalServer m_server;
    QString m_path;
    int m_folder = -1; // a path too long for an address is bound through its open folder
    struct Pending
    {
        QByteArray bytes;
        bool isBusy = false;
    };
    QHash<QLocalSocket*, Pending> m_clients;
};

} // namespace desk
