// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/checkpoints/training_checkpoints.h"
#include "services/codecs/control_codec.h"
#include "services/codecs/recipe_codec.h"
#include "services/core/clock.h"
#include "services/core/result.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/gateway/trainer_job_manager.h"
#include "services/store/snapshot_chains.h"
#include "services/sync/weight_syncer.h"
#include "services/train/control_server.h"
#include "services/train/run_folder.h"
#include "services/train/run_saver.h"
#include "services/train/training_data.h"
#include "services/trainer/firetitan_client.h"

#include <QObject>
#include <QTimer>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace desk {

/// Clients of the connection that a run trains through; all must outlive the loop.
struct TrainServices
{
    HttpClient& http;
    FireworksClient& client;
    TrainerJobManager& jobs;
    DeploymentManager& deployments;
    const Clock& clock;
    SnapshotChains* chains = nullptr; ///< of weight syncs, over restarts; may be null
};

struct TrainSpec
{
    Recipe recipe;
    std::string baseModel; ///< full name
    std::string runName;
    std::string connection; ///< name, for config.json
    TrainingData data;
    TrainingData evalData; ///< empty: no evaluation
    std::optional<ResumePoint> resume;
};

/// Supervised fine-tuning over the service layer: one job, one session, one model; batches of
/// forward_backward and optim_step, two steps in flight (one with a policy loss, which is computed
/// on the log-probabilities of just before); evaluation, periodic saves, weight sync;
/// everything recorded in the run folder, and steered through its control socket.
/// THREAD: that of the HttpClient; nothing blocks.
class TrainLoop final : public QObject
{
    Q_OBJECT
public:
    /// `folder` is open and locked.
    TrainLoop(TrainServices services, RunFolder& folder, TrainSpec spec, QObject* parent = nullptr);
    ~TrainLoop() override;
    Q_DISABLE_COPY_MOVE(TrainLoop)

    void start();
    /// Finishes the step in hand, saves the state, ends with success; after 10 s it ends anyway.
    void stop();
    /// The owner knows that the trainer is gone: ends with this error at once.
    void abandon(const Error& error) { fail(error); }

    [[nodiscard]] ControlStatus status() const;
    [[nodiscard]] std::int64_t totalSteps() const { return m_total; }

Q_SIGNALS:
    void jobCreated(const QString& job);
    void stepped(qint64 step);
    /// Exactly once. An error says what did not happen and how to go on.
    void ended(const desk::Status& result);

private:
    enum class Phase
    {
        Starting,
        Training,
        Paused,
        Stopping, ///< steps in flight and the last saves are awaited
        Finished,
        Failed
    };
    struct Step
    {
        double tokens = 0;
        double lossTokens = 0;
        double learningRate = 0;
        std::optional<ForwardResult> forward;
        std::optional<OptimResult> optim;
    };

    void connectJob();
    void createJob(const std::string& loadFrom);
    void openSession(const TrainerServiceEndpoint& endpoint, const std::string& loadFrom);
    void startFrom(const std::string& loadFrom);
    void makeSaver();
    void beginTraining();
    void pump();
    void submitStep(std::int64_t number);
    void submitUpdate(std::int64_t number, std::vector<Datum> batch);
    [[nodiscard]] bool isPolicyLoss() const { return m_spec.recipe.lossFn != "cross_entropy"; }
    void submitEvaluation(std::int64_t step);
    void submitPeriodicSaves(std::int64_t step);
    void syncWeights(std::int64_t step);
    void completeSteps();
    void writeStep(std::int64_t number, const Step& step);
    [[nodiscard]] double tokensPerSecond(Time now, double tokens);
    void closeRun();
    void finishIfIdle();
    void fail(const Error& error);
    void finish(const Status& result);
    void handleControl(const ControlCommand& command, const ControlServer::Reply& reply);
    [[nodiscard]] const char* phaseWord() const;
    [[nodiscard]] std::string stepName(std::int64_t step) const;
    [[nodiscard]] Error named(Error error) const;

    TrainServices m_services;
    RunFolder& m_folder;
    TrainSpec m_spec;
    BatchSource m_batches;
    std::vector<Datum> m_evalBatch;
    std::int64_t m_total = 0;
    std::int64_t m_submitted = 0;
    std::int64_t m_updated = 0; ///< newest step whose optimizer step was handed over
    std::int64_t m_done = 0;
    int m_openEvaluations = 0;
    Phase m_phase = Phase::Starting;
    bool m_isClosing = false; ///< the saves at the end were ordered
    std::map<std::int64_t, Step> m_steps; ///< in flight
    std::map<std::int64_t, double> m_losses; ///< of the last steps
    std::int64_t m_lastStepUs = 0;
    std::deque<std::pair<std::int64_t, double>> m_rateWindow; ///< when a step ended, its tokens
    std::string m_job;
    std::unique_ptr<FiretitanServiceClient> m_service;
    std::shared_ptr<FiretitanTrainingClient> m_training;
    std::unique_ptr<RunSaver> m_saver;
    std::unique_ptr<WeightSyncer> m_syncer;
    std::unique_ptr<TrainingCheckpoints> m_checkpoints;
    bool m_isSyncing = false;
    bool m_isSyncWanted = false; ///< another one was due meanwhile
    ControlServer m_control;
    QTimer m_stopTimer;
};

} // namespace desk
