// SPDX-License-Identifier: GPL-3.0-or-later
// What charts cost, in CPU time of this process, beside references of the same process: a frame of
// four charts, a move of the crosshair, a live update, first paint, and the wide polyline that the
// product must never draw. bench_paint [--json]

#include "models/chart_model.h"
#include "models/plot_math.h"
#include "tests/support/chart_data.h"
#include "ui/charts/chart_area.h"
#include "ui/charts/plot_painter.h"
#include "ui/charts/plot_surface.h"
#include "ui/style/theme.h"
#include "ui/style/tokens.h"

#include <QApplication>
#include <QDateTime>
#include <QEventLoop>
#include <QImage>
#include <QPainter>
#include <QTimer>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

namespace {

using namespace Qt::StringLiterals;
using namespace desk;

double cpuMilliseconds()
{
    timespec now {};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return double(now.tv_sec) * 1e3 + double(now.tv_nsec) / 1e6;
}

/// Median CPU milliseconds of one call.
double measure(const std::function<void()>& work, int runs = 15)
{
    work();
    std::vector<double> times;
    for (int i = 0; i < runs; ++i) {
        const double start = cpuMilliseconds();
        work();
        times.push_back(cpuMilliseconds() - start);
    }
    std::nth_element(times.begin(), times.begin() + runs / 2, times.end());
    return times[static_cast<std::size_t>(runs) / 2];
}

/// Lets timers and paint events run for a while.
void settle(int milliseconds)
{
    QEventLoop loop;
    QTimer::singleShot(milliseconds, &loop, &QEventLoop::quit);
    loop.exec();
}

struct Figure
{
    const char* name; ///< stable, of the JSON
    const char* text;
    double value; ///< ms of CPU time
    double reference; ///< 0: none
    const char* referenceName;
};

// The same noisy line as separate segments and as the polyline that falls off the fast path.
void measureLines(std::vector<Figure>& figures)
{
    test::Noise noise;
    QList<QPointF> points;
    for (int i = 0; i < 1200; ++i)
        points.append({ i / 2.0, 150 + 40 * noise.next() });
    QList<QLineF> lines;
    for (qsizetype i = 1; i < points.size(); ++i)
        lines.append(QLineF(points[i - 1], points[i]));
    QImage image(600, 300, QImage::Format_RGB32);
    const QPen pen(Qt::blue, 1.5);
    const auto paint = [&](const std::function<void(QPainter&)>& draw) {
        image.fill(Qt::white);
        QPainter painter(&image);
        painter.setRenderHint(QPainter::Antialiasing);
        painter.setPen(pen);
        draw(painter);
    };
    const double segments = measure([&] { paint([&](QPainter& p) { p.drawLines(lines); }); });
    const double joined = measure([&] { paint([&](QPainter& p) { p.drawPolyline(points); }); }, 3);
    figures.push_back({ "line_segments", "1,200 noisy points, 1.5 px, separate lines", segments,
        joined, "one polyline, which the product never draws" });
}

void measureArea(std::vector<Figure>& figures)
{
    ChartModel model;
    const double start = cpuMilliseconds();
    ChartArea area(model);
    area.resize(936, 390);
    area.show();
    model.setRuns({ test::makeRun(u"r4"_s, 13'213), test::makeRun(u"r3"_s, 13'213, 7, 0.09) });
    model.setEvents(u"r4"_s, test::makeEvents());
    area.repaint();
    const double first = cpuMilliseconds() - start;
    settle(200);
    QImage image(area.size(), QImage::Format_RGB32);
    const double frame = measure([&] {
        for (int i = 0; i < 4; ++i) {
            QPainter painter(&image);
            const PlotData& plot = *model.plot(i);
            const plot::Layout layout = plot::layoutOf({ 467, 170 }, plot, {});
            plot::paintHead(painter, plot, {}, layout);
            plot::paintYLabels(painter, plot, layout);
            plot::paintCurves(painter, plot, layout);
            plot::paintMarks(painter, plot, layout);
            plot::paintEndLabels(painter, plot, layout);
        }
    });
    const double grab = measure([&] { area.render(&image); });
    double x = 1000;
    // The strips are repainted by the event loop; a frame's wait costs no CPU time.
    const double cross = measure([&] {
        x += 37;
        for (int i = 0; i < 4; ++i)
            area.surface(i)->setCrosshair(x);
        settle(20);
    });
    figures.push_back({ "first_paint", "four charts constructed and first painted", first, 0, "" });
    figures.push_back({ "chart_frame", "four charts, data layer of one frame", frame, grab,
        "the whole area rendered once" });
    figures.push_back({ "crosshair", "crosshair moved in four linked charts", cross, grab,
        "the whole area rendered once" });
    auto store = std::make_shared<SeriesStore>();
    test::appendSteps(*store, 0, 50'000);
    model.setRuns({ { u"live"_s, {}, 0, store, true, false } });
    settle(300);
    int next = 50'000;
    const double live = measure([&] {
        test::appendSteps(*store, next, next + 1);
        ++next;
        model.setSmoothing(next % 2 ? 0.9 : 0.91); // forces a whole new plot, history included
        settle(0);
    });
    figures.push_back({ "smoothing", "50,000 steps smoothed anew, decimated, shown", live, frame,
        "data layer of one frame" });
}

void printJson(const std::vector<Figure>& figures)
{
    std::printf("{\"as_of\":\"%s\",\"items\":[",
        qPrintable(QDateTime::currentDateTimeUtc().toString(Qt::ISODate)));
    bool isFirst = true;
    for (const Figure& f : figures) {
        std::printf("%s{\"name\":\"%s\",\"value\":%.4f,\"unit\":\"ms CPU\",", isFirst ? "" : ",",
            f.name, f.value);
        if (f.reference > 0)
            std::printf("\"reference\":\"%s\",\"reference_value\":%.4f,\"ratio\":%.4f,",
                f.referenceName, f.reference, f.value / f.reference);
        else
            std::printf("\"reference\":null,\"reference_value\":null,\"ratio\":null,");
        std::printf("\"target\":null,\"better\":\"lower\",\"kernel\":\"raster\",\"device\":\"CPU\","
                    "\"threads\":1,\"cpu\":null}");
        isFirst = false;
    }
    std::printf("]}\n");
}

} // namespace

int main(int argc, char** argv)
{
    QApplication app(argc, argv);
    Theme theme(Theme::Mode::Light);
    std::vector<Figure> figures;
    measureArea(figures);
    measureLines(figures);
    if (argc > 1 && std::strcmp(argv[1], "--json") == 0) {
        printJson(figures);
        return 0;
    }
    std::printf("paint, CPU milliseconds, software raster, 936 x 390\n");
    for (const Figure& f : figures) {
        std::printf("  %-46s %8.2f", f.text, f.value);
        if (f.reference > 0)
            std::printf("   %.3f x %s (%.2f)", f.value / f.reference, f.referenceName, f.reference);
        std::printf("\n");
    }
    return 0;
}
