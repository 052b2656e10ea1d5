// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/rehearsal_codec.h"
#include "services/local/objects/object_store.h"
#include "services/local/rehearsal/stand_ins.h"
#include "services/local/rehearsal/training_note.h"
#include "services/local/server/router.h"

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

namespace desk::local {

/// Keeps the record of what a rehearsed script did. A rehearsal has a key of its own; requests with
/// that key, and what follows from them, belong to it. It ends by DELETE, or when nobody has asked
/// for it for a minute. THREAD: any.
class Rehearsals
{
public:
    Rehearsals(ObjectStore& store, StandIns& standIns);
    Rehearsals(const Rehearsals&) = delete;
    Rehearsals& operator=(const Rehearsals&) = delete;

    /// POST and GET /local/v1/rehearsals[/{id}], DELETE /local/v1/rehearsals/{id}.
    void addRoutes(Router& router);

    /// The rehearsal whose key a request carries; empty if none does.
    [[nodiscard]] std::string ownerOf(const HttpRequest& request) const;
    /// A responder that notes the answer to this request of a rehearsal and passes it on.
    [[nodiscard]] Responder observe(
        const std::string& id, const HttpRequest& request, Responder responder);
    void note(const TrainingNote& note);
    /// Ends what was abandoned.
    void expire(std::chrono::steady_clock::time_point now);

private:
    struct Rehearsal
    {
        std::string id;
        std::string key;
        Time began {};
        std::chrono::steady_clock::time_point lastAsked;
        std::set<std::string> sessions;
        std::set<std::string> jobs;
        std::map<std::string, RehearsedDeployment> deployments;
        std::map<std::string, RehearsedModel> models; ///< by model id
        std::set<std::string> standIns; ///< names
        std::vector<RehearsedLoad> loads;
        std::vector<RehearsedRefusal> refusals;
        std::int64_t requests = 0;
        std::int64_t completions = 0;
        std::int64_t samples = 0;
    };
    /// What is kept of a request until its answer is known.
    struct Call
    {
        std::string method;
        std::string path;
        std::string job;
        std::string deployment; ///< bare id
        std::string identity; ///< of a hot load
        std::string baseModel;
    };
    class Channel;

    void begin(const HttpRequest& request, const Responder& responder);
    void answered(const std::string& id, const Call& call, int status, const std::string& body);
    /// Lets the SDK say in its own log that this is a rehearsal.
    void announce(const std::string& id, std::string& body);
    void learnNames(Rehearsal& rehearsal, const Call& call, const std::string& body);
    [[nodiscard]] static Call summaryOf(const HttpRequest& request);
    [[nodiscard]] RehearsalRecord recordOf(const Rehearsal& rehearsal) const;
    void addJobs(const Rehearsal& rehearsal, RehearsalRecord& record) const;
    void addServing(const Rehearsal& rehearsal, RehearsalRecord& record) const;
    void allowStandIns(); // needs m_mutex

    ObjectStore& m_store;
    StandIns& m_standIns;
    mutable std::mutex m_mutex;
    std::map<std::string, Rehearsal> m_rehearsals; // running ones by id
};

} // namespace desk::local
