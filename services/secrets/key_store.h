// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <QByteArray>
#include <QFuture>
#include <QMap>
#include <QObject>
#include <QString>

#include <string>

namespace desk {

/// Where a key lies.
enum class KeyPlace
{
    None,
    Keyring, ///< the desktop's key service
    ThisRun ///< memory of this process only; gone when it ends
};

struct StoredKey
{
    QByteArray key; ///< empty: no key is known
    KeyPlace place = KeyPlace::None;
};

/// API keys by connection name, in the keyring (service "trainerdesk"), or for this run only where
/// there is none. Never falls back silently: store() says where the key went.
/// THREAD: the GUI thread. Nothing here is ever logged.
class KeyStore final : public QObject
{
    Q_OBJECT
public:
    explicit KeyStore(QObject* parent = nullptr);
    Q_DISABLE_COPY_MOVE(KeyStore)

    /// Keyring if it can be used and the caller wants it, else ThisRun. The result says which.
    [[nodiscard]] QFuture<Result<KeyPlace>> store(
        const QString& connection, const QByteArray& key, bool wantsKeyring);
    /// A key that is not there is no error: place None. Unreadable if the keyring gives no answer
    /// within 3 s; one that comes later is kept and announced by keyArrived.
    [[nodiscard]] QFuture<Result<StoredKey>> load(const QString& connection);
    [[nodiscard]] QFuture<Status> remove(const QString& connection);
    /// The key of this run without asking the keyring: stored or loaded before; empty if none.
    [[nodiscard]] QByteArray known(const QString& connection) const;
    /// For tests and machines without a keyring.
    void setKeyringEnabled(bool isEnabled) { m_isKeyringEnabled = isEnabled; }

Q_SIGNALS:
    void keyArrived(const QString& connection); ///< known() has it now

private:
    QMap<QString, StoredKey> m_known;
    bool m_isKeyringEnabled = true;
};

struct KeyFile
{
    QByteArray key;
    bool isReadableByOthers = false; ///< mode allows group or others: worth a warning
};
/// First line of a file of at most 4 KiB, without white space.
[[nodiscard]] Result<KeyFile> readKeyFile(const QString& path);
/// FIREWORKS_API_KEY, else TINKER_API_KEY; empty if neither is set.
[[nodiscard]] QByteArray keyFromEnvironment();

} // namespace desk
