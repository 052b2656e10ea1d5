// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/sync/weight_syncer.h"

#include "services/errand.h"

namespace desk {

WeightSyncer::WeightSyncer(FiretitanTrainingClient& policy, DeploymentManager& deployments,
    WeightSyncOptions options, QObject* parent)
    : QObject(parent)
    , m_policy(policy)
    , m_deployments(deployments)
    , m_options(std::move(options))
{
}

void WeightSyncer::updateChain(SnapshotChain chain)
{
    if (chain == m_chain)
        return;
    m_chain = std::move(chain);
    if (onChainChanged)
        onChainChanged(m_chain);
}

QFuture<Result<SyncResult>> WeightSyncer::saveAndHotload(std::string name)
{
    if (m_isBusy)
        return finishedFuture<SyncResult>(Error { Error::Code::Conflict,
            "A weight sync is under way", "Nothing was saved", "Wait until it has ended", {} });
    const bool isDue = m_options.fullEvery > 0 && m_chain.deltasSinceBase >= m_options.fullEvery;
    const bool isBase = m_chain.lastLoaded.empty() || isDue;
    const auto type = isBase ? m_options.firstCheckpointType : std::string("delta");
    const auto parent = type == "delta" ? m_chain.lastLoaded : std::string();
    m_isBusy = true;
    // The error that ends this attempt must also end the chain: what the replicas hold is not
    // certain any more, so the next save is a full one.
    auto errand = Errand<SyncResult>::start(this);
    auto future = errand->future();
    onFinished(future, this, [this](const Result<SyncResult>& result) {
        m_isBusy = false;
        if (!result)
            updateChain({});
    });
    errand->awaitValue(m_policy.saveWeightsForSamplerExt(std::move(name), type),
        [this, errand = errand.get(), type, parent](const SaveSamplerResult& saved) {
            HotloadParameters parameters;
            parameters.deployment = m_options.deployment;
            parameters.baseModel = m_options.baseModel;
            parameters.request.identity = saved.snapshotName;
            parameters.request.resetPromptCache = m_options.resetPromptCache;
            if (!parent.empty())
                parameters.request.incremental = IncrementalSnapshot { parent };
            errand->awaitValue(m_deployments.hotloadAndWait(parameters, m_options.hotloadTimeout),
                [this, errand, saved, type, parent](std::vector<Replica> replicas) {
                    updateChain(
                        { saved.snapshotName, type == "delta" ? m_chain.deltasSinceBase + 1 : 0 });
                    errand->finish(
                        SyncResult { saved.snapshotName, type, parent, std::move(replicas) });
                });
        });
    return future;
}

} // namespace desk
