// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/item_roles.h"

#include <QColor>
#include <QPalette>

#include <array>

// Colors of the product (light and dark), contrast-checked by tests/ui/tst_style.cpp. Standard
// widgets get them through the palette; style, delegates and charts read the struct.

namespace desk {

struct StatusColors
{
    QColor ink;
    QColor tint;
};

struct Tokens
{
    bool isDark = false;
    QColor window, surface, surface2, hairline, border;
    QColor text, text2, disabled;
    QColor accent, onAccent;
    QColor selection, selectionText, selectionText2;
    QColor baseline, grid, crosshair;
    QColor scrollHandle, selectedTrack;
    StatusColors running, waiting, busy, good, attention, failed;
    QColor connection, better, worse;
    std::array<QColor, 8> series; ///< slot 7 is reserved for the baseline
    std::array<QColor, 6> heat; ///< 0 = nothing changed
    QColor deltaNegative, deltaPositive;
    QColor codeKeyword, codeString;
};

[[nodiscard]] const Tokens& lightTokens();
[[nodiscard]] const Tokens& darkTokens();
/// The theme in force. GUI thread only.
[[nodiscard]] const Tokens& tokens() noexcept;
/// Used by Theme only; widgets follow the palette change that Theme sends with it.
void setTokens(const Tokens& tokens);
[[nodiscard]] QPalette makePalette(const Tokens& tokens);

[[nodiscard]] const StatusColors& statusColors(StatusKind kind);
[[nodiscard]] QColor toneColor(Tone tone, bool isOnSelection = false);
[[nodiscard]] QColor seriesColor(int slot); ///< any int; wraps over 0..6, 7 is the baseline
/// WCAG 2 contrast ratio of two opaque colors, 1..21.
[[nodiscard]] double contrastRatio(const QColor& a, const QColor& b);

} // namespace desk
