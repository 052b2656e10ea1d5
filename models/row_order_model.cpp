// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/row_order_model.h"

#include "models/item_roles.h"
#include "models/natural_order.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    bool isNumber(const QVariant& value)
    {
        switch (value.typeId()) {
        case QMetaType::Int:
        case QMetaType::UInt:
        case QMetaType::LongLong:
        case QMetaType::ULongLong:
        case QMetaType::Double:
        case QMetaType::Float:
        case QMetaType::Bool:
            return true;
        default:
            return false;
        }
    }

    /// Sort key of one row; the unknown comes last in both directions.
    struct RowKey
    {
        enum class Kind
        {
            Number,
            Text,
            Unknown
        };
        Kind kind = Kind::Unknown;
        double number = 0;
        QString text;
    };

    RowKey rowKeyOf(const QVariant& value)
    {
        RowKey key;
        if (isNumber(value)) {
            key.number = value.toDouble();
            if (!std::isnan(key.number))
                key.kind = RowKey::Kind::Number;
        } else if (value.isValid()) {
            key.text = value.toString();
            key.kind = RowKey::Kind::Text;
        }
        return key;
    }

} // namespace

RowOrderModel::RowOrderModel(QObject* parent)
    : QAbstractProxyModel(parent)
{
    m_update.setSingleShot(true);
    m_update.setInterval(100); // at most ten new orders a second
    connect(&m_update, &QTimer::timeout, this, &RowOrderModel::update);
}

void RowOrderModel::setSourceModel(QAbstractItemModel* source)
{
    beginResetModel();
    if (sourceModel() != nullptr)
        disconnect(sourceModel(), nullptr, this, nullptr);
    QAbstractProxyModel::setSourceModel(source);
    m_sourceOf.clear();
    if (source != nullptr) {
        connectSource();
        m_sourceOf = wantedOrder();
    }
    rebuildInverse();
    endResetModel();
}

void RowOrderModel::connectSource()
{
    auto* source = sourceModel();
    connect(source, &QAbstractItemModel::rowsInserted, this,
        [this](const QModelIndex&, int first, int last) { onInserted(first, last); });
    connect(source, &QAbstractItemModel::rowsAboutToBeRemoved, this,
        [this](const QModelIndex&, int first, int last) { onAboutToRemove(first, last); });
    connect(source, &QAbstractItemModel::rowsRemoved, this,
        [this](const QModelIndex&, int first, int last) { onRemoved(first, last); });
    connect(source, &QAbstractItemModel::dataChanged, this, &RowOrderModel::onDataChanged);
    connect(source, &QAbstractItemModel::headerDataChanged, this,
        &QAbstractItemModel::headerDataChanged);
    connect(source, &QAbstractItemModel::modelAboutToBeReset, this, [this] { beginResetModel(); });
    connect(source, &QAbstractItemModel::modelReset, this, [this] {
        m_sourceOf = wantedOrder();
        rebuildInverse();
        endResetModel();
    });
}

QModelIndex RowOrderModel::mapToSource(const QModelIndex& proxy) const
{
    if (!proxy.isValid() || sourceModel() == nullptr || proxy.row() >= m_sourceOf.size())
        return {};
    return sourceModel()->index(m_sourceOf.at(proxy.row()), proxy.column());
}

QModelIndex RowOrderModel::mapFromSource(const QModelIndex& source) const
{
    if (!source.isValid() || source.row() >= m_proxyOf.size())
        return {};
    const int row = m_proxyOf.at(source.row());
    return row < 0 ? QModelIndex() : createIndex(row, source.column());
}

QModelIndex RowOrderModel::index(int row, int column, const QModelIndex& parent) const
{
    if (parent.isValid() || row < 0 || row >= rowCount() || column < 0 || column >= columnCount())
        return {};
    return createIndex(row, column);
}

QModelIndex RowOrderModel::parent(const QModelIndex&) const
{
    return {};
}

int RowOrderModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_sourceOf.size());
}

int RowOrderModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() || sourceModel() == nullptr ? 0 : sourceModel()->columnCount();
}

QVariant RowOrderModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    // The base class asks for the source of a row that may not exist.
    if (sourceModel() == nullptr || orientation == Qt::Vertical)
        return {};
    return sourceModel()->headerData(section, orientation, role);
}

void RowOrderModel::sort(int column, Qt::SortOrder order)
{
    m_sortColumn = column;
    m_sortOrder = order;
    resort();
}

void RowOrderModel::setFilterText(const QString& text)
{
    if (m_filter == text)
        return;
    m_filter = text;
    m_words = text.toCaseFolded().split(u' ', Qt::SkipEmptyParts);
    resort();
    Q_EMIT filterTextChanged(m_filter);
}

void RowOrderModel::setScope(Scope scope)
{
    m_scope = std::move(scope);
    resort();
}

void RowOrderModel::invalidateScope()
{
    resort();
}

int RowOrderModel::scopedRowCount() const
{
    if (sourceModel() == nullptr)
        return 0;
    const int all = sourceModel()->rowCount();
    if (!m_scope)
        return all;
    int count = 0;
    for (int row = 0; row < all; ++row)
        count += m_scope(row) ? 1 : 0;
    return count;
}

void RowOrderModel::setFrozen(bool isFrozen)
{
    if (m_isFrozen == isFrozen)
        return;
    m_isFrozen = isFrozen;
    if (!isFrozen)
        scheduleUpdate();
}

bool RowOrderModel::accepts(int sourceRow) const
{
    if (m_scope && !m_scope(sourceRow))
        return false;
    if (m_words.isEmpty())
        return true;
    QString text;
    for (int column = 0; column < sourceModel()->columnCount(); ++column) {
        const QModelIndex cell = sourceModel()->index(sourceRow, column);
        text += cell.data(Qt::DisplayRole).toString() + u' '
            + cell.data(+Role::Secondary).toString() + u' ';
    }
    text += sourceModel()->index(sourceRow, 0).data(+Role::Id).toString();
    text = text.toCaseFolded();
    return std::all_of(
        m_words.begin(), m_words.end(), [&](const QString& word) { return text.contains(word); });
}

QList<int> RowOrderModel::wantedOrder() const
{
    QList<int> order;
    const int all = sourceModel()->rowCount();
    for (int row = 0; row < all; ++row) {
        if (accepts(row))
            order.append(row);
    }
    if (m_sortColumn < 0 || m_sortColumn >= columnCount())
        return order;
    QList<RowKey> keys(all);
    for (const int row : std::as_const(order))
        keys[row] = rowKeyOf(sourceModel()->index(row, m_sortColumn).data(+Role::SortKey));
    const bool isDescending = m_sortOrder == Qt::DescendingOrder;
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        const RowKey& x = keys.at(a);
        const RowKey& y = keys.at(b);
        if (x.kind != y.kind)
            return x.kind < y.kind;
        if (x.kind == RowKey::Kind::Number)
            return isDescending ? x.number > y.number : x.number < y.number;
        if (x.kind == RowKey::Kind::Text) {
            const int compared = compareNaturally(x.text, y.text);
            return isDescending ? compared > 0 : compared < 0;
        }
        return false;
    });
    return order;
}

/// Rows that stay keep their persistent indexes; those that go or come are told as such first, so
/// that a view never sees a layout change with another count of rows.
void RowOrderModel::adopt(const QList<int>& order)
{
    QList<bool> stays(sourceModel()->rowCount(), false);
    for (const int row : order)
        stays[row] = true;
    for (int last = int(m_sourceOf.size()) - 1; last >= 0; --last) {
        if (stays.at(m_sourceOf.at(last)))
            continue;
        int first = last;
        while (first > 0 && !stays.at(m_sourceOf.at(first - 1)))
            --first;
        beginRemoveRows({}, first, last);
        m_sourceOf.remove(first, last - first + 1);
        rebuildInverse();
        endRemoveRows();
        last = first;
    }
    QList<int> fresh;
    for (const int row : order) {
        if (m_proxyOf.at(row) < 0)
            fresh.append(row);
    }
    if (!fresh.isEmpty()) {
        const int first = int(m_sourceOf.size());
        beginInsertRows({}, first, first + int(fresh.size()) - 1);
        m_sourceOf.append(fresh);
        rebuildInverse();
        endInsertRows();
    }
    // Two empty lists are equal; QList hands memcmp() null pointers to find that out.
    if (m_sourceOf.size() == order.size() && (order.isEmpty() || m_sourceOf == order))
        return;
    Q_EMIT layoutAboutToBeChanged({}, QAbstractItemModel::VerticalSortHint);
    const QModelIndexList before = persistentIndexList();
    QList<int> rows;
    for (const QModelIndex& index : before)
        rows.append(m_sourceOf.at(index.row()));
    m_sourceOf = order;
    rebuildInverse();
    QModelIndexList after;
    for (qsizetype i = 0; i < before.size(); ++i)
        after.append(createIndex(m_proxyOf.at(rows.at(i)), before.at(i).column()));
    changePersistentIndexList(before, after);
    Q_EMIT layoutChanged({}, QAbstractItemModel::VerticalSortHint);
}

void RowOrderModel::rebuildInverse()
{
    m_proxyOf.fill(-1, sourceModel() == nullptr ? 0 : sourceModel()->rowCount());
    for (int row = 0; row < m_sourceOf.size(); ++row)
        m_proxyOf[m_sourceOf.at(row)] = row;
}

void RowOrderModel::scheduleUpdate()
{
    if (!m_update.isActive())
        m_update.start();
}

void RowOrderModel::update()
{
    if (sourceModel() == nullptr)
        return;
    const QList<int> order = wantedOrder();
    if (!m_isFrozen) {
        adopt(order);
        setPendingMoves(0);
        Q_EMIT orderChanged();
        return;
    }
    int moves = 0;
    QList<int> place(sourceModel()->rowCount(), -1);
    for (int i = 0; i < order.size(); ++i)
        place[order.at(i)] = i;
    for (int i = 0; i < m_proxyOf.size(); ++i)
        moves += m_proxyOf.at(i) != place.at(i) ? 1 : 0;
    setPendingMoves(moves);
}

void RowOrderModel::resort()
{
    m_update.stop();
    if (sourceModel() == nullptr)
        return;
    adopt(wantedOrder());
    setPendingMoves(0);
    Q_EMIT orderChanged();
}

void RowOrderModel::onInserted(int first, int last)
{
    const int count = last - first + 1;
    for (int& row : m_sourceOf) {
        if (row >= first)
            row += count;
    }
    rebuildInverse();
    QList<int> fresh;
    for (int row = first; row <= last; ++row) {
        if (accepts(row))
            fresh.append(row);
    }
    if (!fresh.isEmpty()) {
        const int at = int(m_sourceOf.size());
        beginInsertRows({}, at, at + int(fresh.size()) - 1);
        m_sourceOf.append(fresh);
        rebuildInverse();
        endInsertRows();
    }
    if (m_isFrozen)
        scheduleUpdate();
    else
        resort();
}

void RowOrderModel::onAboutToRemove(int first, int last)
{
    const auto isGone = [&](int proxyRow) {
        const int row = m_sourceOf.at(proxyRow);
        return row >= first && row <= last;
    };
    for (int end = int(m_sourceOf.size()) - 1; end >= 0; --end) {
        if (!isGone(end))
            continue;
        int begin = end;
        while (begin > 0 && isGone(begin - 1))
            --begin;
        beginRemoveRows({}, begin, end);
        m_sourceOf.remove(begin, end - begin + 1);
        rebuildInverse();
        endRemoveRows();
        end = begin;
    }
}

void RowOrderModel::onRemoved(int first, int last)
{
    const int count = last - first + 1;
    for (int& row : m_sourceOf) {
        if (row > last)
            row -= count;
    }
    rebuildInverse();
    scheduleUpdate();
}

void RowOrderModel::onDataChanged(
    const QModelIndex& first, const QModelIndex& last, const QList<int>& roles)
{
    QList<int> rows;
    for (int row = first.row(); row <= last.row(); ++row) {
        if (row < m_proxyOf.size() && m_proxyOf.at(row) >= 0)
            rows.append(m_proxyOf.at(row));
    }
    std::sort(rows.begin(), rows.end());
    for (qsizetype i = 0; i < rows.size();) {
        qsizetype j = i;
        while (j + 1 < rows.size() && rows.at(j + 1) == rows.at(j) + 1)
            ++j;
        Q_EMIT dataChanged(
            createIndex(rows.at(i), first.column()), createIndex(rows.at(j), last.column()), roles);
        i = j + 1;
    }
    // A change of ages alone names the display role and moves nothing.
    if (roles.isEmpty() || roles.contains(+Role::SortKey))
        scheduleUpdate();
}

void RowOrderModel::setPendingMoves(int rows)
{
    if (m_pendingMoves == rows)
        return;
    m_pendingMoves = rows;
    Q_EMIT pendingMovesChanged(rows);
}

} // namespace desk
