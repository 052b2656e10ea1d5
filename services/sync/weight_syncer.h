// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/chain_codec.h"
#include "services/core/result.h"
#include "services/errand.h"
#include "services/gateway/deployment_manager.h"
#include "services/trainer/training_client.h"

#include <QFuture>
#include <QObject>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace desk {

class SnapshotChains;

struct WeightSyncOptions
{
    std::string deployment; ///< bare id or full name
    std::string baseModel;
    std::chrono::milliseconds hotloadTimeout { 600'000 };
    std::string firstCheckpointType = "base"; ///< delta: onto what all replicas serve already
    int fullEvery = 0; ///< a base after so many deltas; 0: never by itself
    ResetPromptCache resetPromptCache = true;
    std::optional<std::int64_t> ttlSeconds; ///< of the saves
    std::string job; ///< trainer job, full name: a chain of another job is not continued
    SnapshotChains* chains = nullptr; ///< where the chain is kept over restarts; may be null
    std::string connection; ///< with the deployment the key of the chain
};

struct SyncResult
{
    std::string snapshotName;
    std::string checkpointType; ///< base | delta | merged_base
    std::string parent; ///< identity the delta stands on; empty for a full snapshot
    std::vector<Replica> replicas;
    std::vector<std::string> warnings; ///< e.g. why a full snapshot was sent instead of a delta
};

/// Saves sampler weights and hot-loads them (reference/saving-and-loading.md, "Weight sync"): base
/// first, then deltas on the identity that was last loaded by every replica.
/// A delta is sent only after the replicas were asked and all serve its parent; otherwise, and
/// after any failure, the save is base. A delta that the server refuses is followed by a base at
/// once. Saves of LoRA runs and merged_base are full snapshots: they are never sent as deltas.
/// THREAD: that of the HttpClient. OWNERSHIP: client, manager and chains must outlive this object.
class WeightSyncer final : public QObject
{
    Q_OBJECT
public:
    WeightSyncer(FiretitanTrainingClient& policy, DeploymentManager& deployments,
        WeightSyncOptions options, QObject* parent = nullptr);
    Q_DISABLE_COPY_MOVE(WeightSyncer)

    /// `checkpointType`: base, delta, merged_base, or empty for what the chain asks for. An
    /// explicit delta that cannot stand on what the replicas serve ends in Conflict; nothing is
    /// saved. One at a time: a second call while one runs ends in Conflict.
    [[nodiscard]] QFuture<Result<SyncResult>> saveAndHotload(
        std::string name, std::string checkpointType = {});
    /// The snapshot that every replica serves; empty: none, or not the same everywhere.
    [[nodiscard]] QFuture<Result<std::string>> deployedSnapshot();
    /// The next save is firstCheckpointType again.
    void reset() { updateChain({}); }

    [[nodiscard]] const SnapshotChain& chain() const { return m_chain; }
    /// Continue a chain that was kept elsewhere; an empty one starts with base.
    void setChain(SnapshotChain chain) { m_chain = std::move(chain); }
    /// Called after every change of the chain.
    std::function<void(const SnapshotChain&)> onChainChanged;

private:
    struct Sync;
    void updateChain(SnapshotChain chain);
    void choose(const std::shared_ptr<Sync>& sync);
    void compare(const std::shared_ptr<Sync>& sync, const std::vector<Replica>& replicas);
    void fallBack(const std::shared_ptr<Sync>& sync, const std::string& why);
    void save(const std::shared_ptr<Sync>& sync);
    void load(const std::shared_ptr<Sync>& sync);

    FiretitanTrainingClient& m_policy;
    DeploymentManager& m_deployments;
    WeightSyncOptions m_options;
    SnapshotChain m_chain;
    std::string m_chainProblem; // why the kept chain could not be read or written
    bool m_isBusy = false;
};

} // namespace desk
