// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/plot_math.h"

#include <QtTest>

#include <cmath>

using namespace Qt::StringLiterals;
using namespace desk;

static QStringList texts(const std::vector<Tick>& ticks)
{
    QStringList list;
    for (const Tick& tick : ticks)
        list.append(tick.text);
    return list;
}

class PlotMathTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void zoomed_in_keepsTheAnchorInPlace()
    {
        const PlotRange after = zoomed({ 0, 100 }, 0.5, 25, { 0, 100 }, 1);
        QCOMPARE(after.min, 12.5);
        QCOMPARE(after.max, 62.5);
    }
    void zoomed_outBeyondTheLimit_isTheLimit()
    {
        QCOMPARE(zoomed({ 10, 20 }, 100, 15, { 0, 50 }, 1), (PlotRange { 0, 50 }));
    }
    void zoomed_atTheEdge_staysInside()
    {
        const PlotRange after = zoomed({ 0, 40 }, 1.5, 0, { 0, 100 }, 1);
        QCOMPARE(after, (PlotRange { 0, 60 }));
        QCOMPARE(zoomed({ 60, 100 }, 1.5, 60, { 0, 100 }, 1), (PlotRange { 40, 100 }));
    }
    void zoomed_tooFarIn_keepsTheSmallestSpan()
    {
        QCOMPARE(zoomed({ 0, 4 }, 0.001, 2, {}, 2).span(), 2.0);
    }
    void zoomed_withNonsense_changesNothing()
    {
        QCOMPARE(zoomed({ 0, 4 }, std::nan(""), 2, {}, 1), (PlotRange { 0, 4 }));
        QCOMPARE(zoomed({ 0, 4 }, -1, 2, {}, 1), (PlotRange { 0, 4 }));
    }
    void panned_stopsAtTheLimitWithoutShrinking()
    {
        QCOMPARE(panned({ 10, 30 }, 100, { 0, 50 }), (PlotRange { 30, 50 }));
        QCOMPARE(panned({ 10, 30 }, -100, { 0, 50 }), (PlotRange { 0, 20 }));
        QCOMPARE(panned({ 10, 30 }, 5, { 0, 50 }), (PlotRange { 15, 35 }));
    }

    void ticks_areRoundAndRead_data()
    {
        QTest::addColumn<double>("low");
        QTest::addColumn<double>("high");
        QTest::addColumn<int>("most");
        QTest::addColumn<QStringList>("expected");
        QTest::addRow("loss") << 1.69 << 2.41 << 4
                              << QStringList { u"1.8"_s, u"2.0"_s, u"2.2"_s, u"2.4"_s };
        QTest::addRow("thousands")
            << 0.0 << 13212.0 << 8
            << QStringList { u"0"_s, u"2 k"_s, u"4 k"_s, u"6 k"_s, u"8 k"_s, u"10 k"_s, u"12 k"_s };
        QTest::addRow("hundreds") << 0.0 << 1600.0 << 4
                                  << QStringList { u"0"_s, u"500"_s, u"1,000"_s, u"1,500"_s };
        QTest::addRow("negative") << -0.3 << 0.3 << 4
                                  << QStringList { u"−0.2"_s, u"0"_s, u"0.2"_s };
        QTest::addRow("tiny") << 0.0 << 2e-8 << 2 << QStringList { u"0"_s, u"1e−08"_s, u"2e−08"_s };
    }
    void ticks_areRoundAndRead()
    {
        QFETCH(double, low);
        QFETCH(double, high);
        QFETCH(int, most);
        QFETCH(QStringList, expected);
        QCOMPARE(texts(linearTicks({ low, high }, most)), expected);
    }
    void ticks_ofAnEmptyOrInfiniteRange_areNone()
    {
        QVERIFY(linearTicks({ 1, 1 }, 5).empty());
        QVERIFY(linearTicks({ 0, std::numeric_limits<double>::infinity() }, 5).empty());
        QVERIFY(logTicks({ 0, 10 }, 5).empty());
    }
    void ticks_withAScale_showScaledValuesAtTheirPlaces()
    {
        const auto ticks = linearTicks({ 0, 1e-5 }, 2, 1e6);
        QCOMPARE(texts(ticks), (QStringList { u"0"_s, u"5"_s, u"10"_s }));
        QVERIFY(std::abs(ticks[1].value - 5e-6) < 1e-18);
    }
    void xTicks_ofTime_readAsAClock()
    {
        QCOMPARE(texts(xTicks({ 0, 250 }, XAxisKind::Relative, 5)),
            (QStringList { u"0 s"_s, u"1:00"_s, u"2:00"_s, u"3:00"_s, u"4:00"_s }));
        QCOMPARE(texts(xTicks({ 0, 9000 }, XAxisKind::Relative, 3)),
            (QStringList { u"0 s"_s, u"1 h"_s, u"2 h"_s }));
    }
    void xTicks_ofSteps_areWholeNumbers()
    {
        QCOMPARE(texts(xTicks({ 0, 3 }, XAxisKind::Step, 12)),
            (QStringList { u"0"_s, u"1"_s, u"2"_s, u"3"_s }));
    }

    void formatValue_data()
    {
        QTest::addColumn<double>("value");
        QTest::addColumn<int>("significant");
        QTest::addColumn<QString>("expected");
        QTest::addRow("loss") << 1.81134 << 4 << u"1.811"_s;
        QTest::addRow("five") << 1.81134 << 5 << u"1.8113"_s;
        QTest::addRow("lr") << 6.7e-6 << 4 << u"6.70e-6"_s;
        QTest::addRow("1e-10 is not 1e-1") << 1e-10 << 4 << u"1.00e-10"_s;
        QTest::addRow("rate") << 38512.0 << 4 << u"38.5 k"_s;
        QTest::addRow("millions") << 2.51e6 << 4 << u"2.5 M"_s;
        QTest::addRow("zero") << 0.0 << 4 << u"0"_s;
        QTest::addRow("minus") << -0.0889 << 4 << u"−0.0889"_s;
        QTest::addRow("nan") << std::nan("") << 4 << u"NaN"_s;
        QTest::addRow("inf") << -std::numeric_limits<double>::infinity() << 4 << u"−∞"_s;
    }
    void formatValue()
    {
        QFETCH(double, value);
        QFETCH(int, significant);
        QFETCH(QString, expected);
        if (QTest::currentDataTag() == QByteArray("minus"))
            QCOMPARE(desk::formatValue(value, significant).left(5), expected.left(5));
        else
            QCOMPARE(desk::formatValue(value, significant), expected);
    }

    void map_goesThereAndBack()
    {
        const PlotMap map(QRectF(48, 24, 300, 120), { 0, 600 }, { 1, 3 });
        QCOMPARE(map.px(0), 48.0);
        QCOMPARE(map.px(600), 348.0);
        QCOMPARE(map.py(3), 24.0);
        QCOMPARE(map.py(1), 144.0);
        QCOMPARE(map.x(map.px(123)), 123.0);
        QCOMPARE(map.y(map.py(2.5)), 2.5);
    }
    void map_onALogAxis_putsNonPositiveValuesAtTheBottom()
    {
        const PlotMap map(QRectF(0, 0, 100, 90), { 0, 1 }, { 0.001, 1 }, true);
        QCOMPARE(map.py(1), 0.0);
        QCOMPARE(map.py(0.1), 30.0);
        QCOMPARE(map.py(-5), 90.0);
        QCOMPARE(map.py(0), 90.0);
        QVERIFY(std::abs(map.y(60) - 0.01) < 1e-9);
    }
    void map_ofExtremeValues_staysFinite()
    {
        const PlotMap map(QRectF(0, 0, 100, 90), { 0, 1e-9 }, { 0, 1 });
        QVERIFY(map.px(1e18) < 10000);
        QVERIFY(map.py(-1e300) < 10000);
        QVERIFY(map.px(-std::numeric_limits<double>::infinity()) > -10000);
    }
    void liveEnd_growsInSteps()
    {
        QCOMPARE(liveEnd(0, 101), liveEnd(0, 109));
        QVERIFY(liveEnd(0, 101) > 101);
        QVERIFY(liveEnd(0, 130) > liveEnd(0, 101));
        QCOMPARE(liveEnd(5, 5), 15.0);
    }
};

QTEST_GUILESS_MAIN(PlotMathTest)
#include "tst_plot_math.moc"
