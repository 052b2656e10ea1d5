// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/rest_codec.h"
#include "services/core/clock.h"
#include "services/local/rehearsal/training_note.h"

#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace desk::local {

/// What the models of each session computed and when, as long as this process lives: the newest
/// calls of the newest sessions. THREAD: any.
class SessionTraces
{
public:
    explicit SessionTraces(const Clock& clock);
    SessionTraces(const SessionTraces&) = delete;
    SessionTraces& operator=(const SessionTraces&) = delete;

    void note(const TrainingNote& note);
    /// Oldest first; the lane is the model's id.
    [[nodiscard]] std::vector<TraceEvent> of(const std::string& session) const;

private:
    const Clock& m_clock;
    mutable std::mutex m_mutex;
    std::map<std::string, std::deque<TraceEvent>> m_events; // by session
    std::deque<std::string> m_order; // of the sessions' first calls
};

} // namespace desk::local
