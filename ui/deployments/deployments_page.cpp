// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/deployments/deployments_page.h"

#include "models/app_model.h"
#include "models/deployment_table_model.h"
#include "models/format.h"
#include "ui/shell/ordered_table.h"
#include "ui/style/fonts.h"
#include "ui/style/spans.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/mark_table.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/span_label.h"
#include "ui/widgets/tile.h"

#include <QHBoxLayout>
#include <QPushButton>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    QString replicaGlyph(const Replica& replica)
    {
        if (!replica.error.empty())
            return u"<!fail><.6>"_s;
        return replica.isReady ? u"<!good><.6>"_s : u"<!busy><.6>"_s;
    }

    MarkCell replicaCell(const QString& markup)
    {
        MarkCell cell;
        cell.markup = markup;
        return cell;
    }

    QString orDash(const std::string& text)
    {
        return text.empty() ? format::unknown() : format::fromUtf8(text);
    }

} // namespace

DeploymentsPage::DeploymentsPage(AppModel& app, QWidget* parent)
    : QWidget(parent)
    , m_app(app)
{
    setObjectName(u"deploymentsPage"_s);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    auto* header = new Panel(QPalette::Window, Panel::BottomEdge);
    auto* row = new QHBoxLayout(header);
    row->setContentsMargins(px(16), 0, px(16), 0);
    row->setSpacing(px(12));
    auto* title = new SpanLabel({}, Face::Title);
    title->setPlain(tr("Deployments"));
    m_summary = new SpanLabel({}, Face::Second, Tone::Secondary);
    auto* create = makeButton(app.actions().action(u"deploy.create"_s), true);
    create->setObjectName(u"deployments.create"_s);
    row->addWidget(title);
    row->addWidget(m_summary);
    row->addStretch(1);
    row->addWidget(create);
    header->setFixedHeight(px(40));
    column->addWidget(header);
    m_table = new OrderedTable(app.deployments(), tr("Deployments"));
    m_table->setObjectName(u"deploymentsTable"_s);
    m_table->setColumnWidths({ 170, 96, 110, 150, 160, 90, 74, 0, 80 });
    m_table->sortBy(int(DeploymentTableModel::Column::Name), Qt::AscendingOrder);
    m_table->setContextActions(
        app.actions(), { u"deploy.hotload"_s, {}, u"deploy.create"_s, u"deploy.delete"_s });
    column->addWidget(m_table, 3);
    auto* lower = new Panel(QPalette::Window, Panel::TopEdge);
    auto* inner = new QVBoxLayout(lower);
    inner->setContentsMargins(px(16), px(8), px(16), px(12));
    inner->setSpacing(px(4));
    m_replicaTitle = new SectionHeader(tr("Replicas"));
    inner->addWidget(m_replicaTitle);
    m_replicas = new MarkTable({ tr("Replica"), tr("Serves"), tr("Loading"),
                                   tr("Stage as reported"), tr("Took"), tr("Error") },
        { 150, 170, 170, 150, 80, 0 }, tr("Replicas of the selected deployment"));
    m_replicas->setObjectName(u"replicasTable"_s);
    inner->addWidget(m_replicas, 1);
    column->addWidget(lower, 2);
    connect(m_table, &OrderedTable::idChosen, &app.selection(), &Selection::selectDeployment);
    connect(&app.selection(), &Selection::changed, this, [this] {
        m_table->setSelectedId(m_app.selection().deployment());
        refresh();
    });
    connect(&app, &AppModel::rowsChanged, this, &DeploymentsPage::refresh);
    refresh();
}

void DeploymentsPage::refresh()
{
    const int count = m_app.deployments().rowCount();
    m_summary->setPlain(count == 0 ? tr("none on this connection") : QString());
    const DeploymentRow* row = m_app.selectedDeployment();
    m_replicaTitle->setNote(row == nullptr ? tr("select a deployment")
                                           : tr("%1 \u00b7 %2 of %3 ready")
                                                 .arg(format::lastSegment(row->name))
                                                 .arg(row->ready)
                                                 .arg(row->replicas));
    QList<QList<MarkCell>> rows;
    QStringList ids;
    if (row != nullptr) {
        for (const Replica& replica : row->replicaRows) {
            const QString id = format::fromUtf8(replica.identity);
            ids.append(id);
            rows.append({ replicaCell(replicaGlyph(replica) + spanEscaped(id)),
                replicaCell(u"<m>"_s + spanEscaped(orDash(replica.currentSnapshot))),
                replicaCell(u"<m>"_s + spanEscaped(orDash(replica.targetSnapshot))),
                replicaCell(spanEscaped(orDash(replica.stage))),
                replicaCell(u"<#>"_s
                    + (replica.seconds ? format::seconds(*replica.seconds) : format::unknown())),
                replicaCell(replica.error.empty()
                        ? u"<s>"_s + format::unknown()
                        : u"<f>"_s + spanEscaped(format::fromUtf8(replica.error))) });
        }
    }
    m_replicas->setRows(rows, ids);
}

} // namespace desk
