// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/trainer_codec.h"
#include "services/core/result.h"

#include <string>
#include <string_view>

// Package tinker_public, proto3: the training messages (tinker-0.38.md section 17). Arrays are
// little-endian bytes. Unknown fields are skipped; provenance spans are read and left out. A body
// holds at most 65,536 datums and 64 million tensor elements; more is Malformed before anything is
// allocated for it. THREAD: any.

namespace desk {

/// ForwardBackwardRequest. `loss_fn_config_v2` wins over the older map when it has entries. Sparse
/// tensors come out dense, INT32 as int64, BFLOAT16 as float32. Errors name the datum.
[[nodiscard]] Result<ForwardRequest> decodeForwardProto(std::string_view bytes);
/// Datum by datum as the clients write it: dense tensors, numbers in both maps. Usage if the
/// sequence number does not fit int32.
[[nodiscard]] Result<std::string> encodeForwardProto(const ForwardRequest& request);

/// ForwardBackwardOutput: one ArrayRecord for each run of datums with the same tensors and equal
/// trailing shapes.
[[nodiscard]] std::string encodeForwardResultProto(const ForwardResult& result);
[[nodiscard]] Result<ForwardResult> decodeForwardResultProto(std::string_view bytes);

} // namespace desk
