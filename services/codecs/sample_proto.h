// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/sample_codec.h"
#include "services/core/result.h"

#include <string>
#include <string_view>

namespace desk {

/// tinker_public.SampleResponse (tinker-0.38.md section 17.3); arrays are little-endian.
[[nodiscard]] std::string encodeSampleProto(const SampleResult& result);
/// Malformed for what is no such message or has arrays of other lengths than it says.
[[nodiscard]] Result<SampleResult> decodeSampleProto(std::string_view bytes);

} // namespace desk
