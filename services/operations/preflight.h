// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"
#include "services/operations/operation_facts.h"
#include "services/operations/operation_plan.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace desk {

/// Checks, effect and request of a draft, from facts alone: nothing is asked, nothing is sent.
[[nodiscard]] OperationPlan makePlan(OperationDraft draft, const OperationFacts& facts);

// One file each; makePlan() adds what all of them share.
void planSave(OperationPlan& plan, const OperationFacts& facts);
void planPromote(OperationPlan& plan, const OperationFacts& facts);
void planHotload(OperationPlan& plan, const OperationFacts& facts);
void planPrevious(OperationPlan& plan, const OperationFacts& facts);
void planCreate(OperationPlan& plan, const OperationFacts& facts);
void planCreateJob(OperationPlan& plan, const OperationFacts& facts);
void planDelete(OperationPlan& plan, const OperationFacts& facts);
void planDeleteCheckpoint(OperationPlan& plan, const OperationFacts& facts);
void planExtend(OperationPlan& plan, const OperationFacts& facts);
void planScale(OperationPlan& plan, const OperationFacts& facts);
void planResume(OperationPlan& plan, const OperationFacts& facts);
void planCancel(OperationPlan& plan, const OperationFacts& facts);

/// Collects the lines of a review.
class CheckList
{
public:
    explicit CheckList(OperationPlan& plan)
        : m_plan(plan)
    {
    }
    void pass(const char* id, const char* title, std::string why);
    void warn(const char* id, const char* title, std::string why, std::string fix = {});
    void fail(const char* id, const char* title, std::string why, std::string fix);
    void unknown(const char* id, const char* title, std::string why, std::string fix = {});
    void effect(std::string what, std::string before, std::string after, bool isWarning = false);

private:
    OperationPlan& m_plan;
};

/// Whether somebody has proved the checkpoint's weights on this machine.
void checkVerified(CheckList& checks, const OperationFacts& facts);
/// Whether a LoRA adapter changes the base it is put on (facts.adapter); nothing for other rows.
void checkAdapter(CheckList& checks, const OperationFacts& facts, const std::string& base);
[[nodiscard]] const Checkpoint* findCheckpoint(
    const std::vector<Checkpoint>& rows, const std::string& name);
/// The server's step, else the number in "step-0010-a1b2c3d4".
[[nodiscard]] std::optional<std::int64_t> stepOf(const Checkpoint& checkpoint);
/// Base, delta or adapter: something that can be served.
[[nodiscard]] bool isSampler(CheckpointType type) noexcept;
/// "step-0010-a1b2c3d4" without the session suffix (8 hex digits): "step-0010".
[[nodiscard]] std::string withoutSession(const std::string& id);
/// The newest promotable row that is not younger than `row`, else the newest one; null if none.
[[nodiscard]] const Checkpoint* nearestPromotable(
    const std::vector<Checkpoint>& rows, const Checkpoint& row);
/// The identity that all replicas serve; empty if there is none or they differ.
[[nodiscard]] std::string commonIdentity(const std::vector<Replica>& replicas);
/// Whether the deployment reads the snapshots of this job (hotLoadTrainerJob or
/// hotLoadDeploymentId).
[[nodiscard]] bool isAttached(const Deployment& deployment, const TrainerJob& job);
/// The job has ended, whatever the end was.
[[nodiscard]] bool isOver(JobState state) noexcept;
/// The whole text as a number; nullopt if it is none.
[[nodiscard]] std::optional<int> wholeNumberOf(const std::string& text);
[[nodiscard]] std::string shortName(const std::string& name); ///< last segment
[[nodiscard]] std::string bytesText(std::uint64_t bytes); ///< "3.1 MiB"
[[nodiscard]] std::string lossText(double loss); ///< "2.0134"

} // namespace desk
