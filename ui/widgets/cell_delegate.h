// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/item_roles.h"

#include <QAbstractItemDelegate>

namespace desk {

/// Paints whole cells from semantic roles (models/item_roles.h): row fill, selection, 2 px accent
/// bar, row line, then the content of the cell's kind. Nothing is taken from the view's style.
class CellDelegate : public QAbstractItemDelegate
{
    Q_OBJECT

public:
    explicit CellDelegate(QObject* parent = nullptr);
    void setRowHeight(int pixels) noexcept { m_rowHeight = pixels; }
    void setFirstPadding(int pixels) noexcept { m_firstPadding = pixels; }

    void paint(QPainter* painter, const QStyleOptionViewItem& option,
        const QModelIndex& index) const override;
    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override;
    /// The tooltip repeats the text of a cell that had to be elided, and nothing else.
    bool helpEvent(QHelpEvent* event, QAbstractItemView* view, const QStyleOptionViewItem& option,
        const QModelIndex& index) override;
    /// Where the painted action of a cell is; empty if it has none.
    [[nodiscard]] QRect actionRect(
        const QStyleOptionViewItem& option, const QModelIndex& index) const;

private:
    int m_rowHeight;
    int m_firstPadding;
};

} // namespace desk
