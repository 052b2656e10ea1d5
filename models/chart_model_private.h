// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/chart_model.h"
#include "models/metric_aliases.h"
#include "models/plot_builder.h"
#include "services/metrics/series_store.h"
#include "services/metrics/smoothing.h"

#include <QElapsedTimer>
#include <QHash>
#include <QThreadPool>
#include <QTimer>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// What the source files of ChartModel share; nobody else includes it.

namespace desk::charts {

inline constexpr int kCharts = 4;
inline constexpr double kTailSteps = 2000;
inline constexpr double kTailSeconds = 600;
inline constexpr std::size_t kMaxZooms = 64;

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
    long long robustFrom; ///< samples from which outliers are cut off and counted
};

[[nodiscard]] const std::array<ChartSpec, kCharts>& chartSpecs();

// One curve of one run in one chart, kept while the run is shown.
struct Track
{
    QString run;
    int order = 0; ///< by series of the chart, then by run
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

[[nodiscard]] inline std::size_t chartIndex(int chart)
{
    return static_cast<std::size_t>(std::clamp(chart, 0, kCharts - 1));
}

} // namespace desk::charts

namespace desk {

struct ChartModel::Private
{
    std::array<charts::Chart, charts::kCharts> charts;
    charts::Views views;
    std::vector<charts::Views> zooms;
    QHash<QString, std::vector<PlotEvent>> events;
    QTimer liveTimer;
    [[nodiscard]] charts::Chart& at(int chart) { return charts[charts::chartIndex(chart)]; }
    bool isActive = true;
    QThreadPool pool; // last: waits for its jobs before anything they use goes
};

} // namespace desk
