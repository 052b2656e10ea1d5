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

#include <functional>
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
    std::string name; ///< four-segment checkpoint name from listCheckpoints
    std::string outputModelId; ///< bare id
    std::string baseModel; ///< full model name
};

/// The request a promotion would send, for review and journal.
[[nodiscard]] Result<Promote> makePromote(const PromoteParameters& parameters);
/// Path of POST …:promote for a checkpoint name (the account is that of the name).
[[nodiscard]] Result<std::string> promotePath(const std::string& checkpointName);

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
    /// 409: the existing job is returned unless it is archived (gateway.md 2.2).
    [[nodiscard]] QFuture<Result<TrainerJob>> createJob(CreateJob request);
    [[nodiscard]] QFuture<Result<TrainerJob>> resumeJob(const std::string& job);
    [[nodiscard]] QFuture<Status> cancelJob(const std::string& job);
    [[nodiscard]] QFuture<Status> deleteJob(const std::string& job);

    /// All pages, newest first by parsed time.
    [[nodiscard]] QFuture<Result<std::vector<Checkpoint>>> listCheckpoints(const std::string& job);

    /// Promotes to a model. The id is validated first: a rejected one sends nothing. Waits for the
    /// operation, if the server answers with one; `progress` gets its messages and first
    /// "accepted <operation name>".
    /// A reply that was lost ends in Error::Code::Unknown; nothing is sent twice.
    [[nodiscard]] QFuture<Result<Model>> promoteCheckpoint(
        PromoteParameters parameters, Progress progress = {});
    /// Polls until the operation is done; transient failures are tolerated with growing delay.
    [[nodiscard]] QFuture<Result<Model>> waitForOperation(
        const std::string& operationName, Progress progress = {});
    [[nodiscard]] QFuture<Result<LongOperation>> getOperation(const std::string& operationName);

    [[nodiscard]] QFuture<Result<std::vector<Model>>> listModels();
    [[nodiscard]] QFuture<Result<Model>> getModel(const std::string& model);
    [[nodiscard]] QFuture<Status> deleteModel(const std::string& model);

    [[nodiscard]] HttpClient& http() { return m_http; }

private:
    friend class DeploymentManager; // the same calls on another collection
    struct OperationPoll
    {
        std::string lastMessage;
        int failures = 0;
    };
    template <class T>
    QFuture<Result<std::vector<T>>> listAll(const char* collection,
        Result<Page<T>> (*decode)(std::string_view), const std::string& doing);
    template <class T>
    QFuture<Result<T>> call(std::string pathTail, const char* collection, HttpRequest request,
        std::function<Result<T>(const HttpReply&)> decode);
    void awaitOperation(std::shared_ptr<Errand<Model>> errand, const LongOperation& seen,
        const std::optional<Model>& model, Progress progress, std::shared_ptr<OperationPoll> poll);

    HttpClient& m_http;
    std::string m_account;
};

} // namespace desk
