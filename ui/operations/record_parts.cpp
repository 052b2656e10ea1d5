// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/operations/record_parts.h"

#include "models/format.h"
#include "ui/style/fonts.h"
#include "ui/style/glyphs.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QPainter>

#include <algorithm>
#include <cmath>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    constexpr int kBarHeight = 62;
    constexpr int kLaneRow = 27;
    constexpr int kAxisHeight = 26;
    constexpr int kLaneLabel = 150;

    /// A round number of seconds at or above the value: 1, 2, 5 times a power of ten.
    double niceCeiling(double seconds)
    {
        const double power = std::pow(10.0, std::floor(std::log10(std::max(seconds, 1e-3))));
        for (const double factor : { 1.0, 2.0, 5.0, 10.0 })
            if (factor * power >= seconds)
                return factor * power;
        return 10 * power;
    }

} // namespace

ElapsedBar::ElapsedBar(QWidget* parent)
    : QWidget(parent)
{
    setObjectName(u"operationRecord.elapsed"_s);
}

void ElapsedBar::setRecord(const OperationRecord& record)
{
    m_record = record;
    setAccessibleName(record.median
            ? tr("%1 elapsed, median of earlier loads %2")
                  .arg(format::seconds(record.elapsed), format::seconds(*record.median))
            : tr("%1 elapsed").arg(format::seconds(record.elapsed)));
    update();
}

QSize ElapsedBar::sizeHint() const
{
    return { px(700), px(kBarHeight) };
}

QSize ElapsedBar::minimumSizeHint() const
{
    return { px(300), px(kBarHeight) };
}

void ElapsedBar::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const auto& token = tokens();
    drawLine(painter, QRectF(0, 0, px(120), px(16)), Face::Second, tr("Elapsed"), token.text2);
    drawLine(painter, QRectF(0, px(16), px(130), px(28)), Face::Tile,
        format::seconds(m_record.elapsed), token.text);
    const QRectF track(px(136), px(20), width() - px(136), px(9));
    double scale = m_record.elapsed;
    for (const double load : m_record.earlier)
        scale = std::max(scale, load);
    scale = niceCeiling(std::max(scale * 1.05, 0.5));
    const auto xOf = [&](double seconds) { return track.left() + track.width() * seconds / scale; };
    roundBox(painter, track, 3, token.surface2, {});
    QRectF bar = track;
    bar.setRight(std::max(track.left() + 3, xOf(m_record.elapsed)));
    const QColor fill = m_record.status == StatusKind::Failed ? token.failed.ink
        : m_record.isUnknown                                  ? token.attention.ink
        : m_record.isRunning                                  ? token.accent
                                                              : token.good.ink;
    roundBox(painter, bar, 3, fill, {});
    for (const double load : m_record.earlier)
        vline(painter, xOf(load), track.bottom() + 2, track.bottom() + px(8), token.text2);
    if (m_record.median) {
        const qreal x = xOf(*m_record.median);
        painter.fillRect(QRectF(x - 1, track.top() - 4, 2, track.height() + 12), token.text);
        drawLine(painter, QRectF(x - px(80), 0, px(160), px(16)), Face::SecondMedium,
            tr("median %1").arg(format::seconds(*m_record.median)), token.text, Qt::AlignHCenter);
    }
    drawLine(painter, QRectF(track.left(), track.bottom() + px(10), px(60), px(16)), Face::Second,
        tr("0 s"), token.text2);
    if (m_record.timeout)
        drawLine(painter, QRectF(track.right() - px(170), track.bottom() + px(10), px(170), px(16)),
            Face::Second, tr("time-out %1 →").arg(format::seconds(*m_record.timeout)), token.text2,
            Qt::AlignRight);
}

ReplicaTimeline::ReplicaTimeline(QWidget* parent)
    : QWidget(parent)
{
    setObjectName(u"operationRecord.timeline"_s);
}

void ReplicaTimeline::setRecord(const OperationRecord& record)
{
    m_record = record;
    QStringList words;
    for (const auto& lane : record.lanes)
        for (const auto& span : lane.spans)
            words << tr("%1 %2 for %3")
                         .arg(lane.replica, span.stage, format::seconds(span.to - span.from));
    setAccessibleName(words.join(u"; "_s));
    updateGeometry();
    update();
}

QSize ReplicaTimeline::sizeHint() const
{
    return { px(700), px(kLaneRow) * int(m_record.lanes.size()) + px(kAxisHeight) };
}

QSize ReplicaTimeline::minimumSizeHint() const
{
    return { px(320), sizeHint().height() };
}

void ReplicaTimeline::paintAxis(QPainter& painter, double seconds, const QRectF& plot) const
{
    const auto& token = tokens();
    const int parts = 5;
    for (int i = 0; i <= parts; ++i) {
        const qreal x = plot.left() + plot.width() * i / parts;
        vline(painter, x, plot.top(), plot.bottom(), token.grid);
        // The last label ends with the plot instead of being centered out of the widget.
        const bool isLast = i == parts;
        drawLine(painter, QRectF(x - px(isLast ? 60 : 30), plot.bottom() + px(4), px(60), px(16)),
            Face::Second, format::seconds(seconds * i / parts), token.text2,
            isLast ? Qt::AlignRight : Qt::AlignHCenter);
    }
}

void ReplicaTimeline::paintEvent(QPaintEvent*)
{
    if (m_record.lanes.isEmpty())
        return;
    QPainter painter(this);
    const auto& token = tokens();
    double end = m_record.elapsed;
    for (const auto& lane : m_record.lanes)
        for (const auto& span : lane.spans)
            end = std::max(end, span.to);
    const double scale = niceCeiling(std::max(end, 0.1));
    const QRectF plot(px(kLaneLabel), 0, width() - px(kLaneLabel) - px(16),
        px(kLaneRow) * int(m_record.lanes.size()));
    paintAxis(painter, scale, plot);
    const auto xOf = [&](double seconds) { return plot.left() + plot.width() * seconds / scale; };
    for (qsizetype i = 0; i < m_record.lanes.size(); ++i) {
        const auto& lane = m_record.lanes.at(i);
        const qreal y = plot.top() + qreal(i) * px(kLaneRow);
        drawLine(painter, QRectF(0, y, px(kLaneLabel) - px(8), px(kLaneRow)), Face::Mono,
            lane.replica, token.text);
        qreal right = plot.left();
        for (const auto& span : lane.spans) {
            const qreal left = xOf(span.from);
            right = std::max(left + 1, xOf(span.to));
            painter.fillRect(QRectF(left, y + px(7), right - left, px(13)),
                token.heat[std::size_t(span.shade + 1)]);
        }
        if (lane.isReady)
            drawGlyph(painter, Glyph::Good, QRectF(right + px(6), y + px(7), px(13), px(13)),
                glyphColor(Glyph::Good));
    }
    if (m_record.median && *m_record.median < scale)
        painter.fillRect(QRectF(xOf(*m_record.median), plot.top(), 1.5, plot.height()), token.text);
}

} // namespace desk
