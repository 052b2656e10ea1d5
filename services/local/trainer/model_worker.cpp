// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/trainer/model_worker.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

namespace desk::local {

struct ModelWorker::Core
{
    struct Task
    {
        std::int64_t sequence = 0;
        bool isBarrier = false;
        std::chrono::steady_clock::time_point arrived;
        Work work;
    };

    bool take(std::unique_lock<std::mutex>& lock, const std::stop_token& stop, Task& task);
    void run(const std::stop_token& stop);

    std::chrono::milliseconds patience { 0 };
    std::mutex mutex;
    std::condition_variable_any wake;
    std::deque<Task> tasks;
    std::int64_t nextSequence = 1;
};

ModelWorker::ModelWorker(std::chrono::milliseconds patience)
    : m_core(std::make_shared<Core>())
{
    m_core->patience = patience;
    m_thread = std::jthread([core = m_core](const std::stop_token& stop) { core->run(stop); });
}

ModelWorker::~ModelWorker()
{
    stop();
    if (m_thread.joinable())
        m_thread.detach(); // destroyed by its own work: the thread ends after it
}

void ModelWorker::push(std::int64_t sequence, bool isBarrier, Work work)
{
    {
        const std::scoped_lock lock(m_core->mutex);
        m_core->tasks.push_back(
            { sequence, isBarrier, std::chrono::steady_clock::now(), std::move(work) });
    }
    m_core->wake.notify_all();
}

void ModelWorker::stop()
{
    m_thread.request_stop();
    if (m_thread.joinable() && m_thread.get_id() != std::this_thread::get_id())
        m_thread.join();
}

bool ModelWorker::Core::take(
    std::unique_lock<std::mutex>& lock, const std::stop_token& stop, Task& task)
{
    while (true) {
        wake.wait(lock, stop, [this] { return !tasks.empty(); });
        if (stop.stop_requested())
            return false;
        const auto barrier = std::find_if(
            tasks.begin(), tasks.end(), [](const Task& entry) { return entry.isBarrier; });
        auto chosen = tasks.begin();
        if (barrier != tasks.begin()) {
            chosen = std::min_element(tasks.begin(), barrier,
                [](const Task& a, const Task& b) { return a.sequence < b.sequence; });
            const auto deadline = chosen->arrived + patience;
            const bool isComplete = chosen->sequence <= nextSequence || barrier != tasks.end();
            if (!isComplete && std::chrono::steady_clock::now() < deadline) {
                const auto count = tasks.size();
                wake.wait_until(
                    lock, stop, deadline, [this, count] { return tasks.size() != count; });
                continue;
            }
        }
        task = std::move(*chosen);
        tasks.erase(chosen);
        nextSequence = std::max(nextSequence, task.sequence + 1);
        return true;
    }
}

void ModelWorker::Core::run(const std::stop_token& stop)
{
    while (true) {
        Task task;
        {
            std::unique_lock lock(mutex);
            if (!take(lock, stop, task))
                return;
        }
        task.work(stop);
    }
}

} // namespace desk::local
