// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/dock_grip.h"

#include "ui/style/fonts.h"

#include <QDockWidget>
#include <QEvent>
#include <QMainWindow>
#include <QMouseEvent>

namespace desk {

namespace {

    constexpr int kGripWidth = 7;

    bool isVerticalArea(Qt::DockWidgetArea area)
    {
        return area == Qt::LeftDockWidgetArea || area == Qt::RightDockWidgetArea;
    }

} // namespace

DockGrip::DockGrip(QMainWindow& window, QDockWidget& dock)
    : QWidget(&window)
    , m_window(window)
    , m_dock(dock)
{
    setAccessibleName(QStringLiteral("Resize ") + dock.windowTitle());
    window.installEventFilter(this);
    dock.installEventFilter(this);
    connect(&dock, &QObject::destroyed, this, &DockGrip::detach);
    place();
}

bool DockGrip::eventFilter(QObject*, QEvent* event)
{
    // A window that is being destroyed still sends events when it is a QMainWindow no more.
    if (qobject_cast<QMainWindow*>(parent()) == nullptr)
        return false;
    switch (event->type()) {
    case QEvent::Resize:
    case QEvent::Move:
    case QEvent::Show:
    case QEvent::Hide:
    case QEvent::LayoutRequest:
        place();
        break;
    default:
        break;
    }
    return false;
}

void DockGrip::detach()
{
    m_window.removeEventFilter(this);
    hide();
    deleteLater();
}

void DockGrip::place()
{
    const Qt::DockWidgetArea area = m_window.dockWidgetArea(&m_dock);
    if (m_dock.isHidden() || m_dock.isFloating() || area == Qt::NoDockWidgetArea) {
        hide();
        return;
    }
    const QRect r = m_dock.geometry();
    const int half = kGripWidth / 2;
    switch (area) {
    case Qt::LeftDockWidgetArea:
        setGeometry(r.right() + 1 - half, r.top(), kGripWidth, r.height());
        break;
    case Qt::RightDockWidgetArea:
        setGeometry(r.left() - 1 - half, r.top(), kGripWidth, r.height());
        break;
    case Qt::TopDockWidgetArea:
        setGeometry(r.left(), r.bottom() + 1 - half, r.width(), kGripWidth);
        break;
    default:
        setGeometry(r.left(), r.top() - 1 - half, r.width(), kGripWidth);
        break;
    }
    setCursor(isVerticalArea(area) ? Qt::SplitHCursor : Qt::SplitVCursor);
    show();
    raise();
}

void DockGrip::mousePressEvent(QMouseEvent* event)
{
    if (event->button() != Qt::LeftButton)
        return;
    const bool isVertical = isVerticalArea(m_window.dockWidgetArea(&m_dock));
    m_start = event->globalPosition().toPoint();
    m_startSize = isVertical ? m_dock.width() : m_dock.height();
    m_isDragging = true;
}

void DockGrip::mouseMoveEvent(QMouseEvent* event)
{
    if (!m_isDragging)
        return;
    const Qt::DockWidgetArea area = m_window.dockWidgetArea(&m_dock);
    const QPoint moved = event->globalPosition().toPoint() - m_start;
    const bool isVertical = isVerticalArea(area);
    int delta = isVertical ? moved.x() : moved.y();
    if (area == Qt::RightDockWidgetArea || area == Qt::BottomDockWidgetArea)
        delta = -delta;
    m_window.resizeDocks({ &m_dock }, { std::max(px(40), m_startSize + delta) },
        isVertical ? Qt::Horizontal : Qt::Vertical);
}

void DockGrip::mouseReleaseEvent(QMouseEvent*)
{
    m_isDragging = false;
}

} // namespace desk
