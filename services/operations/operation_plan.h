// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/records.h"

#include <map>
#include <string>
#include <vector>

namespace desk {

/// What somebody wants to do, before anything was checked. Keys of `parameters`, all text:
///  Save     target job      subject -           kind=state|base|delta, name, ttl_seconds
///  Promote  target job      subject checkpoint  model_id, base_model (empty: the job's);
///  deprecated:
///                           form=pair (asked for by job and checkpoint id),
///                           hot_load_deployment_id
///  Hotload  target deployment, subject checkpoint
///                           full=1, reset_prompt_cache=all|new_session|none,
///                           timeout_seconds (600), wait=0 (do not wait for the replicas)
///  Previous target deployment, subject - (found: what it served before), as Hotload
///  Create   target -        subject -           resource=deployment, base_model, job, replicas,
///                                               name; wait=0
///                           resource=job, base_model, lora_rank, id, name (to show); wait=0
///  Delete   target resource subject -           resource=job|deployment|model|checkpoint
///  Cancel   target job      subject -
///  Resume   target job      subject -           wait=0
///  Extend   target checkpoint, subject -        ttl_seconds=N|never (from now on)
///  Scale    target deployment, subject -        replicas=0 … 64; wait=0
/// Names of targets and subjects are full resource names.
struct OperationDraft
{
    OperationKind kind = OperationKind::Save;
    std::string connection; ///< name of the connection
    std::string target;
    std::string subject;
    std::map<std::string, std::string> parameters;
    std::string by; ///< "window" or "ctl"
};

/// One line of "before -> after" of a review.
struct EffectRow
{
    std::string what;
    std::string before;
    std::string after;
    bool isWarning = false;
};

/// A draft that was checked against the present state of the world: what would be sent, what it
/// would change, and whether it may be sent at all.
struct OperationPlan
{
    OperationDraft draft; ///< parameters completed with the defaults that will be used
    std::string sentence; ///< "Promote step-0010-a1b2c3d4 as model stories-v1"
    bool isAllowed = false; ///< no check failed
    std::vector<PreflightCheck> preflight;
    RequestPreview request; ///< exactly what would be sent; never a key
    std::vector<EffectRow> effect;
    /// Deprecated forms that are used, one sentence each: stages of the record, and `warnings` of
    /// its result.
    std::vector<std::string> warnings;
    Time checkedAt {};
    std::string key; ///< idempotency key; each plan has a new one
};

/// Why a plan may not be sent: the first failed check; empty if it may.
[[nodiscard]] const PreflightCheck* firstFailure(const OperationPlan& plan) noexcept;

} // namespace desk
