// SPDX-License-Identifier: GPL-3.0-or-later
// What each kind of save may become: the table of the reference page, line by line.
#include "services/core/promotability.h"
#include "tests/support/check.h"

using namespace desk;

namespace {

Checkpoint rowOf(CheckpointType type, bool isPromotable)
{
    Checkpoint row;
    row.type = type;
    row.isPromotable = isPromotable;
    return row;
}

} // namespace

TEST(what_a_save_leaves_behind)
{
    CHECK(savedAs("state", false) == CheckpointType::Training);
    CHECK(savedAs("state", true) == CheckpointType::TrainingLora);
    CHECK(savedAs("base", false) == CheckpointType::InferenceBase);
    CHECK(savedAs("delta", false) == CheckpointType::InferenceArcV2);
    // A LoRA run saves its whole adapter whatever the type says.
    CHECK(savedAs("base", true) == CheckpointType::InferenceLora);
    CHECK(savedAs("delta", true) == CheckpointType::InferenceLora);
    CHECK(savedAs("merged", true) == CheckpointType::InferenceBase);
    CHECK(savedAs("merged", false) == CheckpointType::Unrecognized);
    CHECK(savedAs("huge", false) == CheckpointType::Unrecognized);
}

TEST(the_matrix)
{
    const auto base = promotabilityOf(CheckpointType::InferenceBase);
    CHECK(base.isPromotable && !base.isResumable && base.isServable);
    CHECK_EQUAL(base.modelKind, std::string("HF_BASE_MODEL"));
    const auto lora = promotabilityOf(CheckpointType::InferenceLora);
    CHECK(lora.isPromotable && !lora.isResumable && lora.isServable);
    CHECK_EQUAL(lora.modelKind, std::string("HF_PEFT_ADDON"));
    const auto delta = promotabilityOf(CheckpointType::InferenceArcV2);
    CHECK(!delta.isPromotable && !delta.isResumable && delta.isServable);
    CHECK_EQUAL(delta.reason,
        std::string("a delta of a full-parameter run is not a whole model; it needs its base"));
    for (const auto type : { CheckpointType::Training, CheckpointType::TrainingLora }) {
        const auto state = promotabilityOf(type);
        CHECK(!state.isPromotable && state.isResumable && !state.isServable);
        CHECK(state.modelKind.empty());
        CHECK_EQUAL(state.reason, std::string("a training state is for resuming, not for serving"));
    }
    CHECK(!promotabilityOf(CheckpointType::Unrecognized).isPromotable);
}

TEST(the_server_decides)
{
    CHECK(promotabilityOf(rowOf(CheckpointType::InferenceBase, true)).isPromotable);
    const auto refused = promotabilityOf(rowOf(CheckpointType::InferenceBase, false));
    CHECK(!refused.isPromotable);
    CHECK_EQUAL(refused.reason, std::string("the server marks this row not promotable"));
    CHECK(promotabilityOf(rowOf(CheckpointType::Unrecognized, true)).isPromotable);
    CHECK(!promotabilityOf(rowOf(CheckpointType::InferenceArcV2, false)).isPromotable);
    CHECK(promotabilityOf(rowOf(CheckpointType::Training, false)).isResumable);
}

CHECK_MAIN()
