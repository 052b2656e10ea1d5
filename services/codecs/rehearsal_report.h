// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/rehearsal_codec.h"

#include <string>
#include <vector>

// The report of `trainerdesk-ctl rehearse` (cli.md section 5). Qt-free, any thread.

namespace desk {

struct RehearsalFinding
{
    std::string id; ///< stable: no_resumable_save, delta_promoted, deployment_left_up, …
    bool isMistake = true; ///< else worth knowing
    std::string what;
    std::string fix;
    bool operator==(const RehearsalFinding&) const = default;
};
/// Time for which hosted hardware would have been paid.
struct RehearsalCost
{
    double trainerSeconds = 0.0; ///< jobs, from creation to their end or to `ended`
    double replicaSeconds = 0.0; ///< replicas of deployments
};
/// Everything `trainerdesk-ctl rehearse` reports.
struct RehearsalReport
{
    std::vector<std::string> command;
    int exitCode = 0; ///< of the command; 128 + n when signal n ended it
    double seconds = 0.0;
    std::string url; ///< of the backend
    std::string runDir;
    RehearsalRecord record;
    std::vector<RehearsalFinding> findings;
    RehearsalCost cost;
};
/// {"command","exit_code","seconds","url","run_dir","clean","stand_ins","findings",
/// "would_have_cost","rehearsal"}: findings are {"id","severity":"mistake"|"note","what","fix"}.
[[nodiscard]] std::string encodeRehearsalReport(const RehearsalReport& report, bool isClean);

} // namespace desk
