// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/engine.h"
#include "services/local/objects/object_store.h"

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace desk::local {

struct SaveOrder
{
    std::string job;
    std::string name; ///< id of the new checkpoint
    std::string baseModel;
    std::optional<std::int64_t> ttlSeconds;
    std::string run {}; ///< model that saves
    std::map<std::string, std::string> userMetadata {};
};

/// Turns a live model into checkpoints: files under their final names first, then the row.
/// THREAD: any; saves of one job are serialized here.
class SnapshotWriter
{
public:
    /// Identity that all replicas of the job's deployments confirm; nullopt if there is none.
    using ConfirmedIdentity = std::function<std::optional<std::string>(const std::string& job)>;
    SnapshotWriter(ObjectStore& store, ConfirmedIdentity confirmed);
    SnapshotWriter(const SnapshotWriter&) = delete;
    SnapshotWriter& operator=(const SnapshotWriter&) = delete;

    /// Weights, moments and step count; replaces a state of the same name.
    [[nodiscard]] Result<CheckpointRow> saveState(const Engine& engine, const SaveOrder& order);
    /// Full weights; Conflict when the snapshot exists. Of a LoRA model the whole adapter, as peft
    /// reads it (runs.md 2.2).
    [[nodiscard]] Result<CheckpointRow> saveBase(const Engine& engine, const SaveOrder& order);
    /// The adapter folded into its base, as full weights. Refused for a full-parameter model and
    /// for an adapter that changes nothing yet (`isTrained`).
    [[nodiscard]] Result<CheckpointRow> saveMerged(
        const Engine& engine, const SaveOrder& order, bool isTrained);
    /// What other tools load, in the third name space; Conflict when the name exists there.
    [[nodiscard]] Result<CheckpointRow> saveExternal(const Engine& engine, const SaveOrder& order);
    /// XOR against the parent that is fixed here, once: the identity that all replicas of the job's
    /// deployment confirm, else the job's newest base or delta. Refused when there is neither.
    [[nodiscard]] Result<CheckpointRow> saveDelta(const Engine& engine, const SaveOrder& order);

private:
    [[nodiscard]] Result<CheckpointRow> parentOf(const SaveOrder& order) const;
    [[nodiscard]] Result<std::filesystem::path> fullWeights(const CheckpointRow& row) const;
    [[nodiscard]] Status checkNew(const SaveOrder& order, CheckpointSpace space) const;
    [[nodiscard]] Result<CheckpointRow> publishDelta(const Engine& engine, const SaveOrder& order,
        const CheckpointRow& parent, const std::filesystem::path& full);
    void trimFullWeights(
        const std::string& job, const std::string& newest, const std::string& parent) const;
    [[nodiscard]] CheckpointRow rowFor(
        const SaveOrder& order, CheckpointSpace space, CheckpointType type) const;
    /// Writes the files, then the row; nothing stays of a failed one.
    [[nodiscard]] Result<CheckpointRow> publish(const Engine& engine, CheckpointRow row,
        bool replacesState, const std::function<Status(const std::filesystem::path&)>& write);

    ObjectStore& m_store;
    ConfirmedIdentity m_confirmed;
    std::mutex m_mutex; // one save at a time: names are checked, then taken
};

} // namespace desk::local
