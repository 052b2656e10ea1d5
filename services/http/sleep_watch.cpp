// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/http/sleep_watch.h"

#include <QDateTime>

namespace desk {
namespace {

    qint64 monotonicMs()
    {
        using namespace std::chrono;
        return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
    }

} // namespace

SleepWatch::SleepWatch(ClockMs wall, ClockMs steady, QObject* parent)
    : QObject(parent)
    , m_wall(wall ? std::move(wall) : ClockMs(&QDateTime::currentMSecsSinceEpoch))
    , m_steady(steady ? std::move(steady) : ClockMs(monotonicMs))
    , m_gap(gap())
{
    m_timer.setTimerType(Qt::VeryCoarseTimer);
    connect(&m_timer, &QTimer::timeout, this, &SleepWatch::look);
    m_timer.start(kInterval);
}

qint64 SleepWatch::gap() const
{
    return m_wall() - m_steady();
}

void SleepWatch::look()
{
    const auto now = gap();
    const std::chrono::milliseconds asleep(now - m_gap);
    m_gap = now;
    if (asleep >= kThreshold)
        Q_EMIT slept(asleep);
}

} // namespace desk
