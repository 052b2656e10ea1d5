// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/desk/command_line.h"

#include <QCommandLineParser>
#include <QDir>
#include <QUrl>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr qsizetype kMaxHandOver = 64 * 1024;
    constexpr qsizetype kMaxPaths = 1000;

    void addDeskOptions(QCommandLineParser& parser)
    {
        parser.setApplicationDescription(
            u"Follow, act on and prove language-model training runs."_s);
        parser.setOptionsAfterPositionalArgumentsMode(QCommandLineParser::ParseAsOptions);
        parser.addOptions({
            { u"local"_s, u"Start or join the local backend of the profile and connect to it."_s },
            { u"connection"_s, u"Connect to this connection or address."_s, u"NAME|URL"_s },
            { u"profile"_s, u"Keep all state below this directory."_s, u"DIR"_s },
            { u"theme"_s, u"system, light or dark."_s, u"MODE"_s },
            { u"read-only"_s, u"Refuse every change."_s },
            { u"offline"_s, u"Ask and send nothing; show what is on this machine."_s },
            { u"new-window"_s, u"Open a second view when the profile has a window already."_s },
            { { u"h"_s, u"help"_s }, u"Show this help."_s },
            { { u"v"_s, u"version"_s }, u"Show the version."_s },
        });
        parser.addPositionalArgument(
            u"PATH"_s, u"Run folders or ledger files to watch."_s, u"[PATH...]"_s);
    }

    Error usage(const QString& message)
    {
        return { Error::Code::Usage, message.toStdString(), "nothing was started",
            "see trainerdesk --help", {} };
    }

} // namespace

Result<DeskOptions> parseDeskOptions(const QStringList& arguments, const QString& directory)
{
    QCommandLineParser parser;
    addDeskOptions(parser);
    if (!parser.parse(arguments))
        return usage(parser.errorText());
    DeskOptions options;
    options.wantsHelp = parser.isSet(u"help"_s);
    options.wantsVersion = parser.isSet(u"version"_s);
    if (options.wantsHelp)
        options.helpText = parser.helpText();
    options.usesLocal = parser.isSet(u"local"_s);
    options.connection = parser.value(u"connection"_s);
    options.theme = parser.value(u"theme"_s);
    options.isReadOnly = parser.isSet(u"read-only"_s);
    options.isOffline = parser.isSet(u"offline"_s);
    options.wantsNewWindow = parser.isSet(u"new-window"_s);
    const QDir base(directory);
    if (parser.isSet(u"profile"_s)) {
        if (parser.value(u"profile"_s).isEmpty())
            return usage(u"--profile needs a directory"_s);
        options.profile = QDir::cleanPath(base.absoluteFilePath(parser.value(u"profile"_s)));
    }
    if (!options.theme.isEmpty() && options.theme != u"system" && options.theme != u"light"
        && options.theme != u"dark")
        return usage(u"--theme is system, light or dark, not \u201c%1\u201d"_s.arg(options.theme));
    if (options.usesLocal && !options.connection.isEmpty() && options.connection != u"local")
        return usage(u"--local and --connection exclude each other"_s);
    if (options.connection == u"local") {
        options.usesLocal = true;
        options.connection.clear();
    }
    const QStringList paths = parser.positionalArguments();
    if (paths.size() > kMaxPaths)
        return usage(u"more than %1 paths were given"_s.arg(kMaxPaths));
    for (const QString& path : paths)
        options.paths.append(QDir::cleanPath(base.absoluteFilePath(path)));
    return options;
}

QByteArray encodeHandOver(const DeskOptions& options)
{
    // Percent encoding keeps line ends inside of paths apart from the ends of lines.
    const auto line = [](const char* key, const QString& value) -> QByteArray {
        return QByteArray(key) + ' ' + QUrl::toPercentEncoding(value) + '\n';
    };
    QByteArray text;
    for (const QString& path : options.paths)
        text += line("path", path);
    if (options.usesLocal)
        text += line("local", u"1"_s);
    if (!options.connection.isEmpty())
        text += line("connection", options.connection);
    if (!options.theme.isEmpty())
        text += line("theme", options.theme);
    if (options.isReadOnly)
        text += line("read-only", u"1"_s);
    if (options.isOffline)
        text += line("offline", u"1"_s);
    if (options.wantsNewWindow)
        text += line("new-window", u"1"_s);
    return text + "end\n";
}

Result<DeskOptions> decodeHandOver(const QByteArray& text)
{
    const Error malformed { Error::Code::Malformed,
        "the hand-over of another start is not readable", "the window was not changed",
        "start again", {} };
    if (text.size() > kMaxHandOver || !text.endsWith("end\n"))
        return malformed;
    DeskOptions options;
    for (const QByteArray& row : text.chopped(4).split('\n')) {
        if (row.isEmpty())
            continue;
        const qsizetype blank = row.indexOf(' ');
        if (blank < 0)
            return malformed;
        const QByteArray key = row.first(blank);
        const QString value = QUrl::fromPercentEncoding(row.sliced(blank + 1));
        if (key == "path")
            options.paths.append(value);
        else if (key == "local")
            options.usesLocal = true;
        else if (key == "connection")
            options.connection = value;
        else if (key == "theme")
            options.theme = value;
        else if (key == "read-only")
            options.isReadOnly = true;
        else if (key == "offline")
            options.isOffline = true;
        else if (key == "new-window")
            options.wantsNewWindow = true;
        // An unknown key comes from a newer program; what is known still holds.
    }
    return options;
}

} // namespace desk
