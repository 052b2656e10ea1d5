// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/job_pool.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>

namespace desk {

namespace {

    Error jobCanceled()
    {
        return { Error::Code::Canceled, "the job was canceled", "no output was left", {}, {} };
    }

    Status runGuarded(const std::function<Status(std::size_t, JobWorker&)>& task, std::size_t index,
        JobWorker& worker)
    try {
        return task(index, worker);
    } catch (const std::bad_alloc&) {
        return Error { Error::Code::OutOfMemory, "there is not enough memory for the job",
            "no output was left", "use fewer threads", {} };
    } catch (const std::exception& error) {
        return Error { Error::Code::Backend, error.what(), "no output was left", {}, {} };
    }

    /// The failure of the lowest index that was seen, and how many threads still work.
    struct PoolOutcome
    {
        std::mutex mutex;
        std::condition_variable changed;
        unsigned running = 0;
        std::size_t failedIndex = 0;
        std::optional<Error> error;
    };

} // namespace

const char* toString(Stage stage) noexcept
{
    static constexpr std::array kNames { "read", "decode", "encode", "xor+adler", "measure",
        "compare", "write" };
    static_assert(kNames.size() == kStageCount);
    return kNames[static_cast<std::size_t>(stage)];
}

JobWorker::JobWorker(JobPool& pool, unsigned index)
    : base(kChunkBytes)
    , delta(kChunkBytes)
    , next(kChunkBytes)
    , other(kChunkBytes)
    , m_pool(pool)
    , m_index(index)
{
}

void JobWorker::book(Stage stage, std::uint64_t bytes, std::chrono::steady_clock::duration time)
{
    m_bytes[static_cast<std::size_t>(stage)] += bytes;
    m_times[static_cast<std::size_t>(stage)] += time;
}

Status JobWorker::step(std::uint64_t bytes)
{
    m_pool.m_done += bytes;
    if (m_index == 0)
        m_pool.poll();
    if (m_pool.m_isStopped)
        return jobCanceled();
    return done();
}

JobPool::JobPool(const JobControl& control, std::uint64_t totalBytes, unsigned threads)
    : m_control(control)
    , m_total(std::max<std::uint64_t>(totalBytes, 1))
    , m_threads(
          threads > 0 ? std::min(threads, 256U) : std::max(1U, std::thread::hardware_concurrency()))
{
}

void JobPool::poll()
{
    if (m_control.isCanceled && m_control.isCanceled()) {
        m_isCanceled = true;
        m_isStopped = true;
    }
    if (m_control.onProgress)
        m_control.onProgress(std::min(m_done.load(), m_total), m_total);
}

Status JobPool::run(std::size_t count, const std::function<Status(std::size_t, JobWorker&)>& task)
{
    const auto threads = static_cast<unsigned>(std::clamp<std::size_t>(count, 1, m_threads));
    std::vector<JobWorker> workers;
    for (unsigned i = 0; i < threads; ++i)
        workers.emplace_back(*this, i);
    std::atomic<std::size_t> nextIndex { 0 };
    PoolOutcome outcome;
    outcome.running = threads;

    const auto work = [&](JobWorker& worker) {
        for (;;) {
            const auto index = nextIndex++;
            if (index >= count || m_isStopped)
                break;
            auto status = runGuarded(task, index, worker);
            if (status)
                continue;
            const std::scoped_lock lock(outcome.mutex);
            if (!m_isStopped.exchange(true) || index < outcome.failedIndex) {
                outcome.failedIndex = index;
                outcome.error = status.error();
            }
            break;
        }
        const std::scoped_lock lock(outcome.mutex);
        --outcome.running;
        outcome.changed.notify_all();
    };
    {
        std::vector<std::jthread> others;
        for (unsigned i = 1; i < threads; ++i)
            others.emplace_back([&work, &workers, i] { work(workers[i]); });
        poll();
        work(workers[0]);
        std::unique_lock lock(outcome.mutex);
        while (outcome.running > 0) {
            outcome.changed.wait_for(lock, std::chrono::milliseconds(10));
            lock.unlock();
            poll();
            lock.lock();
        }
    }
    for (const auto& worker : workers)
        for (std::size_t i = 0; i < kStageCount; ++i) {
            m_bytes[i] += worker.m_bytes[i];
            m_seconds[i] += std::chrono::duration<double>(worker.m_times[i]).count();
        }
    poll();
    if (m_isCanceled)
        return jobCanceled();
    if (outcome.error)
        return *std::move(outcome.error);
    return done();
}

std::vector<StageThroughput> JobPool::stages() const
{
    std::vector<StageThroughput> list;
    for (std::size_t i = 0; i < kStageCount; ++i)
        if (m_bytes[i] > 0)
            list.push_back({ toString(static_cast<Stage>(i)), m_bytes[i], m_seconds[i] });
    return list;
}

} // namespace desk
