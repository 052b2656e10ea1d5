// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/operations/operations_dock.h"

#include "models/item_roles.h"
#include "models/operation_table_model.h"
#include "ui/style/fonts.h"
#include "ui/style/spans.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/pill.h"
#include "ui/widgets/span_label.h"
#include "ui/widgets/table_view.h"

#include <QHBoxLayout>
#include <QStackedWidget>
#include <QToolButton>
#include <QVBoxLayout>

namespace desk {

using namespace Qt::StringLiterals;

namespace {
    constexpr int kDockTitleHeight = 28;
    constexpr int kOperationRowHeight = 24;
} // namespace

OperationsDock::OperationsDock(OperationTableModel& model, QWidget* parent)
    : QDockWidget(tr("Operations"), parent)
    , m_model(model)
{
    setObjectName(u"operationsDock"_s);
    setFeatures(QDockWidget::DockWidgetClosable | QDockWidget::DockWidgetMovable);
    setTitleBarWidget(makeTitleBar());

    m_table = new TableView;
    m_table->setObjectName(u"operationsTable"_s);
    m_table->setAccessibleName(tr("Operations"));
    m_table->setRowHeight(kOperationRowHeight);
    m_table->setModel(&m_model);
    using Column = OperationTableModel::Column;
    for (const auto column : { Column::When, Column::By, Column::Key })
        m_table->setColumnHidden(int(column), true);
    m_table->setColumnWidths({ 112, 270, 190, 130, 0, 150, 1, 1, 1, 100 });
    m_table->horizontalHeader()->hide();
    connect(m_table, &TableView::rowActivated, this, &OperationsDock::activate);
    connect(m_table, &TableView::actionActivated, this, &OperationsDock::activate);
    connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
        [this](const QModelIndex& current) {
            if (current.isValid())
                Q_EMIT selected(current.data(+Role::Id).toString());
        });

    auto* empty = new Panel(QPalette::Base);
    auto* emptyRow = new QHBoxLayout(empty);
    emptyRow->setContentsMargins(px(12), 0, px(12), 0);
    emptyRow->addWidget(new SpanLabel(
        tr("Nothing has been changed by this app yet."), Face::Body, Tone::Secondary));
    m_stack = new QStackedWidget;
    m_stack->addWidget(empty);
    m_stack->addWidget(m_table);
    m_stack->setMinimumHeight(px(kOperationRowHeight));
    setWidget(m_stack);

    connect(&m_model, &QAbstractItemModel::rowsInserted, this, &OperationsDock::refresh);
    connect(&m_model, &QAbstractItemModel::rowsRemoved, this, &OperationsDock::refresh);
    connect(&m_model, &QAbstractItemModel::modelReset, this, &OperationsDock::refresh);
    connect(&m_model, &QAbstractItemModel::dataChanged, this, &OperationsDock::refresh);
    refresh();
}

QWidget* OperationsDock::makeTitleBar()
{
    auto* bar = new Panel(QPalette::Window, Panel::BottomEdge);
    bar->setHint({ px(400), px(kDockTitleHeight) });
    auto* row = new QHBoxLayout(bar);
    row->setContentsMargins(px(12), 0, px(8), 0);
    row->setSpacing(px(8));
    row->addWidget(new SpanLabel(tr("Operations"), Face::Bold));
    m_summary = new SpanLabel({}, Face::Second, Tone::Secondary);
    m_summary->setObjectName(u"operationsDock.summary"_s);
    row->addWidget(m_summary, 1);
    row->addWidget(new SpanLabel(tr("newest first"), Face::Second, Tone::Secondary));
    row->addWidget(new KeyCap(u"F12"_s));
    auto* close = makeIconButton(u"chevron-down"_s, tr("Hide operations"));
    close->setObjectName(u"operationsDock.close"_s);
    connect(close, &QToolButton::clicked, this, &QDockWidget::close);
    row->addWidget(close);
    return bar;
}

void OperationsDock::refresh()
{
    m_summary->setPlain(m_model.summary());
    m_stack->setCurrentIndex(m_model.rowCount() == 0 ? 0 : 1);
}

void OperationsDock::activate(const QModelIndex& index)
{
    const QString id = index.data(+Role::Id).toString();
    const auto operation = m_model.operation(id);
    if (operation && operation->state == OperationState::Unknown)
        Q_EMIT reconcileRequested(id);
    else
        Q_EMIT openRequested(id);
}

} // namespace desk
