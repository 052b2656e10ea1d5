// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"
#include "app/ctl/text_table.h"
#include "app/ctl/verbs.h"
#include "services/codecs/cli_codec.h"
#include "services/core/resource_name.h"

#include <set>

namespace desk {
namespace {

    std::string planText(const OperationPlan& plan)
    {
        std::string text = plan.sentence + "\n";
        for (const PreflightCheck& check : plan.preflight) {
            text += std::string("  ") + toString(check.result) + "  " + check.title;
            text += check.why.empty() ? "" : ": " + check.why;
            text +=
                check.result == CheckKind::Fail && !check.fix.empty() ? " (" + check.fix + ")" : "";
            text += "\n";
        }
        text += "  request: " + plan.request.method + " " + plan.request.url + "\n";
        if (!plan.request.body.empty())
            text += "  " + plan.request.body + "\n";
        return text;
    }

    /// Prints the stages of an operation as they come.
    void followOnStderr(Ctl& ctl)
    {
        auto* center = &ctl.center();
        QObject::connect(center, &OperationCenter::operationChanged, &ctl,
            [&ctl, center, last = std::string()](const QString& id) mutable {
                const auto operation = center->operation(id);
                if (!operation || operation->stages.empty())
                    return;
                const OperationStage& stage = operation->stages.back();
                const std::string line =
                    stage.detail.empty() ? stage.stage : stage.stage + ": " + stage.detail;
                if (line != last && !ctl.options().isJson)
                    ctl.note(line);
                last = line;
            });
    }

    std::string operationText(const Operation& operation)
    {
        std::string text = std::string(toString(operation.kind)) + " "
            + (operation.subject.empty() ? operation.target : operation.subject) + ": "
            + toString(operation.state);
        if (!operation.errorMessage.empty())
            text += ": " + operation.errorMessage;
        text += "\n";
        for (const std::string& part : { operation.errorUnchanged, operation.errorNext })
            if (!part.empty())
                text += "  " + part + "\n";
        if (!operation.result.empty())
            text += operation.result + "\n";
        return text;
    }

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

void endWithOperation(Ctl& ctl, const Operation& operation)
{
    int exitCode = 0;
    switch (operation.state) {
    case OperationState::Failed: {
        using Code = Error::Code;
        exitCode = 4;
        for (const Code code : { Code::Usage, Code::Unreadable, Code::Malformed, Code::NotFound,
                 Code::Canceled, Code::Unknown, Code::Full })
            if (operation.errorCode == toString(code))
                exitCode = exitCodeFor(code);
        break;
    }
    case OperationState::Cancelled:
        exitCode = 5;
        break;
    case OperationState::Unknown:
        exitCode = 6;
        break;
    default:
        break;
    }
    ctl.succeed(encodeCliOperation(operation), operationText(operation), exitCode);
}

void runDraft(Ctl& ctl, OperationDraft draft)
{
    draft.connection = ctl.connection().name;
    draft.by = "ctl";
    followOnStderr(ctl);
    ctl.then(ctl.center().plan(std::move(draft)), [&ctl](const OperationPlan& plan) {
        if (ctl.options().isDryRun)
            return ctl.succeed(encodeCliDryRun(plan.isAllowed, plan.preflight, plan.request),
                planText(plan), plan.isAllowed ? 0 : 1);
        if (const PreflightCheck* failed = firstFailure(plan)) {
            return ctl.fail({ Error::Code::Refused, failed->title + ": " + failed->why,
                                "nothing was sent", failed->fix, {} },
                1);
        }
        for (const PreflightCheck& check : plan.preflight)
            if (check.result == CheckKind::Warn)
                ctl.warn(check.title + ": " + check.why);
        ctl.then(ctl.center().commit(plan),
            [&ctl](const Operation& operation) { endWithOperation(ctl, operation); });
    });
}

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
    if (isPair)
        ctl.warn("--job with --checkpoint is deprecated; give the four-segment name");
    ctl.withOperations([&ctl, isPair] {
        const CtlOptions& given = ctl.options();
        const std::string name = isPair
            ? ctl.fullJobName(given.job) + "/" + std::string(lastSegment(given.checkpoint))
            : given.names[0];
        ctl.resolveCheckpoint(name, Ctl::Wanted::Sampler, [&ctl](const Checkpoint& checkpoint) {
            const auto parsed = parseCheckpointName(checkpoint.name);
            if (!parsed)
                return ctl.fail(parsed.error());
            OperationDraft draft;
            draft.kind = OperationKind::Promote;
            draft.target = parsed->jobName().toString();
            draft.subject = checkpoint.name;
            draft.parameters["model_id"] = ctl.options().modelId;
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
                if (!options.resetPromptCache.empty())
                    draft.parameters["reset_prompt_cache"] = options.resetPromptCache;
                if (options.timeoutSeconds)
                    draft.parameters["timeout_seconds"] = std::to_string(*options.timeoutSeconds);
                if (options.noWait)
                    draft.parameters["wait"] = "0";
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
