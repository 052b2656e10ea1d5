// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shell/menus.h"

#include "models/action_registry.h"

#include <QActionGroup>
#include <QCoreApplication>
#include <QMenu>
#include <QMenuBar>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    QString menuTr(const char* text)
    {
        return QCoreApplication::translate("desk::Menus", text);
    }

    QMenu* addRegistryMenu(QMenuBar& bar, const ActionRegistry& actions, const QString& name,
        const QString& title, const QStringList& ids)
    {
        QMenu* menu = bar.addMenu(title);
        menu->setObjectName(u"menu."_s + name);
        for (const QString& id : ids) {
            if (id.isEmpty())
                menu->addSeparator();
            else
                menu->addAction(actions.action(id));
        }
        return menu;
    }

} // namespace

void fillMenus(QMenuBar& bar, const ActionRegistry& actions)
{
    addRegistryMenu(bar, actions, u"file"_s, menuTr("&File"),
        { u"conn.useLocal"_s, u"conn.add"_s, u"conn.edit"_s, u"conn.disconnect"_s, {},
            u"train.new"_s, u"train.sample"_s, {}, u"run.open"_s, u"run.close"_s, {},
            u"app.readOnly"_s, {}, u"app.quit"_s });
    addRegistryMenu(
        bar, actions, u"edit"_s, menuTr("&Edit"), { u"edit.copy"_s, {}, u"view.filter"_s });
    QMenu* view = addRegistryMenu(bar, actions, u"view"_s, menuTr("&View"),
        { u"view.refresh"_s, u"view.resort"_s, {}, u"view.nextRegion"_s, u"view.previousRegion"_s,
            {}, u"view.navigator"_s, u"view.inspector"_s, u"view.charts"_s, u"view.operations"_s,
            {} });
    QMenu* theme = view->addMenu(menuTr("&Theme"));
    theme->setObjectName(u"menu.theme"_s);
    auto* group = new QActionGroup(&bar);
    for (const QString& id : { u"view.themeSystem"_s, u"view.themeLight"_s, u"view.themeDark"_s }) {
        group->addAction(actions.action(id));
        theme->addAction(actions.action(id));
    }
    addRegistryMenu(bar, actions, u"job"_s, menuTr("&Job"),
        { u"job.open"_s, u"job.plot"_s, {}, u"job.pause"_s, u"job.continue"_s, u"job.stop"_s });
    addRegistryMenu(bar, actions, u"checkpoint"_s, menuTr("&Checkpoint"),
        { u"ckpt.save"_s, {}, u"ckpt.promote"_s, u"ckpt.verify"_s });
    addRegistryMenu(bar, actions, u"deployment"_s, menuTr("&Deployment"),
        { u"deploy.hotload"_s, {}, u"deploy.create"_s, u"deploy.delete"_s });
    addRegistryMenu(bar, actions, u"operations"_s, menuTr("&Operations"), { u"op.reconcile"_s });
    addRegistryMenu(bar, actions, u"help"_s, menuTr("&Help"), { u"help.about"_s });
}

} // namespace desk
