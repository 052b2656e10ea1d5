// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/operation_record.h"

#include <QWidget>

class QPushButton;
class QStackedWidget;

namespace desk {

class Band;
class CodeBlock;
class ElapsedBar;
class MarkTable;
class OperationTableModel;
class Pill;
class ReplicaTimeline;
class SectionHeader;
class SpanLabel;
class TableView;

/// The journal as a table above and the selected record below: how long, which replica in which
/// stage, every event, the request as it was sent (objectName "operationsPage").
class OperationsPage final : public QWidget
{
    Q_OBJECT
public:
    /// The model must outlive the page.
    explicit OperationsPage(OperationTableModel& model, QWidget* parent = nullptr);

    void showRecord(const QString& id);

Q_SIGNALS:
    void reconcileRequested(const QString& id);
    void taskRequested(const QString& taskId); ///< a verification of this machine
    void selected(const QString& id);

private:
    QWidget* makeRecord();
    QWidget* makeReplicas();
    void refresh();
    void fill(const OperationRecord& record);

    OperationTableModel& m_model;
    QString m_id;
    TableView* m_table = nullptr;
    QStackedWidget* m_stack = nullptr;
    SpanLabel* m_title = nullptr;
    Pill* m_state = nullptr;
    SpanLabel* m_subtitle = nullptr;
    QPushButton* m_reconcile = nullptr;
    ElapsedBar* m_elapsed = nullptr;
    Band* m_band = nullptr;
    QWidget* m_replicaPart = nullptr;
    MarkTable* m_replicas = nullptr;
    SectionHeader* m_timelineHeader = nullptr;
    ReplicaTimeline* m_timeline = nullptr;
    MarkTable* m_events = nullptr;
    CodeBlock* m_request = nullptr;
};

} // namespace desk
