// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/desk/message_log.h"

#include <QDateTime>
#include <QRegularExpression>

#include <cstdio>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    const char* levelWord(QtMsgType type)
    {
        switch (type) {
        case QtDebugMsg:
            return "debug";
        case QtInfoMsg:
            return "info";
        case QtWarningMsg:
            return "warning";
        case QtCriticalMsg:
            return "error";
        case QtFatalMsg:
            return "fatal";
        }
        return "message";
    }

    void writeMessage(QtMsgType type, const QMessageLogContext& context, const QString& text)
    {
        QString line = withoutSecrets(text);
        for (QChar& c : line) {
            if (c.category() == QChar::Other_Control)
                c = u' ';
        }
        const QString time =
            QDateTime::currentDateTimeUtc().toString(u"yyyy-MM-ddTHH:mm:ss.zzz'Z'"_s);
        const char* category = context.category != nullptr ? context.category : "default";
        std::fprintf(stderr, "%s %s %s: %s\n", time.toUtf8().constData(), levelWord(type), category,
            line.toUtf8().constData());
    }

} // namespace

QString withoutSecrets(const QString& text)
{
    // Keys of the services (fw_…, tml-…), bearer tokens, and values behind a telling name.
    static const QRegularExpression secret(
        uR"((\b(?:fw_|tml-|sk-)[A-Za-z0-9_\-]{8,})|(\bBearer\s+\S+)|(\b(?:api[_-]?key|token|secret|password)["']?\s*[=:]\s*["']?)[^\s"',;]+)"_s,
        QRegularExpression::CaseInsensitiveOption);
    QString clean = text;
    clean.replace(secret, u"\\3[redacted]"_s);
    return clean;
}

void installMessageLog()
{
    qInstallMessageHandler(writeMessage);
}

} // namespace desk
