// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/plot_data.h"

#include <QList>
#include <QObject>
#include <QString>

#include <memory>
#include <optional>

namespace desk {

class SeriesStore;
struct PlotAnswer;
namespace charts {
    struct Chart;
    struct SeriesSpec;
} // namespace charts

/// A run to plot. The store is read through its lock-free snapshots; the owner keeps writing to it
/// and calls ChartModel::noteSamples() when something was appended.
struct ChartRun
{
    QString id; ///< run id or job name; stable
    QString label; ///< short prefix of end labels when several runs are shown, e.g. "r4"
    int slot = 0; ///< series color of the train curve
    std::shared_ptr<const SeriesStore> store;
    bool isLive = false; ///< still running: the x axis grows in steps
    bool isDemo = false;
};

/// The link group of charts: which curves, which window, how smooth.
///
/// Threading: GUI thread only. Windows larger than kInlineSamples are computed on an own pool; a
/// newer request replaces an older one. Answers come as plotChanged(), at most ten per second and
/// chart while samples stream in, at once after a user's action.
class ChartModel : public QObject
{
    Q_OBJECT

public:
    explicit ChartModel(QObject* parent = nullptr);
    ~ChartModel() override;
    Q_DISABLE_COPY_MOVE(ChartModel)

    void setRuns(QList<ChartRun> runs);
    [[nodiscard]] const QList<ChartRun>& runs() const noexcept { return m_runs; }
    void setEvents(const QString& run, std::vector<PlotEvent> eventsByStep); ///< x = step
    void noteSamples(const QString& run); ///< the run's store has grown
    void setLive(const QString& run, bool isLive);

    [[nodiscard]] int
    chartCount() const noexcept; ///< 4: loss, learning rate, gradient norm, throughput
    [[nodiscard]] PlotDataPtr plot(int chart) const; ///< never null; may be empty
    [[nodiscard]] QString chartTitle(int chart) const;
    /// Tells how many device pixel columns a chart has; 0 = not on screen, nothing is computed for
    /// it.
    void setColumns(int chart, int columns);
    void setActive(bool isActive); ///< false while the charts are hidden: no work at all

    [[nodiscard]] XAxisKind xAxis() const noexcept { return m_xKind; }
    void setXAxis(XAxisKind kind);
    [[nodiscard]] double smoothing() const noexcept { return m_smoothing; } ///< 0 (off) .. 0.999
    void setSmoothing(double weight);
    [[nodiscard]] QString smoothingText() const; ///< "EMA 0.99 half-life 69 steps" or "off"
    [[nodiscard]] double halfLife() const noexcept; ///< samples; 0 when smoothing is off
    [[nodiscard]] bool isLinked() const noexcept { return m_isLinked; }
    void setLinked(bool isLinked);
    [[nodiscard]] bool isLogY(int chart) const;
    void setLogY(int chart, bool isLog);

    // The window. Without a zoom it is everything there is; with isFollowing() it is the live tail.
    [[nodiscard]] PlotRange xRange(int chart) const; ///< as drawn
    [[nodiscard]] PlotRange fullRange() const; ///< of all samples
    [[nodiscard]] bool isZoomed(int chart) const;
    [[nodiscard]] bool isFollowing() const noexcept { return m_isFollowing; }
    [[nodiscard]] bool hasLiveRun() const noexcept;
    void zoomTo(
        int chart, PlotRange x, std::optional<PlotRange> y = {}); ///< remembers the previous
    void zoomBy(int chart, double factor, double anchorX);
    void zoomYBy(int chart, double factor, double anchorY);
    void panBy(int chart, double deltaX); ///< a drag is one entry of the zoom history
    void beginPan(int chart);
    void previousZoom(int chart);
    void fit(int chart);
    void followLive(bool isFollowing); ///< 2,000 steps or ten minutes

    /// Values nearest to x in all charts (or in one if not linked).
    [[nodiscard]] Readout readoutAt(double x) const;
    /// x of the sample beside x: -1 the one before, +1 the one after.
    [[nodiscard]] double neighborSample(double x, int direction) const;
    [[nodiscard]] double neighborEvent(double x, int direction) const;

    static constexpr qsizetype kInlineSamples = 60'000;
    static constexpr int kMillisecondsBetweenLivePlots = 100;

Q_SIGNALS:
    void runsChanged();
    void plotChanged(int chart);
    void rangeChanged(int chart);
    void settingsChanged(); ///< x axis, smoothing, link, log, follow

private:
    void findTracks();
    void findTrack(
        charts::Chart& chart, const charts::SeriesSpec& spec, const ChartRun& run, int order);
    void markAllDirty();
    void scheduleLive();
    void changeSettings();
    void rememberView();
    void setView(int chart, std::optional<PlotRange> x, std::optional<PlotRange> y);
    void rebuildDirty();
    void rebuild(int chart, const std::vector<PlotEvent>& events);
    void accept(int chart, PlotAnswer answer);
    [[nodiscard]] QString smoothingWords() const;
    [[nodiscard]] double originOf(const ChartRun& run) const;
    [[nodiscard]] std::vector<PlotEvent> eventsOnAxis() const;
    [[nodiscard]] static QString readoutLabel(const QString& chart, const QString& label);

    struct Private;
    std::unique_ptr<Private> d;
    QList<ChartRun> m_runs;
    XAxisKind m_xKind = XAxisKind::Step;
    double m_smoothing = 0.9;
    bool m_isLinked = true;
    bool m_isFollowing = false;
};

} // namespace desk
