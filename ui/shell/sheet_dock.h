// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QDockWidget>

class QStackedWidget;

namespace desk {

/// The right-hand place of sheets (objectName "sheetDock"): one is shown at a time, the inspector
/// is hidden meanwhile.
class SheetDock final : public QDockWidget
{
    Q_OBJECT

public:
    explicit SheetDock(QWidget* parent = nullptr);
    void addSheet(QWidget* sheet);
    void showSheet(QWidget* sheet); ///< REQUIRES: added before
    void closeSheet(QWidget* sheet); ///< nothing if another one is shown
    [[nodiscard]] QWidget* sheet() const; ///< null while closed

Q_SIGNALS:
    void shownChanged(bool isShown);

private:
    QStackedWidget* m_stack;
};

} // namespace desk
