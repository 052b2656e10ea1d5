// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "app/ctl/options.h"
#include "services/core/records.h"
#include "services/operations/operation_plan.h"

#include <functional>
#include <string>
#include <vector>

namespace desk {

class Ctl;

// What every verb that changes something has in common: plan, print or commit, print the record.
// REQUIRES Ctl::withOperations().

/// Cache policy, time limit and waiting of a hot load.
void addLoadOptions(const CtlOptions& options, OperationDraft& draft);

/// Plans the draft; prints the plan with --dry-run, else commits it and prints the operation.
void runDraft(Ctl& ctl, OperationDraft draft);

/// A draft that is made when its turn comes; it is handed on, or the invocation fails.
using MakeDraft = std::function<void(std::function<void(OperationDraft)>)>;
/// One after the other, each planned when those before it have ended. Stops at the first that is
/// refused or does not succeed. Prints a list of records, or of plans with --dry-run.
void runDrafts(Ctl& ctl, std::vector<MakeDraft> drafts);

/// An operation in words for people.
[[nodiscard]] std::string operationText(const Operation& operation);
/// Prints an operation and ends with the exit code of its state.
void endWithOperation(Ctl& ctl, const Operation& operation);

} // namespace desk
