// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shell/regions.h"

#include <QApplication>
#include <QWidget>

namespace desk {

Regions::Regions(QObject* parent)
    : QObject(parent)
{
}

void Regions::add(QWidget* region, QWidget* firstFocus)
{
    m_regions.append(Region { region, firstFocus });
}

/// Where the focus was last in this part, else its first widget, else any that takes focus.
QWidget* Regions::targetIn(const Region& region)
{
    const auto takesFocus = [](const QWidget* widget) {
        return widget != nullptr && widget->isVisible() && widget->isEnabled()
            && (widget->focusPolicy() & Qt::TabFocus) != 0;
    };
    if (takesFocus(region.widget->focusWidget()))
        return region.widget->focusWidget();
    if (takesFocus(region.firstFocus))
        return region.firstFocus;
    for (QWidget* widget : region.widget->findChildren<QWidget*>()) {
        if (takesFocus(widget))
            return widget;
    }
    return nullptr;
}

void Regions::go(int direction)
{
    const qsizetype count = m_regions.size();
    if (count == 0)
        return;
    const QWidget* focus = QApplication::focusWidget();
    qsizetype current = direction > 0 ? -1 : count;
    for (qsizetype i = 0; i < count; ++i) {
        const QWidget* region = m_regions.at(i).widget;
        if (focus != nullptr && (region == focus || region->isAncestorOf(focus)))
            current = i;
    }
    for (qsizetype n = 1; n <= count; ++n) {
        const qsizetype next = ((current + n * direction) % count + count) % count;
        const Region& region = m_regions.at(next);
        if (!region.widget->isVisible())
            continue;
        if (QWidget* target = targetIn(region)) {
            target->setFocus(Qt::TabFocusReason);
            return;
        }
    }
}

void Regions::chainTabs() const
{
    QWidget* last = nullptr;
    for (const Region& region : m_regions) {
        QList<QWidget*> all = region.widget->findChildren<QWidget*>();
        all.prepend(region.widget);
        for (QWidget* widget : all) {
            // Menus and lists that pop up are windows of their own.
            if ((widget->focusPolicy() & Qt::TabFocus) == 0
                || widget->window() != region.widget->window())
                continue;
            if (last != nullptr)
                QWidget::setTabOrder(last, widget);
            last = widget;
        }
    }
}

} // namespace desk
