// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/result.h"
#include "services/local/objects/database.h"
#include "services/local/objects/rows.h"

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
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
    [[nodiscard]] Result<std::vector<JobRow>> jobs() const; ///< newest first, no tombstones
    [[nodiscard]] Status setJobState(const std::string& id, JobState state, std::string message);
    [[nodiscard]] Status buryJob(const std::string& id);

    // Checkpoints
    /// `replacesState`: a state of the same name gives way to this one.
    [[nodiscard]] Status addCheckpoint(const CheckpointRow& row, bool replacesState);
    /// A sampler snapshot when both spaces know the id.
    [[nodiscard]] Result<CheckpointRow> checkpoint(
        const std::string& job, const std::string& id) const;
    [[nodiscard]] Result<CheckpointRow> checkpoint(
        const std::string& job, const std::string& id, CheckpointSpace space) const;
    [[nodiscard]] Result<std::vector<CheckpointRow>> checkpoints(
        const std::string& job) const; ///< oldest first
    /// The newest base or delta of a job; NotFound if there is none.
    [[nodiscard]] Result<CheckpointRow> newestSampler(const std::string& job) const;
    /// The newest save of any kind, for messages; nullopt if there is none.
    [[nodiscard]] std::optional<CheckpointRow> newestSave(const std::string& job) const;
    /// The sampler snapshot of that identity in any job of the account; the newest if several.
    [[nodiscard]] Result<CheckpointRow> snapshot(const std::string& identity) const;

    // Models
    [[nodiscard]] Status addModel(const ModelRow& row); ///< base models: replaced
    [[nodiscard]] Result<ModelRow> model(const std::string& id) const;
    [[nodiscard]] Result<std::vector<ModelRow>> models() const; ///< base models first
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

    /// Names for folders; relative.
    [[nodiscard]] static std::string jobFolder(const std::string& job);
    [[nodiscard]] std::string freshFolder(const std::string& wanted) const;
    /// Where the full weights of a delta are kept for the next delta; may be removed at any time.
    [[nodiscard]] std::string fullWeightsFolder(
        const std::string& job, const std::string& identity) const;

private:
    ObjectStore(std::unique_ptr<Database> database, std::filesystem::path dataFolder,
        std::string account, const Clock& clock);
    [[nodiscard]] Status createSchema();
    [[nodiscard]] Result<std::vector<CheckpointRow>> selectCheckpoints(
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
    const Clock& m_clock;
};

/// May this text be an id that becomes a file name: letters, digits, '.', '_', '-', not starting
/// with '.', at most 120 bytes.
[[nodiscard]] bool isSafeId(std::string_view id) noexcept;

} // namespace desk::local
