// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/plot_data.h"
#include "ui/charts/plot_surface.h"

#include <QPainter>
#include <QRectF>

#include <optional>
#include <vector>

// Paints what belongs to data. Dense series are vertical lines, one per device column, and separate
// segments through drawLines(): a polyline wider than one device pixel costs 50 to 400 times as
// much. Colors are those of the theme in force. Leaves painter state to the caller's save().

namespace desk::plot {

/// Where everything lies in one chart widget.
struct Layout
{
    QRectF whole;
    QRectF head;
    QRectF area; ///< plot area
    QRectF lane; ///< null without one
    QRectF xLabels; ///< null without them
};
[[nodiscard]] Layout layoutOf(QSizeF size, const PlotData& plot, const PlotParts& parts);

/// Room for the widest tick label at the left, for end labels at the right; in pixels.
[[nodiscard]] int wantedGutter(const PlotData& plot, double areaHeight);
[[nodiscard]] int wantedEndRoom(const PlotData& plot);
[[nodiscard]] int maxYTicks(double areaHeight);
[[nodiscard]] int maxXTicks(double areaWidth);

void paintHead(
    QPainter& painter, const PlotData& plot, const PlotParts& parts, const Layout& layout);
void paintYLabels(QPainter& painter, const PlotData& plot, const Layout& layout);
/// Leaves out what lies below the chip of the crosshair.
void paintXLabels(
    QPainter& painter, const PlotData& plot, const Layout& layout, std::optional<double> crosshair);
void paintCurves(QPainter& painter, const PlotData& plot, const Layout& layout);
/// Lines of restarts and alerts, spike marks, ticks of non-finite values.
void paintMarks(QPainter& painter, const PlotData& plot, const Layout& layout);
void paintEndLabels(QPainter& painter, const PlotData& plot, const Layout& layout);
/// "not reported by this job", in the frame of an empty chart.
void paintEmpty(QPainter& painter, const PlotData& plot, const Layout& layout);

/// Line, dots on the curves, chip at the axis.
void paintCrosshair(QPainter& painter, const PlotData& plot, const Layout& layout, double x);
[[nodiscard]] QRectF crosshairBounds(const PlotData& plot, const Layout& layout, double x);

/// Centers of the glyphs in the lane: they keep a distance of 12, the order is that of the events.
[[nodiscard]] std::vector<double> glyphCenters(const PlotData& plot, const Layout& layout);

/// y positions of labels: sorted input, at least `gap` apart, inside [top, bottom] if they fit.
[[nodiscard]] std::vector<double> spreadLabels(
    std::vector<double> wanted, double gap, double top, double bottom);

/// "1:42 min–max", "1:1"
[[nodiscard]] QString aggregationText(double samplesPerColumn);

} // namespace desk::plot
