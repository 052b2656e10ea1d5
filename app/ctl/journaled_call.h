// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"
#include "services/core/result.h"

#include <functional>
#include <map>
#include <string>

namespace desk {

class Ctl;

/// A change that has no preflight: it is journaled, sent once, and its end is journaled.
struct JournaledCall
{
    OperationKind kind = OperationKind::Create;
    std::string target;
    std::map<std::string, std::string> parameters;
    RequestPreview request;
    /// Sends; hands over the result as JSON, or the error.
    std::function<void(std::function<void(Result<std::string>)> ended)> send;
};

/// Prints the operation and ends the invocation. REQUIRES Ctl::withOperations().
void runJournaled(Ctl& ctl, JournaledCall call);

/// "training-api-service-" and 8 random hex digits, as the SDK names its jobs.
[[nodiscard]] std::string newTrainerJobId();

} // namespace desk
