// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QColor>
#include <QIcon>
#include <QPainter>
#include <QRect>
#include <QString>
#include <QStringList>

namespace desk {

/// A 16 px line icon of resources/icons by file name without ".svg" ("list", "diamond", "server",
/// "cube", "pulse", "search", "shield", "chevron-down", "chevron-right", "plus", "close", "pin",
/// "export", "link", "more", "detach", "cpu", "copy", "metric", "home", "cloud", "folder", "gear",
/// "refresh", "play", "pause", "stop", "save", "arrow-right", "arrow-left", "trash", "key", "sun").
/// The color is the secondary text color of the theme in force when painted (disabled: disabled
/// text).
[[nodiscard]] QIcon icon(const QString& name);
void drawIcon(QPainter& painter, const QString& name, const QRect& rect, const QColor& color);
[[nodiscard]] QStringList iconNames();
/// The application icon at the sizes a window manager asks for.
[[nodiscard]] QIcon applicationIcon();

} // namespace desk
