// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/connection.h"

#include <QAbstractListModel>
#include <QList>

#include <optional>

namespace desk {

/// The connections the user has added, the local backend first. Keys are not here. THREAD: GUI.
class ConnectionsModel final : public QAbstractListModel
{
    Q_OBJECT
public:
    explicit ConnectionsModel(QObject* parent = nullptr);

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;

    [[nodiscard]] const QList<Connection>& connections() const noexcept { return m_connections; }
    [[nodiscard]] std::optional<Connection> find(const QString& name) const;
    /// Adds it, or replaces the one of the same name.
    void put(const Connection& connection);
    void remove(const QString& name);

    /// Why these fields cannot be a connection; empty when they can. The sentence is for the user.
    [[nodiscard]] static QString problemWith(const Connection& connection);

Q_SIGNALS:
    void listChanged();

private:
    QList<Connection> m_connections;
};

} // namespace desk
