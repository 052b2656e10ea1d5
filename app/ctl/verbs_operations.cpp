// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"
#include "app/ctl/draft_run.h"
#include "app/ctl/text_table.h"
#include "app/ctl/verbs.h"
#include "services/codecs/cli_codec.h"
#include "services/core/resource_name.h"

#include <set>

namespace desk {
namespace {

    std::optional<Operation> newestWithId(
        const Ctl&, OperationCenter& center, const std::string& id)
    {
        // A prefix is enough when only one operation begins with it.
        std::optional<Operation> found;
        for (const Operation& operation : center.operations()) {
            if (operation.id == id)
                return operation;
            if (!operation.id.starts_with(id))
                continue;
            if (found)
                return std::nullopt;
            found = operation;
        }
        return found;
    }

    void reconcileAll(Ctl& ctl, std::vector<Operation> open, std::vector<Operation> found)
    {
        if (open.empty()) {
            bool isKnown = true;
            std::vector<std::string> items;
            std::string text;
            for (const Operation& operation : found) {
                isKnown = isKnown && operation.state != OperationState::Unknown;
                items.push_back(encodeCliOperation(operation));
                text += operationText(operation);
            }
            return ctl.succeed(encodeCliList(ctl.clock().now(), {}, items),
                found.empty() ? "nothing is unknown\n" : text, isKnown ? 0 : 6);
        }
        const Operation next = open.back();
        open.pop_back();
        onFinished(ctl.center().reconcile(QString::fromStdString(next.id)), &ctl,
            [&ctl, open = std::move(open), found = std::move(found), next](
                const Result<Operation>& result) mutable {
                if (!result)
                    ctl.warn(next.id + ": " + result.error().message);
                found.push_back(result ? *result : next);
                reconcileAll(ctl, std::move(open), std::move(found));
            });
    }

    /// Opens the connections that the operations went to, one after the other; one that does not
    /// answer leaves its operations unknown.
    void connectAll(Ctl& ctl, std::set<std::string> names, std::function<void()> next)
    {
        if (names.empty())
            return next();
        const std::string name = *names.begin();
        names.erase(names.begin());
        ctl.connectTo(name,
            [&ctl, name, names = std::move(names), next = std::move(next)](
                const Status& connected) mutable {
                if (!connected)
                    ctl.warn(name + ": " + connected.error().message);
                connectAll(ctl, std::move(names), std::move(next));
            });
    }

} // namespace

void save(Ctl& ctl)
{
    ctl.withOperations([&ctl] {
        OperationDraft draft;
        draft.kind = OperationKind::Save;
        draft.target = ctl.fullJobName(ctl.options().names[0]);
        draft.parameters = { { "kind", ctl.options().kind }, { "name", ctl.options().name } };
        if (ctl.options().ttlSeconds)
            draft.parameters["ttl_seconds"] = std::to_string(*ctl.options().ttlSeconds);
        runDraft(ctl, std::move(draft));
    });
}

void promote(Ctl& ctl)
{
    const CtlOptions& options = ctl.options();
    const bool isPair = !options.job.empty() || !options.checkpoint.empty();
    if (isPair ? options.job.empty() || options.checkpoint.empty() || !options.names.empty()
               : options.names.empty())
        return ctl.fail({ Error::Code::Usage, "promote needs the NAME of one checkpoint",
            "nothing was sent", "give the four-segment name, or JOB/short-name", {} });
    ctl.withOperations([&ctl, isPair] {
        const CtlOptions& given = ctl.options();
        const std::string name = isPair
            ? ctl.fullJobName(given.job) + "/" + std::string(lastSegment(given.checkpoint))
            : given.names[0];
        ctl.resolveCheckpoint(
            name, Ctl::Wanted::Sampler, [&ctl, isPair](const Checkpoint& checkpoint) {
                const auto parsed = parseCheckpointName(checkpoint.name);
                if (!parsed)
                    return ctl.fail(parsed.error());
                OperationDraft draft;
                draft.kind = OperationKind::Promote;
                draft.target = parsed->jobName().toString();
                draft.subject = checkpoint.name;
                draft.parameters["model_id"] = ctl.options().modelId;
                if (isPair)
                    draft.parameters["form"] = "pair";
                if (!ctl.options().hotLoadDeployment.empty())
                    draft.parameters["hot_load_deployment_id"] = ctl.options().hotLoadDeployment;
                if (!ctl.options().baseModel.empty())
                    draft.parameters["base_model"] = ctl.fullModelName(ctl.options().baseModel);
                runDraft(ctl, std::move(draft));
            });
    });
}

void hotload(Ctl& ctl)
{
    ctl.withOperations([&ctl] {
        ctl.resolveCheckpoint(
            ctl.options().names[0], Ctl::Wanted::Sampler, [&ctl](const Checkpoint& checkpoint) {
                const CtlOptions& options = ctl.options();
                OperationDraft draft;
                draft.kind = OperationKind::Hotload;
                draft.target = ctl.fullDeploymentName(options.deployment);
                draft.subject = checkpoint.name;
                draft.parameters["deployment"] = draft.target;
                if (options.isFull)
                    draft.parameters["full"] = "1";
                addLoadOptions(options, draft);
                runDraft(ctl, std::move(draft));
            });
    });
}

void listOperations(Ctl& ctl)
{
    ctl.withJournal([&ctl] {
        std::vector<std::string> items;
        TextTable table({ "ID", "KIND", "STATE", "CREATED", "TARGET" });
        for (const Operation& operation : ctl.center().operations()) {
            items.push_back(encodeCliOperation(operation));
            table.add({ operation.id, toString(operation.kind), toString(operation.state),
                toRfc3339(operation.created), operation.target });
        }
        ctl.succeed(encodeCliList(ctl.clock().now(), {}, items), table.text("no operations"));
    });
}

void showOperation(Ctl& ctl)
{
    ctl.withJournal([&ctl] {
        const std::string& id = ctl.options().names[0];
        const auto operation = newestWithId(ctl, ctl.center(), id);
        if (!operation)
            return ctl.fail({ Error::Code::NotFound, "there is no one operation " + id,
                "nothing was done", "see `operations list`", {} });
        ctl.succeed(encodeCliOperation(*operation), operationText(*operation));
    });
}

void reconcileOperations(Ctl& ctl)
{
    ctl.withJournal([&ctl] {
        std::vector<Operation> open;
        if (!ctl.options().names.empty()) {
            const std::string& id = ctl.options().names[0];
            const auto operation = newestWithId(ctl, ctl.center(), id);
            if (!operation)
                return ctl.fail({ Error::Code::NotFound, "there is no one operation " + id,
                    "nothing was looked up", "see `operations list`", {} });
            open.push_back(*operation);
        } else {
            for (const Operation& operation : ctl.center().operations())
                if (operation.state == OperationState::Unknown)
                    open.push_back(operation);
        }
        std::set<std::string> names;
        for (const Operation& operation : open)
            names.insert(operation.connection);
        connectAll(
            ctl, std::move(names), [&ctl, open = std::move(open)] { reconcileAll(ctl, open, {}); });
    });
}

} // namespace desk
