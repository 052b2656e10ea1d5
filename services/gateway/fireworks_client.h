// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/gateway_codec.h"
#include "services/core/connection.h"
#include "services/core/records.h"
#include "services/core/result.h"
#include "services/http/http_client.h"

#include <QFuture>
#include <QObject>
#include <QString>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace desk {

template <class T>
class Errand;

struct PromoteParameters
{
    std::string name {}; ///< four-segment checkpoint name from listCheckpoints
    std::string outputModelId {}; ///< bare id
    std::string baseModel {}; ///< full model name
    // Deprecated forms; they work and warn (reference/saving-and-loading.md, gateway.md 3.2).
    std::string jobId {}; ///< with checkpointId, instead of name: bare id or full name
    std::string checkpointId {};
    /// For deployments that predate the stored bucket URL: bare id or full name.
    std::optional<std::string> hotLoadDeploymentId {};
};

/// One sentence for each deprecated form that is used; empty for the present one.
[[nodiscard]] std::vector<std::string> promoteWarnings(const PromoteParameters& parameters);
/// The same promotion by its four-segment name. Usage, in the order of gateway.md 3.2: name and
/// checkpointId together, a malformed name, a jobId that is another job's than the name's, half of
/// the pair, an id or a base model that is missing, an id that validateOutputModelId() rejects.
/// `account`: of the connection, for a bare jobId.
[[nodiscard]] Result<PromoteParameters> withName(
    PromoteParameters parameters, const std::string& account);
/// The request a promotion by name would send, for review and journal.
[[nodiscard]] Result<Promote> makePromote(const PromoteParameters& parameters);
/// Path of POST …:promote for a checkpoint name (the account is that of the name).
[[nodiscard]] Result<std::string> promotePath(const std::string& checkpointName);

/// How long a promotion is followed (gateway.md 1.10). Polls that fail are repeated with growing
/// delay until `silence` went by without an answer; after `total` the outcome is Unknown, because
/// nothing cancels the promotion.
struct FollowPolicy
{
    std::chrono::milliseconds poll { 10'000 }; ///< on loopback: 100 ms
    std::chrono::milliseconds maxPoll { 60'000 }; ///< while polls fail
    std::chrono::milliseconds silence { std::chrono::hours(2) }; ///< on loopback: 20 s
    std::chrono::milliseconds total { std::chrono::hours(2) };
};

/// Checkpoints, models, jobs and promotion of one account
/// (reference/saving-and-loading.md; gateway.md sections 2 and 3).
/// THREAD: that of the HttpClient. OWNERSHIP: the client must outlive this object. Every future can
/// be canceled. Ids may be bare or full names of this account.
class FireworksClient final : public QObject
{
    Q_OBJECT
public:
    using Progress = std::function<void(const std::string& message)>;

    explicit FireworksClient(HttpClient& http, QObject* parent = nullptr);
    Q_DISABLE_COPY_MOVE(FireworksClient)

    /// The account of the key: that of the connection, or GET /v1/accounts once (gateway.md 1.3).
    [[nodiscard]] QFuture<Result<std::string>> account();

    [[nodiscard]] QFuture<Result<std::vector<TrainerJob>>> listJobs();
    [[nodiscard]] QFuture<Result<TrainerJob>> getJob(const std::string& job);
    // Calls that change something are sent at most once: a lost reply is Unknown.
    /// Checked first by checkCreateJob(). 409: the existing job is returned unless it is archived
    /// (gateway.md 2.2). A reply that is lost or says 5xx is followed by one look for the job's id:
    /// there it is a success, else Unknown.
    [[nodiscard]] QFuture<Result<TrainerJob>> createJob(CreateJob request);
    [[nodiscard]] QFuture<Result<TrainerJob>> resumeJob(const std::string& job);
    [[nodiscard]] QFuture<Status> cancelJob(const std::string& job);
    /// The row becomes a tombstone; its checkpoints can be promoted for about 30 days.
    [[nodiscard]] QFuture<Status> deleteJob(const std::string& job);

    /// All pages, newest first by parsed time; works for every state of the job, also deleted.
    [[nodiscard]] QFuture<Result<std::vector<Checkpoint>>> listCheckpoints(const std::string& job);
    /// Where the trainer keeps a checkpoint: its address below <trainer>/api/v1 (trainer.md 6.8),
    /// "training_runs/<run>/checkpoints/<weights|sampler_weights>/<name>". Refused when the server
    /// has no such routes: then a checkpoint lives as long as the service says.
    [[nodiscard]] QFuture<Result<std::string>> checkpointRoute(const Checkpoint& checkpoint);
    /// It expires `ttlSeconds` from now; nullopt: never.
    [[nodiscard]] QFuture<Status> extendCheckpoint(
        const Checkpoint& checkpoint, std::optional<std::int64_t> ttlSeconds);
    /// Row and files.
    [[nodiscard]] QFuture<Status> deleteCheckpoint(const Checkpoint& checkpoint);

    /// Promotes to a model. The id is validated first: a rejected one sends nothing. The trainer
    /// need not run: its row is enough. Waits for the operation, if the server answers with one,
    /// and until the model is READY; `progress` gets "warning <text>" for each of
    /// promoteWarnings(), then "accepted <operation name>", then the server's messages. A reply
    /// that was lost ends in Error::Code::Unknown; nothing is sent twice, except once without
    /// `async_promotion` when a 400 names that field ("resent without async_promotion").
    [[nodiscard]] QFuture<Result<Model>> promoteCheckpoint(
        PromoteParameters parameters, Progress progress = {});
    /// Polls until the operation is done, as FollowPolicy says.
    [[nodiscard]] QFuture<Result<Model>> waitForOperation(
        const std::string& operationName, Progress progress = {});
    /// Polls until the model's state is READY; `progress` gets other states.
    [[nodiscard]] QFuture<Result<Model>> waitForModel(
        const std::string& model, Progress progress = {});
    [[nodiscard]] QFuture<Result<LongOperation>> getOperation(const std::string& operationName);
    void setFollowPolicy(FollowPolicy policy) { m_follow = policy; }

    [[nodiscard]] QFuture<Result<std::vector<Model>>> listModels();
    [[nodiscard]] QFuture<Result<Model>> getModel(const std::string& model);
    [[nodiscard]] QFuture<Status> deleteModel(const std::string& model);
    /// File names and where their bytes are (gateway.md 3.6); the URLs need no key.
    [[nodiscard]] QFuture<Result<std::map<std::string, std::string>>> downloadEndpoint(
        const std::string& model);

    [[nodiscard]] HttpClient& http() { return m_http; }

private:
    friend class DeploymentManager; // the same calls on another collection
    friend class TrainerJobManager;
    struct Follow;
    template <class T>
    QFuture<Result<std::vector<T>>> listAll(const char* collection,
        Result<Page<T>> (*decode)(std::string_view), const std::string& doing);
    template <class T>
    QFuture<Result<T>> call(std::string pathTail, const char* collection, HttpRequest request,
        std::function<Result<T>(const HttpReply&)> decode);
    [[nodiscard]] QFuture<Result<LongOperation>> readOperation(
        const std::string& operationName, int attempts);
    void sendPromotion(std::shared_ptr<Errand<Model>> errand, PromoteParameters parameters,
        Promote request, Progress progress);
    [[nodiscard]] QFuture<Status> changeCheckpoint(const Checkpoint& checkpoint, const char* method,
        const std::string& tail, const std::string& body, const std::string& doing);
    void settleCreation(
        std::shared_ptr<Errand<TrainerJob>> errand, const std::string& id, Error why);

    HttpClient& m_http;
    FollowPolicy m_follow;
    std::string m_account;
};

} // namespace desk
