// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/operations/preflight.h"

#include "services/core/resource_name.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace desk {
namespace {

    /// The same thing twice at once is never wanted, whoever started the first.
    void checkOpenOperations(OperationPlan& plan, const OperationFacts& facts)
    {
        CheckList checks(plan);
        for (const auto& open : facts.open) {
            if (open.kind != plan.draft.kind || open.target != plan.draft.target
                || open.subject != plan.draft.subject)
                continue;
            if (open.kind == OperationKind::Save || open.kind == OperationKind::Promote
                || open.kind == OperationKind::Create)
                continue; // their own checks ask by name
            const bool isLost = open.state == OperationState::Unknown;
            return checks.fail("open_operation", "No open operation",
                isLost ? "the result of an earlier one like this is unknown"
                       : "one like this is under way",
                isLost ? "Reconcile it first" : "Wait until it has ended");
        }
    }

    bool isHex(char c)
    {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    }

} // namespace

const PreflightCheck* firstFailure(const OperationPlan& plan) noexcept
{
    for (const auto& check : plan.preflight) {
        if (check.result == CheckKind::Fail)
            return &check;
    }
    return nullptr;
}

OperationPlan makePlan(OperationDraft draft, const OperationFacts& facts)
{
    OperationPlan plan;
    plan.draft = std::move(draft);
    plan.checkedAt = facts.now;
    switch (plan.draft.kind) {
    case OperationKind::Save:
        planSave(plan, facts);
        break;
    case OperationKind::Promote:
        planPromote(plan, facts);
        break;
    case OperationKind::Hotload:
        planHotload(plan, facts);
        break;
    case OperationKind::Create:
        planCreate(plan, facts);
        break;
    case OperationKind::Delete:
        planDelete(plan, facts);
        break;
    case OperationKind::Cancel:
        planCancel(plan, facts);
        break;
    case OperationKind::Previous:
        planPrevious(plan, facts);
        break;
    case OperationKind::Resume:
        planResume(plan, facts);
        break;
    case OperationKind::Extend:
        planExtend(plan, facts);
        break;
    case OperationKind::Scale:
        planScale(plan, facts);
        break;
    }
    checkOpenOperations(plan, facts);
    plan.isAllowed = firstFailure(plan) == nullptr;
    return plan;
}

void CheckList::pass(const char* id, const char* title, std::string why)
{
    m_plan.preflight.push_back({ id, title, CheckKind::Pass, std::move(why), {} });
}

void CheckList::warn(const char* id, const char* title, std::string why, std::string fix)
{
    m_plan.preflight.push_back({ id, title, CheckKind::Warn, std::move(why), std::move(fix) });
}

void CheckList::fail(const char* id, const char* title, std::string why, std::string fix)
{
    m_plan.preflight.push_back({ id, title, CheckKind::Fail, std::move(why), std::move(fix) });
}

void CheckList::unknown(const char* id, const char* title, std::string why, std::string fix)
{
    m_plan.preflight.push_back({ id, title, CheckKind::Unknown, std::move(why), std::move(fix) });
}

void CheckList::effect(std::string what, std::string before, std::string after, bool isWarning)
{
    m_plan.effect.push_back({ std::move(what), std::move(before), std::move(after), isWarning });
}

void checkVerified(CheckList& checks, const OperationFacts& facts)
{
    constexpr auto kId = "verified";
    constexpr auto kTitle = "Verified";
    if (!facts.verified)
        return checks.unknown(kId, kTitle, "not verified on this machine", "Verify it first");
    if (facts.verified->rfind("mismatch", 0) == 0)
        return checks.fail(kId, kTitle,
            "its weights are not what the delta says: " + *facts.verified,
            "Do not serve it; save a new base");
    if (facts.verified->rfind("partial", 0) == 0)
        return checks.warn(kId, kTitle, "only a part was checked", "Verify it whole");
    checks.pass(kId, kTitle, *facts.verified == "exact" ? "bit-exact" : *facts.verified);
}

void checkAdapter(CheckList& checks, const OperationFacts& facts, const std::string& base)
{
    constexpr auto kId = "adapter";
    constexpr auto kTitle = "Adapter fits its base";
    if (!facts.adapterProblem.empty())
        return checks.fail(kId, kTitle, facts.adapterProblem, "Save it again from the run");
    if (!facts.adapter)
        return;
    const auto& report = *facts.adapter;
    if (!report.clashes.empty()) {
        const auto& clash = report.clashes.front();
        std::string why = clash.tensor + " is " + dimensionsText(clash.adapter)
            + " in the adapter and " + dimensionsText(clash.base) + " in " + shortName(base);
        if (!report.namedBase.empty())
            why += "; the adapter names the base " + report.namedBase;
        return checks.fail(kId, kTitle, why, "Choose the base that the adapter was trained on");
    }
    if (report.moduleCount == 0)
        return checks.fail(
            kId, kTitle, "the adapter holds no modules", "Save it again after a step of training");
    const auto share = std::to_string(report.matchingCount) + " of "
        + std::to_string(report.moduleCount) + " modules match";
    if (report.matchingCount < report.moduleCount) {
        const auto why = share + "; example: " + report.exampleAdapter + ", base has "
            + (report.exampleBase.empty() ? "none like it" : report.exampleBase);
        if (report.matchingCount == 0)
            return checks.fail(kId, kTitle, why, "Its names must be those of the served model");
        return checks.warn(kId, kTitle, why, "Modules that do not match have no effect");
    }
    if (report.isZero)
        return checks.warn(kId, kTitle,
            share + ", but every lora_B is zero: the adapter changes nothing",
            "Choose a later save");
    checks.pass(kId, kTitle, share);
}

const Checkpoint* findCheckpoint(const std::vector<Checkpoint>& rows, const std::string& name)
{
    const auto it = std::find_if(
        rows.begin(), rows.end(), [&](const Checkpoint& row) { return row.name == name; });
    return it == rows.end() ? nullptr : &*it;
}

std::optional<std::int64_t> stepOf(const Checkpoint& checkpoint)
{
    if (checkpoint.step)
        return checkpoint.step;
    const auto id = shortName(checkpoint.name);
    constexpr std::string_view kPrefix = "step-";
    const auto at = id.find(kPrefix);
    if (at == std::string::npos)
        return std::nullopt;
    const char* begin = id.data() + at + kPrefix.size();
    std::int64_t step = 0;
    const auto parsed = std::from_chars(begin, id.data() + id.size(), step);
    return parsed.ec == std::errc {} ? std::optional(step) : std::nullopt;
}

bool isSampler(CheckpointType type) noexcept
{
    return type == CheckpointType::InferenceBase || type == CheckpointType::InferenceArcV2
        || type == CheckpointType::InferenceLora;
}

std::string withoutSession(const std::string& id)
{
    constexpr std::size_t kSuffix = 9; // '-' and eight hex digits
    if (id.size() <= kSuffix || id[id.size() - kSuffix] != '-')
        return id;
    const bool isSession = std::all_of(id.end() - 8, id.end(), isHex);
    return isSession ? id.substr(0, id.size() - kSuffix) : id;
}

const Checkpoint* nearestPromotable(const std::vector<Checkpoint>& rows, const Checkpoint& row)
{
    const Checkpoint* older = nullptr;
    const Checkpoint* newest = nullptr;
    const auto bornAt = [](const Checkpoint& c) { return c.created.value_or(Time {}); };
    for (const auto& other : rows) {
        if (!other.isPromotable)
            continue;
        if (!newest || bornAt(other) > bornAt(*newest))
            newest = &other;
        if (bornAt(other) <= bornAt(row) && (!older || bornAt(other) > bornAt(*older)))
            older = &other;
    }
    return older ? older : newest;
}

std::string commonIdentity(const std::vector<Replica>& replicas)
{
    if (replicas.empty())
        return {};
    const auto& first = replicas.front().currentSnapshot;
    const bool isCommon = std::all_of(replicas.begin(), replicas.end(),
        [&](const Replica& replica) { return replica.currentSnapshot == first; });
    return isCommon ? first : std::string {};
}

bool isAttached(const Deployment& deployment, const TrainerJob& job)
{
    return (!deployment.hotLoadTrainerJob.empty() && deployment.hotLoadTrainerJob == job.name)
        || (!job.hotLoadDeploymentId.empty()
            && shortName(job.hotLoadDeploymentId) == shortName(deployment.name));
}

bool isOver(JobState state) noexcept
{
    switch (state) {
    case JobState::Completed:
    case JobState::Failed:
    case JobState::Cancelled:
    case JobState::EarlyStopped:
    case JobState::Expired:
    case JobState::Deleted:
    case JobState::Archived:
        return true;
    default:
        return false;
    }
}

std::optional<int> wholeNumberOf(const std::string& text)
{
    int value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    return parsed.ec == std::errc {} && parsed.ptr == text.data() + text.size()
        ? std::optional(value)
        : std::nullopt;
}

std::string shortName(const std::string& name)
{
    return std::string(lastSegment(name));
}

std::string bytesText(std::uint64_t bytes)
{
    constexpr std::array<const char*, 5> kUnits { "B", "KiB", "MiB", "GiB", "TiB" };
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < kUnits.size()) {
        value /= 1024;
        ++unit;
    }
    std::array<char, 32> text {};
    std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.2f %s", value, kUnits[unit]);
    return text.data();
}

std::string lossText(double loss)
{
    std::array<char, 32> text {};
    std::snprintf(text.data(), text.size(), "%.4f", loss);
    return text.data();
}

} // namespace desk
