// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/item_roles.h"
#include "models/plot_data.h"

#include <QColor>
#include <QIcon>
#include <QPainter>
#include <QRectF>

namespace desk {

/// Filled status and event shapes; the shape carries the meaning, color repeats it.
enum class Glyph
{
    None,
    Run,
    Wait,
    Busy,
    Good,
    Attention,
    Unknown,
    Fail,
    Cross,
    Square,
    Paused,
    Ring,
    DiamondHollow,
    DiamondFilled,
    Triangle,
    Restart,
    Better, ///< small triangle down
    Worse ///< small triangle up
};

[[nodiscard]] Glyph glyphOf(StatusKind kind);
[[nodiscard]] Glyph glyphOf(PlotEventKind kind);
/// The ink that goes with a glyph in the present theme.
[[nodiscard]] QColor glyphColor(Glyph glyph, bool isOnSelection = false);
/// Designed on a 14 × 14 grid, scaled to the rectangle.
void drawGlyph(QPainter& painter, Glyph glyph, const QRectF& rect, const QColor& color);
/// Resolves its color when painted: a theme switch needs no new icons.
[[nodiscard]] QIcon glyphIcon(Glyph glyph);

} // namespace desk
