// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/style/desk_style.h"

#include "ui/style/fonts.h"
#include "ui/style/icons.h"
#include "ui/style/tab_text.h"

#include <QAbstractButton>
#include <QAbstractSpinBox>
#include <QComboBox>
#include <QFontMetricsF>
#include <QScrollBar>
#include <QStyleFactory>
#include <QStyleOption>
#include <QTabBar>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    bool flag(const QWidget* widget, const char* name)
    {
        return widget && widget->property(name).toBool();
    }

    QSize tabSize(const QStyleOptionTab& tab, const QWidget* widget)
    {
        const TabText text = splitTabText(tab.text);
        const Face which = flag(widget, "tight") ? Face::Second : Face::Body;
        const Face widest = which == Face::Second ? Face::SecondMedium : Face::Medium;
        qreal width = textWidth(widest, text.name) + tabPadding(widget);
        if (!text.count.isEmpty())
            width += px(7) + tabularWidth(Face::Second, text.count);
        if (!tab.icon.isNull())
            width += px(20);
        // A tab fills its bar, so that its underline lies on the bar's hairline.
        const int limit = widget ? widget->maximumHeight() : 0;
        const int height = limit > 0 && limit < px(100) ? limit : px(28);
        return { qCeil(width), height };
    }

    QRect scrollBarPart(const QProxyStyle& style, const QStyleOptionSlider& bar,
        QStyle::SubControl part, const QWidget* widget)
    {
        const bool isVertical = bar.orientation == Qt::Vertical;
        const int length = isVertical ? bar.rect.height() : bar.rect.width();
        const int extent = isVertical ? bar.rect.width() : bar.rect.height();
        const qint64 range = qint64(bar.maximum) - bar.minimum;
        const int minimum = style.pixelMetric(QStyle::PM_ScrollBarSliderMin, &bar, widget);
        int handle = length;
        if (range > 0)
            handle = int(qint64(bar.pageStep) * length / (range + bar.pageStep));
        handle = std::max(handle, std::min(length, minimum));
        const int at = QStyle::sliderPositionFromValue(
            bar.minimum, bar.maximum, bar.sliderPosition, length - handle, bar.upsideDown);
        const auto strip = [&](int start, int size) {
            return isVertical ? QRect(0, start, extent, size) : QRect(start, 0, size, extent);
        };
        switch (part) {
        case QStyle::SC_ScrollBarGroove:
            return strip(0, length);
        case QStyle::SC_ScrollBarSlider:
            return strip(at, handle);
        case QStyle::SC_ScrollBarSubPage:
            return strip(0, at);
        case QStyle::SC_ScrollBarAddPage:
            return strip(at + handle, length - at - handle);
        default:
            return {}; // no arrows
        }
    }

} // namespace

TabText splitTabText(const QString& text)
{
    const qsizetype tab = text.indexOf(u'\t');
    return tab < 0 ? TabText { text, {} } : TabText { text.left(tab), text.mid(tab + 1) };
}

int tabPadding(const QWidget* widget)
{
    const QVariant pad = widget ? widget->property("pad") : QVariant();
    return px(pad.isValid() ? pad.toInt() : 16);
}

DeskStyle::DeskStyle()
    : QProxyStyle(QStyleFactory::create(u"Fusion"_s))
{
}

int DeskStyle::pixelMetric(
    PixelMetric metric, const QStyleOption* option, const QWidget* widget) const
{
    switch (metric) {
    case PM_ScrollBarExtent:
        return px(12);
    case PM_ScrollBarSliderMin:
        return px(32);
    case PM_SplitterWidth:
        return px(6);
    case PM_DockWidgetSeparatorExtent:
    case PM_DefaultFrameWidth:
    case PM_MenuPanelWidth:
        return 1;
    case PM_DockWidgetFrameWidth:
    case PM_MenuBarVMargin:
    case PM_MenuBarPanelWidth:
    case PM_MenuBarItemSpacing:
    case PM_ToolBarFrameWidth:
    case PM_ToolBarItemMargin:
    case PM_ScrollView_ScrollBarSpacing:
    case PM_ScrollView_ScrollBarOverlap:
    case PM_TabBarBaseOverlap:
    case PM_TabBarTabShiftVertical:
    case PM_TabBarTabShiftHorizontal:
    case PM_ButtonShiftHorizontal:
    case PM_ButtonShiftVertical:
    case PM_ButtonDefaultIndicator:
        return 0;
    case PM_MenuBarHMargin:
    case PM_MenuVMargin:
        return px(4);
    case PM_ToolBarItemSpacing:
    case PM_LayoutHorizontalSpacing:
    case PM_LayoutVerticalSpacing:
        return px(8);
    case PM_SmallIconSize:
    case PM_ButtonIconSize:
    case PM_TabBarIconSize:
    case PM_ListViewIconSize:
    case PM_IndicatorWidth:
    case PM_IndicatorHeight:
    case PM_ExclusiveIndicatorWidth:
    case PM_ExclusiveIndicatorHeight:
    case PM_TreeViewIndentation:
        return px(16);
    case PM_SliderLength:
    case PM_SliderThickness:
    case PM_SliderControlThickness:
        return px(14);
    case PM_FocusFrameHMargin:
    case PM_FocusFrameVMargin:
        return 2;
    default:
        return QProxyStyle::pixelMetric(metric, option, widget);
    }
}

int DeskStyle::styleHint(StyleHint hint, const QStyleOption* option, const QWidget* widget,
    QStyleHintReturn* returnData) const
{
    switch (hint) {
    case SH_EtchDisabledText:
    case SH_DitherDisabledText:
    case SH_Widget_Animation_Duration:
    case SH_UnderlineShortcut:
    case SH_TabBar_PreferNoArrows:
    case SH_ScrollBar_LeftClickAbsolutePosition:
    case SH_ScrollView_FrameOnlyAroundContents:
    case SH_ComboBox_Popup:
    case SH_Menu_Scrollable:
        return 0;
    case SH_FocusFrame_Mask:
        return 0; // the default mask keeps the ring out of the border it must cover
    case SH_FocusFrame_AboveWidget:
    case SH_ItemView_ShowDecorationSelected:
    case SH_MenuBar_MouseTracking:
    case SH_Menu_MouseTracking:
    case SH_ToolTipLabel_Opacity:
        return hint == SH_ToolTipLabel_Opacity ? 255 : 1;
    case SH_TabBar_Alignment:
        return Qt::AlignLeft;
    default:
        return QProxyStyle::styleHint(hint, option, widget, returnData);
    }
}

QRect DeskStyle::subControlRect(ComplexControl control, const QStyleOptionComplex* option,
    SubControl part, const QWidget* widget) const
{
    if (control == CC_ScrollBar) {
        if (const auto* bar = qstyleoption_cast<const QStyleOptionSlider*>(option))
            return scrollBarPart(*this, *bar, part, widget);
    }
    if (control == CC_ComboBox) {
        const QRect r = option->rect;
        switch (part) {
        case SC_ComboBoxArrow:
            return { r.right() - px(23), r.top(), px(22), r.height() };
        case SC_ComboBoxEditField:
            return r.adjusted(px(9), 1, -px(24), -1);
        case SC_ComboBoxFrame:
            return r;
        default:
            break;
        }
    }
    if (control == CC_SpinBox) {
        const QRect r = option->rect;
        const auto* box = qstyleoption_cast<const QStyleOptionSpinBox*>(option);
        const bool hasButtons = box && box->buttonSymbols != QAbstractSpinBox::NoButtons;
        const int room = hasButtons ? px(22) : 0;
        switch (part) {
        case SC_SpinBoxUp:
            return { r.right() - room, r.top() + 2, room, r.height() / 2 - 2 };
        case SC_SpinBoxDown:
            return { r.right() - room, r.center().y() + 1, room, r.height() / 2 - 2 };
        case SC_SpinBoxEditField:
            return r.adjusted(px(3), 1, -room - 1, -1);
        case SC_SpinBoxFrame:
            return r;
        default:
            break;
        }
    }
    return QProxyStyle::subControlRect(control, option, part, widget);
}

QRect DeskStyle::subElementRect(
    SubElement element, const QStyleOption* option, const QWidget* widget) const
{
    if (element == SE_LineEditContents) {
        const int left = flag(widget, "bare") ? 0 : px(7);
        return option->rect.adjusted(left, 0, flag(widget, "bare") ? 0 : -px(6), 0);
    }
    if (element == SE_PushButtonContents)
        return option->rect;
    return QProxyStyle::subElementRect(element, option, widget);
}

QSize DeskStyle::sizeFromContents(
    ContentsType type, const QStyleOption* option, const QSize& size, const QWidget* widget) const
{
    switch (type) {
    case CT_MenuBarItem:
        return { size.width() + px(16), px(24) };
    case CT_MenuItem: {
        const QSize base = QProxyStyle::sizeFromContents(type, option, size, widget);
        const auto* item = qstyleoption_cast<const QStyleOptionMenuItem*>(option);
        if (item && item->menuItemType == QStyleOptionMenuItem::Separator)
            return { base.width(), px(9) };
        return { base.width() + px(24), px(26) };
    }
    case CT_PushButton: {
        int width = size.width() + px(20);
        const auto* button = qstyleoption_cast<const QStyleOptionButton*>(option);
        if (button && flag(widget, "commit")) // its label is bold
            width = std::max(width, qCeil(textWidth(Face::Bold, button->text)) + px(24));
        const QString key = widget ? widget->property("keycap").toString() : QString();
        if (!key.isEmpty())
            width += qCeil(textWidth(Face::Badge, key)) + px(22);
        return { std::max(width, px(64)), flag(widget, "compact") ? px(24) : px(28) };
    }
    case CT_LineEdit:
        return { size.width(), px(28) };
    case CT_ComboBox: {
        int widest = 0;
        if (const auto* combo = qobject_cast<const QComboBox*>(widget)) {
            for (int i = 0; i < combo->count(); ++i)
                widest = std::max(widest, qCeil(textWidth(Face::Body, combo->itemText(i))));
        }
        const int width = widest > 0 ? widest + px(36) : size.width() + px(16);
        return { width, flag(widget, "compact") ? px(24) : px(28) };
    }
    case CT_SpinBox:
        return { size.width() + px(8), px(28) };
    case CT_TabBarTab:
        if (const auto* tab = qstyleoption_cast<const QStyleOptionTab*>(option))
            return tabSize(*tab, widget);
        break;
    case CT_HeaderSection:
        return { size.width(), px(28) };
    default:
        break;
    }
    return QProxyStyle::sizeFromContents(type, option, size, widget);
}

QIcon DeskStyle::standardIcon(
    StandardPixmap pixmap, const QStyleOption* option, const QWidget* widget) const
{
    switch (pixmap) {
    case SP_LineEditClearButton:
    case SP_TitleBarCloseButton:
    case SP_DockWidgetCloseButton:
        return icon(u"close"_s);
    case SP_TitleBarNormalButton:
        return icon(u"detach"_s);
    case SP_DirIcon:
    case SP_DirOpenIcon:
    case SP_DirClosedIcon:
        return icon(u"folder"_s);
    case SP_FileIcon:
        return icon(u"file"_s);
    case SP_ToolBarHorizontalExtensionButton:
        return icon(u"more"_s);
    default:
        return QProxyStyle::standardIcon(pixmap, option, widget);
    }
}

void DeskStyle::polish(QWidget* widget)
{
    QProxyStyle::polish(widget);
    if (qobject_cast<QAbstractButton*>(widget) || qobject_cast<QTabBar*>(widget)
        || qobject_cast<QScrollBar*>(widget) || qobject_cast<QComboBox*>(widget))
        widget->setAttribute(Qt::WA_Hover);
}

} // namespace desk
