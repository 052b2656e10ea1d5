// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/error_text.h"

#include "models/format.h"

#include <QCoreApplication>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    QString errorSentence(QString text)
    {
        text = text.trimmed();
        if (text.isEmpty())
            return text;
        text[0] = text.at(0).toUpper();
        const QChar last = text.back();
        if (last != u'.' && last != u'!' && last != u'?')
            text += u'.';
        return text;
    }

    QString errorTr(const char* text)
    {
        return QCoreApplication::translate("desk::ErrorText", text);
    }

    QString generalWhat(Error::Code code)
    {
        switch (code) {
        case Error::Code::Usage:
            return errorTr("This cannot be asked for");
        case Error::Code::Unreadable:
            return errorTr("A file could not be read or written");
        case Error::Code::Malformed:
            return errorTr("The data does not follow its format");
        case Error::Code::Refused:
            return errorTr("The other side refused");
        case Error::Code::NotFound:
            return errorTr("It does not exist");
        case Error::Code::Conflict:
            return errorTr("The name exists already, or the state has changed meanwhile");
        case Error::Code::Auth:
            return errorTr("The key was rejected");
        case Error::Code::Quota:
            return errorTr("The account is over its quota");
        case Error::Code::Unreachable:
            return errorTr("The service does not answer");
        case Error::Code::Backend:
            return errorTr("The other side failed");
        case Error::Code::Canceled:
            return errorTr("Canceled");
        case Error::Code::Unknown:
            return errorTr("The reply was lost; it may have happened");
        case Error::Code::Full:
            return errorTr("There is no space left on the disk");
        case Error::Code::OutOfMemory:
            return errorTr("There is not enough memory");
        }
        return {};
    }

    QString generalUnchanged(Error::Code code)
    {
        // Unknown has no entry on purpose: then nobody knows that nothing was changed.
        switch (code) {
        case Error::Code::Usage:
        case Error::Code::Unreachable:
        case Error::Code::Auth:
        case Error::Code::Quota:
            return errorTr("Nothing was changed there");
        case Error::Code::Unreadable:
        case Error::Code::Malformed:
        case Error::Code::Full:
        case Error::Code::OutOfMemory:
            return errorTr("No half-written file is left");
        case Error::Code::Refused:
        case Error::Code::NotFound:
        case Error::Code::Conflict:
        case Error::Code::Backend:
        case Error::Code::Canceled:
        case Error::Code::Unknown:
            break;
        }
        return {};
    }

    QString generalNext(Error::Code code)
    {
        switch (code) {
        case Error::Code::Auth:
            return errorTr("Enter the key again under File, Connections");
        case Error::Code::Unreachable:
            return errorTr(
                "Check that the service runs and that its address is right; the desk keeps "
                "trying");
        case Error::Code::Quota:
            return errorTr("Wait, or ask the owner of the account for more");
        case Error::Code::Unknown:
            return errorTr("Use Reconcile to look it up; it is not sent again");
        case Error::Code::Full:
            return errorTr("Free some space and try again");
        case Error::Code::OutOfMemory:
            return errorTr("Close other programs and try again");
        case Error::Code::Usage:
        case Error::Code::Unreadable:
        case Error::Code::Malformed:
        case Error::Code::Refused:
        case Error::Code::NotFound:
        case Error::Code::Conflict:
        case Error::Code::Backend:
        case Error::Code::Canceled:
            break;
        }
        return {};
    }

} // namespace

QString ErrorText::oneLine() const
{
    QStringList parts { what, unchanged, next };
    parts.removeAll(QString());
    return parts.join(u' ');
}

ErrorText errorText(const Error& error)
{
    const auto choose = [](const std::string& said, const QString& general) {
        const QString text = format::fromUtf8(said);
        return errorSentence(text.trimmed().isEmpty() ? general : text);
    };
    ErrorText text;
    text.what = choose(error.message, generalWhat(error.code));
    text.unchanged = choose(error.unchanged, generalUnchanged(error.code));
    text.next = choose(error.next, generalNext(error.code));
    text.details = QString::fromLatin1(toString(error.code));
    if (!error.requestId.empty())
        text.details +=
            u" \u00b7 "_s + errorTr("request %1").arg(format::fromUtf8(error.requestId));
    return text;
}

} // namespace desk
