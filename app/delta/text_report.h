// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/delta/engine.h"

#include <string>

namespace desk {

/// The reports for people; several lines, each ended.
[[nodiscard]] std::string toText(const DeltaReport& report, const std::string& output);
[[nodiscard]] std::string toText(const VerifyReport& report, bool isComparison);
[[nodiscard]] std::string toText(const InspectReport& report);
/// "what happened; what did not; what to do"
[[nodiscard]] std::string toText(const Error& error);

} // namespace desk
