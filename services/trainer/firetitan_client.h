// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/trainer_codec.h"
#include "services/core/result.h"
#include "services/http/http_client.h"

#include <QFuture>
#include <QObject>
#include <QTimer>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace desk {

/// Returned by saveWeightsForSamplerExt.
struct SaveSamplerResult
{
    std::string path; ///< snapshot name from the trainer
    std::string snapshotName; ///< session-qualified name for weight sync
    bool operator==(const SaveSamplerResult&) const = default;
};

class FiretitanTrainingClient;
class SubmissionQueue;

/// A session with one trainer endpoint (reference/service-and-training-client.md).
/// THREAD: that of the HttpClient, which must outlive this object and its clients.
class FiretitanServiceClient final : public QObject
{
    Q_OBJECT
public:
    /// `baseUrl` is TrainerServiceEndpoint::baseUrl; the key comes from the HttpClient.
    FiretitanServiceClient(HttpClient& http, std::string baseUrl, QObject* parent = nullptr);
    ~FiretitanServiceClient() override;
    Q_DISABLE_COPY_MOVE(FiretitanServiceClient)

    using TrainingClient = std::shared_ptr<FiretitanTrainingClient>;
    /// Opens the session on first use, creates the model and waits for it. A second client with the
    /// same (baseModel, loraRank) is refused before anything is sent (Usage).
    [[nodiscard]] QFuture<Result<TrainingClient>> createTrainingClient(std::string baseModel,
        int loraRank = 0, std::map<std::string, std::string> userMetadata = {});
    [[nodiscard]] QFuture<Result<std::vector<SupportedModel>>> serverCapabilities();
    [[nodiscard]] const std::string& sessionId() const { return m_sessionId; }
    [[nodiscard]] const std::string& baseUrl() const { return m_baseUrl; }

private:
    [[nodiscard]] QFuture<Result<std::string>> session();
    void beat();
    HttpClient& m_http;
    std::string m_baseUrl;
    std::string m_sessionId;
    std::int64_t m_nextModelSeqId = 0;
    std::set<std::pair<std::string, int>> m_created;
    QTimer m_heartbeat;
};

/// Trains one model of a trainer. Calls may be made without waiting: they are submitted in the
/// order of the calls, and each future ends when the trainer has answered. THREAD: that of the
/// HttpClient. Lost submissions are repeated with the same seq_id, which the trainer answers once
/// (trainer.md 2.4).
class FiretitanTrainingClient final : public QObject
{
    Q_OBJECT
public:
    FiretitanTrainingClient(
        HttpClient& http, std::string baseUrl, std::string modelId, QObject* parent = nullptr);
    ~FiretitanTrainingClient() override;
    Q_DISABLE_COPY_MOVE(FiretitanTrainingClient)

    [[nodiscard]] QFuture<Result<ForwardResult>> forward(
        std::vector<Datum> data, std::string lossFn, std::map<std::string, double> lossConfig = {});
    [[nodiscard]] QFuture<Result<ForwardResult>> forwardBackward(
        std::vector<Datum> data, std::string lossFn, std::map<std::string, double> lossConfig = {});
    [[nodiscard]] QFuture<Result<OptimResult>> optimStep(
        AdamParams params, GradAccNormalization normalization = GradAccNormalization::None);

    /// Full train state under a bare name; the result is the trainer's path.
    [[nodiscard]] QFuture<Result<std::string>> saveState(
        std::string name, std::optional<std::int64_t> ttlSeconds = {});
    [[nodiscard]] QFuture<Status> loadState(std::string path); ///< optimizer reset
    [[nodiscard]] QFuture<Status> loadStateWithOptimizer(std::string path);
    /// `checkpointType`: base, delta; empty: base first, then delta. The name gets a suffix of 8
    /// hex digits that is fixed per client.
    [[nodiscard]] QFuture<Result<SaveSamplerResult>> saveWeightsForSamplerExt(std::string name,
        std::string checkpointType = {}, std::optional<std::int64_t> ttlSeconds = {});
    /// Names of train states on the trainer.
    [[nodiscard]] QFuture<Result<std::vector<std::string>>> listCheckpoints();
    /// No request: "gs://…" and "/…" stay, else "cross_job://<job>/<name>" with a source job
    /// (trainer.md 6.3).
    [[nodiscard]] static Result<std::string> resolveCheckpointPath(
        const std::string& name, const std::string& sourceJobId = {});
    [[nodiscard]] QFuture<Result<ModelInfo>> info();

    [[nodiscard]] const std::string& modelId() const { return m_modelId; }
    [[nodiscard]] const std::string& nameSuffix() const { return m_nameSuffix; }
    [[nodiscard]] std::string qualifiedName(const std::string& name) const;

private:
    [[nodiscard]] QFuture<Result<ForwardResult>> run(bool isBackward, std::vector<Datum> data,
        std::string lossFn, std::map<std::string, double> lossConfig);
    [[nodiscard]] QFuture<Status> load(std::string path, bool withOptimizer);

    HttpClient& m_http;
    std::string m_baseUrl;
    std::string m_modelId;
    std::string m_nameSuffix;
    bool m_hasSavedBase = false;
    std::unique_ptr<SubmissionQueue> m_queue;
};

} // namespace desk
