// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Bodies of Tinker's REST calls (trainer.md 6.8, tinker-0.38.md 14), server side, and of the
// hub-shaped tokenizer routes (tinker-0.38.md 18). THREAD: any.

namespace desk {

/// A map of texts as a JSON object; keys and values are kept as they are.
[[nodiscard]] std::string encodeMetadata(const std::map<std::string, std::string>& map);
/// Entries that are no text are left out; empty for what is no object.
[[nodiscard]] std::map<std::string, std::string> decodeMetadata(std::string_view body);

struct RestCheckpoint
{
    std::string id; ///< "weights/0001"
    std::string type; ///< training, sampler, external
    Time time {};
    std::string path; ///< "tinker://<run>/weights/0001"
    std::optional<std::uint64_t> sizeBytes;
    bool isPublic = false;
    std::map<std::string, std::string> userMetadata;
    std::optional<Time> expires;
};

struct RestRun
{
    std::string id;
    std::string baseModel;
    std::string owner;
    int loraRank = 0; ///< 0: full parameters
    bool isCorrupted = false;
    Time lastRequest {};
    std::optional<RestCheckpoint> lastCheckpoint;
    std::optional<RestCheckpoint> lastSamplerCheckpoint;
    std::map<std::string, std::string> userMetadata;
};

struct RestWeights
{
    std::string baseModel;
    int loraRank = 0;
    bool trainsAttention = true;
    bool trainsMlp = true;
    bool trainsUnembed = true;
};

struct RestSession
{
    std::string id;
    std::string owner;
    std::string project;
    std::string displayName;
    Time created {};
    std::int64_t checkpointCount = 0;
    std::uint64_t checkpointBytes = 0;
    std::map<std::string, std::string> userMetadata;
    bool isActive = false; ///< neither ended nor silent
    /// Empty: not ended. "success", "errored" or "interrupted" as the client said it; "failed";
    /// "cancelled".
    std::string end;
    std::string endDetail;
};

struct RestCursor
{
    std::int64_t offset = 0;
    std::int64_t limit = 20;
    std::int64_t total = 0;
};

[[nodiscard]] std::string encodeRestRuns(
    const std::vector<RestRun>& runs, const RestCursor& cursor);
[[nodiscard]] std::string encodeRestRun(const RestRun& run);
[[nodiscard]] std::string encodeRestCheckpoints(
    const std::vector<RestCheckpoint>& checkpoints, const std::optional<RestCursor>& cursor);
[[nodiscard]] std::string encodeRestWeights(const RestWeights& weights);
[[nodiscard]] std::string encodeRestSessions(const std::vector<std::string>& ids);
[[nodiscard]] std::string encodeRestSession(const RestSession& session,
    const std::vector<std::string>& runs, const std::vector<std::string>& samplers);
/// `next`: the last of the page, where another page follows.
[[nodiscard]] std::string encodeSessionSearch(
    const std::vector<RestSession>& page, const std::optional<RestSession>& next);
[[nodiscard]] std::string encodeExternalUrls(
    const std::vector<std::pair<std::string, std::string>>& urls, Time expires);
[[nodiscard]] std::string encodeArchiveUrl(const std::string& url, Time expires);
[[nodiscard]] std::string encodeCopied(const std::string& path);
/// `{"detail": …}`, the error body that Tinker's clients show.
[[nodiscard]] std::string encodeDetail(const std::string& message);
/// What `tinker auth login` asks of a key.
[[nodiscard]] std::string encodeKeyDetails(const std::string& account, const std::string& email);
[[nodiscard]] std::string encodeTrace(const std::string& status, const std::string& url);
/// Complete events of a trace (Chrome's JSON format, which Perfetto reads).
struct TraceEvent
{
    std::string name;
    std::string lane;
    Time begin {};
    Time end {};
    std::string detail {}; ///< a name, a message; empty: none
};
[[nodiscard]] std::string encodeTraceEvents(
    const std::string& title, const std::vector<TraceEvent>& events);
[[nodiscard]] std::string encodeStorageUse(std::int64_t checkpoints, std::uint64_t bytes);

/// `{"ttl_seconds": 3600}` or null.
[[nodiscard]] Result<std::optional<std::int64_t>> decodeTtl(std::string_view body);
/// `{"tinker_path": "…"}`
[[nodiscard]] Result<std::string> decodeWeightsInfo(std::string_view body);
[[nodiscard]] Result<std::string> decodeProject(std::string_view body);

struct CopyWeights
{
    std::string source; ///< "tinker://…"
    std::string project; ///< destination; empty: of the session
    std::string session; ///< that will own the copy; empty: none
    std::optional<std::int64_t> modelSeqId;
    std::optional<std::int64_t> ttlSeconds;
};
[[nodiscard]] Result<CopyWeights> decodeCopyWeights(std::string_view body);

struct SessionSearch
{
    std::string sessionId; ///< exact; with a displayName, one of both is enough
    std::map<std::string, std::string> userMetadata; ///< every pair
    std::string displayName; ///< words, each part of the name in any case
    /// "active", "failed", "cancelled", "client_finished" or "client_finished/<reason>"; empty: all
    std::vector<std::string> statuses;
    std::vector<std::string> projects; ///< empty: all
    std::int64_t limit = 50;
    std::optional<Time> beforeCreated; ///< of the cursor
    std::string beforeId;
};
[[nodiscard]] Result<SessionSearch> decodeSessionSearch(std::string_view body);

/// `tinker://<run>/<kind>/<name>`: exactly three segments (trainer.md 6.8).
struct TinkerPath
{
    std::string run;
    std::string kind; ///< weights, sampler_weights, external_weights
    std::string name;
    [[nodiscard]] std::string toString() const;
};
[[nodiscard]] Result<TinkerPath> parseTinkerPath(std::string_view path);

/// Hub shapes: a model's description and its list of files.
struct HubFile
{
    std::string path;
    std::uint64_t size = 0;
};
[[nodiscard]] std::string encodeHubModel(
    const std::string& name, const std::string& sha, const std::vector<HubFile>& files);
[[nodiscard]] std::string encodeHubTree(const std::string& sha, const std::vector<HubFile>& files);

} // namespace desk
