// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"
#include "services/core/result.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// POST and GET /hot_load/v1/models/hot_load (gateway.md 4.6). Extra keys of the embedded backend on
// a replica of the status: error (text), seconds (number, of the present or last load).
// THREAD: any.

namespace desk {

inline constexpr std::string_view kHotloadPath = "/hot_load/v1/models/hot_load";
inline constexpr std::string_view kHotloadModelHeader = "fireworks-model";
inline constexpr std::string_view kHotloadDeploymentHeader = "fireworks-deployment";
/// Optional: another place to take the snapshot from.
inline constexpr std::string_view kHotloadSourceHeader = "x-fireworks-hot-load-source-url";

/// Present only for deltas. "alder32" is the constant of the wire, misspelling included.
struct IncrementalSnapshot
{
    std::string previousIdentity;
    std::string compressionFormat = "arc_v2";
    std::string checksumFormat = "alder32";
    bool operator==(const IncrementalSnapshot&) const = default;
};

/// monostate: the field is not sent; bool: SDKs before November 2026; text: all | new_session |
/// none.
using ResetPromptCache = std::variant<std::monostate, bool, std::string>;

struct HotloadRequest
{
    std::string identity; ///< snapshot name; no '/'
    ResetPromptCache resetPromptCache = true;
    std::optional<IncrementalSnapshot> incremental; ///< nullopt: full snapshot
    std::vector<std::string> ignoredConfigKeys; ///< validation.extra_fields_ignore
    bool operator==(const HotloadRequest&) const = default;
};

[[nodiscard]] std::string encodeHotload(const HotloadRequest& request);
/// Strict as the serving stack is: an unknown key is Refused with "Extra inputs are not permitted".
/// checksum_format is alder32 (the constant of the wire), adler32 or absent, and reads as alder32.
[[nodiscard]] Result<HotloadRequest> decodeHotload(std::string_view body);
/// What a prompt cache holds after a load: "all", "new_session" or "none"; true and a field that
/// was not sent say "all", false says "none".
[[nodiscard]] std::string resetPolicy(const ResetPromptCache& reset);

[[nodiscard]] std::string encodeHotloadStatus(std::span<const Replica> replicas);
/// Malformed if there is no array "replicas". A null loading_state reads as unknown stage.
[[nodiscard]] Result<std::vector<Replica>> decodeHotloadStatus(std::string_view body);

} // namespace desk
