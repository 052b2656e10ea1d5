// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/chart_model_private.h"

#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

using charts::Chart;
using charts::chartIndex;
using charts::ChartSpec;
using charts::chartSpecs;
using charts::kCharts;
using charts::SeriesSpec;
using charts::Track;
using charts::View;

const std::array<ChartSpec, kCharts>& charts::chartSpecs()
{
    static const std::array<ChartSpec, kCharts> specs { {
        { u"loss", u"Loss",
            { { MetricConcept::TrainLoss, u"train", 0, true },
                { MetricConcept::EvalLoss, u"eval", 1, false } },
            false, false, 2000 },
        { u"lr", u"Learning rate", { { MetricConcept::LearningRate, u"", 0, false } }, true, false,
            2000 },
        { u"grad", u"Gradient norm", { { MetricConcept::GradientNorm, u"", 0, true } }, true, false,
            100 },
        { u"throughput", u"Throughput", { { MetricConcept::Throughput, u"", 0, true } }, true, true,
            100 },
    } };
    return specs;
}

ChartModel::ChartModel(QObject* parent)
    : QObject(parent)
    , d(std::make_unique<Private>())
{
    d->pool.setMaxThreadCount(2);
    d->liveTimer.setSingleShot(true);
    d->liveTimer.setInterval(kMillisecondsBetweenLivePlots);
    connect(&d->liveTimer, &QTimer::timeout, this, &ChartModel::rebuildDirty);
    for (int i = 0; i < kCharts; ++i) {
        auto empty = std::make_shared<PlotData>();
        empty->id = QString::fromUtf16(chartSpecs()[static_cast<std::size_t>(i)].id);
        empty->title = chartTitle(i);
        d->charts[static_cast<std::size_t>(i)].plot = std::move(empty);
    }
}

ChartModel::~ChartModel()
{
    d->pool.waitForDone();
}

int ChartModel::chartCount() const noexcept
{
    return kCharts;
}

QString ChartModel::chartTitle(int chart) const
{
    return QString::fromUtf16(chartSpecs()[chartIndex(chart)].title);
}

PlotDataPtr ChartModel::plot(int chart) const
{
    return d->at(chart).plot;
}

void ChartModel::setRuns(QList<ChartRun> runs)
{
    QStringList before;
    for (const ChartRun& run : m_runs)
        before.append(run.id);
    QStringList after;
    for (const ChartRun& run : runs)
        after.append(run.id);
    m_runs = std::move(runs);
    if (before != after) { // other curves: their window is not the old one's
        d->views = {};
        d->zooms.clear();
        m_isFollowing = false;
    }
    for (Chart& chart : d->charts)
        chart.tracks.clear();
    findTracks();
    markAllDirty();
    rebuildDirty();
    Q_EMIT runsChanged();
    Q_EMIT settingsChanged();
}

// Metrics may appear at any time (the first eval), so this looks again whenever samples came.
void ChartModel::findTracks()
{
    constexpr int kRunsPerSeries = 1000;
    for (std::size_t i = 0; i < kCharts; ++i) {
        Chart& chart = d->charts[i];
        int order = 0;
        for (const SeriesSpec& spec : chartSpecs()[i].series) {
            order += kRunsPerSeries;
            for (qsizetype r = 0; r < m_runs.size(); ++r)
                findTrack(chart, spec, m_runs[r], order + static_cast<int>(r));
        }
        std::sort(chart.tracks.begin(), chart.tracks.end(),
            [](const Track& a, const Track& b) { return a.order < b.order; });
    }
}

void ChartModel::findTrack(Chart& chart, const SeriesSpec& spec, const ChartRun& run, int order)
{
    const bool isKnown = std::any_of(chart.tracks.begin(), chart.tracks.end(),
        [order](const Track& track) { return track.order == order; });
    if (isKnown || !run.store)
        return;
    const auto metric = findMetric(*run.store, spec.what);
    if (!metric)
        return;
    Track track;
    track.order = order;
    track.run = run.id;
    track.metric = *metric;
    track.slot = run.slot == 7 ? 7 : (run.slot + spec.slotOffset) % 7;
    track.isSmoothed = spec.isSmoothed;
    track.label = QString::fromUtf16(spec.label);
    if (m_runs.size() > 1)
        track.label = QString(run.label + u' ' + track.label).trimmed();
    else if (run.isDemo && spec.slotOffset == 0)
        track.label = run.label;
    chart.tracks.push_back(std::move(track));
}

void ChartModel::setEvents(const QString& run, std::vector<PlotEvent> eventsByStep)
{
    std::sort(eventsByStep.begin(), eventsByStep.end(),
        [](const PlotEvent& a, const PlotEvent& b) { return a.x < b.x; });
    std::vector<PlotEvent>& stored = d->events[run];
    if (stored == eventsByStep)
        return;
    stored = std::move(eventsByStep);
    markAllDirty();
    scheduleLive();
}

void ChartModel::noteSamples(const QString& run)
{
    const bool isShown =
        std::any_of(m_runs.begin(), m_runs.end(), [&](const ChartRun& r) { return r.id == run; });
    if (!isShown)
        return;
    findTracks();
    markAllDirty();
    scheduleLive();
}

void ChartModel::setLive(const QString& run, bool isLive)
{
    for (ChartRun& shown : m_runs) {
        if (shown.id != run || shown.isLive == isLive)
            continue;
        shown.isLive = isLive;
        if (!hasLiveRun())
            m_isFollowing = false;
        markAllDirty();
        scheduleLive();
        Q_EMIT settingsChanged();
    }
}

void ChartModel::setColumns(int chart, int columns)
{
    Chart& target = d->at(chart);
    if (target.columns == columns)
        return;
    target.columns = columns;
    target.isDirty = true;
    rebuildDirty();
}

void ChartModel::setActive(bool isActive)
{
    if (d->isActive == isActive)
        return;
    d->isActive = isActive;
    if (isActive)
        rebuildDirty();
    else
        d->liveTimer.stop();
}

void ChartModel::setXAxis(XAxisKind kind)
{
    if (kind == m_xKind)
        return;
    m_xKind = kind;
    for (View& view : d->views)
        view.x.reset();
    d->zooms.clear();
    changeSettings();
}

void ChartModel::setSmoothing(double weight)
{
    weight = std::clamp(weight, 0.0, 0.999);
    if (weight == m_smoothing)
        return;
    m_smoothing = weight;
    for (Chart& chart : d->charts) {
        ++chart.epoch; // a job at work still uses the old smoother
        for (Track& track : chart.tracks)
            track.smoother.reset();
    }
    changeSettings();
}

double ChartModel::halfLife() const noexcept
{
    return m_smoothing > 0 ? std::log(0.5) / std::log(m_smoothing) : 0;
}

// "EMA 0.95 over raw", for a chart without a tool bar.
QString ChartModel::smoothingWords() const
{
    if (m_smoothing <= 0)
        return u"raw"_s;
    return u"EMA %1 over raw"_s.arg(QString::number(m_smoothing, 'f', m_smoothing > 0.99 ? 3 : 2));
}

QString ChartModel::smoothingText() const
{
    if (m_smoothing <= 0)
        return u"off"_s;
    const double samples = halfLife();
    const QString life =
        samples < 10 ? QString::number(samples, 'f', 1) : QString::number(std::round(samples));
    return u"EMA %1 half-life %2 steps"_s.arg(
        QString::number(m_smoothing, 'f', m_smoothing > 0.99 ? 3 : 2), life);
}

void ChartModel::setLinked(bool isLinked)
{
    if (isLinked == m_isLinked)
        return;
    m_isLinked = isLinked;
    if (isLinked) {
        for (View& view : d->views)
            view.x = d->views[0].x;
    }
    changeSettings();
}

bool ChartModel::isLogY(int chart) const
{
    return d->at(chart).isLogY;
}

void ChartModel::setLogY(int chart, bool isLog)
{
    Chart& target = d->at(chart);
    if (target.isLogY == isLog)
        return;
    target.isLogY = isLog;
    d->views[chartIndex(chart)].y.reset();
    changeSettings();
}

void ChartModel::changeSettings()
{
    markAllDirty();
    rebuildDirty();
    Q_EMIT settingsChanged();
}

void ChartModel::markAllDirty()
{
    for (Chart& chart : d->charts)
        chart.isDirty = true;
}

void ChartModel::scheduleLive()
{
    if (d->isActive && !d->liveTimer.isActive())
        d->liveTimer.start();
}

bool ChartModel::hasLiveRun() const noexcept
{
    return std::any_of(
        m_runs.begin(), m_runs.end(), [](const ChartRun& run) { return run.isLive; });
}

} // namespace desk
