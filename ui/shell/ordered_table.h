// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/widgets/table_view.h"

#include <QString>
#include <QStringList>

#include <optional>

class QMenu;
class QPushButton;

namespace desk {

class ActionRegistry;
class RowOrderModel;
class RowTable;

/// A table whose rows keep still while pointer or keyboard focus is in it, whose selection is a row
/// id that survives every change, and whose scroll position follows its first visible row. Its
/// context menu comes from the action registry.
class OrderedTable : public TableView
{
    Q_OBJECT

public:
    OrderedTable(RowTable& source, const QString& accessibleName, QWidget* parent = nullptr);

    [[nodiscard]] RowOrderModel& order() const noexcept { return *m_order; }
    [[nodiscard]] const QString& selectedId() const noexcept { return m_selectedId; }
    /// Selects the row of this id, now or as soon as it appears; empty: none.
    void setSelectedId(const QString& id);
    void sortBy(int column, Qt::SortOrder order);
    /// The selected row as tab-separated text, headers left out, to the clipboard.
    void copySelection() const;
    /// Ids of the actions of the context menu; an empty id is a separator.
    void setContextActions(ActionRegistry& actions, const QStringList& ids);

Q_SIGNALS:
    void idChosen(const QString& id); ///< by the user
    void idActivated(const QString& id); ///< Enter or double click

protected:
    void enterEvent(QEnterEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

private:
    struct Anchor
    {
        QString id;
        int offset = 0;
    };
    void updateFrozen();
    void onSelectionChanged();
    void restoreSelection();
    void keepAnchor();
    void restoreAnchor();
    void placePill();
    [[nodiscard]] QModelIndex indexOfId(const QString& id) const;

    RowTable& m_source;
    RowOrderModel* m_order;
    QPushButton* m_pill;
    QMenu* m_menu = nullptr;
    QString m_selectedId;
    std::optional<Anchor> m_anchor;
    bool m_isInside = false;
    bool m_isRestoring = false;
};

} // namespace desk
