// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "app/ctl/ctl.h"
#include "services/runs/control_socket.h"

#include <QObject>
#include <QString>
#include <QTimer>

#include <cstdint>
#include <optional>

namespace desk {

/// Starts this program again as a process of its own that trains in the foreground, and waits for
/// its first step.
/// THREAD: main. OWNERSHIP: a child of the Ctl.
class DetachedTrain final : public QObject
{
    Q_OBJECT
public:
    DetachedTrain(Ctl& ctl, QString runDir);
    Q_DISABLE_COPY_MOVE(DetachedTrain)
    void start();

private:
    void look();
    void judge(const Result<ControlStatus>& status);
    void concludeFromOutcome();

    Ctl& m_ctl;
    QString m_runDir;
    ControlSocket m_socket;
    QTimer m_timer;
    qint64 m_pid = 0;
    std::optional<std::int64_t> m_firstStep; ///< where the run stood when it was seen first
};

} // namespace desk
