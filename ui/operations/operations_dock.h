// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QDockWidget>

class QStackedWidget;

namespace desk {

class OperationTableModel;
class SpanLabel;
class TableView;

/// Operations at the bottom of the window (objectName "operationsDock"): never modal, never lost.
/// Enter or a click on a row's painted action opens the record, or reconciles an unknown one.
class OperationsDock final : public QDockWidget
{
    Q_OBJECT
public:
    /// The model must outlive the dock.
    explicit OperationsDock(OperationTableModel& model, QWidget* parent = nullptr);

Q_SIGNALS:
    void openRequested(const QString& id);
    void reconcileRequested(const QString& id);
    void selected(const QString& id);

private:
    QWidget* makeTitleBar();
    void refresh();
    void activate(const QModelIndex& index);

    OperationTableModel& m_model;
    SpanLabel* m_summary = nullptr;
    QStackedWidget* m_stack = nullptr;
    TableView* m_table = nullptr;
};

} // namespace desk
