// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/charts/plot_surface.h"

#include <QPointer>

namespace desk {

class PlotView;

/// IPlotSurface over Qt Charts, see PlotView.
class QtChartSurface final : public IPlotSurface
{
    Q_OBJECT

public:
    /// The widget becomes a child of `parent`, this object too.
    explicit QtChartSurface(QWidget* parent);
    ~QtChartSurface() override;

    [[nodiscard]] QWidget* widget() override;
    void setPlot(PlotDataPtr plot) override;
    [[nodiscard]] PlotDataPtr plot() const override;
    void setParts(const PlotParts& parts) override;
    void setCrosshair(std::optional<double> x) override;
    [[nodiscard]] int wantedGutter() const override;
    [[nodiscard]] int wantedEndRoom() const override;
    [[nodiscard]] QRectF plotArea() const override;
    [[nodiscard]] int columns() const override;
    void print(QPainter& painter, const QRectF& target) override;

    [[nodiscard]] PlotView* view() const noexcept { return m_view; }

private:
    PlotView* m_view; // child of the parent widget
};

} // namespace desk
