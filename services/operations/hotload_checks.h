// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/hotload_codec.h"
#include "services/operations/preflight.h"

#include <string>
#include <vector>

// What a hot load and the way back to the snapshot before it have in common.

namespace desk {

/// Deployment, attachment, replicas, base models.
void checkHotloadTarget(CheckList& checks, const OperationFacts& facts);
/// No load is under way; an older one that failed is told.
void checkNotLoading(CheckList& checks, const OperationFacts& facts, const std::string& identity);
/// What all replicas serve, or which serves what; a replica without a name has its number.
[[nodiscard]] std::string servedWords(const std::vector<Replica>& replicas);
/// The cache policy of a draft: a boolean where both spellings of the wire have a word for it.
[[nodiscard]] ResetPromptCache resetOf(const OperationDraft& draft);
/// Method, address, headers and body of a hot load onto the deployment of the facts.
void requestHotload(
    OperationPlan& plan, const OperationFacts& facts, const HotloadRequest& request);

} // namespace desk
