// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/plot_data.h"
#include "ui/charts/plot_painter.h"

#include <QPointF>
#include <QWidget>

#include <optional>

namespace desk {

/// The strip of event glyphs below a plot (objectName "eventLane" in the first chart). Click or
/// Enter activates an event, Left and Right move among events, a drag brushes a range.
class EventLane final : public QWidget
{
    Q_OBJECT

public:
    explicit EventLane(QWidget* parent = nullptr);
    /// layout is that of the chart; the lane lies at layout.lane in its parent's coordinates.
    void setPlot(PlotDataPtr plot, const plot::Layout& layout);
    void setCrosshair(std::optional<double> x);
    /// The event at a place of this widget; null if none is within reach.
    [[nodiscard]] const PlotEvent* eventAt(QPointF position) const;
    [[nodiscard]] QPointF centerOf(int event) const; ///< null point if it is not in the window
    [[nodiscard]] int current() const noexcept { return m_current; }

Q_SIGNALS:
    void eventActivated(const desk::PlotEvent& event);
    void eventHovered(const desk::PlotEvent& event);
    void rangeBrushed(desk::PlotRange x); ///< empty: cleared by a click beside the glyphs

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;

private:
    [[nodiscard]] double xAt(double position) const;
    void setCurrent(int event);
    void step(int direction);

    PlotDataPtr m_plot;
    plot::Layout m_layout;
    std::vector<double> m_centers; ///< in chart coordinates; NaN outside the window
    std::optional<double> m_crosshair;
    std::optional<PlotRange> m_brush;
    QPointF m_press;
    bool m_isPressed = false;
    bool m_isBrushing = false;
    int m_current = -1;
};

} // namespace desk
