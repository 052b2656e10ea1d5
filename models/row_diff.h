// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractItemModel>
#include <QHash>
#include <QList>
#include <QString>

#include <utility>

namespace desk {

/// Rows of a table model, kept by id. apply() turns a new set of rows into the smallest signals:
/// removed ranges from the bottom up, one dataChanged for every block of neighbors that changed,
/// then one insertion at the end. Rows never move; the order on the screen is RowOrderModel's.
///
/// Row needs operator==; IdOf: const Row& -> const QString&. Ids are unique; of two rows with one
/// id the later wins.
template <class Row, class IdOf>
class RowSet
{
public:
    explicit RowSet(IdOf idOf)
        : m_idOf(std::move(idOf))
    {
    }
    [[nodiscard]] const QList<Row>& rows() const noexcept { return m_rows; }
    [[nodiscard]] int indexOf(const QString& id) const { return m_index.value(id, -1); }
    [[nodiscard]] const Row* find(const QString& id) const
    {
        const int row = indexOf(id);
        return row < 0 ? nullptr : &m_rows.at(row);
    }

    /// Signals: callbacks of the model that owns the set; see RowSetSignals.
    template <class Signals>
    void apply(const QList<Row>& next, Signals&& signal)
    {
        QHash<QString, qsizetype> wanted;
        for (qsizetype i = 0; i < next.size(); ++i)
            wanted.insert(m_idOf(next.at(i)), i);
        removeMissing(wanted, signal);
        updateKnown(next, wanted, signal);
        insertNew(next, wanted, signal);
    }

private:
    template <class Signals>
    void removeMissing(const QHash<QString, qsizetype>& wanted, Signals& signal)
    {
        int last = int(m_rows.size()) - 1;
        bool hasRemoved = false;
        while (last >= 0) {
            if (wanted.contains(m_idOf(m_rows.at(last)))) {
                --last;
                continue;
            }
            int first = last;
            while (first > 0 && !wanted.contains(m_idOf(m_rows.at(first - 1))))
                --first;
            signal.beginRemove(first, last);
            m_rows.remove(first, last - first + 1);
            reindex();
            signal.endRemove();
            hasRemoved = true;
            last = first - 1;
        }
        if (hasRemoved)
            reindex();
    }
    template <class Signals>
    void updateKnown(
        const QList<Row>& next, const QHash<QString, qsizetype>& wanted, Signals& signal)
    {
        int blockStart = -1;
        for (int i = 0; i <= m_rows.size(); ++i) {
            bool isChanged = false;
            if (i < m_rows.size()) {
                const Row& fresh = next.at(wanted.value(m_idOf(m_rows.at(i))));
                isChanged = !(m_rows.at(i) == fresh);
                if (isChanged)
                    m_rows[i] = fresh;
            }
            if (isChanged && blockStart < 0)
                blockStart = i;
            if (!isChanged && blockStart >= 0) {
                signal.changed(blockStart, i - 1);
                blockStart = -1;
            }
        }
    }
    template <class Signals>
    void insertNew(const QList<Row>& next, const QHash<QString, qsizetype>& wanted, Signals& signal)
    {
        QList<Row> fresh;
        for (qsizetype i = 0; i < next.size(); ++i) {
            const QString& id = m_idOf(next.at(i));
            if (!m_index.contains(id) && wanted.value(id) == i)
                fresh.append(next.at(i));
        }
        if (fresh.isEmpty())
            return;
        const int first = int(m_rows.size());
        signal.beginInsert(first, first + int(fresh.size()) - 1);
        m_rows.append(fresh);
        reindex();
        signal.endInsert();
    }
    void reindex()
    {
        m_index.clear();
        m_index.reserve(m_rows.size());
        for (int i = 0; i < m_rows.size(); ++i)
            m_index.insert(m_idOf(m_rows.at(i)), i);
    }

    IdOf m_idOf;
    QList<Row> m_rows;
    QHash<QString, int> m_index;
};

} // namespace desk
