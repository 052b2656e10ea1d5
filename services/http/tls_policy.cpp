// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/http/tls_policy.h"

#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QList>
#include <QSslCertificate>
#include <QString>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr qint64 kMaxCaFile = qint64 { 16 } << 20;
    constexpr qsizetype kMaxCaFiles = 2000;

    QList<QSslCertificate> certificatesOf(const QString& path)
    {
        QFile file(path);
        if (QFileInfo(path).size() > kMaxCaFile || !file.open(QIODevice::ReadOnly))
            return {};
        return QSslCertificate::fromData(file.read(kMaxCaFile), QSsl::Pem);
    }

    Error unreadableCa(const QString& source, const QString& path)
    {
        return { Error::Code::Unreadable,
            "There is no certificate to read in " + path.toStdString() + " (" + source.toStdString()
                + ")",
            "Nothing was sent", "Name a PEM file with at least one CA certificate", {} };
    }

    QList<QSslCertificate> certificatesOfFolder(const QString& path)
    {
        QList<QSslCertificate> found;
        const auto names = QDir(path).entryList(QDir::Files);
        for (const auto& name : names.first(std::min(names.size(), kMaxCaFiles)))
            found += certificatesOf(path + u'/' + name);
        return found;
    }

} // namespace

Result<QSslConfiguration> tlsConfiguration(const Connection& connection)
{
    auto authorities = QSslConfiguration::systemCaCertificates();
    const auto addFile = [&](const QString& source, const QString& path) {
        const auto extra = certificatesOf(path);
        authorities += extra;
        return extra.isEmpty() ? Status(unreadableCa(source, path)) : done();
    };
    if (const auto file = qEnvironmentVariable("SSL_CERT_FILE"); !file.isEmpty()) {
        if (const auto status = addFile(u"SSL_CERT_FILE"_s, file); !status)
            return status.error();
    }
    for (const auto& folder : qEnvironmentVariable("SSL_CERT_DIR").split(u':', Qt::SkipEmptyParts))
        authorities += certificatesOfFolder(folder);
    if (!connection.caFile.empty()) {
        const auto path = QString::fromStdString(connection.caFile);
        if (const auto status = addFile(u"CA file of the connection"_s, path); !status)
            return status.error();
    }
    auto configuration = QSslConfiguration::defaultConfiguration();
    configuration.setCaCertificates(authorities);
    return configuration;
}

} // namespace desk
