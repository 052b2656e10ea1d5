// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>
#include <QTimer>

#include <chrono>
#include <functional>

namespace desk {

/// Notices that the machine slept: the clock on the wall went on while the steady clock, which
/// stands still during a suspend, did not. A clock that is set forward by more than the threshold
/// looks the same; what follows (asking again) does no harm then.
/// THREAD: the one it lives in.
class SleepWatch final : public QObject
{
    Q_OBJECT
public:
    using ClockMs = std::function<qint64()>;
    static constexpr std::chrono::seconds kThreshold { 10 };
    static constexpr std::chrono::seconds kInterval { 5 };

    /// Empty clocks: those of this machine.
    explicit SleepWatch(ClockMs wall = {}, ClockMs steady = {}, QObject* parent = nullptr);
    Q_DISABLE_COPY_MOVE(SleepWatch)

    void look(); ///< called by its timer

Q_SIGNALS:
    void slept(std::chrono::milliseconds asleep);

private:
    [[nodiscard]] qint64 gap() const; // between the two clocks
    ClockMs m_wall;
    ClockMs m_steady;
    qint64 m_gap = 0;
    QTimer m_timer;
};

} // namespace desk
