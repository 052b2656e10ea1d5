// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/style/desk_style.h"
#include "ui/style/fonts.h"
#include "ui/style/icons.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QAbstractSpinBox>
#include <QPainterPath>
#include <QStyleOption>
#include <QWidget>

using namespace Qt::StringLiterals;

// A style must leave the painter as it found it: roundBox() and the savers below see to that.

namespace desk {

namespace {

    bool primitiveFlag(const QWidget* widget, const char* name)
    {
        return widget && widget->property(name).toBool();
    }

    void paintCommandPanel(const QStyleOption& option, QPainter& painter, const QWidget* widget)
    {
        const Tokens& t = tokens();
        const bool isCommit = primitiveFlag(widget, "commit");
        const bool isOn = option.state & QStyle::State_Enabled;
        QColor fill = isCommit ? t.accent : t.surface;
        QColor edge = isCommit ? t.accent : t.border;
        if (!isOn) {
            fill = t.isDark ? t.window : t.surface;
            edge = t.hairline;
        } else if (option.state & (QStyle::State_Sunken | QStyle::State_On)) {
            fill = isCommit ? t.accent.darker(120) : t.selection;
        } else if (option.state & QStyle::State_MouseOver) {
            fill = isCommit ? t.accent.darker(108) : t.surface2;
        }
        roundBox(painter, option.rect, 4, fill, edge);
    }

    void paintToolPanel(const QStyleOption& option, QPainter& painter, const QWidget* widget)
    {
        const Tokens& t = tokens();
        const bool isOn = option.state & QStyle::State_On;
        if (primitiveFlag(widget, "segment")) {
            roundBox(painter, option.rect, 0, isOn ? t.selection : t.surface, t.border);
            return;
        }
        if (!(option.state & QStyle::State_Enabled))
            return;
        if (option.state & (QStyle::State_MouseOver | QStyle::State_Sunken | QStyle::State_On))
            roundBox(painter, option.rect, 4, isOn ? t.selection : t.surface2, QColor());
    }

    void paintFieldPanel(
        const QStyleOption& option, QPainter& painter, const QWidget* widget, bool fills)
    {
        // The field of a spin box lies inside the box that DeskStyle draws.
        if (primitiveFlag(widget, "bare")
            || (widget && qobject_cast<const QAbstractSpinBox*>(widget->parentWidget())))
            return;
        const Tokens& t = tokens();
        const bool isOn = option.state & QStyle::State_Enabled;
        const QColor fill = fills ? (isOn ? t.surface : t.window) : QColor();
        roundBox(painter, option.rect, 4, fill, isOn ? t.border : t.hairline);
    }

    void paintCheckIndicator(const QStyleOption& option, QPainter& painter, bool isRound)
    {
        const Tokens& t = tokens();
        const bool isOn = option.state & QStyle::State_On;
        const bool isEnabled = option.state & QStyle::State_Enabled;
        const int side = std::min(option.rect.width(), option.rect.height());
        const QRectF box(
            option.rect.left(), option.rect.center().y() - side / 2.0 + 0.5, side, side);
        const QColor fill = isOn && isEnabled ? t.accent : t.surface;
        const QColor edge = !isEnabled ? t.hairline : isOn ? t.accent : t.border;
        const QRectF inner = box.adjusted(1, 1, -1, -1);
        roundBox(painter, inner, isRound ? inner.width() / 2 : 3, fill, edge);
        painter.save();
        painter.setRenderHint(QPainter::Antialiasing);
        const QColor ink = isEnabled ? t.onAccent : t.disabled;
        if (isOn && isRound) {
            painter.setPen(Qt::NoPen);
            painter.setBrush(ink);
            painter.drawEllipse(box.center(), side * 0.18, side * 0.18);
        } else if (isOn) {
            QPen pen(ink, 1.8);
            pen.setCapStyle(Qt::RoundCap);
            painter.setPen(pen);
            QPainterPath check(box.topLeft() + QPointF(side * 0.27, side * 0.53));
            check.lineTo(box.topLeft() + QPointF(side * 0.44, side * 0.69));
            check.lineTo(box.topLeft() + QPointF(side * 0.74, side * 0.33));
            painter.drawPath(check);
        } else if (option.state & QStyle::State_NoChange) {
            painter.fillRect(box.adjusted(4, side / 2.0 - 1, -4, -side / 2.0 + 1), t.text2);
        }
        painter.restore();
    }

} // namespace

void DeskStyle::drawPrimitive(PrimitiveElement element, const QStyleOption* option,
    QPainter* painter, const QWidget* widget) const
{
    const Tokens& t = tokens();
    const QRectF r = option->rect;
    switch (element) {
    case PE_PanelButtonCommand:
        paintCommandPanel(*option, *painter, widget);
        return;
    case PE_PanelButtonTool:
        paintToolPanel(*option, *painter, widget);
        return;
    case PE_PanelLineEdit:
    case PE_FrameLineEdit:
        paintFieldPanel(*option, *painter, widget, element == PE_PanelLineEdit);
        return;
    case PE_IndicatorCheckBox:
    case PE_IndicatorRadioButton:
        paintCheckIndicator(*option, *painter, element == PE_IndicatorRadioButton);
        return;
    case PE_FrameFocusRect: // focus is FocusRing's, see CE_FocusFrame
    case PE_FrameStatusBarItem:
    case PE_FrameDefaultButton:
    case PE_PanelMenuBar:
    case PE_IndicatorToolBarHandle:
    case PE_PanelItemViewRow: // delegates own the row
    case PE_Widget:
        return;
    case PE_FrameTabBarBase:
        hline(*painter, r.left(), r.right(), r.bottom() - 1, t.hairline);
        return;
    case PE_PanelStatusBar:
        painter->fillRect(r, t.window);
        hline(*painter, r.left(), r.right(), r.top(), t.hairline);
        return;
    case PE_IndicatorDockWidgetResizeHandle: // 1 px; DockGrip is what one grabs
        painter->fillRect(r, t.hairline);
        return;
    case PE_IndicatorBranch:
        if (option->state & State_Children) {
            const QString name =
                option->state & State_Open ? u"chevron-down"_s : u"chevron-right"_s;
            const QRect place(
                option->rect.right() - px(13), option->rect.center().y() - px(6), px(14), px(14));
            drawIcon(*painter, name, place, t.text2);
        }
        return;
    case PE_PanelMenu:
    case PE_FrameMenu:
    case PE_PanelTipLabel:
        roundBox(*painter, r, 0, t.surface, t.hairline);
        return;
    case PE_Frame:
        roundBox(*painter, r, 0, QColor(), t.hairline);
        return;
    case PE_PanelItemViewItem:
        if (option->state & State_Selected)
            painter->fillRect(r, t.selection);
        else if (option->state & State_MouseOver)
            painter->fillRect(r, t.surface2);
        return;
    default:
        QProxyStyle::drawPrimitive(element, option, painter, widget);
    }
}

} // namespace desk
