// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/row_diff.h"
#include "models/row_table.h"
#include "models/rows.h"

namespace desk {

/// Models of the account, one row each. THREAD: GUI.
class ModelTableModel final : public RowTable
{
    Q_OBJECT
public:
    enum class Column
    {
        Id,
        Kind,
        State,
        Base,
        PromotedFrom,
        Created
    };
    Q_ENUM(Column)
    static constexpr int kColumns = int(Column::Created) + 1;

    explicit ModelTableModel(QObject* parent = nullptr);

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
    [[nodiscard]] QVariant headerData(
        int section, Qt::Orientation orientation, int role) const override;

    [[nodiscard]] const QList<ModelRow>& rows() const noexcept { return m_rows.rows(); }
    [[nodiscard]] const ModelRow* find(const QString& id) const { return m_rows.find(id); }
    [[nodiscard]] int rowOf(const QString& id) const override { return m_rows.indexOf(id); }
    void setRows(const QList<ModelRow>& rows);
    /// The instant that ages are told from; repaints age cells only.
    void setNow(Time now);

private:
    [[nodiscard]] QString display(const ModelRow& row, Column column) const;
    [[nodiscard]] QVariant sortKey(const ModelRow& row, Column column) const;

    struct IdOf
    {
        const QString& operator()(const ModelRow& row) const { return row.name; }
    };
    RowSet<ModelRow, IdOf> m_rows { IdOf {} };
    Time m_now {};
};

} // namespace desk
