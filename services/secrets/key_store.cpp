// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/secrets/key_store.h"

#include "services/errand.h"

#include <QFile>
#include <QFileInfo>
#include <qt6keychain/keychain.h>

#include <chrono>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    const QString& serviceName()
    {
        static const QString name = u"trainerdesk"_s;
        return name;
    }

    constexpr qint64 kMaxKeyFile = 4096;
    // A desktop without a key service can leave a job without an answer.
    constexpr std::chrono::milliseconds kKeyringPatience { 3'000 };

    Result<QByteArray> jobResult(const QKeychain::Job& job)
    {
        if (job.error() == QKeychain::NoError) {
            const auto* read = qobject_cast<const QKeychain::ReadPasswordJob*>(&job);
            return read != nullptr ? read->binaryData() : QByteArray();
        }
        const bool isMissing = job.error() == QKeychain::EntryNotFound;
        return Error { isMissing ? Error::Code::NotFound : Error::Code::Unreadable,
            "The keyring did not answer as asked: " + job.errorString().toStdString(), {},
            "Unlock the keyring, or keep the key for this run only", {} };
    }

    /// Starts the job; the future ends with it, or after kKeyringPatience. The job deletes itself.
    QFuture<Result<QByteArray>> run(QKeychain::Job* job, QObject* guard)
    {
        auto errand = Errand<QByteArray>::start(guard);
        auto future = errand->future();
        QObject::connect(job, &QKeychain::Job::finished, guard,
            [errand](QKeychain::Job* ended) { errand->finish(jobResult(*ended)); });
        errand->after(kKeyringPatience, [self = errand.get()] {
            self->finish(Error { Error::Code::Unreadable, "The keyring does not answer", {},
                "Unlock the keyring, or keep the key for this run only", {} });
        });
        job->start();
        return future;
    }

} // namespace

KeyStore::KeyStore(QObject* parent)
    : QObject(parent)
{
}

QFuture<Result<KeyPlace>> KeyStore::store(
    const QString& connection, const QByteArray& key, bool wantsKeyring)
{
    m_known[connection] = { key, KeyPlace::ThisRun };
    if (!wantsKeyring || !m_isKeyringEnabled)
        return finishedFuture<KeyPlace>(KeyPlace::ThisRun);
    auto* job = new QKeychain::WritePasswordJob(serviceName());
    job->setKey(connection);
    job->setBinaryData(key);
    return mapFuture<KeyPlace>(
        run(job, this), this, [this, connection, key](const Result<QByteArray>& result) {
            const auto place = result ? KeyPlace::Keyring : KeyPlace::ThisRun;
            m_known[connection] = { key, place };
            return Result<KeyPlace>(place);
        });
}

QFuture<Result<StoredKey>> KeyStore::load(const QString& connection)
{
    if (const auto known = m_known.value(connection); !known.key.isEmpty())
        return finishedFuture<StoredKey>(known);
    if (!m_isKeyringEnabled)
        return finishedFuture<StoredKey>(StoredKey {});
    auto* job = new QKeychain::ReadPasswordJob(serviceName());
    job->setKey(connection);
    // Also an answer that comes after our patience is taken.
    connect(job, &QKeychain::Job::finished, this, [this, connection](QKeychain::Job* ended) {
        const auto key = jobResult(*ended);
        if (!key || key->isEmpty() || !m_known.value(connection).key.isEmpty())
            return;
        m_known[connection] = { *key, KeyPlace::Keyring };
        Q_EMIT keyArrived(connection);
    });
    return mapFuture<StoredKey>(run(job, this), this, [](const Result<QByteArray>& result) {
        if (!result && result.error().code != Error::Code::NotFound)
            return Result<StoredKey>(result.error());
        if (!result || result->isEmpty())
            return Result<StoredKey>(StoredKey {});
        return Result<StoredKey>(StoredKey { *result, KeyPlace::Keyring });
    });
}

QFuture<Status> KeyStore::remove(const QString& connection)
{
    m_known.remove(connection);
    if (!m_isKeyringEnabled)
        return finishedFuture<std::monostate>(done());
    auto* job = new QKeychain::DeletePasswordJob(serviceName());
    job->setKey(connection);
    return mapFuture<std::monostate>(run(job, this), this, [](const Result<QByteArray>& result) {
        if (!result && result.error().code != Error::Code::NotFound)
            return Status(result.error());
        return done();
    });
}

QByteArray KeyStore::known(const QString& connection) const
{
    return m_known.value(connection).key;
}

Result<KeyFile> readKeyFile(const QString& path)
{
    QFile file(path);
    if (!file.open(QIODevice::ReadOnly))
        return Error { Error::Code::Unreadable,
            "The key file " + path.toStdString()
                + " could not be read: " + file.errorString().toStdString(),
            {}, "Check the path and its permissions", {} };
    const auto content = file.read(kMaxKeyFile + 1);
    const auto key = content.split('\n').first().trimmed();
    bool isPlain = !key.isEmpty() && content.size() <= kMaxKeyFile;
    for (const char c : key)
        isPlain = isPlain && c > ' ' && c < '\x7f';
    if (!isPlain)
        return Error { Error::Code::Malformed,
            "The file " + path.toStdString() + " does not hold a key in its first line", {},
            "Put the key alone into the first line", {} };
    const auto others = QFileDevice::ReadGroup | QFileDevice::WriteGroup | QFileDevice::ReadOther
        | QFileDevice::WriteOther;
    return KeyFile { key, (file.permissions() & others) != 0 };
}

QByteArray keyFromEnvironment()
{
    const auto key = qgetenv("FIREWORKS_API_KEY").trimmed();
    return key.isEmpty() ? qgetenv("TINKER_API_KEY").trimmed() : key;
}

} // namespace desk
