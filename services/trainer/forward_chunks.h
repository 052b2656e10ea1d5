// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/trainer_codec.h"
#include "services/core/result.h"

#include <vector>

namespace desk {

/// Parts of at most 1,024 datums and 5,000,000 estimated bytes (10 per token and per tensor
/// element), at least one datum each (trainer.md 3.1). THREAD: any.
[[nodiscard]] std::vector<std::vector<Datum>> chunked(std::vector<Datum> data);

/// Outputs in order; metrics by the reduction after the colon of their key: sum, mean (weighted by
/// the number of outputs), min, max; those with other reductions, or missing in a part, are left
/// out when there is more than one part (trainer.md 3.6).
[[nodiscard]] ForwardResult merged(std::vector<ForwardResult> parts);

} // namespace desk
