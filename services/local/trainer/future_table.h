// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/trainer_codec.h"
#include "services/local/server/http_types.h"

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace desk::local {

/// Results of submitted requests, kept until they were certainly delivered (trainer.md section 5).
/// Long polls wait here without a thread. Ids start with a prefix of this process, so that an id
/// of an earlier one is never taken for one of ours. THREAD: any.
class FutureTable
{
public:
    struct Timing
    {
        std::chrono::milliseconds hold { 25'000 }; ///< of a long poll; below the clients' 45 s
        std::chrono::milliseconds keepDelivered { 300'000 };
        std::chrono::milliseconds keepUndelivered { 3'600'000 };
        /// Above this, what was delivered a minute ago may go.
        std::size_t keepBytes = std::size_t { 64 } << 20;
    };
    /// `after` runs a function later, on any thread.
    using After = std::function<void(std::chrono::milliseconds, std::function<void()>)>;
    FutureTable(After after, Timing timing);
    FutureTable(const FutureTable&) = delete;
    FutureTable& operator=(const FutureTable&) = delete;

    struct Ticket
    {
        std::string requestId;
        bool isNew = true; ///< false: this request was submitted before
        bool isOtherRequest = false; ///< the key was used for something else
    };
    /// The future of (owner, sequence number); a repeated submission finds the first one.
    /// `fingerprint` tells repeated submissions from other requests under the same number.
    [[nodiscard]] Ticket submit(
        const std::string& owner, std::int64_t sequence, std::size_t fingerprint);

    /// A future that has failed already, for a request that could not be read.
    [[nodiscard]] std::string rejected(const std::string& message);
    void succeed(const std::string& requestId, std::string result);
    void fail(
        const std::string& requestId, const std::string& message, const std::string& category);
    /// Fails what is pending of an owner.
    void failPending(
        const std::string& owner, const std::string& message, const std::string& category);
    /// Answers now or when the future ends or the hold time is over. False for an unknown id.
    [[nodiscard]] bool poll(const std::string& requestId, const Responder& responder);

private:
    using Clock = std::chrono::steady_clock;
    struct Entry
    {
        std::string owner;
        std::int64_t sequence = 0;
        std::size_t fingerprint = 0;
        FutureReply reply;
        Clock::time_point ended {};
        std::optional<Clock::time_point> delivered;
        std::vector<std::pair<std::uint64_t, Responder>> waiters;
    };
    void end(const std::string& requestId, FutureReply reply);
    void giveUpWaiting(const std::string& requestId, std::uint64_t waiter);
    void evict(Clock::time_point now); // needs m_mutex

    After m_after;
    Timing m_timing;
    std::string m_prefix;
    std::mutex m_mutex;
    std::map<std::string, Entry> m_entries;
    std::map<std::pair<std::string, std::int64_t>, std::string> m_byKey;
    std::uint64_t m_next = 1;
    std::size_t m_bytes = 0;
    Clock::time_point m_evicted {};
};

} // namespace desk::local
