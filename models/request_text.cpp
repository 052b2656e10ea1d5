// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/request_text.h"

#include "models/format.h"

#include <QStringList>
#include <QUrl>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    /// Single quotes take everything literally; one inside is written as '\''.
    QString shellQuoted(const QString& text)
    {
        QString inner = text;
        inner.replace(u'\'', u"'\\''"_s);
        return u'\'' + inner + u'\'';
    }

    bool isHttp(const RequestPreview& request)
    {
        return request.url.starts_with("http://") || request.url.starts_with("https://");
    }

    QString asCurl(const RequestPreview& request)
    {
        QStringList lines { u"curl -X "_s + format::fromUtf8(request.method) + u' '
            + shellQuoted(format::fromUtf8(request.url)) };
        // In double quotes, so that the shell puts the key in.
        lines << u"-H \"Authorization: Bearer $FIREWORKS_API_KEY\""_s;
        for (const auto& [name, value] : request.headers)
            lines << u"-H "_s
                    + shellQuoted(format::fromUtf8(name) + u": "_s + format::fromUtf8(value));
        if (!request.body.empty())
            lines << u"-d "_s + shellQuoted(format::fromUtf8(request.body));
        return lines.join(u" \\\n  "_s);
    }

    QString asHttp(const RequestPreview& request)
    {
        const QUrl url(format::fromUtf8(request.url));
        QString text = format::fromUtf8(request.method) + u' '
            + url.toString(QUrl::RemoveScheme | QUrl::RemoveAuthority | QUrl::FullyEncoded)
            + u" HTTP/1.1\nHost: "_s + url.authority() + u'\n';
        for (const auto& [name, value] : request.headers)
            text += format::fromUtf8(name) + u": "_s + format::fromUtf8(value) + u'\n';
        if (!request.body.empty())
            text += u'\n' + format::fromUtf8(request.body);
        return text;
    }

} // namespace

QString requestText(const RequestPreview& request, RequestForm form)
{
    if (request.method.empty() && request.url.empty())
        return {};
    if (!isHttp(request))
        return QString(format::fromUtf8(request.method) + u' ' + format::fromUtf8(request.url))
                   .trimmed()
            + (request.body.empty() ? QString() : u'\n' + format::fromUtf8(request.body));
    return form == RequestForm::Curl ? asCurl(request) : asHttp(request);
}

} // namespace desk
