// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/plot_builder.h"

#include <QStringList>

#include <algorithm>
#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr double kMicroseconds = 1e6;

    // First index in [begin, end) whose x is >= (or, for `after`, >) the value.
    std::size_t boundOf(const SeriesSnapshot& series, XAxisKind kind, double originUs,
        std::size_t begin, std::size_t end, double value, bool after)
    {
        while (begin < end) {
            const std::size_t middle = begin + (end - begin) / 2;
            const double x = xOf(series, kind, originUs, middle);
            if (x < value || (after && x == value))
                begin = middle + 1;
            else
                end = middle;
        }
        return begin;
    }

    // The visible part [begin, end) of one segment, and what of it lies in the window [from, to).
    struct SegmentWindow
    {
        std::size_t begin;
        std::size_t end;
        std::size_t from;
        std::size_t to;
    };

    std::vector<SegmentWindow> segmentWindows(
        const SeriesSnapshot& series, XAxisKind kind, double originUs, PlotRange x)
    {
        std::vector<SegmentWindow> windows;
        if (series.isNull() || series.size() == 0 || x.isEmpty())
            return windows;
        for (std::size_t s = 0; s < series.segmentCount(); ++s) {
            const std::size_t begin = series.segmentBegin(s);
            const std::size_t end = std::min(series.visibleEnd(s), series.size());
            if (begin >= end)
                continue;
            const std::size_t from = boundOf(series, kind, originUs, begin, end, x.min, false);
            const std::size_t to = boundOf(series, kind, originUs, from, end, x.max, true);
            windows.push_back({ begin, end, from, to });
        }
        return windows;
    }

    PlotColumn columnFrom(const Aggregate& a, double x)
    {
        return { x, a.min, a.max };
    }

    struct Columns
    {
        std::vector<PlotColumn> extremes; ///< with a finite sample
        std::vector<PlotPoint> points; ///< first, min, max, last of each column, NaN at gaps
        std::vector<double> nonFiniteAt;
        long long samples = 0; ///< in the window
        long long nonFinite = 0;
    };

    void addGap(Columns& out, double x)
    {
        constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
        if (!out.extremes.empty() && std::isfinite(out.extremes.back().min))
            out.extremes.push_back({ x, kNone, kNone });
        if (!out.points.empty() && std::isfinite(out.points.back().y))
            out.points.push_back({ x, std::numeric_limits<double>::quiet_NaN() });
    }

    // The order of the two extremes inside a column is not known; the line goes through both, which
    // is what makes it pixel-exact (M4). A column that only rises or falls needs its ends.
    void addColumn(Columns& out, const Aggregate& a, double firstX, double lastX)
    {
        if (a.nonFinite > 0) {
            out.nonFinite += a.nonFinite;
            out.nonFiniteAt.push_back(firstX);
        }
        out.samples += a.count + a.nonFinite;
        if (a.count == 0) {
            addGap(out, firstX);
            return;
        }
        const double middle = (firstX + lastX) / 2;
        out.extremes.push_back(columnFrom(a, middle));
        out.points.push_back({ firstX, a.first });
        const bool isMonotone =
            std::min(a.first, a.last) == a.min && std::max(a.first, a.last) == a.max;
        if (!isMonotone) {
            const bool minIsNearer = a.first - a.min <= a.max - a.first;
            out.points.push_back({ middle, minIsNearer ? a.min : a.max });
            out.points.push_back({ middle, minIsNearer ? a.max : a.min });
        }
        if (a.count > 1)
            out.points.push_back({ lastX, a.last });
        if (a.nonFinite > 0)
            addGap(out, lastX);
    }

    void addPoint(Columns& out, const SeriesSnapshot& series, const PlotRequest& request,
        double originUs, std::size_t index)
    {
        if (std::isfinite(series.value(index)))
            out.points.push_back(
                { xOf(series, request.xKind, originUs, index), series.value(index) });
    }

    // One pass over the visible curve. The neighbors just outside the window come too, so that the
    // line reaches both edges, also when no sample lies inside.
    Columns columnsOf(const SeriesSnapshot& series, const PlotRequest& request, double originUs)
    {
        Columns out;
        const PlotRange& window = request.x;
        const std::vector<SegmentWindow> segments =
            segmentWindows(series, request.xKind, originUs, window);
        std::size_t total = 0;
        for (const SegmentWindow& segment : segments)
            total += segment.to - segment.from;
        const auto columns = static_cast<std::size_t>(std::max(1, request.columns));
        const double width = window.span() / double(columns);
        for (const SegmentWindow& segment : segments) {
            if (!out.points.empty())
                addGap(out, xOf(series, request.xKind, originUs, segment.begin)); // a restart
            if (segment.from > segment.begin)
                addPoint(out, series, request, originUs, segment.from - 1);
            std::size_t begin = segment.from;
            while (begin < segment.to) {
                std::size_t end = begin + 1;
                const double firstX = xOf(series, request.xKind, originUs, begin);
                if (total > columns && width > 0) {
                    const double edge =
                        window.min + (std::floor((firstX - window.min) / width) + 1) * width;
                    end = std::max(end,
                        boundOf(series, request.xKind, originUs, begin, segment.to, edge, false));
                }
                const double lastX = xOf(series, request.xKind, originUs, end - 1);
                addColumn(out, series.aggregate(begin, end), firstX, lastX);
                begin = end;
            }
            if (segment.to < segment.end)
                addPoint(out, series, request, originUs, segment.to);
        }
        return out;
    }

    double lastFinite(const SeriesSnapshot& series)
    {
        constexpr std::size_t kLookBack = 1000;
        for (std::size_t back = 1; back <= std::min(series.size(), kLookBack); ++back) {
            const double value = series.value(series.size() - back);
            if (std::isfinite(value))
                return value;
        }
        return std::numeric_limits<double>::quiet_NaN();
    }

    double quantile(std::vector<double>& values, double share)
    {
        const auto at = static_cast<std::ptrdiff_t>(share * double(values.size() - 1));
        std::nth_element(values.begin(), values.begin() + at, values.end());
        return values[static_cast<std::size_t>(at)];
    }

    // Everything, unless a few values would squeeze the rest of the curve into a thin band: then
    // the bulk plus some room, and the values outside are counted.
    PlotRange chooseY(const PlotData& plot, bool includesZero, bool isRobust)
    {
        std::vector<double> lows;
        std::vector<double> highs;
        for (const PlotTrack& track : plot.tracks) {
            for (const PlotPoint& point : track.line) {
                if (std::isfinite(point.y) && plot.x.contains(point.x)
                    && (!plot.isLogY || point.y > 0)) {
                    lows.push_back(point.y);
                    highs.push_back(point.y);
                }
            }
            if (!track.showsRaw)
                continue;
            for (const PlotColumn& column : track.raw) {
                if (!std::isfinite(column.min))
                    continue;
                if (!plot.isLogY || column.min > 0)
                    lows.push_back(column.min);
                highs.push_back(column.max);
            }
        }
        if (lows.empty())
            return { 0, 1 };
        double low = *std::min_element(lows.begin(), lows.end());
        double high = *std::max_element(highs.begin(), highs.end());
        if (isRobust && !plot.isLogY) {
            const double bulkLow = quantile(lows, 0.02);
            const double bulkHigh = quantile(highs, 0.90);
            const double span = std::max(bulkHigh - bulkLow, std::abs(bulkHigh) * 1e-6);
            if (high - bulkHigh > 0.6 * span)
                high = bulkHigh + 0.12 * span;
            if (bulkLow - low > 0.6 * span && !includesZero)
                low = bulkLow - 0.12 * span;
        }
        if (plot.isLogY) {
            if (!(high > low))
                high = low * 10;
            const double room = std::pow(high / low, 0.04);
            return { low / room, high * room };
        }
        if (includesZero && low > 0)
            low = 0;
        double span = high - low;
        if (!(span > 0))
            span = std::max(std::abs(high) * 0.1, 1e-9);
        const bool standsOnZero = includesZero && low == 0;
        return { low - span * (standsOnZero ? 0.03 : 0.05), high + span * 0.06 };
    }

    // Exact counts of raw samples outside the drawn range; only called when something is outside.
    void countOutside(
        PlotTrack& track, const TrackSource& source, const PlotRequest& request, PlotRange y)
    {
        const bool isCut = std::any_of(track.raw.begin(), track.raw.end(),
            [&](const PlotColumn& c) { return c.max > y.max || c.min < y.min; });
        if (!isCut)
            return;
        for (const SampleSpan& span :
            spansIn(source.raw, request.xKind, source.originUs, request.x)) {
            for (std::size_t i = span.begin; i < span.end; ++i) {
                const double value = source.raw.value(i);
                track.aboveRange += value > y.max ? 1 : 0;
                track.belowRange += value < y.min ? 1 : 0;
            }
        }
    }

    QString powerText(int exponent)
    {
        static const QString digits = u"⁰¹²³⁴⁵⁶⁷⁸⁹"_s;
        QString text = u" · ×10"_s;
        if (exponent < 0)
            text += u'⁻';
        for (const QChar c : QString::number(std::abs(exponent)))
            text += digits[c.digitValue()];
        return text;
    }

    void chooseScale(PlotData& plot, bool scalesToThousands)
    {
        const double size = std::max(std::abs(plot.y.min), std::abs(plot.y.max));
        if (plot.isLogY || !(size > 0))
            return;
        if (scalesToThousands && size >= 1e4) {
            plot.yScale = 1e-3;
            plot.subtitle += u" · k"_s;
        } else if (size < 1e-2) {
            // Powers of a thousand, as units go.
            const int exponent = 3 * static_cast<int>(std::floor(std::log10(size) / 3));
            plot.yScale = std::pow(10.0, -exponent);
            plot.subtitle += powerText(exponent);
        }
    }

    PlotTrack buildTrack(
        const TrackSource& source, const PlotRequest& request, SeriesSnapshot& line)
    {
        PlotTrack track;
        track.run = source.run;
        track.metric = source.metric;
        track.label = source.label;
        track.slot = source.slot;
        Columns raw = columnsOf(source.raw, request, source.originUs);
        track.samplesPerColumn =
            std::max(1.0, double(raw.samples) / std::max<double>(1.0, double(raw.extremes.size())));
        track.nonFinite = raw.nonFinite;
        track.nonFiniteAt = std::move(raw.nonFiniteAt);
        const long long maxDots = std::max(2, request.columns / 8);
        if (source.smoother) {
            line = source.smoother->update(source.raw);
            Columns smooth = columnsOf(line, request, source.originUs);
            track.line = std::move(smooth.points);
            track.showsRaw = source.showsRaw;
        } else {
            line = source.raw;
            track.line = std::move(raw.points);
            track.showsDots = raw.samples <= maxDots;
        }
        track.raw = std::move(raw.extremes);
        track.last = lastFinite(line);
        return track;
    }

} // namespace

double xOf(const SeriesSnapshot& series, XAxisKind kind, double originUs, std::size_t index)
{
    switch (kind) {
    case XAxisKind::Step:
        break;
    case XAxisKind::Relative:
        return (double(series.wallUs(index)) - originUs) / kMicroseconds;
    case XAxisKind::Wall:
        return double(series.wallUs(index)) / kMicroseconds;
    }
    return series.x(index);
}

std::vector<SampleSpan> spansIn(
    const SeriesSnapshot& series, XAxisKind kind, double originUs, PlotRange x)
{
    std::vector<SampleSpan> spans;
    for (const SegmentWindow& window : segmentWindows(series, kind, originUs, x)) {
        if (window.from < window.to)
            spans.push_back({ window.from, window.to });
    }
    return spans;
}

std::optional<std::size_t> nearestSample(
    const SeriesSnapshot& series, XAxisKind kind, double originUs, double x)
{
    std::optional<std::size_t> best;
    double bestDistance = std::numeric_limits<double>::infinity();
    if (series.isNull())
        return best;
    for (std::size_t s = 0; s < series.segmentCount(); ++s) {
        const std::size_t begin = series.segmentBegin(s);
        const std::size_t end = std::min(series.visibleEnd(s), series.size());
        if (begin >= end)
            continue;
        const std::size_t at = boundOf(series, kind, originUs, begin, end, x, false);
        for (const std::size_t index : { at, at > begin ? at - 1 : at }) {
            if (index >= end)
                continue;
            const double distance = std::abs(xOf(series, kind, originUs, index) - x);
            if (distance < bestDistance) {
                bestDistance = distance;
                best = index;
            }
        }
    }
    return best;
}

std::optional<PlotRange> extentOf(const SeriesSnapshot& series, XAxisKind kind, double originUs)
{
    if (series.isNull() || series.size() == 0)
        return std::nullopt;
    if (kind == XAxisKind::Step) {
        const auto range = series.xRange();
        return range ? std::optional(PlotRange { range->first, range->second }) : std::nullopt;
    }
    const std::size_t last = series.size() - 1;
    if (series.wallUs(0) == 0 && series.wallUs(last) == 0)
        return std::nullopt; // the ledger has no times
    return PlotRange { xOf(series, kind, originUs, 0), xOf(series, kind, originUs, last) };
}

PlotAnswer buildPlot(const PlotRequest& request)
{
    auto plot = std::make_shared<PlotData>();
    plot->id = request.id;
    plot->title = request.title;
    plot->xKind = request.xKind;
    plot->x = request.x;
    plot->isLogY = request.isLogY;
    plot->isDemo = request.isDemo;
    plot->isReported = !request.tracks.empty() || !request.hasRun || request.isDemo;
    plot->events = request.events;
    PlotAnswer answer;
    QStringList metrics;
    long long samples = 0;
    for (const TrackSource& source : request.tracks) {
        SeriesSnapshot line;
        plot->tracks.push_back(buildTrack(source, request, line));
        samples += std::llround(
            plot->tracks.back().samplesPerColumn * double(plot->tracks.back().raw.size()));
        answer.lines.push_back(std::move(line));
        if (!metrics.contains(source.metric))
            metrics.append(source.metric);
    }
    plot->subtitle = request.subtitle.isEmpty() ? metrics.join(u" · "_s) : request.subtitle;
    plot->y = request.y ? *request.y
                        : chooseY(*plot, request.includesZero, samples >= request.robustFrom);
    for (std::size_t i = 0; i < plot->tracks.size(); ++i) {
        PlotTrack& track = plot->tracks[i];
        countOutside(track, request.tracks[i], request, plot->y);
        plot->samplesPerColumn = std::max(plot->samplesPerColumn, track.samplesPerColumn);
        plot->nonFinite += track.nonFinite;
        plot->aboveRange += track.aboveRange;
        plot->belowRange += track.belowRange;
    }
    chooseScale(*plot, request.scalesToThousands);
    answer.plot = std::move(plot);
    return answer;
}

} // namespace desk
