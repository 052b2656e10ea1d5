// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/rows.h"

namespace desk {

std::optional<double> CheckpointRow::deltaRatio() const
{
    if (type != CheckpointType::InferenceArcV2 || !sizeBytes || !baseBytes || *baseBytes == 0)
        return std::nullopt;
    return double(*sizeBytes) / double(*baseBytes);
}

} // namespace desk
