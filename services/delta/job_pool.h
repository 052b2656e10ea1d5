// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/delta/engine.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace desk {

/// Bytes a job works on at a time: whole elements of every type (3 * 2^17), small enough for the
/// second-level cache, far below 10 ms of work.
inline constexpr std::size_t kChunkBytes = 393'216;

enum class Stage
{
    Read,
    Decode,
    Encode,
    Xor,
    Measure,
    Compare,
    Write
};
inline constexpr std::size_t kStageCount = 7;
[[nodiscard]] const char* toString(Stage stage) noexcept; ///< "read", "xor+adler", …

class JobPool;

/// What one thread of a job has for itself.
class JobWorker
{
public:
    explicit JobWorker(JobPool& pool, unsigned index);
    /// Runs f and books its time and bytes on the stage.
    template <class F>
    auto timed(Stage stage, std::uint64_t bytes, F f)
    {
        const auto start = std::chrono::steady_clock::now();
        auto result = f();
        book(stage, bytes, std::chrono::steady_clock::now() - start);
        return result;
    }
    /// Reports bytes as done. Canceled when the job is to stop: call between chunks.
    [[nodiscard]] Status step(std::uint64_t bytes);
    [[nodiscard]] unsigned index() const noexcept { return m_index; }

    std::vector<std::byte> base, delta, next, other; ///< kChunkBytes each

private:
    friend class JobPool;
    void book(Stage stage, std::uint64_t bytes, std::chrono::steady_clock::duration time);
    JobPool& m_pool;
    unsigned m_index;
    std::array<std::uint64_t, kStageCount> m_bytes {};
    std::array<std::chrono::steady_clock::duration, kStageCount> m_times {};
};

/// Runs the tensors of a job on some threads; the caller's is one of them and the only one that
/// calls the JobControl. Results are stored by index, so that they do not depend on the number of
/// threads.
class JobPool
{
public:
    JobPool(const JobControl& control, std::uint64_t totalBytes, unsigned threads);
    [[nodiscard]] unsigned threads() const noexcept { return m_threads; }
    /// task(i, worker) for every i < count. The first failure stops the others; Canceled if the
    /// control says so. Exceptions of a task become OutOfMemory or Backend.
    [[nodiscard]] Status run(
        std::size_t count, const std::function<Status(std::size_t, JobWorker&)>& task);
    /// Of all run() so far, in the order of the enum, stages without bytes left out.
    [[nodiscard]] std::vector<StageThroughput> stages() const;

private:
    friend class JobWorker;
    void poll();
    const JobControl& m_control;
    std::uint64_t m_total;
    unsigned m_threads;
    std::atomic<std::uint64_t> m_done { 0 };
    std::atomic<bool> m_isCanceled { false };
    std::atomic<bool> m_isStopped { false };
    std::array<std::uint64_t, kStageCount> m_bytes {};
    std::array<double, kStageCount> m_seconds {};
};

} // namespace desk
