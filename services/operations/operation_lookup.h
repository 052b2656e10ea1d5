// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"
#include "services/operations/operation_center.h"
#include "services/operations/operation_runner.h"

#include <QFuture>
#include <QObject>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace desk {

class ControlSocket;

/// Looks up whether the effect of an operation is there; only reads. Looks again for at most 10 s
/// after the sending, because a request may still be on its way; on a remote connection an effect
/// that is missing counts as "did not happen" only after 10 minutes. A promoted model that is not
/// READY yet is followed for half an hour; `progress` gets its state.
/// The outcome is Succeeded, Failed, or Unknown with the reason. An Error: nothing answered.
[[nodiscard]] QFuture<Result<OperationOutcome>> lookUpEffect(const Operation& operation,
    ConnectionServices services, QString controlSocket, ControlSocket& control, const Clock& clock,
    std::function<void(const std::string& detail)> progress, QObject* guard);

// What one look says; nullopt: not there (yet). Pure, for tables of tests.
[[nodiscard]] std::optional<OperationOutcome> promoteEffect(
    const Operation& operation, const std::vector<Model>& models);
[[nodiscard]] std::optional<OperationOutcome> hotloadEffect(
    const Operation& operation, const std::vector<Replica>& replicas);
[[nodiscard]] std::optional<OperationOutcome> saveEffect(
    const Operation& operation, const std::vector<Checkpoint>& rows);
[[nodiscard]] std::optional<OperationOutcome> extendEffect(
    const Operation& operation, const std::vector<Checkpoint>& rows);

} // namespace desk
