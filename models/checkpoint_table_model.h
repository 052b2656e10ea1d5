// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/row_diff.h"
#include "models/row_table.h"
#include "models/rows.h"

namespace desk {

/// Checkpoints of every job that was read, one row each. THREAD: GUI.
class CheckpointTableModel final : public RowTable
{
    Q_OBJECT
public:
    enum class Column
    {
        Name,
        Type,
        Promotable,
        Step,
        Created,
        Expires,
        Loss,
        Size,
        Ratio,
        Changed,
        Verified,
        Serving
    };
    Q_ENUM(Column)
    static constexpr int kColumns = int(Column::Serving) + 1;

    explicit CheckpointTableModel(QObject* parent = nullptr);

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
    [[nodiscard]] QVariant headerData(
        int section, Qt::Orientation orientation, int role) const override;

    [[nodiscard]] const QList<CheckpointRow>& rows() const noexcept { return m_rows.rows(); }
    [[nodiscard]] const CheckpointRow* find(const QString& id) const { return m_rows.find(id); }
    [[nodiscard]] int rowOf(const QString& id) const override { return m_rows.indexOf(id); }
    void setRows(const QList<CheckpointRow>& rows);
    /// The instant that ages are told from; repaints age cells only.
    void setNow(Time now);

private:
    [[nodiscard]] QString display(const CheckpointRow& row, Column column) const;
    [[nodiscard]] QVariant sortKey(const CheckpointRow& row, Column column) const;

    struct IdOf
    {
        const QString& operator()(const CheckpointRow& row) const { return row.name; }
    };
    RowSet<CheckpointRow, IdOf> m_rows { IdOf {} };
    Time m_now {};
};

} // namespace desk
