// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/hotload_codec.h"
#include "services/core/result.h"
#include "services/local/engine/inference_model.h"
#include "services/local/objects/object_store.h"
#include "services/local/server/router.h"
#include "services/local/server/task_pool.h"

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace desk::local {

/// Deployments and their replicas: each one downloads, applies, checks and swaps for itself, and
/// says where it stands. A hot load is recorded before it is acknowledged, and goes on after a
/// restart. THREAD: any.
class ServingService
{
public:
    ServingService(ObjectStore& store, TaskPool& loaders);
    ServingService(const ServingService&) = delete;
    ServingService& operator=(const ServingService&) = delete;

    /// Reads the rows and goes on with the loads that were not finished.
    [[nodiscard]] Status start();
    void stop() { m_isStopping = true; }
    void addRoutes(Router& router);

    /// Creates a deployment whose replicas serve the base model.
    [[nodiscard]] Status create(DeploymentRow row);
    [[nodiscard]] Status remove(const std::string& id);
    /// Another number of replicas; new ones get what the others serve.
    [[nodiscard]] Status scale(const std::string& id, int replicas);
    [[nodiscard]] Status rename(const std::string& id, const std::string& displayName);
    /// Ties the deployment to another trainer: new pods that serve the base model.
    [[nodiscard]] Status reattach(const std::string& id, const std::string& trainerJob);
    /// Row and present replicas.
    [[nodiscard]] Result<Deployment> deployment(const std::string& id) const;
    [[nodiscard]] Result<std::vector<Deployment>> deployments() const;
    [[nodiscard]] Result<std::vector<Replica>> status(const std::string& id) const;

    /// gateway.md section 4.6; `faultReplica` from 1, 0: none.
    [[nodiscard]] Status hotLoad(const std::string& id, const std::string& baseModel,
        const HotloadRequest& request, int faultReplica);
    /// The snapshot that every replica of the job's deployments serves; nullopt if there is no such
    /// deployment or no common one.
    [[nodiscard]] std::optional<std::string> confirmedIdentity(const std::string& job) const;

    struct Answering
    {
        std::shared_ptr<const InferenceModel> model;
        std::string identity; ///< empty: the base model
    };
    /// Weights of one replica, the replicas taking turns. NotFound for an unknown deployment.
    [[nodiscard]] Result<Answering> answering(const std::string& id);
    /// Weights of a promoted or base model; the last few stay open.
    [[nodiscard]] Result<std::shared_ptr<const InferenceModel>> openModel(
        const std::string& modelId);

private:
    struct ReplicaState
    {
        ReplicaRow row;
        std::string stage = "idle";
        std::string target;
        bool isLoading = false;
        std::chrono::steady_clock::time_point started;
        std::shared_ptr<const InferenceModel> model; ///< opened when first needed
    };
    struct Live
    {
        DeploymentRow row;
        std::vector<std::shared_ptr<ReplicaState>> replicas;
        std::size_t turn = 0;
    };
    struct LoadTicket
    {
        std::string deployment;
        std::shared_ptr<ReplicaState> replica;
        std::string identity;
        std::int64_t serial = 0;
        bool fails = false;
    };

    [[nodiscard]] std::vector<ReplicaRow> freshReplicas(
        const std::string& deployment, int first, int count) const;
    [[nodiscard]] Result<CheckpointRow> findSnapshot(
        const DeploymentRow& row, const std::string& identity) const;
    [[nodiscard]] Status checkLoad(const Live& live, const CheckpointRow& snapshot,
        const HotloadRequest& request, const std::string& baseModel) const;
    [[nodiscard]] bool isRepeated(const Live& live, const HotloadRequest& request) const;
    [[nodiscard]] std::filesystem::path weightsOf(
        const DeploymentRow& deployment, const ReplicaRow& row) const;
    void beginLoads(Live& live, int faultReplica); // needs m_mutex
    void load(const LoadTicket& ticket);
    void endLoad(const LoadTicket& ticket, Result<std::filesystem::path> folder,
        std::shared_ptr<const InferenceModel> model);
    /// Commits the end of a load; the folder that nobody needs any more.
    [[nodiscard]] std::filesystem::path recordLoad(const LoadTicket& ticket,
        const Result<std::filesystem::path>& folder, std::shared_ptr<const InferenceModel> model);
    [[nodiscard]] Replica replicaOf(const ReplicaState& state) const;
    [[nodiscard]] Deployment recordOf(const Live& live) const;
    void answerHotloadPost(const HttpRequest& request, const Responder& responder);
    void answerHotloadGet(const HttpRequest& request, const Responder& responder);
    [[nodiscard]] Result<std::string> deploymentOf(const HttpRequest& request) const;

    ObjectStore& m_store;
    TaskPool& m_loaders;
    std::atomic<bool> m_isStopping { false };
    mutable std::mutex m_mutex; // guards the maps and every ReplicaState
    std::map<std::string, Live> m_deployments;
    std::map<std::string, std::shared_ptr<const InferenceModel>> m_openModels;
};

} // namespace desk::local
