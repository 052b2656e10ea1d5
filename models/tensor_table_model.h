// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/delta/engine.h"

#include <QAbstractTableModel>
#include <QList>
#include <QString>

#include <optional>
#include <vector>

namespace desk {

/// Tensors of a verification, in the order of the files; the page sorts them worst first.
/// THREAD: GUI.
class TensorTableModel final : public QAbstractTableModel
{
    Q_OBJECT
public:
    enum class Column
    {
        Name,
        Dtype,
        Shape,
        Changed,
        MaxDelta,
        L2Delta,
        NonFinite,
        Checksum,
        Verdict
    };
    Q_ENUM(Column)
    static constexpr int kColumns = int(Column::Verdict) + 1;

    explicit TensorTableModel(QObject* parent = nullptr);

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
    [[nodiscard]] QVariant headerData(
        int section, Qt::Orientation orientation, int role) const override;

    void setRows(std::vector<TensorRow> rows);
    [[nodiscard]] const std::vector<TensorRow>& rows() const noexcept { return m_rows; }
    [[nodiscard]] int changedCount() const;
    [[nodiscard]] int mismatchCount() const; ///< mismatch, missing and extra

private:
    [[nodiscard]] QString display(const TensorRow& row, Column column) const;
    [[nodiscard]] QVariant sortKey(const TensorRow& row, Column column) const;

    std::vector<TensorRow> m_rows;
    double m_largestFraction = 0; ///< scale of the bars
};

/// Share of changed elements by place in the model: one cell for each part of a layer. Cells that
/// no tensor belongs to are nullopt.
struct HeatMap
{
    struct Cell
    {
        std::uint64_t changed = 0;
        std::uint64_t elements = 0;
        std::vector<int> rows; ///< into TensorTableModel
        [[nodiscard]] double fraction() const noexcept
        {
            return elements == 0 ? 0 : double(changed) / double(elements);
        }
    };
    using Lane = std::vector<std::optional<Cell>>;
    Lane attention, mlp, norms; ///< by layer
    std::optional<Cell> embedding, finalNorm, head;
    std::optional<Cell> others; ///< tensors of no known place
    double largest = 0; ///< largest fraction of all cells
    [[nodiscard]] int layers() const noexcept { return int(attention.size()); }
};

/// Places by Hugging Face names ("model.layers.17.mlp.down_proj.weight"). At most 1,024 layers;
/// tensors beyond go to `others`.
[[nodiscard]] HeatMap heatMapOf(const std::vector<TensorRow>& rows);

} // namespace desk
