// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace desk::local {

/// Threads for work that would hold up the server's own: copies, loads, answers of models.
/// Tasks start in order. THREAD: any may post.
class TaskPool
{
public:
    explicit TaskPool(int threads);
    ~TaskPool(); ///< stops
    TaskPool(const TaskPool&) = delete;
    TaskPool& operator=(const TaskPool&) = delete;

    void post(std::function<void()> task);
    /// Drops what has not started and waits for what has.
    void stop();

private:
    void work();
    std::mutex m_mutex;
    std::condition_variable m_wake;
    std::deque<std::function<void()>> m_tasks;
    bool m_isStopping = false;
    std::vector<std::thread> m_threads;
};

} // namespace desk::local
