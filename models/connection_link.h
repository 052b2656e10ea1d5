// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/error_text.h"
#include "services/core/clock.h"
#include "services/core/connection.h"

#include <QObject>
#include <QString>

#include <functional>
#include <memory>
#include <optional>

namespace desk {

class AccountStore;
class KeyStore;
class LocalBackend;
class Settings;

/// How the window stands with its connection.
enum class LinkPhase
{
    NotConnected,
    Starting, ///< the local backend is coming up
    Connecting,
    Live,
    Stale, ///< the last good answer is older than it should be
    Unreachable,
    Refused, ///< the key was rejected
    Offline ///< the user asked for no network
};

/// The one connection of a window: starts the local backend or fetches the key, opens the account
/// and follows its state. Choosing another one lets the old account go. THREAD: GUI.
class ConnectionLink final : public QObject
{
    Q_OBJECT
public:
    /// Opens the clients of a connection whose key the key store knows. The store keeps them alive.
    using OpenAccount = std::function<std::shared_ptr<AccountStore>(const Connection&)>;

    ConnectionLink(const Clock& clock, LocalBackend& backend, KeyStore& keys, Settings& settings,
        OpenAccount open, QObject* parent = nullptr);
    ~ConnectionLink() override;
    Q_DISABLE_COPY_MOVE(ConnectionLink)

    [[nodiscard]] LinkPhase phase() const noexcept { return m_phase; }
    [[nodiscard]] const std::optional<ErrorText>& error() const noexcept { return m_error; }
    [[nodiscard]] const std::optional<Connection>& connection() const noexcept
    {
        return m_connection;
    }
    [[nodiscard]] AccountStore* account() const noexcept
    {
        return m_account.get();
    } ///< may be null
    /// Time of the last complete answer; nullopt: none yet.
    [[nodiscard]] std::optional<Time> dataTime() const;

    void useLocal(); ///< starts or joins the profile's backend
    void choose(const Connection& connection);
    void disconnectAll();
    void setOffline(bool isOffline);
    [[nodiscard]] bool isOffline() const noexcept { return m_isOffline; }
    void checkAge(); ///< Live and Stale follow the clock

Q_SIGNALS:
    void accountChanged(); ///< account() is another one, or null
    void phaseChanged();
    void dataChanged(); ///< lists of the account
    /// Something the user asked for did not work.
    void failed(const desk::ErrorText& error);

private:
    void open(const Connection& connection);
    void follow();
    void setPhase(LinkPhase phase, const std::optional<ErrorText>& error = {});
    [[nodiscard]] LinkPhase phaseOfAccount() const;

    const Clock& m_clock;
    LocalBackend& m_backend;
    KeyStore& m_keys;
    Settings& m_settings;
    OpenAccount m_open;
    std::optional<Connection> m_connection;
    std::shared_ptr<AccountStore> m_account;
    LinkPhase m_phase = LinkPhase::NotConnected;
    std::optional<ErrorText> m_error;
    bool m_isOffline = false;
    quint64 m_epoch = 0; ///< a newer choice makes older answers void
};

} // namespace desk
