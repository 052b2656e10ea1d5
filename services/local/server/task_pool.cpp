// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/server/task_pool.h"

#include "services/local/server/log.h"

#include <exception>
#include <string>
#include <utility>

namespace desk::local {

TaskPool::TaskPool(int threads)
{
    for (int i = 0; i < threads; ++i)
        m_threads.emplace_back([this] { work(); });
}

TaskPool::~TaskPool()
{
    stop();
}

void TaskPool::post(std::function<void()> task)
{
    {
        const std::scoped_lock lock(m_mutex);
        if (m_isStopping)
            return;
        m_tasks.push_back(std::move(task));
    }
    m_wake.notify_one();
}

void TaskPool::stop()
{
    std::deque<std::function<void()>> dropped;
    {
        const std::scoped_lock lock(m_mutex);
        m_isStopping = true;
        dropped.swap(m_tasks);
    }
    m_wake.notify_all();
    for (auto& thread : m_threads)
        if (thread.joinable())
            thread.join();
}

void TaskPool::work()
{
    while (true) {
        std::function<void()> task;
        {
            std::unique_lock lock(m_mutex);
            m_wake.wait(lock, [this] { return m_isStopping || !m_tasks.empty(); });
            if (m_isStopping)
                return;
            task = std::move(m_tasks.front());
            m_tasks.pop_front();
        }
        try {
            task();
        } catch (const std::exception& problem) { // out of memory; the other tasks go on
            logLine(LogLevel::Error, std::string("a task failed: ") + problem.what());
        }
    }
}

} // namespace desk::local
