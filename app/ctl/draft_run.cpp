// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/draft_run.h"

#include "app/ctl/ctl.h"
#include "services/codecs/cli_codec.h"

#include <algorithm>
#include <memory>

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
                if (stage.stage == "warning") // said already
                    return;
                const std::string line =
                    stage.detail.empty() ? stage.stage : stage.stage + ": " + stage.detail;
                if (line != last && !ctl.options().isJson)
                    ctl.note(line);
                last = line;
            });
    }

    int exitCodeOf(const Operation& operation)
    {
        using Code = Error::Code;
        switch (operation.state) {
        case OperationState::Failed:
            for (const Code code : { Code::Usage, Code::Unreadable, Code::Malformed, Code::NotFound,
                     Code::Canceled, Code::Unknown, Code::Full })
                if (operation.errorCode == toString(code))
                    return exitCodeFor(code);
            return 4;
        case OperationState::Cancelled:
            return 5;
        case OperationState::Unknown:
            return 6;
        default:
            return 0;
        }
    }

    /// One draft from plan to end.
    struct DraftEnd
    {
        std::string json;
        std::string text;
        int exitCode = 0;
    };
    using Ended = std::function<void(DraftEnd)>;

    /// Refusals of the preflight end the invocation with exit 1.
    void runOne(Ctl& ctl, OperationDraft draft, const std::string& before, Ended ended)
    {
        draft.connection = ctl.connection().name;
        draft.by = "ctl";
        ctl.then(ctl.center().plan(std::move(draft)),
            [&ctl, before, ended = std::move(ended)](const OperationPlan& plan) {
                if (ctl.options().isDryRun)
                    return ended({ encodeCliDryRun(plan.isAllowed, plan.preflight, plan.request),
                        planText(plan), plan.isAllowed ? 0 : 1 });
                if (const PreflightCheck* failed = firstFailure(plan))
                    return ctl.fail(
                        { Error::Code::Refused, failed->title + ": " + failed->why,
                            before.empty() ? "nothing was sent" : before, failed->fix, {} },
                        1);
                for (const PreflightCheck& check : plan.preflight)
                    if (check.result == CheckKind::Warn)
                        ctl.warn(check.title + ": " + check.why);
                ctl.then(ctl.center().commit(plan), [ended](const Operation& operation) {
                    ended({ encodeCliOperation(operation), operationText(operation),
                        exitCodeOf(operation) });
                });
            });
    }

    struct DraftRun : std::enable_shared_from_this<DraftRun>
    {
        DraftRun(Ctl& theCtl, std::vector<MakeDraft> theDrafts)
            : ctl(theCtl)
            , drafts(std::move(theDrafts))
        {
        }
        void next()
        {
            const bool hasFailed = exitCode != 0 && !ctl.options().isDryRun;
            if (at == drafts.size() || hasFailed)
                return ctl.succeed(
                    encodeCliList(ctl.clock().now(), ctl.connection().name, items), text, exitCode);
            drafts[at++]([self = shared_from_this()](OperationDraft draft) {
                const auto done = self->at - 1;
                const std::string before = done == 0
                    ? std::string()
                    : "the " + std::to_string(done) + " before it are done; nothing more was sent";
                runOne(self->ctl, std::move(draft), before, [self](const DraftEnd& end) {
                    self->items.push_back(end.json);
                    self->text += end.text;
                    self->exitCode = std::max(self->exitCode, end.exitCode);
                    self->next();
                });
            });
        }

        Ctl& ctl;
        std::vector<MakeDraft> drafts;
        std::size_t at = 0;
        std::vector<std::string> items;
        std::string text;
        int exitCode = 0;
    };

} // namespace

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

void addLoadOptions(const CtlOptions& options, OperationDraft& draft)
{
    if (!options.resetPromptCache.empty())
        draft.parameters["reset_prompt_cache"] = options.resetPromptCache;
    if (options.timeoutSeconds)
        draft.parameters["timeout_seconds"] = std::to_string(*options.timeoutSeconds);
    if (options.noWait)
        draft.parameters["wait"] = "0";
}

void endWithOperation(Ctl& ctl, const Operation& operation)
{
    ctl.succeed(encodeCliOperation(operation), operationText(operation), exitCodeOf(operation));
}

void runDraft(Ctl& ctl, OperationDraft draft)
{
    followOnStderr(ctl);
    runOne(ctl, std::move(draft), {},
        [&ctl](const DraftEnd& end) { ctl.succeed(end.json, end.text, end.exitCode); });
}

void runDrafts(Ctl& ctl, std::vector<MakeDraft> drafts)
{
    followOnStderr(ctl);
    std::make_shared<DraftRun>(ctl, std::move(drafts))->next();
}

} // namespace desk
