// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/table_view.h"

#include "models/item_roles.h"
#include "ui/style/fonts.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"
#include "ui/widgets/cell_delegate.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QScrollBar>

namespace desk {

namespace {

    // Lies above the scroll bar, so that the bar starts below the header.
    class HeaderCap final : public QWidget
    {
    public:
        using QWidget::QWidget;
        QSize sizeHint() const override { return { px(12), px(28) }; }

    protected:
        void paintEvent(QPaintEvent*) override
        {
            QPainter painter(this);
            painter.fillRect(rect(), tokens().surface2);
            vline(painter, 0, 0, height(), tokens().hairline);
            hline(painter, 0, width(), height() - 1, tokens().hairline);
        }
    };

    bool isRightAligned(CellKind kind)
    {
        return kind == CellKind::Number || kind == CellKind::Delta;
    }

    const CellDelegate* cellDelegateOf(const QTableView& view)
    {
        return qobject_cast<const CellDelegate*>(view.itemDelegate());
    }

} // namespace

TableHeader::TableHeader(QWidget* parent)
    : QHeaderView(Qt::Horizontal, parent)
{
    setHighlightSections(false);
    setSectionsClickable(true);
    setSectionsMovable(true);
    setMinimumSectionSize(px(24));
    setFixedHeight(px(28));
}

void TableHeader::initStyleOptionForIndex(QStyleOptionHeader* option, int logicalIndex) const
{
    QHeaderView::initStyleOptionForIndex(option, logicalIndex);
    if (!model())
        return;
    const QVariant kind = model()->headerData(logicalIndex, Qt::Horizontal, +Role::Cell);
    const bool isRight = kind.isValid() && isRightAligned(static_cast<CellKind>(kind.toInt()));
    option->textAlignment = (isRight ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter;
}

TableView::TableView(QWidget* parent)
    : QTableView(parent)
{
    setHorizontalHeader(new TableHeader(this));
    setItemDelegate(new CellDelegate(this));
    setFrameShape(QFrame::NoFrame);
    setShowGrid(false);
    setCornerButtonEnabled(false);
    setWordWrap(false);
    setTabKeyNavigation(false);
    setMouseTracking(true);
    setSelectionBehavior(QAbstractItemView::SelectRows);
    setSelectionMode(QAbstractItemView::SingleSelection);
    setEditTriggers(QAbstractItemView::NoEditTriggers);
    setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
    verticalHeader()->hide();
    verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    horizontalHeader()->setStretchLastSection(true);
    addScrollBarWidget(new HeaderCap(this), Qt::AlignTop);
    setRowHeight(28);
}

void TableView::setRowHeight(int reference)
{
    const int height = px(reference);
    verticalHeader()->setMinimumSectionSize(height);
    verticalHeader()->setDefaultSectionSize(height);
    if (auto* delegate = qobject_cast<CellDelegate*>(itemDelegate()))
        delegate->setRowHeight(height);
}

void TableView::setModel(QAbstractItemModel* model)
{
    if (QAbstractItemModel* old = this->model())
        disconnect(old, nullptr, this, nullptr);
    QTableView::setModel(model);
    if (!model)
        return;
    // Queued: the selection model settles its own current index first.
    connect(model, &QAbstractItemModel::modelReset, this, &TableView::keepCurrent,
        Qt::QueuedConnection);
    connect(model, &QAbstractItemModel::rowsInserted, this, &TableView::keepCurrent,
        Qt::QueuedConnection);
    connect(model, &QAbstractItemModel::rowsRemoved, this, &TableView::keepCurrent,
        Qt::QueuedConnection);
    keepCurrent();
}

void TableView::setColumnWidths(const QList<int>& widths)
{
    bool hasStretch = false;
    for (int column = 0; column < widths.size(); ++column) {
        if (widths[column] > 0) {
            setColumnWidth(column, px(widths[column]));
        } else if (!hasStretch) {
            hasStretch = true;
            horizontalHeader()->setSectionResizeMode(column, QHeaderView::Stretch);
        }
    }
    horizontalHeader()->setStretchLastSection(!hasStretch);
}

void TableView::setFitsRows(bool fits)
{
    m_fitsRows = fits;
    setVerticalScrollBarPolicy(fits ? Qt::ScrollBarAlwaysOff : Qt::ScrollBarAsNeeded);
    setSizePolicy(QSizePolicy::Expanding, fits ? QSizePolicy::Fixed : QSizePolicy::Expanding);
    updateGeometry();
}

QSize TableView::sizeHint() const
{
    if (!m_fitsRows || !model())
        return QTableView::sizeHint();
    const int header = horizontalHeader()->isHidden() ? 0 : horizontalHeader()->height();
    const int rows = model()->rowCount(rootIndex());
    return { px(200), rows * verticalHeader()->defaultSectionSize() + header };
}

QSize TableView::minimumSizeHint() const
{
    return m_fitsRows ? sizeHint() : QSize(px(120), px(60));
}

void TableView::keepCurrent()
{
    if (m_fitsRows)
        updateGeometry();
    // Qt 6.4's accessibility back end has crash paths for tables without a current index.
    if (model() && !currentIndex().isValid() && model()->rowCount(rootIndex()) > 0)
        selectionModel()->setCurrentIndex(
            model()->index(0, 0, rootIndex()), QItemSelectionModel::NoUpdate);
}

void TableView::keyPressEvent(QKeyEvent* event)
{
    if (event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter) {
        const QModelIndex current = currentIndex();
        if (!current.isValid())
            return;
        // Enter runs the row's painted action; a row without one is opened.
        for (int column = 0; column < model()->columnCount(rootIndex()); ++column) {
            const QModelIndex cell = current.siblingAtColumn(column);
            if (!cell.data(+Role::Action).toString().isEmpty()) {
                Q_EMIT actionActivated(cell);
                return;
            }
        }
        Q_EMIT rowActivated(current);
        return;
    }
    if (event->key() == Qt::Key_Home || event->key() == Qt::Key_End) {
        // First and last row, whatever the column.
        const int rows = model() ? model()->rowCount(rootIndex()) : 0;
        if (rows > 0)
            setCurrentIndex(model()->index(event->key() == Qt::Key_Home ? 0 : rows - 1,
                std::max(0, currentIndex().column()), rootIndex()));
        return;
    }
    QTableView::keyPressEvent(event);
}

void TableView::mouseReleaseEvent(QMouseEvent* event)
{
    const QModelIndex index = indexAt(event->position().toPoint());
    QTableView::mouseReleaseEvent(event);
    const CellDelegate* delegate = cellDelegateOf(*this);
    if (event->button() != Qt::LeftButton || !index.isValid() || !delegate)
        return;
    QStyleOptionViewItem option;
    initViewItemOption(&option);
    option.rect = visualRect(index);
    if (delegate->actionRect(option, index).contains(event->position().toPoint()))
        Q_EMIT actionActivated(index);
}

void TableView::mouseDoubleClickEvent(QMouseEvent* event)
{
    QTableView::mouseDoubleClickEvent(event);
    const QModelIndex index = indexAt(event->position().toPoint());
    if (event->button() == Qt::LeftButton && index.isValid())
        Q_EMIT rowActivated(index);
}

void TableView::mouseMoveEvent(QMouseEvent* event)
{
    QTableView::mouseMoveEvent(event);
    const QPoint position = event->position().toPoint();
    const QModelIndex index = indexAt(position);
    const CellDelegate* delegate = cellDelegateOf(*this);
    bool isOnAction = false;
    if (index.isValid() && delegate) {
        QStyleOptionViewItem option;
        initViewItemOption(&option);
        option.rect = visualRect(index);
        isOnAction = delegate->actionRect(option, index).contains(position);
    }
    viewport()->setCursor(isOnAction ? Qt::PointingHandCursor : Qt::ArrowCursor);
}

void TableView::focusInEvent(QFocusEvent* event)
{
    QTableView::focusInEvent(event);
    updateSelectedRows();
}

void TableView::focusOutEvent(QFocusEvent* event)
{
    QTableView::focusOutEvent(event);
    updateSelectedRows();
}

// QAbstractItemView repaints the current cell only; our selection is a whole row in two styles.
void TableView::updateSelectedRows()
{
    if (!selectionModel())
        return;
    const QModelIndexList rows = selectionModel()->selectedRows();
    for (const QModelIndex& row : rows) {
        const QRect cell = visualRect(row);
        viewport()->update(0, cell.top(), viewport()->width(), cell.height());
    }
}

} // namespace desk
