// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/item_roles.h"
#include "ui/style/fonts.h"
#include "ui/style/glyphs.h"

#include <QString>
#include <QStringView>

#include <vector>

// One line of mixed text: parsed once, painted many times, cheaper than rich text.
//
// Markup: <b> bold  <e> medium  <s> secondary  <m> fixed  <x> secondary and small  <a> link color
//         <t> text color  <d> disabled  <g> good  <w> attention  <f> failed  <r> running  <p> busy
//         <u> better  <#> tabular digits from here on  </> back to the base
//         <!good> glyph (run wait busy good warn unknown fail cross square paused ring dia diafull
//         tri restart better worse)  <.8> gap of 8  <=1> series swatch  <|> separator
// A "<" that starts none of these is text. Text from outside must pass spanEscaped().

namespace desk {

struct Span
{
    enum class Kind
    {
        Text,
        Glyph,
        Gap,
        Swatch,
        Separator
    };
    Kind kind = Kind::Text;
    QString text;
    Tone tone = Tone::Normal;
    Face face = Face::Body;
    int value = 0; ///< glyph, gap width or slot
    bool isTabular = false;
};

using Spans = std::vector<Span>;

[[nodiscard]] Spans parseSpans(
    QStringView markup, Face base = Face::Body, Tone tone = Tone::Normal);
[[nodiscard]] QString spanEscaped(QStringView text);
[[nodiscard]] QString spanText(const Spans& spans); ///< what a screen reader gets
[[nodiscard]] qreal spanWidth(const Spans& spans);
/// Vertically centered; elided at the right when wider than the rectangle and left-aligned.
void drawSpans(QPainter& painter, const QRectF& rect, const Spans& spans,
    Qt::Alignment alignment = Qt::AlignLeft, bool isOnSelection = false);

} // namespace desk
