// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QDockWidget;
class QMainWindow;

namespace desk {

/// The wide, invisible grab area above a 1 px dock separator, which neighbors would otherwise keep
/// from the mouse. Follows its dock; drags by QMainWindow::resizeDocks().
class DockGrip final : public QWidget
{
    Q_OBJECT

public:
    /// Grips the edge of the dock that faces the central widget.
    DockGrip(QMainWindow& window, QDockWidget& dock);
    bool eventFilter(QObject* watched, QEvent* event) override;

protected:
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;

private:
    void place();
    void detach();

    QMainWindow& m_window; // the parent
    QDockWidget& m_dock; // this goes with it
    int m_startSize = 0;
    QPoint m_start;
    bool m_isDragging = false;
};

} // namespace desk
