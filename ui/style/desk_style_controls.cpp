// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/style/desk_style.h"
#include "ui/style/fonts.h"
#include "ui/style/icons.h"
#include "ui/style/paint.h"
#include "ui/style/tab_text.h"
#include "ui/style/tokens.h"

#include <QAbstractSpinBox>
#include <QFontMetricsF>
#include <QPainterPath>
#include <QPolygonF>
#include <QStyleOption>
#include <QWidget>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    bool controlFlag(const QWidget* widget, const char* name)
    {
        return widget && widget->property(name).toBool();
    }

    QString withoutMnemonic(const QString& text)
    {
        QString shown;
        for (qsizetype i = 0; i < text.size(); ++i) {
            if (text[i] == u'&' && i + 1 < text.size())
                ++i;
            shown += text[i];
        }
        return shown;
    }

    void paintKeyCap(QPainter& painter, const QRectF& rect, const QString& key)
    {
        const Tokens& t = tokens();
        roundBox(painter, rect, 3, t.surface2, t.hairline);
        drawLine(painter, rect, Face::Badge, key, t.text2, Qt::AlignHCenter);
    }

    void paintButtonLabel(
        const QStyleOptionButton& button, QPainter& painter, const QWidget* widget)
    {
        const Tokens& t = tokens();
        const bool isOn = button.state & QStyle::State_Enabled;
        const bool isCommit = controlFlag(widget, "commit");
        const QColor ink = !isOn ? t.disabled : isCommit ? t.onAccent : t.text;
        const Face which = isCommit ? Face::Bold : Face::Body;
        const QString text = withoutMnemonic(button.text);
        const QString key = widget ? widget->property("keycap").toString() : QString();
        QRectF r = QRectF(button.rect).adjusted(px(8), 0, -px(8), 0);
        if (!key.isEmpty()) {
            const qreal width = textWidth(Face::Badge, key) + px(12);
            const QRectF cap(r.right() - width, qRound(r.center().y() - px(9)), width, px(18));
            paintKeyCap(painter, cap, key);
            r.setRight(cap.left() - px(6));
        }
        const qreal iconRoom = button.icon.isNull() ? 0 : px(22);
        const qreal wanted = textWidth(which, text) + iconRoom;
        qreal x = r.left() + std::max(0.0, (r.width() - wanted) / 2);
        if (iconRoom > 0) {
            button.icon.paint(&painter, QRect(int(x), int(r.center().y()) - px(7), px(14), px(14)),
                Qt::AlignCenter, isOn ? QIcon::Normal : QIcon::Disabled);
            x += iconRoom;
        }
        drawLine(painter, QRectF(x, r.top(), r.right() - x + 1, r.height()), which, text, ink);
    }

    void paintTabShape(const QStyleOption& option, QPainter& painter)
    {
        const QRectF r = option.rect;
        const QRectF underline(r.left() + 1, r.bottom() - 2, r.width() - 2, 2);
        if (option.state & QStyle::State_Selected)
            painter.fillRect(underline, tokens().accent);
        else if (option.state & QStyle::State_MouseOver)
            painter.fillRect(underline, tokens().hairline);
    }

    void paintTabLabel(const QStyleOptionTab& tab, QPainter& painter, const QWidget* widget)
    {
        const Tokens& t = tokens();
        const TabText text = splitTabText(tab.text);
        const bool isTight = controlFlag(widget, "tight");
        const bool isSelected = tab.state & QStyle::State_Selected;
        const bool isOn = tab.state & QStyle::State_Enabled;
        Face which = isTight ? Face::Second : Face::Body;
        if (isSelected)
            which = isTight ? Face::SecondMedium : Face::Medium;
        const QRectF r = QRectF(tab.rect).adjusted(0, 0, 0, -1);
        qreal x = r.left() + tabPadding(widget) / 2.0;
        if (!tab.icon.isNull()) {
            tab.icon.paint(&painter, QRect(int(x), int(r.center().y()) - px(8), px(16), px(16)));
            x += px(20);
        }
        const QColor ink = !isOn ? t.disabled : isSelected ? t.text : t.text2;
        const qreal baseline = baselineIn(r, which);
        painter.setFont(fontOf(which));
        painter.setPen(ink);
        const QString name = withoutMnemonic(text.name);
        painter.drawText(QPointF(x, baseline), name);
        if (!text.count.isEmpty()) {
            x += textWidth(which, name) + px(7);
            drawTabular(painter, QPointF(x, baseline), Face::Second, text.count, t.text2);
        }
    }

    void paintSortArrow(QPainter& painter, qreal x, qreal y, bool pointsUp)
    {
        const bool wasSmooth = painter.testRenderHint(QPainter::Antialiasing);
        painter.setRenderHint(QPainter::Antialiasing);
        painter.setPen(Qt::NoPen);
        painter.setBrush(tokens().text2);
        const qreal base = pointsUp ? y + 3 : y - 2;
        const qreal tip = pointsUp ? y - 2 : y + 3;
        const QPointF points[3] = { { x, base }, { x + px(8), base }, { x + px(8) / 2.0, tip } };
        painter.drawPolygon(points, 3);
        painter.setRenderHint(QPainter::Antialiasing, wasSmooth);
    }

    void paintHeaderSection(const QStyleOptionHeader& header, QPainter& painter)
    {
        const Tokens& t = tokens();
        const QRectF r = header.rect;
        painter.fillRect(r, t.surface2);
        if (header.position != QStyleOptionHeader::End
            && header.position != QStyleOptionHeader::OnlyOneSection)
            vline(painter, r.right() - 1, r.top(), r.bottom(), t.hairline);
        hline(painter, r.left(), r.right(), r.bottom() - 1, t.hairline);
        const bool isSorted = header.sortIndicator != QStyleOptionHeader::None;
        const qreal arrowRoom = isSorted ? px(13) : 0;
        const QRectF text = r.adjusted(px(8), 0, isSorted ? -px(3) : -px(9), -1);
        const qreal room = text.width() - arrowRoom;
        qreal width = textWidth(Face::Second, header.text);
        QString shown = header.text;
        if (width > room) {
            const QFontMetricsF metrics(fontOf(Face::Second));
            shown = metrics.elidedText(header.text, Qt::ElideRight, room);
            width = metrics.horizontalAdvance(shown);
        }
        const bool isRight = header.textAlignment & Qt::AlignRight;
        const qreal x = isRight ? text.right() - arrowRoom - width : text.left();
        painter.setFont(fontOf(Face::Second));
        painter.setPen(t.text2);
        painter.drawText(QPointF(x, baselineIn(text, Face::Second)), shown);
        if (isSorted) // Qt calls the ascending indicator of most styles SortDown
            paintSortArrow(painter, x + width + px(5), qRound(text.center().y()),
                header.sortIndicator == QStyleOptionHeader::SortUp);
    }

    void paintSplitter(const QStyleOption& option, QPainter& painter)
    {
        const Tokens& t = tokens();
        const QRectF r = option.rect;
        painter.fillRect(r, t.window);
        if (option.state & QStyle::State_Horizontal) {
            vline(painter, r.left(), r.top(), r.bottom(), t.hairline);
            vline(painter, r.right() - 1, r.top(), r.bottom(), t.hairline);
        } else {
            hline(painter, r.left(), r.right(), r.top(), t.hairline);
            hline(painter, r.left(), r.right(), r.bottom() - 1, t.hairline);
        }
    }

    void paintMenuItem(const QStyleOptionMenuItem& item, QPainter& painter)
    {
        const Tokens& t = tokens();
        const QRectF r = item.rect;
        painter.fillRect(r, t.surface);
        if (item.menuItemType == QStyleOptionMenuItem::Separator) {
            hline(painter, r.left(), r.right(), r.center().y(), t.hairline);
            return;
        }
        const bool isOn = item.state & QStyle::State_Enabled;
        if (item.state & QStyle::State_Selected) {
            painter.fillRect(r, isOn ? t.selection : t.surface2);
        }
        const QColor ink = isOn ? t.text : t.disabled;
        const int side = px(16);
        const QRect mark(int(r.left()) + px(8), int(r.center().y()) - side / 2, side, side);
        if (item.checked)
            drawIcon(painter, u"check"_s, mark, isOn ? t.accent : t.disabled);
        else if (!item.icon.isNull())
            item.icon.paint(
                &painter, mark, Qt::AlignCenter, isOn ? QIcon::Normal : QIcon::Disabled);
        const qsizetype tab = item.text.indexOf(u'\t');
        const QString name = withoutMnemonic(tab < 0 ? item.text : item.text.left(tab));
        const QRectF text = r.adjusted(px(32), 0, -px(16), 0);
        drawLine(painter, text, Face::Body, name, ink);
        if (tab >= 0)
            drawLine(painter, text, Face::Second, item.text.mid(tab + 1),
                isOn ? t.text2 : t.disabled, Qt::AlignRight);
        if (item.menuItemType == QStyleOptionMenuItem::SubMenu)
            drawIcon(painter, u"chevron-right"_s,
                QRect(int(r.right()) - px(22), mark.top(), side, side), t.text2);
    }

    void paintMenuBarItem(const QStyleOptionMenuItem& item, QPainter& painter)
    {
        const Tokens& t = tokens();
        const QRectF r = item.rect;
        painter.fillRect(r, t.window);
        if (item.state & (QStyle::State_Selected | QStyle::State_Sunken))
            roundBox(painter, r.adjusted(2, 1, -2, -1), 4, t.surface2, QColor());
        const bool isOn = item.state & QStyle::State_Enabled;
        drawLine(painter, r, Face::Body, withoutMnemonic(item.text), isOn ? t.text : t.disabled,
            Qt::AlignHCenter);
    }

    void paintProgress(const QStyleOptionProgressBar& bar, QPainter& painter)
    {
        const Tokens& t = tokens();
        const QRectF r = bar.rect;
        painter.fillRect(r, t.surface2);
        const double span = double(bar.maximum) - bar.minimum;
        if (span <= 0) { // busy, total unknown: a quiet full track, never a made-up fraction
            painter.fillRect(r, t.hairline);
            return;
        }
        const double share = std::clamp((bar.progress - bar.minimum) / span, 0.0, 1.0);
        painter.fillRect(QRectF(r.left(), r.top(), r.width() * share, r.height()), t.accent);
    }

    void paintFocusFrame(const QStyleOption& option, QPainter& painter)
    {
        painter.save();
        painter.setRenderHint(QPainter::Antialiasing);
        painter.setPen(QPen(tokens().accent, 2));
        painter.setBrush(Qt::NoBrush);
        // Two pixels wide: over the control's border and one pixel outside of it.
        painter.drawRoundedRect(QRectF(option.rect).adjusted(2, 2, -2, -2), 4.5, 4.5);
        painter.restore();
    }

    void paintScrollBar(const QStyleOptionSlider& bar, QPainter& painter, QRectF handle)
    {
        const Tokens& t = tokens();
        const QRectF r = bar.rect;
        const bool isVertical = bar.orientation == Qt::Vertical;
        painter.fillRect(r, t.window);
        if (isVertical)
            vline(painter, r.left(), r.top(), r.bottom(), t.hairline);
        else
            hline(painter, r.left(), r.right(), r.top(), t.hairline);
        if (bar.maximum <= bar.minimum)
            return;
        handle = isVertical ? handle.adjusted(3, 1, -2, -1) : handle.adjusted(1, 3, -1, -2);
        const bool isHot = (bar.activeSubControls & QStyle::SC_ScrollBarSlider)
            && (bar.state & (QStyle::State_MouseOver | QStyle::State_Sunken));
        const qreal radius = (isVertical ? handle.width() : handle.height()) / 2;
        roundBox(painter, handle, radius, isHot ? t.border : t.scrollHandle, QColor());
    }

    void paintSlider(const QStyleOptionSlider& slider, QPainter& painter)
    {
        const Tokens& t = tokens();
        const QRectF r = slider.rect;
        const bool isOn = slider.state & QStyle::State_Enabled;
        const double range = std::max(1.0, double(slider.maximum) - slider.minimum);
        const double share = (slider.sliderPosition - slider.minimum) / range;
        const qreal x = r.left() + px(7) + (r.width() - px(14)) * share;
        const qreal y = qRound(r.center().y());
        const QColor ink = isOn ? t.accent : t.disabled;
        painter.fillRect(QRectF(r.left(), y - 1, r.width(), 2), t.hairline);
        painter.fillRect(QRectF(r.left(), y - 1, x - r.left(), 2), ink);
        painter.save();
        painter.setRenderHint(QPainter::Antialiasing);
        painter.setPen(QPen(ink, 1.2));
        painter.setBrush(t.surface);
        painter.drawEllipse(QPointF(x, y), 5.5, 5.5);
        painter.restore();
    }

    void paintCombo(const QStyleOption& option, QPainter& painter)
    {
        const Tokens& t = tokens();
        const bool isOn = option.state & QStyle::State_Enabled;
        const bool isHot = isOn && (option.state & QStyle::State_MouseOver);
        roundBox(
            painter, option.rect, 4, isHot ? t.surface2 : t.surface, isOn ? t.border : t.hairline);
        const QRect arrow(
            option.rect.right() - px(18), option.rect.center().y() - px(6), px(14), px(14));
        drawIcon(painter, u"chevron-down"_s, arrow, isOn ? t.text2 : t.disabled);
    }

    void paintSpinBox(const QStyleOptionSpinBox& box, QPainter& painter, QRect up, QRect down)
    {
        const Tokens& t = tokens();
        const bool isOn = box.state & QStyle::State_Enabled;
        roundBox(painter, box.rect, 4, isOn ? t.surface : t.window, isOn ? t.border : t.hairline);
        if (box.buttonSymbols == QAbstractSpinBox::NoButtons)
            return;
        const int side = px(12);
        const auto place = [side](const QRect& rect) {
            return QRect(
                rect.center().x() - side / 2, rect.center().y() - side / 2 + 1, side, side);
        };
        const bool canGrow = isOn && (box.stepEnabled & QAbstractSpinBox::StepUpEnabled);
        const bool canShrink = isOn && (box.stepEnabled & QAbstractSpinBox::StepDownEnabled);
        drawIcon(painter, u"chevron-up"_s, place(up), canGrow ? t.text2 : t.disabled);
        drawIcon(painter, u"chevron-down"_s, place(down), canShrink ? t.text2 : t.disabled);
    }

} // namespace

void DeskStyle::drawControl(ControlElement element, const QStyleOption* option, QPainter* painter,
    const QWidget* widget) const
{
    const Tokens& t = tokens();
    switch (element) {
    case CE_MenuBarItem:
        paintMenuBarItem(*static_cast<const QStyleOptionMenuItem*>(option), *painter);
        return;
    case CE_MenuBarEmptyArea:
        painter->fillRect(option->rect, t.window);
        return;
    case CE_MenuItem:
        paintMenuItem(*static_cast<const QStyleOptionMenuItem*>(option), *painter);
        return;
    case CE_ToolBar:
        painter->fillRect(option->rect, t.window);
        hline(*painter, option->rect.left(), option->rect.right() + 1, option->rect.bottom(),
            t.hairline);
        return;
    case CE_PushButtonLabel:
        paintButtonLabel(*static_cast<const QStyleOptionButton*>(option), *painter, widget);
        return;
    case CE_ToolButtonLabel:
        if (controlFlag(widget, "link")) {
            const auto& button = *static_cast<const QStyleOptionToolButton*>(option);
            drawLine(*painter, option->rect, Face::Body, withoutMnemonic(button.text),
                option->state & State_Enabled ? t.accent : t.disabled, Qt::AlignHCenter);
            return;
        }
        QProxyStyle::drawControl(element, option, painter, widget);
        return;
    case CE_TabBarTabShape:
        paintTabShape(*option, *painter);
        return;
    case CE_TabBarTabLabel:
        paintTabLabel(*static_cast<const QStyleOptionTab*>(option), *painter, widget);
        return;
    case CE_Header:
        paintHeaderSection(*static_cast<const QStyleOptionHeader*>(option), *painter);
        return;
    case CE_HeaderEmptyArea:
        painter->fillRect(option->rect, t.surface2);
        hline(*painter, option->rect.left(), option->rect.right() + 1, option->rect.bottom(),
            t.hairline);
        return;
    case CE_Splitter:
        paintSplitter(*option, *painter);
        return;
    case CE_ComboBoxLabel: {
        const auto& combo = *static_cast<const QStyleOptionComboBox*>(option);
        const bool isOn = option->state & State_Enabled;
        drawLine(*painter, QRectF(option->rect).adjusted(px(9), 0, -px(20), 0), Face::Body,
            combo.currentText, isOn ? t.text : t.disabled);
        return;
    }
    case CE_ProgressBar:
        paintProgress(*static_cast<const QStyleOptionProgressBar*>(option), *painter);
        return;
    case CE_FocusFrame:
        paintFocusFrame(*option, *painter);
        return;
    default:
        QProxyStyle::drawControl(element, option, painter, widget);
    }
}

void DeskStyle::drawComplexControl(ComplexControl control, const QStyleOptionComplex* option,
    QPainter* painter, const QWidget* widget) const
{
    switch (control) {
    case CC_ScrollBar:
        paintScrollBar(*static_cast<const QStyleOptionSlider*>(option), *painter,
            subControlRect(control, option, SC_ScrollBarSlider, widget));
        return;
    case CC_Slider: {
        const auto& slider = *static_cast<const QStyleOptionSlider*>(option);
        if (slider.orientation == Qt::Horizontal) {
            paintSlider(slider, *painter);
            return;
        }
        break;
    }
    case CC_ComboBox:
        paintCombo(*option, *painter);
        return;
    case CC_SpinBox:
        paintSpinBox(*static_cast<const QStyleOptionSpinBox*>(option), *painter,
            subControlRect(control, option, SC_SpinBoxUp, widget),
            subControlRect(control, option, SC_SpinBoxDown, widget));
        return;
    default:
        break;
    }
    QProxyStyle::drawComplexControl(control, option, painter, widget);
}

} // namespace desk
