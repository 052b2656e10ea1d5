// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

class QMenuBar;

namespace desk {

class ActionRegistry;

/// Fills the menu bar from the registry.
void fillMenus(QMenuBar& bar, const ActionRegistry& actions);

} // namespace desk
