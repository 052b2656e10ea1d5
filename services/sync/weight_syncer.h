// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/gateway/deployment_manager.h"
#include "services/trainer/firetitan_client.h"

#include <QFuture>
#include <QObject>

#include <chrono>
#include <functional>
#include <string>

namespace desk {

/// What the next save may build on. Empty identity: the next save is base.
struct SnapshotChain
{
    std::string lastLoaded; ///< identity that every replica confirmed last
    int deltasSinceBase = 0;
    bool operator==(const SnapshotChain&) const = default;
};

struct WeightSyncOptions
{
    std::string deployment; ///< bare id or full name
    std::string baseModel;
    std::chrono::milliseconds hotloadTimeout { 600'000 };
    std::string firstCheckpointType = "base";
    int fullEvery = 0; ///< a base after so many deltas; 0: never by itself
    ResetPromptCache resetPromptCache = true;
};

struct SyncResult
{
    std::string snapshotName;
    std::string checkpointType; ///< base | delta
    std::string parent; ///< identity the delta stands on; empty for base
    std::vector<Replica> replicas;
};

/// Saves sampler weights and hot-loads them: base first, then deltas on the identity that was last
/// loaded by every replica; after any failure the next save is base again.
/// THREAD: that of the HttpClient. OWNERSHIP: client and manager must outlive this object.
class WeightSyncer final : public QObject
{
    Q_OBJECT
public:
    WeightSyncer(FiretitanTrainingClient& policy, DeploymentManager& deployments,
        WeightSyncOptions options, QObject* parent = nullptr);
    Q_DISABLE_COPY_MOVE(WeightSyncer)

    /// One at a time: a second call while one runs ends in Conflict.
    [[nodiscard]] QFuture<Result<SyncResult>> saveAndHotload(std::string name);

    [[nodiscard]] const SnapshotChain& chain() const { return m_chain; }
    /// Continue a chain that was persisted; an empty one starts with base.
    void setChain(SnapshotChain chain) { m_chain = std::move(chain); }
    /// Called after every change of the chain, so that the owner can persist it.
    std::function<void(const SnapshotChain&)> onChainChanged;

private:
    void updateChain(SnapshotChain chain);
    FiretitanTrainingClient& m_policy;
    DeploymentManager& m_deployments;
    WeightSyncOptions m_options;
    SnapshotChain m_chain;
    bool m_isBusy = false;
};

} // namespace desk
