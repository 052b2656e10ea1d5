// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/sample_codec.h"
#include "services/codecs/trainer_codec.h"
#include "services/codecs/weights_info_codec.h"
#include "services/core/result.h"
#include "services/http/http_client.h"
#include "services/trainer/sampling_client.h"
#include "services/trainer/trainer_session.h"
#include "services/trainer/training_client.h"

#include <QFuture>
#include <QObject>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace desk {

/// A session with one trainer endpoint (reference/service-and-training-client.md). Connecting to a
/// trainer that runs already is the same: its URL is enough.
/// THREAD: that of the HttpClient, which must outlive this object and its clients. Every call is a
/// future that can be canceled; clients may outlive the service client and keep the session alive.
class FiretitanServiceClient final : public QObject
{
    Q_OBJECT
public:
    /// `baseUrl` is TrainerServiceEndpoint::baseUrl; the key comes from the HttpClient.
    FiretitanServiceClient(HttpClient& http, std::string baseUrl, QObject* parent = nullptr);
    ~FiretitanServiceClient() override;
    Q_DISABLE_COPY_MOVE(FiretitanServiceClient)

    using TrainingClient = std::shared_ptr<FiretitanTrainingClient>;
    using SamplingClient = std::shared_ptr<FiretitanSamplingClient>;
    using Metadata = std::map<std::string, std::string>;

    /// Opens the session on first use, creates the model and waits for it. `loraRank` 0: full
    /// parameters; must match the job's. A second client with the same (baseModel, loraRank) is
    /// refused before anything is sent (Usage); after a failure the pair may be tried again.
    [[nodiscard]] QFuture<Result<TrainingClient>> createTrainingClient(
        std::string baseModel, int loraRank = 0, Metadata userMetadata = {});
    /// The same with all settings of an adapter: seed, alpha (32 unless given), which parts are
    /// trained. At least one part must be.
    [[nodiscard]] QFuture<Result<TrainingClient>> createTrainingClient(
        std::string baseModel, LoraConfig lora, Metadata userMetadata = {});
    /// Frozen weights of the base model: only forward() works.
    [[nodiscard]] QFuture<Result<TrainingClient>> createReferenceClient(std::string baseModel);
    /// Reads what `path` was trained as (weights_info), creates a client of that kind and loads the
    /// state: weights and, if asked, the optimizer.
    [[nodiscard]] QFuture<Result<TrainingClient>> createTrainingClientFromState(
        std::string path, bool withOptimizer, Metadata userMetadata = {});

    /// Draws from the base model, or from weights saved for the sampler ("tinker://…").
    [[nodiscard]] QFuture<Result<SamplingClient>> createSamplingClient(
        std::string baseModel, std::string modelPath = {});

    [[nodiscard]] QFuture<Result<WeightsFacts>> weightsInfo(std::string path);
    [[nodiscard]] QFuture<Result<std::vector<SupportedModel>>> serverCapabilities();

    [[nodiscard]] const std::string& sessionId() const { return m_session->id(); }
    [[nodiscard]] const std::string& baseUrl() const { return m_session->baseUrl(); }
    /// Heartbeats, notices of the trainer, sleep of the machine.
    [[nodiscard]] TrainerSession& session() { return *m_session; }
    [[nodiscard]] const std::vector<SessionNotice>& notices() const { return m_session->notices(); }
    void setTiming(const TrainerTiming& timing) { m_session->setTiming(timing); }

private:
    using Key = std::pair<std::string, int>;
    [[nodiscard]] QFuture<Result<TrainingClient>> create(
        CreateModel create, const Key& key, const std::string& loadFrom, bool withOptimizer);
    std::shared_ptr<TrainerSession> m_session;
    std::set<Key> m_created;
};

} // namespace desk
