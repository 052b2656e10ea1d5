// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/sample_codec.h"
#include "services/core/result.h"
#include "services/local/sampling/fair_queue.h"
#include "services/local/sampling/sample_log.h"
#include "services/local/sampling/sampling_sessions.h"
#include "services/local/server/router.h"
#include "services/local/server/task_pool.h"
#include "services/local/trainer/future_table.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace desk::local {

/// Sampling beside a trainer (trainer.md section 7, tinker-0.38.md section 13):
/// create_sampling_session, join_sampling_session, asample, samplers/{id}, retrieve_futures and
/// cancel_future. Each sequence is one turn of its sampling session in the queue.
/// THREAD: handlers on the server's thread.
class SamplingService
{
public:
    struct Limits
    {
        std::size_t waitingOfSession = 4096; ///< sequences; more: 429, the client sends again
        std::size_t waiting = 16'384; ///< of all sessions
    };
    SamplingService(SamplingSessions& sessions, FutureTable& futures, FairQueue& queue,
        TaskPool& parsers, SampleLog::After after, Limits limits);
    ~SamplingService();
    SamplingService(const SamplingService&) = delete;
    SamplingService& operator=(const SamplingService&) = delete;

    void addRoutes(Router& router);
    /// Drops the samples in work; their futures fail.
    void stop();

private:
    struct Job; // one asample request
    using JobPtr = std::shared_ptr<Job>;

    void createSession(const HttpRequest& request, const Responder& responder);
    void joinSession(const HttpRequest& request, const Responder& responder);
    void samplerInfo(const HttpRequest& request, const Responder& responder);
    void asample(HttpRequest request, const Responder& responder);
    void submit(const std::string& body, const Responder& responder);
    void retrieveFutures(const HttpRequest& request, const Responder& responder);
    void cancelFuture(const HttpRequest& request, const Responder& responder);

    void draw(const JobPtr& job, int index);
    void finish(const JobPtr& job);
    void fail(const JobPtr& job, const Error& error);
    void end(const JobPtr& job);
    void dropSession(const std::string& samplingSession);

    SamplingSessions& m_sessions;
    FutureTable& m_futures;
    FairQueue& m_queue;
    TaskPool& m_parsers;
    SampleLog m_log;
    Limits m_limits;
    std::mutex m_mutex; // guards m_jobs
    std::map<std::string, JobPtr> m_jobs; // pending, by request id
};

} // namespace desk::local
