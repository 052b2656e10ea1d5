// SPDX-License-Identifier: GPL-3.0-or-later
// Which row "promote the latest" takes, and what is odd about it.
#include "services/checkpoints/training_checkpoints.h"
#include "services/core/promotability.h"
#include "services/core/resource_name.h"

#include <algorithm>

namespace desk {
namespace {

    std::string rowLabel(const Checkpoint& row)
    {
        return std::string(lastSegment(row.name));
    }

    std::string countOf(std::size_t count, const char* noun)
    {
        return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
    }

    Error nothingToPromote(const std::vector<Checkpoint>& rows, const std::string& job)
    {
        Error error { Error::Code::NotFound,
            "The job " + std::string(lastSegment(job)) + " has no promotable checkpoint",
            "Nothing was promoted", "Save a base checkpoint, then promote it", {} };
        if (!rows.empty())
            error.message += " among " + countOf(rows.size(), "checkpoint") + "; "
                + rowLabel(rows.front()) + ": " + promotabilityOf(rows.front()).reason;
        return error;
    }

    void warnOfStep(PromotionChoice& choice, const TrainingCheckpointsOptions& options)
    {
        const auto step = stepOfRow(choice.row);
        const auto label = rowLabel(choice.row);
        if (step && *step == 0)
            choice.warnings.push_back(
                label + " is of step 0: these weights are untrained, the base model again");
        else if (step && options.lastTrainedStep && *options.lastTrainedStep > *step)
            choice.warnings.push_back(label + " is of step " + std::to_string(*step)
                + ", and the run has trained to step " + std::to_string(*options.lastTrainedStep));
        else if (!step)
            choice.warnings.push_back("Nothing says which step " + label + " is of");
    }

    void warnOfBetter(PromotionChoice& choice, const std::vector<Checkpoint>& rows,
        const TrainingCheckpointsOptions& options)
    {
        if (!options.scoreOf)
            return;
        const auto own = options.scoreOf(choice.row);
        const Checkpoint* best = nullptr;
        std::optional<double> bestScore = own;
        for (const auto& row : rows) {
            const auto score = row.isPromotable ? options.scoreOf(row) : std::nullopt;
            if (score && (!bestScore || *score < *bestScore)) {
                bestScore = score;
                best = &row;
            }
        }
        if (own && best != nullptr)
            choice.warnings.push_back(rowLabel(choice.row) + " is not the best: " + rowLabel(*best)
                + " has " + std::to_string(*bestScore) + ", it has " + std::to_string(*own));
    }

} // namespace

std::optional<std::int64_t> stepOfRow(const Checkpoint& row)
{
    return row.step ? row.step : stepOfName(lastSegment(row.name));
}

Result<PromotionChoice> choosePromotable(const std::vector<Checkpoint>& rows,
    const TrainingCheckpointsOptions& options, std::string_view sessionSuffix)
{
    const auto newest = std::find_if(
        rows.begin(), rows.end(), [](const Checkpoint& row) { return row.isPromotable; });
    if (newest == rows.end())
        return nothingToPromote(rows, options.job);
    PromotionChoice choice { *newest, {} };
    warnOfStep(choice, options);
    warnOfBetter(choice, rows, options);
    const auto step = stepOfRow(*newest);
    for (const auto& row : rows) { // an older row of a later step: the newest is not the furthest
        const auto other = row.isPromotable ? stepOfRow(row) : std::nullopt;
        if (step && other && *other > *step) {
            choice.warnings.push_back(rowLabel(row) + " is of a later step, "
                + std::to_string(*other) + ", though saved earlier");
            break;
        }
    }
    const auto suffix = sessionSuffixOf(lastSegment(newest->name));
    if (!suffix.empty() && !sessionSuffix.empty() && suffix != sessionSuffix)
        choice.warnings.push_back(rowLabel(*newest) + " was saved by another session");
    return choice;
}

} // namespace desk
