// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/local/options.h"
#include "services/codecs/ready_codec.h"
#include "services/local/backend.h"
#include "services/local/objects/files.h"
#include "services/local/server/log.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <thread>
#include <unistd.h>

namespace {

/// Exit codes of cli.md section 2.
int exitCodeFor(desk::Error::Code code)
{
    switch (code) {
    case desk::Error::Code::Usage:
        return 2;
    case desk::Error::Code::Refused:
    case desk::Error::Code::Malformed:
    case desk::Error::Code::Unreadable:
    case desk::Error::Code::NotFound:
        return 3;
    default:
        return 4;
    }
}

int fail(const desk::Error& error)
{
    std::cerr << "trainerdesk-local: " << error.message;
    if (!error.unchanged.empty())
        std::cerr << "; " << error.unchanged;
    if (!error.next.empty())
        std::cerr << "; " << error.next;
    std::cerr << '\n';
    return exitCodeFor(error.code);
}

void endAnyway()
{
    // Whatever was acknowledged is on disk: a step in hand must not hold up the end.
    std::thread([] {
        std::this_thread::sleep_for(std::chrono::milliseconds(4500));
        ::_exit(0);
    }).detach();
}

} // namespace

int main(int argc, char** argv)
{
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN); // a file size limit is an error of the write, like a full disk
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, nullptr); // before any thread starts

    const auto options = desk::local::readLocalOptions(argc, argv);
    if (options.exitCode)
        return *options.exitCode;
    auto backend = desk::local::Backend::start(options.backend);
    if (!backend)
        return fail(backend.error());
    const auto line = desk::encodeReadyLine((*backend)->ready()) + "\n";
    if (!options.readyFile.empty())
        if (auto status = desk::local::writeFileSafely(options.readyFile, line); !status)
            return fail(status.error());
    std::fputs(line.c_str(), stdout);
    std::fflush(stdout);
    desk::local::logLine(desk::local::LogLevel::Info, "serving on " + (*backend)->ready().url);

    int signal = 0;
    sigwait(&ends, &signal);
    desk::local::logLine(desk::local::LogLevel::Info, "stopping");
    endAnyway();
    (*backend)->stop();
    return 0;
}
