// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/delta/progress.h"

#include "services/delta/report_json.h"

#include <cstdio>
#include <string>
#include <unistd.h>

namespace desk {

Progress::Progress(ProgressKind kind)
    : m_kind(kind == ProgressKind::Auto && ::isatty(STDERR_FILENO) == 0 ? ProgressKind::None : kind)
{
}

Progress::~Progress()
{
    if (m_hasBar)
        std::fputs("\r\x1b[K", stderr);
}

void Progress::report(std::uint64_t done, std::uint64_t total)
{
    const auto now = Clock::now();
    const bool isLast = done == total && !m_isComplete;
    if (m_kind == ProgressKind::None || (!isLast && now - m_shown < std::chrono::milliseconds(100)))
        return;
    m_shown = now;
    m_isComplete = m_isComplete || isLast;
    const double seconds = std::chrono::duration<double>(now - m_start).count();
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
    if (m_kind == ProgressKind::Json) {
        std::fprintf(stderr, "%s\n", progressJson(done, total, rate).c_str());
        return;
    }
    if (seconds < 0.5)
        return;
    constexpr int kWidth = 30;
    const double fraction = static_cast<double>(done) / static_cast<double>(total);
    const auto filled = static_cast<std::size_t>(fraction * kWidth);
    const double left = rate > 0 ? static_cast<double>(total - done) / rate : 0;
    std::fprintf(stderr, "\r[%s%s] %3.0f %%  %.2f GB/s  %.0f s left\x1b[K",
        std::string(filled, '#').c_str(), std::string(kWidth - filled, '.').c_str(), fraction * 100,
        rate / 1e9, left);
    std::fflush(stderr);
    m_hasBar = true;
}

} // namespace desk
