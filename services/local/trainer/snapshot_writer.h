// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/engine.h"
#include "services/local/objects/object_store.h"

#include <filesystem>
#include <functional>
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
    /// Full weights; Conflict when the snapshot exists.
    [[nodiscard]] Result<CheckpointRow> saveBase(const Engine& engine, const SaveOrder& order);
    /// XOR against the parent that is fixed here, once: the identity that all replicas of the job's
    /// deployment confirm, else the job's newest base or delta. Refused when there is neither.
    [[nodiscard]] Result<CheckpointRow> saveDelta(const Engine& engine, const SaveOrder& order);

private:
    [[nodiscard]] Result<CheckpointRow> parentOf(const SaveOrder& order) const;
    [[nodiscard]] Result<std::filesystem::path> fullWeights(const CheckpointRow& row) const;
    [[nodiscard]] Status checkNewSnapshot(const SaveOrder& order) const;
    [[nodiscard]] Result<CheckpointRow> publishDelta(const Engine& engine, const SaveOrder& order,
        const CheckpointRow& parent, const std::filesystem::path& full);
    void trimFullWeights(
        const std::string& job, const std::string& newest, const std::string& parent) const;
    [[nodiscard]] CheckpointRow rowFor(const SaveOrder& order, CheckpointType type) const;

    ObjectStore& m_store;
    ConfirmedIdentity m_confirmed;
    std::mutex m_mutex; // one save at a time: names are checked, then taken
};

} // namespace desk::local
