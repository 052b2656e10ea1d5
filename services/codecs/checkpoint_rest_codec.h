// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The client's half of checkpoint management on a trainer (trainer.md 6.8) and of weight downloads
// (gateway.md 3.6). THREAD: any.

namespace desk {

/// One row of GET <trainer>/api/v1/checkpoints.
struct TrainerCheckpoint
{
    std::string run; ///< of tinker://<run>/<kind>/<name>
    std::string kind; ///< weights, sampler_weights
    std::string name;
    std::optional<Time> created;
    std::optional<Time> expires;
    /// Below <trainer>/api/v1.
    [[nodiscard]] std::string route() const;
};

struct TrainerCheckpoints
{
    std::vector<TrainerCheckpoint> items;
    std::int64_t rowCount = 0; ///< of this page, those that were left out too
    std::optional<std::int64_t> total; ///< over all pages, if the server says it
};

/// Rows whose path is no tinker:// path of three segments are left out.
[[nodiscard]] Result<TrainerCheckpoints> decodeTrainerCheckpoints(std::string_view body);
/// {"ttl_seconds":3600}, or null for never.
[[nodiscard]] std::string encodeTtl(std::optional<std::int64_t> ttlSeconds);
/// `filenameToSignedUrls`. Malformed for a file name that is no plain name, or without any file.
[[nodiscard]] Result<std::map<std::string, std::string>> decodeDownloadEndpoint(
    std::string_view body);

} // namespace desk
