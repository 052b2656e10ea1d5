// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/checkpoints/checkpoint_table.h"

#include "models/app_model.h"
#include "models/checkpoint_table_model.h"
#include "ui/shell/ordered_table.h"

#include <QCoreApplication>

using namespace Qt::StringLiterals;

namespace desk {

OrderedTable* makeCheckpointTable(AppModel& app, const QString& objectName)
{
    using Column = CheckpointTableModel::Column;
    auto* table = new OrderedTable(
        app.checkpoints(), QCoreApplication::translate("desk::CheckpointTable", "Checkpoints"));
    table->setObjectName(objectName);
    //                      name type prom step crea expi loss size rati chan veri serving
    table->setColumnWidths({ 176, 68, 134, 50, 80, 78, 64, 78, 66, 72, 80, 0 });
    table->sortBy(int(Column::Created), Qt::AscendingOrder);
    table->setContextActions(app.actions(),
        { u"ckpt.promote"_s, u"deploy.hotload"_s, u"ckpt.verify"_s, {}, u"ckpt.save"_s });
    QObject::connect(
        table, &OrderedTable::idChosen, &app.selection(), &Selection::selectCheckpoint);
    QObject::connect(
        &app.selection(), &Selection::checkpointChanged, table, &OrderedTable::setSelectedId);
    return table;
}

} // namespace desk
