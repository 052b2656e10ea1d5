// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/action_registry.h"

#include <QKeySequence>

#include <utility>

namespace desk {

ActionRegistry::ActionRegistry(QObject* parent)
    : QObject(parent)
{
    add("conn.useLocal", tr("Use the local backend"));
    add("conn.add", tr("Add connection\u2026"));
    add("conn.edit", tr("Connection settings\u2026"));
    add("conn.disconnect", tr("Disconnect"));
    add("run.open", tr("Open run folder\u2026"), QStringLiteral("Ctrl+O"));
    add("run.close", tr("Close run folder"));
    add("train.new", tr("New training\u2026"), QStringLiteral("Ctrl+N"));
    add("train.sample", tr("Start a sample training"));
    add("app.readOnly", tr("Read-only"), QStringLiteral("Ctrl+Shift+R"), true);
    add("app.quit", tr("Quit"), QStringLiteral("Ctrl+Q"));
    add("edit.copy", tr("Copy"));
    add("view.filter", tr("Filter"), QStringLiteral("Ctrl+F"));
    add("view.refresh", tr("Refresh"), QStringLiteral("F5"));
    add("view.resort", tr("Sort again now"));
    add("view.nextRegion", tr("Next region"), QStringLiteral("F6"));
    add("view.previousRegion", tr("Previous region"), QStringLiteral("Shift+F6"));
    add("view.navigator", tr("Navigator"), QStringLiteral("F9"), true);
    add("view.inspector", tr("Inspector"), QStringLiteral("F10"), true);
    add("view.charts", tr("Charts only"), QStringLiteral("F11"), true);
    add("view.operations", tr("Operations"), QStringLiteral("F12"), true);
    add("view.themeSystem", tr("Follow the system"), {}, true);
    add("view.themeLight", tr("Light"), {}, true);
    add("view.themeDark", tr("Dark"), {}, true);
    add("job.open", tr("Open"));
    add("job.plot", tr("Plot beside the selected job"), {}, true);
    add("job.pause", tr("Pause training"));
    add("job.continue", tr("Continue training"));
    add("job.stop", tr("Stop training"));
    add("ckpt.save", tr("Save checkpoint\u2026"), QStringLiteral("Ctrl+Shift+S"));
    add("ckpt.promote", tr("Promote\u2026"), QStringLiteral("Ctrl+Shift+P"));
    add("deploy.hotload", tr("Hotload\u2026"), QStringLiteral("Ctrl+Shift+H"));
    add("ckpt.verify", tr("Verify\u2026"), QStringLiteral("Ctrl+Shift+V"));
    add("deploy.create", tr("Create deployment\u2026"));
    add("deploy.delete", tr("Delete deployment\u2026"));
    add("op.reconcile", tr("Reconcile\u2026"));
    add("help.about", tr("About Trainer Desk"));
}

ActionRegistry::~ActionRegistry() = default;

void ActionRegistry::add(
    const char* id, const QString& text, const QString& shortcut, bool isCheckable)
{
    auto action = std::make_unique<QAction>(text);
    const QString key = QString::fromLatin1(id);
    action->setObjectName(key);
    action->setCheckable(isCheckable);
    // Ids are no command names of a desktop; without this "Quit" and "About" change menus.
    action->setMenuRole(QAction::NoRole);
    if (!shortcut.isEmpty())
        action->setShortcut(QKeySequence(shortcut, QKeySequence::PortableText));
    connect(action.get(), &QAction::triggered, this, [this, key] { Q_EMIT triggered(key); });
    m_byId.insert(key, action.get());
    m_actions.push_back(std::move(action));
}

QAction* ActionRegistry::action(const QString& id) const
{
    QAction* found = m_byId.value(id);
    Q_ASSERT_X(found != nullptr, "ActionRegistry::action", qUtf8Printable(id));
    return found;
}

bool ActionRegistry::contains(const QString& id) const
{
    return m_byId.contains(id);
}

QStringList ActionRegistry::ids() const
{
    QStringList all;
    for (const auto& action : m_actions)
        all.append(action->objectName());
    return all;
}

QString ActionRegistry::reason(const QString& id) const
{
    return m_reasons.value(id);
}

void ActionRegistry::setReason(const QString& id, const QString& reason)
{
    if (m_reasons.value(id) == reason)
        return;
    m_reasons.insert(id, reason);
    QAction* changed = action(id);
    changed->setEnabled(reason.isEmpty());
    changed->setStatusTip(reason);
    changed->setWhatsThis(reason);
    Q_EMIT availabilityChanged(id);
}

void ActionRegistry::setText(const QString& id, const QString& text)
{
    action(id)->setText(text);
}

void ActionRegistry::trigger(const QString& id)
{
    const QString why = reason(id);
    if (!why.isEmpty())
        Q_EMIT refused(id, why);
    else
        action(id)->trigger();
}

} // namespace desk
