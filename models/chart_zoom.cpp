// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/chart_model_private.h"
#include "models/plot_math.h"

#include <cmath>
#include <utility>

namespace desk {

using charts::Chart;
using charts::chartIndex;
using charts::kCharts;
using charts::kMaxZooms;
using charts::kTailSeconds;
using charts::kTailSteps;
using charts::Track;
using charts::View;

// Where the relative axis of a run begins: its first sample that has a time.
double ChartModel::originOf(const ChartRun& run) const
{
    if (!run.store)
        return 0;
    for (const MetricConcept what : { MetricConcept::TrainLoss, MetricConcept::LearningRate,
             MetricConcept::Throughput, MetricConcept::GradientNorm, MetricConcept::EvalLoss }) {
        const auto metric = findMetric(*run.store, what);
        if (!metric)
            continue;
        const SeriesSnapshot snapshot = run.store->snapshot(*metric);
        if (snapshot.wallUs(0) != 0)
            return double(snapshot.wallUs(0));
    }
    return 0;
}

PlotRange ChartModel::fullRange() const
{
    std::optional<PlotRange> full;
    for (const ChartRun& run : m_runs) {
        if (!run.store)
            continue;
        const double origin = originOf(run);
        for (const Chart& chart : d->charts) {
            for (const Track& track : chart.tracks) {
                if (track.run != run.id)
                    continue;
                const auto extent = extentOf(run.store->snapshot(track.metric), m_xKind, origin);
                if (!extent)
                    continue;
                full = full ? PlotRange { std::min(full->min, extent->min),
                    std::max(full->max, extent->max) }
                            : *extent;
            }
        }
    }
    if (!full)
        return { 0, 1 };
    if (m_xKind == XAxisKind::Step && full->min == 1 && full->max > 1)
        full->min = 0;
    return *full;
}

PlotRange ChartModel::xRange(int chart) const
{
    const View& view = d->views[chartIndex(chart)];
    if (view.x && !m_isFollowing)
        return *view.x;
    PlotRange range = fullRange();
    if (m_isFollowing && hasLiveRun()) {
        const double tail = m_xKind == XAxisKind::Step ? kTailSteps : kTailSeconds;
        const double begin = std::max(range.min, range.max - tail);
        return { begin, liveEnd(begin, range.max) };
    }
    if (hasLiveRun())
        range.max = liveEnd(range.min, range.max);
    if (range.isEmpty())
        range.max = range.min + 1;
    return range;
}

bool ChartModel::isZoomed(int chart) const
{
    const View& view = d->views[chartIndex(chart)];
    return view.x.has_value() || view.y.has_value();
}

void ChartModel::rememberView()
{
    if (!d->zooms.empty() && d->zooms.back() == d->views)
        return;
    if (d->zooms.size() >= kMaxZooms)
        d->zooms.erase(d->zooms.begin());
    d->zooms.push_back(d->views);
}

void ChartModel::setView(int chart, std::optional<PlotRange> x, std::optional<PlotRange> y)
{
    const auto at = chartIndex(chart);
    const bool wasFollowing = std::exchange(m_isFollowing, false);
    for (std::size_t i = 0; i < kCharts; ++i) {
        if (m_isLinked || i == at) {
            d->views[i].x = x;
            d->charts[i].isDirty = true;
        }
    }
    d->views[at].y = y;
    rebuildDirty();
    Q_EMIT rangeChanged(chart);
    if (wasFollowing)
        Q_EMIT settingsChanged();
}

void ChartModel::zoomTo(int chart, PlotRange x, std::optional<PlotRange> y)
{
    if (x.isEmpty() || (y && y->isEmpty()))
        return;
    rememberView();
    const auto at = chartIndex(chart);
    setView(chart, x, y ? y : d->views[at].y);
}

// Half a sample is the closest that makes sense on a step axis.
static double minSpanOf(XAxisKind kind)
{
    return kind == XAxisKind::Step ? 2.0 : 0.5;
}

void ChartModel::zoomBy(int chart, double factor, double anchorX)
{
    const PlotRange before = xRange(chart);
    PlotRange limit = fullRange();
    limit.max = std::max(limit.max, before.max);
    limit.min = std::min(limit.min, before.min);
    const PlotRange after = zoomed(before, factor, anchorX, limit, minSpanOf(m_xKind));
    if (after == before)
        return;
    rememberView();
    const auto at = chartIndex(chart);
    setView(chart, after, d->views[at].y);
}

void ChartModel::zoomYBy(int chart, double factor, double anchorY)
{
    const auto at = chartIndex(chart);
    const PlotRange before = d->charts[at].plot->y;
    PlotRange after;
    if (d->charts[at].isLogY && before.min > 0 && anchorY > 0) {
        const PlotRange logs { std::log10(before.min), std::log10(before.max) };
        const PlotRange scaled = zoomed(logs, factor, std::log10(anchorY), {}, 1e-3);
        after = { std::pow(10.0, scaled.min), std::pow(10.0, scaled.max) };
    } else {
        after = zoomed(before, factor, anchorY, {}, std::max(std::abs(anchorY), 1e-12) * 1e-9);
    }
    if (after.isEmpty() || after == before)
        return;
    rememberView();
    setView(chart, d->views[at].x, after);
}

void ChartModel::beginPan(int chart)
{
    Q_UNUSED(chart)
    rememberView();
}

void ChartModel::panBy(int chart, double deltaX)
{
    const PlotRange before = xRange(chart);
    PlotRange limit = fullRange();
    limit.max = std::max(limit.max, before.max);
    limit.min = std::min(limit.min, before.min);
    const PlotRange after = panned(before, deltaX, limit);
    if (after == before)
        return;
    const auto at = chartIndex(chart);
    setView(chart, after, d->views[at].y);
}

void ChartModel::previousZoom(int chart)
{
    if (d->zooms.empty())
        return;
    d->views = d->zooms.back();
    d->zooms.pop_back();
    markAllDirty();
    rebuildDirty();
    Q_EMIT rangeChanged(chart);
}

void ChartModel::fit(int chart)
{
    const auto at = chartIndex(chart);
    if (!d->views[at].x && !d->views[at].y && !m_isFollowing)
        return;
    rememberView();
    setView(chart, std::nullopt, std::nullopt);
}

void ChartModel::followLive(bool isFollowing)
{
    isFollowing = isFollowing && hasLiveRun();
    if (isFollowing == m_isFollowing)
        return;
    m_isFollowing = isFollowing;
    if (isFollowing) {
        for (View& view : d->views)
            view = {};
    }
    changeSettings();
    Q_EMIT rangeChanged(0);
}

} // namespace desk
