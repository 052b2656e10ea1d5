// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/records.h"

#include <QAbstractTableModel>
#include <QHash>
#include <QList>
#include <QString>

#include <optional>

namespace desk {

/// Something that runs on this machine and is shown beside the operations, such as a verification.
/// It changes nothing elsewhere and is not journaled.
struct LocalTask
{
    QString id; ///< "task:…"
    QString word; ///< "verifying", "verified"
    QString what;
    QString target; ///< the device
    QString detail;
    double fraction = 0; ///< 0..1
    OperationState state = OperationState::Running;
    Time started {};
    std::optional<Time> ended;
};

/// Operations of the journal, newest first, with running local tasks above them. THREAD: GUI.
class OperationTableModel final : public QAbstractTableModel
{
    Q_OBJECT
public:
    enum class Column
    {
        State, ///< glyph and word
        What,
        Target,
        Progress,
        Detail,
        Elapsed,
        When,
        By,
        Key,
        Action ///< "Open", "Reconcile…", "Cancel"
    };
    Q_ENUM(Column)
    static constexpr int kColumns = int(Column::Action) + 1;

    explicit OperationTableModel(QObject* parent = nullptr);

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
    [[nodiscard]] QVariant headerData(
        int section, Qt::Orientation orientation, int role) const override;

    /// Newest first. Rows that are known keep their place and are updated in place.
    void setOperations(QList<Operation> operations);
    void putTask(const LocalTask& task); ///< adds it or replaces the one of its id
    /// The instant that ages and running times are told from; repaints those cells only.
    void setNow(Time now);

    [[nodiscard]] Time now() const noexcept { return m_now; }
    [[nodiscard]] std::optional<Operation> operation(const QString& id) const;
    [[nodiscard]] QString idAt(int row) const; ///< operation or task id
    [[nodiscard]] bool isTask(int row) const;
    [[nodiscard]] int rowOf(const QString& id) const; ///< -1: none

    [[nodiscard]] int runningCount() const; ///< operations that may still change something
    [[nodiscard]] int unknownCount() const;
    /// "2 running · 1 unknown · 9 done today"; empty when nothing was ever done.
    [[nodiscard]] QString summary() const;
    /// Seconds of the finished hot loads of a deployment, oldest first; for the median tick.
    [[nodiscard]] QList<double> loadSeconds(const std::string& deployment) const;

private:
    [[nodiscard]] QVariant operationData(const Operation& operation, Column column, int role) const;
    [[nodiscard]] QVariant taskData(const LocalTask& task, Column column, int role) const;
    [[nodiscard]] QString progressText(const Operation& operation) const;
    [[nodiscard]] QString elapsedText(const Operation& operation) const;

    QList<LocalTask> m_tasks; ///< newest first
    QList<Operation> m_operations; ///< newest first
    Time m_now {};
};

/// Words for people; used by the dock, the page and the inspector.
[[nodiscard]] QString operationWord(const Operation& operation); ///< "loading", "promoted"
[[nodiscard]] QString operationSentence(
    const Operation& operation); ///< "Hotload step-2 δ of step-1"
/// What became of it, in one line: stage, result, or why it failed and what to do next.
[[nodiscard]] QString operationOutcome(const Operation& operation);
[[nodiscard]] double secondsBetween(Time from, Time to);
[[nodiscard]] std::optional<double> medianOf(QList<double> values);

} // namespace desk
