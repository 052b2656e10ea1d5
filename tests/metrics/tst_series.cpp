// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/metrics/series_store.h"
#include "services/metrics/smoothing.h"
#include "tests/support/check.h"

#include <atomic>
#include <cmath>
#include <random>
#include <thread>

using desk::Aggregate;
using desk::Column;
using desk::Series;
using desk::SeriesColumns;
using desk::SeriesSnapshot;
using desk::Smoothing;
using desk::XValue;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

XValue step(std::int64_t value)
{
    return XValue::of(value);
}

std::shared_ptr<Series> randomSeries(std::mt19937_64& random, std::size_t size, bool restarts)
{
    auto series = std::make_shared<Series>("loss");
    std::normal_distribution<double> value(0, 10);
    std::int64_t x = 0;
    for (std::size_t i = 0; i < size; ++i) {
        x += static_cast<std::int64_t>(random() % 4);
        if (restarts && random() % 400 == 0)
            x -= static_cast<std::int64_t>(random() % 300);
        series->append(step(x), random() % 50 == 0 ? kNaN : value(random));
    }
    return series;
}

/// What the samples [begin, end) come to, one after the other.
Aggregate bruteForce(const SeriesSnapshot& series, std::size_t begin, std::size_t end)
{
    Aggregate sum;
    for (std::size_t i = begin; i < end; ++i)
        sum.add(series.value(i));
    return sum;
}

bool same(double a, double b)
{
    return a == b || (std::isnan(a) && std::isnan(b));
}

} // namespace

TEST(aggregate_equalsBruteForce_onAnyRange)
{
    std::mt19937_64 random(7);
    const SeriesSnapshot series(randomSeries(random, 9'000, false));
    for (int round = 0; round < 3'000; ++round) {
        std::size_t a = random() % (series.size() + 1);
        std::size_t b = random() % (series.size() + 1);
        if (a > b)
            std::swap(a, b);
        const Aggregate want = bruteForce(series, a, b);
        const Aggregate got = series.aggregate(a, b);
        CHECK_EQUAL(got.count, want.count);
        CHECK_EQUAL(got.nonFinite, want.nonFinite);
        CHECK(same(got.first, want.first) && same(got.last, want.last));
        CHECK(got.min == want.min && got.max == want.max);
        CHECK(std::fabs(got.sum - want.sum) <= 1e-9 * (1 + std::fabs(want.sum)));
    }
}

TEST(query_coversEverySampleOnceAndKeepsTheExtremes)
{
    std::mt19937_64 random(11);
    for (int round = 0; round < 60; ++round) {
        const SeriesSnapshot series(randomSeries(random, 1 + random() % 5'000, round % 2 == 1));
        const auto range = series.xRange();
        CHECK(range.has_value());
        const double span = range->second - range->first;
        const double from = range->first + span * static_cast<double>(random() % 100) / 150.0;
        const double to = from + span * static_cast<double>(random() % 100) / 100.0;
        const int columns = 1 + static_cast<int>(random() % 400);
        const SeriesColumns got = series.query({ from, to, columns, true });
        std::uint64_t samples = 0;
        Aggregate want;
        for (std::size_t i = 0; i < series.size(); ++i) {
            if (series.x(i) >= from && series.x(i) <= to) {
                want.add(series.value(i));
                ++samples;
            }
        }
        CHECK_EQUAL(got.samples, samples);
        CHECK_EQUAL(got.nonFinite, std::uint64_t { want.nonFinite });
        CHECK(got.min == want.min && got.max == want.max);
        std::uint64_t inColumns = 0;
        double min = std::numeric_limits<double>::infinity();
        double max = -min;
        for (const Column& column : got.columns) {
            if (column.x < from || column.x > to)
                continue;
            CHECK(column.lastX <= to);
            inColumns += column.count + column.nonFinite;
            min = std::min(min, column.min);
            max = std::max(max, column.max);
        }
        CHECK_EQUAL(inColumns, samples);
        CHECK(min == want.min && max == want.max);
        CHECK_EQUAL(got.isExact, samples <= static_cast<std::uint64_t>(columns));
    }
}

TEST(query_ofAWindow_bringsTheNeighborsOnBothSides)
{
    auto series = std::make_shared<Series>("loss");
    for (int i = 0; i < 10; ++i)
        series->append(step(i * 10), i);
    const SeriesColumns got = SeriesSnapshot(series).query({ 25, 45, 100, false });
    CHECK_EQUAL(got.columns.size(), std::size_t { 4 });
    CHECK_EQUAL(got.columns[0].x, 20.0);
    CHECK_EQUAL(got.columns[1].x, 30.0);
    CHECK_EQUAL(got.columns[3].x, 50.0);
    CHECK_EQUAL(got.samples, std::uint64_t { 2 });
    CHECK(got.isExact);
}

TEST(query_betweenTwoSamples_bringsBoth)
{
    auto series = std::make_shared<Series>("loss");
    series->append(step(0), 1);
    series->append(step(100), 2);
    const SeriesColumns got = SeriesSnapshot(series).query({ 40, 60, 50, false });
    CHECK_EQUAL(got.columns.size(), std::size_t { 2 });
    CHECK_EQUAL(got.samples, std::uint64_t { 0 });
}

TEST(nonFiniteSample_isItsOwnColumnAndCountsNothing)
{
    auto series = std::make_shared<Series>("loss");
    series->append(step(0), 1);
    series->append(step(1), kNaN);
    series->append(step(2), 3);
    const SeriesColumns got = SeriesSnapshot(series).query({ 0, 2, 100, false });
    CHECK_EQUAL(got.columns.size(), std::size_t { 3 });
    CHECK_EQUAL(got.columns[1].count, std::uint32_t { 0 });
    CHECK_EQUAL(got.columns[1].nonFinite, std::uint32_t { 1 });
    CHECK_EQUAL(got.nonFinite, std::uint64_t { 1 });
    CHECK_EQUAL(got.max, 3.0);
}

TEST(restart_beginsASegmentAndHidesWhatItSupersedes)
{
    auto series = std::make_shared<Series>("loss");
    for (int i = 0; i < 20; ++i)
        series->append(step(i), i);
    for (int i = 12; i < 15; ++i)
        series->append(step(i), 100 + i);
    const SeriesSnapshot snapshot(series);
    CHECK_EQUAL(snapshot.segmentCount(), std::size_t { 2 });
    CHECK_EQUAL(snapshot.visibleSize(), std::size_t { 15 });
    CHECK_EQUAL(snapshot.visibleEnd(0), std::size_t { 12 });
    const SeriesColumns shown = snapshot.query({ 0, 30, 100, false });
    CHECK_EQUAL(shown.columns.size(), std::size_t { 15 });
    CHECK_EQUAL(shown.columns.back().segment, std::uint32_t { 1 });
    CHECK_EQUAL(snapshot.query({ 0, 30, 100, true }).columns.size(), std::size_t { 23 });
    CHECK_EQUAL(snapshot.at(13)->value, 113.0);
    CHECK_EQUAL(snapshot.at(11.5)->value, 11.0);
    CHECK(!snapshot.at(-1).has_value());
}

TEST(manyRestarts_costNoMoreColumnsThanTheBudget)
{
    auto series = std::make_shared<Series>("loss");
    for (int i = 0; i < 200'000; ++i)
        series->append(step(i % 2), i);
    const SeriesColumns got = SeriesSnapshot(series).query({ 0, 1, 100, true });
    CHECK(got.isTruncated);
    CHECK(got.columns.size() < 8'000);
    CHECK_EQUAL(got.max, 199'999.0);
}

TEST(equalSteps_areNoRestart)
{
    auto series = std::make_shared<Series>("loss");
    for (int i = 0; i < 6; ++i)
        series->append(step(i / 2), i);
    CHECK_EQUAL(SeriesSnapshot(series).segmentCount(), std::size_t { 1 });
}

TEST(stepsBeyondTheDoubles_stayExactAndInOrder)
{
    auto series = std::make_shared<Series>("loss");
    const std::int64_t big = 9007199254740993;
    series->append(step(1), 0);
    series->append(step(big), 1);
    series->append(step(big + 1), 2);
    series->append(step(big), 3);
    const SeriesSnapshot snapshot(series);
    CHECK_EQUAL(snapshot.exactX(0).integer, std::int64_t { 1 });
    CHECK_EQUAL(snapshot.exactX(1).integer, big);
    CHECK_EQUAL(snapshot.exactX(2).integer, big + 1);
    CHECK_EQUAL(snapshot.segmentCount(), std::size_t { 2 });
}

TEST(wallTimes_areKeptFromTheFirstThatIsKnown)
{
    auto series = std::make_shared<Series>("loss");
    series->append(step(0), 0);
    series->append(step(1), 1, 42);
    series->append(step(2), 2);
    const SeriesSnapshot snapshot(series);
    CHECK_EQUAL(snapshot.wallUs(0), std::int64_t { 0 });
    CHECK_EQUAL(snapshot.wallUs(1), std::int64_t { 42 });
    CHECK_EQUAL(snapshot.latest()->wallUs, std::int64_t { 0 });
}

TEST(anEmptySeries_answersEverything)
{
    const SeriesSnapshot snapshot(std::make_shared<Series>("loss"));
    CHECK(snapshot.query({ 0, 1, 10, false }).columns.empty());
    CHECK(!snapshot.latest().has_value());
    CHECK(!snapshot.xRange().has_value());
    CHECK(!snapshot.at(0).has_value());
    CHECK(desk::SeriesStore().snapshot("none").isNull());
}

TEST(aReader_seesAConsistentPastWhileTheWriterGoesOn)
{
    auto series = std::make_shared<Series>("loss");
    std::atomic<bool> isDone { false };
    std::thread writer([&] {
        for (int i = 0; i < 400'000; ++i)
            series->append(step(i), i);
        isDone = true;
    });
    std::uint64_t rounds = 0;
    bool isRight = true;
    while (!isDone || rounds < 10) {
        const SeriesSnapshot snapshot(series);
        ++rounds;
        if (snapshot.size() == 0)
            continue;
        const Aggregate all = snapshot.aggregate(0, snapshot.size());
        const auto n = static_cast<double>(snapshot.size());
        isRight = isRight && all.count == snapshot.size() && all.sum == n * (n - 1) / 2
            && all.max == n - 1;
    }
    writer.join();
    CHECK(isRight);
}

TEST(ema_isTheDebiasedMeanOfTheFormula)
{
    auto raw = std::make_shared<Series>("loss");
    const double values[] = { 4, 2, 8, 6 };
    for (int i = 0; i < 4; ++i)
        raw->append(step(i), values[i]);
    desk::SmoothedSeries smoothed({ Smoothing::Kind::Ema, 0.6, 1 });
    const SeriesSnapshot got = smoothed.update(SeriesSnapshot(raw));
    double mean = 0;
    for (int i = 0; i < 4; ++i) {
        mean = 0.6 * mean + 0.4 * values[i];
        const double want = mean / (1 - std::pow(0.6, i + 1));
        CHECK(std::fabs(got.value(static_cast<std::size_t>(i)) - want) < 1e-12);
    }
}

TEST(timeWeightedEma_ofEvenSteps_isTheEma)
{
    auto raw = std::make_shared<Series>("loss");
    for (int i = 0; i < 50; ++i)
        raw->append(step(i * 10), std::sin(i));
    desk::SmoothedSeries plain({ Smoothing::Kind::Ema, 0.9, 1 });
    desk::SmoothedSeries timed({ Smoothing::Kind::TimeWeightedEma, 0.9, 10 });
    const SeriesSnapshot a = plain.update(SeriesSnapshot(raw));
    const SeriesSnapshot b = timed.update(SeriesSnapshot(raw));
    for (std::size_t i = 0; i < a.size(); ++i)
        CHECK(std::fabs(a.value(i) - b.value(i)) < 1e-12);
}

TEST(smoothing_neverReachesAcrossAGapOrARestart)
{
    auto raw = std::make_shared<Series>("loss");
    raw->append(step(0), 100);
    raw->append(step(1), kNaN);
    raw->append(step(2), 1);
    raw->append(step(3), 1);
    raw->append(step(0), 7);
    desk::SmoothedSeries smoothed({ Smoothing::Kind::Ema, 0.9, 1 });
    const SeriesSnapshot got = smoothed.update(SeriesSnapshot(raw));
    CHECK(std::isnan(got.value(1)));
    CHECK_EQUAL(got.value(2), 1.0);
    CHECK_EQUAL(got.value(3), 1.0);
    CHECK_EQUAL(got.value(4), 7.0);
    CHECK_EQUAL(got.segmentCount(), std::size_t { 2 });
}

TEST(smoothing_inPieces_equalsAllAtOnce)
{
    auto raw = std::make_shared<Series>("loss");
    desk::SmoothedSeries inPieces({ Smoothing::Kind::Ema, 0.8, 1 });
    for (int i = 0; i < 300; ++i) {
        raw->append(step(i), std::cos(i));
        if (i % 7 == 0)
            (void)inPieces.update(SeriesSnapshot(raw));
    }
    desk::SmoothedSeries atOnce({ Smoothing::Kind::Ema, 0.8, 1 });
    const SeriesSnapshot a = inPieces.update(SeriesSnapshot(raw));
    const SeriesSnapshot b = atOnce.update(SeriesSnapshot(raw));
    CHECK_EQUAL(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i)
        CHECK_EQUAL(a.value(i), b.value(i));
}

TEST(clearedStore_leavesOldSnapshotsAlive)
{
    desk::SeriesStore store;
    store.append("loss", step(1), 2.5);
    const SeriesSnapshot old = store.snapshot("loss");
    const auto revision = store.catalogRevision();
    store.clear();
    CHECK(store.catalogRevision() > revision);
    CHECK(store.snapshot("loss").isNull());
    CHECK_EQUAL(old.value(0), 2.5);
}

CHECK_MAIN()
