// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/shapes_codec.h"
#include "services/core/clock.h"
#include "services/core/result.h"
#include "services/local/objects/database.h"
#include "services/local/objects/rows.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace desk::local {

/// Rows and weight folders of the backend below one data folder.
///
/// The rule that makes kill -9 harmless: files are finished under their final name before the row
/// that names them is committed, and a row goes before its files do. What no row names is removed
/// by `removeOrphans` on the next start.
/// THREAD: any. Every function is one transaction.
class ObjectStore
{
public:
    [[nodiscard]] static Result<std::unique_ptr<ObjectStore>> open(
        const std::filesystem::path& dataFolder, const std::string& account, const Clock& clock);
    ObjectStore(const ObjectStore&) = delete;
    ObjectStore& operator=(const ObjectStore&) = delete;
    ~ObjectStore();

    [[nodiscard]] const std::string& account() const noexcept { return m_account; }
    [[nodiscard]] Time now() const { return m_clock.now(); }
    /// `folder` below the objects folder; absolute folders as they are.
    [[nodiscard]] std::filesystem::path absolute(const std::string& folder) const;
    /// Removes unfinished and unreferenced files. Call before anything writes.
    void removeOrphans();
    /// Removes expired checkpoints and tombstones older than 30 days, rows first, then files.
    void removeExpired();

    // Jobs. Conflict when the id was ever used.
    [[nodiscard]] Status addJob(const JobRow& row);
    [[nodiscard]] Result<JobRow> job(const std::string& id) const; ///< tombstones too
    [[nodiscard]] Result<std::vector<JobRow>> jobs(
        bool withTombstones = false) const; ///< newest first
    [[nodiscard]] Status setJobState(const std::string& id, JobState state, std::string message);
    [[nodiscard]] Status buryJob(const std::string& id);

    // Checkpoints. One that has expired is not found any more, even before its files are gone.
    /// `replacesState`: a save of the same space and name gives way to this one.
    [[nodiscard]] Status addCheckpoint(const CheckpointRow& row, bool replacesState);
    /// A sampler snapshot when both spaces know the id.
    [[nodiscard]] Result<CheckpointRow> checkpoint(
        const std::string& job, const std::string& id) const;
    [[nodiscard]] Result<CheckpointRow> checkpoint(
        const std::string& job, const std::string& id, CheckpointSpace space) const;
    [[nodiscard]] Result<std::vector<CheckpointRow>> checkpoints(
        const std::string& job) const; ///< oldest first
    /// What `tinker://<run>/<weights|sampler_weights|external_weights>/<id>` names. Adapters have
    /// type InferenceLora or TrainingLora and their PEFT files in `folder`.
    [[nodiscard]] Result<CheckpointRow> checkpointOfRun(
        const std::string& run, CheckpointSpace space, const std::string& id) const;
    [[nodiscard]] Result<std::vector<CheckpointRow>> checkpointsOfRun(
        const std::string& run) const; ///< oldest first
    [[nodiscard]] Result<std::vector<CheckpointRow>> allCheckpoints() const; ///< newest first
    /// Row first, then files. Conflict while a delta stands on it.
    [[nodiscard]] Status removeCheckpoint(const CheckpointRow& row);
    /// nullopt: kept for good.
    [[nodiscard]] Status setExpiry(const CheckpointRow& row, const std::optional<Time>& expires);
    [[nodiscard]] Status setPublic(const CheckpointRow& row, bool isPublic);
    /// The newest base or delta of a job; NotFound if there is none.
    [[nodiscard]] Result<CheckpointRow> newestSampler(const std::string& job) const;
    /// The newest save of any kind, for messages; nullopt if there is none.
    [[nodiscard]] std::optional<CheckpointRow> newestSave(const std::string& job) const;
    /// The sampler snapshot of that identity in any job of the account; the newest if several.
    [[nodiscard]] Result<CheckpointRow> snapshot(const std::string& identity) const;

    // Sessions and runs of training clients; written by the trainer, listed over REST.
    [[nodiscard]] Status putSession(const SessionRow& row); ///< new, or replaced
    [[nodiscard]] Result<SessionRow> session(const std::string& id) const;
    [[nodiscard]] Result<std::vector<SessionRow>> sessions() const; ///< newest first
    [[nodiscard]] Status endSession(
        const std::string& id, const std::string& end, const std::string& detail);
    [[nodiscard]] Status putRun(const RunRow& row); ///< new, or replaced
    [[nodiscard]] Result<RunRow> run(const std::string& id) const;
    [[nodiscard]] Result<std::vector<RunRow>> runs() const; ///< newest first
    [[nodiscard]] Result<std::vector<RunRow>> runsOf(const std::string& session) const;
    /// Time of the last request of a run and its session.
    [[nodiscard]] Status touchRun(const std::string& id);

    // Models
    [[nodiscard]] Status addModel(const ModelRow& row); ///< base models: replaced
    [[nodiscard]] Result<ModelRow> model(const std::string& id) const;
    [[nodiscard]] Result<std::vector<ModelRow>> models() const; ///< base models first
    /// Makes what plays a base model that is not here; NotFound where nothing may play it.
    using StandInMaker = std::function<Result<ModelRow>(const std::string& name)>;
    /// Before anything is served. `note` says what a name is played by, for the status of jobs;
    /// empty text for a model that is what it says.
    void setStandInMaker(StandInMaker maker, std::function<std::string(const std::string&)> note);
    /// The model that a client names: accounts/<this account>/models/<id>, its bare id, or a name
    /// of somebody else's ("Qwen/Qwen3-8B", accounts/fireworks/models/…) that a stand-in has or
    /// gets now.
    [[nodiscard]] Result<ModelRow> namedModel(const std::string& name) const;
    [[nodiscard]] Status removeModel(const std::string& id);
    /// Base models that this start does not offer are no longer listed.
    [[nodiscard]] Status keepOnlyBaseModels(const std::vector<std::string>& ids);

    // Promotions
    /// The operation for (checkpoint, model): the existing one, or a new one.
    [[nodiscard]] Result<OperationRow> beginPromotion(const OperationRow& fresh);
    [[nodiscard]] Result<OperationRow> operation(const std::string& id) const;
    [[nodiscard]] Result<std::vector<OperationRow>> openOperations() const;
    [[nodiscard]] Status setOperationMessage(const std::string& id, const std::string& message);
    /// Ends an operation; with a model its row is committed in the same transaction.
    [[nodiscard]] Status endOperation(
        const OperationRow& row, const std::optional<ModelRow>& model);
    /// A failed promotion may be tried again.
    [[nodiscard]] Status forgetOperation(const std::string& id);

    // Deployments
    [[nodiscard]] Status addDeployment(
        const DeploymentRow& row, const std::vector<ReplicaRow>& replicas);
    [[nodiscard]] Result<DeploymentRow> deployment(const std::string& id) const;
    [[nodiscard]] Result<std::vector<DeploymentRow>> deployments() const; ///< oldest first
    [[nodiscard]] Status updateDeployment(const DeploymentRow& row);
    /// Replaces all replica rows.
    [[nodiscard]] Status replaceReplicas(
        const DeploymentRow& row, const std::vector<ReplicaRow>& replicas);
    [[nodiscard]] Status removeDeployment(const std::string& id);
    [[nodiscard]] Result<std::vector<ReplicaRow>> replicas(const std::string& deployment) const;
    [[nodiscard]] Status updateReplica(const ReplicaRow& row);

    // The ledger of hot loads (gateway.md section 4.8)
    [[nodiscard]] Status addLoad(const std::string& deployment, const LedgerEntry& entry);
    [[nodiscard]] Result<std::vector<LedgerEntry>> loads(
        const std::string& deployment) const; ///< newest first, at most 500
    [[nodiscard]] Status forgetLoads(const std::string& deployment);

    /// Names for folders; relative.
    [[nodiscard]] static std::string jobFolder(const std::string& job);
    /// Id of the job that keeps the saves of a run whose URL named no trainer job: the run's id
    /// with '-' for ':'. The run's names are its own that way, and it is listed like other jobs.
    [[nodiscard]] static std::string jobOfRun(const std::string& run);
    [[nodiscard]] std::string freshFolder(const std::string& wanted) const;
    /// Where the full weights of a delta are kept for the next delta; may be removed at any time.
    [[nodiscard]] std::string fullWeightsFolder(
        const std::string& job, const std::string& identity) const;

private:
    ObjectStore(std::unique_ptr<Database> database, std::filesystem::path dataFolder,
        std::string account, const Clock& clock);
    [[nodiscard]] Status createSchema();
    [[nodiscard]] Status migrate();
    [[nodiscard]] Result<std::vector<CheckpointRow>> selectCheckpoints(
        const char* sql, std::initializer_list<SqlValue> values) const;
    [[nodiscard]] Result<std::vector<SessionRow>> selectSessions(
        const char* sql, std::initializer_list<SqlValue> values) const;
    [[nodiscard]] Result<std::vector<RunRow>> selectRuns(
        const char* sql, std::initializer_list<SqlValue> values) const;
    [[nodiscard]] Result<std::vector<JobRow>> selectJobs(
        const char* sql, std::initializer_list<SqlValue> values) const;
    [[nodiscard]] Result<std::vector<ModelRow>> selectModels(
        const char* sql, std::initializer_list<SqlValue> values) const;
    [[nodiscard]] Result<std::vector<OperationRow>> selectOperations(
        const char* sql, std::initializer_list<SqlValue> values) const;
    [[nodiscard]] Result<std::vector<DeploymentRow>> selectDeployments(
        const char* sql, std::initializer_list<SqlValue> values) const;
    [[nodiscard]] Status writeModel(const ModelRow& row);
    [[nodiscard]] std::vector<std::string> referencedFolders() const;

    mutable std::mutex m_mutex; // guards m_database
    std::unique_ptr<Database> m_database;
    std::filesystem::path m_objects;
    std::string m_account;
    StandInMaker m_standIns;
    std::function<std::string(const std::string&)> m_standInNote;
    const Clock& m_clock;
};

/// "weights", "sampler_weights", "external_weights": the kind in tinker paths.
[[nodiscard]] const char* spaceWord(CheckpointSpace space) noexcept;
[[nodiscard]] std::optional<CheckpointSpace> spaceFrom(std::string_view word) noexcept;

/// May this text be an id that becomes a file name: letters, digits, '.', '_', '-', not starting
/// with '.', at most 120 bytes.
[[nodiscard]] bool isSafeId(std::string_view id) noexcept;

} // namespace desk::local
