// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/trainer_codec.h"
#include "services/core/result.h"
#include "services/local/engine/engine.h"
#include "services/local/objects/object_store.h"
#include "services/local/server/router.h"
#include "services/local/server/task_pool.h"
#include "services/local/trainer/future_table.h"
#include "services/local/trainer/model_worker.h"
#include "services/local/trainer/snapshot_writer.h"

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace desk::local {

/// Every trainer's `/api/v1` (trainer.md): sessions, models, training calls, saves and loads.
/// A live model exists in this process only; what survives it are its saves.
/// THREAD: handlers on the server's thread; training runs on one thread a model.
class TrainerService
{
public:
    TrainerService(ObjectStore& store, SnapshotWriter& writer, FutureTable& futures,
        TaskPool& parsers, std::shared_ptr<ThreadPool> threads);
    ~TrainerService(); ///< stops
    TrainerService(const TrainerService&) = delete;
    TrainerService& operator=(const TrainerService&) = delete;

    void addRoutes(Router& router);
    /// Ends the live models of a job; their pending requests fail with `why`.
    void dropModelsOf(const std::string& job, const std::string& why);
    /// Stops all models; unsaved steps are lost.
    void stop();

private:
    struct Session
    {
        std::string job;
        std::string sdkVersion;
        std::chrono::steady_clock::time_point lastSeen;
    };
    struct LiveModel
    {
        std::string id;
        std::string job;
        std::string session;
        std::string baseModel;
        bool isBaseOnly = false;
        std::unique_ptr<Engine> engine; ///< used by the worker's thread only
        std::unique_ptr<ModelWorker> worker;
    };
    using ModelPtr = std::shared_ptr<LiveModel>;
    /// Work of a model: a result body or an error for the future.
    using Call = std::function<Result<std::string>(LiveModel&, std::stop_token)>;

    void addSessionRoutes(Router& router);
    void addTrainingRoutes(Router& router);
    void addSaveRoutes(Router& router);

    [[nodiscard]] Result<JobRow> jobOf(const HttpRequest& request) const;
    [[nodiscard]] ModelPtr findModel(const std::string& id, const std::string& job);
    [[nodiscard]] Error lostModel(const std::string& modelId, const std::string& job) const;

    void createSession(const HttpRequest& request, const Responder& responder);
    void heartbeat(const HttpRequest& request, const Responder& responder);
    void createModel(const HttpRequest& request, const Responder& responder);
    void getInfo(const HttpRequest& request, const Responder& responder);
    void unloadModel(const HttpRequest& request, const Responder& responder);
    void retrieve(const HttpRequest& request, const Responder& responder);
    void listCheckpoints(const HttpRequest& request, const Responder& responder);
    void capabilities(const HttpRequest& request, const Responder& responder);
    void forward(HttpRequest request, const Responder& responder, bool isBackward);
    void optimStep(const HttpRequest& request, const Responder& responder);
    void saveWeights(const HttpRequest& request, const Responder& responder);
    void saveForSampler(const HttpRequest& request, const Responder& responder);
    void loadWeights(const HttpRequest& request, const Responder& responder);

    [[nodiscard]] Result<std::string> openEngine(LiveModel& model) const;
    [[nodiscard]] Result<CheckpointRow> resolveState(
        const std::string& path, const LiveModel& model);
    /// Queues a call on the model named in the body and answers with its future. A model that is
    /// gone is a failed future, never an HTTP error: that would end a training client for good.
    void submit(const HttpRequest& request, const Responder& responder, const std::string& modelId,
        std::int64_t sequence, bool isBarrier, Call call);
    /// A call that ran out of memory is an error like others.
    [[nodiscard]] static Result<std::string> runCall(
        const Call& call, LiveModel& model, const std::stop_token& stop);
    [[nodiscard]] bool makeRoom(std::string& problem);

    ObjectStore& m_store;
    SnapshotWriter& m_writer;
    FutureTable& m_futures;
    TaskPool& m_parsers;
    std::shared_ptr<ThreadPool> m_threads;
    std::mutex m_mutex; // guards the maps
    std::map<std::string, Session> m_sessions;
    std::map<std::string, ModelPtr> m_models;
    bool m_isStopping = false;
};

} // namespace desk::local
