// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/trainer/future_table.h"

#include "services/local/server/auth.h"
#include "services/local/server/router.h"

#include <cstdint>

namespace desk::local {

namespace {

    constexpr std::string_view kProtobufType = "application/x-protobuf";
    constexpr auto kPressedAge = std::chrono::seconds(120); // longer than the slowest retry
    constexpr auto kEvictInterval = std::chrono::seconds(1);

    std::size_t sizeOf(const FutureResult& result)
    {
        return result.json.size() + result.protobuf.size();
    }

} // namespace

FutureTable::FutureTable(After after, Timing timing)
    : m_after(std::move(after))
    , m_timing(std::move(timing))
    , m_prefix(randomHex(8))
{
}

FutureTable::Clock::time_point FutureTable::now() const
{
    return m_timing.now ? m_timing.now() : Clock::now();
}

void FutureTable::setQueueProbe(std::function<Queue(const std::string& owner)> probe)
{
    m_probe = std::move(probe);
}

FutureTable::Ticket FutureTable::submit(
    const std::string& owner, std::int64_t sequence, std::size_t fingerprint)
{
    const std::scoped_lock lock(m_mutex);
    const std::pair key(owner, sequence);
    Ticket ticket;
    if (const auto found = m_byKey.find(key); found != m_byKey.end()) {
        ticket.requestId = found->second;
        ticket.isNew = false;
        ticket.isOtherRequest = m_entries.at(found->second).fingerprint != fingerprint;
        return ticket;
    }
    evict(now());
    if (m_open >= m_timing.maxOpen || m_bytes >= m_timing.maxBytes) {
        ticket.isNew = false;
        ticket.isFull = true;
        return ticket;
    }
    ticket.requestId = m_prefix + "-" + std::to_string(m_next++);
    Entry entry;
    entry.owner = owner;
    entry.sequence = sequence;
    entry.fingerprint = fingerprint;
    m_byKey[key] = ticket.requestId;
    m_entries[ticket.requestId] = std::move(entry);
    ++m_open;
    return ticket;
}

std::string FutureTable::rejected(const std::string& message)
{
    std::string id;
    {
        const std::scoped_lock lock(m_mutex);
        const auto number = static_cast<std::int64_t>(m_next);
        id = m_prefix + "-" + std::to_string(m_next++);
        Entry entry;
        entry.owner = "rejected";
        entry.sequence = number;
        m_byKey[{ entry.owner, number }] = id;
        m_entries[id] = std::move(entry);
        ++m_open;
    }
    fail(id, message, "user");
    return id;
}

void FutureTable::succeed(const std::string& requestId, FutureResult result)
{
    end(requestId, State::Done, std::move(result), false);
}

void FutureTable::succeed(const std::string& requestId, std::string json)
{
    succeed(requestId, FutureResult { std::move(json), {} });
}

void FutureTable::fail(
    const std::string& requestId, const std::string& message, const std::string& category)
{
    FutureReply reply;
    reply.state = FutureReply::State::Failed;
    reply.error = message;
    reply.category = category;
    end(requestId, State::Failed, { encodeFuture(reply, requestId), {} }, false);
}

void FutureTable::failPending(
    const std::string& owner, const std::string& message, const std::string& category)
{
    FutureReply reply;
    reply.state = FutureReply::State::Failed;
    reply.error = message;
    reply.category = category;
    std::vector<std::string> pending;
    {
        const std::scoped_lock lock(m_mutex);
        for (auto key = m_byKey.lower_bound({ owner, INT64_MIN });
             key != m_byKey.end() && key->first.first == owner; ++key)
            if (m_entries.at(key->second).state == State::Pending)
                pending.push_back(key->second);
    }
    for (const auto& id : pending)
        end(id, State::Failed, { encodeFuture(reply, id), {} }, true);
}

void FutureTable::onCanceled(const std::string& requestId, std::function<void()> canceled)
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_entries.find(requestId);
    if (found != m_entries.end() && found->second.state == State::Pending)
        found->second.canceled = std::move(canceled);
}

bool FutureTable::cancel(const std::string& requestId)
{
    {
        const std::scoped_lock lock(m_mutex);
        if (!m_entries.contains(requestId))
            return false;
    }
    FutureReply reply;
    reply.state = FutureReply::State::Failed;
    reply.error = "the request was canceled by its client";
    reply.category = "user";
    end(requestId, State::Failed, { encodeFuture(reply, requestId), {} }, true);
    return true;
}

void FutureTable::end(
    const std::string& requestId, State state, FutureResult result, bool isCanceled)
{
    std::vector<std::pair<Responder, HttpResponse>> answers;
    std::function<void()> canceled;
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_entries.find(requestId);
        if (found == m_entries.end() || found->second.state != State::Pending)
            return;
        auto& entry = found->second;
        entry.state = state;
        entry.result = std::move(result);
        entry.ended = now();
        m_bytes += sizeOf(entry.result);
        canceled = std::exchange(entry.canceled, {});
        for (auto& waiter : entry.waiters)
            answers.emplace_back(
                waiter.responder, responseOf(requestId, entry, waiter.takesProtobuf));
        entry.waiters.clear();
        entry.waiters.shrink_to_fit();
    }
    for (auto& [responder, response] : answers)
        responder.send(std::move(response));
    if (isCanceled && canceled)
        canceled();
}

HttpResponse FutureTable::responseOf(
    const std::string& requestId, const Entry& entry, bool takesProtobuf)
{
    HttpResponse response;
    if (takesProtobuf && !entry.result.protobuf.empty()) {
        response.contentType = kProtobufType;
        response.body = entry.result.protobuf;
    } else {
        response.body = entry.result.json;
    }
    response.onDelivered = [this, requestId] { delivered(requestId); };
    return response;
}

HttpResponse FutureTable::pendingResponse(
    const std::string& requestId, const std::string& owner) const
{
    FutureReply reply;
    if (m_probe) {
        const auto queue = m_probe(owner);
        reply.queueState = queue.state;
        reply.queueReason = queue.reason;
    }
    return jsonResponse(encodeFuture(reply, requestId));
}

void FutureTable::delivered(const std::string& requestId)
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_entries.find(requestId);
    if (found == m_entries.end())
        return;
    if (!found->second.delivered)
        --m_open;
    found->second.delivered = now();
}

bool FutureTable::poll(
    const std::string& requestId, const Responder& responder, std::string_view accept)
{
    std::uint64_t number = 0;
    HttpResponse response;
    {
        const std::scoped_lock lock(m_mutex);
        evict(now());
        const auto found = m_entries.find(requestId);
        if (found == m_entries.end())
            return false;
        auto& entry = found->second;
        const bool takesProtobuf = accept.find(kProtobufType) != std::string_view::npos;
        if (entry.state == State::Pending) {
            number = m_next++;
            entry.waiters.push_back({ number, takesProtobuf, responder });
        } else {
            response = responseOf(requestId, entry, takesProtobuf);
        }
    }
    if (number == 0) {
        responder.send(std::move(response));
        return true;
    }
    responder.onGone([this, requestId, number] { giveUpWaiting(requestId, number, true); });
    m_after(m_timing.hold, [this, requestId, number] { giveUpWaiting(requestId, number, false); });
    return true;
}

void FutureTable::giveUpWaiting(const std::string& requestId, std::uint64_t waiter, bool isGone)
{
    Responder responder;
    std::string owner;
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_entries.find(requestId);
        if (found == m_entries.end())
            return;
        auto& waiters = found->second.waiters;
        for (auto entry = waiters.begin(); entry != waiters.end(); ++entry) {
            if (entry->number != waiter)
                continue;
            responder = entry->responder;
            owner = found->second.owner;
            waiters.erase(entry);
            break;
        }
    }
    if (owner.empty())
        return; // answered in the meantime
    if (isGone)
        return responder.drop();
    responder.send(pendingResponse(requestId, owner));
}

void FutureTable::sweep()
{
    const std::scoped_lock lock(m_mutex);
    evict(now());
}

FutureTable::Load FutureTable::load() const
{
    const std::scoped_lock lock(m_mutex);
    Load load { m_entries.size(), m_open, 0, m_bytes };
    for (const auto& [id, entry] : m_entries)
        load.waiters += entry.waiters.size();
    return load;
}

void FutureTable::evict(Clock::time_point now)
{
    if (now - m_evicted < kEvictInterval)
        return;
    m_evicted = now;
    for (auto entry = m_entries.begin(); entry != m_entries.end();) {
        const auto& future = entry->second;
        const bool isEnded = future.state != State::Pending;
        const bool isOld = isEnded
            && (future.delivered ? now - *future.delivered > m_timing.keepDelivered
                                 : now - future.ended > m_timing.keepUndelivered);
        const bool isPressed = isEnded && future.delivered && m_bytes > m_timing.keepBytes
            && now - *future.delivered > kPressedAge;
        if (!isOld && !isPressed) {
            ++entry;
            continue;
        }
        m_bytes -= sizeOf(future.result);
        if (!future.delivered)
            --m_open;
        m_byKey.erase({ future.owner, future.sequence });
        entry = m_entries.erase(entry);
    }
}

} // namespace desk::local
