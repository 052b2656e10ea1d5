// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/item_roles.h"

#include <QColor>
#include <QPixmap>
#include <QSize>

namespace desk {

/// The picture of a trend, cached by row, version, size, scale and color. size in
/// device-independent pixels. GUI thread only.
[[nodiscard]] QPixmap sparkline(
    const SparkValue& value, const QSize& size, qreal devicePixelRatio, const QColor& color);

} // namespace desk
