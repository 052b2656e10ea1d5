// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/connection.h"
#include "services/core/result.h"
#include "services/operations/operation_center.h"

#include <QObject>

#include <map>
#include <memory>
#include <string>

namespace desk {

class AccountStore;
class Clock;
class KeyStore;
class Settings;

/// Clients of every connection that is in use, shared by windows and operations. A connection whose
/// address changed (the local backend after a restart) gets new clients; old ones live as long as
/// somebody holds them. THREAD: GUI.
class ConnectionHub final : public QObject
{
    Q_OBJECT

public:
    ConnectionHub(
        const Clock& clock, KeyStore& keys, Settings& settings, QObject* parent = nullptr);
    ~ConnectionHub() override;
    Q_DISABLE_COPY_MOVE(ConnectionHub)

    [[nodiscard]] std::shared_ptr<AccountStore> openAccount(const Connection& connection);
    /// NotFound for a name that is neither open nor in the settings.
    [[nodiscard]] Result<ConnectionServices> connectTo(const std::string& name);

private:
    struct Clients;
    [[nodiscard]] std::shared_ptr<Clients> clientsOf(const Connection& connection);

    const Clock& m_clock;
    KeyStore& m_keys;
    Settings& m_settings;
    std::map<std::string, std::shared_ptr<Clients>> m_clients;
};

} // namespace desk
