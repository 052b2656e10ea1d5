// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Plain values of the control plane, as client, embedded backend, journal and window pass them on.
// A fact that is not known is nullopt or an empty string, never a default that could be taken for
// true. Field names are those of gateway.md sections 2.3, 3.1, 3.6 and 4.3 in our spelling.

namespace desk {

enum class JobState // JOB_STATE_*, gateway.md section 2.4
{
    Unspecified,
    Creating,
    Pending,
    Running,
    Idle,
    Validating,
    CreatingInputDataset,
    WritingResults,
    ReQueueing,
    Completed,
    Failed,
    Cancelling,
    Cancelled,
    Paused,
    EarlyStopped,
    Expired,
    Deleting,
    DeletingCleaningUp,
    Deleted,
    Archived,
    Unrecognized ///< a word newer than this program; TrainerJob::stateText holds it
};

struct TrainerJob
{
    std::string name; ///< accounts/<account>/rlorTrainerJobs/<job>
    std::string displayName;
    JobState state = JobState::Unspecified;
    std::string stateText; ///< the server's own word, e.g. "JOB_STATE_RUNNING"
    std::string statusMessage;
    std::string baseModel;
    int loraRank = 0; ///< 0: full parameters
    std::optional<double> learningRate;
    std::optional<std::int64_t> maxContextLength;
    std::optional<Time> created;
    std::optional<Time> completed;
    std::string createdBy;
    std::string hotLoadDeploymentId; ///< bare id; empty if none
    std::string directRouteHandle;
    bool isServiceMode = true;
    std::string inactivityTimeout; ///< "1800s"; empty: the server's own
    std::string json; ///< the row as received, secrets redacted; for the JSON inspector
    bool operator==(const TrainerJob&) const = default;
};

enum class CheckpointType // CHECKPOINT_TYPE_*, gateway.md section 3.1
{
    Unspecified,
    InferenceBase, ///< full sampler snapshot
    InferenceArcV2, ///< delta sampler snapshot
    InferenceLora, ///< adapter
    Training, ///< resumable state
    TrainingLora,
    Unrecognized
};

struct Checkpoint
{
    std::string name; ///< four-segment resource name
    CheckpointType type = CheckpointType::Unspecified;
    std::string typeText; ///< the server's own word
    std::optional<Time> created;
    std::optional<Time> updated;
    std::optional<Time> expires; ///< nullopt: no expiry is known
    bool isPromotable = false; ///< authoritative flag of the server
    std::string restoreReference;
    // The following are extra facts that the embedded backend reports; other servers may not.
    std::string parent; ///< id of the snapshot that a delta stands on
    std::optional<std::int64_t> step;
    std::optional<std::uint64_t> sizeBytes;
    std::optional<std::uint64_t> baseBytes; ///< bytes of the full snapshot the delta stands for
    std::optional<double> changedFraction; ///< of elements, against the parent
    std::string path; ///< folder on this machine, where the files are reachable
    std::string json;
    bool operator==(const Checkpoint&) const = default;
};

struct Model
{
    std::string name; ///< accounts/<account>/models/<model>
    std::string displayName;
    std::string kind; ///< HF_BASE_MODEL, HF_PEFT_ADDON, …
    std::string state; ///< READY, UPLOADING, …
    std::string baseModel;
    std::optional<Time> created;
    std::optional<Time> updated;
    std::string path; ///< folder on this machine, if reachable
    std::string promotedFrom; ///< four-segment checkpoint name, if known
    std::optional<bool> isMoe; ///< baseModelDetails.moe
    std::optional<std::int64_t> parameterCount;
    std::optional<std::int64_t> contextLength;
    std::string modelType; ///< "qwen3"
    std::optional<int> adapterRank; ///< peftDetails.r
    std::vector<std::string> adapterTargets; ///< peftDetails.targetModules
    std::string fineTuningJob; ///< full job name
    std::string json;
    bool operator==(const Model&) const = default;
};

struct Replica // one element of the hot-load status, gateway.md section 4.6
{
    std::string identity; ///< the pod
    std::string currentSnapshot; ///< empty: none
    bool isReady = false;
    std::string stage; ///< server's own word; shown verbatim
    std::string targetSnapshot;
    std::string error; ///< extra fact of the embedded backend
    std::optional<double>
        seconds; ///< in the present or last load; extra fact of the embedded backend
    std::vector<std::string> loadedAdapters {}; ///< snapshots of LoRA runs that it can serve
    std::vector<std::string> loadingAdapters {}; ///< those that it cannot serve yet
    bool operator==(const Replica&) const = default;
};

struct Deployment
{
    std::string name; ///< accounts/<account>/deployments/<deployment>
    std::string displayName;
    std::string baseModel;
    std::string state; ///< READY, CREATING, …
    std::optional<int> replicaCount; ///< desired
    std::optional<int> readyReplicaCount;
    bool enablesHotLoad = false;
    std::string hotLoadTrainerJob; ///< full job name; empty if none
    std::string transitionType; ///< "ASYNC" or "SYNC"; empty: not said, which means ASYNC
    std::string bucketUrl; ///< hotLoadBucketUrl
    std::string deploymentShape;
    std::string description;
    std::optional<int> minReplicaCount;
    std::optional<int> maxReplicaCount;
    std::optional<Time> created;
    std::optional<Time> updated;
    std::vector<Replica> replicas; ///< last hot-load status; empty when none was read
    std::string json;
    bool operator==(const Deployment&) const = default;
};

enum class CheckKind
{
    Pass,
    Warn,
    Fail,
    Unknown
};

/// One line of a review: what was checked, what came out, why, and what would mend it.
struct PreflightCheck
{
    std::string id; ///< stable, e.g. "promotable"
    std::string title; ///< "Promotable"
    CheckKind result = CheckKind::Unknown;
    std::string why;
    std::string fix;
    bool operator==(const PreflightCheck&) const = default;
};

/// The exact request that would be sent; headers never contain a key.
struct RequestPreview
{
    std::string method;
    std::string url; ///< absolute
    std::map<std::string, std::string> headers;
    std::string body; ///< JSON text or empty
    bool operator==(const RequestPreview&) const = default;
};

enum class OperationKind
{
    Save,
    Promote,
    Hotload,
    Previous,
    Resume,
    Cancel,
    Delete,
    Extend,
    Scale,
    Create
};

enum class OperationState
{
    Draft,
    Checking,
    Held,
    Sent,
    Accepted,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    Unknown ///< a reply was lost; never sent again, only reconciled
};

struct OperationStage
{
    std::string stage;
    Time at {};
    std::string detail;
    bool operator==(const OperationStage&) const = default;
};

/// One record of the journal (cli.md section 7, "operation").
struct Operation
{
    std::string id;
    std::string key; ///< idempotency key
    OperationKind kind = OperationKind::Save;
    std::string connection; ///< name of the connection it goes to
    std::string target; ///< resource name acted on
    std::string subject; ///< what is promoted, loaded or saved: checkpoint name, snapshot name
    std::map<std::string, std::string> parameters; ///< as reviewed, e.g. model_id, deployment, kind
    OperationState state = OperationState::Draft;
    std::string stage;
    std::string by; ///< "window" or "ctl", with the user's name
    Time created {};
    Time updated {};
    RequestPreview request;
    std::vector<OperationStage> stages;
    std::string result; ///< JSON text of the result shape of cli.md section 7; empty until known
    std::string errorCode; ///< word of toString(Error::Code); empty if none
    std::string errorMessage;
    std::string errorUnchanged;
    std::string errorNext;
    std::vector<Replica> replicas; ///< hot loads: last status
    bool operator==(const Operation&) const = default;
};

[[nodiscard]] const char* toString(OperationKind kind) noexcept; ///< "save", "promote", …
[[nodiscard]] const char* toString(OperationState state) noexcept; ///< "draft", …
[[nodiscard]] const char* toString(CheckKind kind) noexcept; ///< "pass", …
[[nodiscard]] std::optional<OperationKind> operationKindFrom(std::string_view word) noexcept;
[[nodiscard]] std::optional<OperationState> operationStateFrom(std::string_view word) noexcept;
/// Succeeded, Failed or Cancelled: nothing more will happen.
[[nodiscard]] bool isFinal(OperationState state) noexcept;

/// "JOB_STATE_RUNNING" and back; Unrecognized for a word that is not in the table.
[[nodiscard]] const char* toString(JobState state) noexcept;
[[nodiscard]] JobState jobStateFrom(std::string_view word) noexcept;
/// What people read for a server's state word: "JOB_STATE_RE_QUEUEING" is "re queueing"; a word
/// without the prefix stays as it is.
[[nodiscard]] std::string readableState(std::string_view stateText);
/// "CHECKPOINT_TYPE_INFERENCE_BASE" and back.
[[nodiscard]] const char* toString(CheckpointType type) noexcept;
[[nodiscard]] CheckpointType checkpointTypeFrom(std::string_view word) noexcept;
/// The short word of cli.md: "base", "delta", "lora", "state"; "unknown" otherwise.
[[nodiscard]] const char* kindWord(CheckpointType type) noexcept;

} // namespace desk
