// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/row_diff.h"
#include "models/row_table.h"
#include "models/rows.h"

namespace desk {

/// Jobs of the control plane and runs of this machine, one row each; order is RowOrderModel's.
/// THREAD: GUI.
class JobTableModel final : public RowTable
{
    Q_OBJECT
public:
    enum class Column
    {
        Evidence,
        Name,
        Kind,
        State,
        Model,
        Step,
        Loss,
        Slope,
        Trend,
        Saves,
        Created
    };
    Q_ENUM(Column)
    static constexpr int kColumns = int(Column::Created) + 1;

    explicit JobTableModel(QObject* parent = nullptr);

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
    [[nodiscard]] QVariant headerData(
        int section, Qt::Orientation orientation, int role) const override;

    [[nodiscard]] const QList<JobRow>& rows() const noexcept { return m_rows.rows(); }
    [[nodiscard]] const JobRow* find(const QString& id) const { return m_rows.find(id); }
    [[nodiscard]] int rowOf(const QString& id) const override { return m_rows.indexOf(id); }
    /// Smallest changes from the present rows to these.
    void setRows(const QList<JobRow>& rows);
    /// The instant that ages are told from; repaints age cells only.
    void setNow(Time now);
    [[nodiscard]] Time now() const noexcept { return m_now; }

private:
    [[nodiscard]] QString display(const JobRow& row, Column column) const;
    [[nodiscard]] QVariant sortKey(const JobRow& row, Column column) const;

    struct IdOf
    {
        const QString& operator()(const JobRow& row) const { return row.id; }
    };
    RowSet<JobRow, IdOf> m_rows { IdOf {} };
    Time m_now {};
};

} // namespace desk
