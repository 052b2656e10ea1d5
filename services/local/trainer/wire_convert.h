// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/trainer_codec.h"
#include "services/core/result.h"
#include "services/local/engine/engine.h"
#include "services/local/trainer/future_table.h"

#include <string>
#include <vector>

// Between the wire's values and the engine's.

namespace desk::local {

/// Usage error that names the datum and what is wrong with it.
[[nodiscard]] Result<std::vector<Datum>> toEngineData(const std::vector<desk::Datum>& data);
/// Usage error for an unknown loss or an option that this loss does not have; sets topK.
[[nodiscard]] Result<Loss> toEngineLoss(const desk::ForwardRequest& request, int& topK);
/// Result of a forward or forward_backward future; Backend error when a number is not finite.
[[nodiscard]] Result<FutureResult> toWireResult(
    const ForwardResult& result, const desk::ForwardRequest& request, int topK);

[[nodiscard]] AdamParams toEngineAdam(const desk::AdamParams& params);
[[nodiscard]] GradNormalization toEngineNormalization(GradAccNormalization normalization);
[[nodiscard]] Result<std::string> toWireOptim(
    const OptimResult& result, const std::string& gradNormMetrics, bool withStep);

/// The future category of an error: "user" when the request was at fault, else "server".
[[nodiscard]] std::string futureCategory(const Error& error);
/// One text for clients that have one field: what happened; what did not; what to do.
[[nodiscard]] std::string wireMessage(const Error& error);

} // namespace desk::local
