// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/trainer/turn_gate.h"

#include <iterator>

namespace desk::local {

TurnGate::Turn::~Turn()
{
    if (m_gate != nullptr)
        m_gate->leave();
}

TurnGate::Turn TurnGate::take(const std::string& who, std::stop_token stop)
{
    std::unique_lock lock(m_mutex);
    const auto place =
        m_waiters.insert(m_waiters.end(), Waiter { who, std::chrono::steady_clock::now() });
    const bool isMine =
        m_wake.wait(lock, stop, [&] { return !m_isTaken && m_waiters.begin() == place; });
    m_waiters.erase(place);
    if (!isMine || stop.stop_requested()) {
        m_wake.notify_all(); // the next one may be first now
        return Turn();
    }
    m_isTaken = true;
    return Turn(this);
}

void TurnGate::leave()
{
    {
        const std::scoped_lock lock(m_mutex);
        m_isTaken = false;
    }
    m_wake.notify_all();
}

std::optional<TurnGate::Wait> TurnGate::waiting(const std::string& who) const
{
    const std::scoped_lock lock(m_mutex);
    std::size_t before = m_isTaken ? 1 : 0;
    for (const auto& waiter : m_waiters) {
        if (waiter.who == who)
            return Wait { before, std::chrono::steady_clock::now() - waiter.since };
        ++before;
    }
    return std::nullopt;
}

} // namespace desk::local
