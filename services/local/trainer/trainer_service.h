// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/trainer_codec.h"
#include "services/core/result.h"
#include "services/local/engine/engine.h"
#include "services/local/objects/object_store.h"
#include "services/local/rehearsal/training_note.h"
#include "services/local/sampling/sampling_sessions.h"
#include "services/local/server/router.h"
#include "services/local/server/task_pool.h"
#include "services/local/trainer/future_table.h"
#include "services/local/trainer/model_worker.h"
#include "services/local/trainer/session_table.h"
#include "services/local/trainer/snapshot_writer.h"
#include "services/local/trainer/trainer_limits.h"
#include "services/local/trainer/turn_gate.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace desk::local {

/// What the trainers work with; all of it outlives them.
struct TrainerParts
{
    ObjectStore& store;
    SnapshotWriter& writer;
    FutureTable& futures;
    SamplingSessions& samplers;
    TaskPool& parsers;
    std::shared_ptr<ThreadPool> threads;
    TrainerLimits limits {};
};

/// Every trainer's `/api/v1` (trainer.md, fireworks-sdk-1.2.30.md, tinker-0.38.md): sessions,
/// models, training calls, saves and loads, for all client versions at once. A live model exists in
/// this process only; what survives it are its saves.
/// Whatever a user can do wrong in a submitted chunk fails in its future, never by status: the
/// clients do not recover from a refused chunk.
/// THREAD: handlers on the server's thread; a model's calls on a thread of its own, in turns.
class TrainerService
{
public:
    explicit TrainerService(TrainerParts parts);
    ~TrainerService(); ///< stops
    TrainerService(const TrainerService&) = delete;
    TrainerService& operator=(const TrainerService&) = delete;

    void addRoutes(Router& router);
    /// Told of everything that happens to live models. Set before the first request.
    void setNotes(TrainingNotes notes);
    /// Live, or a usage error in words; for services that work for a client's session.
    [[nodiscard]] Status checkSession(const std::string& session) const;
    /// Ends the live models of a job; their pending requests fail with `why`.
    void dropModelsOf(const std::string& job, const std::string& why);
    /// Stops all models; unsaved steps are lost.
    void stop();

private:
    struct LiveModel
    {
        std::string id;
        std::string job;
        std::string session;
        std::string baseModel; ///< full name
        std::string baseFolder; ///< of the base's row
        std::optional<LoraSettings> lora; ///< nullopt: full parameters, or base only
        bool isBaseOnly = false;
        std::chrono::steady_clock::time_point callBegan; ///< worker's thread only
        bool isTrained = false; ///< a step was taken or an adapter loaded; worker's thread only
        std::unique_ptr<Engine> engine; ///< used by the worker's thread only
        std::unique_ptr<ModelWorker> worker;
    };
    using ModelPtr = std::shared_ptr<LiveModel>;
    /// Work of a model: a result or an error for the future.
    using Call = std::function<Result<FutureResult>(LiveModel&, std::stop_token)>;
    using Method = void (TrainerService::*)(const HttpRequest&, const Responder&);
    /// A queued call and where it came from.
    struct Submission
    {
        std::string modelId;
        std::int64_t sequence = 0;
        bool isBarrier = false; ///< runs where it arrived
        bool computes = false; ///< takes a turn of the engine
    };
    /// What a path names: a row, and whether its files are a state or sampler weights.
    struct LoadSource
    {
        CheckpointRow row;
        bool isState = true;
    };

    void post(Router& router, const char* path, Method method);

    // trainer_service.cpp
    [[nodiscard]] Result<JobRow> jobOf(const HttpRequest& request) const;
    /// The job whose saves are this model's; makes one where the URL names none.
    [[nodiscard]] Result<std::string> jobForModel(
        const HttpRequest& request, const LiveModel& model);
    [[nodiscard]] Result<std::string> ownJob(
        const std::string& id, const std::string& baseModel, int loraRank);
    [[nodiscard]] ModelPtr findModel(const std::string& id, const std::string& job);
    [[nodiscard]] Error lostModel(const std::string& modelId, const std::string& job) const;
    void endOfEarlierRuns();
    void submit(
        const HttpRequest& request, const Responder& responder, const Submission& what, Call call);
    void run(LiveModel& model, const std::string& requestId, const Submission& what,
        const Call& call, const std::stop_token& stop);
    [[nodiscard]] Result<FutureResult> runCall(
        LiveModel& model, const Submission& what, const Call& call, const std::stop_token& stop);
    void note(TrainingNote::Kind kind, const LiveModel& model,
        const std::function<void(TrainingNote&)>& fill = {}) const;
    [[nodiscard]] FutureTable::Queue queueOf(const std::string& owner) const;

    // session_calls.cpp
    void addSessionRoutes(Router& router);
    void createSession(const HttpRequest& request, const Responder& responder);
    void heartbeat(const HttpRequest& request, const Responder& responder);
    void finishSession(const HttpRequest& request, const Responder& responder);
    void clientConfig(const HttpRequest& request, const Responder& responder);
    void retrieve(const HttpRequest& request, const Responder& responder);
    void capabilities(const HttpRequest& request, const Responder& responder);

    // model_calls.cpp
    void addModelRoutes(Router& router);
    void createModel(const HttpRequest& request, const Responder& responder);
    /// Takes a place among the live models and queues the opening; empty, or why not.
    [[nodiscard]] std::string admit(const ModelPtr& model, const std::string& requestId, Call open);
    [[nodiscard]] bool makeRoom(std::string& problem);
    [[nodiscard]] Status openEngine(LiveModel& model) const;
    [[nodiscard]] Status rememberRun(
        const LiveModel& model, const std::map<std::string, std::string>& userMetadata);
    void getInfo(const HttpRequest& request, const Responder& responder);
    void unloadModel(const HttpRequest& request, const Responder& responder);
    void dropModels(const std::vector<ModelPtr>& gone, const std::string& why);

    // training_calls.cpp
    void addTrainingRoutes(Router& router);
    void forward(HttpRequest request, const Responder& responder, bool isBackward);
    void submitForward(const HttpRequest& request, const Responder& responder, bool isBackward);
    void optimStep(const HttpRequest& request, const Responder& responder);
    void customLoss(const HttpRequest& request, const Responder& responder);
    void weightSync(const HttpRequest& request, const Responder& responder);

    // save_calls.cpp
    void addSaveRoutes(Router& router);
    void saveWeights(const HttpRequest& request, const Responder& responder);
    void saveForSampler(const HttpRequest& request, const Responder& responder);
    void saveExternal(const HttpRequest& request, const Responder& responder);
    void listCheckpoints(const HttpRequest& request, const Responder& responder);
    [[nodiscard]] Result<FutureResult> saveEphemeral(LiveModel& model, std::int64_t sequence);

    // load_calls.cpp
    void loadWeights(const HttpRequest& request, const Responder& responder);
    void loadAdapter(const HttpRequest& request, const Responder& responder);
    void createFromSave(
        const HttpRequest& request, const Responder& responder, const LoadWeights& wanted);
    [[nodiscard]] Status loadInto(
        LiveModel& model, const LoadSource& from, bool withOptimizer) const;
    [[nodiscard]] Result<LoadSource> resolveSave(const std::string& path, const std::string& job);

    TrainerParts m_parts;
    SessionTable m_sessions;
    TurnGate m_gate;
    TrainingNotes m_notes;
    // Bodies whose work has not ended; shared with that work, which may go last.
    std::shared_ptr<std::atomic<std::size_t>> m_queuedBytes;
    std::mutex m_mutex; // guards what follows
    std::map<std::string, ModelPtr> m_models;
    bool m_isStopping = false;
};

/// Keeps the saves of clients that came by the plain address and are no tinker.
inline constexpr const char* kDirectJob = "direct";
/// Plain tinker wants paths of its scheme, the Fireworks SDK and our own client bare names
/// (protocol/README.md).
[[nodiscard]] bool isPlainTinker(const HttpRequest& request) noexcept;
/// The Fireworks SDK since it has a core of its own (1.2.30).
[[nodiscard]] bool isFireworksSdk(const HttpRequest& request) noexcept;
/// A tinker of the second wire form (0.24 and later).
[[nodiscard]] bool isNewTinker(const HttpRequest& request) noexcept;
/// Error answer of a trainer route: what happened; what did not; what to do.
[[nodiscard]] HttpResponse trainerError(const Error& error);
[[nodiscard]] Error trainerUsage(std::string message, std::string next);
/// Usage error for an optimizer_config other than adamw.
[[nodiscard]] Status checkOptimizer(const std::string& type);

} // namespace desk::local
