// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/error_text.h"
#include "models/format.h"

#include <QTest>

#include <limits>

using namespace Qt::StringLiterals;
using namespace desk;

class TestFormat final : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void number_data();
    void number();
    void exactNumber_readsBackTheSameDouble();
    void bytes_data();
    void bytes();
    void percent_data();
    void percent();
    void span_data();
    void span();
    void age_ofFutureInstant_isZero();
    void shortCount_data();
    void shortCount();
    void middleElided_keepsBothEnds();
    void errorText_completesWhatTheServiceLeftOut();
    void errorText_ofUnknown_neverClaimsThatNothingChanged();
};

void TestFormat::number_data()
{
    QTest::addColumn<double>("value");
    QTest::addColumn<QString>("text");
    QTest::addRow("loss") << 1.81134 << u"1.8113"_s;
    QTest::addRow("small loss") << 0.02114 << u"0.0211"_s;
    QTest::addRow("learning rate") << 6.7e-6 << u"6.70e-6"_s;
    QTest::addRow("one in ten billion") << 1e-10 << u"1.00e-10"_s;
    QTest::addRow("zero") << 0.0 << u"0.0000"_s;
    QTest::addRow("negative") << -0.0064 << u"\u22120.0064"_s;
    QTest::addRow("tens") << 12.3456 << u"12.346"_s;
    QTest::addRow("thousands") << 38512.4 << u"38,512"_s;
    QTest::addRow("huge") << 1.5e12 << u"1.50e12"_s;
    QTest::addRow("nan") << std::numeric_limits<double>::quiet_NaN() << u"NaN"_s;
    QTest::addRow("-inf") << -std::numeric_limits<double>::infinity() << u"\u2212Inf"_s;
}

void TestFormat::number()
{
    QFETCH(double, value);
    QTEST(format::number(value), "text");
}

void TestFormat::exactNumber_readsBackTheSameDouble()
{
    for (const double value : { 0.1, 1.0 / 3.0, 6.7e-6, 123456.789, 1e300 })
        QCOMPARE(format::exactNumber(value).toDouble(), value);
}

void TestFormat::bytes_data()
{
    QTest::addColumn<quint64>("value");
    QTest::addColumn<QString>("text");
    QTest::addRow("bytes") << quint64(1023) << u"1023 B"_s;
    QTest::addRow("kib") << quint64(1024) << u"1.00 KiB"_s;
    QTest::addRow("mib") << quint64(281) * 1024 * 1024 << u"281 MiB"_s;
    QTest::addRow("rounds up to the next unit") << quint64(1024) * 1024 - 1 << u"1.00 MiB"_s;
    QTest::addRow("gib") << quint64(16384) * 1024 * 1024 << u"16.0 GiB"_s;
}

void TestFormat::bytes()
{
    QFETCH(quint64, value);
    QTEST(format::bytes(value), "text");
}

void TestFormat::percent_data()
{
    QTest::addColumn<double>("value");
    QTest::addColumn<QString>("text");
    QTest::addRow("ratio") << 0.018 << u"1.80 %"_s;
    QTest::addRow("tiny") << 0.00001 << u"< 0.01 %"_s;
    QTest::addRow("zero") << 0.0 << u"0.00 %"_s;
    QTest::addRow("tens") << 0.734 << u"73.4 %"_s;
    QTest::addRow("all") << 1.0 << u"100 %"_s;
}

void TestFormat::percent()
{
    QFETCH(double, value);
    QTEST(format::percent(value), "text");
}

void TestFormat::span_data()
{
    QTest::addColumn<int>("seconds");
    QTest::addColumn<int>("units");
    QTest::addColumn<QString>("text");
    QTest::addRow("now") << 0 << 1 << u"0 s"_s;
    QTest::addRow("seconds") << 38 << 1 << u"38 s"_s;
    QTest::addRow("minutes") << 47 * 60 + 59 << 1 << u"47 min"_s;
    QTest::addRow("hours") << 3 * 3600 + 15 * 60 << 2 << u"3 h 15 min"_s;
    QTest::addRow("hour and seconds") << 3 * 3600 + 12 << 2 << u"3 h"_s;
    QTest::addRow("days") << 6 * 86400 + 23 * 3600 << 2 << u"6 d 23 h"_s;
}

void TestFormat::span()
{
    QFETCH(int, seconds);
    QFETCH(int, units);
    QTEST(format::span(std::chrono::seconds(seconds), units), "text");
}

void TestFormat::age_ofFutureInstant_isZero()
{
    const Time now {};
    QCOMPARE(format::age(now + std::chrono::seconds(5), now), u"0 s"_s);
    QCOMPARE(format::age(std::nullopt, now), u"\u2014"_s);
}

void TestFormat::shortCount_data()
{
    QTest::addColumn<double>("value");
    QTest::addColumn<QString>("text");
    QTest::addRow("below") << 9999.0 << u"9,999"_s;
    QTest::addRow("k") << 38500.0 << u"38.5 k"_s;
    QTest::addRow("M") << 1.24e6 << u"1.2 M"_s;
    QTest::addRow("rounds up") << 999'960.0 << u"1.0 M"_s;
}

void TestFormat::shortCount()
{
    QFETCH(double, value);
    QTEST(format::shortCount(value), "text");
}

void TestFormat::middleElided_keepsBothEnds()
{
    QCOMPARE(format::middleElided(u"qwen3-235b-a22b", 9), u"qwen\u2026a22b"_s);
    QCOMPARE(format::middleElided(u"short", 9), u"short"_s);
}

void TestFormat::errorText_completesWhatTheServiceLeftOut()
{
    Error error { Error::Code::Auth, "the key was refused", {}, {}, "req-7" };
    const ErrorText text = errorText(error);
    QCOMPARE(text.what, u"The key was refused."_s);
    QVERIFY(!text.unchanged.isEmpty());
    QVERIFY(!text.next.isEmpty());
    QCOMPARE(text.details, u"auth \u00b7 request req-7"_s);
    error.unchanged = "nothing was promoted";
    QCOMPARE(errorText(error).unchanged, u"Nothing was promoted."_s);
}

void TestFormat::errorText_ofUnknown_neverClaimsThatNothingChanged()
{
    const ErrorText text = errorText({ Error::Code::Unknown, {}, {}, {}, {} });
    QVERIFY(text.unchanged.isEmpty());
    QVERIFY(text.next.contains(u"Reconcile"_s));
}

QTEST_GUILESS_MAIN(TestFormat)
#include "tst_format.moc"
