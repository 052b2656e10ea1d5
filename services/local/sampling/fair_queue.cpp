// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/sampling/fair_queue.h"

#include "services/local/server/log.h"

#include <exception>
#include <utility>

namespace desk::local {

FairQueue::FairQueue(int threads)
{
    for (int i = 0; i < threads; ++i)
        m_threads.emplace_back([this] { work(); });
}

FairQueue::~FairQueue()
{
    stop();
}

void FairQueue::post(const std::string& key, std::function<void()> task)
{
    {
        const std::scoped_lock lock(m_mutex);
        if (m_isStopping)
            return;
        auto found = m_byKey.find(key);
        if (found == m_byKey.end()) {
            m_lanes.push_back({ key, {} });
            found = m_byKey.emplace(key, std::prev(m_lanes.end())).first;
        }
        found->second->tasks.push_back(std::move(task));
        ++m_waiting;
    }
    m_wake.notify_one();
}

std::size_t FairQueue::waiting() const
{
    const std::scoped_lock lock(m_mutex);
    return m_waiting;
}

std::size_t FairQueue::waiting(const std::string& key) const
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_byKey.find(key);
    return found == m_byKey.end() ? 0 : found->second->tasks.size();
}

std::size_t FairQueue::running() const
{
    const std::scoped_lock lock(m_mutex);
    return m_running;
}

void FairQueue::stop()
{
    std::list<Lane> dropped; // destroyed outside of the lock: tasks may hold responders
    {
        const std::scoped_lock lock(m_mutex);
        m_isStopping = true;
        dropped.swap(m_lanes);
        m_byKey.clear();
        m_waiting = 0;
    }
    m_wake.notify_all();
    for (auto& thread : m_threads)
        if (thread.joinable())
            thread.join();
}

void FairQueue::work()
{
    while (true) {
        std::function<void()> task;
        {
            std::unique_lock lock(m_mutex);
            m_wake.wait(lock, [this] { return m_isStopping || !m_lanes.empty(); });
            if (m_isStopping)
                return;
            const auto lane = m_lanes.begin();
            task = std::move(lane->tasks.front());
            lane->tasks.pop_front();
            --m_waiting;
            ++m_running;
            if (lane->tasks.empty()) {
                m_byKey.erase(lane->key);
                m_lanes.erase(lane);
            } else {
                m_lanes.splice(m_lanes.end(), m_lanes, lane); // its next turn comes last
            }
        }
        try {
            task();
        } catch (const std::exception& problem) { // each task answers for itself before
            logLine(LogLevel::Error, std::string("a sample failed: ") + problem.what());
        }
        task = {};
        const std::scoped_lock lock(m_mutex);
        --m_running;
    }
}

} // namespace desk::local
