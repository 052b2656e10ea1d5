// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"
#include "app/ctl/options.h"

#include <QCoreApplication>
#include <QSocketNotifier>
#include <QTimer>

#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

namespace {

int wakePipe[2] = { -1, -1 };

extern "C" void noteSignal(int)
{
    const char byte = 1;
    [[maybe_unused]] const auto put = ::write(wakePipe[1], &byte, 1);
}

/// Signals arrive as bytes in a pipe, so that they are handled in the event loop.
void catchSignals()
{
    if (::pipe2(wakePipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return;
    struct sigaction action
    {
    };
    action.sa_handler = noteSignal;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
}

} // namespace

int main(int argc, char** argv)
{
    const auto parsed = desk::parseCtlOptions(argc, argv);
    if (const auto* end = std::get_if<desk::CtlEnd>(&parsed)) {
        const bool isJson = !end->text.empty() && end->text.front() == '{';
        std::fputs(end->text.c_str(), end->exitCode == 0 || isJson ? stdout : stderr);
        return end->exitCode;
    }
    catchSignals();
    // Qt must not look for options of its own in ours.
    int qtArgc = 1;
    QCoreApplication app(qtArgc, argv);
    QCoreApplication::setApplicationName(QStringLiteral("trainerdesk"));
    desk::Ctl ctl(std::get<desk::CtlOptions>(parsed));
    QObject::connect(
        &ctl, &desk::Ctl::ended, &app, [](int exitCode) { QCoreApplication::exit(exitCode); },
        Qt::QueuedConnection);
    QSocketNotifier signals(wakePipe[0], QSocketNotifier::Read);
    QObject::connect(&signals, &QSocketNotifier::activated, &ctl, [&ctl] {
        char bytes[16];
        while (::read(wakePipe[0], bytes, sizeof bytes) > 0) { }
        ctl.interrupt();
    });
    QTimer::singleShot(0, &ctl, &desk::Ctl::start);
    return QCoreApplication::exec();
}
