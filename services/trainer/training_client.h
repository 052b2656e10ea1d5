// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/trainer_codec.h"
#include "services/core/result.h"
#include "services/trainer/custom_loss.h"
#include "services/trainer/trainer_session.h"

#include <QFuture>
#include <QObject>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace desk {

class FiretitanSamplingClient;
class SubmissionQueue;

/// loss_fn_config: numbers such as clip_low_threshold, words such as those of the embedding modes
/// (trainer.md 3.4, 3.7).
struct LossConfig
{
    std::map<std::string, double> numbers;
    std::map<std::string, std::string> texts;
    bool operator==(const LossConfig&) const = default;
};

/// Returned by saveWeightsForSamplerExt.
struct SaveSamplerResult
{
    std::string path; ///< snapshot name from the trainer
    std::string snapshotName; ///< session-qualified name for weight sync
    std::string checkpointType; ///< what was asked for: base, delta, merged_base
    std::vector<std::string> warnings; ///< e.g. that it cannot be promoted, and why
    bool operator==(const SaveSamplerResult&) const = default;
};

/// Returned by saveState.
struct SaveStateResult
{
    std::string path; ///< the reference to load it by
    std::vector<std::string> warnings; ///< e.g. that the name was used before and is replaced
    bool operator==(const SaveStateResult&) const = default;
};

/// What a training client trains.
struct TrainedModel
{
    std::string modelId;
    std::string baseModel;
    int loraRank = 0; ///< 0: full parameters
    bool isBaseOnly = false; ///< a reference: forward only
};

/// Trains one model of a trainer (reference/service-and-training-client.md,
/// reference/saving-and-loading.md). Calls may be made without waiting: they are submitted in the
/// order of the calls, and each future ends when the trainer has answered.
/// THREAD: that of the HttpClient. Lost submissions are repeated with the same seq_id, which the
/// trainer answers once (trainer.md 2.4). Canceling a future stops the waiting; what was sent is
/// still done by the trainer.
/// Errors of every call: Usage before anything is sent; Refused for what the trainer calls the
/// user's mistake; Backend; Unreachable when nothing arrived; Unknown when the end of something
/// accepted is not known; Auth, Quota, Canceled.
class FiretitanTrainingClient final : public QObject
{
    Q_OBJECT
public:
    FiretitanTrainingClient(
        std::shared_ptr<TrainerSession> session, TrainedModel model, QObject* parent = nullptr);
    ~FiretitanTrainingClient() override;
    Q_DISABLE_COPY_MOVE(FiretitanTrainingClient)

    /// Per-token log-probabilities and the loss, no gradients. `lossFn`: cross_entropy,
    /// importance_sampling, ppo (grpo), cispo, dro, dapo, gspo, …; the trainer knows the list.
    /// Built- in losses need target_tokens, those of reinforcement learning logprobs and advantages
    /// too.
    [[nodiscard]] QFuture<Result<ForwardResult>> forward(
        std::vector<Datum> data, std::string lossFn = "cross_entropy", LossConfig config = {});
    /// The same, and adds the gradients of the summed loss to those since the last optimStep().
    [[nodiscard]] QFuture<Result<ForwardResult>> forwardBackward(
        std::vector<Datum> data, std::string lossFn = "cross_entropy", LossConfig config = {});
    /// As forwardBackward with a loss computed here (trainer.md 3.7): forward, `loss` once, then
    /// forward_backward with its gradients. The numbers of both phases are taken now, so calls made
    /// later stay behind. Metrics: the trainer's, those of `loss` over them, and "loss".
    [[nodiscard]] QFuture<Result<ForwardResult>> forwardBackwardCustom(
        std::vector<Datum> data, CustomLoss loss);
    /// Applies the accumulated gradients and clears them. Normalization divides them before
    /// clipping: by the tokens with a gradient, by the sequences that have any, or not.
    [[nodiscard]] QFuture<Result<OptimResult>> optimStep(
        AdamParams params, GradAccNormalization normalization = GradAccNormalization::None);

    /// Weights and optimizer under a bare name. `ttlSeconds`: row and files go after that.
    [[nodiscard]] QFuture<Result<SaveStateResult>> saveState(
        std::string name, std::optional<std::int64_t> ttlSeconds = {});
    /// `path`: a name, what saveState returned, or resolveCheckpointPath(). The optimizer is reset:
    /// the next optimStep starts fresh.
    [[nodiscard]] QFuture<Status> loadState(std::string path);
    [[nodiscard]] QFuture<Status> loadStateWithOptimizer(std::string path);
    /// Weights of a LoRA adapter in PEFT layout, no optimizer; only for a LoRA model.
    [[nodiscard]] QFuture<Status> loadAdapter(std::string path);

    /// `checkpointType`: base, delta, merged_base (an adapter folded into its base); empty: base
    /// for LoRA and for the first save, then delta. The name gets a suffix of 8 hex digits that is
    /// fixed per client. A LoRA save holds the whole adapter whatever the type. A full-parameter
    /// delta cannot be promoted, which the result's warnings say. `exportPrecision` of a
    /// merged_base: source (default), bf16, nvfp4, mxfp8, fp8_block128.
    [[nodiscard]] QFuture<Result<SaveSamplerResult>> saveWeightsForSamplerExt(std::string name,
        std::string checkpointType = {}, std::optional<std::int64_t> ttlSeconds = {},
        std::string exportPrecision = {});
    /// Saves without a name and draws from these weights; they go with the sampling client's
    /// session.
    [[nodiscard]] QFuture<Result<std::shared_ptr<FiretitanSamplingClient>>>
    saveWeightsAndGetSamplingClient();

    /// Names of resumable states on the trainer, from the trainer itself. An error is an error: an
    /// empty list means that there is none.
    [[nodiscard]] QFuture<Result<std::vector<std::string>>> listCheckpoints();
    /// No request: "gs://…", "tinker://…" and "/…" stay, else "cross_job://<job>/<name>" with a
    /// source job (trainer.md 6.3).
    [[nodiscard]] static Result<std::string> resolveCheckpointPath(
        const std::string& name, const std::optional<std::string>& sourceJobId = {});
    [[nodiscard]] QFuture<Result<ModelInfo>> info();
    /// Ends the model on the trainer once what was called before is done; later calls are refused.
    [[nodiscard]] QFuture<Status> unload();

    [[nodiscard]] const std::string& modelId() const { return m_model.modelId; }
    [[nodiscard]] const TrainedModel& model() const { return m_model; }
    [[nodiscard]] bool isLora() const { return m_model.loraRank > 0; }
    [[nodiscard]] const std::string& nameSuffix() const { return m_nameSuffix; }
    [[nodiscard]] std::string qualifiedName(const std::string& name) const;
    /// Snapshot name of the newest sampler save of this client: what the trainer's next delta
    /// stands on. Empty: none yet.
    [[nodiscard]] const std::string& lastSnapshot() const { return m_lastSnapshot; }
    [[nodiscard]] TrainerSession& session() { return *m_session; }

private:
    struct Pass;
    [[nodiscard]] QFuture<Result<ForwardResult>> run(
        bool isBackward, std::vector<Datum> data, std::string lossFn, LossConfig config);
    [[nodiscard]] QFuture<Result<ForwardResult>> startPass(bool isBackward, std::string lossFn,
        LossConfig config, std::vector<std::vector<Datum>> chunks,
        const std::vector<std::int64_t>& places);
    [[nodiscard]] QFuture<Result<std::string>> submitPart(const std::shared_ptr<Pass>& pass,
        std::vector<Datum> data, std::optional<std::int64_t> place);
    static void takePart(Pass& pass, std::size_t part, const Result<std::string>& body);
    struct Custom;
    void evaluate(const std::shared_ptr<Custom>& custom, ForwardResult forward);
    void sendGradients(const std::shared_ptr<Custom>& custom, CustomLossValue value);
    [[nodiscard]] QFuture<Status> load(std::string path, bool withOptimizer);
    [[nodiscard]] Status checkTrains(const char* what) const;

    std::shared_ptr<TrainerSession> m_session;
    TrainedModel m_model;
    std::string m_nameSuffix;
    std::string m_lastSnapshot;
    bool m_hasSavedBase = false;
    std::set<std::string> m_stateNames; // saved by this client
    std::unique_ptr<SubmissionQueue> m_queue;
};

} // namespace desk
