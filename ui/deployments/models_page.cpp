// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/deployments/models_page.h"

#include "models/app_model.h"
#include "models/model_table_model.h"
#include "ui/shell/ordered_table.h"
#include "ui/style/fonts.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/span_label.h"

#include <QHBoxLayout>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace desk {

ModelsPage::ModelsPage(AppModel& app, QWidget* parent)
    : QWidget(parent)
{
    setObjectName(u"modelsPage"_s);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    auto* header = new Panel(QPalette::Window, Panel::BottomEdge);
    auto* row = new QHBoxLayout(header);
    row->setContentsMargins(px(16), 0, px(16), 0);
    auto* title = new SpanLabel({}, Face::Title);
    title->setPlain(tr("Models"));
    row->addWidget(title);
    row->addStretch(1);
    header->setFixedHeight(px(40));
    column->addWidget(header);
    m_table = new OrderedTable(app.models(), tr("Models"));
    m_table->setObjectName(u"modelsTable"_s);
    m_table->setColumnWidths({ 220, 100, 90, 130, 0, 90 });
    m_table->sortBy(int(ModelTableModel::Column::Created), Qt::AscendingOrder);
    column->addWidget(m_table, 1);
    connect(m_table, &OrderedTable::idChosen, &app.selection(), &Selection::selectModel);
    connect(&app.selection(), &Selection::changed, m_table,
        [this, &app] { m_table->setSelectedId(app.selection().model()); });
}

} // namespace desk
