// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

// Rows of the store: the records of the wire plus what only the server knows. Folders are relative
// to the objects folder, so that a data folder may be moved.

namespace desk::local {

struct JobRow
{
    std::string id;
    TrainerJob job;
    std::optional<Time> deleted; ///< tombstone since
};

enum class CheckpointSpace
{
    State, ///< save_weights
    Sampler, ///< save_weights_for_sampler
    External ///< save_weights_external: what other tools load, for a download
};

/// A client's session (create_session). Kept after its end, so that its runs can be found.
struct SessionRow
{
    std::string id;
    std::string job; ///< of the URL it came by; empty: none
    std::string displayName;
    std::string sdkVersion;
    std::map<std::string, std::string> userMetadata;
    std::string project;
    std::optional<Time> created; ///< nullopt: now
    std::optional<Time> lastSeen; ///< nullopt: now
    /// Empty: not ended. "success", "errored" or "interrupted" as the client said it; "failed";
    /// "cancelled".
    std::string end;
    std::string endDetail;
};

/// A training run: what one create_model began. Its saves outlive it.
struct RunRow
{
    std::string id; ///< model id, "<session>:train:<n>"
    std::string session;
    std::string job; ///< whose checkpoints are this run's
    std::string baseModel; ///< full name
    int loraRank = 0; ///< 0: full parameters
    bool trainsAttention = true;
    bool trainsMlp = true;
    bool trainsUnembed = true;
    std::map<std::string, std::string> userMetadata;
    std::optional<Time> created; ///< nullopt: now
    std::optional<Time> lastRequest; ///< nullopt: now
    bool isCorrupted = false;
};

struct CheckpointRow
{
    std::string job;
    std::string id; ///< last segment of the name
    CheckpointSpace space = CheckpointSpace::Sampler;
    Checkpoint record; ///< `path` is absolute
    std::string folder;
    std::string baseModel; ///< of the job at save time
    int loraRank = 0; ///< of an adapter or its state
    std::string run; ///< RunRow that saved it; empty: unknown
    bool isPublic = false;
    std::map<std::string, std::string> userMetadata;
};

struct ModelRow
{
    std::string id;
    Model model; ///< `path` is absolute
    std::string folder; ///< relative; absolute for --base-model folders
    bool isBase = false; ///< a model to start from; not deletable
    std::string job; ///< promoted from
};

struct DeploymentRow
{
    std::string id;
    Deployment record; ///< `replicas` is filled by the serving room
    std::string description;
    /// The load that was last acknowledged; empty: none yet.
    std::string targetIdentity;
    std::string targetFolder; ///< of the snapshot's files
    std::string targetParent; ///< of a delta; empty: full snapshot
    std::int64_t targetSerial = 0; ///< counts loads
};

struct ReplicaRow
{
    std::string deployment;
    int index = 0; ///< from 0
    std::string pod; ///< identity on the wire
    std::string snapshot; ///< served; empty: the base model
    std::string folder; ///< of the served weights; empty: the base model's
    std::int64_t serial = 0; ///< last load that ended here, well or badly
    std::string failedTarget; ///< identity whose load failed last; empty: none
    std::string error;
    std::optional<double> seconds; ///< of the last load
};

struct OperationRow
{
    std::string id;
    std::string checkpoint; ///< four-segment name
    std::string model; ///< full model name
    std::string baseModel;
    bool isDone = false;
    std::string statusMessage;
    std::string errorMessage;
    int errorCode = 0; ///< gRPC
};

} // namespace desk::local
