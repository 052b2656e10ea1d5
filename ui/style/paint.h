// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QColor>
#include <QPainter>
#include <QRectF>

namespace desk {

/// Lines of exactly one device pixel on the device grid, at any scale factor.
void hline(QPainter& painter, qreal x1, qreal x2, qreal y, const QColor& color);
void vline(QPainter& painter, qreal x, qreal y1, qreal y2, const QColor& color);
/// Crisp rounded rectangle; an invalid color leaves that part out. Leaves the painter as found.
void roundBox(
    QPainter& painter, QRectF rect, qreal radius, const QColor& fill, const QColor& stroke);
[[nodiscard]] qreal devicePixelRatioOf(const QPainter& painter);

} // namespace desk
