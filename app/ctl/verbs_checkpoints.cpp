// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"
#include "app/ctl/draft_run.h"
#include "app/ctl/text_table.h"
#include "app/ctl/verbs.h"
#include "services/codecs/cli_codec.h"
#include "services/core/resource_name.h"

namespace desk {
namespace {

    TextTable checkpointTable()
    {
        return TextTable(
            { "CHECKPOINT", "KIND", "STEP", "BYTES", "PROMOTABLE", "EXPIRES", "PARENT" });
    }

    /// "in 59 min"; empty if no expiry is known.
    std::string expiryWords(const std::optional<Time>& expires, Time now)
    {
        if (!expires)
            return {};
        if (*expires <= now)
            return "expired";
        using namespace std::chrono;
        const auto left = duration_cast<seconds>(*expires - now).count();
        constexpr std::int64_t kMinute = 60;
        constexpr std::int64_t kHour = 3600;
        constexpr std::int64_t kDay = 86'400;
        if (left >= 2 * kDay)
            return "in " + std::to_string(left / kDay) + " days";
        if (left >= 2 * kHour)
            return "in " + std::to_string(left / kHour) + " h";
        if (left >= 2 * kMinute)
            return "in " + std::to_string(left / kMinute) + " min";
        return "in " + std::to_string(left) + " s";
    }

    void addCheckpointRow(TextTable& table, const CliCheckpoint& row, Time now)
    {
        const Checkpoint& checkpoint = row.checkpoint;
        table.add({ std::string(lastSegment(checkpoint.name)), kindWord(checkpoint.type),
            checkpoint.step ? std::to_string(*checkpoint.step) : "",
            checkpoint.sizeBytes ? std::to_string(*checkpoint.sizeBytes) : "",
            checkpoint.isPromotable ? "yes" : "no", expiryWords(checkpoint.expires, now),
            checkpoint.parent });
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
                        addCheckpointRow(table, row, ctl.clock().now());
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
                    addCheckpointRow(table, row, ctl.clock().now());
                    const std::string why = row.whyNot.empty()
                        ? std::string()
                        : "  not promotable: " + row.whyNot + "\n";
                    ctl.succeed(encodeCliCheckpoint(row), table.text({}) + why);
                });
            });
    });
}

void extendCheckpoint(Ctl& ctl)
{
    ctl.withOperations([&ctl] {
        ctl.resolveCheckpoint(
            ctl.options().names[0], Ctl::Wanted::Any, [&ctl](const Checkpoint& checkpoint) {
                OperationDraft draft;
                draft.kind = OperationKind::Extend;
                draft.target = checkpoint.name;
                draft.parameters["ttl_seconds"] = ctl.options().lifetime;
                runDraft(ctl, std::move(draft));
            });
    });
}

void deleteCheckpoints(Ctl& ctl)
{
    ctl.withOperations([&ctl] {
        const auto make = [&ctl](const std::string& name) -> MakeDraft {
            return [&ctl, name](std::function<void(OperationDraft)> next) {
                ctl.resolveCheckpoint(
                    name, Ctl::Wanted::Any, [next = std::move(next)](const Checkpoint& checkpoint) {
                        OperationDraft draft;
                        draft.kind = OperationKind::Delete;
                        draft.target = checkpoint.name;
                        draft.parameters["resource"] = "checkpoint";
                        next(std::move(draft));
                    });
            };
        };
        const auto& names = ctl.options().names;
        if (names.size() == 1)
            return make(names[0])(
                [&ctl](OperationDraft draft) { runDraft(ctl, std::move(draft)); });
        std::vector<MakeDraft> drafts;
        for (const std::string& name : names)
            drafts.push_back(make(name));
        runDrafts(ctl, std::move(drafts));
    });
}

} // namespace desk
