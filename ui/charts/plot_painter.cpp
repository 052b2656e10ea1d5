// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/charts/plot_painter.h"

#include "models/plot_math.h"
#include "ui/style/fonts.h"
#include "ui/style/glyphs.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QLineF>
#include <QList>

#include <algorithm>
#include <cmath>

using namespace Qt::StringLiterals;

namespace desk::plot {

namespace {

    std::vector<Tick> yTicks(const PlotData& plot, double areaHeight)
    {
        const int count = maxYTicks(areaHeight);
        return plot.isLogY ? logTicks(plot.y, count) : linearTicks(plot.y, count, plot.yScale);
    }

    PlotMap mapOf(const PlotData& plot, const Layout& layout)
    {
        return { layout.area, plot.x, plot.y, plot.isLogY };
    }

    // The newest point of a line that lies in the window.
    std::optional<PlotPoint> lastVisible(const PlotData& plot, const PlotTrack& track)
    {
        for (auto point = track.line.rbegin(); point != track.line.rend(); ++point) {
            if (point->x <= plot.x.max + plot.x.span() * 1e-9 && std::isfinite(point->y))
                return point->x >= plot.x.min ? std::optional(*point) : std::nullopt;
        }
        return std::nullopt;
    }

    QString endLabelText(const PlotData& plot, const PlotTrack& track, double value)
    {
        const QString number = plot.yScale == 1 || plot.id == u"throughput"
            ? formatValue(value)
            : formatValue(value * plot.yScale, 3);
        return track.label.isEmpty() ? number : QString(track.label + u' ' + number);
    }

    // The band of the raw samples: one vertical line per device column. A column that does not
    // touch its neighbor is drawn up to it, so that the band has no holes a polyline would not
    // have.
    void appendBand(QList<QLineF>& lines, const PlotTrack& track, const PlotMap& map, double ratio)
    {
        const PlotColumn* before = nullptr;
        double beforeX = 0;
        for (const PlotColumn& column : track.raw) {
            if (!std::isfinite(column.min)) {
                before = nullptr;
                continue;
            }
            const double x = (std::floor(map.px(column.x) * ratio) + 0.5) / ratio;
            double low = column.min;
            double high = column.max;
            if (before && x - beforeX <= 1.6 / ratio) {
                low = std::min(low, before->max);
                high = std::max(high, before->min);
            } else if (before) {
                const double from = (before->min + before->max) / 2;
                const double to = (column.min + column.max) / 2;
                lines.append(QLineF(beforeX, map.py(from), x, map.py(to)));
            }
            lines.append(QLineF(x, map.py(low), x, map.py(high)));
            before = &column;
            beforeX = x;
        }
    }

    void appendLine(QList<QLineF>& lines, const PlotTrack& track, const PlotMap& map)
    {
        bool hasBefore = false;
        QPointF before;
        for (const PlotPoint& point : track.line) {
            if (!std::isfinite(point.y)) {
                hasBefore = false;
                continue;
            }
            const QPointF here(map.px(point.x), map.py(point.y));
            if (hasBefore)
                lines.append(QLineF(before, here));
            before = here;
            hasBefore = true;
        }
    }

    void paintDots(QPainter& painter, const PlotTrack& track, const PlotMap& map)
    {
        painter.setPen(Qt::NoPen);
        painter.setBrush(seriesColor(track.slot));
        for (const PlotPoint& point : track.line) {
            if (std::isfinite(point.y))
                painter.drawEllipse(QPointF(map.px(point.x), map.py(point.y)), 2.0, 2.0);
        }
    }

    struct Badge
    {
        QString text;
        QColor fill;
        QColor edge;
        QColor ink;
    };

    std::vector<Badge> badgesOf(const PlotData& plot)
    {
        const Tokens& t = tokens();
        std::vector<Badge> badges; // from the right
        if (plot.aboveRange + plot.belowRange > 0) {
            const QString where = plot.belowRange == 0 ? u"above range"_s
                : plot.aboveRange == 0                 ? u"below range"_s
                                                       : u"out of range"_s;
            badges.push_back({ formatStep(double(plot.aboveRange + plot.belowRange)) + u' ' + where,
                t.attention.tint, QColor(), t.attention.ink });
        }
        if (plot.nonFinite > 0)
            badges.push_back({ formatStep(double(plot.nonFinite)) + u" non-finite"_s, t.failed.tint,
                QColor(), t.failed.ink });
        if (plot.isReported && !plot.tracks.empty())
            badges.push_back(
                { aggregationText(plot.samplesPerColumn), QColor(), t.hairline, t.text2 });
        if (plot.isLogY)
            badges.push_back({ u"log"_s, QColor(), t.hairline, t.text2 });
        return badges;
    }

    double paintBadges(QPainter& painter, const PlotData& plot, const QRectF& head)
    {
        double right = head.right() - px(10);
        for (const Badge& badge : badgesOf(plot)) {
            const double width = tabularWidth(Face::BadgeLight, badge.text) + px(10);
            const QRectF box(qRound(right - width), head.top() + px(4), width, px(16));
            if (box.left() < head.left() + px(120))
                break;
            roundBox(painter, box, 3, badge.fill, badge.edge);
            drawTabular(painter, { box.left() + px(5), baselineIn(box, Face::BadgeLight) },
                Face::BadgeLight, badge.text, badge.ink);
            right = box.left() - px(6);
        }
        return right;
    }

    double paintLegend(QPainter& painter, const QRectF& head)
    {
        struct Entry
        {
            Glyph glyph;
            QString text;
        };
        const Entry entries[] = { { Glyph::Triangle, u"loaded to serve"_s },
            { Glyph::DiamondHollow, u"training state"_s },
            { Glyph::DiamondFilled, u"model snapshot"_s } };
        double right = head.right() - px(18);
        for (const Entry& entry : entries) {
            const double left = right - textWidth(Face::Second, entry.text);
            drawLine(painter, QRectF(left, head.top(), right - left + 1, head.height()),
                Face::Second, entry.text, tokens().text2);
            const QRectF mark(left - px(17), qRound(head.center().y() - px(6)), px(12), px(12));
            drawGlyph(painter, entry.glyph, mark, glyphColor(entry.glyph));
            right = mark.left() - px(14);
        }
        return right;
    }

    // The highest clipped value, named where it is: a spike that left the range must be readable.
    void paintSpike(QPainter& painter, const PlotData& plot, const PlotTrack& track,
        const PlotMap& map, const QRectF& area)
    {
        constexpr long long kMostNamed = 20;
        if (track.aboveRange == 0 || !track.showsRaw)
            return;
        const PlotColumn* top = nullptr;
        for (const PlotColumn& column : track.raw) {
            if (std::isfinite(column.max) && (!top || column.max > top->max))
                top = &column;
        }
        // A whole descent above the range is told by the badge; a spike is named where it is.
        if (!top || (track.aboveRange > kMostNamed && top->max < plot.y.max + plot.y.span()))
            return;
        const double x = map.px(top->x);
        const QColor ink = tokens().attention.ink;
        const QString text = formatValue(top->max * plot.yScale, 3);
        const double width = tabularWidth(Face::Second, text);
        const bool isRight = x - width - px(10) < area.left();
        drawTabular(painter, { isRight ? x + px(8) : x - px(8) - width, area.top() + px(11) },
            Face::Second, text, ink);
        painter.setRenderHint(QPainter::Antialiasing, true);
        painter.setPen(Qt::NoPen);
        painter.setBrush(ink);
        const QPointF points[3] = { { x - px(4), area.top() + px(9) },
            { x + px(4), area.top() + px(9) }, { x, area.top() + px(2) } };
        painter.drawPolygon(points, 3);
        painter.setRenderHint(QPainter::Antialiasing, false);
    }

    double interpolated(const PlotTrack& track, double x)
    {
        const PlotPoint* before = nullptr;
        for (const PlotPoint& point : track.line) {
            if (!std::isfinite(point.y)) {
                before = nullptr;
                continue;
            }
            if (point.x >= x) {
                if (!before || point.x == before->x)
                    return point.x == x || before ? point.y
                                                  : std::numeric_limits<double>::quiet_NaN();
                const double share = (x - before->x) / (point.x - before->x);
                return before->y + share * (point.y - before->y);
            }
            before = &point;
        }
        return std::numeric_limits<double>::quiet_NaN();
    }

    QRectF chipRect(const PlotData& plot, const Layout& layout, double at, double x)
    {
        const QString text = formatXValue(x, plot.xKind);
        const double width = tabularWidth(Face::Second, text) + px(18);
        return { double(qRound(at - width / 2)), layout.xLabels.top() + px(2), width,
            double(px(17)) };
    }

} // namespace

int maxYTicks(double areaHeight)
{
    return std::clamp(static_cast<int>(areaHeight / px(29)), 2, 8);
}

int maxXTicks(double areaWidth)
{
    return std::clamp(static_cast<int>(areaWidth / px(38)), 2, 12);
}

Layout layoutOf(QSizeF size, const PlotData& plot, const PlotParts& parts)
{
    Layout layout;
    layout.whole = QRectF(QPointF(), size);
    layout.head = QRectF(0, 0, size.width(), px(24));
    const double lane = parts.hasEventLane ? px(20) : 0;
    const double labels = parts.hasXLabels ? px(20) : 0;
    const double bottomRoom = lane + labels + (labels > 0 ? 0 : 1);
    const double height = std::max(10.0, size.height() - px(24) - bottomRoom);
    const double gutter = std::max(parts.gutter, wantedGutter(plot, height));
    const double most = size.width() * 0.4;
    const double endRoom = std::min(most, double(std::max(parts.endRoom, wantedEndRoom(plot))));
    layout.area = QRectF(gutter, px(24), std::max(10.0, size.width() - gutter - endRoom), height);
    double y = layout.area.bottom();
    if (parts.hasEventLane) {
        layout.lane = QRectF(gutter, y, layout.area.width(), lane);
        y += lane;
    }
    if (parts.hasXLabels)
        layout.xLabels = QRectF(0, y, size.width(), labels);
    return layout;
}

int wantedGutter(const PlotData& plot, double areaHeight)
{
    double widest = textWidth(Face::Second, u"events"_s) - px(4);
    if (plot.isReported) {
        for (const Tick& tick : yTicks(plot, areaHeight))
            widest = std::max(widest, tabularWidth(Face::Second, tick.text));
    }
    return std::max(px(48), qCeil(widest) + px(14));
}

int wantedEndRoom(const PlotData& plot)
{
    double widest = 0;
    for (const PlotTrack& track : plot.tracks) {
        // Room for the value at its longest, so that the plot does not move while digits change.
        const QString text = track.label.isEmpty() ? u"0.0000"_s : track.label + u" 0.0000"_s;
        widest = std::max(widest, textWidth(Face::SecondMedium, text));
    }
    return std::max(px(70), qCeil(widest) + px(28));
}

void paintHead(
    QPainter& painter, const PlotData& plot, const PlotParts& parts, const Layout& layout)
{
    const Tokens& t = tokens();
    const QRectF& head = layout.head;
    const double right =
        parts.hasEventLegend ? paintLegend(painter, head) : paintBadges(painter, plot, head);
    if (parts.hasFocusMark)
        painter.fillRect(QRectF(0, 0, 2, layout.whole.height()), t.accent);
    double x = head.left() + px(10);
    drawLine(painter, QRectF(x, head.top(), std::max(0.0, right - x), head.height()),
        Face::SecondBold, plot.title, t.text);
    x += textWidth(Face::SecondBold, plot.title) + px(7);
    drawLine(painter, QRectF(x, head.top(), std::max(0.0, right - x), head.height()), Face::Second,
        plot.subtitle, t.text2);
    if (parts.hasRightLine)
        vline(painter, layout.whole.right() - 1, 0, layout.whole.bottom(), t.hairline);
    if (parts.hasBottomLine)
        hline(painter, 0, layout.whole.right(), layout.whole.bottom() - 1, t.hairline);
}

void paintYLabels(QPainter& painter, const PlotData& plot, const Layout& layout)
{
    const PlotMap map = mapOf(plot, layout);
    const double half = QFontMetricsF(fontOf(Face::Second)).capHeight() / 2;
    for (const Tick& tick : yTicks(plot, layout.area.height())) {
        const double y = map.py(tick.value);
        const double x = layout.area.left() - px(7) - tabularWidth(Face::Second, tick.text);
        drawTabular(
            painter, { x, double(qRound(y + half)) }, Face::Second, tick.text, tokens().text2);
    }
}

void paintXLabels(
    QPainter& painter, const PlotData& plot, const Layout& layout, std::optional<double> crosshair)
{
    if (layout.xLabels.isNull())
        return;
    const PlotMap map = mapOf(plot, layout);
    QRectF chip;
    if (crosshair && plot.x.contains(*crosshair))
        chip = chipRect(plot, layout, map.px(*crosshair), *crosshair).adjusted(-px(4), 0, px(4), 0);
    const double top = layout.area.bottom();
    for (const Tick& tick : xTicks(plot.x, plot.xKind, maxXTicks(layout.area.width()))) {
        const double x = map.px(tick.value);
        vline(painter, x, top, top + 4, tokens().hairline);
        const double width = tabularWidth(Face::Second, tick.text);
        const double left = std::max(x - width / 2, layout.area.left() - px(1));
        if (!chip.isNull() && left < chip.right() && left + width > chip.left())
            continue;
        drawTabular(painter, { left, baselineIn(layout.xLabels, Face::Second) }, Face::Second,
            tick.text, tokens().text2);
    }
}

void paintCurves(QPainter& painter, const PlotData& plot, const Layout& layout)
{
    const PlotMap map = mapOf(plot, layout);
    const double ratio = devicePixelRatioOf(painter);
    static QList<QLineF> lines; // reused: no allocation per frame
    painter.save();
    painter.setClipRect(layout.area);
    painter.setRenderHint(QPainter::Antialiasing, false);
    for (const PlotTrack& track : plot.tracks) {
        if (!track.showsRaw)
            continue;
        lines.clear();
        appendBand(lines, track, map, ratio);
        QColor ghost = seriesColor(track.slot);
        ghost.setAlphaF(tokens().isDark ? 0.36F : 0.32F);
        painter.setPen(QPen(ghost, 0)); // one device pixel at any scale: the fast path
        painter.drawLines(lines);
    }
    painter.setRenderHint(QPainter::Antialiasing, true);
    const double width = plot.tracks.size() > 12 ? 1.0 : 1.5;
    // The first run is the one that is looked at: its lines lie on top.
    for (auto it = plot.tracks.rbegin(); it != plot.tracks.rend(); ++it) {
        const PlotTrack& track = *it;
        lines.clear();
        appendLine(lines, track, map);
        QPen pen(seriesColor(track.slot), width);
        pen.setCapStyle(Qt::FlatCap);
        painter.setPen(pen);
        painter.drawLines(lines);
        if (track.showsDots)
            paintDots(painter, track, map);
    }
    painter.restore();
}

void paintMarks(QPainter& painter, const PlotData& plot, const Layout& layout)
{
    const PlotMap map = mapOf(plot, layout);
    const QRectF& area = layout.area;
    for (const PlotEvent& event : plot.events) {
        const bool hasLine =
            event.kind == PlotEventKind::Restart || event.kind == PlotEventKind::Alert;
        if (!hasLine || !plot.x.contains(event.x))
            continue;
        QColor color = glyphColor(glyphOf(event.kind));
        color.setAlphaF(0.55F);
        vline(painter, map.px(event.x), area.top(), area.bottom(), color);
    }
    painter.save();
    for (const PlotTrack& track : plot.tracks) {
        for (const double x : track.nonFiniteAt) {
            if (plot.x.contains(x))
                painter.fillRect(
                    QRectF(map.px(x) - 1, area.bottom() - px(5), 2, px(5)), tokens().failed.ink);
        }
        paintSpike(painter, plot, track, map, area);
    }
    painter.restore();
}

void paintEndLabels(QPainter& painter, const PlotData& plot, const Layout& layout)
{
    struct Label
    {
        double y;
        QString text;
        int slot;
    };
    const PlotMap map = mapOf(plot, layout);
    const QRectF& area = layout.area;
    std::vector<Label> labels;
    for (const PlotTrack& track : plot.tracks) {
        if (const auto last = lastVisible(plot, track))
            labels.push_back({ std::clamp(map.py(last->y), area.top(), area.bottom()),
                endLabelText(plot, track, last->y), track.slot });
    }
    std::sort(
        labels.begin(), labels.end(), [](const Label& a, const Label& b) { return a.y < b.y; });
    std::vector<double> wanted;
    for (const Label& label : labels)
        wanted.push_back(label.y);
    const std::vector<double> at =
        spreadLabels(std::move(wanted), px(14), area.top() + px(6), area.bottom() - px(6));
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing, true);
    const double x = area.right();
    const double half = QFontMetricsF(fontOf(Face::SecondMedium)).capHeight() / 2;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const QColor color = seriesColor(labels[i].slot);
        painter.setPen(QPen(color, 1));
        painter.drawLine(QPointF(x, labels[i].y), QPointF(x + px(7), at[i]));
        painter.setPen(QPen(color, 3, Qt::SolidLine, Qt::FlatCap));
        painter.drawLine(QPointF(x + px(6), at[i]), QPointF(x + px(15), at[i]));
        const double room = layout.whole.right() - x - px(23);
        const QRectF line(x + px(19), at[i] - px(10), room, px(20));
        if (textWidth(Face::SecondMedium, labels[i].text) > room) {
            drawLine(painter, line, Face::SecondMedium, labels[i].text, tokens().text);
            continue;
        }
        drawTabular(painter, { line.left(), double(qRound(at[i] + half)) }, Face::SecondMedium,
            labels[i].text, tokens().text);
    }
    painter.restore();
}

void paintEmpty(QPainter& painter, const PlotData& plot, const Layout& layout)
{
    if (plot.isReported)
        return;
    drawLine(painter, layout.area, Face::Second, u"not reported by this job"_s, tokens().text2,
        Qt::AlignHCenter);
}

void paintCrosshair(QPainter& painter, const PlotData& plot, const Layout& layout, double x)
{
    if (!plot.x.contains(x) || plot.tracks.empty())
        return;
    const Tokens& t = tokens();
    const PlotMap map = mapOf(plot, layout);
    const double at = map.px(x);
    vline(painter, at, layout.area.top(), layout.area.bottom(), t.crosshair);
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing, true);
    for (const PlotTrack& track : plot.tracks) {
        const double value = interpolated(track, x);
        const double y = std::isfinite(value) ? map.py(value) : -1;
        if (y < layout.area.top() || y > layout.area.bottom())
            continue;
        painter.setPen(QPen(t.surface, 1.5));
        painter.setBrush(seriesColor(track.slot));
        painter.drawEllipse(QPointF(std::floor(at) + 0.5, y), 4, 4);
    }
    painter.restore();
    if (layout.xLabels.isNull())
        return;
    const QRectF chip = chipRect(plot, layout, at, x);
    roundBox(painter, chip, 3, t.crosshair, QColor());
    drawTabular(painter, { chip.left() + px(9), baselineIn(chip, Face::Second) }, Face::Second,
        formatXValue(x, plot.xKind), t.isDark ? t.onAccent : t.surface);
}

QRectF crosshairBounds(const PlotData& plot, const Layout& layout, double x)
{
    const double at = mapOf(plot, layout).px(x);
    QRectF bounds(at - px(6), layout.area.top() - px(5), px(12), layout.area.height() + px(10));
    if (!layout.xLabels.isNull())
        bounds = bounds.united(chipRect(plot, layout, at, x));
    return bounds;
}

std::vector<double> glyphCenters(const PlotData& plot, const Layout& layout)
{
    const PlotMap map = mapOf(plot, layout);
    std::vector<double> centers;
    double last = -1e9;
    for (const PlotEvent& event : plot.events) {
        if (!plot.x.contains(event.x)) {
            centers.push_back(std::numeric_limits<double>::quiet_NaN());
            continue;
        }
        last = std::max(map.px(event.x), last + px(12));
        centers.push_back(last);
    }
    return centers;
}

std::vector<double> spreadLabels(std::vector<double> wanted, double gap, double top, double bottom)
{
    if (wanted.empty())
        return wanted;
    const auto count = static_cast<double>(wanted.size());
    if ((count - 1) * gap > bottom - top) // too many: evenly over what there is
        gap = std::max(0.0, (bottom - top) / std::max(1.0, count - 1));
    double least = top;
    for (double& y : wanted) {
        y = std::max(y, least);
        least = y + gap;
    }
    double most = bottom;
    for (auto y = wanted.rbegin(); y != wanted.rend(); ++y) {
        *y = std::min(*y, most);
        most = *y - gap;
    }
    return wanted;
}

QString aggregationText(double samplesPerColumn)
{
    if (samplesPerColumn < 1.5)
        return u"1:1"_s;
    return u"1:%1 min–max"_s.arg(qRound(samplesPerColumn));
}

} // namespace desk::plot
