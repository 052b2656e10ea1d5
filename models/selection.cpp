// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/selection.h"

#include "services/core/resource_name.h"

namespace desk {

Selection::Selection(QObject* parent)
    : QObject(parent)
{
}

void Selection::setPage(DeskPage page)
{
    if (m_page == page)
        return;
    m_page = page;
    Q_EMIT pageChanged(page);
    // The inspector shows what is chosen on the page that is looked at.
    Subject subject = m_subject;
    if (page == DeskPage::Jobs && !m_job.isEmpty())
        subject = Subject::Job;
    else if (page == DeskPage::Checkpoints && !m_checkpoint.isEmpty())
        subject = Subject::Checkpoint;
    else if (page == DeskPage::Deployments && !m_deployment.isEmpty())
        subject = Subject::Deployment;
    else if (page == DeskPage::Models && !m_model.isEmpty())
        subject = Subject::Model;
    if (subject != m_subject) {
        m_subject = subject;
        Q_EMIT changed();
    }
}

void Selection::choose(Subject subject, QString& member, const QString& id)
{
    const Subject next = id.isEmpty() && m_subject == subject ? Subject::None : subject;
    if (member == id && m_subject == next)
        return;
    const bool isOther = member != id;
    member = id;
    m_subject = next;
    if (isOther && subject == Subject::Job)
        Q_EMIT jobChanged(id);
    if (isOther && subject == Subject::Checkpoint)
        Q_EMIT checkpointChanged(id);
    Q_EMIT changed();
}

void Selection::selectJob(const QString& id)
{
    const auto owner = parseCheckpointName(m_checkpoint.toUtf8().toStdString());
    if (owner && QString::fromStdString(owner->jobName().toString()) != id) {
        m_checkpoint.clear();
        Q_EMIT checkpointChanged(m_checkpoint);
    }
    choose(Subject::Job, m_job, id);
}

void Selection::selectCheckpoint(const QString& name)
{
    const auto owner = parseCheckpointName(name.toUtf8().toStdString());
    if (owner) {
        const QString job = QString::fromStdString(owner->jobName().toString());
        if (job != m_job) {
            m_job = job;
            Q_EMIT jobChanged(job);
        }
    }
    choose(Subject::Checkpoint, m_checkpoint, name);
}

void Selection::selectDeployment(const QString& name)
{
    choose(Subject::Deployment, m_deployment, name);
}

void Selection::selectModel(const QString& name)
{
    choose(Subject::Model, m_model, name);
}

void Selection::selectOperation(const QString& id)
{
    if (m_operation == id)
        return;
    m_operation = id;
    Q_EMIT changed();
}

void Selection::clear()
{
    m_subject = Subject::None;
    const bool hadJob = !m_job.isEmpty();
    const bool hadCheckpoint = !m_checkpoint.isEmpty();
    m_job.clear();
    m_checkpoint.clear();
    m_deployment.clear();
    m_model.clear();
    m_operation.clear();
    if (hadJob)
        Q_EMIT jobChanged(m_job);
    if (hadCheckpoint)
        Q_EMIT checkpointChanged(m_checkpoint);
    Q_EMIT changed();
}

} // namespace desk
