// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/plot_data.h"
#include "services/metrics/series.h"
#include "services/metrics/smoothing.h"

#include <QString>

#include <memory>
#include <optional>
#include <vector>

namespace desk {

/// One series to be drawn: snapshots, so that it can be built on any thread while samples stream
/// in.
struct TrackSource
{
    QString run;
    QString metric;
    QString label;
    int slot = 0;
    SeriesSnapshot raw;
    std::shared_ptr<SmoothedSeries> smoother; ///< null: the line is the raw series
    bool showsRaw = true; ///< the raw band behind a smoothed line
    double originUs = 0; ///< XAxisKind::Relative counts from here
};

struct PlotRequest
{
    QString id;
    QString title;
    QString subtitle; ///< empty: the metric names
    std::vector<TrackSource> tracks;
    std::vector<PlotEvent> events; ///< x in the request's axis kind
    XAxisKind xKind = XAxisKind::Step;
    PlotRange x;
    std::optional<PlotRange> y; ///< nullopt: chosen from the data
    int columns = 1;
    bool isLogY = false;
    bool includesZero = false;
    bool scalesToThousands = false; ///< large values read "38.5" with " · k" in the subtitle
    long long robustFrom = 2000; ///< samples; with fewer of them every value is shown
    bool isDemo = false;
    bool hasRun = true; ///< false: nothing is selected, so nothing is missing either
};

struct PlotAnswer
{
    PlotDataPtr plot;
    std::vector<SeriesSnapshot> lines; ///< by track: what the line is drawn from
};

/// THREAD: any; one request at a time per smoother, which is brought up to date here.
[[nodiscard]] PlotAnswer buildPlot(const PlotRequest& request);

/// Samples [begin, end) of the visible curve whose x lies in the window, in order of x.
struct SampleSpan
{
    std::size_t begin = 0;
    std::size_t end = 0;
};
[[nodiscard]] std::vector<SampleSpan> spansIn(
    const SeriesSnapshot& series, XAxisKind kind, double originUs, PlotRange x);
[[nodiscard]] double xOf(
    const SeriesSnapshot& series, XAxisKind kind, double originUs, std::size_t index);
/// The sample of the visible curve nearest to x; nullopt when there is none.
[[nodiscard]] std::optional<std::size_t> nearestSample(
    const SeriesSnapshot& series, XAxisKind kind, double originUs, double x);
/// x of the first and the last sample.
[[nodiscard]] std::optional<PlotRange> extentOf(
    const SeriesSnapshot& series, XAxisKind kind, double originUs);

} // namespace desk
