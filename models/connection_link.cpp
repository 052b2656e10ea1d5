// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/connection_link.h"

#include "services/gateway/account_store.h"
#include "services/on_finished.h"
#include "services/runs/local_backend.h"
#include "services/secrets/key_store.h"
#include "services/store/settings.h"

#include <QByteArray>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    // Loopback is polled every second, others at most every ten: three intervals without an answer.
    constexpr auto kStaleLocal = std::chrono::seconds(5);
    constexpr auto kStaleRemote = std::chrono::seconds(30);

} // namespace

ConnectionLink::ConnectionLink(const Clock& clock, LocalBackend& backend, KeyStore& keys,
    Settings& settings, OpenAccount open, QObject* parent)
    : QObject(parent)
    , m_clock(clock)
    , m_backend(backend)
    , m_keys(keys)
    , m_settings(settings)
    , m_open(std::move(open))
{
}

ConnectionLink::~ConnectionLink() = default;

std::optional<Time> ConnectionLink::dataTime() const
{
    return m_account ? m_account->jobsAsOf() : std::nullopt;
}

void ConnectionLink::useLocal()
{
    if (m_phase == LinkPhase::Starting)
        return;
    const quint64 epoch = ++m_epoch;
    setPhase(LinkPhase::Starting);
    onFinished(m_backend.start(), this, [this, epoch](const Result<LocalBackendInfo>& started) {
        if (epoch != m_epoch)
            return;
        if (!started) {
            const ErrorText error = errorText(started.error());
            setPhase(m_account ? LinkPhase::Unreachable : LinkPhase::NotConnected, error);
            Q_EMIT failed(error);
            return;
        }
        const auto key = readKeyFile(started->keyFile);
        if (!key) {
            const ErrorText error = errorText(key.error());
            setPhase(LinkPhase::NotConnected, error);
            Q_EMIT failed(error);
            return;
        }
        const Connection connection = m_backend.connection();
        // The key file is the place of this key; the keyring would only hold an old copy.
        onFinished(m_keys.store(QString::fromStdString(connection.name), key->key, false), this,
            [this, epoch, connection](const Result<KeyPlace>&) {
                if (epoch == m_epoch)
                    open(connection);
            });
    });
}

void ConnectionLink::choose(const Connection& connection)
{
    if (connection.isLocal) {
        useLocal();
        return;
    }
    const quint64 epoch = ++m_epoch;
    m_connection = connection;
    setPhase(LinkPhase::Connecting);
    onFinished(m_keys.load(QString::fromStdString(connection.name)), this,
        [this, epoch, connection](const Result<StoredKey>& stored) {
            if (epoch != m_epoch)
                return;
            if (stored && stored->place != KeyPlace::None) {
                open(connection);
                return;
            }
            const ErrorText error = errorText(stored
                    ? Error { Error::Code::Auth, "no key is stored for this connection",
                        "nothing was asked", "enter its key under File, Connection settings", {} }
                    : stored.error());
            m_account.reset();
            Q_EMIT accountChanged();
            setPhase(LinkPhase::Refused, error);
            Q_EMIT failed(error);
        });
}

void ConnectionLink::open(const Connection& connection)
{
    m_connection = connection;
    if (m_account) {
        m_account->stop();
        m_account->disconnect(this);
    }
    m_account = m_open(connection);
    m_settings.setLastConnection(connection.name);
    Q_EMIT accountChanged();
    if (!m_account) {
        setPhase(LinkPhase::NotConnected);
        return;
    }
    connect(m_account.get(), &AccountStore::linkChanged, this, &ConnectionLink::follow);
    connect(m_account.get(), &AccountStore::polled, this, &ConnectionLink::follow);
    connect(m_account.get(), &AccountStore::jobsChanged, this, &ConnectionLink::dataChanged);
    connect(m_account.get(), &AccountStore::checkpointsChanged, this, &ConnectionLink::dataChanged);
    connect(m_account.get(), &AccountStore::deploymentsChanged, this, &ConnectionLink::dataChanged);
    connect(m_account.get(), &AccountStore::modelsChanged, this, &ConnectionLink::dataChanged);
    setPhase(m_isOffline ? LinkPhase::Offline : LinkPhase::Connecting);
    if (!m_isOffline)
        m_account->start();
}

void ConnectionLink::disconnectAll()
{
    ++m_epoch;
    if (m_account) {
        m_account->stop();
        m_account->disconnect(this);
    }
    m_account.reset();
    m_connection.reset();
    m_settings.setLastConnection({});
    Q_EMIT accountChanged();
    setPhase(LinkPhase::NotConnected);
}

void ConnectionLink::setOffline(bool isOffline)
{
    if (m_isOffline == isOffline)
        return;
    m_isOffline = isOffline;
    if (!m_account)
        return;
    if (isOffline) {
        m_account->stop();
        setPhase(LinkPhase::Offline);
    } else {
        setPhase(LinkPhase::Connecting);
        m_account->start();
    }
}

LinkPhase ConnectionLink::phaseOfAccount() const
{
    switch (m_account->linkState()) {
    case LinkState::Connecting:
        return LinkPhase::Connecting;
    case LinkState::Offline:
        return LinkPhase::Unreachable;
    case LinkState::AuthFailed:
        return LinkPhase::Refused;
    case LinkState::Connected:
        break;
    }
    const auto limit = m_connection && m_connection->isLocal ? kStaleLocal : kStaleRemote;
    const auto at = m_account->jobsAsOf();
    return at && m_clock.now() - *at > limit ? LinkPhase::Stale : LinkPhase::Live;
}

void ConnectionLink::follow()
{
    if (!m_account || m_isOffline || m_phase == LinkPhase::Starting)
        return;
    const auto& error = m_account->linkError();
    setPhase(phaseOfAccount(), error ? std::optional(errorText(*error)) : std::nullopt);
}

void ConnectionLink::checkAge()
{
    if (m_phase == LinkPhase::Live || m_phase == LinkPhase::Stale)
        follow();
}

void ConnectionLink::setPhase(LinkPhase phase, const std::optional<ErrorText>& error)
{
    const bool isSameError = m_error.has_value() == error.has_value()
        && (!error || m_error->oneLine() == error->oneLine());
    if (m_phase == phase && isSameError)
        return;
    m_phase = phase;
    m_error = error;
    Q_EMIT phaseChanged();
}

} // namespace desk
