// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/trainer_codec.h"
#include "services/local/server/http_types.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace desk::local {

/// A result in the forms that pollers ask for. Both are encoded by whoever computed it: the
/// server's thread only hands them out.
struct FutureResult
{
    std::string json; ///< never empty
    std::string protobuf; ///< empty: there is no such form, JSON for everybody
};

/// Results of submitted requests, kept until they were certainly delivered and long enough for the
/// slowest retry (trainer.md section 5, tinker-0.38.md section 11). Long polls wait here without a
/// thread; a poll whose client has gone is dropped and is no delivery. Ids start with a prefix of
/// this process, so that an id of an earlier one is never taken for one of ours.
/// Trainers and samplers share one table. THREAD: any; nothing is called under the lock.
class FutureTable
{
public:
    using Clock = std::chrono::steady_clock;
    struct Timing
    {
        std::chrono::milliseconds hold { 27'000 }; ///< of a long poll; below the clients' 45 s
        /// Both outlive the slowest retry of a client, 90 s + 30 s.
        std::chrono::milliseconds keepDelivered { 300'000 };
        std::chrono::milliseconds keepUndelivered { 3'600'000 };
        /// Above this, what was delivered two minutes ago may go.
        std::size_t keepBytes = std::size_t { 64 } << 20;
        /// Above these nothing new is taken (Ticket::isFull): what is promised is never dropped.
        std::size_t maxBytes = std::size_t { 1 } << 30;
        std::size_t maxOpen = 65'536; ///< neither ended nor delivered
        std::function<Clock::time_point()> now; ///< empty: the steady clock
    };
    /// `after` runs a function later, on any thread.
    using After = std::function<void(std::chrono::milliseconds, std::function<void()>)>;
    FutureTable(After after, Timing timing);
    FutureTable(const FutureTable&) = delete;
    FutureTable& operator=(const FutureTable&) = delete;

    struct Ticket
    {
        std::string requestId; ///< empty if isFull
        bool isNew = true; ///< false: this request was submitted before
        bool isOtherRequest = false; ///< the key was used for something else
        bool isFull = false; ///< answer 429 with Retry-After
    };
    /// The future of (owner, sequence number); a repeated submission finds the first one.
    /// `fingerprint` tells repeated submissions from other requests under the same number.
    /// Owners: a model id, a sampling session id, or "create/<session>".
    [[nodiscard]] Ticket submit(
        const std::string& owner, std::int64_t sequence, std::size_t fingerprint);

    /// A future that has failed already, for a request that could not be read.
    [[nodiscard]] std::string rejected(const std::string& message);
    /// These three do nothing for a future that has ended: the first end counts.
    void succeed(const std::string& requestId, FutureResult result);
    void succeed(const std::string& requestId, std::string json);
    /// `category`: user, server or unknown.
    void fail(
        const std::string& requestId, const std::string& message, const std::string& category);
    /// Fails what is pending of an owner.
    void failPending(
        const std::string& owner, const std::string& message, const std::string& category);
    /// Called once if the future is canceled or failed by failPending while it is pending, to drop
    /// the work behind it; at once if it has ended so already.
    void onCanceled(const std::string& requestId, std::function<void()> canceled);
    /// Ends a pending future as failed (category user). False for an unknown id.
    [[nodiscard]] bool cancel(const std::string& requestId);

    struct Queue
    {
        std::string state = "active"; ///< active, paused_capacity, paused_rate_limit
        std::string reason; ///< shown to the user by the clients
    };
    /// Asked, on any thread, for the words of an answer that says "not yet".
    void setQueueProbe(std::function<Queue(const std::string& owner)> probe);

    /// Answers now or when the future ends or the hold time is over. False for an unknown id.
    /// `accept` is the poller's header: a result goes out as protobuf if it says so.
    [[nodiscard]] bool poll(
        const std::string& requestId, const Responder& responder, std::string_view accept = {});
    /// Removes what was delivered long ago. Call now and then.
    void sweep();

    struct Load
    {
        std::size_t futures = 0;
        std::size_t open = 0;
        std::size_t waiters = 0;
        std::size_t bytes = 0; ///< of results
    };
    [[nodiscard]] Load load() const;

private:
    struct Waiter
    {
        std::uint64_t number = 0;
        bool takesProtobuf = false;
        Responder responder;
    };
    enum class State
    {
        Pending,
        Done,
        Failed
    };
    struct Entry
    {
        std::string owner;
        std::int64_t sequence = 0;
        std::size_t fingerprint = 0;
        State state = State::Pending;
        FutureResult result; ///< Failed: `json` is the failure's body
        Clock::time_point ended {};
        std::optional<Clock::time_point> delivered;
        std::vector<Waiter> waiters;
        std::function<void()> canceled;
    };
    void end(const std::string& requestId, State state, FutureResult result, bool isCanceled);
    [[nodiscard]] HttpResponse responseOf(
        const std::string& requestId, const Entry& entry, bool takesProtobuf);
    [[nodiscard]] HttpResponse pendingResponse(
        const std::string& requestId, const std::string& owner) const;
    void delivered(const std::string& requestId);
    void giveUpWaiting(const std::string& requestId, std::uint64_t waiter, bool isGone);
    [[nodiscard]] Clock::time_point now() const;
    void evict(Clock::time_point now); // needs m_mutex

    After m_after;
    Timing m_timing;
    std::string m_prefix;
    std::function<Queue(const std::string&)> m_probe; // set before the first poll
    mutable std::mutex m_mutex;
    std::map<std::string, Entry> m_entries;
    std::map<std::pair<std::string, std::int64_t>, std::string> m_byKey;
    std::uint64_t m_next = 1;
    std::size_t m_bytes = 0;
    std::size_t m_open = 0; // neither ended nor delivered
    Clock::time_point m_evicted {};
};

} // namespace desk::local
