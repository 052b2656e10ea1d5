// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string_view>

namespace desk::local {

enum class LogLevel
{
    Error,
    Warning,
    Info,
    Debug
};

/// One line on stderr: time, level, text. Never pass a key, a body or a header. THREAD: any.
void logLine(LogLevel level, std::string_view text);
/// Lines below this are dropped; Info at start.
void setLogLevel(LogLevel level);
/// error, warning, info, debug
[[nodiscard]] std::optional<LogLevel> logLevelFrom(std::string_view word);

} // namespace desk::local
