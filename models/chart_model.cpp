// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/chart_model.h"

#include "models/metric_aliases.h"
#include "models/plot_builder.h"
#include "models/plot_math.h"
#include "services/core/result.h"
#include "services/metrics/series_store.h"
#include "services/metrics/smoothing.h"
#include "services/on_finished.h"

#include <QElapsedTimer>
#include <QHash>
#include <QThreadPool>
#include <QTimer>
#include <QtConcurrent>

#include <array>
#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr int kCharts = 4;
    constexpr double kTailSteps = 2000;
    constexpr double kTailSeconds = 600;
    constexpr std::size_t kMaxZooms = 64;

    struct SeriesSpec
    {
        MetricConcept what;
        const char16_t* label;
        int slotOffset;
        bool isSmoothed;
    };

    struct ChartSpec
    {
        const char16_t* id;
        const char16_t* title;
        std::vector<SeriesSpec> series;
        bool includesZero;
        bool scalesToThousands;
    };

    const std::array<ChartSpec, kCharts>& chartSpecs()
    {
        static const std::array<ChartSpec, kCharts> specs { {
            { u"loss", u"Loss",
                { { MetricConcept::TrainLoss, u"train", 0, true },
                    { MetricConcept::EvalLoss, u"eval", 1, false } },
                false, false },
            { u"lr", u"Learning rate", { { MetricConcept::LearningRate, u"", 0, false } }, true,
                false },
            { u"grad", u"Gradient norm", { { MetricConcept::GradientNorm, u"", 0, true } }, true,
                false },
            { u"throughput", u"Throughput", { { MetricConcept::Throughput, u"", 0, true } }, true,
                true },
        } };
        return specs;
    }

    // One curve of one run in one chart, kept while the run is shown.
    struct Track
    {
        QString run;
        int slot = 0;
        QString label;
        std::string metric;
        bool isSmoothed = false;
        std::shared_ptr<SmoothedSeries> smoother;
        SeriesSnapshot line; ///< as last drawn; the readout reads it
    };

    struct View
    {
        std::optional<PlotRange> x;
        std::optional<PlotRange> y;
        bool operator==(const View&) const = default;
    };

    using Views = std::array<View, kCharts>;

    struct Chart
    {
        std::vector<Track> tracks;
        PlotDataPtr plot;
        int columns = 0;
        bool isLogY = false;
        bool isDirty = true;
        bool isBusy = false; ///< a job of the pool is at work
        quint64 epoch = 0; ///< a job of an older epoch is not shown
        QElapsedTimer sinceBuilt;
    };

} // namespace

struct ChartModel::Private
{
    std::array<Chart, kCharts> charts;
    Views views;
    std::vector<Views> zooms;
    QHash<QString, std::vector<PlotEvent>> events;
    QTimer liveTimer;
    bool isActive = true;
    QThreadPool pool; // last: waits for its jobs before anything they use goes
};

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

static Chart& chartAt(std::array<Chart, kCharts>& charts, int chart)
{
    return charts[static_cast<std::size_t>(std::clamp(chart, 0, kCharts - 1))];
}

int ChartModel::chartCount() const noexcept
{
    return kCharts;
}

QString ChartModel::chartTitle(int chart) const
{
    return QString::fromUtf16(
        chartSpecs()[static_cast<std::size_t>(std::clamp(chart, 0, kCharts - 1))].title);
}

PlotDataPtr ChartModel::plot(int chart) const
{
    return chartAt(d->charts, chart).plot;
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
    for (std::size_t i = 0; i < kCharts; ++i) {
        Chart& chart = d->charts[i];
        for (const ChartRun& run : m_runs) {
            if (!run.store)
                continue;
            for (const SeriesSpec& spec : chartSpecs()[i].series) {
                const auto metric = findMetric(*run.store, spec.what);
                if (!metric)
                    continue;
                const bool isKnown = std::any_of(chart.tracks.begin(), chart.tracks.end(),
                    [&](const Track& t) { return t.run == run.id && t.metric == *metric; });
                if (isKnown)
                    continue;
                Track track;
                track.run = run.id;
                track.metric = *metric;
                track.slot = run.slot == 7 ? 7 : (run.slot + spec.slotOffset) % 7;
                track.isSmoothed = spec.isSmoothed;
                const QString word = QString::fromUtf16(spec.label);
                track.label = word;
                if (m_runs.size() > 1)
                    track.label = QString(run.label + u' ' + word).trimmed();
                else if (run.isDemo)
                    track.label = run.label;
                chart.tracks.push_back(std::move(track));
            }
        }
    }
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
    Chart& target = chartAt(d->charts, chart);
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
    return chartAt(d->charts, chart).isLogY;
}

void ChartModel::setLogY(int chart, bool isLog)
{
    Chart& target = chartAt(d->charts, chart);
    if (target.isLogY == isLog)
        return;
    target.isLogY = isLog;
    d->views[static_cast<std::size_t>(std::clamp(chart, 0, kCharts - 1))].y.reset();
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
    const View& view = d->views[static_cast<std::size_t>(std::clamp(chart, 0, kCharts - 1))];
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
    const View& view = d->views[static_cast<std::size_t>(std::clamp(chart, 0, kCharts - 1))];
    return view.x.has_value() || view.y.has_value();
}

// ---- zoom ----

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
    const auto at = static_cast<std::size_t>(std::clamp(chart, 0, kCharts - 1));
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
    const auto at = static_cast<std::size_t>(std::clamp(chart, 0, kCharts - 1));
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
    const auto at = static_cast<std::size_t>(std::clamp(chart, 0, kCharts - 1));
    setView(chart, after, d->views[at].y);
}

void ChartModel::zoomYBy(int chart, double factor, double anchorY)
{
    const auto at = static_cast<std::size_t>(std::clamp(chart, 0, kCharts - 1));
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
    const auto at = static_cast<std::size_t>(std::clamp(chart, 0, kCharts - 1));
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
    const auto at = static_cast<std::size_t>(std::clamp(chart, 0, kCharts - 1));
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

// ---- building ----

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
        Chart& chart = chartAt(d->charts, i);
        if (!chart.isDirty || chart.isBusy || chart.columns <= 0)
            continue;
        if (!events)
            events = eventsOnAxis();
        rebuild(i, *events);
    }
}

void ChartModel::rebuild(int index, const std::vector<PlotEvent>& events)
{
    Chart& chart = chartAt(d->charts, index);
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
    std::size_t samples = 0;
    for (Track& track : chart.tracks) {
        for (const ChartRun& run : std::as_const(m_runs)) {
            if (run.id != track.run || !run.store)
                continue;
            if (run.isDemo) {
                request.isDemo = true;
                request.subtitle = u"sample · "_s + smoothingWords();
            }
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
        Chart& done = chartAt(d->charts, index);
        done.isBusy = false;
        if (answer && epoch == done.epoch)
            accept(index, std::move(*answer));
        if (done.isDirty)
            scheduleLive();
    });
}

void ChartModel::accept(int index, PlotAnswer answer)
{
    Chart& chart = chartAt(d->charts, index);
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

// ---- readout ----

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
