// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"
#include "services/core/result.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Bodies of the control plane (gateway.md sections 1 to 4), both directions. Decoders are liberal:
// unknown keys are ignored, snake_case is read where the SDK writes it, int64 may be text or
// number. Encoders write what the specification's examples show.
//
// Extra keys of the embedded backend, on rows where the specification has none:
//   checkpoint: parent (text), step (number), sizeBytes, baseBytes (int64 as text),
//               changedFraction (number), expireTime (RFC 3339), path (text)
//   model:      baseModel (text), path (text), promotedFrom (text)
// Extra keys that are unknown are left out, never written as null or 0.
// A job, model or deployment that is encoded shows again what its `json` holds beyond the fields of
// the record, so that a server keeps what it does not interpret.
// THREAD: any.

namespace desk {

template <class T>
struct Page
{
    std::vector<T> items;
    std::string nextPageToken; ///< empty: last page
    std::optional<std::int64_t> totalSize;
};

/// Query of a list (gateway.md 1.6): a page of what the filter keeps, in the order asked for.
struct ListQuery
{
    std::size_t pageSize = 50; ///< 1 to 200
    std::string pageToken;
    std::string filter; ///< AIP-160: comparisons, AND, OR, NOT, parentheses
    std::string orderBy; ///< "createTime desc,name"; empty: the server's order
    std::string readMask; ///< "name,state"; empty or "*": everything
    bool showDeleted = false;
};

struct Account
{
    std::string name; ///< accounts/<id>
    std::string displayName;
    std::string email;
    std::string state = "READY";
    std::string suspendState = "UNSUSPENDED";
};

/// Body and query of POST …/rlorTrainerJobs (gateway.md 2.2). Empty and nullopt are not sent.
struct CreateJob
{
    std::string jobId; ///< query rlorTrainerJobId; always sent
    std::string trainingShape; ///< query
    bool skipValidations = false; ///< query
    std::string displayName;
    std::string baseModel;
    int loraRank = 0;
    double learningRate = 1e-5;
    std::optional<std::int64_t> maxContextLength;
    std::string region;
    std::vector<std::string> extraArgs;
    std::optional<int> nodeCount;
    std::string acceleratorType;
    std::optional<int> acceleratorCount;
    std::optional<int> trainerReplicaCount;
    std::string hotLoadDeploymentId; ///< bare id
    std::string inactivityTimeout; ///< "1800s"
    bool disableInactivityCleanup = false;
    bool forwardOnly = false;
    bool preemptible = false;
    std::string purpose;
    std::string managedBy; ///< name of the owning job
    std::string customImageTag;
    std::optional<int> projectionHeadDim;
    /// fireworks-sdk-1.2.30.md 12.1; nullopt: not said, as older clients do.
    std::optional<bool> useReservation;
    std::string reservationTarget;
    std::map<std::string, std::string> extraValues;
    /// Further fields of the body as a JSON object, to be shown again; empty: none.
    std::string otherFields;
};

/// Body and query of POST …/deployments (gateway.md 4.2). Empty and nullopt are not sent.
struct CreateDeployment
{
    std::string deploymentId; ///< query
    std::string displayName;
    std::string baseModel;
    std::string description = "Fireworks training deployment";
    int minReplicaCount = 0;
    int maxReplicaCount = 1;
    bool enableHotLoad = true;
    bool forTraining = false;
    std::string hotLoadBucketType = "FW_HOSTED";
    std::string hotLoadTrainerJob; ///< full job name
    std::string deploymentShape;
    std::string acceleratorType;
    std::string region;
    std::string hotLoadTransitionType; ///< "ASYNC" or "SYNC"; empty: not sent
    bool preemptible = false;
    bool skipShapeValidation = false; ///< query
    bool acceptShapelessRisk = false; ///< query
    bool disableSpeculativeDecoding = false; ///< query
    bool validateOnly = false; ///< query
    std::vector<std::string> extraArgs;
    std::map<std::string, std::string> extraValues;
    std::map<std::string, std::string> annotations;
    /// Further fields of the body as a JSON object, to be shown again; empty: none.
    std::string otherFields;
};

/// Body of POST …/checkpoints/{c}:promote (gateway.md 3.2).
struct Promote
{
    std::string outputModel; ///< full model name
    std::string trainerJob; ///< full job name
    std::string baseModel;
    bool isAsync = true; ///< ask for an operation; false: the field is left out
    std::string hotLoadDeployment; ///< deprecated by the service; normally empty
};

/// A long-running operation; done with an error, or done with a response.
struct LongOperation
{
    std::string name; ///< accounts/<account>/operations/<id>
    bool isDone = false;
    std::string statusMessage;
    std::optional<Error> error;
    std::optional<Model> response;
};

/// What a promotion answers: an operation, a model, or both.
struct PromoteAnswer
{
    std::optional<LongOperation> operation;
    std::optional<Model> model;
};

/// Usage for a page size that is no number.
[[nodiscard]] Result<ListQuery> decodeListQuery(const std::map<std::string, std::string>& query);
/// The page of a list body; keys and mask paths in camelCase or snake_case. Usage for a filter or
/// an order that cannot be read, and for a token of another list.
[[nodiscard]] Result<std::string> encodeJobList(
    std::span<const TrainerJob> jobs, const ListQuery& query);
[[nodiscard]] Result<std::string> encodeCheckpointList(
    std::span<const Checkpoint> checkpoints, const ListQuery& query);
[[nodiscard]] Result<std::string> encodeModelList(
    std::span<const Model> models, const ListQuery& query);
[[nodiscard]] Result<std::string> encodeDeploymentList(
    std::span<const Deployment> deployments, const ListQuery& query);
/// A list of a kind that this server has none of, under its right key.
[[nodiscard]] std::string encodeEmptyList(const std::string& key);
/// What a read mask leaves of one resource's JSON; the text itself for an empty mask or "*".
[[nodiscard]] std::string maskedBody(const std::string& body, const std::string& readMask);

[[nodiscard]] Result<Page<Account>> decodeAccounts(std::string_view body);
[[nodiscard]] std::string encodeAccounts(std::span<const Account> accounts);
[[nodiscard]] std::string encodeAccount(const Account& account);

[[nodiscard]] Result<TrainerJob> decodeJob(std::string_view body);
[[nodiscard]] std::string encodeJob(const TrainerJob& job);
[[nodiscard]] Result<Page<TrainerJob>> decodeJobs(std::string_view body);
[[nodiscard]] std::string encodeJobs(const Page<TrainerJob>& page);
[[nodiscard]] std::map<std::string, std::string> createJobQuery(const CreateJob& request);
[[nodiscard]] std::string encodeCreateJob(const CreateJob& request);
[[nodiscard]] Result<CreateJob> decodeCreateJob(
    std::string_view body, const std::map<std::string, std::string>& query);
/// What of a creation a job's row shows again, for TrainerJob::json.
[[nodiscard]] std::string jobDetails(const CreateJob& request);
/// The timeout that a job was created with; empty without one, or where its clean-up is off.
[[nodiscard]] std::string jobInactivityTimeout(const TrainerJob& job);

/// Rows under "checkpoints" or "rlorTrainerJobCheckpoints", in the server's order.
[[nodiscard]] Result<Page<Checkpoint>> decodeCheckpoints(std::string_view body);
[[nodiscard]] std::string encodeCheckpoints(const Page<Checkpoint>& page);
[[nodiscard]] Result<Checkpoint> decodeCheckpoint(std::string_view body);
[[nodiscard]] std::string encodeCheckpoint(const Checkpoint& checkpoint);

[[nodiscard]] std::string encodePromote(const Promote& request);
/// snake_case and camelCase.
[[nodiscard]] Result<Promote> decodePromote(std::string_view body);
[[nodiscard]] Result<PromoteAnswer> decodePromoteAnswer(std::string_view body);
[[nodiscard]] std::string encodePromoteAnswer(const PromoteAnswer& answer);
[[nodiscard]] Result<LongOperation> decodeOperation(std::string_view body);
[[nodiscard]] std::string encodeOperation(const LongOperation& operation);

[[nodiscard]] Result<Model> decodeModel(std::string_view body);
[[nodiscard]] std::string encodeModel(const Model& model);
/// The facts of a model that a store keeps beside its columns; decodeModel reads them back.
[[nodiscard]] std::string modelDetails(const Model& model);
[[nodiscard]] Result<Page<Model>> decodeModels(std::string_view body);
[[nodiscard]] std::string encodeModels(const Page<Model>& page);

/// `replicas` of a Deployment are no part of this body: they come from the hot-load status.
[[nodiscard]] Result<Deployment> decodeDeployment(std::string_view body);
[[nodiscard]] std::string encodeDeployment(const Deployment& deployment);
[[nodiscard]] Result<Page<Deployment>> decodeDeployments(std::string_view body);
[[nodiscard]] std::string encodeDeployments(const Page<Deployment>& page);
[[nodiscard]] std::map<std::string, std::string> createDeploymentQuery(
    const CreateDeployment& request);
[[nodiscard]] std::string encodeCreateDeployment(const CreateDeployment& request);
[[nodiscard]] Result<CreateDeployment> decodeCreateDeployment(
    std::string_view body, const std::map<std::string, std::string>& query);
/// What of a creation a deployment's row shows again, for Deployment::json.
[[nodiscard]] std::string deploymentDetails(const CreateDeployment& request);

} // namespace desk
