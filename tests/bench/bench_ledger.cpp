// SPDX-License-Identifier: GPL-3.0-or-later
// bench_ledger [--json]: lines of a JSON Lines ledger read into the series store per second, beside
// a pass over the same bytes that only finds the line ends; and the store alone: points appended,
// a window of 1,200 columns queried over ten million points, beside a scan of all of them.

#include "services/core/clock.h"
#include "services/metrics/jsonl_reader.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace {

using desk::JsonlReader;
using desk::Series;
using desk::SeriesSnapshot;
using desk::SeriesStore;
using desk::XValue;

constexpr int kRounds = 3;
constexpr std::int64_t kLines = 200'000;
constexpr std::int64_t kPoints = 10'000'000;

double secondsOf(const std::function<void()>& work)
{
    double best = 1e9;
    for (int round = 0; round < kRounds; ++round) {
        const auto begin = std::chrono::steady_clock::now();
        work();
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
        best = std::min(best, spent.count());
    }
    return best;
}

/// A ledger as `train` writes it.
std::string makeLedger()
{
    std::string text;
    char line[320];
    for (std::int64_t step = 1; step <= kLines; ++step) {
        const double x = static_cast<double>(step);
        std::snprintf(line, sizeof line,
            "{\"step\":%lld,\"train/loss\":%.16g,\"optim/lr\":%.16g,\"optim/grad_norm\":%.16g,"
            "\"perf/tokens_per_second\":%.16g,\"progress/done_frac\":%.16g,"
            "\"timestamp\":\"2026-11-25T09:41:49.443025Z\"}\n",
            static_cast<long long>(step), 2.0 + std::sin(x), 5e-4 / (1 + x), 1.0 + std::cos(x),
            20000.0 + std::sin(x * 3), x / kLines);
        text += line;
    }
    return text;
}

struct Figure
{
    const char* name;
    double value;
    const char* unit;
    const char* reference;
    double referenceValue;
    double target;
};

void print(const std::vector<Figure>& figures, bool isJson)
{
    if (isJson)
        std::printf(
            "{\"as_of\":\"%s\",\"items\":[", desk::toRfc3339(desk::SystemClock().now()).c_str());
    for (std::size_t i = 0; i < figures.size(); ++i) {
        const Figure& f = figures[i];
        if (isJson)
            std::printf("%s{\"name\":\"%s\",\"value\":%.17g,\"unit\":\"%s\",\"reference\":\"%s\","
                        "\"reference_value\":%.17g,\"target\":%.17g,\"better\":\"higher\","
                        "\"kernel\":null,\"device\":\"cpu\",\"threads\":1,\"cpu\":null}",
                i == 0 ? "" : ",", f.name, f.value, f.unit, f.reference, f.referenceValue,
                f.target);
        else
            std::printf("%-22s %12.0f %-10s  (%s: %.0f; goal %.0f)\n", f.name, f.value, f.unit,
                f.reference, f.referenceValue, f.target);
    }
    if (isJson)
        std::printf("]}\n");
}

} // namespace

int main(int argc, char** argv)
{
    const bool isJson = argc > 1 && std::strcmp(argv[1], "--json") == 0;
    const std::string ledger = makeLedger();
    const auto lines = static_cast<double>(kLines);

    const double reading = secondsOf([&] {
        SeriesStore store;
        JsonlReader reader(store);
        reader.feed(ledger);
    });
    std::size_t ends = 0;
    const double finding = secondsOf(
        [&] { ends += static_cast<std::size_t>(std::count(ledger.begin(), ledger.end(), '\n')); });

    std::shared_ptr<Series> series;
    const double appending = secondsOf([&] {
        series = std::make_shared<Series>("loss");
        for (std::int64_t i = 0; i < kPoints; ++i)
            series->append(XValue::of(i), static_cast<double>((i * 7919) % 1000003));
    });
    std::vector<double> plain;
    const double pushing = secondsOf([&] {
        plain.clear();
        for (std::int64_t i = 0; i < kPoints; ++i)
            plain.push_back(static_cast<double>((i * 7919) % 1000003));
    });

    const SeriesSnapshot snapshot(series);
    std::size_t columns = 0;
    const double querying = secondsOf([&] {
        columns += snapshot.query({ 0, static_cast<double>(kPoints), 1200, false }).columns.size();
    });
    double most = 0;
    const double scanning = secondsOf([&] {
        for (std::size_t i = 0; i < snapshot.size(); ++i)
            most = std::max(most, snapshot.value(i));
    });

    const auto points = static_cast<double>(kPoints);
    print({ { "ledger", lines / reading, "lines/s", "line ends only", lines / finding, 100'000 },
              { "append", points / appending, "points/s", "vector push", points / pushing, 15e6 },
              { "query_1200_columns", 1 / querying, "queries/s", "scans", 1 / scanning, 200 } },
        isJson);
    return ends + columns == 0 || most < 0 ? 1 : 0;
}
