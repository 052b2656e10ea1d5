// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/sparkline.h"

#include <QLineF>
#include <QPainter>
#include <QPixmapCache>

#include <cmath>
#include <limits>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    QString sparkKey(const SparkValue& value, const QSize& size, qreal ratio, const QColor& color)
    {
        return u"spark/%1/%2/%3x%4/%5/%6"_s.arg(value.id, QString::number(value.version),
            QString::number(size.width()), QString::number(size.height()), QString::number(ratio),
            QString::number(color.rgba(), 16));
    }

} // namespace

QPixmap sparkline(
    const SparkValue& value, const QSize& size, qreal devicePixelRatio, const QColor& color)
{
    const QString key = sparkKey(value, size, devicePixelRatio, color);
    QPixmap pixmap;
    if (QPixmapCache::find(key, &pixmap))
        return pixmap;
    pixmap = QPixmap((QSizeF(size) * devicePixelRatio).toSize());
    pixmap.setDevicePixelRatio(devicePixelRatio);
    pixmap.fill(Qt::transparent);
    float low = std::numeric_limits<float>::infinity();
    float high = -low;
    for (const float v : value.values) {
        if (std::isfinite(v)) {
            low = std::min(low, v);
            high = std::max(high, v);
        }
    }
    const qsizetype count = value.values.size();
    if (count >= 2 && low <= high) {
        const double width = (size.width() - 2) * std::clamp(double(value.share), 0.1, 1.0);
        const double height = size.height() - 4;
        const double span = high > low ? double(high) - low : 1;
        const auto at = [&](qsizetype i) {
            return QPointF(1 + width * double(i) / double(count - 1),
                2 + height * (1 - (double(value.values[i]) - low) / span));
        };
        QList<QLineF> lines;
        lines.reserve(count);
        for (qsizetype i = 1; i < count; ++i) {
            if (std::isfinite(value.values[i - 1]) && std::isfinite(value.values[i]))
                lines.append(QLineF(at(i - 1), at(i)));
        }
        QPainter painter(&pixmap);
        painter.setRenderHint(QPainter::Antialiasing);
        painter.setPen(QPen(color, 1.2));
        painter.drawLines(lines);
    }
    QPixmapCache::insert(key, pixmap);
    return pixmap;
}

} // namespace desk
