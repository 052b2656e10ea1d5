// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/connection.h"
#include "services/core/records.h"
#include "services/core/result.h"
#include "services/operations/operation_plan.h"

#include <QFuture>
#include <QList>
#include <QObject>
#include <QString>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace desk {

class DeploymentManager;
class FireworksClient;
class Journal;
class TrainerJobManager;

/// The clients of one connection. Shared: a connection may be closed while an operation runs.
struct ConnectionServices
{
    Connection connection;
    std::shared_ptr<FireworksClient> client;
    std::shared_ptr<TrainerJobManager> jobs;
    std::shared_ptr<DeploymentManager> deployments;
};

/// How the center reaches what it acts on.
struct OperationEnvironment
{
    /// Clients of a connection by its name; NotFound for a name that is not configured.
    std::function<Result<ConnectionServices>(const std::string& connection)> connect;
    /// Control socket of the run that trains a job (full name); empty if no run is known.
    std::function<QString(const std::string& job)> controlSocketOf;
    /// Loss of a run at a step, and its lowest one; nullopt if not known. These may be empty.
    std::function<std::optional<double>(const std::string& job, std::int64_t step)> lossAt;
    std::function<std::optional<double>(const std::string& job)> bestLossOf;
    /// Verdict of the last verification of a checkpoint, "exact", "partial" or "mismatch", perhaps
    /// with details behind it; nullopt if it was not verified.
    std::function<std::optional<std::string>(const std::string& checkpoint)> verifiedAs;
    /// After the request was taken: how long no answer is waited for before the operation becomes
    /// Unknown. 0: 20 s on a local connection, else 5 minutes.
    std::chrono::milliseconds silenceLimit { 0 };
};

/// Every change that the desk makes goes through here: plan, journal, send once, follow to an end
/// that is true. The window and trainerdesk-ctl use the same two steps.
///
/// INVARIANT: nothing is sent before its record is on the disk, and no record is sent twice. An
/// operation whose reply was lost is Unknown until reconcile() has looked its effect up.
/// THREAD: the one it was created on; nothing blocks.
class OperationCenter final : public QObject
{
    Q_OBJECT

public:
    /// `journal` and `clock` must outlive the center.
    OperationCenter(Journal& journal, const Clock& clock, OperationEnvironment environment,
        QObject* parent = nullptr);
    ~OperationCenter() override;
    Q_DISABLE_COPY_MOVE(OperationCenter)

    /// Opens the journal. Unfinished records of processes that are gone become Unknown, and these
    /// are looked up once in the background if their connection answers. The value is the number
    /// of Unknown records, older ones included. Until this ended with success commit() refuses.
    QFuture<Result<int>> start();

    /// Runs the preflight and builds the exact request; changes nothing. An Error means that the
    /// draft cannot be checked at all (no such connection, nothing answers); a plan that may not
    /// be sent is a value with isAllowed == false.
    QFuture<Result<OperationPlan>> plan(OperationDraft draft);

    /// Repeats the preflight, journals, syncs, sends once, follows. The value is the operation in
    /// a final state or Unknown (or Accepted where the draft says wait=0); a request that the
    /// other side refused is a *value* in state Failed. An Error means that nothing was sent.
    QFuture<Result<Operation>> commit(OperationPlan plan);

    /// Looks up whether the effect of an Unknown operation is there; sends nothing. The value is
    /// the record with what was found: Succeeded, Failed, or Unknown still, with the reason.
    QFuture<Result<Operation>> reconcile(const QString& id);

    /// Newest first; includes those of other processes on the same profile.
    [[nodiscard]] QList<Operation> operations() const;
    [[nodiscard]] std::optional<Operation> operation(const QString& id) const;
    /// Operations of this process that are not in a final state.
    [[nodiscard]] int runningCount() const;

Q_SIGNALS:
    /// A record is new or has changed, here or in another process. At most 10 Hz per operation.
    void operationChanged(const QString& id);

private:
    class Private;
    std::unique_ptr<Private> m_private;
};

} // namespace desk
