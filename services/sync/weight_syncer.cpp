// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/sync/weight_syncer.h"

#include "services/store/snapshot_chains.h"

#include <algorithm>

namespace desk {
namespace {

    std::string chainKey(const WeightSyncOptions& options)
    {
        return options.connection + " " + options.deployment;
    }

    std::string loweredType(std::string type)
    {
        std::transform(type.begin(), type.end(), type.begin(),
            [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
        return type;
    }

    /// What all replicas serve; empty if they differ, are not ready, or there is none.
    std::string commonSnapshot(const std::vector<Replica>& replicas)
    {
        if (replicas.empty())
            return {};
        const auto& first = replicas.front().currentSnapshot;
        const bool isCommon = std::all_of(replicas.begin(), replicas.end(),
            [&](const Replica& r) { return r.isReady && r.currentSnapshot == first; });
        return isCommon ? first : std::string();
    }

    /// "replica r1 serves step-10, not step-11"
    std::string differenceFrom(const std::vector<Replica>& replicas, const std::string& expected)
    {
        if (replicas.empty())
            return "the deployment reports no replica";
        for (std::size_t i = 0; i < replicas.size(); ++i) {
            const auto& replica = replicas[i];
            if (replica.isReady && replica.currentSnapshot == expected)
                continue;
            const auto label = replica.identity.empty() ? std::to_string(i + 1) : replica.identity;
            return "replica " + label + " serves "
                + (replica.currentSnapshot.empty() ? "no snapshot" : replica.currentSnapshot)
                + (replica.isReady ? "" : " and is not ready") + ", not " + expected;
        }
        return {};
    }

} // namespace

struct WeightSyncer::Sync
{
    std::shared_ptr<Errand<SyncResult>> errand;
    std::string name;
    std::string wished; ///< what the caller asked for; may be empty
    SyncResult result;
    bool hasSaved = false; ///< from here on the replicas are not certain any more
    bool isSecondTry = false;
};

WeightSyncer::WeightSyncer(FiretitanTrainingClient& policy, DeploymentManager& deployments,
    WeightSyncOptions options, QObject* parent)
    : QObject(parent)
    , m_policy(policy)
    , m_deployments(deployments)
    , m_options(std::move(options))
{
    m_options.firstCheckpointType = loweredType(m_options.firstCheckpointType);
    if (m_options.chains == nullptr || m_policy.isLora())
        return;
    const auto kept = m_options.chains->read(chainKey(m_options));
    if (!kept)
        m_chainProblem = kept.error().message;
    else if (kept->job == m_options.job)
        m_chain = *kept;
}

void WeightSyncer::updateChain(SnapshotChain chain)
{
    chain.job = m_options.job;
    if (chain.lastLoaded == m_chain.lastLoaded && chain.deltasSinceBase == m_chain.deltasSinceBase)
        return;
    m_chain = std::move(chain);
    m_chainProblem.clear();
    if (m_options.chains != nullptr) {
        if (const auto written = m_options.chains->write(chainKey(m_options), m_chain); !written)
            m_chainProblem = written.error().message;
    }
    if (onChainChanged)
        onChainChanged(m_chain);
}

QFuture<Result<SyncResult>> WeightSyncer::saveAndHotload(
    std::string name, std::string checkpointType)
{
    if (m_isBusy)
        return finishedFuture<SyncResult>(Error { Error::Code::Conflict,
            "A weight sync is under way", "Nothing was saved", "Wait until it has ended", {} });
    m_isBusy = true;
    auto sync = std::make_shared<Sync>();
    sync->errand = Errand<SyncResult>::start(this);
    sync->name = std::move(name);
    sync->wished = loweredType(std::move(checkpointType));
    auto future = sync->errand->future();
    onFinished(future, this, [this, sync](const Result<SyncResult>& result) {
        m_isBusy = false;
        // What the replicas hold is not certain any more, so the next save is a full one.
        if (!result && sync->hasSaved)
            updateChain({});
    });
    choose(sync);
    return future;
}

void WeightSyncer::choose(const std::shared_ptr<Sync>& sync)
{
    auto& type = sync->result.checkpointType;
    if (!m_chainProblem.empty())
        sync->result.warnings.push_back(std::exchange(m_chainProblem, {}));
    if (m_policy.isLora()) { // the whole adapter each time, whatever the type is called
        type = sync->wished.empty() ? "base" : sync->wished;
        return save(sync);
    }
    const bool isDue = m_options.fullEvery > 0 && m_chain.deltasSinceBase >= m_options.fullEvery;
    if (!sync->wished.empty())
        type = sync->wished;
    else if (m_chain.lastLoaded.empty())
        type = m_options.firstCheckpointType;
    else
        type = isDue ? "base" : "delta";
    if (type != "delta")
        return save(sync);
    const auto& newest = m_policy.lastSnapshot();
    if (!m_chain.lastLoaded.empty() && !newest.empty() && newest != m_chain.lastLoaded)
        return fallBack(sync,
            "the trainer's newest save is " + newest + ", and a delta would stand on that, not on "
                + m_chain.lastLoaded);
    sync->errand->awaitValue(m_deployments.hotloadStatus(m_options.deployment, m_options.baseModel),
        [this, sync](const std::vector<Replica>& replicas) { compare(sync, replicas); });
}

void WeightSyncer::compare(const std::shared_ptr<Sync>& sync, const std::vector<Replica>& replicas)
{
    const auto common = commonSnapshot(replicas);
    const auto expected = m_chain.lastLoaded.empty() ? common : m_chain.lastLoaded;
    if (expected.empty())
        return fallBack(sync, "no snapshot is served by all replicas");
    if (common != expected)
        return fallBack(sync, differenceFrom(replicas, expected));
    sync->result.parent = expected;
    save(sync);
}

/// A delta cannot be sent: a full snapshot instead, unless the caller insisted.
void WeightSyncer::fallBack(const std::shared_ptr<Sync>& sync, const std::string& why)
{
    if (sync->wished == "delta")
        return sync->errand->finish(Error { Error::Code::Conflict,
            "A delta cannot be loaded onto " + m_options.deployment + ": " + why,
            "Nothing was saved", "Send a full snapshot: checkpoint type base", {} });
    sync->result.warnings.push_back("A full snapshot was sent instead of a delta: " + why);
    sync->result.checkpointType = "base";
    sync->result.parent.clear();
    save(sync);
}

void WeightSyncer::save(const std::shared_ptr<Sync>& sync)
{
    sync->hasSaved = true;
    sync->errand->awaitValue(m_policy.saveWeightsForSamplerExt(
                                 sync->name, sync->result.checkpointType, m_options.ttlSeconds),
        [this, sync](const SaveSamplerResult& saved) {
            sync->result.snapshotName = saved.snapshotName;
            load(sync);
        });
}

void WeightSyncer::load(const std::shared_ptr<Sync>& sync)
{
    HotloadParameters parameters;
    parameters.deployment = m_options.deployment;
    parameters.baseModel = m_options.baseModel;
    parameters.request.identity = sync->result.snapshotName;
    parameters.request.resetPromptCache = m_options.resetPromptCache;
    if (!sync->result.parent.empty())
        parameters.request.incremental = IncrementalSnapshot { sync->result.parent };
    sync->errand->await(m_deployments.hotloadAndWait(parameters, m_options.hotloadTimeout),
        [this, sync](Result<std::vector<Replica>> replicas) {
            if (replicas) {
                sync->result.replicas = *std::move(replicas);
                const auto& type = sync->result.checkpointType;
                const bool isChained = !m_policy.isLora() && type != "merged_base";
                updateChain(isChained ? SnapshotChain { sync->result.snapshotName,
                                type == "delta" ? m_chain.deltasSinceBase + 1 : 0, {} }
                                      : SnapshotChain {});
                return sync->errand->finish(std::move(sync->result));
            }
            const auto& error = replicas.error();
            const bool isRefused =
                error.code == Error::Code::Refused || error.code == Error::Code::Conflict;
            if (!isRefused || sync->result.parent.empty() || sync->isSecondTry
                || sync->wished == "delta")
                return sync->errand->finish(error);
            sync->isSecondTry = true;
            sync->name += "-full"; // the delta has the name
            fallBack(sync, "the deployment refused it (" + error.message + ")");
        });
}

QFuture<Result<std::string>> WeightSyncer::deployedSnapshot()
{
    return mapFuture<std::string>(
        m_deployments.hotloadStatus(m_options.deployment, m_options.baseModel), this,
        [](const Result<std::vector<Replica>>& replicas) {
            return replicas ? Result<std::string>(commonSnapshot(*replicas))
                            : Result<std::string>(replicas.error());
        });
}

} // namespace desk
