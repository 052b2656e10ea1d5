// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"
#include "app/ctl/verbs.h"
#include "services/checkpoints/resume_certainty.h"
#include "services/checkpoints/resume_reference.h"
#include "services/codecs/cli_codec.h"
#include "services/codecs/run_codec.h"
#include "services/core/promotability.h"
#include "services/core/resource_name.h"
#include "services/runs/run_reader.h"

#include <QDir>
#include <QFileInfo>

#include <algorithm>

namespace desk {
namespace {

    void endWithResume(Ctl& ctl, const CliResume& row)
    {
        std::string text = row.reference + "\n  " + row.statement + ".\n";
        if (!row.loadPath.empty() && row.loadPath != row.reference)
            text += "  load_state_with_optimizer(\"" + row.loadPath + "\")\n";
        ctl.succeed(encodeCliResume(row), text);
    }

    Error noState(const std::string& where, const std::string& name)
    {
        return { Error::Code::NotFound,
            name.empty() ? where + " has no state to resume from" : where + " has no state " + name,
            "nothing was done", "save one with --kind state, or name another one", {} };
    }

    /// A reference that was given is explained as it is; a state of a job is named in full.
    void endWithReference(
        Ctl& ctl, const std::string& text, const std::string& job, std::optional<std::int64_t> step)
    {
        const auto parsed = parseResumeReference(text, job);
        if (!parsed)
            return ctl.fail(parsed.error());
        for (const std::string& warning : parsed->warnings)
            ctl.warn(warning);
        CliResume row;
        row.reference = text;
        row.loadPath = parsed->loadPath;
        row.job = job;
        row.checkpoint = parsed->name;
        row.step = step ? step : stepOfName(parsed->name);
        row.restoresWeights = parsed->restoresWeights;
        row.restoresOptimizer = parsed->restoresOptimizer;
        row.restoresStep = parsed->restoresStep;
        row.restoresDataCursor = parsed->restoresDataCursor;
        row.statement = parsed->statement;
        endWithResume(ctl, row);
    }

    void resumeFromJob(Ctl& ctl, const std::string& job, const std::string& from)
    {
        ctl.then(ctl.client().listCheckpoints(job),
            [&ctl, job, from](const std::vector<Checkpoint>& rows) {
                const auto id = std::string(lastSegment(from.substr(from.find(':') + 1)));
                const auto found =
                    std::find_if(rows.begin(), rows.end(), [&](const Checkpoint& row) {
                        return promotabilityOf(row).isResumable
                            && (id.empty() || lastSegment(row.name) == id);
                    });
                if (found != rows.end())
                    return endWithReference(
                        ctl, resumeReferenceFor(job, lastSegment(found->name)), job, found->step);
                const bool isSampler =
                    std::any_of(rows.begin(), rows.end(), [&](const Checkpoint& row) {
                        return !id.empty() && lastSegment(row.name) == id;
                    });
                auto error = noState("the job " + std::string(lastSegment(job)), id);
                if (isSampler)
                    error.message =
                        id + " holds weights for serving; a run cannot be resumed from it";
                ctl.fail(error);
            });
    }

    /// A loop that knows no trainer job: its own ledger says what there is.
    void resumeFromLedger(Ctl& ctl, const RunFacts& run, const std::string& from)
    {
        const LedgerCheckpoint* found = nullptr;
        for (const LedgerCheckpoint& line : run.checkpoints) {
            const bool isState = line.kind == "state" || !line.statePath.empty();
            if (isState && (from.empty() || line.name == from))
                found = &line;
        }
        if (found == nullptr)
            return ctl.fail(noState(run.folder.toStdString(), from));
        CliResume row;
        row.reference = found->statePath.empty() ? found->path : found->statePath;
        row.loadPath = row.reference;
        row.checkpoint = found->name;
        row.step = found->step;
        row.restoresStep = true;
        row.statement = "Weights and optimizer of " + found->name + " are restored";
        if (found->step && !found->isFinal) {
            const auto config = decodeRunConfig(run.config);
            const auto certain = resumeCertainty(
                *found->step, config ? config->submitAhead : std::nullopt, run.step);
            row.statement = certain.statement;
            row.trained = certain.trained;
            row.perhapsTrained = certain.perhaps;
        }
        endWithResume(ctl, row);
    }

    RunFacts readRun(Ctl& ctl, const QString& folder)
    {
        const std::string path = folder.toStdString();
        RunReader reader(path, path + "/metrics.jsonl", ctl.clock());
        do
            reader.poll();
        while (reader.hasMore());
        return reader.facts();
    }

} // namespace

void resumeReference(Ctl& ctl)
{
    const std::string& what = ctl.options().names[0];
    const QFileInfo info(QString::fromStdString(what));
    if (!info.isDir())
        return ctl.withConnection([&ctl] {
            resumeFromJob(ctl, ctl.fullJobName(ctl.options().names[0]), ctl.options().from);
        });
    const RunFacts run = readRun(ctl, info.absoluteFilePath());
    if (run.job.empty())
        return resumeFromLedger(ctl, run, ctl.options().from);
    ctl.withConnection([&ctl, job = run.job] { resumeFromJob(ctl, job, ctl.options().from); });
}

} // namespace desk
