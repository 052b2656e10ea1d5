// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/records.h"

#include <array>
#include <utility>

namespace desk {

namespace {

    template <class E>
    using Word = std::pair<E, const char*>;

    constexpr std::array kJobStates {
        Word<JobState> { JobState::Unspecified, "JOB_STATE_UNSPECIFIED" },
        Word<JobState> { JobState::Creating, "JOB_STATE_CREATING" },
        Word<JobState> { JobState::Pending, "JOB_STATE_PENDING" },
        Word<JobState> { JobState::Running, "JOB_STATE_RUNNING" },
        Word<JobState> { JobState::Idle, "JOB_STATE_IDLE" },
        Word<JobState> { JobState::Validating, "JOB_STATE_VALIDATING" },
        Word<JobState> { JobState::CreatingInputDataset, "JOB_STATE_CREATING_INPUT_DATASET" },
        Word<JobState> { JobState::WritingResults, "JOB_STATE_WRITING_RESULTS" },
        Word<JobState> { JobState::ReQueueing, "JOB_STATE_RE_QUEUEING" },
        Word<JobState> { JobState::Completed, "JOB_STATE_COMPLETED" },
        Word<JobState> { JobState::Failed, "JOB_STATE_FAILED" },
        Word<JobState> { JobState::Cancelling, "JOB_STATE_CANCELLING" },
        Word<JobState> { JobState::Cancelled, "JOB_STATE_CANCELLED" },
        Word<JobState> { JobState::Paused, "JOB_STATE_PAUSED" },
        Word<JobState> { JobState::EarlyStopped, "JOB_STATE_EARLY_STOPPED" },
        Word<JobState> { JobState::Expired, "JOB_STATE_EXPIRED" },
        Word<JobState> { JobState::Deleting, "JOB_STATE_DELETING" },
        Word<JobState> { JobState::DeletingCleaningUp, "JOB_STATE_DELETING_CLEANING_UP" },
        Word<JobState> { JobState::Deleted, "JOB_STATE_DELETED" },
        Word<JobState> { JobState::Archived, "JOB_STATE_ARCHIVED" },
    };

    constexpr std::array kCheckpointTypes {
        Word<CheckpointType> { CheckpointType::Unspecified, "CHECKPOINT_TYPE_UNSPECIFIED" },
        Word<CheckpointType> { CheckpointType::InferenceBase, "CHECKPOINT_TYPE_INFERENCE_BASE" },
        Word<CheckpointType> { CheckpointType::InferenceArcV2, "CHECKPOINT_TYPE_INFERENCE_ARC_V2" },
        Word<CheckpointType> { CheckpointType::InferenceLora, "CHECKPOINT_TYPE_INFERENCE_LORA" },
        Word<CheckpointType> { CheckpointType::Training, "CHECKPOINT_TYPE_TRAINING" },
        Word<CheckpointType> { CheckpointType::TrainingLora, "CHECKPOINT_TYPE_TRAINING_LORA" },
    };

    constexpr std::array kOperationKinds {
        Word<OperationKind> { OperationKind::Save, "save" },
        Word<OperationKind> { OperationKind::Promote, "promote" },
        Word<OperationKind> { OperationKind::Hotload, "hotload" },
        Word<OperationKind> { OperationKind::Previous, "previous" },
        Word<OperationKind> { OperationKind::Resume, "resume" },
        Word<OperationKind> { OperationKind::Cancel, "cancel" },
        Word<OperationKind> { OperationKind::Delete, "delete" },
        Word<OperationKind> { OperationKind::Extend, "extend" },
        Word<OperationKind> { OperationKind::Scale, "scale" },
        Word<OperationKind> { OperationKind::Create, "create" },
    };

    constexpr std::array kOperationStates {
        Word<OperationState> { OperationState::Draft, "draft" },
        Word<OperationState> { OperationState::Checking, "checking" },
        Word<OperationState> { OperationState::Held, "held" },
        Word<OperationState> { OperationState::Sent, "sent" },
        Word<OperationState> { OperationState::Accepted, "accepted" },
        Word<OperationState> { OperationState::Running, "running" },
        Word<OperationState> { OperationState::Succeeded, "succeeded" },
        Word<OperationState> { OperationState::Failed, "failed" },
        Word<OperationState> { OperationState::Cancelled, "cancelled" },
        Word<OperationState> { OperationState::Unknown, "unknown" },
    };

    template <class Table, class E>
    const char* wordOf(const Table& table, E value, const char* fallback) noexcept
    {
        for (const auto& [entry, word] : table)
            if (entry == value)
                return word;
        return fallback;
    }

    template <class E, class Table>
    std::optional<E> entryOf(const Table& table, std::string_view text) noexcept
    {
        for (const auto& [entry, word] : table)
            if (text == word)
                return entry;
        return std::nullopt;
    }

} // namespace

const char* toString(OperationKind kind) noexcept
{
    return wordOf(kOperationKinds, kind, "save");
}

const char* toString(OperationState state) noexcept
{
    return wordOf(kOperationStates, state, "unknown");
}

const char* toString(CheckKind kind) noexcept
{
    switch (kind) {
    case CheckKind::Pass:
        return "pass";
    case CheckKind::Warn:
        return "warn";
    case CheckKind::Fail:
        return "fail";
    case CheckKind::Unknown:
        return "unknown";
    }
    return "unknown";
}

std::optional<OperationKind> operationKindFrom(std::string_view word) noexcept
{
    return entryOf<OperationKind>(kOperationKinds, word);
}

std::optional<OperationState> operationStateFrom(std::string_view word) noexcept
{
    return entryOf<OperationState>(kOperationStates, word);
}

bool isFinal(OperationState state) noexcept
{
    return state == OperationState::Succeeded || state == OperationState::Failed
        || state == OperationState::Cancelled;
}

const char* toString(JobState state) noexcept
{
    return wordOf(kJobStates, state, "JOB_STATE_UNSPECIFIED");
}

JobState jobStateFrom(std::string_view word) noexcept
{
    return entryOf<JobState>(kJobStates, word).value_or(JobState::Unrecognized);
}

std::string readableState(std::string_view stateText)
{
    constexpr std::string_view kPrefix = "JOB_STATE_";
    if (!stateText.starts_with(kPrefix))
        return std::string(stateText);
    std::string word(stateText.substr(kPrefix.size()));
    for (char& c : word)
        c = c == '_' ? ' ' : (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    return word;
}

const char* toString(CheckpointType type) noexcept
{
    return wordOf(kCheckpointTypes, type, "CHECKPOINT_TYPE_UNSPECIFIED");
}

CheckpointType checkpointTypeFrom(std::string_view word) noexcept
{
    return entryOf<CheckpointType>(kCheckpointTypes, word).value_or(CheckpointType::Unrecognized);
}

const char* kindWord(CheckpointType type) noexcept
{
    switch (type) {
    case CheckpointType::InferenceBase:
        return "base";
    case CheckpointType::InferenceArcV2:
        return "delta";
    case CheckpointType::InferenceLora:
        return "lora";
    case CheckpointType::Training:
    case CheckpointType::TrainingLora:
        return "state";
    case CheckpointType::Unspecified:
    case CheckpointType::Unrecognized:
        break;
    }
    return "unknown";
}

} // namespace desk
