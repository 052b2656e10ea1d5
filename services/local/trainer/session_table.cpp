// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/trainer/session_table.h"

#include "services/local/server/auth.h"

#include <algorithm>

namespace desk::local {

namespace {

    constexpr std::size_t kMaxSessions = 4096;

    Error deadSession(std::string message, std::string next)
    {
        return Error { Error::Code::Usage, std::move(message), "nothing was done", std::move(next),
            {} };
    }

} // namespace

SessionTable::SessionTable(ObjectStore& store, std::chrono::milliseconds silence)
    : m_store(store)
    , m_silence(silence)
{
}

Result<std::string> SessionTable::create(const CreateSession& wanted, const std::string& job)
{
    // Not "ts-…": the Fireworks SDK takes such a session for a serverless one.
    const auto id = "sess-" + randomHex(12);
    SessionRow row;
    row.id = id;
    row.job = job;
    row.displayName = wanted.displayName;
    row.sdkVersion = wanted.sdkVersion;
    row.userMetadata = wanted.userMetadata;
    row.project = wanted.projectId;
    if (auto status = m_store.putSession(row); !status)
        return status.error();
    const std::scoped_lock lock(m_mutex);
    if (m_sessions.size() >= kMaxSessions)
        m_sessions.erase(std::min_element(m_sessions.begin(), m_sessions.end(),
            [](const auto& a, const auto& b) { return a.second.lastSeen < b.second.lastSeen; }));
    m_sessions[id] = { job, std::chrono::steady_clock::now(), false };
    return id;
}

SessionTable::State SessionTable::touch(const std::string& id)
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_sessions.find(id);
    if (found == m_sessions.end())
        return State::Unknown;
    if (found->second.isFinished)
        return State::Finished;
    found->second.lastSeen = std::chrono::steady_clock::now();
    return State::Live;
}

SessionTable::State SessionTable::state(const std::string& id) const
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_sessions.find(id);
    if (found == m_sessions.end())
        return State::Unknown;
    return found->second.isFinished ? State::Finished : State::Live;
}

Status SessionTable::check(const std::string& id) const
{
    switch (state(id)) {
    case State::Live:
        return done();
    case State::Finished:
        return deadSession("the session " + id + " has been finished", "create a new session");
    case State::Unknown:
        break;
    }
    return deadSession("the session " + id.substr(0, 100)
            + " is not known: the backend was restarted, or it never was",
        "create a new session");
}

std::string SessionTable::jobOf(const std::string& id) const
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_sessions.find(id);
    return found == m_sessions.end() ? std::string {} : found->second.job;
}

SessionTable::State SessionTable::finish(const std::string& id, const FinishSession& end)
{
    {
        const std::scoped_lock lock(m_mutex);
        if (const auto found = m_sessions.find(id); found != m_sessions.end()) {
            if (found->second.isFinished)
                return State::Finished;
            found->second.isFinished = true;
        } else if (const auto row = m_store.session(id); !row) {
            return State::Unknown;
        } else if (!row->end.empty()) {
            return State::Finished;
        }
    }
    // A client may finish what an earlier process began.
    (void)m_store.endSession(id, end.reason, end.detail);
    return State::Live;
}

bool SessionTable::isSilent(const std::string& id) const
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_sessions.find(id);
    return found == m_sessions.end() || found->second.isFinished
        || std::chrono::steady_clock::now() - found->second.lastSeen >= m_silence;
}

} // namespace desk::local
