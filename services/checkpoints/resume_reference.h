// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// How a recipe names the checkpoint it starts from (runs.md 2.4). Pure; THREAD: any.

namespace desk {

/// What a reference means for a run on a dedicated trainer.
struct ResumeReference
{
    enum class Form
    {
        Bare, ///< step-40: of this trainer
        SameJob, ///< <current job>:step-40
        OtherJob, ///< <other job>:step-40
        Path ///< gs://…, tinker://…, /…: taken as it is
    };
    Form form = Form::Bare;
    std::string job; ///< bare id; empty for Bare and Path
    std::string name; ///< of the state; for Path the whole path
    std::string loadPath; ///< for load_state*: "step-40", "cross_job://<job>/step-40", the path
    bool restoresWeights = true;
    bool restoresOptimizer = true; ///< with load_state_with_optimizer
    bool restoresStep = false; ///< the recipe goes on at the step of the state
    bool restoresDataCursor = false;
    std::string statement; ///< one sentence: what is restored and what starts again
    std::vector<std::string> warnings;
    bool operator==(const ResumeReference&) const = default;
};

/// Forms: "step-40", "<job>:step-40", "cross_job://<job>/step-40", the four-segment resource name
/// of a checkpoint, a URI or an absolute path. `currentJob`: bare id or full name of the job that
/// the run is pinned to; empty: it has none yet. Usage for anything else; Refused for the reference
/// of a serverless run (<account>/run-<32 hex>/…), which a dedicated trainer cannot load.
[[nodiscard]] Result<ResumeReference> parseResumeReference(
    std::string_view text, std::string_view currentJob);

/// What to put into the recipe so that a run pinned to `job` goes on from its state `name` with
/// step and data cursor: "<job>:<name>". `job`: bare id or full name.
[[nodiscard]] std::string resumeReferenceFor(std::string_view job, std::string_view name);

/// N of a name "step-N…" or "…-step-N", a session suffix of eight hex digits set aside; nullopt if
/// the name does not say.
[[nodiscard]] std::optional<std::int64_t> stepOfName(std::string_view name);
/// The name without a session suffix "-<8 hex>"; for sampler rows only: a user's own name may end
/// like that.
[[nodiscard]] std::string_view withoutSessionSuffix(std::string_view name) noexcept;
/// "<8 hex>" of a sampler row's name; empty if there is none.
[[nodiscard]] std::string_view sessionSuffixOf(std::string_view name) noexcept;

} // namespace desk
