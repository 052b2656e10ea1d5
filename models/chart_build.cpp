// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/chart_model_private.h"
#include "services/core/result.h"
#include "services/on_finished.h"

#include <QtConcurrent>

#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

using charts::Chart;
using charts::chartIndex;
using charts::ChartSpec;
using charts::chartSpecs;
using charts::kCharts;
using charts::Track;

std::vector<PlotEvent> ChartModel::eventsOnAxis() const
{
    std::vector<PlotEvent> events;
    for (const ChartRun& run : m_runs) {
        const auto stored = d->events.constFind(run.id);
        if (stored == d->events.constEnd() || !run.store)
            continue;
        const auto metric = findMetric(*run.store, MetricConcept::TrainLoss);
        const SeriesSnapshot loss = metric ? run.store->snapshot(*metric) : SeriesSnapshot();
        const double origin = originOf(run);
        for (PlotEvent event : *stored) {
            if (m_xKind != XAxisKind::Step) { // events know their step; the ledger knows its time
                const auto at = nearestSample(loss, XAxisKind::Step, 0, event.x);
                if (!at || loss.wallUs(*at) == 0)
                    continue;
                event.x = xOf(loss, m_xKind, origin, *at);
            }
            events.push_back(std::move(event));
        }
    }
    std::sort(events.begin(), events.end(),
        [](const PlotEvent& a, const PlotEvent& b) { return a.x < b.x; });
    return events;
}

void ChartModel::rebuildDirty()
{
    if (!d->isActive)
        return;
    std::optional<std::vector<PlotEvent>> events;
    for (int i = 0; i < kCharts; ++i) {
        Chart& chart = d->at(i);
        if (!chart.isDirty || chart.isBusy || chart.columns <= 0)
            continue;
        if (!events)
            events = eventsOnAxis();
        rebuild(i, *events);
    }
}

void ChartModel::rebuild(int index, const std::vector<PlotEvent>& events)
{
    Chart& chart = d->at(index);
    const ChartSpec& spec = chartSpecs()[static_cast<std::size_t>(index)];
    PlotRequest request;
    request.id = QString::fromUtf16(spec.id);
    request.title = chartTitle(index);
    request.events = events;
    request.xKind = m_xKind;
    request.x = xRange(index);
    request.y = d->views[static_cast<std::size_t>(index)].y;
    request.columns = chart.columns;
    request.isLogY = chart.isLogY;
    request.includesZero = spec.includesZero;
    request.scalesToThousands = spec.scalesToThousands;
    request.hasRun = !m_runs.isEmpty();
    request.isDemo =
        std::any_of(m_runs.cbegin(), m_runs.cend(), [](const ChartRun& run) { return run.isDemo; });
    request.robustFrom = spec.robustFrom;
    std::size_t samples = 0;
    for (Track& track : chart.tracks) {
        for (const ChartRun& run : std::as_const(m_runs)) {
            if (run.id != track.run || !run.store)
                continue;
            if (run.isDemo)
                request.subtitle = u"sample · "_s + smoothingWords();
            if (track.isSmoothed && m_smoothing > 0 && !track.smoother)
                track.smoother = std::make_shared<SmoothedSeries>(
                    Smoothing { Smoothing::Kind::Ema, m_smoothing, 1 });
            TrackSource source { track.run, QString::fromStdString(track.metric), track.label,
                track.slot, run.store->snapshot(track.metric), track.smoother,
                run.id == m_runs.front().id, originOf(run) };
            samples += source.raw.size();
            request.tracks.push_back(std::move(source));
        }
    }
    chart.isDirty = false;
    if (samples <= static_cast<std::size_t>(kInlineSamples)) {
        accept(index, buildPlot(request));
        return;
    }
    chart.isBusy = true;
    const quint64 epoch = ++chart.epoch;
    const QFuture<Result<PlotAnswer>> future = QtConcurrent::run(&d->pool,
        [request = std::move(request)] { return Result<PlotAnswer>(buildPlot(request)); });
    onFinished(future, this, [this, index, epoch](Result<PlotAnswer> answer) {
        Chart& done = d->at(index);
        done.isBusy = false;
        if (answer && epoch == done.epoch)
            accept(index, std::move(*answer));
        if (done.isDirty)
            scheduleLive();
    });
}

void ChartModel::accept(int index, PlotAnswer answer)
{
    Chart& chart = d->at(index);
    chart.plot = std::move(answer.plot);
    for (const PlotTrack& drawn : chart.plot->tracks) {
        const auto at = static_cast<std::size_t>(&drawn - chart.plot->tracks.data());
        for (Track& track : chart.tracks) {
            if (track.run == drawn.run && QString::fromStdString(track.metric) == drawn.metric
                && at < answer.lines.size())
                track.line = answer.lines[at];
        }
    }
    Q_EMIT plotChanged(index);
}

Readout ChartModel::readoutAt(double x) const
{
    Readout readout;
    readout.x = x;
    for (const Chart& chart : d->charts) {
        for (const Track& track : chart.tracks) {
            for (const ChartRun& run : m_runs) {
                if (run.id != track.run || !run.store)
                    continue;
                const SeriesSnapshot raw = run.store->snapshot(track.metric);
                const double origin = originOf(run);
                const auto at = nearestSample(raw, m_xKind, origin, x);
                if (!at)
                    continue;
                ReadoutValue value;
                value.slot = track.slot;
                value.chart = chart.plot->id;
                value.label = readoutLabel(chart.plot->id, track.label);
                value.raw = raw.value(*at);
                value.smooth = *at < track.line.size() ? track.line.value(*at) : value.raw;
                readout.values.push_back(value);
                if (!readout.isValid) {
                    readout.isValid = true;
                    readout.step = static_cast<long long>(std::llround(raw.x(*at)));
                    readout.wall = double(raw.wallUs(*at)) / 1e6;
                }
            }
        }
    }
    return readout;
}

QString ChartModel::readoutLabel(const QString& chart, const QString& label)
{
    static const QHash<QString, QString> words { { u"lr"_s, u"lr"_s }, { u"grad"_s, u"grad"_s },
        { u"throughput"_s, u"tok/s"_s } };
    const QString word = words.value(chart);
    return word.isEmpty() ? label : QString(label + u' ' + word).trimmed();
}

double ChartModel::neighborSample(double x, int direction) const
{
    for (const Chart& chart : d->charts) {
        for (const Track& track : chart.tracks) {
            for (const ChartRun& run : m_runs) {
                if (run.id != track.run || !run.store)
                    continue;
                const SeriesSnapshot raw = run.store->snapshot(track.metric);
                const double origin = originOf(run);
                const auto at = nearestSample(raw, m_xKind, origin, x);
                if (!at)
                    continue;
                const double here = xOf(raw, m_xKind, origin, *at);
                if ((direction > 0 && here > x) || (direction < 0 && here < x))
                    return here;
                if (direction < 0)
                    return *at > 0 ? xOf(raw, m_xKind, origin, *at - 1) : here;
                return *at + 1 < raw.size() ? xOf(raw, m_xKind, origin, *at + 1) : here;
            }
        }
    }
    return x;
}

double ChartModel::neighborEvent(double x, int direction) const
{
    double best = x;
    for (const PlotEvent& event : eventsOnAxis()) {
        if (direction > 0 && event.x > x)
            return event.x;
        if (direction < 0 && event.x < x)
            best = event.x;
    }
    return best;
}

} // namespace desk
