// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/connections_model.h"

#include "models/format.h"
#include "models/item_roles.h"

#include <QUrl>

#include <algorithm>

using namespace Qt::StringLiterals;

namespace desk {

ConnectionsModel::ConnectionsModel(QObject* parent)
    : QAbstractListModel(parent)
{
}

int ConnectionsModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_connections.size());
}

QVariant ConnectionsModel::data(const QModelIndex& index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid | CheckIndexOption::ParentIsInvalid))
        return {};
    const Connection& connection = m_connections.at(index.row());
    switch (role) {
    case Qt::DisplayRole:
    case +Role::Id:
        return format::fromUtf8(connection.name);
    case +Role::Secondary:
        return format::fromUtf8(connection.url);
    default:
        return {};
    }
}

std::optional<Connection> ConnectionsModel::find(const QString& name) const
{
    const std::string wanted = format::toUtf8(name);
    const auto found = std::find_if(m_connections.begin(), m_connections.end(),
        [&](const Connection& connection) { return connection.name == wanted; });
    return found == m_connections.end() ? std::nullopt : std::optional(*found);
}

void ConnectionsModel::put(const Connection& connection)
{
    for (int row = 0; row < m_connections.size(); ++row) {
        if (m_connections.at(row).name != connection.name)
            continue;
        if (m_connections.at(row) == connection)
            return;
        m_connections[row] = connection;
        Q_EMIT dataChanged(index(row), index(row));
        Q_EMIT listChanged();
        return;
    }
    const int row = int(m_connections.size());
    beginInsertRows({}, row, row);
    m_connections.append(connection);
    endInsertRows();
    Q_EMIT listChanged();
}

void ConnectionsModel::remove(const QString& name)
{
    const std::string wanted = format::toUtf8(name);
    for (int row = 0; row < m_connections.size(); ++row) {
        if (m_connections.at(row).name != wanted)
            continue;
        beginRemoveRows({}, row, row);
        m_connections.removeAt(row);
        endRemoveRows();
        Q_EMIT listChanged();
        return;
    }
}

QString ConnectionsModel::problemWith(const Connection& connection)
{
    const QString name = format::fromUtf8(connection.name);
    if (name.trimmed().isEmpty())
        return tr("Give the connection a name.");
    if (name == u"local")
        return tr(
            "\u201clocal\u201d is the name of this machine's own backend; choose another one.");
    const QUrl url(format::fromUtf8(connection.url), QUrl::StrictMode);
    if (!url.isValid() || url.host().isEmpty())
        return tr("The address must look like https://api.example.com.");
    if (url.scheme() != u"https" && url.scheme() != u"http")
        return tr("The address must begin with https:// (http:// only for this machine).");
    const bool isLoopback =
        url.host() == u"localhost" || url.host() == u"127.0.0.1" || url.host() == u"::1";
    if (url.scheme() == u"http" && !isLoopback)
        return tr("Plain http would send the key unprotected; use https://.");
    if (!url.userInfo().isEmpty())
        return tr("Leave the key out of the address; it has its own field.");
    if (url.hasQuery() || url.hasFragment())
        return tr("The address ends before \u201c?\u201d and \u201c#\u201d.");
    return {};
}

} // namespace desk
