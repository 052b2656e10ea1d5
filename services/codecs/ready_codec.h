// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace desk {

struct ReadyModel
{
    std::string id; ///< e.g. "desk-tiny"
    std::string name; ///< accounts/<account>/models/<id>
    std::uint64_t parameters = 0;
    std::uint64_t vocabSize = 0;
    bool operator==(const ReadyModel&) const = default;
};

/// The line that trainerdesk-local prints when it serves (cli.md section 4).
struct ReadyLine
{
    std::string url;
    std::string account;
    std::string keyFile; ///< path; never the key
    std::string baseModel; ///< full name of the model that a new user starts from
    std::uint64_t vocabSize = 0; ///< of baseModel
    std::vector<ReadyModel> models;
    std::int64_t pid = 0;
    std::string version;
    bool operator==(const ReadyLine&) const = default;
};

/// One JSON object without a line end.
[[nodiscard]] std::string encodeReadyLine(const ReadyLine& ready);
/// Takes at most 1 MiB; unknown keys are ignored. `url`, `account`, `key_file` and `pid` must be
/// there. Errors: Malformed.
[[nodiscard]] Result<ReadyLine> decodeReadyLine(std::string_view text);

} // namespace desk
