// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <string>
#include <string_view>

// What is remembered of the weight syncs onto one deployment. THREAD: any.

namespace desk {

/// What the next sampler save may build on. Empty identity: the next save is base.
struct SnapshotChain
{
    std::string lastLoaded; ///< identity that every replica confirmed last
    int deltasSinceBase = 0;
    std::string job; ///< trainer job that saved it, full name; empty: not known
    bool operator==(const SnapshotChain&) const = default;
};

/// `key` says which deployment the chain belongs to and is checked when it is read.
[[nodiscard]] std::string encodeSnapshotChain(const SnapshotChain& chain, std::string_view key);
/// At most 64 KiB. Malformed for what is no chain; NotFound for the chain of another key.
[[nodiscard]] Result<SnapshotChain> decodeSnapshotChain(
    std::string_view text, std::string_view key);

} // namespace desk
