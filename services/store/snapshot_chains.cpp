// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/store/snapshot_chains.h"

#include <QCryptographicHash>
#include <QDir>
#include <QFile>
#include <QSaveFile>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr qint64 kMaxChainFile = qint64 { 64 } << 10;

    Error chainError(const char* what, const QString& path, const QString& why)
    {
        return { Error::Code::Unreadable,
            std::string(what) + " the chain of snapshots " + path.toStdString() + ": "
                + why.toStdString(),
            {}, "Check the profile's folder; until then every weight sync is a full one", {} };
    }

} // namespace

SnapshotChains::SnapshotChains(QString folder)
    : m_folder(std::move(folder))
{
}

QString SnapshotChains::fileOf(const std::string& key) const
{
    const auto digest =
        QCryptographicHash::hash(QByteArray::fromStdString(key), QCryptographicHash::Sha256);
    return m_folder + u'/' + QString::fromLatin1(digest.toHex().left(32)) + u".json"_s;
}

Result<SnapshotChain> SnapshotChains::read(const std::string& key) const
{
    QFile file(fileOf(key));
    if (!file.exists())
        return SnapshotChain {};
    if (!file.open(QIODevice::ReadOnly))
        return chainError("Cannot read", file.fileName(), file.errorString());
    const auto text = file.read(kMaxChainFile + 1);
    return decodeSnapshotChain({ text.constData(), static_cast<std::size_t>(text.size()) }, key);
}

Status SnapshotChains::write(const std::string& key, const SnapshotChain& chain) const
{
    const auto path = fileOf(key);
    if (!QDir().mkpath(m_folder))
        return chainError("Cannot write", path, u"its folder cannot be created"_s);
    QSaveFile file(path);
    if (!file.open(QIODevice::WriteOnly))
        return chainError("Cannot write", path, file.errorString());
    file.setPermissions(QFileDevice::ReadOwner | QFileDevice::WriteOwner);
    const auto text = QByteArray::fromStdString(encodeSnapshotChain(chain, key));
    if (file.write(text) != text.size() || !file.commit())
        return chainError("Cannot write", path, file.errorString());
    return done();
}

} // namespace desk
