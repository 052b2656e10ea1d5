// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/records.h"
#include "tests/support/check.h"

TEST(stateWord_isReadable)
{
    CHECK_EQUAL(desk::readableState("JOB_STATE_RUNNING"), "running");
    CHECK_EQUAL(desk::readableState("JOB_STATE_RE_QUEUEING"), "re queueing");
    CHECK_EQUAL(desk::readableState("READY"), "READY");
    CHECK_EQUAL(desk::readableState(""), "");
}

TEST(words_roundTrip)
{
    CHECK(desk::jobStateFrom("JOB_STATE_RUNNING") == desk::JobState::Running);
    CHECK(desk::jobStateFrom("JOB_STATE_NEWER_THAN_US") == desk::JobState::Unrecognized);
    CHECK(desk::checkpointTypeFrom("CHECKPOINT_TYPE_INFERENCE_ARC_V2")
        == desk::CheckpointType::InferenceArcV2);
    CHECK_EQUAL(std::string(desk::kindWord(desk::CheckpointType::InferenceArcV2)), "delta");
    CHECK_EQUAL(std::string(desk::kindWord(desk::CheckpointType::Unrecognized)), "unknown");
    CHECK(desk::operationStateFrom("unknown") == desk::OperationState::Unknown);
    CHECK(!desk::operationStateFrom("gone").has_value());
}

TEST(onlyThreeStates_areFinal)
{
    CHECK(desk::isFinal(desk::OperationState::Succeeded));
    CHECK(desk::isFinal(desk::OperationState::Failed));
    CHECK(desk::isFinal(desk::OperationState::Cancelled));
    CHECK(!desk::isFinal(desk::OperationState::Unknown));
    CHECK(!desk::isFinal(desk::OperationState::Sent));
}

CHECK_MAIN()
