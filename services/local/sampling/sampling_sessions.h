// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/inference_model.h"
#include "services/local/objects/object_store.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace desk::local {

/// Weights that a sampling session draws from, fixed when the session begins.
struct SamplingSource
{
    std::string baseModel; ///< accounts/<account>/models/<model>
    std::string modelPath; ///< "tinker://…"; empty: the base model or an ephemeral save
    std::string identity; ///< snapshot name, told with every answer; empty: the base model
    std::filesystem::path folder; ///< full weights
    std::filesystem::path adapter; ///< PEFT folder on top of them; empty: none
    bool isEphemeral = false; ///< files below `ephemeralFolder`, removed with the session
};

/// The sampling sessions of all clients (tinker-0.38.md section 13.1). A session names weights;
/// sequences are drawn by SamplingService. Ids are `<session>:sample:<n>`, and ephemeral saves and
/// create_sampling_session share one counter per session, which is the client's.
/// Sessions live in this process: after a restart their clients get a clear 404.
/// THREAD: any.
class SamplingSessions
{
public:
    explicit SamplingSessions(ObjectStore& store);
    ~SamplingSessions();
    SamplingSessions(const SamplingSessions&) = delete;
    SamplingSessions& operator=(const SamplingSessions&) = delete;

    /// How a `tinker://<model>/sampler_weights/<name>` path or a bare snapshot name is found; the
    /// default takes the snapshot of that name in any job of the account.
    using FindSnapshot = std::function<Result<CheckpointRow>(const std::string& path)>;
    void setFindSnapshot(FindSnapshot find);

    /// Source of a base model: full name, or its last segment. NotFound if there is none.
    [[nodiscard]] Result<SamplingSource> baseSource(const std::string& baseModel) const;
    /// Source of a `tinker://` path or a snapshot name. A delta is refused: it is no weights.
    [[nodiscard]] Result<SamplingSource> pathSource(const std::string& path) const;

    /// A folder that does not exist yet, for a save without a name. It is below the objects folder
    /// and in no row, so a restart removes it.
    [[nodiscard]] std::filesystem::path ephemeralFolder(const std::string& modelId) const;

    /// Begins the session (session, sequence) and gives its id; the same pair with the same weights
    /// again is the same session. Conflict when the pair names other weights already; Quota when
    /// there are too many. An ephemeral source that is refused is still the caller's to remove.
    [[nodiscard]] Result<std::string> create(
        const std::string& session, std::int64_t sequence, const SamplingSource& source);
    /// Another id for the same weights is not made: copies of a client share the session and get
    /// numbers from 1 (tinker-0.38.md section 13.4). NotFound for an unknown session.
    [[nodiscard]] Result<std::int64_t> join(const std::string& id);
    [[nodiscard]] Result<SamplingSource> source(const std::string& id) const;
    /// The weights, opened when first needed and shared by sessions of the same folders.
    [[nodiscard]] Result<std::shared_ptr<const InferenceModel>> open(const std::string& id);

    /// Ends all sampling sessions of a client's session (finish, or silence for too long); their
    /// ephemeral files go. Whoever listens drops the work that waits.
    void endSession(const std::string& session);
    /// Called with the id of each session that ends, outside of any lock.
    void setOnEnded(std::function<void(const std::string& id)> ended);
    /// Ends the sessions whose weights belong to nobody else and were not used for that long.
    [[nodiscard]] std::size_t count() const;

private:
    struct Session;
    struct Weights;
    [[nodiscard]] std::shared_ptr<Session> find(const std::string& id) const;

    ObjectStore& m_store;
    mutable std::mutex m_mutex; // guards what follows
    FindSnapshot m_find;
    std::function<void(const std::string&)> m_ended;
    std::map<std::string, std::shared_ptr<Session>> m_sessions;
    std::map<std::string, std::weak_ptr<Weights>> m_weights; // by folder and adapter
    std::map<std::string, std::int64_t> m_joined;
};

} // namespace desk::local
