// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace desk::local {

/// Threads for sequences to draw. The clients (keys) take turns, one task each, so that one with a
/// thousand samples does not hold up another with two; tasks of one key start in order. Training
/// has threads of its own and runs beside. THREAD: any may post.
class FairQueue
{
public:
    explicit FairQueue(int threads);
    ~FairQueue(); ///< stops
    FairQueue(const FairQueue&) = delete;
    FairQueue& operator=(const FairQueue&) = delete;

    void post(const std::string& key, std::function<void()> task);
    [[nodiscard]] std::size_t waiting() const;
    [[nodiscard]] std::size_t waiting(const std::string& key) const;
    [[nodiscard]] std::size_t running() const;
    /// Drops what has not started and waits for what has.
    void stop();

private:
    struct Lane
    {
        std::string key;
        std::deque<std::function<void()>> tasks;
    };
    void work();

    mutable std::mutex m_mutex; // guards what follows
    std::condition_variable m_wake;
    std::list<Lane> m_lanes; // with tasks; the first has the next turn
    std::map<std::string, std::list<Lane>::iterator> m_byKey;
    std::size_t m_waiting = 0;
    std::size_t m_running = 0;
    bool m_isStopping = false;
    std::vector<std::thread> m_threads;
};

} // namespace desk::local
