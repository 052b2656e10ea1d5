// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"
#include "app/ctl/draft_run.h"
#include "app/ctl/text_table.h"
#include "app/ctl/verbs.h"
#include "services/codecs/cli_codec.h"
#include "services/codecs/completions_codec.h"
#include "services/core/resource_name.h"
#include "services/metrics/run_description.h"

#include <QElapsedTimer>

#include <algorithm>

namespace desk {
namespace {

    void addDeploymentRow(TextTable& table, const Deployment& deployment)
    {
        std::string identity;
        for (const Replica& replica : deployment.replicas)
            if (identity.find(replica.currentSnapshot) == std::string::npos)
                identity += (identity.empty() ? "" : ", ") + replica.currentSnapshot;
        const auto number = [](const std::optional<int>& value) {
            return value ? std::to_string(*value) : std::string("?");
        };
        table.add({ std::string(lastSegment(deployment.name)), deployment.state,
            number(deployment.readyReplicaCount) + "/" + number(deployment.replicaCount), identity,
            std::string(lastSegment(deployment.baseModel)) });
    }

    TextTable deploymentTable()
    {
        return TextTable({ "DEPLOYMENT", "STATE", "READY", "SERVES", "BASE MODEL" });
    }

    /// Adds what each replica serves; a status that cannot be read leaves a row without replicas.
    void withReplicas(Ctl& ctl, std::vector<Deployment> rows, std::size_t at,
        std::function<void(std::vector<Deployment>)> next)
    {
        while (at < rows.size() && !rows[at].enablesHotLoad)
            ++at;
        if (at >= rows.size())
            return next(std::move(rows));
        const std::string name = rows[at].name;
        const std::string baseModel = rows[at].baseModel;
        onFinished(ctl.deployments().hotloadStatus(name, baseModel), &ctl,
            [&ctl, rows = std::move(rows), at, next = std::move(next)](
                const Result<std::vector<Replica>>& replicas) mutable {
                if (replicas)
                    rows[at].replicas = *replicas;
                withReplicas(ctl, std::move(rows), at + 1, std::move(next));
            });
    }

} // namespace

void listDeployments(Ctl& ctl)
{
    ctl.withConnection([&ctl] {
        ctl.then(ctl.deployments().list(), [&ctl](std::vector<Deployment> rows) {
            withReplicas(ctl, std::move(rows), 0, [&ctl](const std::vector<Deployment>& full) {
                std::vector<std::string> items;
                TextTable table = deploymentTable();
                for (const Deployment& deployment : full) {
                    items.push_back(encodeCliDeployment(deployment));
                    addDeploymentRow(table, deployment);
                }
                ctl.succeed(encodeCliList(ctl.clock().now(), ctl.connection().name, items),
                    table.text("no deployments"));
            });
        });
    });
}

void showDeployment(Ctl& ctl)
{
    ctl.withConnection([&ctl] {
        ctl.then(ctl.deployments().get(ctl.fullDeploymentName(ctl.options().names[0])),
            [&ctl](const Deployment& deployment) {
                withReplicas(ctl, { deployment }, 0, [&ctl](const std::vector<Deployment>& full) {
                    TextTable table = deploymentTable();
                    addDeploymentRow(table, full.front());
                    std::string text = table.text({});
                    for (const Replica& replica : full.front().replicas)
                        text += "  " + replica.identity + "  " + replica.stage + "  "
                            + replica.currentSnapshot
                            + (replica.error.empty() ? "" : "  " + replica.error) + "\n";
                    ctl.succeed(encodeCliDeployment(full.front()), text);
                });
            });
    });
}

void createDeployment(Ctl& ctl)
{
    if (ctl.options().baseModel.empty() && ctl.options().job.empty())
        return ctl.fail({ Error::Code::Usage, "a deployment needs a base model", "nothing was sent",
            "give --base-model, or --job", {} });
    ctl.withOperations([&ctl] {
        const CtlOptions& options = ctl.options();
        OperationDraft draft;
        draft.kind = OperationKind::Create;
        draft.parameters["resource"] = "deployment";
        draft.parameters["replicas"] = std::to_string(options.replicas);
        if (!options.baseModel.empty())
            draft.parameters["base_model"] = ctl.fullModelName(options.baseModel);
        if (!options.job.empty())
            draft.parameters["job"] = ctl.fullJobName(options.job);
        if (!options.name.empty())
            draft.parameters["name"] = options.name;
        if (options.noWait)
            draft.parameters["wait"] = "0";
        runDraft(ctl, std::move(draft));
    });
}

void deleteDeployment(Ctl& ctl)
{
    ctl.withOperations([&ctl] {
        OperationDraft draft;
        draft.kind = OperationKind::Delete;
        draft.target = ctl.fullDeploymentName(ctl.options().names[0]);
        draft.parameters["resource"] = "deployment";
        runDraft(ctl, std::move(draft));
    });
}

void scaleDeployment(Ctl& ctl)
{
    ctl.withOperations([&ctl] {
        OperationDraft draft;
        draft.kind = OperationKind::Scale;
        draft.target = ctl.fullDeploymentName(ctl.options().names[0]);
        draft.parameters["replicas"] = ctl.options().names[1];
        if (ctl.options().noWait)
            draft.parameters["wait"] = "0";
        runDraft(ctl, std::move(draft));
    });
}

void previousSnapshot(Ctl& ctl)
{
    ctl.withOperations([&ctl] {
        OperationDraft draft;
        draft.kind = OperationKind::Previous;
        draft.target = ctl.fullDeploymentName(ctl.options().names[0]);
        addLoadOptions(ctl.options(), draft);
        runDraft(ctl, std::move(draft));
    });
}

void complete(Ctl& ctl)
{
    if (ctl.options().model.empty() == ctl.options().deployment.empty())
        return ctl.fail({ Error::Code::Usage, "say who is asked", "nothing was sent",
            "give --deployment D or --model M", {} });
    ctl.withConnection([&ctl] {
        const CtlOptions& options = ctl.options();
        CompletionRequest request;
        request.prompt = options.names[0];
        request.maxTokens = options.maxTokens;
        request.seed = options.seed;
        if (!options.model.empty())
            request.model = ctl.fullModelName(options.model);
        const std::string deployment =
            options.deployment.empty() ? std::string() : ctl.fullDeploymentName(options.deployment);
        QElapsedTimer timer;
        timer.start();
        ctl.then(ctl.deployments().complete(deployment, request),
            [&ctl, timer, asked = request.model.empty() ? deployment : request.model](
                const Completion& completion) {
                CliCompletion row;
                if (!completion.choices.empty()) {
                    row.text = completion.choices.front().text;
                    row.finishReason = completion.choices.front().finishReason;
                }
                row.tokens = completion.completionTokens;
                row.identity = servedSnapshot(completion.model);
                if (row.identity.empty())
                    row.identity = completion.model.empty() ? asked : completion.model;
                row.seconds = static_cast<double>(timer.elapsed()) / 1000.0;
                ctl.succeed(encodeCliCompletion(row), row.text + "\n");
            });
    });
}

void readMetrics(Ctl& ctl)
{
    const CtlOptions& options = ctl.options();
    const auto described =
        describeRuns(options.names[0], { options.series, options.withPoints, options.isJson });
    if (!described)
        return ctl.fail(described.error());
    ctl.succeed(*described, *described);
}

} // namespace desk
