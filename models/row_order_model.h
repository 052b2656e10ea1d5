// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractProxyModel>
#include <QList>
#include <QString>
#include <QTimer>

#include <functional>

namespace desk {

/// Sorts and filters a table by a permutation of its own (ui.md section 5.2): a new order is one
/// layout change, so that selection, current cell and anchors survive; the source is never reset.
/// While the order is frozen (pointer or keyboard in the table) rows keep their places; new rows
/// come at the end, and pendingMoves() says how many would move.
///
/// INVARIANT: m_proxyOf[m_sourceOf[p]] == p for every proxy row p; -1 for rows filtered out.
/// THREAD: GUI.
class RowOrderModel final : public QAbstractProxyModel
{
    Q_OBJECT
public:
    /// Says whether a source row belongs here at all, whatever the filter text.
    using Scope = std::function<bool(int sourceRow)>;

    explicit RowOrderModel(QObject* parent = nullptr);

    void setSourceModel(QAbstractItemModel* source) override;
    [[nodiscard]] QModelIndex mapToSource(const QModelIndex& proxy) const override;
    [[nodiscard]] QModelIndex mapFromSource(const QModelIndex& source) const override;
    [[nodiscard]] QModelIndex index(
        int row, int column, const QModelIndex& parent = {}) const override;
    [[nodiscard]] QModelIndex parent(const QModelIndex& child) const override;
    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant headerData(
        int section, Qt::Orientation orientation, int role) const override;
    void sort(int column, Qt::SortOrder order = Qt::AscendingOrder) override;

    [[nodiscard]] int sortColumn() const noexcept { return m_sortColumn; }
    [[nodiscard]] Qt::SortOrder sortOrder() const noexcept { return m_sortOrder; }
    [[nodiscard]] const QString& filterText() const noexcept { return m_filter; }
    /// Words that must all occur in a row's filter text; case does not matter. Acts at once, also
    /// when frozen: the user asked for it.
    void setFilterText(const QString& text);
    void setScope(Scope scope); ///< an empty function: every row
    void invalidateScope(); ///< what the scope depends on has changed
    [[nodiscard]] int scopedRowCount() const; ///< rows that the filter text is applied to

    void setFrozen(bool isFrozen);
    [[nodiscard]] bool isFrozen() const noexcept { return m_isFrozen; }
    /// Rows that would change place or come or go if the order were made anew.
    [[nodiscard]] int pendingMoves() const noexcept { return m_pendingMoves; }
    void resort(); ///< makes the order anew, frozen or not

Q_SIGNALS:
    void pendingMovesChanged(int rows);
    void filterTextChanged(const QString& text);
    void orderChanged();

private:
    [[nodiscard]] bool accepts(int sourceRow) const;
    [[nodiscard]] QList<int> wantedOrder() const;
    void connectSource();
    void adopt(const QList<int>& order);
    void rebuildInverse();
    void scheduleUpdate();
    void update();
    void onInserted(int first, int last);
    void onAboutToRemove(int first, int last);
    void onRemoved(int first, int last);
    void onDataChanged(const QModelIndex& first, const QModelIndex& last, const QList<int>& roles);
    void setPendingMoves(int rows);

    QList<int> m_sourceOf;
    QList<int> m_proxyOf;
    QString m_filter;
    QStringList m_words;
    Scope m_scope;
    int m_sortColumn = -1;
    Qt::SortOrder m_sortOrder = Qt::AscendingOrder;
    bool m_isFrozen = false;
    int m_pendingMoves = 0;
    QTimer m_update;
};

} // namespace desk
