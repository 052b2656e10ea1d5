// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shell/shortcuts.h"

#include "models/action_registry.h"

#include <QLineEdit>
#include <QMainWindow>
#include <QShortcut>

using namespace Qt::StringLiterals;

namespace desk {

void connectShortcuts(
    QMainWindow& window, ActionRegistry& actions, QWidget& jobsTable, QLineEdit& filter)
{
    for (const QString& id : actions.ids()) {
        QAction* action = actions.action(id);
        window.addAction(action);
        if (action->shortcut().isEmpty())
            continue;
        auto* refused = new QShortcut(action->shortcut(), &window);
        refused->setEnabled(!action->isEnabled());
        QObject::connect(action, &QAction::changed, refused,
            [refused, action] { refused->setEnabled(!action->isEnabled()); });
        QObject::connect(
            refused, &QShortcut::activated, &actions, [&actions, id] { actions.trigger(id); });
    }
    auto* slash = new QShortcut(QKeySequence(Qt::Key_Slash), &window);
    QObject::connect(
        slash, &QShortcut::activated, &actions, [&actions] { actions.trigger(u"view.filter"_s); });
    auto* plot = new QShortcut(QKeySequence(Qt::Key_Space), &jobsTable);
    plot->setContext(Qt::WidgetShortcut);
    QObject::connect(
        plot, &QShortcut::activated, &actions, [&actions] { actions.trigger(u"job.plot"_s); });
    auto* clear = new QShortcut(QKeySequence(Qt::Key_Escape), &filter);
    clear->setContext(Qt::WidgetShortcut);
    QObject::connect(clear, &QShortcut::activated, &filter, &QLineEdit::clear);
}

} // namespace desk
