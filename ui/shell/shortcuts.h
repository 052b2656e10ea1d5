// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

class QLineEdit;
class QMainWindow;
class QWidget;

namespace desk {

class ActionRegistry;

/// Gives the window every action of the registry with its shortcut, and the bare keys: "/" for the
/// filter, Space in the jobs table, Esc in the filter. A disabled action has no shortcut of its
/// own; pressing it asks the registry all the same, which then says why.
void connectShortcuts(
    QMainWindow& window, ActionRegistry& actions, QWidget& jobsTable, QLineEdit& filter);

} // namespace desk
