// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/rehearsal_report.h"
#include "services/core/clock.h"

#include <string>
#include <vector>

// What a rehearsal tells before money is spent: mistakes of the script, and what it used that costs
// money. Pure functions; any thread.

namespace desk {

/// Mistakes first, each with what to do about it.
[[nodiscard]] std::vector<RehearsalFinding> findMistakes(const RehearsalRecord& record);

[[nodiscard]] RehearsalCost costOf(const RehearsalRecord& record, Time ended);

/// The script ended well and no mistake was found.
[[nodiscard]] bool isClean(const RehearsalReport& report);
/// For people.
[[nodiscard]] std::string toText(const RehearsalReport& report);

} // namespace desk
