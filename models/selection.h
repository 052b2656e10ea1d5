// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>
#include <QString>

namespace desk {

enum class DeskPage
{
    Jobs,
    Checkpoints,
    Deployments,
    Models,
    Operations,
    Verify ///< reached through an action, not through the navigator
};

enum class Subject
{
    None,
    Job,
    Checkpoint,
    Deployment,
    Model
};

/// The one selection that tables, charts, inspector and actions follow. Ids are those of the rows:
/// full resource names, "run:" + folder for a run without a job, operation ids.
/// Selecting a checkpoint of another job selects that job too. THREAD: GUI.
class Selection final : public QObject
{
    Q_OBJECT
public:
    explicit Selection(QObject* parent = nullptr);

    [[nodiscard]] DeskPage page() const noexcept { return m_page; }
    [[nodiscard]] Subject subject() const noexcept { return m_subject; } ///< what was chosen last
    [[nodiscard]] const QString& job() const noexcept { return m_job; }
    [[nodiscard]] const QString& checkpoint() const noexcept { return m_checkpoint; }
    [[nodiscard]] const QString& deployment() const noexcept { return m_deployment; }
    [[nodiscard]] const QString& model() const noexcept { return m_model; }
    [[nodiscard]] const QString& operation() const noexcept { return m_operation; }

public Q_SLOTS:
    void setPage(desk::DeskPage page);
    void selectJob(const QString& id);
    void selectCheckpoint(const QString& name);
    void selectDeployment(const QString& name);
    void selectModel(const QString& name);
    /// An operation has a record of its own; the inspector keeps its subject.
    void selectOperation(const QString& id);
    void clear();

Q_SIGNALS:
    void pageChanged(desk::DeskPage page);
    void jobChanged(const QString& id);
    void checkpointChanged(const QString& name);
    void changed(); ///< after any of the above: subject or an id

private:
    void choose(Subject subject, QString& member, const QString& id);

    DeskPage m_page = DeskPage::Jobs;
    Subject m_subject = Subject::None;
    QString m_job;
    QString m_checkpoint;
    QString m_deployment;
    QString m_model;
    QString m_operation;
};

} // namespace desk
