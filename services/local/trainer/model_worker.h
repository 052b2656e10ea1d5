// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <thread>

namespace desk::local {

/// The queue of one model: one thread runs its requests one after another.
///
/// Chunks of a call may arrive in any order, on several connections (trainer.md section 2.4). They
/// run in the order of their sequence numbers, so that equal runs give equal bits: a chunk whose
/// predecessors are missing waits a moment for them. A barrier (optimizer step, save, load) runs
/// where it arrived; whatever came before it was submitted before it. Gaps are normal.
class ModelWorker
{
public:
    using Work = std::function<void(std::stop_token)>;
    explicit ModelWorker(std::chrono::milliseconds patience = std::chrono::seconds(1));
    ~ModelWorker(); ///< stops
    ModelWorker(const ModelWorker&) = delete;
    ModelWorker& operator=(const ModelWorker&) = delete;

    void push(std::int64_t sequence, bool isBarrier, Work work);
    /// Requests a stop of the work in hand, drops the rest, waits.
    void stop();

private:
    struct Core; // shared with the thread: the last owner may be the work that it runs
    std::shared_ptr<Core> m_core;
    std::jthread m_thread;
};

} // namespace desk::local
