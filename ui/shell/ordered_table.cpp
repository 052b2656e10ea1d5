// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shell/ordered_table.h"

#include "models/action_registry.h"
#include "models/item_roles.h"
#include "models/row_order_model.h"
#include "models/row_table.h"
#include "ui/style/fonts.h"
#include "ui/widgets/buttons.h"

#include <QClipboard>
#include <QContextMenuEvent>
#include <QGuiApplication>
#include <QHeaderView>
#include <QMenu>
#include <QPushButton>
#include <QScopedValueRollback>
#include <QScrollBar>

using namespace Qt::StringLiterals;

namespace desk {

OrderedTable::OrderedTable(RowTable& source, const QString& accessibleName, QWidget* parent)
    : TableView(parent)
    , m_source(source)
    , m_order(new RowOrderModel(this))
    , m_pill(makeButton(QString(), true))
{
    setAccessibleName(accessibleName);
    m_order->setSourceModel(&source);
    setModel(m_order);
    setSortingEnabled(true);
    m_pill->setParent(this);
    m_pill->setObjectName(u"resortPill"_s);
    m_pill->hide();
    m_pill->setFocusPolicy(Qt::NoFocus);
    connect(m_pill, &QPushButton::clicked, m_order, &RowOrderModel::resort);
    connect(m_order, &RowOrderModel::pendingMovesChanged, this, [this](int rows) {
        m_pill->setText(rows == 1 ? tr("1 row would move \u2014 sort again (R)")
                                  : tr("%1 rows would move \u2014 sort again (R)").arg(rows));
        m_pill->setVisible(rows > 0);
        placePill();
    });
    connect(selectionModel(), &QItemSelectionModel::selectionChanged, this,
        &OrderedTable::onSelectionChanged);
    // A click on the row that is selected already makes it the subject again.
    connect(this, &QAbstractItemView::clicked, this, [this](const QModelIndex& index) {
        if (index.data(+Role::Id).toString() == m_selectedId)
            Q_EMIT idChosen(m_selectedId);
    });
    connect(m_order, &QAbstractItemModel::layoutAboutToBeChanged, this, &OrderedTable::keepAnchor);
    connect(m_order, &QAbstractItemModel::layoutChanged, this, &OrderedTable::restoreAnchor);
    connect(m_order, &QAbstractItemModel::rowsInserted, this, &OrderedTable::restoreSelection);
}

QModelIndex OrderedTable::indexOfId(const QString& id) const
{
    const int row = id.isEmpty() ? -1 : m_source.rowOf(id);
    return row < 0 ? QModelIndex() : m_order->mapFromSource(m_source.index(row, 0));
}

void OrderedTable::setSelectedId(const QString& id)
{
    if (m_selectedId == id)
        return;
    m_selectedId = id;
    const QScopedValueRollback guard(m_isRestoring, true);
    const QModelIndex index = indexOfId(id);
    if (!index.isValid()) {
        selectionModel()->clearSelection();
        return;
    }
    selectionModel()->setCurrentIndex(
        index, QItemSelectionModel::ClearAndSelect | QItemSelectionModel::Rows);
    scrollTo(index);
}

void OrderedTable::restoreSelection()
{
    const QModelIndex index = indexOfId(m_selectedId);
    if (!index.isValid() || selectionModel()->isRowSelected(index.row(), {}))
        return;
    const QScopedValueRollback guard(m_isRestoring, true);
    selectionModel()->setCurrentIndex(
        index, QItemSelectionModel::ClearAndSelect | QItemSelectionModel::Rows);
}

void OrderedTable::onSelectionChanged()
{
    if (m_isRestoring)
        return;
    const QModelIndexList rows = selectionModel()->selectedRows();
    // Rows that a filter took away are still selected as far as the user is concerned.
    if (rows.isEmpty())
        return;
    m_selectedId = rows.first().data(+Role::Id).toString();
    Q_EMIT idChosen(m_selectedId);
}

void OrderedTable::sortBy(int column, Qt::SortOrder order)
{
    sortByColumn(column, order);
}

void OrderedTable::keepAnchor()
{
    m_anchor.reset();
    // At the top a person wants to see what comes in there.
    if (verticalScrollBar()->value() == 0)
        return;
    const QModelIndex first = indexAt(QPoint(1, 1));
    if (first.isValid())
        m_anchor = Anchor { first.data(+Role::Id).toString(), visualRect(first).top() };
}

void OrderedTable::restoreAnchor()
{
    if (!m_anchor)
        return;
    const QModelIndex first = indexOfId(m_anchor->id);
    if (first.isValid()) {
        QScrollBar* bar = verticalScrollBar();
        bar->setValue(bar->value() + visualRect(first).top() - m_anchor->offset);
    }
    m_anchor.reset();
}

void OrderedTable::updateFrozen()
{
    m_order->setFrozen(m_isInside || hasFocus() || (m_menu != nullptr && m_menu->isVisible()));
}

void OrderedTable::enterEvent(QEnterEvent* event)
{
    m_isInside = true;
    updateFrozen();
    TableView::enterEvent(event);
}

void OrderedTable::leaveEvent(QEvent* event)
{
    m_isInside = false;
    updateFrozen();
    TableView::leaveEvent(event);
}

void OrderedTable::focusInEvent(QFocusEvent* event)
{
    TableView::focusInEvent(event);
    updateFrozen();
}

void OrderedTable::focusOutEvent(QFocusEvent* event)
{
    TableView::focusOutEvent(event);
    updateFrozen();
}

void OrderedTable::setContextActions(ActionRegistry& actions, const QStringList& ids)
{
    m_menu = new QMenu(this);
    m_menu->setObjectName(objectName() + u".menu"_s);
    m_menu->setToolTipsVisible(false);
    for (const QString& id : ids) {
        if (id.isEmpty())
            m_menu->addSeparator();
        else
            m_menu->addAction(actions.action(id));
    }
    connect(m_menu, &QMenu::aboutToHide, this, &OrderedTable::updateFrozen, Qt::QueuedConnection);
}

void OrderedTable::copySelection() const
{
    const QModelIndexList rows = selectionModel()->selectedRows();
    if (rows.isEmpty())
        return;
    QStringList cells;
    for (int column = 0; column < m_order->columnCount(); ++column) {
        if (isColumnHidden(column))
            continue;
        const QModelIndex cell = rows.first().siblingAtColumn(column);
        cells.append(cell.data().toString() + cell.data(+Role::Secondary).toString());
    }
    QGuiApplication::clipboard()->setText(cells.join(u'\t'));
}

void OrderedTable::contextMenuEvent(QContextMenuEvent* event)
{
    if (m_menu == nullptr)
        return;
    QPoint at = event->globalPos();
    if (event->reason() == QContextMenuEvent::Keyboard && currentIndex().isValid())
        at = viewport()->mapToGlobal(visualRect(currentIndex()).bottomLeft());
    m_menu->popup(at);
    updateFrozen();
}

void OrderedTable::keyPressEvent(QKeyEvent* event)
{
    if (event->key() == Qt::Key_R && event->modifiers() == Qt::NoModifier) {
        m_order->resort();
        return;
    }
    if (event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter) {
        if (currentIndex().isValid())
            Q_EMIT idActivated(currentIndex().data(+Role::Id).toString());
        return;
    }
    if (event->matches(QKeySequence::Copy)) {
        copySelection();
        return;
    }
    // Letters are commands of the window (filter, charts), never a search in the cells.
    if (!event->text().isEmpty() && event->text().at(0).isPrint()) {
        event->ignore();
        return;
    }
    TableView::keyPressEvent(event);
}

void OrderedTable::resizeEvent(QResizeEvent* event)
{
    TableView::resizeEvent(event);
    placePill();
}

void OrderedTable::placePill()
{
    m_pill->adjustSize();
    m_pill->move((width() - m_pill->width()) / 2, height() - m_pill->height() - px(8));
}

} // namespace desk
