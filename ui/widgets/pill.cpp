// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/pill.h"

#include "ui/style/fonts.h"
#include "ui/style/glyphs.h"
#include "ui/style/icons.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QPainter>
#include <QtMath>

namespace desk {

Pill::Pill(const QString& text, StatusKind kind, QWidget* parent)
    : QLabel(text, parent)
    , m_kind(kind)
{
    setTextFormat(Qt::PlainText);
    setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Fixed);
}

void Pill::setStatus(StatusKind kind)
{
    if (kind == m_kind)
        return;
    m_kind = kind;
    update();
}

void Pill::setShowsGlyph(bool shows)
{
    m_showsGlyph = shows;
    updateGeometry();
    update();
}

void Pill::setIconName(const QString& name)
{
    m_iconName = name;
    updateGeometry();
    update();
}

QSize Pill::sizeHint() const
{
    const Face which = m_kind == StatusKind::None ? Face::Badge : Face::Second;
    const int mark = m_showsGlyph || !m_iconName.isEmpty() ? px(16) : 0;
    return { qCeil(textWidth(which, text())) + px(16) + mark, px(20) };
}

void Pill::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const StatusColors& colors = statusColors(m_kind);
    const bool isPlain = m_kind == StatusKind::None;
    const QColor ink = isPlain ? tokens().text2 : colors.ink;
    roundBox(painter, rect(), 3, isPlain ? tokens().surface2 : colors.tint, QColor());
    qreal x = px(8);
    const int mark = px(m_iconName.isEmpty() ? 12 : 14);
    const QRect markRect(px(6), (height() - mark) / 2, mark, mark);
    if (!m_iconName.isEmpty()) {
        drawIcon(painter, m_iconName, markRect, ink);
        x += px(16);
    } else if (m_showsGlyph) {
        drawGlyph(painter, glyphOf(m_kind), markRect, ink);
        x += px(14);
    }
    const Face which = isPlain ? Face::Badge : Face::Second;
    drawLine(painter, QRectF(x, 0, width() - x, height()), which, text(), ink);
}

KeyCap::KeyCap(const QString& key, QWidget* parent)
    : QLabel(key, parent)
{
    setTextFormat(Qt::PlainText);
    setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Fixed);
}

QSize KeyCap::sizeHint() const
{
    return { std::max(px(16), qCeil(textWidth(Face::Badge, text())) + px(12)), px(18) };
}

void KeyCap::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const Tokens& t = tokens();
    roundBox(painter, rect(), 3, t.surface2, t.hairline);
    painter.fillRect(QRectF(2, height() - 1.5, width() - 4, 1),
        t.isDark ? t.border.darker(130) : t.border.lighter(130));
    drawLine(painter, rect(), Face::Badge, text(), t.text2, Qt::AlignHCenter);
}

} // namespace desk
