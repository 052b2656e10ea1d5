// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace desk::local {
namespace {
    constexpr int kMaxThreads = 64;

    void relax() noexcept
    {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    }
} // namespace

struct ThreadPool::Impl
{
    std::mutex callers; // one parallel call at a time
    std::mutex mutex;
    std::condition_variable wake;
    std::condition_variable finished;
    std::uint64_t generation = 0;
    int busy = 0; // workers inside the present call
    bool isOpen = false; // a worker that wakes up late must not enter a finished call
    bool isStopping = false;
    Task task = nullptr;
    void* context = nullptr;
    std::size_t count = 0;
    std::atomic<std::size_t> next { 0 };
    std::atomic<std::uint64_t> announced { 0 };
    std::vector<std::thread> workers;

    void drain() noexcept
    {
        for (std::size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1))
            task(context, i);
    }

    // A training step makes some hundred calls a few microseconds apart: a short spin saves the
    // wake-up, and is short enough not to burn a core that another program wants.
    void spinFor(std::uint64_t seen) const noexcept
    {
        for (int i = 0; i < 2000 && announced.load(std::memory_order_relaxed) == seen; ++i)
            relax();
    }

    void work()
    {
        std::uint64_t seen = 0;
        std::unique_lock lock(mutex);
        for (;;) {
            if (generation == seen && !isStopping) {
                lock.unlock();
                spinFor(seen);
                lock.lock();
            }
            wake.wait(lock, [&] { return isStopping || generation != seen; });
            if (isStopping)
                return;
            seen = generation;
            if (!isOpen)
                continue;
            ++busy;
            lock.unlock();
            drain();
            lock.lock();
            if (--busy == 0)
                finished.notify_one();
        }
    }
};

ThreadPool::ThreadPool(int threads)
    : m_impl(std::make_unique<Impl>())
{
    int wanted = threads;
    if (wanted <= 0)
        wanted = static_cast<int>(std::thread::hardware_concurrency());
    wanted = std::clamp(wanted, 1, kMaxThreads);
    for (int i = 1; i < wanted; ++i)
        m_impl->workers.emplace_back([impl = m_impl.get()] { impl->work(); });
}

ThreadPool::~ThreadPool()
{
    {
        const std::lock_guard lock(m_impl->mutex);
        m_impl->isStopping = true;
    }
    m_impl->wake.notify_all();
    for (auto& worker : m_impl->workers)
        worker.join();
}

int ThreadPool::threads() const noexcept
{
    return static_cast<int>(m_impl->workers.size()) + 1;
}

void ThreadPool::run(std::size_t count, Task task, void* context)
{
    if (count == 0)
        return;
    if (m_impl->workers.empty() || count == 1) {
        for (std::size_t i = 0; i < count; ++i)
            task(context, i);
        return;
    }
    const std::lock_guard caller(m_impl->callers);
    {
        const std::lock_guard lock(m_impl->mutex);
        m_impl->task = task;
        m_impl->context = context;
        m_impl->count = count;
        m_impl->next.store(0);
        m_impl->isOpen = true;
        ++m_impl->generation;
        m_impl->announced.store(m_impl->generation, std::memory_order_relaxed);
    }
    m_impl->wake.notify_all();
    m_impl->drain();
    std::unique_lock lock(m_impl->mutex);
    m_impl->isOpen = false;
    m_impl->finished.wait(lock, [&] { return m_impl->busy == 0; });
}

} // namespace desk::local
