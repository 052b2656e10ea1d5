// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Sampling beside a trainer: create_sampling_session, asample and its result, samplers/{id},
// retrieve_futures, cancel_future (trainer.md section 7, tinker-0.38.md sections 11 and 13).
// Results are JSON for tinker 0.23 and protobuf (tinker-0.38.md section 17.3) for 0.38; client and
// server use the same functions. THREAD: any.

namespace desk {

struct CreateSamplingSession
{
    std::string sessionId;
    std::int64_t sequence = 0; ///< sampling_session_seq_id
    std::string baseModel; ///< one of the two
    std::string modelPath; ///< tinker://…
    bool operator==(const CreateSamplingSession&) const = default;
};

/// Token ids whose log-probabilities are wanted at prompt positions 1, 2, …: `rows` x `columns`,
/// row-major, -1: nothing. A sparse request has its answer in the same layout.
struct PromptTargets
{
    std::vector<std::int64_t> tokens;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    bool isSparse = false;
    std::vector<std::int64_t> rowStarts; ///< sparse only: CSR, rows + 1
    std::vector<std::int64_t> columnIndices; ///< sparse only
    bool operator==(const PromptTargets&) const = default;
};

struct SampleRequest
{
    std::string samplingSessionId;
    std::int64_t seqId = 0; ///< up to 10^18
    int numSamples = 1;
    std::vector<std::int64_t> prompt; ///< all encoded_text chunks, in order
    std::optional<std::int64_t> maxTokens; ///< absent: as many as fit
    std::optional<std::uint64_t> seed;
    bool hasStop = false; ///< absent: at the end token; present and empty: never
    std::vector<std::string> stopTexts;
    std::vector<std::int64_t> stopTokens;
    double temperature = 1.0; ///< 0: the most probable token
    std::int64_t topK = -1; ///< -1 and 0: off
    double topP = 1.0;
    bool wantsPromptLogprobs = false;
    int topkPromptLogprobs = 0;
    int topkSampleLogprobs = 0;
    int promptLogprobsLastN = 0; ///< 0: all
    std::optional<PromptTargets> targets;
    int promptAltTokens = 0;
    bool operator==(const SampleRequest&) const = default;
};

/// What asample answers at once.
struct SampleTicket
{
    std::string requestId;
    std::vector<std::string> sequenceIds; ///< one per sample
    bool operator==(const SampleTicket&) const = default;
};

/// `k` best tokens of each of a number of positions, row-major; an empty row has ids 0 and
/// logprobs -99999.
struct SampleTopk
{
    int k = 0;
    std::vector<std::int32_t> tokens;
    std::vector<float> logprobs;
    bool operator==(const SampleTopk&) const = default;
};
inline constexpr float kNoTopLogprob = -99999.0F;

struct SampledSequence
{
    bool isStopped = false; ///< stop_reason "stop", else "length"
    std::vector<std::int32_t> tokens; ///< the stop token or stop text included
    std::vector<float> logprobs;
    std::optional<SampleTopk> topk;
};

struct SampleResult
{
    std::vector<SampledSequence> sequences;
    std::optional<std::vector<float>> promptLogprobs; ///< NaN: none
    std::optional<SampleTopk> topkPrompt;
    std::int32_t cachedPromptTokens = 0;
    std::optional<PromptTargets> targets; ///< shape of what follows
    std::vector<float> targetLogprobs; ///< one per target token
    int altTokens = 0; ///< per position; 0: not asked for
    std::vector<std::int64_t> promptAltTokens; ///< (prompt - 1) x altTokens
    std::vector<float> promptAltLogprobs;
};

struct SamplerInfo // samplers/{id}
{
    std::string samplerId;
    std::string baseModel;
    std::string modelPath; ///< empty: none
    bool operator==(const SamplerInfo&) const = default;
};

/// retrieve_futures: one sampling session and one copy of its client.
struct RetrieveFutures
{
    std::string samplingSessionId;
    std::int64_t clone = 0; ///< seq_id / 10^9
    std::int64_t cursor = 0; ///< everything up to it was seen
    std::optional<double> timeout; ///< seconds; absent: a long poll; 0: only an acknowledgment
    std::vector<std::string> retrieved; ///< results that may go
    bool operator==(const RetrieveFutures&) const = default;
};
struct FutureCompletion
{
    std::string requestId;
    bool isFailed = false;
    std::optional<std::int64_t> bytes; ///< of the result
    bool operator==(const FutureCompletion&) const = default;
};
struct FutureCompletions
{
    std::vector<FutureCompletion> completions;
    std::int64_t cursor = 0;
    bool operator==(const FutureCompletions&) const = default;
};

[[nodiscard]] std::string encodeCreateSamplingSession(const CreateSamplingSession& request);
[[nodiscard]] Result<CreateSamplingSession> decodeCreateSamplingSession(std::string_view body);
[[nodiscard]] std::string encodeSamplingSessionCreated(std::string_view samplingSessionId);
[[nodiscard]] Result<std::string> decodeSamplingSessionCreated(std::string_view body); ///< id
/// join_sampling_session: {"sampling_session_id":…}
[[nodiscard]] Result<std::string> decodeJoinSamplingSession(std::string_view body); ///< id
[[nodiscard]] std::string encodeSamplingSessionJoined(std::int64_t clientCounter);

[[nodiscard]] std::string encodeSample(const SampleRequest& request);
/// Malformed for what cannot be read; Refused, naming the field, for what is out of its range.
[[nodiscard]] Result<SampleRequest> decodeSample(std::string_view body);
[[nodiscard]] std::string encodeSampleTicket(const SampleTicket& ticket);
[[nodiscard]] Result<SampleTicket> decodeSampleTicket(std::string_view body);

/// JSON form. Log-probabilities that are none become null.
[[nodiscard]] std::string encodeSampleResult(const SampleResult& result);
[[nodiscard]] Result<SampleResult> decodeSampleResult(std::string_view body);

[[nodiscard]] std::string encodeSamplerInfo(const SamplerInfo& info);
[[nodiscard]] Result<SamplerInfo> decodeSamplerInfo(std::string_view body);
[[nodiscard]] std::string encodeRetrieveFutures(const RetrieveFutures& request);
[[nodiscard]] Result<RetrieveFutures> decodeRetrieveFutures(std::string_view body);
[[nodiscard]] std::string encodeFutureCompletions(const FutureCompletions& completions);
[[nodiscard]] Result<FutureCompletions> decodeFutureCompletions(std::string_view body);

} // namespace desk
