// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QMetaType>
#include <QString>

#include <limits>
#include <memory>
#include <vector>

// What a chart shows, as plain values: made by ChartModel (on any thread), painted by an
// IPlotSurface. Immutable once published through shared_ptr<const PlotData>.

namespace desk {

enum class XAxisKind
{
    Step,
    Relative, ///< seconds since the run's first sample
    Wall ///< seconds since the Unix epoch
};

/// A closed interval of one axis. Empty when !(min < max).
struct PlotRange
{
    double min = 0;
    double max = 0;
    [[nodiscard]] bool isEmpty() const noexcept { return !(min < max); }
    [[nodiscard]] double span() const noexcept { return max - min; }
    [[nodiscard]] bool contains(double v) const noexcept { return v >= min && v <= max; }
    bool operator==(const PlotRange&) const = default;
};

/// All samples of one pixel column. Extremes are those of the raw samples, never of a sampling;
/// both are NaN where the band has a gap (a restart, a non-finite value).
struct PlotColumn
{
    double x = 0; ///< center
    double min = 0;
    double max = 0;
};

/// y is NaN where the line has a gap.
struct PlotPoint
{
    double x = 0;
    double y = std::numeric_limits<double>::quiet_NaN();
};

/// One series in one chart.
struct PlotTrack
{
    QString run; ///< run id
    QString metric; ///< key as reported, e.g. "train/loss"
    QString label; ///< end-of-line label without the value, e.g. "r4 train"
    int slot = 0; ///< series color 0..7
    bool showsRaw = false; ///< paint `raw` behind the line
    bool showsDots = false; ///< few samples: a dot at each
    std::vector<PlotColumn> raw; ///< by x; a gap is one column of NaN
    std::vector<PlotPoint> line; ///< by x; smoothed unless smoothing is off
    double last = std::numeric_limits<double>::quiet_NaN(); ///< newest value of the line
    double samplesPerColumn = 1;
    long long nonFinite = 0; ///< in the window
    std::vector<double> nonFiniteAt; ///< x of columns that hold a non-finite sample
    long long aboveRange = 0; ///< raw samples above the drawn y range
    long long belowRange = 0;
};

enum class PlotEventKind
{
    Snapshot, ///< filled diamond: a model snapshot (base or delta)
    TrainingState, ///< hollow diamond
    Hotload, ///< triangle
    Restart, ///< arrow
    Alert ///< triangle with !
};

struct PlotEvent
{
    PlotEventKind kind = PlotEventKind::Snapshot;
    double x = 0; ///< in the axis kind of the data
    QString id {}; ///< checkpoint or operation name; empty if none
    QString text {}; ///< one line for the readout and screen readers
    bool operator==(const PlotEvent&) const = default;
};

/// One chart of the grid.
struct PlotData
{
    QString id; ///< "loss", "lr", "grad", "throughput"
    QString title;
    QString subtitle; ///< metric names and unit
    XAxisKind xKind = XAxisKind::Step;
    PlotRange x;
    PlotRange y;
    bool isLogY = false;
    double yScale = 1; ///< tick labels show y * yScale (the subtitle names the factor)
    bool isReported = true; ///< false: the job never reported any of the metrics
    bool isDemo = false;
    double samplesPerColumn = 1; ///< worst track; 1 reads "1:1"
    long long nonFinite = 0;
    long long aboveRange = 0;
    long long belowRange = 0;
    std::vector<PlotTrack> tracks;
    std::vector<PlotEvent> events;
};

using PlotDataPtr = std::shared_ptr<const PlotData>;

/// One value at the crosshair.
struct ReadoutValue
{
    QString label;
    int slot = 0;
    double smooth = std::numeric_limits<double>::quiet_NaN();
    double raw = std::numeric_limits<double>::quiet_NaN();
    QString chart; ///< PlotData::id
};

struct Readout
{
    bool isValid = false;
    double x = 0;
    long long step = 0; ///< of the nearest sample
    double wall = 0; ///< seconds since the Unix epoch; 0: not known
    std::vector<ReadoutValue> values;
};

} // namespace desk

Q_DECLARE_METATYPE(desk::PlotEvent)
Q_DECLARE_METATYPE(desk::PlotRange)
