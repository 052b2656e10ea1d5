// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"
#include "app/ctl/draft_run.h"
#include "app/ctl/text_table.h"
#include "app/ctl/verbs.h"
#include "services/codecs/cli_codec.h"
#include "services/core/resource_name.h"

#include <cstdio>
#include <map>

namespace desk {
namespace {

    CliJob jobRow(const Ctl& ctl, const TrainerJob& job)
    {
        CliJob row;
        row.job = job;
        row.source = ctl.connection().name;
        if (const auto run = ctl.runOfJob(job.name)) {
            row.step = run->step;
            row.totalSteps = run->totalSteps;
            row.loss = run->loss;
            row.lastProgress = run->lastProgress;
            row.runDir = run->folder.toStdString();
            row.checkpoints = static_cast<std::int64_t>(run->checkpoints.size());
            row.evidence = toString(evidenceFor(*run, job.state, ctl.clock().now()));
        }
        return row;
    }

    std::string numberText(double value)
    {
        char text[32];
        std::snprintf(text, sizeof text, "%.4g", value);
        return text;
    }

    std::string progressText(const CliJob& row)
    {
        if (!row.step)
            return {};
        return std::to_string(*row.step)
            + (row.totalSteps ? "/" + std::to_string(*row.totalSteps) : std::string());
    }

    void addJobRow(TextTable& table, const CliJob& row)
    {
        table.add({ std::string(lastSegment(row.job.name)), row.job.stateText, row.evidence,
            progressText(row), row.loss ? numberText(*row.loss) : "", row.job.displayName });
    }

    TextTable jobTable()
    {
        return TextTable({ "JOB", "STATE", "EVIDENCE", "STEP", "LOSS", "NAME" });
    }

    void runOnJob(Ctl& ctl, OperationKind kind, std::map<std::string, std::string> parameters)
    {
        ctl.withOperations([&ctl, kind, parameters = std::move(parameters)] {
            OperationDraft draft;
            draft.kind = kind;
            draft.target = ctl.fullJobName(ctl.options().names[0]);
            draft.parameters = parameters;
            runDraft(ctl, std::move(draft));
        });
    }

} // namespace

void listJobs(Ctl& ctl)
{
    ctl.withConnection([&ctl] {
        ctl.then(ctl.client().listJobs(), [&ctl](const std::vector<TrainerJob>& jobs) {
            std::vector<std::string> items;
            TextTable table = jobTable();
            for (const TrainerJob& job : jobs) {
                const CliJob row = jobRow(ctl, job);
                items.push_back(encodeCliJob(row));
                addJobRow(table, row);
            }
            ctl.succeed(encodeCliList(ctl.clock().now(), ctl.connection().name, items),
                table.text("no jobs"));
        });
    });
}

void showJob(Ctl& ctl)
{
    ctl.withConnection([&ctl] {
        ctl.then(ctl.client().getJob(ctl.fullJobName(ctl.options().names[0])),
            [&ctl](const TrainerJob& job) {
                const CliJob row = jobRow(ctl, job);
                TextTable table = jobTable();
                addJobRow(table, row);
                ctl.succeed(encodeCliJob(row), table.text({}));
            });
    });
}

void createJob(Ctl& ctl)
{
    ctl.withOperations([&ctl] {
        const CtlOptions& options = ctl.options();
        OperationDraft draft;
        draft.kind = OperationKind::Create;
        draft.parameters = { { "resource", "job" },
            { "base_model", ctl.fullModelName(options.baseModel) }, { "name", options.name },
            { "lora_rank", std::to_string(options.loraRank) },
            { "id", TrainerJobManager::newJobId() }, { "wait", options.shouldWait ? "1" : "0" } };
        runDraft(ctl, std::move(draft));
    });
}

void resumeJob(Ctl& ctl)
{
    runOnJob(ctl, OperationKind::Resume, { { "wait", ctl.options().shouldWait ? "1" : "0" } });
}

void cancelJob(Ctl& ctl)
{
    runOnJob(ctl, OperationKind::Cancel, {});
}

void deleteJob(Ctl& ctl)
{
    runOnJob(ctl, OperationKind::Delete, { { "resource", "job" } });
}

} // namespace desk
