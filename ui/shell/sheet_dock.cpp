// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shell/sheet_dock.h"

#include <QStackedWidget>

using namespace Qt::StringLiterals;

namespace desk {

SheetDock::SheetDock(QWidget* parent)
    : QDockWidget(tr("Sheet"), parent)
    , m_stack(new QStackedWidget)
{
    setObjectName(u"sheetDock"_s);
    setFeatures(QDockWidget::NoDockWidgetFeatures);
    setTitleBarWidget(new QWidget);
    setWidget(m_stack);
    hide();
}

void SheetDock::addSheet(QWidget* sheet)
{
    m_stack->addWidget(sheet);
}

void SheetDock::showSheet(QWidget* sheet)
{
    m_stack->setCurrentWidget(sheet);
    show();
    Q_EMIT shownChanged(true);
}

void SheetDock::closeSheet(QWidget* sheet)
{
    if (isHidden() || m_stack->currentWidget() != sheet)
        return;
    hide();
    Q_EMIT shownChanged(false);
}

QWidget* SheetDock::sheet() const
{
    return isHidden() ? nullptr : m_stack->currentWidget();
}

} // namespace desk
