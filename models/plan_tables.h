// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/operations/operation_plan.h"

#include <QAbstractTableModel>

#include <vector>

namespace desk {

/// The check list of a review, one row a check, in the order of the plan. THREAD: GUI.
class PreflightTableModel final : public QAbstractTableModel
{
    Q_OBJECT
public:
    enum class Column
    {
        Result, ///< Role::StatusCode
        Title,
        Why,
        Fix
    };
    static constexpr int kColumns = int(Column::Fix) + 1;

    using QAbstractTableModel::QAbstractTableModel;

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
    [[nodiscard]] QVariant headerData(
        int section, Qt::Orientation orientation, int role) const override;

    void setChecks(std::vector<PreflightCheck> checks);
    [[nodiscard]] const std::vector<PreflightCheck>& checks() const noexcept { return m_checks; }
    /// "8 checks · 6 pass, 2 to consider"
    [[nodiscard]] QString summary() const;

private:
    std::vector<PreflightCheck> m_checks;
};

/// What a commit would change: before and after. THREAD: GUI.
class EffectTableModel final : public QAbstractTableModel
{
    Q_OBJECT
public:
    enum class Column
    {
        What,
        Before,
        After
    };
    static constexpr int kColumns = int(Column::After) + 1;

    using QAbstractTableModel::QAbstractTableModel;

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
    [[nodiscard]] QVariant headerData(
        int section, Qt::Orientation orientation, int role) const override;

    void setRows(std::vector<EffectRow> rows);

private:
    std::vector<EffectRow> m_rows;
};

} // namespace desk
