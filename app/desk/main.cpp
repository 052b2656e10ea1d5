// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/desk/command_line.h"
#include "app/desk/desk_app.h"
#include "app/desk/message_log.h"
#include "app/desk/single_instance.h"
#include "services/store/profile.h"
#include "ui/style/icons.h"
#include "ui/style/theme.h"

#include <QApplication>
#include <QDir>

#include <cstdio>

using namespace Qt::StringLiterals;

namespace {

void printError(const desk::Error& error)
{
    std::fprintf(stderr, "trainerdesk: %s. %s. %s.\n", error.message.c_str(),
        error.unchanged.c_str(), error.next.c_str());
}

/// --help, --version and a wrong command line need no display.
int answerWithoutWindow(const desk::Result<desk::DeskOptions>& options)
{
    if (!options) {
        printError(options.error());
        return 2;
    }
    if (options->wantsVersion)
        std::printf("trainerdesk %s\n", DESK_VERSION);
    else
        std::printf("%s", options->helpText.toUtf8().constData());
    return 0;
}

} // namespace

int main(int argc, char** argv)
{
    desk::installMessageLog();
    QCoreApplication::setApplicationName(u"trainerdesk"_s);
    QCoreApplication::setApplicationVersion(QStringLiteral(DESK_VERSION));
    QStringList arguments;
    for (int i = 0; i < argc; ++i)
        arguments.append(QString::fromLocal8Bit(argv[i]));
    auto options = desk::parseDeskOptions(arguments, QDir::currentPath());
    if (!options && arguments.size() > 1) {
        // Options of Qt itself (-platform, -style) are QApplication's to take.
        const bool isQtOption = arguments.contains(u"-platform"_s);
        if (!isQtOption)
            return answerWithoutWindow(options);
    }
    if (options && (options->wantsHelp || options->wantsVersion))
        return answerWithoutWindow(options);
    QApplication application(argc, argv);
    options = desk::parseDeskOptions(QCoreApplication::arguments(), QDir::currentPath());
    if (!options)
        return answerWithoutWindow(options);
    const desk::Profile profile = desk::profileAt(options->profile);
    if (const auto ready = desk::ensureProfile(profile); !ready) {
        printError(ready.error());
        return 3;
    }
    desk::SingleInstance instance(profile.stateDir);
    if (!instance.acquire(desk::encodeHandOver(*options))) {
        if (instance.wasDelivered())
            return 0;
        std::fprintf(stderr,
            "trainerdesk: another window holds this profile and does not answer. Nothing was "
            "started. End it, or choose another --profile.\n");
        return 4;
    }
    QApplication::setWindowIcon(desk::applicationIcon());
    desk::Theme theme;
    desk::DeskApp app(profile, theme);
    theme.setMode(desk::Theme::fromWord(options->theme.isEmpty()
            ? QString::fromStdString(app.settings().values().theme)
            : options->theme));
    QObject::connect(
        &instance, &desk::SingleInstance::messageReceived, &app, [&app](const QByteArray& message) {
            if (const auto handed = desk::decodeHandOver(message))
                app.takeOver(*handed);
        });
    app.start(*options);
    return QApplication::exec();
}
