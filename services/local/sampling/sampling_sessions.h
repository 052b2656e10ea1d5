// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/inference_model.h"
#include "services/local/objects/object_store.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

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
    /// Says no for a client's session that is over; asked before a sampling session begins.
    using CheckOwner = std::function<Status(const std::string& session)>;
    void setCheckOwner(CheckOwner check);

    /// Source of a base model, by any name that training takes. NotFound if there is none.
    [[nodiscard]] Result<SamplingSource> baseSource(const std::string& baseModel) const;
    /// Source of a `tinker://` path or a snapshot name. A delta is refused: it is no weights.
    [[nodiscard]] Result<SamplingSource> pathSource(const std::string& path) const;

    /// A folder that does not exist yet, for a save without a name. It is below the objects folder
    /// and in no row, so a restart removes it.
    [[nodiscard]] std::filesystem::path ephemeralFolder(const std::string& modelId) const;

    /// Begins the session (session, sequence) and gives its id; the same pair with the same weights
    /// again is the same session. Conflict when the pair names other weights already; Quota when
    /// there are too many. Sessions that nobody used for long give way. An ephemeral source that is
    /// refused is still the caller's to remove.
    [[nodiscard]] Result<std::string> create(
        const std::string& session, std::int64_t sequence, const SamplingSource& source);
    /// The number, from 1, of another copy of the client of a session (tinker-0.38.md section
    /// 13.4). NotFound for an unknown session.
    [[nodiscard]] Result<std::int64_t> join(const std::string& id);
    [[nodiscard]] Result<SamplingSource> source(const std::string& id) const;
    /// The weights, opened when first needed and shared by sessions of the same folders.
    [[nodiscard]] Result<std::shared_ptr<const InferenceModel>> open(const std::string& id);

    /// Ends all sampling sessions of a client's session (finish, or silence for too long); their
    /// ephemeral files go. Whoever listens drops the work that waits.
    void endSession(const std::string& session);
    /// Called with the id of each session that ends, outside of any lock.
    void setOnEnded(std::function<void(const std::string& id)> ended);
    [[nodiscard]] std::size_t count() const;
    /// Sampling sessions of a client's session that are live.
    [[nodiscard]] std::vector<std::string> idsOf(const std::string& session) const;

private:
    struct Session
    {
        std::string id;
        std::string owner; ///< the client's session
        SamplingSource source;
        std::int64_t copies = 0;
        std::chrono::steady_clock::time_point used;
    };
    /// Models that are open; the ones used last stay so.
    struct Weights
    {
        std::mutex opening;
        std::shared_ptr<const InferenceModel> model;
    };
    [[nodiscard]] Result<std::shared_ptr<const InferenceModel>> openFolder(
        const std::filesystem::path& folder);
    [[nodiscard]] Result<std::shared_ptr<const InferenceModel>> openWeights(
        const SamplingSource& source);
    [[nodiscard]] std::shared_ptr<Weights> weightsFor(const std::string& key);
    [[nodiscard]] std::vector<Session> takeIdle(
        const std::string& owner); // needs m_mutex; makes room
    void forget(const std::vector<Session>& gone);

    ObjectStore& m_store;
    mutable std::mutex m_mutex; // guards what follows
    FindSnapshot m_find;
    CheckOwner m_checkOwner;
    std::function<void(const std::string&)> m_ended;
    std::map<std::string, Session> m_sessions;
    std::list<std::pair<std::string, std::shared_ptr<Weights>>> m_weights; // last used first
};

} // namespace desk::local
