// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"
#include "app/ctl/journaled_call.h"
#include "app/ctl/text_table.h"
#include "app/ctl/verbs.h"
#include "services/codecs/cli_codec.h"
#include "services/codecs/gateway_codec.h"
#include "services/core/resource_name.h"

#include <cstdio>

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

    TextTable checkpointTable()
    {
        return TextTable({ "CHECKPOINT", "KIND", "STEP", "BYTES", "PROMOTABLE", "PARENT" });
    }

    void addCheckpointRow(TextTable& table, const CliCheckpoint& row)
    {
        const Checkpoint& checkpoint = row.checkpoint;
        table.add({ std::string(lastSegment(checkpoint.name)), kindWord(checkpoint.type),
            checkpoint.step ? std::to_string(*checkpoint.step) : "",
            checkpoint.sizeBytes ? std::to_string(*checkpoint.sizeBytes) : "",
            checkpoint.isPromotable ? "yes" : "no", checkpoint.parent });
    }

    /// Checkpoints with what runs, deployments and models know of them.
    class CheckpointRows
    {
    public:
        CheckpointRows(std::optional<RunFacts> run, std::vector<Deployment> deployments,
            std::vector<Model> models)
            : m_run(std::move(run))
            , m_deployments(std::move(deployments))
            , m_models(std::move(models))
        {
        }
        [[nodiscard]] CliCheckpoint rowOf(Checkpoint checkpoint) const
        {
            CliCheckpoint row;
            if (m_run)
                for (const LedgerCheckpoint& line : m_run->checkpoints) {
                    if (line.resourceName != checkpoint.name)
                        continue;
                    row.loss = line.loss;
                    if (!checkpoint.step)
                        checkpoint.step = line.step;
                }
            for (const Deployment& deployment : m_deployments)
                for (const Replica& replica : deployment.replicas)
                    if (replica.currentSnapshot == lastSegment(checkpoint.name)
                        && (row.servingOn.empty() || row.servingOn.back() != deployment.name))
                        row.servingOn.push_back(deployment.name);
            for (const Model& model : m_models)
                if (model.promotedFrom == checkpoint.name)
                    row.promotedAs.push_back(model.name);
            row.whyNot = whyNotPromotable(checkpoint);
            row.checkpoint = std::move(checkpoint);
            return row;
        }

    private:
        std::optional<RunFacts> m_run;
        std::vector<Deployment> m_deployments;
        std::vector<Model> m_models;
    };

    void withCheckpointRows(
        Ctl& ctl, const std::string& job, std::function<void(const CheckpointRows&)> next)
    {
        ctl.then(ctl.deployments().list(),
            [&ctl, job, next = std::move(next)](const std::vector<Deployment>& deployments) {
                ctl.then(ctl.client().listModels(),
                    [&ctl, job, next, deployments](const std::vector<Model>& models) {
                        next(CheckpointRows(ctl.runOfJob(job), deployments, models));
                    });
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
        CreateJob request;
        request.jobId = newTrainerJobId();
        request.displayName = ctl.options().name;
        request.baseModel = ctl.fullModelName(ctl.options().baseModel);
        request.loraRank = ctl.options().loraRank;
        JournaledCall call;
        call.kind = OperationKind::Create;
        call.target = ctl.fullJobName(request.jobId);
        call.parameters = { { "resource", "job" }, { "base_model", request.baseModel },
            { "name", request.displayName }, { "lora_rank", std::to_string(request.loraRank) } };
        call.request = { "POST",
            ctl.connection().url + "/v1/accounts/" + ctl.connection().account + "/rlorTrainerJobs",
            { { "Content-Type", "application/json" } }, encodeCreateJob(request) };
        call.send = [&ctl, request](std::function<void(Result<std::string>)> ended) {
            onFinished(ctl.client().createJob(request), &ctl,
                [&ctl, ended = std::move(ended)](const Result<TrainerJob>& job) {
                    if (!job)
                        return ended(job.error());
                    if (!ctl.options().shouldWait)
                        return ended(encodeCliJob(jobRow(ctl, *job)));
                    onFinished(ctl.jobs().waitForExisting(job->name), &ctl,
                        [&ctl, job = *job, ended](const Result<TrainerServiceEndpoint>& ready) {
                            if (!ready)
                                return ended(ready.error());
                            ended(encodeCliJob(jobRow(ctl, job)));
                        });
                });
        };
        runJournaled(ctl, std::move(call));
    });
}

void resumeJob(Ctl& ctl)
{
    ctl.withOperations([&ctl] {
        JournaledCall call;
        call.kind = OperationKind::Resume;
        call.target = ctl.fullJobName(ctl.options().names[0]);
        call.request = { "POST", ctl.connection().url + "/v1/" + call.target + ":resume",
            { { "Content-Type", "application/json" } }, "{}" };
        call.send = [&ctl, job = call.target](std::function<void(Result<std::string>)> ended) {
            onFinished(ctl.client().resumeJob(job), &ctl,
                [&ctl, ended = std::move(ended)](const Result<TrainerJob>& row) {
                    ended(row ? Result<std::string>(encodeCliJob(jobRow(ctl, *row)))
                              : Result<std::string>(row.error()));
                });
        };
        runJournaled(ctl, std::move(call));
    });
}

void cancelJob(Ctl& ctl)
{
    ctl.withOperations([&ctl] {
        OperationDraft draft;
        draft.kind = OperationKind::Cancel;
        draft.target = ctl.fullJobName(ctl.options().names[0]);
        runDraft(ctl, std::move(draft));
    });
}

void deleteJob(Ctl& ctl)
{
    ctl.withOperations([&ctl] {
        OperationDraft draft;
        draft.kind = OperationKind::Delete;
        draft.target = ctl.fullJobName(ctl.options().names[0]);
        draft.parameters["resource"] = "job";
        runDraft(ctl, std::move(draft));
    });
}

void listCheckpoints(Ctl& ctl)
{
    ctl.withConnection([&ctl] {
        const std::string job = ctl.fullJobName(ctl.options().names[0]);
        withCheckpointRows(ctl, job, [&ctl, job](const CheckpointRows& rows) {
            ctl.then(ctl.client().listCheckpoints(job),
                [&ctl, rows](const std::vector<Checkpoint>& checkpoints) {
                    std::vector<std::string> items;
                    TextTable table = checkpointTable();
                    for (const Checkpoint& checkpoint : checkpoints) {
                        const CliCheckpoint row = rows.rowOf(checkpoint);
                        items.push_back(encodeCliCheckpoint(row));
                        addCheckpointRow(table, row);
                    }
                    ctl.succeed(encodeCliList(ctl.clock().now(), ctl.connection().name, items),
                        table.text("no checkpoints"));
                });
        });
    });
}

void showCheckpoint(Ctl& ctl)
{
    ctl.withConnection([&ctl] {
        ctl.resolveCheckpoint(
            ctl.options().names[0], Ctl::Wanted::Any, [&ctl](const Checkpoint& checkpoint) {
                const auto name = parseCheckpointName(checkpoint.name);
                const std::string job = name ? name->jobName().toString() : std::string();
                withCheckpointRows(ctl, job, [&ctl, checkpoint](const CheckpointRows& rows) {
                    const CliCheckpoint row = rows.rowOf(checkpoint);
                    TextTable table = checkpointTable();
                    addCheckpointRow(table, row);
                    ctl.succeed(encodeCliCheckpoint(row), table.text({}));
                });
            });
    });
}

} // namespace desk
