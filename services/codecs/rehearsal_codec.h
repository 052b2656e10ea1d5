// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What `trainerdesk-ctl rehearse` and the local backend say to each other about one rehearsal:
// routes below /local/v1/rehearsals. Our own protocol, Qt-free, any thread. Decoders take at most
// 8 MiB and ignore unknown keys.

namespace desk {

/// A small model that plays one which the backend does not have.
struct StandIn
{
    std::string name; ///< the model that a script named, e.g. "Qwen/Qwen3-8B"
    std::string id; ///< of its row at the backend
    std::uint64_t vocabSize = 0;
    std::uint64_t parameters = 0;
    std::string vocabularyFrom; ///< "given", "config", "family" or "unknown"
    bool hasOwnTokenizer = false; ///< the named model's tokenizer, else the byte-level one
    bool operator==(const StandIn&) const = default;
};
[[nodiscard]] std::string encodeStandIn(const StandIn& standIn);
[[nodiscard]] Result<StandIn> decodeStandIn(std::string_view text);
/// For people, wherever a stand-in is seen; one sentence without the full stop.
[[nodiscard]] std::string standInSentence(const StandIn& standIn);

/// POST /local/v1/rehearsals
struct RehearsalBegin
{
    std::map<std::string, std::uint64_t>
        vocabularies; ///< model name -> size, as the user gave them
    std::string hubCache; ///< folder of the hub's cache on this machine; empty: none
    bool operator==(const RehearsalBegin&) const = default;
};
[[nodiscard]] std::string encodeRehearsalBegin(const RehearsalBegin& begin);
[[nodiscard]] Result<RehearsalBegin> decodeRehearsalBegin(std::string_view text);
/// Its answer: requests with this key belong to the rehearsal.
struct RehearsalStarted
{
    std::string id;
    std::string key;
};
[[nodiscard]] std::string encodeRehearsalStarted(const RehearsalStarted& started);
[[nodiscard]] Result<RehearsalStarted> decodeRehearsalStarted(std::string_view text);

/// What one model of the rehearsal was trained with.
struct RehearsedModel
{
    std::string id; ///< model id at the trainer
    std::string job; ///< bare id
    std::string baseModel;
    int loraRank = 0; ///< 0: full parameters
    std::int64_t forwardCalls = 0;
    std::int64_t backwardCalls = 0;
    std::int64_t trainedTokens = 0; ///< of forward_backward
    std::int64_t steps = 0; ///< optimizer steps
    std::int64_t failedCalls = 0; ///< futures that ended in an error
    std::string lastFailure;
    std::optional<double> firstLoss; ///< per token with a gradient
    std::optional<double> lastLoss;
    bool operator==(const RehearsedModel&) const = default;
};
struct RehearsedJob
{
    std::string id;
    std::string baseModel;
    std::string state; ///< JOB_STATE_…
    bool isDeleted = false;
    std::optional<Time> created;
    std::optional<Time> ended; ///< cancelled, completed or deleted
    bool operator==(const RehearsedJob&) const = default;
};
struct RehearsedCheckpoint
{
    std::string job;
    std::string id;
    std::string kind; ///< state, base, delta, lora, merged
    bool isPromotable = false;
    std::int64_t step = 0; ///< optimizer steps of its model when it was saved
    std::optional<Time> created;
    bool operator==(const RehearsedCheckpoint&) const = default;
};
struct RehearsedDeployment
{
    std::string id;
    std::string state;
    int replicas = 0;
    std::string identity; ///< served
    bool isDeleted = false;
    std::optional<Time> created;
    std::optional<Time> deleted;
    bool operator==(const RehearsedDeployment&) const = default;
};
struct RehearsedModelResource
{
    std::string id;
    std::string kind;
    std::string promotedFrom; ///< four-segment checkpoint name
    bool operator==(const RehearsedModelResource&) const = default;
};
/// A request that was answered with 400 or more.
struct RehearsedRefusal
{
    std::string method;
    std::string path;
    int status = 0;
    std::string message;
    int count = 1; ///< the same answer to the same route
    bool operator==(const RehearsedRefusal&) const = default;
};
struct RehearsedLoad
{
    std::string deployment;
    std::string identity;
    int status = 0;
    bool operator==(const RehearsedLoad&) const = default;
};

/// GET /local/v1/rehearsals/{id}
struct RehearsalRecord
{
    std::string id;
    std::optional<Time> began;
    std::vector<StandIn> standIns; ///< that this rehearsal used
    std::vector<RehearsedJob> jobs;
    std::vector<RehearsedModel> models;
    std::vector<RehearsedCheckpoint> checkpoints;
    std::vector<RehearsedModelResource> promoted;
    std::vector<RehearsedDeployment> deployments;
    std::vector<RehearsedLoad> hotLoads;
    std::int64_t sampledSequences = 0;
    std::int64_t completions = 0;
    std::int64_t requests = 0;
    std::vector<RehearsedRefusal> refusals;
    bool operator==(const RehearsalRecord&) const = default;
};
[[nodiscard]] std::string encodeRehearsal(const RehearsalRecord& record);
[[nodiscard]] Result<RehearsalRecord> decodeRehearsal(std::string_view text);

} // namespace desk
