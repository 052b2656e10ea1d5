// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/chart_model.h"
#include "models/metric_aliases.h"
#include "services/metrics/series_store.h"
#include "tests/support/chart_data.h"

#include <QSignalSpy>
#include <QtTest>

#include <cmath>

using namespace Qt::StringLiterals;
using namespace desk;

static void showAll(ChartModel& model)
{
    for (int i = 0; i < model.chartCount(); ++i)
        model.setColumns(i, 300);
}

class ChartModelTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init() { QTest::failOnWarning(QRegularExpression(u".*"_s)); }

    void aliases_findWhatEachLoopCallsIt_data()
    {
        QTest::addColumn<QByteArray>("key");
        QTest::addColumn<int>("what");
        QTest::addRow("cookbook") << QByteArray("train/loss") << int(MetricConcept::TrainLoss);
        QTest::addRow("tinker nll")
            << QByteArray("train_mean_nll") << int(MetricConcept::TrainLoss);
        QTest::addRow("hf") << QByteArray("loss") << int(MetricConcept::TrainLoss);
        QTest::addRow("eval") << QByteArray("test/nll") << int(MetricConcept::EvalLoss);
        QTest::addRow("lr") << QByteArray("learning_rate") << int(MetricConcept::LearningRate);
        QTest::addRow("grad") << QByteArray("grad_norm") << int(MetricConcept::GradientNorm);
        QTest::addRow("rate") << QByteArray("tokens_per_second") << int(MetricConcept::Throughput);
    }
    void aliases_findWhatEachLoopCallsIt()
    {
        QFETCH(QByteArray, key);
        QFETCH(int, what);
        SeriesStore store;
        store.append("unrelated", XValue::of(std::int64_t(0)), 1);
        QVERIFY(!findMetric(store, MetricConcept(what)));
        store.append(key.toStdString(), XValue::of(std::int64_t(0)), 1);
        QCOMPARE(findMetric(store, MetricConcept(what)), std::optional(key.toStdString()));
    }

    void setRuns_fillsTheFourCharts()
    {
        ChartModel model;
        showAll(model);
        model.setRuns({ test::makeRun(u"a"_s, 500) });
        QCOMPARE(model.plot(0)->tracks.size(), 2U);
        QCOMPARE(model.plot(0)->tracks[0].label, u"train"_s);
        QCOMPARE(model.plot(0)->tracks[1].label, u"eval"_s);
        QCOMPARE(model.plot(1)->tracks.size(), 1U);
        QCOMPARE(model.plot(2)->tracks.size(), 1U);
        QCOMPARE(model.plot(3)->tracks.size(), 1U);
        QCOMPARE(model.fullRange(), (PlotRange { 0, 499 }));
    }
    void hiddenCharts_costNothing()
    {
        ChartModel model;
        QSignalSpy spy(&model, &ChartModel::plotChanged);
        model.setRuns({ test::makeRun(u"a"_s, 50) });
        QCOMPARE(spy.count(), 0);
        model.setActive(false);
        showAll(model);
        QCOMPARE(spy.count(), 0);
        model.setActive(true);
        QCOMPARE(spy.count(), 4);
    }
    void noteSamples_bringsNewSamplesAtMostTenTimesASecond()
    {
        ChartModel model;
        showAll(model);
        auto store = std::make_shared<SeriesStore>();
        test::appendSteps(*store, 0, 5);
        ChartRun run { u"a"_s, {}, 0, store, true, false };
        model.setRuns({ run });
        QSignalSpy spy(&model, &ChartModel::plotChanged);
        for (int i = 5; i < 50; ++i) {
            test::appendSteps(*store, i, i + 1);
            model.noteSamples(u"a"_s);
        }
        QCOMPARE(spy.count(), 0);
        QTRY_COMPARE(spy.count(), 4);
        QCOMPARE(model.plot(0)->tracks[0].line.back().x, 49.0);
    }
    void metricsThatComeLater_areFound()
    {
        ChartModel model;
        showAll(model);
        auto store = std::make_shared<SeriesStore>();
        store->append("train/loss", XValue::of(std::int64_t(1)), 2);
        model.setRuns({ { u"a"_s, {}, 0, store, true, false } });
        QCOMPARE(model.plot(0)->tracks.size(), 1U);
        QVERIFY(!model.plot(1)->isReported);
        store->append("optim/lr", XValue::of(std::int64_t(1)), 1e-4);
        store->append("eval/loss", XValue::of(std::int64_t(1)), 2);
        model.noteSamples(u"a"_s);
        QTRY_VERIFY(model.plot(1)->isReported);
        QCOMPARE(model.plot(0)->tracks.size(), 2U);
    }
    void largeHistory_isBuiltOffTheGuiThread()
    {
        ChartModel model;
        auto store = std::make_shared<SeriesStore>();
        for (int i = 0; i < 100'000; ++i)
            store->append("train/loss", XValue::of(std::int64_t(i)), 1);
        model.setRuns({ { u"a"_s, {}, 0, store, false, false } });
        QSignalSpy spy(&model, &ChartModel::plotChanged);
        model.setColumns(0, 300);
        QCOMPARE(spy.count(), 0);
        QVERIFY(model.plot(0)->tracks.empty());
        QTRY_COMPARE(spy.count(), 1);
        QCOMPARE(model.plot(0)->tracks[0].last, 1.0);
    }
    void modelDestroyedWhileAJobRuns_isFine()
    {
        auto model = std::make_unique<ChartModel>();
        auto store = std::make_shared<SeriesStore>();
        for (int i = 0; i < 100'000; ++i)
            store->append("train/loss", XValue::of(std::int64_t(i)), 1);
        model->setRuns({ { u"a"_s, {}, 0, store, false, false } });
        model->setColumns(0, 300);
        model.reset();
        QCoreApplication::processEvents();
    }

    void zoom_isSharedInTheLinkGroupAndGoesBackStepByStep()
    {
        ChartModel model;
        showAll(model);
        model.setRuns({ test::makeRun(u"a"_s, 1000) });
        model.zoomTo(0, { 100, 500 });
        QCOMPARE(model.xRange(2), (PlotRange { 100, 500 }));
        model.zoomTo(2, { 200, 300 }, PlotRange { 0, 1 });
        QCOMPARE(model.plot(2)->y, (PlotRange { 0, 1 }));
        QVERIFY(model.plot(0)->y.min > 1);
        model.previousZoom(0);
        QCOMPARE(model.xRange(0), (PlotRange { 100, 500 }));
        QVERIFY(model.plot(2)->y != (PlotRange { 0, 1 }));
        model.previousZoom(0);
        QVERIFY(!model.isZoomed(0));
        QCOMPARE(model.xRange(0), (PlotRange { 0, 999 }));
        model.previousZoom(0);
        QCOMPARE(model.xRange(0), (PlotRange { 0, 999 }));
    }
    void zoom_unlinked_staysInItsChart()
    {
        ChartModel model;
        showAll(model);
        model.setRuns({ test::makeRun(u"a"_s, 1000) });
        model.setLinked(false);
        model.zoomTo(1, { 100, 500 });
        QCOMPARE(model.xRange(0), (PlotRange { 0, 999 }));
        QCOMPARE(model.xRange(1), (PlotRange { 100, 500 }));
    }
    void zoomBy_withRunsOfDifferentLength_keepsTheAnchor()
    {
        ChartModel model;
        showAll(model);
        model.setRuns({ test::makeRun(u"a"_s, 1000), test::makeRun(u"b"_s, 200, 7) });
        model.zoomBy(0, 0.5, 800);
        const PlotRange range = model.xRange(0);
        QVERIFY(std::abs((800 - range.min) / range.span() - 800.0 / 999) < 1e-9);
    }
    void pan_isOneEntryOfTheHistory()
    {
        ChartModel model;
        showAll(model);
        model.setRuns({ test::makeRun(u"a"_s, 1000) });
        model.zoomTo(0, { 100, 200 });
        model.beginPan(0);
        model.panBy(0, 30);
        model.panBy(0, 30);
        QCOMPARE(model.xRange(0), (PlotRange { 160, 260 }));
        model.panBy(0, 1e9);
        QCOMPARE(model.xRange(0), (PlotRange { 899, 999 }));
        model.previousZoom(0);
        QCOMPARE(model.xRange(0), (PlotRange { 100, 200 }));
    }
    void followLive_showsTheTailOfALiveRunOnly()
    {
        ChartModel model;
        showAll(model);
        ChartRun run = test::makeRun(u"a"_s, 5000);
        model.setRuns({ run });
        model.followLive(true);
        QVERIFY(!model.isFollowing());
        run.isLive = true;
        model.setRuns({ run });
        model.followLive(true);
        QVERIFY(model.isFollowing());
        QCOMPARE(model.xRange(0).min, 2999.0);
        QVERIFY(model.xRange(0).max > 4999);
        model.zoomTo(0, { 10, 20 });
        QVERIFY(!model.isFollowing());
        model.setLive(u"a"_s, false);
        model.followLive(true);
        QVERIFY(!model.isFollowing());
    }
    void smoothing_saysItsHalfLife()
    {
        ChartModel model;
        model.setSmoothing(0.99);
        QCOMPARE(model.smoothingText(), u"EMA 0.99 half-life 69 steps"_s);
        model.setSmoothing(0);
        QCOMPARE(model.smoothingText(), u"off"_s);
        model.setSmoothing(7);
        QCOMPARE(model.smoothing(), 0.999);
    }
    void readout_givesRawAndSmoothOfEveryCurve()
    {
        ChartModel model;
        showAll(model);
        auto store = std::make_shared<SeriesStore>();
        for (int i = 0; i < 10; ++i) {
            store->append(
                "train/loss", XValue::of(std::int64_t(i)), i % 2 ? 1.0 : 3.0, 1'000'000 * (i + 1));
            store->append("optim/lr", XValue::of(std::int64_t(i)), 1e-4);
        }
        model.setRuns({ { u"a"_s, {}, 0, store, false, false } });
        const Readout readout = model.readoutAt(4.2);
        QVERIFY(readout.isValid);
        QCOMPARE(readout.step, 4LL);
        QCOMPARE(readout.wall, 5.0);
        QCOMPARE(readout.values.size(), 2U);
        QCOMPARE(readout.values[0].raw, 3.0);
        QVERIFY(readout.values[0].smooth > 1 && readout.values[0].smooth < 3);
        QCOMPARE(readout.values[1].label, u"lr"_s);
        QCOMPARE(model.neighborSample(4, 1), 5.0);
        QCOMPARE(model.neighborSample(4, -1), 3.0);
        QCOMPARE(model.neighborSample(9, 1), 9.0);
    }
    void events_areSortedAndMoveToTheTimeAxis()
    {
        ChartModel model;
        showAll(model);
        model.setRuns({ test::makeRun(u"a"_s, 100) });
        PlotEvent late;
        late.x = 90;
        late.id = u"late"_s;
        PlotEvent early;
        early.x = 10;
        model.setEvents(u"a"_s, { late, early });
        QTRY_COMPARE(model.plot(0)->events.size(), 2U);
        QCOMPARE(model.plot(0)->events[0].x, 10.0);
        QCOMPARE(model.neighborEvent(0, 1), 10.0);
        model.setXAxis(XAxisKind::Relative);
        QVERIFY(std::abs(model.plot(0)->events[1].x - 90 * 1.9) < 1e-6);
    }
    void noRuns_isNotAMissingMetric()
    {
        ChartModel model;
        showAll(model);
        model.setRuns({ test::makeRun(u"a"_s, 10) });
        model.setRuns({});
        QVERIFY(model.plot(0)->isReported);
        QVERIFY(model.plot(0)->tracks.empty());
        QVERIFY(!model.readoutAt(3).isValid);
    }
};

QTEST_GUILESS_MAIN(ChartModelTest)
#include "tst_chart_model.moc"
