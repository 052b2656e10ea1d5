// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/local/objects/object_store.h"
#include "services/local/server/http_types.h"

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace desk::local {

/// Ends trainer jobs that nobody used for the inactivityTimeout they were created with
/// (gateway.md section 2.7); a job without one is never ended. Any request to its trainer is use,
/// heartbeats of a session included, probes of its health are not. THREAD: any.
class IdleJobs
{
public:
    /// Told of each job that ended and why.
    using Ended = std::function<void(const std::string& job, const std::string& why)>;
    IdleJobs(ObjectStore& store, Ended ended);
    IdleJobs(const IdleJobs&) = delete;
    IdleJobs& operator=(const IdleJobs&) = delete;

    /// Notes the use of the trainer that a request goes to, if it goes to one.
    void note(const HttpRequest& request);
    void noteUse(const std::string& job);
    /// The jobs that were idle for too long are COMPLETED, which can be resumed.
    void expire();

private:
    ObjectStore& m_store;
    Ended m_ended;
    std::mutex m_mutex;
    std::map<std::string, Time> m_used; ///< since this start of the process
    Time m_started;
};

/// Seconds of a duration like "1800s" or "1.5s"; nullopt for another text.
[[nodiscard]] std::optional<std::chrono::microseconds> durationFrom(std::string_view text);

} // namespace desk::local
