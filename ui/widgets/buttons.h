// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>
#include <QStringList>

class QAbstractButton;
class QAction;
class QLineEdit;
class QPushButton;
class QTabBar;
class QToolButton;

namespace desk {

[[nodiscard]] QPushButton* makeButton(const QString& text, bool isCompact = false);
/// A button that runs an action and follows its text, enabled state and reason.
[[nodiscard]] QPushButton* makeButton(QAction* action, bool isCompact = false);
/// The name is tooltip and accessible name.
[[nodiscard]] QToolButton* makeIconButton(const QString& iconName, const QString& name);
/// A borderless button in link color.
[[nodiscard]] QToolButton* makeLinkButton(const QString& text);
/// The one filled button that commits.
void setCommit(QPushButton* button, bool isCommit);
void setKeyCap(QAbstractButton* button, const QString& key);
/// Tab bar with quiet counts: "Checkpoints\t8". tight: 12 px, for panels.
[[nodiscard]] QTabBar* makeTabBar(
    const QStringList& tabs, const QString& accessibleName, bool isTight, int height);
void setTabText(QTabBar* bar, int index, const QString& text, const QString& count = {});
/// A line edit without a frame, to be put into a Box.
[[nodiscard]] QLineEdit* makeBareEdit(const QString& placeholder, const QString& accessibleName);

} // namespace desk
