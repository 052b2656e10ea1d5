// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/plot_builder.h"
#include "services/metrics/series_store.h"
#include "tests/support/chart_data.h"

#include <QtTest>

#include <algorithm>
#include <cmath>

using namespace Qt::StringLiterals;
using namespace desk;

static PlotRequest requestFor(
    const SeriesStore& store, const char* metric, PlotRange x, int columns)
{
    PlotRequest request;
    request.x = x;
    request.columns = columns;
    TrackSource source;
    source.metric = QString::fromLatin1(metric);
    source.raw = store.snapshot(metric);
    request.tracks.push_back(std::move(source));
    return request;
}

class PlotBuilderTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void columns_equalTheExtremesOfTheRawSamples()
    {
        SeriesStore store;
        test::Noise noise;
        std::vector<double> values;
        for (int i = 0; i < 10'000; ++i) {
            values.push_back(noise.next());
            store.append("v", XValue::of(std::int64_t(i)), values.back());
        }
        const PlotRange window { 1000, 9000 };
        const auto plot = buildPlot(requestFor(store, "v", window, 250)).plot;
        const PlotTrack& track = plot->tracks.at(0);
        QVERIFY(track.raw.size() <= 251);
        QVERIFY(track.samplesPerColumn > 30 && track.samplesPerColumn < 34);
        double low = 1e9;
        double high = -1e9;
        for (const PlotColumn& column : track.raw) {
            low = std::min(low, column.min);
            high = std::max(high, column.max);
        }
        QCOMPARE(low, *std::min_element(values.begin() + 1000, values.begin() + 9001));
        QCOMPARE(high, *std::max_element(values.begin() + 1000, values.begin() + 9001));
    }
    void oneSpike_survivesAThousandFoldReduction()
    {
        SeriesStore store;
        for (int i = 0; i < 200'000; ++i)
            store.append("v", XValue::of(std::int64_t(i)), i == 123'457 ? 50.0 : 1.0);
        const auto plot = buildPlot(requestFor(store, "v", { 0, 199'999 }, 200)).plot;
        const auto& raw = plot->tracks.at(0).raw;
        const auto top = std::max_element(raw.begin(), raw.end(),
            [](const PlotColumn& a, const PlotColumn& b) { return a.max < b.max; });
        QCOMPARE(top->max, 50.0);
        QVERIFY(std::abs(top->x - 123'457) < 1000);
    }
    void line_reachesBeyondBothEdgesOfTheWindow()
    {
        SeriesStore store;
        for (int i = 0; i < 100; i += 10)
            store.append("v", XValue::of(std::int64_t(i)), i);
        const auto plot = buildPlot(requestFor(store, "v", { 25, 55 }, 300)).plot;
        const auto& line = plot->tracks.at(0).line;
        QCOMPARE(line.front().x, 20.0);
        QCOMPARE(line.back().x, 60.0);
        QCOMPARE(line.size(), 5U);
    }
    void line_betweenTwoSamples_isStillThere()
    {
        SeriesStore store;
        store.append("v", XValue::of(std::int64_t(0)), 1);
        store.append("v", XValue::of(std::int64_t(100)), 3);
        const auto line =
            buildPlot(requestFor(store, "v", { 40, 60 }, 100)).plot->tracks.at(0).line;
        QCOMPARE(line.size(), 2U);
        QCOMPARE(line.front().x, 0.0);
        QCOMPARE(line.back().x, 100.0);
    }
    void nonFiniteValues_areGapsAndCounted()
    {
        SeriesStore store;
        for (int i = 0; i < 50; ++i)
            store.append("v", XValue::of(std::int64_t(i)),
                i == 20       ? std::nan("")
                    : i == 30 ? std::numeric_limits<double>::infinity()
                              : 1.0);
        const auto plot = buildPlot(requestFor(store, "v", { 0, 49 }, 200)).plot;
        QCOMPARE(plot->nonFinite, 2LL);
        const PlotTrack& track = plot->tracks.at(0);
        QCOMPARE(track.nonFiniteAt, (std::vector<double> { 20, 30 }));
        QVERIFY(std::any_of(track.line.begin(), track.line.end(),
            [](const PlotPoint& p) { return p.x == 20 && std::isnan(p.y); }));
        QVERIFY(std::isfinite(plot->y.min) && std::isfinite(plot->y.max));
    }
    void restart_isAGapAndTheOvertakenPartIsNotDrawn()
    {
        SeriesStore store;
        for (int i = 0; i < 60; ++i)
            store.append("v", XValue::of(std::int64_t(i)), 1);
        for (int i = 40; i < 80; ++i)
            store.append("v", XValue::of(std::int64_t(i)), 2);
        const auto line =
            buildPlot(requestFor(store, "v", { 0, 100 }, 300)).plot->tracks.at(0).line;
        double before = -1;
        for (const PlotPoint& point : line) {
            QVERIFY(point.x >= before);
            before = point.x;
            if (point.x >= 40 && std::isfinite(point.y))
                QCOMPARE(point.y, 2.0);
        }
        QVERIFY(std::any_of(
            line.begin(), line.end(), [](const PlotPoint& p) { return std::isnan(p.y); }));
    }
    void outliers_areCutOffTheRangeAndCountedExactly()
    {
        SeriesStore store;
        test::Noise noise;
        for (int i = 0; i < 5000; ++i)
            store.append(
                "v", XValue::of(std::int64_t(i)), i % 1000 == 7 ? 900.0 : 1 + 0.1 * noise.next());
        PlotRequest request = requestFor(store, "v", { 0, 4999 }, 400);
        request.tracks[0].smoother =
            std::make_shared<SmoothedSeries>(Smoothing { Smoothing::Kind::Ema, 0.9, 1 });
        const auto plot = buildPlot(request).plot;
        QVERIFY(plot->y.max < 300);
        const auto raw = store.snapshot("v");
        long long above = 0;
        for (std::size_t i = 0; i < raw.size(); ++i)
            above += raw.value(i) > plot->y.max ? 1 : 0;
        QCOMPARE(plot->aboveRange, above);
        QVERIFY(above >= 5);
    }
    void fewSamples_showEverything()
    {
        SeriesStore store;
        for (int i = 0; i < 40; ++i)
            store.append("v", XValue::of(std::int64_t(i)), i == 0 ? 900.0 : 1.0);
        const auto plot = buildPlot(requestFor(store, "v", { 0, 39 }, 400)).plot;
        QVERIFY(plot->y.max > 900);
        QCOMPARE(plot->aboveRange, 0LL);
    }
    void missingMetric_isSaidAndNeverAZeroLine()
    {
        PlotRequest request;
        request.x = { 0, 10 };
        QVERIFY(!buildPlot(request).plot->isReported);
        QVERIFY(buildPlot(request).plot->tracks.empty());
        request.hasRun = false;
        QVERIFY(buildPlot(request).plot->isReported);
    }
    void timeAxis_readsTheLedgersClock()
    {
        SeriesStore store;
        test::appendSteps(store, 0, 100);
        PlotRequest request = requestFor(store, "train/loss", { 0, 60 }, 500);
        request.xKind = XAxisKind::Relative;
        request.tracks[0].originUs = double(test::kStartUs);
        const auto line = buildPlot(request).plot->tracks.at(0).line;
        QCOMPARE(line.front().x, 0.0);
        QVERIFY(std::abs(line.at(1).x - 1.9) < 1e-6);
        QVERIFY(line.back().x > 60 && line.back().x < 62);
    }
    void smallAndLargeValues_getAScaleThatTheSubtitleNames()
    {
        SeriesStore store;
        test::appendSteps(store, 0, 400);
        const auto lr = buildPlot(requestFor(store, "optim/lr", { 0, 399 }, 200)).plot;
        QCOMPARE(lr->yScale, 1e6);
        QVERIFY(lr->subtitle.endsWith(u"×10⁻⁶"_s));
        PlotRequest rate = requestFor(store, "perf/tokens_per_second", { 0, 399 }, 200);
        rate.scalesToThousands = true;
        QCOMPARE(buildPlot(rate).plot->yScale, 1e-3);
    }
};

QTEST_GUILESS_MAIN(PlotBuilderTest)
#include "tst_plot_builder.moc"
