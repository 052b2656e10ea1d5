// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/plot_data.h"
#include "ui/charts/plot_painter.h"

#include <QChartView>
#include <QPointF>

#include <functional>
#include <optional>

class QValueAxis;

namespace desk {

class EventLane;

/// The widget of QtChartSurface: a QChart draws background, grid, axis lines and print; an item of
/// ours inside its plot area paints everything dense; a small item on top is the crosshair, so that
/// a move of the pointer repaints two strips. Tick labels, badges and end labels are ours too,
/// because Qt Charts can format numbers with printf only.
class PlotView final : public QChartView
{
    Q_OBJECT

public:
    explicit PlotView(QWidget* parent = nullptr);
    ~PlotView() override;

    void setPlot(PlotDataPtr plot);
    [[nodiscard]] const PlotDataPtr& plot() const noexcept { return m_plot; }
    void setParts(const PlotParts& parts);
    [[nodiscard]] const PlotParts& parts() const noexcept { return m_parts; }
    void setCrosshair(std::optional<double> x);
    [[nodiscard]] std::optional<double> crosshair() const noexcept { return m_crosshair; }
    [[nodiscard]] const plot::Layout& layoutNow() const noexcept { return m_layout; }
    [[nodiscard]] EventLane* lane() const noexcept { return m_lane; }
    [[nodiscard]] int columns() const;
    void restyle(); ///< QChart does not follow the palette
    void place(); ///< plot area, axes and lane after any change

Q_SIGNALS:
    void columnsChanged(int columns);
    void hovered(double x);
    void clicked(double x);
    void xZoomRequested(desk::PlotRange x);
    void boxZoomRequested(desk::PlotRange x, desk::PlotRange y);
    void wheelZoomRequested(double factor, double anchorX);
    void yZoomRequested(double factor, double anchorY);
    void panStarted();
    void panRequested(double deltaX);
    void fitRequested();

protected:
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;

private:
    enum class Drag
    {
        None,
        Pressed, ///< may become a click or a zoom
        Zoom,
        Box,
        Pan
    };
    void applyAxes();
    void describe();
    void updateBand(QPointF to);
    void finishZoom(QPointF to);
    [[nodiscard]] double xAt(QPointF position) const;

    PlotDataPtr m_plot;
    PlotParts m_parts;
    plot::Layout m_layout;
    std::optional<double> m_crosshair;
    QValueAxis* m_xAxis = nullptr;
    QValueAxis* m_yAxis = nullptr;
    class DataItem;
    class CrosshairItem;
    class AxisItem;
    class BandItem;
    DataItem* m_data = nullptr; // items belong to the chart
    AxisItem* m_labels = nullptr;
    CrosshairItem* m_cross = nullptr;
    BandItem* m_band = nullptr;
    EventLane* m_lane = nullptr;
    Drag m_drag = Drag::None;
    QPointF m_press;
    QPointF m_last;
    QRectF m_placedArea; ///< that the chart's last layout pass knew
    int m_columns = 0;
};

} // namespace desk
