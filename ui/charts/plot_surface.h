// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/plot_data.h"

#include <QObject>
#include <QPointF>
#include <QRectF>

#include <optional>

class QPainter;
class QWidget;

namespace desk {

/// Which parts a chart of a grid shows.
struct PlotParts
{
    bool hasEventLane = true;
    bool hasXLabels = true;
    bool hasRightLine = false; ///< hairline to the neighbor chart
    bool hasBottomLine = false;
    bool hasFocusMark = false; ///< keyboard focus is here
    bool hasEventLegend = false; ///< explains the glyphs instead of showing badges
    int gutter = 0; ///< at least so much room at the left, so that a column of charts lines up
    int endRoom = 0; ///< the same for the labels at the right
    bool operator==(const PlotParts&) const = default;
};

/// One chart on screen: shows a PlotData and reports gestures in data coordinates. Knows neither
/// stores nor runs. GUI thread only.
class IPlotSurface : public QObject
{
    Q_OBJECT

public:
    using QObject::QObject;

    [[nodiscard]] virtual QWidget* widget() = 0; ///< owned by its parent widget
    virtual void setPlot(PlotDataPtr plot) = 0; ///< not null; repaints only if it differs
    [[nodiscard]] virtual PlotDataPtr plot() const = 0;
    virtual void setParts(const PlotParts& parts) = 0;
    /// The linked cursor; nullopt hides it. Cheap: the static layer is not repainted.
    virtual void setCrosshair(std::optional<double> x) = 0;
    [[nodiscard]] virtual int wantedGutter() const = 0; ///< for the widest tick label
    [[nodiscard]] virtual int wantedEndRoom() const = 0; ///< for the widest end label
    [[nodiscard]] virtual QRectF plotArea() const = 0; ///< in widget coordinates
    [[nodiscard]] virtual int columns() const = 0; ///< device pixel columns of the plot area
    /// Draws frame and data in the light palette, for print and export.
    virtual void print(QPainter& painter, const QRectF& target) = 0;

Q_SIGNALS:
    void columnsChanged(int columns);
    void hovered(double x); ///< NaN: the pointer left
    void xZoomRequested(desk::PlotRange x);
    void boxZoomRequested(desk::PlotRange x, desk::PlotRange y);
    void wheelZoomRequested(double factor, double anchorX);
    void yZoomRequested(double factor, double anchorY);
    void panStarted();
    void panRequested(double deltaX); ///< since the last one
    void fitRequested();
    void clicked(double x);
    void eventActivated(const desk::PlotEvent& event); ///< a click in the event lane
    void rangeBrushed(desk::PlotRange x); ///< a drag in the event lane
};

} // namespace desk
