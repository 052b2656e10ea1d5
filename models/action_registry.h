// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"

#include <QAction>
#include <QHash>
#include <QObject>
#include <QString>
#include <QStringList>

#include <memory>
#include <vector>

namespace desk {

/// What an action asks to be reviewed. Empty fields are for the sheet to ask. Names are full
/// resource names.
struct ReviewRequest
{
    OperationKind kind = OperationKind::Save;
    QString connection;
    QString job;
    QString checkpoint;
    QString deployment;
    QString model;
    QString resource; ///< create, delete: "deployment", "checkpoint", "model", "job"
};

/// Every command of the window under its stable id (ui.md section 2.5). Menus, context menus,
/// buttons and tests use the same QAction; its object name is the id. A disabled action stays
/// visible and says why: reason(), also as its status tip and what's-this text.
/// THREAD: GUI. Owns the actions.
class ActionRegistry final : public QObject
{
    Q_OBJECT
public:
    explicit ActionRegistry(QObject* parent = nullptr);
    ~ActionRegistry() override;
    Q_DISABLE_COPY_MOVE(ActionRegistry)

    /// Never null for an id of ids(); asserts otherwise.
    [[nodiscard]] QAction* action(const QString& id) const;
    [[nodiscard]] bool contains(const QString& id) const;
    [[nodiscard]] QStringList ids() const; ///< in menu order
    /// Why it cannot be used now; empty when it can.
    [[nodiscard]] QString reason(const QString& id) const;

    /// An empty reason enables the action.
    void setReason(const QString& id, const QString& reason);
    void setText(const QString& id, const QString& text);
    /// As if the user had chosen it; a disabled one emits refused() instead.
    void trigger(const QString& id);

Q_SIGNALS:
    void triggered(const QString& id);
    /// A disabled action was asked for, by shortcut or by name.
    void refused(const QString& id, const QString& reason);
    void availabilityChanged(const QString& id);
    /// An action that changes something on the other side, with the subject it was called on. The
    /// review sheet answers; nothing is sent before it commits.
    void reviewRequested(const desk::ReviewRequest& request);
    void verifyRequested(const QString& checkpointName);
    void reconcileRequested(const QString& operationId);

private:
    void add(const char* id, const QString& text, const QString& shortcut = {},
        bool isCheckable = false);

    std::vector<std::unique_ptr<QAction>> m_actions;
    QHash<QString, QAction*> m_byId;
    QHash<QString, QString> m_reasons;
};

} // namespace desk
