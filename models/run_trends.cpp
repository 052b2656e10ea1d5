// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/run_trends.h"

#include "services/metrics/series_store.h"
#include "services/runs/metric_names.h"

#include <QSet>

#include <algorithm>
#include <cmath>

namespace desk {

namespace {

    /// Change per 1,000 steps between the newest smoothed value and the one a tenth of the samples
    /// (at least 20) before it; nullopt for fewer than 8 samples.
    std::optional<double> slopeOf(const SeriesSnapshot& smooth)
    {
        const std::size_t size = smooth.size();
        if (size < 8)
            return std::nullopt;
        const std::size_t back = std::min(size - 1, std::max<std::size_t>(20, size / 10));
        const double dx = smooth.x(size - 1) - smooth.x(size - 1 - back);
        const double dy = smooth.value(size - 1) - smooth.value(size - 1 - back);
        if (!(dx > 0) || !std::isfinite(dy))
            return std::nullopt;
        return dy / dx * 1000;
    }

} // namespace

void RunTrends::update(const QList<RunFacts>& runs)
{
    QSet<QString> present;
    for (const RunFacts& run : runs) {
        present.insert(run.id);
        updateRun(run);
    }
    std::erase_if(m_states, [&](const auto& entry) { return !present.contains(entry.first); });
    m_trends.removeIf([&](const auto& entry) { return !present.contains(entry.key()); });
}

void RunTrends::updateRun(const RunFacts& run)
{
    if (!run.series)
        return;
    const auto name = metricNameOf(MetricConcept::Loss, run.series->names());
    if (!name)
        return;
    const SeriesSnapshot raw = run.series->snapshot(*name);
    State& state = m_states[run.id];
    if (!state.smoothed) {
        state.smoothed =
            std::make_unique<SmoothedSeries>(Smoothing { Smoothing::Kind::Ema, kWeight, 1 });
    }
    const SeriesSnapshot smooth = state.smoothed->update(raw);
    RunTrend& trend = m_trends[run.id];
    if (smooth.size() == 0) {
        trend.loss.reset();
        trend.slope.reset();
        return;
    }
    trend.loss = smooth.value(smooth.size() - 1);
    trend.slope = slopeOf(smooth);
    if (state.size != raw.size()) {
        state.size = raw.size();
        ++trend.version;
    }
}

} // namespace desk
