// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QHeaderView>
#include <QTableView>

namespace desk {

/// Header that aligns a section as its cells are (Role::Cell of headerData) and leaves drawing to
/// DeskStyle.
class TableHeader final : public QHeaderView
{
    Q_OBJECT

public:
    explicit TableHeader(QWidget* parent = nullptr);

protected:
    void initStyleOptionForIndex(QStyleOptionHeader* option, int logicalIndex) const override;
};

/// Base of all tables: rows of one height, whole-row selection, CellDelegate, header that stays
/// above the scroll bar, a current index whenever there is a row, Tab leaves the table.
class TableView : public QTableView
{
    Q_OBJECT

public:
    explicit TableView(QWidget* parent = nullptr);
    void setRowHeight(int reference); ///< 24, 28, 34, 36 of the design
    void setModel(QAbstractItemModel* model) override;
    /// Widths of the design by column, in reference pixels; 0 = takes what is left (exactly one).
    void setColumnWidths(const QList<int>& widths);
    void setFitsRows(bool fits); ///< as high as its rows (sheets); never scrolls vertically
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

Q_SIGNALS:
    /// Enter, double click, or a click on the painted action. The index is of this view's model.
    void rowActivated(const QModelIndex& index);
    void actionActivated(const QModelIndex& index); ///< the row's painted action

protected:
    void keyPressEvent(QKeyEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;

private:
    void keepCurrent();
    void updateSelectedRows();

    bool m_fitsRows = false;
};

} // namespace desk
