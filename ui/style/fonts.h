// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QFont>
#include <QPainter>
#include <QRawFont>
#include <QRectF>
#include <QString>

// Faces of the product and text painting with equal digit widths. GUI thread only.

namespace desk {

enum class Face
{
    Body, ///< 13 px
    Medium, ///< 13 px / 500
    Bold, ///< 13 px / 600
    Second, ///< 12 px
    SecondMedium,
    SecondBold,
    Title, ///< 15 px / 600
    Tile, ///< 20 px / 500
    Badge, ///< 11 px / 500
    BadgeLight, ///< 11 px / 400
    Mono, ///< 12 px fixed
    MonoBold,
    MonoSmall ///< 11 px fixed
};

struct FaceInfo
{
    QFont font;
    QRawFont raw;
    qreal ascent = 0;
    qreal descent = 0;
    qreal digit = 0; ///< widest digit's advance
    bool isTabular = true; ///< digits have equal advances already
};

/// Chooses the families (TrueType only: CFF text is drawn heavier and slower) and sets the
/// application font. Call once after QApplication, again when the system font changes.
void initFonts();
[[nodiscard]] const FaceInfo& face(Face face);
[[nodiscard]] inline const QFont& fontOf(Face which)
{
    return face(which).font;
}
[[nodiscard]] QString uiFamily();
/// True if the font file has a "CFF " table.
[[nodiscard]] bool isCffFont(const QFont& font);
/// A length of the design (10 pt at 96 DPI) in this system's font size.
[[nodiscard]] int px(int reference) noexcept;
[[nodiscard]] qreal fontScale() noexcept;

/// Cached advance of a text; GUI texts repeat.
[[nodiscard]] qreal textWidth(Face face, const QString& text);
[[nodiscard]] qreal tabularWidth(Face face, const QString& text);
/// Paints with every digit centered in the widest digit's advance.
void drawTabular(
    QPainter& painter, QPointF baseline, Face face, const QString& text, const QColor& color);
/// y of the baseline that centers one line of the face in the rectangle, on a whole pixel.
[[nodiscard]] qreal baselineIn(const QRectF& rect, Face face = Face::Body);
/// Draws one line, elided if it is wider than the rectangle. Alignment: left, right or center.
void drawLine(QPainter& painter, const QRectF& rect, Face face, const QString& text,
    const QColor& color, Qt::Alignment alignment = Qt::AlignLeft,
    Qt::TextElideMode elide = Qt::ElideRight);

} // namespace desk
