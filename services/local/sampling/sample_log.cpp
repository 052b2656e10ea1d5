// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/sampling/sample_log.h"

#include "services/local/server/router.h"

#include <algorithm>
#include <utility>

namespace desk::local {

namespace {

    constexpr std::chrono::milliseconds kLongestPoll { 27'000 };
    constexpr std::size_t kMaxLogged = 65'536; // of one copy of a client

} // namespace

SampleLog::SampleLog(After after)
    : m_after(std::move(after))
{
}

FutureCompletions SampleLog::completionsOf(const List& list)
{
    FutureCompletions completions;
    completions.cursor = list.next - 1;
    for (const auto& [number, completion] : list.entries)
        completions.completions.push_back(completion);
    return completions;
}

void SampleLog::ended(const std::string& session, std::int64_t seqId, FutureCompletion completion)
{
    std::map<std::uint64_t, Responder> waiters;
    std::string body;
    {
        const std::scoped_lock lock(m_mutex);
        auto& list = m_lists[{ session, seqId / kClone }];
        list.entries.emplace_back(list.next++, std::move(completion));
        if (list.entries.size() > kMaxLogged)
            list.entries.pop_front(); // nobody acknowledges: they are still to be had one by one
        if (list.waiters.empty())
            return;
        waiters.swap(list.waiters);
        body = encodeFutureCompletions(completionsOf(list));
    }
    for (const auto& [number, responder] : waiters)
        responder.send(jsonResponse(body));
}

void SampleLog::poll(const RetrieveFutures& request, const Responder& responder)
{
    const Key key(request.samplingSessionId, request.clone);
    std::uint64_t waiter = 0;
    std::string body;
    {
        const std::scoped_lock lock(m_mutex);
        auto& list = m_lists[key];
        while (!list.entries.empty() && list.entries.front().first <= request.cursor)
            list.entries.pop_front();
        if (list.entries.empty() && request.timeout.value_or(1.0) > 0) {
            waiter = m_nextWaiter++;
            list.waiters.emplace(waiter, responder);
        } else {
            body = encodeFutureCompletions(completionsOf(list));
        }
    }
    if (waiter == 0)
        return responder.send(jsonResponse(std::move(body)));
    auto hold = kLongestPoll;
    if (request.timeout)
        hold = std::min(hold,
            std::chrono::milliseconds(
                static_cast<std::int64_t>(std::min(*request.timeout, 60.0) * 1000)));
    responder.onGone([this, key, waiter] { giveUp(key, waiter); });
    m_after(hold, [this, key, waiter] { giveUp(key, waiter); });
}

void SampleLog::giveUp(const Key& key, std::uint64_t waiter)
{
    Responder responder;
    std::string body;
    {
        const std::scoped_lock lock(m_mutex);
        const auto list = m_lists.find(key);
        if (list == m_lists.end())
            return;
        const auto found = list->second.waiters.find(waiter);
        if (found == list->second.waiters.end())
            return;
        responder = found->second;
        list->second.waiters.erase(found);
        body = encodeFutureCompletions(completionsOf(list->second));
    }
    responder.send(jsonResponse(std::move(body)));
}

void SampleLog::drop(const std::string& session)
{
    std::vector<Responder> waiters;
    {
        const std::scoped_lock lock(m_mutex);
        for (auto list = m_lists.lower_bound({ session, INT64_MIN });
             list != m_lists.end() && list->first.first == session;) {
            for (const auto& [number, responder] : list->second.waiters)
                waiters.push_back(responder);
            list = m_lists.erase(list);
        }
    }
    for (const auto& responder : waiters)
        responder.send(jsonResponse(encodeFutureCompletions({})));
}

} // namespace desk::local
