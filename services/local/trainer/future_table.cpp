// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/trainer/future_table.h"

#include "services/local/server/auth.h"
#include "services/local/server/router.h"

namespace desk::local {

namespace {

    HttpResponse futureResponse(const FutureReply& reply, const std::string& requestId)
    {
        return jsonResponse(reply.state == FutureReply::State::Done
                ? reply.result
                : encodeFuture(reply, requestId));
    }

} // namespace

FutureTable::FutureTable(After after, Timing timing)
    : m_after(std::move(after))
    , m_timing(timing)
    , m_prefix(randomHex(8))
{
}

FutureTable::Ticket FutureTable::submit(
    const std::string& owner, std::int64_t sequence, std::size_t fingerprint)
{
    const std::scoped_lock lock(m_mutex);
    const std::pair key(owner, sequence);
    if (const auto found = m_byKey.find(key); found != m_byKey.end()) {
        const auto& entry = m_entries.at(found->second);
        return { found->second, false, entry.fingerprint != fingerprint };
    }
    evict(Clock::now());
    Ticket ticket;
    ticket.requestId = m_prefix + "-" + std::to_string(m_next++);
    Entry entry;
    entry.owner = owner;
    entry.sequence = sequence;
    entry.fingerprint = fingerprint;
    m_byKey[key] = ticket.requestId;
    m_entries[ticket.requestId] = std::move(entry);
    return ticket;
}

std::string FutureTable::rejected(const std::string& message)
{
    std::int64_t number = 0;
    {
        const std::scoped_lock lock(m_mutex);
        number = static_cast<std::int64_t>(m_next);
    }
    const auto ticket = submit("rejected/" + randomHex(16), number, 0);
    fail(ticket.requestId, message, "user");
    return ticket.requestId;
}

void FutureTable::succeed(const std::string& requestId, std::string result)
{
    FutureReply reply;
    reply.state = FutureReply::State::Done;
    reply.result = std::move(result);
    end(requestId, std::move(reply));
}

void FutureTable::fail(
    const std::string& requestId, const std::string& message, const std::string& category)
{
    FutureReply reply;
    reply.state = FutureReply::State::Failed;
    reply.error = message;
    reply.category = category;
    end(requestId, std::move(reply));
}

void FutureTable::failPending(
    const std::string& owner, const std::string& message, const std::string& category)
{
    std::vector<std::string> pending;
    {
        const std::scoped_lock lock(m_mutex);
        for (const auto& [id, entry] : m_entries)
            if (entry.owner == owner && entry.reply.state == FutureReply::State::Pending)
                pending.push_back(id);
    }
    for (const auto& id : pending)
        fail(id, message, category);
}

void FutureTable::end(const std::string& requestId, FutureReply reply)
{
    std::vector<std::pair<std::uint64_t, Responder>> waiters;
    HttpResponse response;
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_entries.find(requestId);
        if (found == m_entries.end() || found->second.reply.state != FutureReply::State::Pending)
            return;
        auto& entry = found->second;
        entry.reply = std::move(reply);
        entry.ended = Clock::now();
        m_bytes += entry.reply.result.size();
        waiters.swap(entry.waiters);
        if (!waiters.empty()) {
            entry.delivered = entry.ended;
            response = futureResponse(entry.reply, requestId);
        }
    }
    for (const auto& [id, responder] : waiters)
        responder.send(response);
}

bool FutureTable::poll(const std::string& requestId, const Responder& responder)
{
    std::uint64_t waiter = 0;
    HttpResponse response;
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_entries.find(requestId);
        if (found == m_entries.end())
            return false;
        auto& entry = found->second;
        if (entry.reply.state == FutureReply::State::Pending) {
            waiter = m_next++;
            entry.waiters.emplace_back(waiter, responder);
        } else {
            if (!entry.delivered)
                entry.delivered = Clock::now();
            response = futureResponse(entry.reply, requestId);
        }
    }
    if (waiter == 0) {
        responder.send(std::move(response));
        return true;
    }
    m_after(m_timing.hold, [this, requestId, waiter] { giveUpWaiting(requestId, waiter); });
    return true;
}

void FutureTable::giveUpWaiting(const std::string& requestId, std::uint64_t waiter)
{
    Responder responder;
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_entries.find(requestId);
        if (found == m_entries.end())
            return;
        auto& waiters = found->second.waiters;
        for (auto entry = waiters.begin(); entry != waiters.end(); ++entry) {
            if (entry->first != waiter)
                continue;
            responder = entry->second;
            waiters.erase(entry);
            break;
        }
    }
    responder.send(futureResponse(FutureReply {}, requestId));
}

void FutureTable::evict(Clock::time_point now)
{
    if (now - m_evicted < std::chrono::seconds(1))
        return;
    m_evicted = now;
    for (auto entry = m_entries.begin(); entry != m_entries.end();) {
        const auto& future = entry->second;
        const bool isEnded = future.reply.state != FutureReply::State::Pending;
        const bool isOld = isEnded
            && (future.delivered ? now - *future.delivered > m_timing.keepDelivered
                                 : now - future.ended > m_timing.keepUndelivered);
        const bool isPressed = isEnded && future.delivered && m_bytes > m_timing.keepBytes
            && now - *future.delivered > std::chrono::seconds(60);
        if (!isOld && !isPressed) {
            ++entry;
            continue;
        }
        m_bytes -= future.reply.result.size();
        m_byKey.erase({ future.owner, future.sequence });
        entry = m_entries.erase(entry);
    }
}

} // namespace desk::local
