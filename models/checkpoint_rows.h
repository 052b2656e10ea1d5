// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/row_assembly.h"

namespace desk {

/// Rows of all checkpoints that were read, each with why it cannot be promoted, its place in a
/// chain, the losses of its step and who serves it. Jobs without a server row get the checkpoints
/// that their ledger names.
[[nodiscard]] QList<CheckpointRow> assembleCheckpoints(
    const RowSources& sources, const QHash<QString, const RunFacts*>& runOfJob);
[[nodiscard]] QList<DeploymentRow> assembleDeployments(
    const RowSources& sources, const QList<CheckpointRow>& checkpoints);

} // namespace desk
