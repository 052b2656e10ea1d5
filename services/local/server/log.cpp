// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/server/log.h"

#include "services/core/clock.h"

#include <atomic>
#include <cstdio>
#include <string>

namespace desk::local {

namespace {

    std::atomic<LogLevel> activeLevel { LogLevel::Info };

    const char* levelWord(LogLevel level)
    {
        switch (level) {
        case LogLevel::Error:
            return "error";
        case LogLevel::Warning:
            return "warning";
        case LogLevel::Info:
            return "info";
        case LogLevel::Debug:
            return "debug";
        }
        return "info";
    }

} // namespace

void logLine(LogLevel level, std::string_view text)
{
    if (level > activeLevel.load())
        return;
    std::string line = toRfc3339(SystemClock().now());
    line += ' ';
    line += levelWord(level);
    line += ' ';
    for (const char c : text)
        line += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), stderr);
}

void setLogLevel(LogLevel level)
{
    activeLevel.store(level);
}

std::optional<LogLevel> logLevelFrom(std::string_view word)
{
    for (const auto level : { LogLevel::Error, LogLevel::Warning, LogLevel::Info, LogLevel::Debug })
        if (word == levelWord(level))
            return level;
    return std::nullopt;
}

} // namespace desk::local
