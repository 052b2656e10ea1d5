// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/panel.h"

#include "ui/style/fonts.h"
#include "ui/style/glyphs.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QEvent>
#include <QPainter>
#include <QtMath>

namespace desk {

Panel::Panel(QPalette::ColorRole role, int edges, QWidget* parent)
    : QWidget(parent)
    , m_role(role)
    , m_edges(edges)
{
    setAttribute(Qt::WA_OpaquePaintEvent);
    setBackgroundRole(role);
}

void Panel::setHint(QSize hint)
{
    m_hint = hint;
    updateGeometry();
}

QSize Panel::sizeHint() const
{
    return m_hint.isValid() ? m_hint : QWidget::sizeHint();
}

void Panel::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    painter.fillRect(rect(), palette().color(m_role));
    const QColor& line = tokens().hairline;
    if (m_edges & TopEdge)
        hline(painter, 0, width(), 0, line);
    if (m_edges & BottomEdge)
        hline(painter, 0, width(), height() - 1, line);
    if (m_edges & LeftEdge)
        vline(painter, 0, 0, height(), line);
    if (m_edges & RightEdge)
        vline(painter, width() - 1, 0, height(), line);
}

Panel* makeRule(QWidget* parent)
{
    auto* rule = new Panel(QPalette::Window, Panel::TopEdge, parent);
    rule->setFixedHeight(1);
    return rule;
}

Box::Box(QWidget* parent)
    : QFrame(parent)
{
    setFixedHeight(px(28));
}

void Box::setStripe(const QColor& color)
{
    m_stripe = color;
    update();
}

void Box::setSplits(QList<int> xs)
{
    m_splits = std::move(xs);
    update();
}

void Box::setRingFor(QWidget* widget)
{
    widget->installEventFilter(this);
}

bool Box::eventFilter(QObject*, QEvent* event)
{
    if (event->type() == QEvent::FocusIn || event->type() == QEvent::FocusOut) {
        m_hasRing = event->type() == QEvent::FocusIn;
        update();
    }
    return false;
}

void Box::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const Tokens& t = tokens();
    const QRectF r = rect();
    roundBox(
        painter, r, 4, isEnabled() ? t.surface : t.window, isEnabled() ? t.border : t.hairline);
    if (m_stripe.isValid()) {
        painter.save();
        painter.setClipRect(QRectF(1, 1, 4, r.height() - 2));
        roundBox(painter, QRectF(1, 1, 12, r.height() - 2), 3, m_stripe, QColor());
        painter.restore();
    }
    for (const int x : m_splits)
        vline(painter, x, 1, r.height() - 1, t.hairline);
    if (m_hasRing) {
        painter.setRenderHint(QPainter::Antialiasing);
        painter.setPen(QPen(t.accent, 2));
        painter.drawRoundedRect(r.adjusted(1, 1, -1, -1), 3.5, 3.5);
    }
}

Band::Band(QWidget* parent)
    : QWidget(parent)
{
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void Band::setContent(int statusKind, const QString& strong, const QString& text)
{
    m_kind = statusKind;
    m_strong = strong;
    m_text = text;
    setAccessibleName(strong + u' ' + text);
    update();
}

QString Band::text() const
{
    return m_strong + u' ' + m_text;
}

QSize Band::sizeHint() const
{
    return { px(80) + qCeil(textWidth(Face::Bold, m_strong) + textWidth(Face::Body, m_text)),
        px(32) };
}

QSize Band::minimumSizeHint() const
{
    return { px(120), px(32) };
}

void Band::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const auto kind = static_cast<StatusKind>(m_kind);
    const StatusColors& colors = statusColors(kind);
    roundBox(painter, rect(), 4, colors.tint, QColor());
    const QRectF r = QRectF(rect()).adjusted(px(12), 0, -px(12), 0);
    qreal x = r.left();
    if (kind != StatusKind::None) {
        drawGlyph(painter, glyphOf(kind), QRectF(x, qRound(r.center().y()) - px(8), px(16), px(16)),
            colors.ink);
        x += px(26);
    }
    const bool isTall = height() >= px(40);
    const Face strongFace = isTall ? Face::Title : Face::Bold;
    drawLine(painter, QRectF(x, r.top(), r.right() - x, r.height()), strongFace, m_strong,
        tokens().text);
    x += textWidth(strongFace, m_strong) + px(12);
    drawLine(
        painter, QRectF(x, r.top(), r.right() - x, r.height()), Face::Body, m_text, tokens().text);
}

} // namespace desk
