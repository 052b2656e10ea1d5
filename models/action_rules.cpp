// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/action_rules.h"

#include "models/app_model.h"
#include "models/deployment_table_model.h"
#include "models/format.h"
#include "services/operations/operation_center.h"

using namespace Qt::StringLiterals;

namespace desk {

ActionRules::ActionRules(AppModel& app)
    : m_app(app)
{
    connect(&app.actions(), &ActionRegistry::triggered, this, &ActionRules::run);
}

QString ActionRules::writeBlocked() const
{
    switch (m_app.link().phase()) {
    case LinkPhase::NotConnected:
        return tr("There is no connection; use the local backend or add one.");
    case LinkPhase::Starting:
    case LinkPhase::Connecting:
        return tr("The connection is still coming up.");
    case LinkPhase::Unreachable:
        return tr("The service does not answer; nothing can be changed there now.");
    case LinkPhase::Refused:
        return tr("The key was rejected; enter it again in the connection settings.");
    case LinkPhase::Offline:
        return tr("The desk is offline; nothing is sent.");
    case LinkPhase::Live:
    case LinkPhase::Stale:
        break;
    }
    if (m_app.isReadOnly())
        return tr("Read-only mode is on (Ctrl+Shift+R).");
    return {};
}

QString ActionRules::whyNotSave() const
{
    const QString blocked = writeBlocked();
    if (!blocked.isEmpty())
        return blocked;
    const JobRow* job = m_app.selectedJob();
    if (job == nullptr)
        return tr("Select a job first.");
    if (!job->isOnServer)
        return tr("This run belongs to no job of the connection.");
    if (job->canControl)
        return {};
    switch (job->evidence) {
    case Evidence::Finished:
    case Evidence::Failed:
    case Evidence::Cancelled:
        return tr("The training has ended; only a running one can save.");
    default:
        break;
    }
    return job->runFolder.isEmpty()
        ? tr("The running script owns the training client, and it does not run on this machine.")
        : tr("The run's control socket does not answer; its script must save.");
}

QString ActionRules::whyNotPromote() const
{
    const QString blocked = writeBlocked();
    if (!blocked.isEmpty())
        return blocked;
    const CheckpointRow* row = m_app.selectedCheckpoint();
    if (row == nullptr)
        return tr("Select a checkpoint first.");
    if (row->isPromotable)
        return {};
    if (row->nearestPromotable.isEmpty())
        return row->whyNotLong;
    return tr("%1 Nearest promotable: %2.")
        .arg(row->whyNotLong, format::lastSegment(row->nearestPromotable));
}

QString ActionRules::whyNotHotload() const
{
    const QString blocked = writeBlocked();
    if (!blocked.isEmpty())
        return blocked;
    const CheckpointRow* row = m_app.selectedCheckpoint();
    if (row == nullptr)
        return tr("Select a checkpoint first.");
    switch (row->type) {
    case CheckpointType::Training:
    case CheckpointType::TrainingLora:
        return tr("A training state cannot be served; choose a base or a delta.");
    case CheckpointType::Unspecified:
    case CheckpointType::Unrecognized:
        return tr("This program does not know the checkpoint's type.");
    case CheckpointType::InferenceBase:
    case CheckpointType::InferenceArcV2:
    case CheckpointType::InferenceLora:
        break;
    }
    for (const DeploymentRow& deployment : m_app.deployments().rows()) {
        if (deployment.enablesHotLoad)
            return {};
    }
    return tr("No deployment of the connection takes hot loads; create one first.");
}

QString ActionRules::whyNotVerify() const
{
    const CheckpointRow* row = m_app.selectedCheckpoint();
    if (row == nullptr)
        return tr("Select a checkpoint first.");
    if (row->type == CheckpointType::Training || row->type == CheckpointType::TrainingLora)
        return tr("A training state has no checksums to verify against.");
    if (row->path.isEmpty())
        return tr("Its files are not reachable from this machine.");
    if (row->type == CheckpointType::InferenceArcV2 && row->chain.baseId.isEmpty())
        return tr("The base that this delta stands on is not in the list.");
    return {};
}

QString ActionRules::whyNotControl(const QString& id) const
{
    const JobRow* job = m_app.selectedJob();
    if (job == nullptr)
        return tr("Select a job first.");
    if (!job->canControl)
        return tr("The run's control socket does not answer.");
    if (id == u"job.pause" && job->evidence == Evidence::Paused)
        return tr("The training is paused already.");
    if (id == u"job.continue" && job->evidence != Evidence::Paused)
        return tr("The training is not paused.");
    return m_app.isReadOnly() ? tr("Read-only mode is on (Ctrl+Shift+R).") : QString();
}

QString ActionRules::whyNotReconcile() const
{
    const auto operation = m_app.services().operations.operation(m_app.selection().operation());
    if (!operation)
        return tr("Select an operation whose result is unknown.");
    if (operation->state != OperationState::Unknown)
        return tr("The result of this operation is known.");
    return {};
}

void ActionRules::update()
{
    ActionRegistry& actions = m_app.actions();
    const JobRow* job = m_app.selectedJob();
    const bool isBusy = m_app.link().phase() == LinkPhase::Starting;
    const bool isLocalLive = m_app.link().connection() && m_app.link().connection()->isLocal
        && m_app.link().phase() == LinkPhase::Live;
    actions.setReason(u"conn.useLocal"_s,
        isBusy            ? tr("The local backend is starting.")
            : isLocalLive ? tr("The local backend is in use.")
                          : QString());
    actions.setReason(u"conn.disconnect"_s,
        m_app.link().connection() ? QString() : tr("There is no connection."));
    QString train = writeBlocked();
    if (train.isEmpty() && m_app.isTrainingStarting())
        train = tr("A training is just being started.");
    actions.setReason(u"train.new"_s, train);
    actions.setReason(u"train.sample"_s,
        !train.isEmpty()  ? train
            : isLocalLive ? QString()
                          : tr("The sample trains the local backend's model."));
    actions.setReason(u"run.close"_s,
        job == nullptr || job->runFolder.isEmpty() ? tr("The selected job has no run folder here.")
                                                   : QString());
    actions.setReason(u"job.open"_s, job == nullptr ? tr("Select a job first.") : QString());
    actions.setReason(u"job.plot"_s,
        job == nullptr                 ? tr("Select a job first.")
            : job->runFolder.isEmpty() ? tr("No ledger of this job is on this machine.")
                                       : QString());
    actions.action(u"job.plot"_s)->setChecked(job != nullptr && m_app.plotted().contains(job->id));
    for (const QString& id : { u"job.pause"_s, u"job.continue"_s, u"job.stop"_s })
        actions.setReason(id, whyNotControl(id));
    actions.setReason(u"ckpt.save"_s, whyNotSave());
    actions.setReason(u"ckpt.promote"_s, whyNotPromote());
    actions.setReason(u"deploy.hotload"_s, whyNotHotload());
    actions.setReason(u"ckpt.verify"_s, whyNotVerify());
    actions.setReason(u"deploy.create"_s, writeBlocked());
    QString remove = writeBlocked();
    if (remove.isEmpty() && m_app.selectedDeployment() == nullptr)
        remove = tr("Select a deployment first.");
    actions.setReason(u"deploy.delete"_s, remove);
    actions.setReason(u"op.reconcile"_s, whyNotReconcile());
    actions.action(u"app.readOnly"_s)->setChecked(m_app.isReadOnly());
}

void ActionRules::run(const QString& id)
{
    ActionRegistry& actions = m_app.actions();
    if (id == u"conn.useLocal")
        m_app.link().useLocal();
    else if (id == u"conn.disconnect")
        m_app.link().disconnectAll();
    else if (id == u"train.sample")
        m_app.startSampleTraining();
    else if (id == u"run.close" && m_app.selectedJob() != nullptr)
        m_app.closeRunFolder(m_app.selectedJob()->runFolder);
    else if (id == u"app.readOnly")
        m_app.setReadOnly(actions.action(id)->isChecked());
    else if (id == u"view.refresh")
        m_app.refresh();
    else if (id == u"job.open")
        m_app.selection().setPage(DeskPage::Checkpoints);
    else if (id == u"job.plot")
        m_app.togglePlotted(m_app.selection().job());
    else if (id == u"job.pause" || id == u"job.continue" || id == u"job.stop")
        m_app.setJobControl(m_app.selection().job(), id.mid(4));
    else if (id == u"ckpt.verify")
        Q_EMIT actions.verifyRequested(m_app.selection().checkpoint());
    else if (id == u"op.reconcile")
        Q_EMIT actions.reconcileRequested(m_app.selection().operation());
    else
        review(id);
}

void ActionRules::review(const QString& id)
{
    ReviewRequest request;
    if (id == u"ckpt.save")
        request.kind = OperationKind::Save;
    else if (id == u"ckpt.promote")
        request.kind = OperationKind::Promote;
    else if (id == u"deploy.hotload")
        request.kind = OperationKind::Hotload;
    else if (id == u"deploy.create")
        request.kind = OperationKind::Create;
    else if (id == u"deploy.delete")
        request.kind = OperationKind::Delete;
    else
        return;
    if (request.kind == OperationKind::Create || request.kind == OperationKind::Delete)
        request.resource = u"deployment"_s;
    if (const auto& connection = m_app.link().connection())
        request.connection = format::fromUtf8(connection->name);
    request.job = m_app.selection().job();
    if (const CheckpointRow* row = m_app.selectedCheckpoint()) {
        request.checkpoint = row->name;
        request.job = row->job;
    }
    if (m_app.selectedDeployment() != nullptr)
        request.deployment = m_app.selection().deployment();
    Q_EMIT m_app.actions().reviewRequested(request);
}

} // namespace desk
