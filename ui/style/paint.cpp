// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/style/paint.h"

#include <QPaintDevice>
#include <QPen>

#include <cmath>

namespace desk {

namespace {

    // Snaps down to the device grid; the epsilon keeps a value that is a hair below a line on it.
    qreal snapped(qreal value, qreal ratio)
    {
        return std::floor(value * ratio + 1e-6) / ratio;
    }

} // namespace

qreal devicePixelRatioOf(const QPainter& painter)
{
    return painter.device() ? painter.device()->devicePixelRatioF() : 1.0;
}

void hline(QPainter& painter, qreal x1, qreal x2, qreal y, const QColor& color)
{
    const qreal ratio = devicePixelRatioOf(painter);
    painter.fillRect(QRectF(x1, snapped(y, ratio), x2 - x1, 1 / ratio), color);
}

void vline(QPainter& painter, qreal x, qreal y1, qreal y2, const QColor& color)
{
    const qreal ratio = devicePixelRatioOf(painter);
    painter.fillRect(QRectF(snapped(x, ratio), y1, 1 / ratio, y2 - y1), color);
}

void roundBox(
    QPainter& painter, QRectF rect, qreal radius, const QColor& fill, const QColor& stroke)
{
    // Fusion draws some parts with whatever brush is left behind, so everything is put back.
    const bool wasSmooth = painter.testRenderHint(QPainter::Antialiasing);
    const QPen pen = painter.pen();
    const QBrush brush = painter.brush();
    painter.setRenderHint(QPainter::Antialiasing, true);
    if (stroke.isValid()) {
        rect.adjust(0.5, 0.5, -0.5, -0.5); // a 1 px pen centered on half pixels stays crisp
        radius = qMax(0.0, radius - 0.5);
        painter.setPen(QPen(stroke, 1));
    } else {
        painter.setPen(Qt::NoPen);
    }
    painter.setBrush(fill.isValid() ? QBrush(fill) : QBrush(Qt::NoBrush));
    painter.drawRoundedRect(rect, radius, radius);
    painter.setRenderHint(QPainter::Antialiasing, wasSmooth);
    painter.setPen(pen);
    painter.setBrush(brush);
}

} // namespace desk
