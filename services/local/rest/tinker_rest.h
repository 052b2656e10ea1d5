// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/rest_codec.h"
#include "services/core/result.h"
#include "services/local/objects/object_store.h"
#include "services/local/rest/session_traces.h"
#include "services/local/rest/signed_url.h"
#include "services/local/sampling/sampling_sessions.h"
#include "services/local/server/router.h"
#include "services/local/server/task_pool.h"

#include <string>
#include <vector>

namespace desk::local {

/// The calls of Tinker's RestClient and of its command line (trainer.md 6.8, tinker-0.38.md 14):
/// training runs, their checkpoints, expiry, publication, downloads, sessions.
/// THREAD: handlers on the server's thread, copies and archives on the pool's.
class TinkerRest
{
public:
    struct Config
    {
        std::string key; ///< signs links
        bool isTls = false; ///< links begin with https
    };
    TinkerRest(ObjectStore& store, const SamplingSessions& samplers, const SessionTraces& traces,
        TaskPool& pool, const Config& config);
    TinkerRest(const TinkerRest&) = delete;
    TinkerRest& operator=(const TinkerRest&) = delete;

    void addRoutes(Router& router);
    /// Links carry their own proof, the hub's routes need none: these requests come without a key.
    [[nodiscard]] static bool needsNoKey(const HttpRequest& request);

private:
    using Answer = Result<HttpResponse>;
    using Handler = Answer (TinkerRest::*)(const HttpRequest&);
    void add(Router& router, const char* method, const std::string& path, Handler handler);
    void addSlow(Router& router, const char* method, const std::string& path, Handler handler);
    void addRunRoutes(Router& router);
    void addSessionRoutes(Router& router);
    void addAccountRoutes(Router& router);

    Answer listRuns(const HttpRequest& request);
    Answer getRun(const HttpRequest& request);
    Answer listRunCheckpoints(const HttpRequest& request);
    Answer listCheckpoints(const HttpRequest& request);
    Answer deleteCheckpoint(const HttpRequest& request);
    Answer publish(const HttpRequest& request);
    Answer unpublish(const HttpRequest& request);
    Answer setTtl(const HttpRequest& request);
    Answer archive(const HttpRequest& request);
    Answer externalUrls(const HttpRequest& request);
    Answer download(const HttpRequest& request);
    Answer weightsInfo(const HttpRequest& request);
    Answer copyWeights(const HttpRequest& request);
    Answer listSessions(const HttpRequest& request);
    Answer getSession(const HttpRequest& request);
    Answer searchSessions(const HttpRequest& request);
    Answer assignProject(const HttpRequest& request);
    Answer traceExport(const HttpRequest& request);
    Answer keyDetails(const HttpRequest& request);
    Answer deleteKey(const HttpRequest& request);
    Answer audit(const HttpRequest& request);
    Answer storageUse(const HttpRequest& request);

    [[nodiscard]] Result<CheckpointRow> checkpointOf(const HttpRequest& request) const;
    [[nodiscard]] Answer setVisibility(const HttpRequest& request, bool isPublic);
    [[nodiscard]] RestCheckpoint shown(const CheckpointRow& row) const;
    [[nodiscard]] Result<RestRun> shown(const RunRow& row) const;
    [[nodiscard]] Result<RestSession> shown(const SessionRow& row) const;
    [[nodiscard]] Result<CheckpointRow> namedWeights(
        const HttpRequest& request, const std::string& path) const;
    [[nodiscard]] Result<RunRow> runForCopy(
        const CopyWeights& wanted, const CheckpointRow& source, const std::string& idempotencyKey);
    [[nodiscard]] std::string link(
        const HttpRequest& request, const std::string& path, Time expires) const;
    [[nodiscard]] Result<std::string> traceOf(const SessionRow& session) const;
    [[nodiscard]] std::string owner() const;

    ObjectStore& m_store;
    const SamplingSessions& m_samplers;
    const SessionTraces& m_traces;
    TaskPool& m_pool;
    UrlSigner m_signer;
    bool m_isTls;
};

} // namespace desk::local
