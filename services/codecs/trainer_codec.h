// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// JSON bodies of a trainer's /api/v1 (trainer.md). Field names of the wire in our spelling.
// THREAD: any.

namespace desk {

enum class TensorType
{
    Int64,
    Float32
};
/// Flat row-major values; the vector of the other type is empty. An empty shape means one
/// dimension.
struct TensorData
{
    TensorType type = TensorType::Float32;
    std::vector<std::int64_t> ints;
    std::vector<float> floats;
    std::vector<std::int64_t> shape;
    bool operator==(const TensorData&) const = default;
};
[[nodiscard]] TensorData intTensor(std::vector<std::int64_t> values);
[[nodiscard]] TensorData floatTensor(std::vector<float> values);

/// One sequence: position i of tokens predicts target_tokens[i] (trainer.md 3.4).
struct Datum
{
    std::vector<std::int64_t> tokens; ///< all encoded_text chunks, in order
    std::map<std::string, TensorData> lossInputs; ///< target_tokens, weights, advantages, …
    bool operator==(const Datum&) const = default;
};

struct CreateSession
{
    std::vector<std::string> tags;
    std::map<std::string, std::string> userMetadata;
    std::string sdkVersion;
    std::string displayName {};
    std::string projectId {};
};
/// sessions/{id}/finish (tinker-0.38.md 6.3)
struct FinishSession
{
    std::string reason; ///< success, errored, interrupted
    std::string detail;
};
struct SessionCreated
{
    std::string sessionId;
    std::string infoMessage;
    std::string warningMessage;
    std::string errorMessage;
};
struct LoraConfig
{
    int rank = 32; ///< 0: full parameters
    std::optional<std::int64_t> seed;
    std::optional<double> alpha;
    bool trainsUnembed = true;
    bool trainsMlp = true;
    bool trainsAttention = true;
    std::string initMethod {}; ///< kaiming, nora; empty: not given
};
struct CreateModel
{
    std::string sessionId;
    std::int64_t modelSeqId = 0;
    std::string baseModel;
    std::map<std::string, std::string> userMetadata;
    std::optional<LoraConfig> lora;
    bool isBaseOnly = false;
    std::string optimizerType {}; ///< of optimizer_config; empty: not given, adamw
    bool hasProjectionHead = false; ///< projection_head_dim was given
};
struct ModelInfo
{
    std::string modelId;
    std::string modelName;
    bool isLora = false;
    int loraRank = 0;
    std::string architecture;
    std::string tokenizerId;
};

struct ForwardRequest
{
    bool isBackward = false; ///< forward_backward instead of forward
    std::string modelId;
    std::int64_t seqId = 0;
    std::string lossFn = "cross_entropy";
    std::map<std::string, double> lossConfig;
    std::map<std::string, std::string> lossTextConfig; ///< texts; booleans as "true", "false"
    std::vector<Datum> data;
};
struct ForwardResult
{
    std::string outputType = "ArrayRecord";
    std::vector<std::map<std::string, TensorData>> outputs; ///< one per datum; key "logprobs"
    std::map<std::string, double> metrics; ///< keys "name:reduction", e.g. "loss:sum"
};

struct AdamParams // defaults of the SDK, trainer.md section 4
{
    double learningRate = 1e-4;
    double beta1 = 0.9;
    double beta2 = 0.95;
    double eps = 1e-12;
    double weightDecay = 0.0; ///< decoupled
    double gradClipNorm = 0.0; ///< global norm; 0: off
    std::string gradNormMetrics; ///< "", "off", "basic", "detailed"
    bool operator==(const AdamParams&) const = default;
};
enum class GradAccNormalization
{
    None,
    NumLossTokens,
    NumSequences
};
struct OptimStep
{
    std::string modelId;
    std::int64_t seqId = 0;
    AdamParams adam;
    GradAccNormalization normalization = GradAccNormalization::None;
    std::string otherOptimizer {}; ///< family of `optimizer_params`; empty: AdamW
};
struct OptimResult
{
    std::map<std::string, double> metrics; ///< grad_norm, lr, …
};

struct SaveWeights // save_weights: train state
{
    std::string modelId;
    std::string path; ///< bare name
    std::int64_t seqId = 0;
    std::optional<std::int64_t> ttlSeconds;
    bool isOverwrite = false;
    std::map<std::string, std::string> userMetadata {};
};
/// save_weights_external (tinker-0.38.md 12)
struct SaveExternal
{
    std::string modelId;
    std::string path;
    std::int64_t seqId = 0;
    std::optional<std::int64_t> ttlSeconds;
    bool isEncrypted = false; ///< recipients were given
};
struct LoadWeights
{
    std::string modelId;
    std::string path; ///< name, tinker://…, cross_job://<job>/<name>
    bool withOptimizer = true;
    std::int64_t seqId = 0;
    /// Not empty: makes the model first; then modelId and seqId are not given (tinker-0.38.md 7.5).
    std::string sessionId {};
    std::int64_t modelSeqId = 0;
    std::string baseModel {}; ///< empty: the checkpoint's
    std::map<std::string, std::string> userMetadata {};
    std::string optimizerType {}; ///< as in CreateModel
};
struct LoadAdapter
{
    std::string modelId;
    std::string path;
    std::int64_t seqId = 0;
};
struct SaveForSampler // save_weights_for_sampler
{
    std::string modelId;
    std::string path; ///< session-qualified name; empty: ephemeral (plain tinker)
    std::int64_t seqId = 0;
    std::optional<std::int64_t> ttlSeconds;
    std::string checkpointType; ///< base | delta | merged_base; empty: not given (plain tinker)
    std::optional<std::int64_t> samplingSessionSeqId {};
    std::string exportPrecision {}; ///< merged_base only: source, bf16, …; empty: not given
    std::map<std::string, std::string> userMetadata {};
};
/// Result of the saves and the load; `type` repeats the request's name.
struct WeightsResult
{
    std::string type;
    std::string path;
    std::string samplingSessionId;
    std::string modelId {}; ///< of a load that made the model
    std::optional<std::uint64_t> sizeBytes {}; ///< of an external save
};

struct FutureRef
{
    std::string requestId;
    std::string modelId;
};
struct FutureReply
{
    enum class State
    {
        Pending,
        Done,
        Failed
    };
    State state = State::Pending;
    std::string queueState = "active"; ///< active | paused_capacity | paused_rate_limit
    std::string queueReason;
    std::string result; ///< Done: the result body, to be decoded by its own decoder
    std::string error; ///< Failed
    std::string category = "unknown"; ///< Failed: user | server | unknown
};
struct SupportedModel
{
    std::string name;
    std::optional<std::int64_t> maxContextLength;
    bool isTrainable = true;
    bool isSampleable = true;
};

// Requests
[[nodiscard]] std::string encodeCreateSession(const CreateSession& request);
[[nodiscard]] Result<CreateSession> decodeCreateSession(std::string_view body);
[[nodiscard]] std::string encodeHeartbeat(std::string_view sessionId);
[[nodiscard]] Result<std::string> decodeHeartbeat(std::string_view body); ///< session id
[[nodiscard]] std::string encodeCreateModel(const CreateModel& request);
[[nodiscard]] Result<CreateModel> decodeCreateModel(std::string_view body);
/// get_info and unload_model: {"model_id":…,"type":…}
[[nodiscard]] std::string encodeModelRequest(std::string_view modelId, std::string_view type);
[[nodiscard]] Result<std::string> decodeModelRequest(std::string_view body); ///< model id
[[nodiscard]] std::string encodeFinishSession(const FinishSession& request);
[[nodiscard]] Result<FinishSession> decodeFinishSession(std::string_view body);
/// Malformed if a value is not finite, which JSON cannot say.
[[nodiscard]] Result<std::string> encodeForward(const ForwardRequest& request);
/// Reads forward_input and forward_backward_input; sparse tensors come out dense. Errors name the
/// datum.
[[nodiscard]] Result<ForwardRequest> decodeForward(std::string_view body);
[[nodiscard]] std::string encodeOptimStep(const OptimStep& request);
[[nodiscard]] Result<OptimStep> decodeOptimStep(std::string_view body);
[[nodiscard]] std::string encodeSaveWeights(const SaveWeights& request);
[[nodiscard]] Result<SaveWeights> decodeSaveWeights(std::string_view body);
[[nodiscard]] std::string encodeLoadWeights(const LoadWeights& request);
[[nodiscard]] Result<LoadWeights> decodeLoadWeights(std::string_view body);
[[nodiscard]] std::string encodeSaveForSampler(const SaveForSampler& request);
[[nodiscard]] Result<SaveForSampler> decodeSaveForSampler(std::string_view body);
[[nodiscard]] std::string encodeSaveExternal(const SaveExternal& request);
[[nodiscard]] Result<SaveExternal> decodeSaveExternal(std::string_view body);
[[nodiscard]] std::string encodeLoadAdapter(const LoadAdapter& request);
[[nodiscard]] Result<LoadAdapter> decodeLoadAdapter(std::string_view body);
/// retrieve_future and cancel_future
[[nodiscard]] std::string encodeRetrieve(std::string_view requestId);
[[nodiscard]] Result<std::string> decodeRetrieve(std::string_view body); ///< request id

// Answers
[[nodiscard]] std::string encodeSessionCreated(const SessionCreated& answer);
[[nodiscard]] Result<SessionCreated> decodeSessionCreated(std::string_view body);
[[nodiscard]] std::string encodeFutureRef(const FutureRef& future);
[[nodiscard]] Result<FutureRef> decodeFutureRef(std::string_view body);
/// Pending and Failed bodies; Done is its `result` verbatim.
[[nodiscard]] std::string encodeFuture(const FutureReply& reply, std::string_view requestId);
[[nodiscard]] Result<FutureReply> decodeFuture(std::string body);
/// create_model and unload_model: {"model_id":…,"type":…}
[[nodiscard]] std::string encodeModelResult(std::string_view modelId, std::string_view type);
[[nodiscard]] Result<std::string> decodeModelResult(std::string_view body); ///< model id
/// The same with the capabilities of 1.2.30 that this backend has: `comms` v2 (number formats).
[[nodiscard]] std::string encodeModelCreated(std::string_view modelId);
[[nodiscard]] std::string encodeAdapterLoaded(const LoadAdapter& request);
[[nodiscard]] std::string encodeModelInfo(const ModelInfo& info);
[[nodiscard]] Result<ModelInfo> decodeModelInfo(std::string_view body);
/// Malformed if a value is not finite.
[[nodiscard]] Result<std::string> encodeForwardResult(const ForwardResult& result);
[[nodiscard]] Result<ForwardResult> decodeForwardResult(std::string_view body);
[[nodiscard]] Result<std::string> encodeOptimResult(const OptimResult& result);
[[nodiscard]] Result<OptimResult> decodeOptimResult(std::string_view body);
[[nodiscard]] std::string encodeWeightsResult(const WeightsResult& result);
[[nodiscard]] Result<WeightsResult> decodeWeightsResult(std::string_view body);
[[nodiscard]] std::string encodeCheckpointNames(std::span<const std::string> names);
[[nodiscard]] Result<std::vector<std::string>> decodeCheckpointNames(std::string_view body);
[[nodiscard]] std::string encodeCapabilities(std::span<const SupportedModel> models);
[[nodiscard]] Result<std::vector<SupportedModel>> decodeCapabilities(std::string_view body);
/// `{"detail":…}`, which the clients show, with the fields of the other surfaces beside it.
[[nodiscard]] std::string encodeTrainerError(int httpStatus, std::string_view message);
[[nodiscard]] std::string encodeHealthz(); ///< {"status":"ok"}

} // namespace desk
