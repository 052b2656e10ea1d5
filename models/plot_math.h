// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/plot_data.h"

#include <QPointF>
#include <QRectF>

#include <vector>

// Pure functions of axes: zoom, pan, ticks, mapping. No state, any thread.

namespace desk {

/// The range after zooming by factor (< 1 in, > 1 out) with the value `anchor` staying in place;
/// kept inside `limit` unless that is empty, and never narrower than minSpan.
[[nodiscard]] PlotRange zoomed(
    PlotRange range, double factor, double anchor, PlotRange limit, double minSpan);
/// Moved by delta, stopping at `limit` without a change of span.
[[nodiscard]] PlotRange panned(PlotRange range, double delta, PlotRange limit);

struct Tick
{
    double value = 0;
    QString text; ///< "0", "2 k", "1.8", "5e-06"
};
/// At most maxTicks round values inside the range (steps 1, 2, 5 × 10^n); texts show value × scale.
[[nodiscard]] std::vector<Tick> linearTicks(PlotRange range, int maxTicks, double scale = 1);
[[nodiscard]] std::vector<Tick> logTicks(PlotRange range, int maxTicks);
/// Steps as "2 k", seconds as "1:30" or "2 h", wall times as "14:05" in local time.
[[nodiscard]] std::vector<Tick> xTicks(PlotRange range, XAxisKind kind, int maxTicks);

/// The next end of a live axis: it grows in steps, not with every sample.
[[nodiscard]] double liveEnd(double first, double last);

/// Values of one decimal range as people read them: 1.8113, 38.5 k, 6.70e-06, "NaN".
[[nodiscard]] QString formatValue(double value, int significant = 4);
[[nodiscard]] QString formatStep(double step); ///< 13,212
[[nodiscard]] QString formatXValue(double x, XAxisKind kind); ///< the crosshair chip

/// Data <-> pixels of a plot area. Values are clamped to a finite window around the area, so that
/// an extreme zoom never overflows the raster engine. On a log axis non-positive values map to the
/// bottom.
class PlotMap
{
public:
    PlotMap(QRectF area, PlotRange x, PlotRange y, bool isLogY = false);
    [[nodiscard]] double px(double x) const noexcept;
    [[nodiscard]] double py(double y) const noexcept;
    [[nodiscard]] double x(double px) const noexcept;
    [[nodiscard]] double y(double py) const noexcept;
    [[nodiscard]] const QRectF& area() const noexcept { return m_area; }

private:
    QRectF m_area;
    PlotRange m_x;
    PlotRange m_y; ///< of log10 where isLogY
    bool m_isLogY;
};

} // namespace desk
