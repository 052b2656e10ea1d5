// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/tensor_table_model.h"

#include <QWidget>

namespace desk {

/// Share of changed elements by layer, one cell a part of a layer (objectName
/// "verifyPage.heatStrip"). A click or Enter on a cell asks for its tensors; arrows move.
class HeatStrip final : public QWidget
{
    Q_OBJECT
public:
    explicit HeatStrip(QWidget* parent = nullptr);

    void setMap(HeatMap map);
    /// Outlines the cell that holds this row of the tensor table; -1: none.
    void setCurrentRow(int tensorRow);
    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

Q_SIGNALS:
    void rowActivated(int tensorRow); ///< first tensor of the cell

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;

private:
    struct Placed
    {
        QRectF rect;
        const HeatMap::Cell* cell = nullptr;
    };
    [[nodiscard]] std::vector<Placed> place() const;
    [[nodiscard]] qreal cellWidth() const;
    [[nodiscard]] QColor colorOf(const HeatMap::Cell& cell) const;
    void step(int by);

    HeatMap m_map;
    int m_currentRow = -1;
};

} // namespace desk
