// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/row_diff.h"
#include "models/row_table.h"
#include "models/rows.h"

namespace desk {

/// Deployments with what their replicas serve, one row each. THREAD: GUI.
class DeploymentTableModel final : public RowTable
{
    Q_OBJECT
public:
    enum class Column
    {
        Name,
        State,
        Model,
        Trainer,
        Identity,
        Lag,
        Replicas,
        Stage,
        Created
    };
    Q_ENUM(Column)
    static constexpr int kColumns = int(Column::Created) + 1;

    explicit DeploymentTableModel(QObject* parent = nullptr);

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
    [[nodiscard]] QVariant headerData(
        int section, Qt::Orientation orientation, int role) const override;

    [[nodiscard]] const QList<DeploymentRow>& rows() const noexcept { return m_rows.rows(); }
    [[nodiscard]] const DeploymentRow* find(const QString& id) const { return m_rows.find(id); }
    [[nodiscard]] int rowOf(const QString& id) const override { return m_rows.indexOf(id); }
    void setRows(const QList<DeploymentRow>& rows);
    /// The instant that ages are told from; repaints age cells only.
    void setNow(Time now);

private:
    [[nodiscard]] QString display(const DeploymentRow& row, Column column) const;
    [[nodiscard]] QVariant sortKey(const DeploymentRow& row, Column column) const;

    struct IdOf
    {
        const QString& operator()(const DeploymentRow& row) const { return row.name; }
    };
    RowSet<DeploymentRow, IdOf> m_rows { IdOf {} };
    Time m_now {};
};

} // namespace desk
