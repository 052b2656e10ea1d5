// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/control_codec.h"
#include "services/core/connection.h"
#include "services/core/records.h"
#include "services/core/result.h"
#include "services/operations/adapter_check.h"
#include "services/operations/operation_center.h"
#include "services/operations/operation_plan.h"

#include <QFuture>
#include <QObject>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace desk {

class ControlSocket;

/// What the world looked like when a draft was checked. A nullopt was not found; what could not be
/// read ends the gathering with its Error instead, unless `problems` names it.
struct OperationFacts
{
    Connection connection;
    Time now {};
    std::optional<TrainerJob> job; ///< of the checkpoint, or the target
    std::vector<Checkpoint> checkpoints; ///< of that job, newest first
    std::vector<Model> models;
    std::vector<Deployment> deployments;
    std::optional<Deployment> deployment; ///< hot load: with fresh replicas
    bool areReplicasKnown = false; ///< the hot-load status was read
    std::optional<ControlStatus> control; ///< save: the run's own word
    QString controlSocket;
    std::string controlProblem; ///< why `control` is not there
    std::optional<double> loss; ///< of the run at the checkpoint's step
    std::optional<double> bestLoss;
    std::optional<std::string> verified;
    /// Of a LoRA row whose files, and whose base's files, are on this machine.
    std::optional<AdapterReport> adapter;
    std::string adapterProblem; ///< why they cannot be read
    std::optional<std::string>
        checkpointRoute; ///< extend, delete: FireworksClient::checkpointRoute
    std::string routeProblem; ///< why it is not there
    /// Previous: checkpoints that the deployment was loaded with, newest first, from the journal.
    std::vector<std::string> history;
    std::string previous; ///< the one that it goes back to; empty: none
    std::vector<Operation> open; ///< not in a final state, of this connection
    std::vector<std::string> problems; ///< lists that could not be read, in words
};

/// Reads what the checks of a draft need, one after another, through the connection's clients.
/// Errors: Usage for a draft whose names are malformed; Unreachable, Auth and the like when the
/// connection does not answer. `history`: as in OperationFacts. OWNERSHIP: `guard` ends the work
/// when it goes.
[[nodiscard]] QFuture<Result<OperationFacts>> gatherFacts(const OperationDraft& draft,
    ConnectionServices services, const OperationEnvironment& environment, ControlSocket& control,
    std::vector<std::string> history, QObject* guard);

/// The job that a draft is about (full name); empty if none.
[[nodiscard]] std::string jobOf(const OperationDraft& draft);
/// The deployment that a draft is about (full name); empty if none.
[[nodiscard]] std::string deploymentOf(const OperationDraft& draft, const std::string& account);
/// A parameter, or `fallback` if it is not there or empty.
[[nodiscard]] std::string parameter(
    const OperationDraft& draft, const char* key, const char* fallback = "");

} // namespace desk
