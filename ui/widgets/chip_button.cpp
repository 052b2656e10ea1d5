// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/chip_button.h"

#include "ui/style/fonts.h"
#include "ui/style/icons.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QPainter>
#include <QtMath>

namespace desk {

ChipButton::ChipButton(
    const QString& text, StatusKind kind, const QString& iconName, QWidget* parent)
    : QAbstractButton(parent)
    , m_kind(kind)
    , m_iconName(iconName)
{
    setText(text);
    setAccessibleName(text);
    setCheckable(true);
    setAttribute(Qt::WA_Hover);
    setFocusPolicy(Qt::StrongFocus);
    setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Fixed);
}

QSize ChipButton::sizeHint() const
{
    const int mark = m_iconName.isEmpty() ? 0 : px(16);
    return { qCeil(textWidth(Face::Second, text())) + px(16) + mark, px(22) };
}

void ChipButton::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const Tokens& t = tokens();
    const StatusColors& colors = statusColors(m_kind);
    const QColor ink = !isEnabled() ? t.disabled : isChecked() ? colors.ink : t.text2;
    const QColor edge = isChecked()   ? QColor()
        : underMouse() && isEnabled() ? t.border
                                      : t.hairline;
    roundBox(painter, rect(), 3, isChecked() && isEnabled() ? colors.tint : QColor(), edge);
    qreal x = px(8);
    if (!m_iconName.isEmpty()) {
        drawIcon(painter, m_iconName, QRect(px(6), (height() - px(14)) / 2, px(14), px(14)), ink);
        x += px(15);
    }
    drawLine(painter, QRectF(x, 0, width() - x, height()), Face::Second, text(), ink);
}

} // namespace desk
