// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/promotability.h"

namespace desk {

CheckpointType savedAs(std::string_view kind, bool isLora) noexcept
{
    if (kind == "state")
        return isLora ? CheckpointType::TrainingLora : CheckpointType::Training;
    if (kind == "merged")
        return isLora ? CheckpointType::InferenceBase : CheckpointType::Unrecognized;
    if (kind != "base" && kind != "delta")
        return CheckpointType::Unrecognized;
    if (isLora)
        return CheckpointType::InferenceLora;
    return kind == "base" ? CheckpointType::InferenceBase : CheckpointType::InferenceArcV2;
}

Promotability promotabilityOf(CheckpointType type)
{
    switch (type) {
    case CheckpointType::InferenceBase:
        return { true, false, true, "HF_BASE_MODEL", "a base save holds the full weights" };
    case CheckpointType::InferenceLora:
        return { true, false, true, "HF_PEFT_ADDON", "a LoRA save holds the whole adapter" };
    case CheckpointType::InferenceArcV2:
        return { false, false, true, {},
            "a delta of a full-parameter run is not a whole model; it needs its base" };
    case CheckpointType::Training:
    case CheckpointType::TrainingLora:
        return { false, true, false, {}, "a training state is for resuming, not for serving" };
    case CheckpointType::Unspecified:
    case CheckpointType::Unrecognized:
        break;
    }
    return { false, false, false, {}, "the server does not say what kind of checkpoint it is" };
}

Promotability promotabilityOf(const Checkpoint& checkpoint)
{
    auto answer = promotabilityOf(checkpoint.type);
    if (checkpoint.isPromotable == answer.isPromotable)
        return answer;
    answer.isPromotable = checkpoint.isPromotable;
    answer.reason = checkpoint.isPromotable ? "the server marks this row promotable"
                                            : "the server marks this row not promotable";
    return answer;
}

} // namespace desk
