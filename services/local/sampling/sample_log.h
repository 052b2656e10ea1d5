// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/sample_codec.h"
#include "services/local/server/http_types.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace desk::local {

/// Which samples of a sampling session have ended, in order, for clients that ask for many at once
/// (retrieve_futures, tinker-0.38.md section 11.4). One list per copy of the client; what a cursor
/// acknowledges goes. THREAD: any.
class SampleLog
{
public:
    using After = std::function<void(std::chrono::milliseconds, std::function<void()>)>;
    explicit SampleLog(After after);
    SampleLog(const SampleLog&) = delete;
    SampleLog& operator=(const SampleLog&) = delete;

    static constexpr std::int64_t kClone = 1'000'000'000; ///< seq ids of one copy

    void ended(const std::string& session, std::int64_t seqId, FutureCompletion completion);
    /// Answers at once when something new is there or the timeout is 0, else when something ends
    /// or the time (at most 27 s) is over.
    void poll(const RetrieveFutures& request, const Responder& responder);
    void drop(const std::string& session); ///< waiting polls are answered with what there is

private:
    struct List
    {
        std::deque<std::pair<std::int64_t, FutureCompletion>> entries;
        std::int64_t next = 1;
        std::map<std::uint64_t, Responder> waiters;
    };
    using Key = std::pair<std::string, std::int64_t>;
    [[nodiscard]] static FutureCompletions completionsOf(const List& list);
    void giveUp(const Key& key, std::uint64_t waiter);

    After m_after;
    std::mutex m_mutex; // guards what follows
    std::map<Key, List> m_lists;
    std::uint64_t m_nextWaiter = 1;
};

} // namespace desk::local
