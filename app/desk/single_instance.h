// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QByteArray>
#include <QObject>
#include <QString>

#include <memory>

class QLocalServer;
class QLockFile;

namespace desk {

/// One window process for each profile: the first holds a lock and listens, later ones hand over
/// their arguments and end. The socket is the user's own (mode 0700).
class SingleInstance final : public QObject
{
    Q_OBJECT

public:
    /// `stateDir`: of the profile; it exists.
    explicit SingleInstance(const QString& stateDir, QObject* parent = nullptr);
    ~SingleInstance() override;
    Q_DISABLE_COPY_MOVE(SingleInstance)

    /// True: this process is the first. False: `message` was handed to the first one, or it does
    /// not answer (wasDelivered() tells). May take up to a second; called before there is a window.
    [[nodiscard]] bool acquire(const QByteArray& message);
    [[nodiscard]] bool wasDelivered() const noexcept { return m_wasDelivered; }

Q_SIGNALS:
    void messageReceived(const QByteArray& message);

private:
    void listen();
    void readNext();

    QString m_name;
    std::unique_ptr<QLockFile> m_lock;
    std::unique_ptr<QLocalServer> m_server;
    bool m_wasDelivered = false;
};

} // namespace desk
