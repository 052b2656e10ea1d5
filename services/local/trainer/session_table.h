// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/trainer_codec.h"
#include "services/core/result.h"
#include "services/local/objects/object_store.h"

#include <chrono>
#include <map>
#include <mutex>
#include <string>

namespace desk::local {

/// The sessions of training clients (trainer.md 1.6, tinker-0.38.md section 6). Live ones are in
/// memory; a row of each stays in the store, for the lists. THREAD: any.
class SessionTable
{
public:
    SessionTable(ObjectStore& store, std::chrono::milliseconds silence);
    SessionTable(const SessionTable&) = delete;
    SessionTable& operator=(const SessionTable&) = delete;

    /// `job`: of the URL; empty: none.
    [[nodiscard]] Result<std::string> create(const CreateSession& wanted, const std::string& job);

    enum class State
    {
        Live,
        Finished,
        Unknown ///< never issued, or of an earlier process
    };
    /// Notes a sign of life.
    State touch(const std::string& id);
    [[nodiscard]] State state(const std::string& id) const;
    /// Live, or a usage error that says why not and what to do.
    [[nodiscard]] Status check(const std::string& id) const;
    [[nodiscard]] std::string jobOf(const std::string& id) const; ///< empty: none or unknown
    /// The first call counts. Live: it has ended now; Finished: it had; Unknown: no such session.
    [[nodiscard]] State finish(const std::string& id, const FinishSession& end);
    /// No sign of life for too long, or not live at all.
    [[nodiscard]] bool isSilent(const std::string& id) const;

private:
    struct Session
    {
        std::string job;
        std::chrono::steady_clock::time_point lastSeen;
        bool isFinished = false;
    };
    ObjectStore& m_store;
    const std::chrono::milliseconds m_silence;
    mutable std::mutex m_mutex;
    std::map<std::string, Session> m_sessions;
};

} // namespace desk::local
