// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/connection.h"
#include "services/core/records.h"
#include "services/core/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// JSON that trainerdesk-ctl prints (cli.md sections 2 and 7): compact objects, 17 digits, a fact
// that is not known is null, non-finite numbers are the texts "NaN", "Infinity", "-Infinity".
// THREAD: any.

namespace desk {

struct CliJob
{
    TrainerJob job;
    std::optional<std::int64_t> step;
    std::optional<std::int64_t> totalSteps;
    std::optional<double> loss;
    std::optional<Time> lastProgress;
    std::string evidence; ///< empty: "unknown"
    std::string runDir;
    std::optional<std::int64_t> checkpoints;
    std::string source; ///< where the row was read: the connection's name
    std::string endpoint; ///< base URL of the trainer once it answered; else empty
};

struct CliCheckpoint
{
    Checkpoint checkpoint;
    std::string whyNot; ///< why it cannot be promoted; empty: it can, or not known
    std::optional<double> loss;
    std::vector<std::string> servingOn; ///< deployments that have it loaded
    std::vector<std::string> promotedAs; ///< models
    std::optional<std::string> verified;
};

/// `resume-ref`: what to put into the recipe, and what it restores.
struct CliResume
{
    std::string reference;
    std::string loadPath; ///< for load_state*
    std::string job; ///< full name; empty: not known
    std::string checkpoint; ///< its name
    std::optional<std::int64_t> step;
    bool restoresWeights = true;
    bool restoresOptimizer = true;
    bool restoresStep = false;
    bool restoresDataCursor = false;
    std::string statement;
    std::vector<std::int64_t> trained; ///< batches from `step` on that it holds for certain
    std::vector<std::int64_t> perhapsTrained;
};

/// `models export`
struct CliExport
{
    std::string model;
    std::string folder;
    std::vector<std::string> files;
    std::uint64_t bytes = 0;
};

struct CliCompletion
{
    std::string text;
    std::int64_t tokens = 0;
    std::string finishReason;
    std::string identity; ///< the weights that answered
    double seconds = 0;
};

[[nodiscard]] std::string encodeCliJob(const CliJob& row);
[[nodiscard]] std::string encodeCliCheckpoint(const CliCheckpoint& row);
[[nodiscard]] std::string encodeCliModel(const Model& model);
[[nodiscard]] std::string encodeCliDeployment(const Deployment& deployment);
[[nodiscard]] std::string encodeCliConnection(const Connection& connection, bool isLast);
[[nodiscard]] std::string encodeCliOperation(const Operation& operation);
[[nodiscard]] std::string encodeCliDryRun(
    bool isAllowed, std::span<const PreflightCheck> preflight, const RequestPreview& request);
[[nodiscard]] std::string encodeCliCompletion(const CliCompletion& completion);
/// {"reference","load_path","job","checkpoint","step","restores":{"weights","optimizer","step",
/// "data_cursor"},"statement","trained":[…],"perhaps_trained":[…]}
[[nodiscard]] std::string encodeCliResume(const CliResume& row);
/// {"model":…,"path":…,"files":[…],"bytes":…}
[[nodiscard]] std::string encodeCliExport(const CliExport& row);
/// {"event":"export","file":…,"bytes":…}
[[nodiscard]] std::string encodeCliExportProgress(const std::string& file, std::uint64_t bytes);
[[nodiscard]] std::string encodeCliError(const Error& error);
/// {"as_of":…,"connection":…,"items":[…]}; `items` are JSON texts.
[[nodiscard]] std::string encodeCliList(
    Time asOf, std::string_view connection, std::span<const std::string> items);
/// `object` with `warnings` beside its keys; unchanged when there are none.
[[nodiscard]] std::string withCliWarnings(
    std::string object, std::span<const std::string> warnings);

/// Why a checkpoint cannot be promoted, from its type; empty if it can.
[[nodiscard]] std::string whyNotPromotable(const Checkpoint& checkpoint);

} // namespace desk
