// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/chart_model.h"
#include "models/plot_math.h"
#include "tests/support/chart_data.h"
#include "ui/charts/chart_area.h"
#include "ui/charts/chart_bar.h"
#include "ui/charts/event_lane.h"
#include "ui/charts/plot_painter.h"
#include "ui/charts/plot_view.h"
#include "ui/charts/readout_strip.h"
#include "ui/style/theme.h"
#include "ui/style/tokens.h"

#include <QAbstractButton>
#include <QPaintEngine>
#include <QPainter>
#include <QSignalSpy>
#include <QtTest>

using namespace Qt::StringLiterals;
using namespace desk;

// Pictures go to the folder that DESK_PICTURES names, for the eye; nothing is compared with them.
static void keepPicture(QWidget& widget, const QString& name)
{
    const QString folder = qEnvironmentVariable("DESK_PICTURES");
    if (!folder.isEmpty())
        widget.grab().save(folder + u'/' + name + u".png"_s);
}

// Counts what reaches the paint engine: only there can one tell a polyline from separate segments.
class RecordingEngine final : public QPaintEngine
{
public:
    RecordingEngine()
        : QPaintEngine(QPaintEngine::AllFeatures)
    {
    }
    bool begin(QPaintDevice*) override { return true; }
    bool end() override { return true; }
    void updateState(const QPaintEngineState&) override { }
    void drawPixmap(const QRectF&, const QPixmap&, const QRectF&) override { }
    void drawLines(const QLineF*, int count) override { lines += count; }
    void drawLines(const QLine*, int count) override { lines += count; }
    void drawPolygon(const QPointF*, int, PolygonDrawMode mode) override
    {
        polylines += mode == PolylineMode ? 1 : 0;
    }
    void drawPath(const QPainterPath&) override { ++polylines; }
    void drawEllipse(const QRectF&) override { }
    void drawRects(const QRectF*, int) override { }
    void drawTextItem(const QPointF&, const QTextItem&) override { }
    Type type() const override { return User; }
    int lines = 0;
    int polylines = 0;
};

class RecordingDevice final : public QPaintDevice
{
public:
    QPaintEngine* paintEngine() const override { return &m_engine; }
    int lines() const { return m_engine.lines; }
    int polylines() const { return m_engine.polylines; }

protected:
    int metric(PaintDeviceMetric metric) const override
    {
        switch (metric) {
        case PdmWidth:
            return 1300;
        case PdmHeight:
            return 300;
        case PdmDevicePixelRatio:
            return 1;
        case PdmDevicePixelRatioScaled:
            return int(devicePixelRatioFScale());
        default:
            return 96;
        }
    }

private:
    mutable RecordingEngine m_engine;
};

class ChartsTest : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<Theme> m_theme;

    static void showArea(ChartArea& area, ChartModel& model)
    {
        area.resize(936, 390);
        area.show();
        area.activateWindow();
        QVERIFY(QTest::qWaitForWindowActive(&area));
        PlotEvent first { PlotEventKind::TrainingState, 500, u"step-500"_s, u"step-500"_s };
        PlotEvent second { PlotEventKind::Snapshot, 1000, u"step-1000"_s, u"step-1000"_s };
        model.setEvents(u"a"_s, { first, second });
        model.setRuns({ test::makeRun(u"a"_s, 2000) });
        QCOMPARE(model.plot(3)->events.size(), 2U);
        QTest::qWait(10);
    }
    static QWidget* viewport(ChartArea& area, int chart)
    {
        return qobject_cast<PlotView*>(area.surface(chart)->widget())->viewport();
    }
    static void drag(
        ChartArea& area, int chart, QPointF from, QPointF to, Qt::KeyboardModifiers modifiers)
    {
        QWidget* target = viewport(area, chart);
        const auto send = [&](QEvent::Type type, QPointF at, Qt::MouseButtons buttons) {
            QMouseEvent event(type, at, target->mapToGlobal(at),
                type == QEvent::MouseMove ? Qt::NoButton : Qt::LeftButton, buttons, modifiers);
            QCoreApplication::sendEvent(target, &event);
        };
        send(QEvent::MouseButtonPress, from, Qt::LeftButton);
        send(QEvent::MouseMove, (from + to) / 2, Qt::LeftButton);
        send(QEvent::MouseMove, to, Qt::LeftButton);
        send(QEvent::MouseButtonRelease, to, Qt::NoButton);
    }
    static void wheel(
        ChartArea& area, int chart, QPointF at, int delta, Qt::KeyboardModifiers modifiers)
    {
        QWidget* target = viewport(area, chart);
        QWheelEvent event(at, target->mapToGlobal(at), {}, { 0, delta }, Qt::NoButton, modifiers,
            Qt::NoScrollPhase, false);
        QCoreApplication::sendEvent(target, &event);
    }

private Q_SLOTS:
    void initTestCase() { m_theme = std::make_unique<Theme>(Theme::Mode::Light); }
    void init() { m_theme->setMode(Theme::Mode::Light); }

    void pictures()
    {
        if (qEnvironmentVariableIsEmpty("DESK_PICTURES"))
            QSKIP("DESK_PICTURES names no folder");
        ChartModel model;
        ChartArea area(model);
        area.resize(936, 390);
        area.show();
        QVERIFY(QTest::qWaitForWindowExposed(&area));
        model.setSmoothing(0.99);
        model.setRuns(
            { test::makeRun(u"r4"_s, 13213, 0), test::makeRun(u"r3"_s, 13213, 7, 0.096) });
        model.setEvents(u"r4"_s, test::makeEvents());
        QTRY_VERIFY(model.plot(0)->tracks.size() == 4);
        QTRY_VERIFY(!model.plot(3)->tracks.empty());
        QTRY_COMPARE(model.plot(0)->events.size(), 10U);
        Q_EMIT area.surface(0)->hovered(7200);
        QTest::qWait(60);
        keepPicture(area, u"charts-light"_s);
        m_theme->setMode(Theme::Mode::Dark);
        QTest::qWait(60);
        keepPicture(area, u"charts-dark"_s);
    }

    void morePictures()
    {
        if (qEnvironmentVariableIsEmpty("DESK_PICTURES"))
            QSKIP("DESK_PICTURES names no folder");
        ChartModel model;
        ChartArea area(model);
        area.setEmptyText(u"Select a job (Space plots it)"_s);
        area.resize(936, 390);
        area.show();
        QVERIFY(QTest::qWaitForWindowExposed(&area));
        keepPicture(area, u"charts-empty"_s);
        ChartRun live = test::makeRun(u"sample-run"_s, 60);
        live.isLive = true;
        model.setRuns({ live });
        QTest::qWait(60);
        keepPicture(area, u"charts-live"_s);
        area.setGrid(ChartArea::Layout::Two);
        QTest::qWait(60);
        keepPicture(area, u"charts-two"_s);
        ChartRun demo = test::makeRun(u"sample"_s, 3000);
        demo.isDemo = true;
        demo.label.clear();
        model.setRuns({ demo });
        area.setDemo(true);
        model.setEvents(u"sample"_s,
            { { PlotEventKind::TrainingState, 600, {}, {} },
                { PlotEventKind::Snapshot, 1800, {}, {} },
                { PlotEventKind::Hotload, 1870, {}, {} } });
        area.resize(936, 416);
        QTest::qWait(160);
        keepPicture(area, u"charts-demo"_s);
        area.setDemo(false);
        area.setGrid(ChartArea::Layout::Grid);
        area.resize(560, 300);
        QTest::qWait(160);
        keepPicture(area, u"charts-narrow"_s);
    }

    // ---- painting ----

    void painter_keepsASpikeOfOneSampleAmongTwoHundredThousand()
    {
        auto store = std::make_shared<SeriesStore>();
        for (int i = 0; i < 200'000; ++i)
            store->append("train/loss", XValue::of(std::int64_t(i)), i == 60'000 ? 3.0 : 1.0);
        ChartModel model;
        model.setSmoothing(0.9);
        model.setRuns({ { u"a"_s, {}, 0, store, false, false } });
        model.setColumns(0, 400);
        QTRY_VERIFY(!model.plot(0)->tracks.empty());
        PlotData plot = *model.plot(0);
        plot.y = { 0, 4 };
        const plot::Layout layout = plot::layoutOf({ 520, 240 }, plot, {});
        QImage image(520, 240, QImage::Format_RGB32);
        image.fill(Qt::white);
        QPainter painter(&image);
        plot::paintCurves(painter, plot, layout);
        painter.end();
        const PlotMap map(layout.area, plot.x, plot.y);
        const int y = int(map.py(2.9));
        int inked = 0;
        for (int x = int(map.px(59'000)); x <= int(map.px(61'000)) + 1; ++x)
            inked += image.pixelColor(x, y) != QColor(Qt::white) ? 1 : 0;
        QVERIFY(inked >= 1);
    }
    void painter_drawsNoPolyline()
    {
        ChartModel model;
        for (int i = 0; i < 4; ++i)
            model.setColumns(i, 1200);
        model.setRuns({ test::makeRun(u"a"_s, 5000), test::makeRun(u"b"_s, 5000, 7) });
        RecordingDevice device;
        QPainter painter(&device);
        for (int i = 0; i < 4; ++i) {
            const PlotData& plot = *model.plot(i);
            QVERIFY(!plot.tracks.empty());
            plot::paintCurves(painter, plot, plot::layoutOf({ 1300, 300 }, plot, {}));
        }
        painter.end();
        QCOMPARE(device.polylines(), 0);
        QVERIFY(device.lines() > 4000);
    }
    void labels_keepTheirDistanceAndTheirOrder()
    {
        const auto at = plot::spreadLabels({ 50, 51, 52, 120 }, 14, 6, 130);
        for (std::size_t i = 1; i < at.size(); ++i)
            QVERIFY(at[i] - at[i - 1] >= 14 - 1e-9);
        QCOMPARE(plot::spreadLabels({ 128, 129 }, 14, 6, 130).back(), 130.0);
        QCOMPARE(plot::spreadLabels({ 1, 2, 3 }, 14, 0, 10).back(), 10.0);
        QVERIFY(plot::spreadLabels({}, 14, 0, 10).empty());
    }
    void badge_saysHowManySamplesAColumnHolds()
    {
        QCOMPARE(plot::aggregationText(1), u"1:1"_s);
        QCOMPARE(plot::aggregationText(42.2), u"1:42 min–max"_s);
    }
    void themeSwitch_lightDarkLight_isPixelIdentical()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        const QImage light = area.grab().toImage();
        m_theme->setMode(Theme::Mode::Dark);
        QTest::qWait(50);
        QVERIFY(area.grab().toImage() != light);
        m_theme->setMode(Theme::Mode::Light);
        QTest::qWait(50);
        QCOMPARE(area.grab().toImage(), light);
    }
    void image_isLightWhateverTheThemeIs()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        m_theme->setMode(Theme::Mode::Dark);
        QTest::qWait(30);
        const QImage image = area.image();
        QCOMPARE(image.pixelColor(4, image.height() / 4), lightTokens().surface);
        QVERIFY(tokens().isDark);
    }

    // ---- gestures, with real events ----

    void drag_zoomsXInEveryLinkedChart()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        const QRectF plot = area.surface(0)->plotArea();
        drag(area, 0, { plot.left() + plot.width() * 0.25, plot.center().y() },
            { plot.left() + plot.width() * 0.5, plot.center().y() }, {});
        const PlotRange range = model.xRange(0);
        QVERIFY(std::abs(range.min - 500) < 20);
        QVERIFY(std::abs(range.max - 1000) < 20);
        QCOMPARE(model.xRange(3), range);
        QTest::keyClick(area.surface(0)->widget(), Qt::Key_Backspace);
        QVERIFY(!model.isZoomed(0));
    }
    void shiftDrag_zoomsABox()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        const QRectF plot = area.surface(2)->plotArea();
        drag(area, 2, { plot.left() + 40, plot.top() + 20 },
            { plot.left() + 90, plot.bottom() - 20 }, Qt::ShiftModifier);
        QVERIFY(model.isZoomed(2));
        const PlotRange y = model.plot(2)->y;
        QVERIFY(y.min > 0 && y.max < 2);
    }
    void controlDrag_pans()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        model.zoomTo(0, { 500, 1000 });
        const QRectF plot = area.surface(0)->plotArea();
        drag(area, 0, { plot.left() + plot.width() / 2, plot.center().y() },
            { plot.left() + plot.width() / 4, plot.center().y() }, Qt::ControlModifier);
        const PlotRange range = model.xRange(0);
        QVERIFY(std::abs(range.min - 625) < 10);
        QVERIFY(std::abs(range.span() - 500) < 1e-6);
        QTest::keyClick(area.surface(0)->widget(), Qt::Key_Left, Qt::AltModifier);
        QCOMPARE(model.xRange(0), (PlotRange { 500, 1000 }));
    }
    void wheel_zoomsAtThePointer()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        const QRectF plot = area.surface(0)->plotArea();
        wheel(area, 0, { plot.left() + plot.width() * 0.75, plot.center().y() }, 120, {});
        const PlotRange range = model.xRange(0);
        QVERIFY(std::abs(range.span() / 1999 - 0.8) < 0.01);
        QVERIFY(std::abs((1500 - range.min) / range.span() - 0.75) < 0.02);
        const PlotRange before = model.plot(0)->y;
        wheel(area, 0, plot.center(), 120, Qt::ControlModifier);
        QVERIFY(model.plot(0)->y.span() < before.span());
        QCOMPARE(model.xRange(0), range);
        QTest::mouseDClick(viewport(area, 0), Qt::LeftButton, {}, plot.center().toPoint());
        QVERIFY(!model.isZoomed(0));
    }
    void keys_work()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        QWidget* chart = area.surface(0)->widget();
        chart->setFocus();
        QTest::keyClick(chart, Qt::Key_L);
        QVERIFY(model.isLogY(0));
        QVERIFY(model.plot(0)->isLogY);
        QTest::keyClick(chart, Qt::Key_L);
        QTest::keyClick(chart, Qt::Key_Plus);
        QVERIFY(model.isZoomed(0));
        QTest::keyClick(chart, Qt::Key_Home);
        QVERIFY(!model.isZoomed(0));
        QTest::keyClick(chart, Qt::Key_G);
        QVERIFY(!model.isLinked());
        const double smoothing = model.smoothing();
        QTest::keyClick(chart, Qt::Key_BracketRight);
        QVERIFY(model.smoothing() > smoothing);
        QTest::keyClick(chart, Qt::Key_Right);
        QVERIFY(area.readout()->text().startsWith(u"step 1"));
        QTest::keyClick(chart, Qt::Key_Right, Qt::ControlModifier);
        QVERIFY(area.readout()->text().startsWith(u"step 500"));
        QTest::keyClick(chart, Qt::Key_Escape);
        QVERIFY(!area.readout()->isPinned());
    }
    void endKey_followsALiveRun()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        QTest::keyClick(area.surface(0)->widget(), Qt::Key_End);
        QVERIFY(!model.isFollowing());
        model.setLive(u"a"_s, true);
        QTest::keyClick(area.surface(0)->widget(), Qt::Key_End);
        QVERIFY(model.isFollowing());
        auto* live = area.findChild<QAbstractButton*>(u"chartArea.live"_s);
        QVERIFY(live->isChecked());
        QTest::mouseClick(live, Qt::LeftButton);
        QVERIFY(!model.isFollowing());
    }
    void hover_fillsTheReadoutAndAClickPinsIt()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        const QRectF plot = area.surface(1)->plotArea();
        QTest::mouseMove(viewport(area, 1), plot.center().toPoint());
        QTRY_VERIFY(area.readout()->text().contains(u"train"_s));
        const QString text = area.readout()->text();
        QVERIFY(text.contains(u"raw"_s) && text.contains(u"lr"_s) && text.contains(u"tok/s"_s));
        QTest::mouseClick(viewport(area, 1), Qt::LeftButton, {}, plot.center().toPoint());
        QVERIFY(area.readout()->isPinned());
        const QString pinned = area.readout()->text();
        QTest::mouseMove(viewport(area, 1), plot.center().toPoint() + QPoint(40, 0));
        QCOMPARE(area.readout()->text(), pinned);
        QTest::keyClick(area.readout(), Qt::Key_Space);
        QVERIFY(!area.readout()->isPinned());
    }

    // ---- the event lane ----

    void lane_clickOnAGlyphTellsWhichCheckpoint()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        auto* lane = area.findChild<EventLane*>(u"eventLane"_s);
        QVERIFY(lane && lane->isVisible());
        QSignalSpy spy(&area, &ChartArea::eventActivated);
        QTest::mouseClick(lane, Qt::LeftButton, {}, lane->centerOf(1).toPoint());
        QCOMPARE(spy.count(), 1);
        QCOMPARE(spy[0][0].value<PlotEvent>().id, u"step-1000"_s);
        QTest::mouseClick(lane, Qt::LeftButton, {}, lane->centerOf(1).toPoint() + QPoint(40, 0));
        QCOMPARE(spy.count(), 1);
    }
    void lane_keysWalkTheEvents()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        auto* lane = area.findChild<EventLane*>(u"eventLane"_s);
        QSignalSpy spy(&area, &ChartArea::eventActivated);
        lane->setFocus(Qt::TabFocusReason);
        QTest::keyClick(lane, Qt::Key_Right);
        QTest::keyClick(lane, Qt::Key_Return);
        QCOMPARE(spy.count(), 1);
        QCOMPARE(spy[0][0].value<PlotEvent>().id, u"step-1000"_s);
        QTest::keyClick(lane, Qt::Key_Left);
        QTest::keyClick(lane, Qt::Key_Return);
        QCOMPARE(spy[1][0].value<PlotEvent>().id, u"step-500"_s);
    }
    void lane_dragBrushesARange()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        auto* lane = area.findChild<EventLane*>(u"eventLane"_s);
        QSignalSpy spy(&area, &ChartArea::rangeBrushed);
        const QPoint from(lane->centerOf(0).toPoint() - QPoint(15, 0));
        const QPoint to(lane->centerOf(1).toPoint() + QPoint(15, 0));
        QTest::mousePress(lane, Qt::LeftButton, {}, from);
        QTest::mouseMove(lane, to);
        QTest::mouseRelease(lane, Qt::LeftButton, {}, to);
        QCOMPARE(spy.count(), 1);
        const auto range = spy[0][0].value<PlotRange>();
        QVERIFY(range.contains(500) && range.contains(1000) && range.span() < 1000);
        QTest::keyClick(lane, Qt::Key_Escape);
        QVERIFY(spy[1][0].value<PlotRange>().isEmpty());
    }

    // ---- the area ----

    void grid_showsOneTwoOrFourChartsAndComputesOnlyThose()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        area.setGrid(ChartArea::Layout::One);
        QTest::qWait(20);
        QVERIFY(area.surface(0)->widget()->isVisible());
        QVERIFY(!area.surface(3)->widget()->isVisible());
        const PlotDataPtr before = model.plot(3);
        model.setSmoothing(0.5);
        QCOMPARE(model.plot(3), before);
        area.setGrid(ChartArea::Layout::Grid);
        QTRY_VERIFY(area.surface(3)->widget()->isVisible());
        QVERIFY(model.plot(3) != before);
    }
    void hiddenArea_pausesTheModel()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        area.hide();
        const PlotDataPtr before = model.plot(0);
        model.setSmoothing(0.5);
        QCOMPARE(model.plot(0), before);
        area.show();
        QTRY_VERIFY(model.plot(0) != before);
    }
    void columnOfCharts_sharesItsPlotEdges()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        for (const int column : { 0, 1 }) {
            QCOMPARE(area.surface(column)->plotArea().left(),
                area.surface(column + 2)->plotArea().left());
            QCOMPARE(area.surface(column)->plotArea().right(),
                area.surface(column + 2)->plotArea().right());
        }
    }
    void everyFocusableWidget_hasANameForScreenReaders()
    {
        ChartModel model;
        ChartArea area(model);
        showArea(area, model);
        const auto widgets = area.findChildren<QWidget*>();
        for (QWidget* widget : widgets) {
            if (widget->focusPolicy() != Qt::NoFocus && widget->isVisible() && !widget->focusProxy()
                && !widget->objectName().startsWith(u"qt_"))
                QVERIFY2(!widget->accessibleName().isEmpty(),
                    qPrintable(QString::fromLatin1(widget->metaObject()->className()) + u' '
                        + widget->objectName() + u' ' + widget->parent()->objectName()));
        }
        QVERIFY(area.surface(0)->widget()->accessibleDescription().contains(u"train"_s));
    }
    void smoothingSlider_movesInHalfLives()
    {
        QCOMPARE(smoothingOf(0), 0.0);
        QCOMPARE(smoothingOf(999), 0.999);
        QCOMPARE(positionOf(smoothingOf(500)), 500);
        QVERIFY(smoothingOf(500) > 0.9);
    }
};

QTEST_MAIN(ChartsTest)
#include "tst_charts.moc"
