// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>

class QWidget;

namespace desk {

/// A tab says "Checkpoints\t8": the count is drawn smaller and quieter.
struct TabText
{
    QString name;
    QString count;
};

[[nodiscard]] TabText splitTabText(const QString& text);
/// Horizontal padding of one tab, both sides together, in pixels.
[[nodiscard]] int tabPadding(const QWidget* widget);

} // namespace desk
