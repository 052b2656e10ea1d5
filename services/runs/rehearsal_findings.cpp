// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/runs/rehearsal_findings.h"

#include "services/core/resource_name.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace desk {
namespace {

    using Findings = std::vector<RehearsalFinding>;

    std::string count(std::int64_t n, const char* one, const char* many)
    {
        return std::to_string(n) + " " + (n == 1 ? one : many);
    }

    const RehearsedCheckpoint* findRow(
        const RehearsalRecord& record, const std::string& job, const std::string& id)
    {
        const auto found = std::find_if(record.checkpoints.begin(), record.checkpoints.end(),
            [&](const RehearsedCheckpoint& row) {
                return row.id == id && (job.empty() || row.job == job);
            });
        return found == record.checkpoints.end() ? nullptr : &*found;
    }

    /// Of the rows of a job that `wanted` accepts: the highest step; -1 if there is none.
    template <class Wanted>
    std::int64_t newestStep(const RehearsalRecord& record, const std::string& job, Wanted wanted)
    {
        std::int64_t newest = -1;
        for (const auto& row : record.checkpoints)
            if (row.job == job && wanted(row))
                newest = std::max(newest, row.step);
        return newest;
    }

    void judgeSaves(const RehearsalRecord& record, const RehearsedModel& model, Findings& out)
    {
        if (model.steps == 0)
            return;
        const auto trained = count(model.steps, "step", "steps");
        const auto state =
            newestStep(record, model.job, [](const auto& row) { return row.kind == "state"; });
        if (state < 0)
            out.push_back({ "no_resumable_save", true,
                model.id + " trained " + trained
                    + " and saved no state: after a crash it would start from zero",
                "call save_state every so many steps and once at the end" });
        else if (state < model.steps)
            out.push_back({ "steps_after_last_state", false,
                "the newest state of " + model.id + " is of step " + std::to_string(state) + " of "
                    + std::to_string(model.steps) + ": what came after it could not be resumed",
                "save a state after the last step, too" });
        const auto sampler =
            newestStep(record, model.job, [](const auto& row) { return row.isPromotable; });
        if (sampler < 0)
            out.push_back({ "nothing_promotable", true,
                model.id + " trained " + trained
                    + " and left no weights that outlast its session or could be promoted",
                "save the weights under a name after the last step: "
                "save_weights_for_sampler_ext(name, checkpoint_type=\"base\"), or "
                "save_weights_for_sampler(name) of tinker" });
        else if (sampler == 0)
            out.push_back({ "only_untrained_promotable", true,
                "the only promotable checkpoint of " + model.id
                    + " was saved before its first step: promoting it gives the untrained model",
                "save a base checkpoint after the last step" });
    }

    void judgePromotions(const RehearsalRecord& record, Findings& out)
    {
        for (const auto& refusal : record.refusals) {
            const auto verb = refusal.path.rfind(":promote");
            if (verb == std::string::npos)
                continue;
            const auto path = refusal.path.substr(0, verb);
            const auto* row = findRow(record, {}, path.substr(path.rfind('/') + 1));
            if (row != nullptr && row->kind == "delta")
                out.push_back({ "delta_promoted", true,
                    "the delta " + row->id
                        + " was sent for promotion and refused: it holds only a difference",
                    "promote a checkpoint saved with checkpoint_type=\"base\"" });
            else
                out.push_back({ "promotion_refused", true,
                    "a promotion was refused: " + refusal.message, "correct the request" });
        }
        for (const auto& model : record.promoted) {
            const auto name = parseCheckpointName(model.promotedFrom);
            const auto* row = name ? findRow(record, name->job, name->checkpoint) : nullptr;
            if (row == nullptr)
                continue;
            const auto newest =
                newestStep(record, row->job, [](const auto& other) { return other.isPromotable; });
            if (row->step == 0)
                out.push_back({ "untrained_promoted", true,
                    model.id + " was promoted from " + row->id
                        + ", which was saved before the first step",
                    "promote the newest checkpoint that was trained" });
            else if (row->step < newest)
                out.push_back({ "older_promoted", false,
                    model.id + " was promoted from step " + std::to_string(row->step)
                        + " although step " + std::to_string(newest) + " was saved",
                    "choose it on purpose, by its evaluation" });
        }
    }

    /// The job of a run that was begun without one: it goes with its session, nothing is paid.
    bool isImplicit(const RehearsalRecord& record, const RehearsedJob& job)
    {
        return std::any_of(
            record.models.begin(), record.models.end(), [&](const RehearsedModel& model) {
                auto id = model.id;
                std::replace(id.begin(), id.end(), ':', '-');
                return model.job == job.id && id == job.id;
            });
    }

    void judgeLeftovers(const RehearsalRecord& record, Findings& out)
    {
        for (const auto& deployment : record.deployments)
            if (!deployment.isDeleted && deployment.replicas > 0)
                out.push_back({ "deployment_left_up", true,
                    "the deployment " + deployment.id + " was left up with "
                        + count(deployment.replicas, "replica", "replicas")
                        + ": it would cost money until somebody deletes it",
                    "delete it or scale it to zero when the script ends, also after an error" });
        for (const auto& job : record.jobs)
            if (!job.isDeleted && !job.ended && job.state == "JOB_STATE_RUNNING"
                && !isImplicit(record, job))
                out.push_back({ "trainer_left_running", true,
                    "the trainer job " + job.id
                        + " was left running: it would cost money until it idles out",
                    "delete or cancel it when the script ends" });
    }

    void judgeCalls(const RehearsalRecord& record, Findings& out)
    {
        for (const auto& model : record.models) {
            if (model.failedCalls > 0)
                out.push_back({ "calls_failed", false,
                    count(model.failedCalls, "call", "calls") + " of " + model.id
                        + " failed; the last one: " + model.lastFailure,
                    "see the output of the script" });
            if (model.backwardCalls > 0 && model.steps == 0)
                out.push_back({ "never_stepped", true,
                    model.id + " gathered gradients and never took an optimizer step",
                    "call optim_step after forward_backward" });
        }
        for (const auto& load : record.hotLoads)
            if (load.status >= 400)
                out.push_back({ "hot_load_refused", true,
                    "the hot load of " + load.identity + " onto " + load.deployment
                        + " was refused",
                    "load the base first, and a delta only onto the snapshot it was made from" });
        for (const auto& refusal : record.refusals)
            if (refusal.path.find(":promote") == std::string::npos
                && refusal.path.find("/hot_load/") == std::string::npos)
                out.push_back({ "request_refused", false,
                    refusal.method + " " + refusal.path + " was answered with "
                        + std::to_string(refusal.status) + ": " + refusal.message,
                    "see whether the script handles this" });
    }

    double secondsBetween(const std::optional<Time>& from, Time to)
    {
        return from && *from < to ? std::chrono::duration<double>(to - *from).count() : 0.0;
    }

    std::string minutes(double seconds)
    {
        char text[64];
        std::snprintf(text, sizeof text, "%.1f min", seconds / 60.0);
        return text;
    }

} // namespace

std::vector<RehearsalFinding> findMistakes(const RehearsalRecord& record)
{
    Findings out;
    for (const auto& model : record.models)
        judgeSaves(record, model, out);
    judgePromotions(record, out);
    judgeLeftovers(record, out);
    judgeCalls(record, out);
    std::stable_partition(
        out.begin(), out.end(), [](const RehearsalFinding& finding) { return finding.isMistake; });
    return out;
}

RehearsalCost costOf(const RehearsalRecord& record, Time ended)
{
    RehearsalCost cost;
    for (const auto& job : record.jobs) {
        if (isImplicit(record, job))
            continue;
        auto from = job.created;
        if (from && record.began && *from < *record.began)
            from = record.began; // what was there before is not the script's
        cost.trainerSeconds += secondsBetween(from, job.ended.value_or(ended));
    }
    for (const auto& deployment : record.deployments) {
        auto from = deployment.created;
        if (from && record.began && *from < *record.began)
            from = record.began;
        cost.replicaSeconds +=
            deployment.replicas * secondsBetween(from, deployment.deleted.value_or(ended));
    }
    return cost;
}

bool isClean(const RehearsalReport& report)
{
    return report.exitCode == 0
        && std::none_of(report.findings.begin(), report.findings.end(),
            [](const RehearsalFinding& finding) { return finding.isMistake; });
}

std::string toText(const RehearsalReport& report)
{
    const auto& record = report.record;
    std::string out = "\nRehearsal of "
        + (report.command.empty() ? std::string("nothing") : report.command.front());
    out += report.exitCode == 0 ? ": the command ended well"
                                : ": the command ended with " + std::to_string(report.exitCode);
    out += " after " + minutes(report.seconds) + "\n";
    for (const auto& standIn : record.standIns)
        out += "  stand-in    " + standInSentence(standIn) + "\n";
    for (const auto& model : record.models) {
        out += "  trained     " + model.baseModel
            + (model.loraRank > 0 ? " (LoRA rank " + std::to_string(model.loraRank) + ")"
                                  : " (all parameters)")
            + ": " + count(model.steps, "step", "steps") + ", "
            + count(model.trainedTokens, "token", "tokens");
        if (model.firstLoss && model.lastLoss) {
            char losses[80];
            std::snprintf(losses, sizeof losses, ", loss a token %.4g -> %.4g", *model.firstLoss,
                *model.lastLoss);
            out += losses;
        }
        out += "\n";
    }
    for (const auto& row : record.checkpoints)
        out += "  saved       " + row.kind + " " + row.job + "/" + row.id + " at step "
            + std::to_string(row.step) + (row.isPromotable ? ", promotable" : "") + "\n";
    for (const auto& model : record.promoted)
        out += "  promoted    " + model.id + " from " + model.promotedFrom + "\n";
    for (const auto& load : record.hotLoads)
        out += "  hot-loaded  " + load.identity + " onto " + load.deployment
            + (load.status < 300 ? "" : " (answered " + std::to_string(load.status) + ")") + "\n";
    if (record.completions + record.sampledSequences > 0)
        out += "  sampled     " + count(record.completions, "completion", "completions") + ", "
            + count(record.sampledSequences, "trainer-side sample", "trainer-side samples") + "\n";
    if (report.cost.trainerSeconds + report.cost.replicaSeconds > 0)
        out += "  would cost  " + minutes(report.cost.trainerSeconds) + " of trainers, "
            + minutes(report.cost.replicaSeconds)
            + " of replicas (at the speed of this rehearsal)\n";
    for (const auto& finding : report.findings)
        out += std::string(finding.isMistake ? "  MISTAKE     " : "  note        ") + finding.what
            + "\n              " + finding.fix + "\n";
    if (report.findings.empty())
        out += "  no mistake was found\n";
    return out;
}

} // namespace desk
