// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/chain_codec.h"
#include "services/core/result.h"

#include <QString>

#include <string>

namespace desk {

/// The chain of weight syncs of each deployment, over restarts: one small file each in a folder of
/// the profile. Two programs that sync the same deployment overwrite each other's chain; that costs
/// a full snapshot, because a chain is compared with what the replicas serve before it is used.
/// THREAD: any; each call reads or writes one small file at once.
class SnapshotChains final
{
public:
    explicit SnapshotChains(QString folder);

    /// `key`: connection and deployment, e.g. "local accounts/local/deployments/d". An empty chain
    /// when none was written. Unreadable, Malformed: what is there cannot be used.
    [[nodiscard]] Result<SnapshotChain> read(const std::string& key) const;
    /// Written beside, synced, renamed.
    [[nodiscard]] Status write(const std::string& key, const SnapshotChain& chain) const;

private:
    [[nodiscard]] QString fileOf(const std::string& key) const;
    QString m_folder;
};

} // namespace desk
