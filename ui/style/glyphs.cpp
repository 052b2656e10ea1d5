// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/style/glyphs.h"

#include "ui/style/tokens.h"

#include <QIconEngine>
#include <QPainterPath>
#include <QPixmap>
#include <QPolygonF>

namespace desk {

namespace {

    // One glyph on the 14 x 14 grid.
    class GlyphPen
    {
    public:
        GlyphPen(QPainter& painter, QColor color)
            : m_painter(painter)
            , m_color(std::move(color))
            , m_hole(tokens().surface)
        {
        }

        void fill() { solid(m_color); }
        void hole() { solid(m_hole); }
        void stroke(qreal width) { line(m_color, width); }
        void holeStroke(qreal width) { line(m_hole, width); }
        void outline(qreal width)
        {
            stroke(width);
            m_painter.setBrush(m_hole);
        }
        void polygon(std::initializer_list<QPointF> points)
        {
            m_painter.drawPolygon(QPolygonF(QList<QPointF>(points)));
        }
        void check()
        {
            stroke(2);
            QPainterPath path(QPointF(2.7, 7.5));
            path.lineTo(5.7, 10.4);
            path.lineTo(11.3, 3.9);
            m_painter.drawPath(path);
        }
        void cross(qreal inset, qreal width, bool inHole)
        {
            inHole ? holeStroke(width) : stroke(width);
            m_painter.drawLine(QPointF(inset, inset), QPointF(14 - inset, 14 - inset));
            m_painter.drawLine(QPointF(14 - inset, inset), QPointF(inset, 14 - inset));
        }
        void clock()
        {
            stroke(1.4);
            m_painter.drawEllipse(QPointF(7, 7), 5.2, 5.2);
            m_painter.drawLine(QPointF(7, 4), QPointF(7, 7.1));
            m_painter.drawLine(QPointF(7, 7.1), QPointF(9.1, 8.3));
        }
        void dashedRing()
        {
            QPen pen(m_color, 1.8);
            pen.setCapStyle(Qt::FlatCap);
            m_painter.setPen(pen);
            m_painter.setBrush(Qt::NoBrush);
            for (int i = 0; i < 8; ++i)
                m_painter.drawArc(QRectF(1.8, 1.8, 10.4, 10.4), i * 45 * 16, 25 * 16);
        }
        void warning(bool isQuestion)
        {
            QPen edge(m_color, 1.4);
            edge.setJoinStyle(Qt::RoundJoin);
            m_painter.setPen(edge);
            m_painter.setBrush(m_color);
            polygon({ { 7, 2.2 }, { 12.6, 11.8 }, { 1.4, 11.8 } });
            if (isQuestion) {
                holeStroke(1.2);
                QPainterPath hook(QPointF(5.5, 6.6));
                hook.cubicTo(5.5, 4.5, 8.7, 4.5, 8.5, 6.6);
                hook.cubicTo(8.4, 7.5, 7, 7.6, 7, 8.6);
                m_painter.drawPath(hook);
            } else {
                holeStroke(1.5);
                m_painter.drawLine(QPointF(7, 5.6), QPointF(7, 8.2));
            }
            hole();
            m_painter.drawEllipse(QPointF(7, 10.4), 0.85, 0.85);
        }
        void restart()
        {
            stroke(2);
            m_painter.drawArc(QRectF(2.4, 2.4, 9.2, 9.2), 55 * 16, 275 * 16);
            fill();
            polygon({ { 8.4, 1 }, { 12.7, 2.1 }, { 10.2, 5.7 } });
        }
        QPainter& painter() { return m_painter; }

    private:
        void solid(const QColor& color)
        {
            m_painter.setPen(Qt::NoPen);
            m_painter.setBrush(color);
        }
        void line(const QColor& color, qreal width)
        {
            QPen pen(color, width);
            pen.setCapStyle(Qt::RoundCap);
            pen.setJoinStyle(Qt::RoundJoin);
            m_painter.setPen(pen);
            m_painter.setBrush(Qt::NoBrush);
        }

        QPainter& m_painter;
        QColor m_color;
        QColor m_hole;
    };

    void paintStatusGlyph(GlyphPen& pen, Glyph glyph)
    {
        switch (glyph) {
        case Glyph::Run:
            pen.fill();
            pen.polygon({ { 3.5, 2.5 }, { 11.6, 7 }, { 3.5, 11.5 } });
            break;
        case Glyph::Wait:
            pen.clock();
            break;
        case Glyph::Busy:
            pen.dashedRing();
            break;
        case Glyph::Good:
            pen.check();
            break;
        case Glyph::Attention:
            pen.warning(false);
            break;
        case Glyph::Unknown:
            pen.warning(true);
            break;
        case Glyph::Fail:
            pen.fill();
            pen.painter().drawRoundedRect(QRectF(1.5, 1.5, 11, 11), 2, 2);
            pen.cross(4.8, 1.6, true);
            break;
        case Glyph::Cross:
            pen.cross(3.4, 1.6, false);
            break;
        case Glyph::Square:
            pen.fill();
            pen.painter().drawRect(QRectF(2.5, 2.5, 9, 9));
            break;
        case Glyph::Paused:
            pen.fill();
            pen.painter().drawRect(QRectF(3.2, 2.5, 2.8, 9));
            pen.painter().drawRect(QRectF(8, 2.5, 2.8, 9));
            break;
        default:
            break;
        }
    }

    void paintEventGlyph(GlyphPen& pen, Glyph glyph)
    {
        switch (glyph) {
        case Glyph::Ring:
            pen.outline(2);
            pen.painter().drawEllipse(QPointF(7, 7), 4, 4);
            break;
        case Glyph::DiamondHollow:
            pen.outline(1.5);
            pen.polygon({ { 7, 1.8 }, { 12.2, 7 }, { 7, 12.2 }, { 1.8, 7 } });
            break;
        case Glyph::DiamondFilled:
            pen.fill();
            pen.polygon({ { 7, 1.3 }, { 12.7, 7 }, { 7, 12.7 }, { 1.3, 7 } });
            break;
        case Glyph::Triangle:
            pen.fill();
            pen.polygon({ { 7, 1.8 }, { 12.6, 12 }, { 1.4, 12 } });
            break;
        case Glyph::Restart:
            pen.restart();
            break;
        case Glyph::Better:
            pen.fill();
            pen.polygon({ { 2.4, 3.6 }, { 11.6, 3.6 }, { 7, 11.2 } });
            break;
        case Glyph::Worse:
            pen.fill();
            pen.polygon({ { 2.4, 10.8 }, { 11.6, 10.8 }, { 7, 3.2 } });
            break;
        default:
            break;
        }
    }

    class GlyphIconEngine final : public QIconEngine
    {
    public:
        explicit GlyphIconEngine(Glyph glyph)
            : m_glyph(glyph)
        {
        }
        void paint(QPainter* painter, const QRect& rect, QIcon::Mode, QIcon::State) override
        {
            drawGlyph(*painter, m_glyph, QRectF(rect).adjusted(1, 1, -1, -1), glyphColor(m_glyph));
        }
        QPixmap pixmap(const QSize& size, QIcon::Mode mode, QIcon::State state) override
        {
            QPixmap pixmap(size);
            pixmap.fill(Qt::transparent);
            QPainter painter(&pixmap);
            paint(&painter, pixmap.rect(), mode, state);
            return pixmap;
        }
        QIconEngine* clone() const override { return new GlyphIconEngine(m_glyph); }

    private:
        Glyph m_glyph;
    };

} // namespace

Glyph glyphOf(StatusKind kind)
{
    switch (kind) {
    case StatusKind::None:
        return Glyph::None;
    case StatusKind::Running:
        return Glyph::Run;
    case StatusKind::Waiting:
        return Glyph::Wait;
    case StatusKind::Busy:
        return Glyph::Busy;
    case StatusKind::Good:
        return Glyph::Good;
    case StatusKind::Attention:
        return Glyph::Attention;
    case StatusKind::Unknown:
        return Glyph::Unknown;
    case StatusKind::Failed:
        return Glyph::Fail;
    case StatusKind::Off:
        return Glyph::Square;
    case StatusKind::Paused:
        return Glyph::Paused;
    case StatusKind::No:
        return Glyph::Cross;
    }
    return Glyph::None;
}

Glyph glyphOf(PlotEventKind kind)
{
    switch (kind) {
    case PlotEventKind::Snapshot:
        return Glyph::DiamondFilled;
    case PlotEventKind::TrainingState:
        return Glyph::DiamondHollow;
    case PlotEventKind::Hotload:
        return Glyph::Triangle;
    case PlotEventKind::Restart:
        return Glyph::Restart;
    case PlotEventKind::Alert:
        return Glyph::Attention;
    }
    return Glyph::None;
}

QColor glyphColor(Glyph glyph, bool isOnSelection)
{
    switch (glyph) {
    case Glyph::Run:
        return toneColor(Tone::Running, isOnSelection);
    case Glyph::Busy:
    case Glyph::Restart:
        return toneColor(Tone::Busy, isOnSelection);
    case Glyph::Good:
    case Glyph::Triangle:
        return toneColor(Tone::Good, isOnSelection);
    case Glyph::Attention:
    case Glyph::Unknown:
        return toneColor(Tone::Attention, isOnSelection);
    case Glyph::Fail:
        return toneColor(Tone::Failed, isOnSelection);
    case Glyph::Ring:
    case Glyph::DiamondFilled:
        return toneColor(Tone::Normal, isOnSelection);
    case Glyph::Better:
        return toneColor(Tone::Better, isOnSelection);
    case Glyph::Worse:
        return toneColor(Tone::Worse, isOnSelection);
    case Glyph::Square:
    case Glyph::Wait:
    case Glyph::Paused:
        return toneColor(Tone::Waiting, isOnSelection);
    case Glyph::None:
    case Glyph::Cross:
    case Glyph::DiamondHollow:
        break;
    }
    return toneColor(Tone::Secondary, isOnSelection);
}

void drawGlyph(QPainter& painter, Glyph glyph, const QRectF& rect, const QColor& color)
{
    if (glyph == Glyph::None)
        return;
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.translate(rect.topLeft());
    painter.scale(rect.width() / 14, rect.height() / 14);
    GlyphPen pen(painter, color);
    paintStatusGlyph(pen, glyph);
    paintEventGlyph(pen, glyph);
    painter.restore();
}

QIcon glyphIcon(Glyph glyph)
{
    return QIcon(new GlyphIconEngine(glyph));
}

} // namespace desk
