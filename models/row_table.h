// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractTableModel>
#include <QString>

namespace desk {

/// Base of the tables whose rows are kept by a RowSet: turns its callbacks into model signals.
/// THREAD: GUI.
class RowTable : public QAbstractTableModel
{
    Q_OBJECT
public:
    using QAbstractTableModel::QAbstractTableModel;

    /// Row of an id of Role::Id; -1 if there is none.
    [[nodiscard]] virtual int rowOf(const QString& id) const = 0;

protected:
    class Signals
    {
    public:
        explicit Signals(RowTable& table)
            : m_table(table)
        {
        }
        void beginInsert(int first, int last) { m_table.beginInsertRows({}, first, last); }
        void endInsert() { m_table.endInsertRows(); }
        void beginRemove(int first, int last) { m_table.beginRemoveRows({}, first, last); }
        void endRemove() { m_table.endRemoveRows(); }
        void changed(int first, int last)
        {
            Q_EMIT m_table.dataChanged(
                m_table.index(first, 0), m_table.index(last, m_table.columnCount() - 1));
        }

    private:
        RowTable& m_table;
    };
};

} // namespace desk
