// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>

namespace desk {

class AppModel;
class OrderedTable;

/// A table of checkpoints that follows the shared selection, newest first, with the actions on
/// checkpoints in its context menu.
[[nodiscard]] OrderedTable* makeCheckpointTable(AppModel& app, const QString& objectName);

} // namespace desk
