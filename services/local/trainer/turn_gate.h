// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

namespace desk::local {

/// The turns of the models that train: one computes at a time, with all threads of the engine, and
/// whoever waited longest is next. So a model with a thousand calls and one with a single call
/// alternate. THREAD: any.
class TurnGate
{
public:
    class Turn
    {
    public:
        Turn() = default;
        explicit Turn(TurnGate* gate)
            : m_gate(gate)
        {
        }
        Turn(Turn&& other) noexcept
            : m_gate(other.m_gate)
        {
            other.m_gate = nullptr;
        }
        Turn& operator=(Turn&&) = delete;
        ~Turn();
        explicit operator bool() const noexcept { return m_gate != nullptr; }

    private:
        TurnGate* m_gate = nullptr;
    };
    /// Waits for the turn of `who`; an empty one when `stop` is requested.
    [[nodiscard]] Turn take(const std::string& who, std::stop_token stop);

    struct Wait
    {
        std::size_t before = 0; ///< turns of others that come first, the present one included
        std::chrono::steady_clock::duration since {};
    };
    /// nullopt when `who` does not wait.
    [[nodiscard]] std::optional<Wait> waiting(const std::string& who) const;

private:
    struct Waiter
    {
        std::string who;
        std::chrono::steady_clock::time_point since;
    };
    void leave();

    mutable std::mutex m_mutex;
    std::condition_variable_any m_wake;
    std::list<Waiter> m_waiters; // in order of arrival
    bool m_isTaken = false;
};

} // namespace desk::local
