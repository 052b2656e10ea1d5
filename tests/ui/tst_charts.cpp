// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/chart_model.h"
#include "models/plot_math.h"
#include "tests/support/chart_data.h"
#include "ui/charts/chart_area.h"
#include "ui/charts/event_lane.h"
#include "ui/charts/plot_view.h"
#include "ui/charts/readout_strip.h"
#include "ui/style/theme.h"
#include "ui/style/tokens.h"

#include <QComboBox>
#include <QSlider>
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

class ChartsTest : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<Theme> m_theme;

private Q_SLOTS:
    void initTestCase() { m_theme = std::make_unique<Theme>(Theme::Mode::Light); }
    void init() { m_theme->setMode(Theme::Mode::Light); }

    void pictures()
    {
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
};

QTEST_MAIN(ChartsTest)
#include "tst_charts.moc"
