// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/rest/session_traces.h"

namespace desk::local {

namespace {

    constexpr std::size_t kMaxTracedCalls = 20'000;
    constexpr std::size_t kMaxTracedSessions = 64;

    const char* callName(TrainingNote::Kind kind)
    {
        switch (kind) {
        case TrainingNote::Kind::Opened:
            return "create_model";
        case TrainingNote::Kind::Forward:
            return "forward";
        case TrainingNote::Kind::Backward:
            return "forward_backward";
        case TrainingNote::Kind::Step:
            return "optim_step";
        case TrainingNote::Kind::Failed:
            break;
        }
        return "failed";
    }

} // namespace

SessionTraces::SessionTraces(const Clock& clock)
    : m_clock(clock)
{
}

void SessionTraces::note(const TrainingNote& note)
{
    TraceEvent event;
    event.name = callName(note.kind);
    event.lane = note.model;
    event.end = m_clock.now();
    event.begin = event.end
        - std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(note.seconds));
    event.detail = note.message;
    const std::scoped_lock lock(m_mutex);
    if (!m_events.contains(note.session)) {
        if (m_order.size() >= kMaxTracedSessions) {
            m_events.erase(m_order.front());
            m_order.pop_front();
        }
        m_order.push_back(note.session);
    }
    auto& events = m_events[note.session];
    if (events.size() >= kMaxTracedCalls)
        events.pop_front();
    events.push_back(std::move(event));
}

std::vector<TraceEvent> SessionTraces::of(const std::string& session) const
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_events.find(session);
    if (found == m_events.end())
        return {};
    return { found->second.begin(), found->second.end() };
}

} // namespace desk::local
