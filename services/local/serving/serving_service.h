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
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace desk::local {

/// Deployments and their replicas: each one downloads, applies, checks and swaps for itself, and
/// says where it stands. A hot load is recorded before it is acknowledged, and goes on after a
/// restart. THREAD: any.
class ServingService
{
public:
    using After = std::function<void(std::chrono::milliseconds, std::function<void()>)>;
    ServingService(ObjectStore& store, TaskPool& loaders, After after);
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
    /// Changes what no replica depends on: names, texts, counts, transition type, further fields.
    [[nodiscard]] Status edit(
        const std::string& id, const std::function<void(Deployment& record)>& change);
    /// Ties the deployment to another trainer: it is UPDATING with no replicas until new pods serve
    /// the base model (gateway.md section 4.6, fireworks-sdk-1.2.30.md section 14.3).
    [[nodiscard]] Status reattach(const std::string& id, const std::string& trainerJob);
    /// Row and present replicas.
    [[nodiscard]] Result<Deployment> deployment(const std::string& id) const;
    [[nodiscard]] Result<std::vector<Deployment>> deployments() const;
    [[nodiscard]] Result<std::vector<Replica>> status(const std::string& id) const;

    /// gateway.md section 4.6; `faultReplica` from 1, 0: none. `source` is the optional header that
    /// names another place to take the snapshot from: one of a job of this store.
    [[nodiscard]] Status hotLoad(const std::string& id, const std::string& baseModel,
        const HotloadRequest& request, int faultReplica, std::string_view source = {});
    /// The snapshot that every replica of the job's deployments serves; nullopt if there is no such
    /// deployment or no common one.
    [[nodiscard]] std::optional<std::string> confirmedIdentity(const std::string& job) const;

    struct Answering
    {
        std::shared_ptr<const InferenceModel> model;
        std::string identity; ///< empty: the base model
        std::string notReady; ///< not empty: why there are no weights yet; ask again later
    };
    /// Weights of one replica, the replicas taking turns; with `wanted` one that has that snapshot
    /// or adapter. NotFound for an unknown deployment, one without replicas, and an identity that
    /// no replica has. A deployment with SYNC transitions is not ready while it loads.
    [[nodiscard]] Result<Answering> answering(
        const std::string& id, const std::string& wanted = {});
    /// Weights of a promoted or base model by its full name, or of a promoted adapter on its base;
    /// the last few stay open.
    [[nodiscard]] Result<std::shared_ptr<const InferenceModel>> openModel(const std::string& name);

private:
    struct ReplicaState
    {
        ReplicaRow row;
        std::string stage = "idle";
        std::string target;
        bool isLoading = false;
        bool isAdapter = false; ///< what it serves is an adapter on the base model
        bool loadsAdapter = false;
        std::chrono::steady_clock::time_point started;
        std::shared_ptr<const InferenceModel> model; ///< opened when first needed
        /// Adapters that were loaded before, oldest first; they can be asked for by identity.
        std::vector<std::pair<std::string, std::shared_ptr<const InferenceModel>>> adapters;
    };
    struct Live
    {
        DeploymentRow row;
        std::vector<std::shared_ptr<ReplicaState>> replicas;
        std::size_t turn = 0;
        bool isUpdating = false;
    };
    struct LoadTicket
    {
        std::string deployment;
        std::shared_ptr<ReplicaState> replica;
        std::string identity;
        std::int64_t serial = 0;
        bool fails = false;
        bool isAdapter = false;
    };

    [[nodiscard]] std::vector<ReplicaRow> freshReplicas(
        const std::string& deployment, int first, int count) const;
    [[nodiscard]] Result<CheckpointRow> findSnapshot(
        const DeploymentRow& row, const std::string& identity, std::string_view source) const;
    [[nodiscard]] Result<CheckpointRow> snapshotAt(
        std::string_view source, const std::string& identity) const;
    [[nodiscard]] Status scaleLive(Live& live, int replicas); // needs m_mutex
    [[nodiscard]] Status reattachLive(Live& live, DeploymentRow row); // needs m_mutex
    void bringUp(const std::string& id, std::int64_t serial);
    [[nodiscard]] Result<std::shared_ptr<const InferenceModel>> openFolder(
        const std::filesystem::path& folder, const std::string& baseModel);
    [[nodiscard]] Result<std::shared_ptr<const InferenceModel>> openBase(
        const std::string& baseModel);
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
    static void keepAdapter(ReplicaState& state, bool nextIsAdapter); // needs m_mutex
    [[nodiscard]] Replica replicaOf(const ReplicaState& state) const;
    [[nodiscard]] Deployment recordOf(const Live& live) const;
    void answerHotloadPost(const HttpRequest& request, const Responder& responder);
    void answerHotloadGet(const HttpRequest& request, const Responder& responder);
    void sendStatus(const std::string& id, const Responder& responder, int looks);
    [[nodiscard]] bool isLoading(const std::string& id) const;
    [[nodiscard]] Result<std::string> deploymentOf(const HttpRequest& request) const;

    ObjectStore& m_store;
    TaskPool& m_loaders;
    After m_after;
    std::atomic<bool> m_isStopping { false };
    mutable std::mutex m_mutex; // guards the maps and every ReplicaState
    std::map<std::string, Live> m_deployments;
    std::map<std::string, std::shared_ptr<const InferenceModel>> m_openModels;
};

} // namespace desk::local
