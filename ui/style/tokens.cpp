// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/style/tokens.h"

#include <cmath>

namespace desk {

namespace {

    QColor rgb(unsigned value)
    {
        return QColor::fromRgb(0xff000000U | value);
    }

    Tokens makeLightTokens()
    {
        Tokens t;
        t.window = rgb(0xF7F8FA);
        t.surface = rgb(0xFFFFFF);
        t.surface2 = rgb(0xEEF1F5);
        t.hairline = rgb(0xD5DAE1);
        t.border = rgb(0x7F8A9A);
        t.text = rgb(0x1B2330);
        t.text2 = rgb(0x566173);
        t.disabled = rgb(0x9AA3B0);
        t.accent = rgb(0x1F5FCC);
        t.onAccent = rgb(0xFFFFFF);
        t.selection = rgb(0xD6E4FF);
        t.selectionText = rgb(0x1B2330);
        t.selectionText2 = rgb(0x566173);
        t.baseline = rgb(0xFFF8E1);
        t.grid = rgb(0xE6EAF0);
        t.crosshair = rgb(0x566173);
        t.scrollHandle = rgb(0xB9C0CB);
        t.selectedTrack = rgb(0xA9C4F5);
        t.running = { rgb(0x1F5FCC), rgb(0xE3EDFF) };
        t.waiting = { rgb(0x5B6678), rgb(0xEEF1F5) };
        t.busy = { rgb(0x6E4AB8), rgb(0xEFE9FB) };
        t.good = { rgb(0x16752F), rgb(0xE6F4EA) };
        t.attention = { rgb(0x8A5A00), rgb(0xFFF3D6) };
        t.failed = { rgb(0xB42318), rgb(0xFDE9E7) };
        t.connection = rgb(0x0B6E99);
        t.better = rgb(0x0072B2);
        t.worse = rgb(0xB5541C);
        t.series = { rgb(0x0072B2), rgb(0xD55E00), rgb(0x009E73), rgb(0x882255), rgb(0x332288),
            rgb(0xCC79A7), rgb(0x5C4400), rgb(0x000000) };
        t.heat = { rgb(0xEEF1F5), rgb(0xEAF2FB), rgb(0xB7D4F0), rgb(0x74AEDD), rgb(0x2F7FBF),
            rgb(0x0B4F86) };
        t.deltaNegative = rgb(0x0B6E99);
        t.deltaPositive = rgb(0xB5541C);
        t.codeKeyword = rgb(0x6E4AB8);
        t.codeString = rgb(0x16752F);
        return t;
    }

    Tokens makeDarkTokens()
    {
        Tokens t;
        t.isDark = true;
        t.window = rgb(0x16191F);
        t.surface = rgb(0x1D2129);
        t.surface2 = rgb(0x262B35);
        t.hairline = rgb(0x353C49);
        t.border = rgb(0x7A8699);
        t.text = rgb(0xE6EAF0);
        t.text2 = rgb(0xA7B0BF);
        t.disabled = rgb(0x6F7A8C);
        t.accent = rgb(0x6EA8FF);
        t.onAccent = rgb(0x0E1116);
        t.selection = rgb(0x2A4470);
        t.selectionText = rgb(0xE6EAF0);
        t.selectionText2 = rgb(0xBAC3D1);
        t.baseline = rgb(0x2B2716);
        t.grid = rgb(0x2C323D);
        t.crosshair = rgb(0xA7B0BF);
        t.scrollHandle = rgb(0x4B5463);
        t.selectedTrack = rgb(0x1D2129);
        t.running = { rgb(0x6EA8FF), rgb(0x1B2C4A) };
        t.waiting = { rgb(0x9AA6B8), rgb(0x262B35) };
        t.busy = { rgb(0xB79CF5), rgb(0x2A2340) };
        t.good = { rgb(0x57C785), rgb(0x17301F) };
        t.attention = { rgb(0xE3B341), rgb(0x352A10) };
        t.failed = { rgb(0xFF8078), rgb(0x3A1A19) };
        t.connection = rgb(0x56B4E9);
        t.better = rgb(0x56B4E9);
        t.worse = rgb(0xE69F00);
        t.series = { rgb(0x56B4E9), rgb(0xE69F00), rgb(0x9A8CFF), rgb(0xCC6677), rgb(0xEEDD88),
            rgb(0xD55E00), rgb(0xBBBBBB), rgb(0xFFFFFF) };
        t.heat = { rgb(0x262B35), rgb(0x0B4F86), rgb(0x2F7FBF), rgb(0x74AEDD), rgb(0xB7D4F0),
            rgb(0xEAF2FB) };
        t.deltaNegative = rgb(0x56B4E9);
        t.deltaPositive = rgb(0xE69F00);
        t.codeKeyword = rgb(0xB79CF5);
        t.codeString = rgb(0x57C785);
        return t;
    }

    Tokens& currentTokens()
    {
        static Tokens current = makeLightTokens();
        return current;
    }

    double linearChannel(double value)
    {
        return value <= 0.04045 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
    }

    double luminance(const QColor& color)
    {
        return 0.2126 * linearChannel(color.redF()) + 0.7152 * linearChannel(color.greenF())
            + 0.0722 * linearChannel(color.blueF());
    }

} // namespace

const Tokens& lightTokens()
{
    static const Tokens light = makeLightTokens();
    return light;
}

const Tokens& darkTokens()
{
    static const Tokens dark = makeDarkTokens();
    return dark;
}

const Tokens& tokens() noexcept
{
    return currentTokens();
}

void setTokens(const Tokens& tokens)
{
    currentTokens() = tokens;
}

QPalette makePalette(const Tokens& t)
{
    QPalette palette;
    const auto set = [&palette](QPalette::ColorRole role, const QColor& color) {
        palette.setColor(QPalette::All, role, color);
    };
    set(QPalette::Window, t.window);
    set(QPalette::WindowText, t.text);
    set(QPalette::Base, t.surface);
    set(QPalette::AlternateBase, t.surface2);
    set(QPalette::Text, t.text);
    set(QPalette::PlaceholderText, t.text2);
    set(QPalette::Button, t.surface);
    set(QPalette::ButtonText, t.text);
    set(QPalette::BrightText, t.failed.ink);
    set(QPalette::Highlight, t.selection);
    set(QPalette::HighlightedText, t.selectionText);
    set(QPalette::Link, t.accent);
    set(QPalette::LinkVisited, t.accent);
    set(QPalette::ToolTipBase, t.surface);
    set(QPalette::ToolTipText, t.text);
    set(QPalette::Light, t.surface);
    set(QPalette::Midlight, t.grid);
    set(QPalette::Mid, t.hairline);
    set(QPalette::Dark, t.border);
    set(QPalette::Shadow, t.crosshair);
    for (const auto role : { QPalette::WindowText, QPalette::Text, QPalette::ButtonText })
        palette.setColor(QPalette::Disabled, role, t.disabled);
    return palette;
}

const StatusColors& statusColors(StatusKind kind)
{
    const Tokens& t = tokens();
    switch (kind) {
    case StatusKind::Running:
        return t.running;
    case StatusKind::Busy:
        return t.busy;
    case StatusKind::Good:
        return t.good;
    case StatusKind::Attention:
    case StatusKind::Unknown:
        return t.attention;
    case StatusKind::Failed:
        return t.failed;
    case StatusKind::None:
    case StatusKind::Waiting:
    case StatusKind::Off:
    case StatusKind::Paused:
    case StatusKind::No:
        break;
    }
    return t.waiting;
}

QColor toneColor(Tone tone, bool isOnSelection)
{
    const Tokens& t = tokens();
    switch (tone) {
    case Tone::Normal:
        break;
    case Tone::Secondary:
        return isOnSelection ? t.selectionText2 : t.text2;
    case Tone::Disabled:
        return t.disabled;
    case Tone::Link:
        return t.accent;
    case Tone::Running:
        return t.running.ink;
    case Tone::Waiting:
        return t.waiting.ink;
    case Tone::Busy:
        return t.busy.ink;
    case Tone::Good:
        return t.good.ink;
    case Tone::Attention:
        return t.attention.ink;
    case Tone::Failed:
        return t.failed.ink;
    case Tone::Better:
        return isOnSelection ? t.selectionText : t.better;
    case Tone::Worse:
        return isOnSelection ? t.selectionText : t.worse;
    }
    return isOnSelection ? t.selectionText : t.text;
}

QColor seriesColor(int slot)
{
    if (slot == 7)
        return tokens().series[7];
    const auto wrapped = static_cast<std::size_t>(((slot % 7) + 7) % 7);
    return tokens().series[wrapped];
}

double contrastRatio(const QColor& a, const QColor& b)
{
    const double la = luminance(a);
    const double lb = luminance(b);
    return (std::max(la, lb) + 0.05) / (std::min(la, lb) + 0.05);
}

} // namespace desk
