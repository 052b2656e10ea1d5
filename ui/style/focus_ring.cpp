// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/style/focus_ring.h"

#include <QAbstractItemView>
#include <QAbstractSpinBox>
#include <QApplication>
#include <QComboBox>
#include <QFocusEvent>
#include <QFocusFrame>
#include <QGraphicsView>
#include <QLineEdit>
#include <QMenu>
#include <QMenuBar>
#include <QTextEdit>

namespace desk {

namespace {

    bool cameByKeyboard(Qt::FocusReason reason)
    {
        return reason == Qt::TabFocusReason || reason == Qt::BacktabFocusReason
            || reason == Qt::ShortcutFocusReason;
    }

    // These show their focus themselves.
    bool paintsOwnFocus(const QWidget* widget)
    {
        return qobject_cast<const QAbstractItemView*>(widget)
            || qobject_cast<const QGraphicsView*>(widget) || qobject_cast<const QMenu*>(widget)
            || qobject_cast<const QMenuBar*>(widget) || widget->isWindow()
            || widget->property("ownFocus").toBool();
    }

    bool isTextField(const QWidget* widget)
    {
        return qobject_cast<const QLineEdit*>(widget)
            || qobject_cast<const QAbstractSpinBox*>(widget)
            || qobject_cast<const QTextEdit*>(widget);
    }

} // namespace

FocusRing::FocusRing(QObject* parent)
    : QObject(parent)
{
    qApp->installEventFilter(this);
}

bool FocusRing::eventFilter(QObject* watched, QEvent* event)
{
    // Focus events of window objects pass here too and would hide the ring at once.
    if (!watched->isWidgetType())
        return false;
    if (event->type() == QEvent::FocusIn) {
        auto* widget = static_cast<QWidget*>(watched);
        const auto reason = static_cast<QFocusEvent*>(event)->reason();
        // A bare edit lies in a Box, which draws the ring on its own border.
        const bool isBare = widget->property("bare").toBool();
        if (!isBare && !paintsOwnFocus(widget) && (isTextField(widget) || cameByKeyboard(reason)))
            showFor(widget);
        else
            showFor(nullptr);
    } else if (event->type() == QEvent::FocusOut && m_frame && m_frame->widget() == watched) {
        showFor(nullptr);
    }
    return false;
}

void FocusRing::showFor(QWidget* widget)
{
    if (!widget) {
        if (m_frame)
            m_frame->setWidget(nullptr);
        return;
    }
    if (!m_frame)
        m_frame = new QFocusFrame(widget);
    m_frame->setWidget(widget);
}

} // namespace desk
