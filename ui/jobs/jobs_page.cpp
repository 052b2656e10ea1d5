// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/jobs/jobs_page.h"

#include "models/app_model.h"
#include "models/checkpoint_table_model.h"
#include "models/job_table_model.h"
#include "models/row_order_model.h"
#include "ui/charts/chart_area.h"
#include "ui/checkpoints/checkpoint_table.h"
#include "ui/jobs/first_run_page.h"
#include "ui/shell/ordered_table.h"
#include "ui/style/fonts.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/panel.h"

#include <QHBoxLayout>
#include <QSplitter>
#include <QStackedWidget>
#include <QTabBar>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr int kFirstRunHeight = 338;
    constexpr int kTableHeight = 294;
    constexpr int kChartsHeight = 415;

    OrderedTable* makeJobsTable(AppModel& app)
    {
        using Column = JobTableModel::Column;
        auto* table = new OrderedTable(app.jobs(), JobsPage::tr("Jobs"));
        table->setObjectName(u"jobsTable"_s);
        table->setColumnWidths({ 79, 188, 54, 84, 98, 112, 76, 74, 66, 0, 80 });
        table->setColumnHidden(int(Column::Created), true);
        table->sortBy(int(Column::Evidence), Qt::AscendingOrder);
        table->setContextActions(app.actions(),
            { u"job.open"_s, u"job.plot"_s, {}, u"ckpt.save"_s, u"job.pause"_s, u"job.continue"_s,
                u"job.stop"_s, {}, u"deploy.create"_s, {}, u"run.close"_s });
        QObject::connect(table, &OrderedTable::idChosen, &app.selection(), &Selection::selectJob);
        QObject::connect(table, &OrderedTable::idActivated, &app.actions(),
            [&app] { app.actions().trigger(u"job.open"_s); });
        QObject::connect(
            &app.selection(), &Selection::jobChanged, table, &OrderedTable::setSelectedId);
        return table;
    }

} // namespace

JobsPage::JobsPage(AppModel& app, QWidget* parent)
    : QWidget(parent)
    , m_app(app)
{
    setObjectName(u"jobsPage"_s);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    m_splitter = new QSplitter(Qt::Vertical);
    m_splitter->setObjectName(u"jobsSplitter"_s);
    m_splitter->setChildrenCollapsible(false);
    m_upper = new QStackedWidget;
    m_table = makeJobsTable(app);
    m_upper->addWidget(new FirstRunPage(app));
    m_upper->addWidget(m_table);
    m_splitter->addWidget(m_upper);
    m_splitter->addWidget(makeLower());
    m_splitter->setStretchFactor(1, 1);
    column->addWidget(m_splitter);
    connect(&app, &AppModel::firstRunChanged, this, &JobsPage::refresh);
    connect(&app, &AppModel::rowsChanged, this, &JobsPage::refreshCheckpoints);
    connect(&app.selection(), &Selection::jobChanged, this, [this] {
        m_checkpoints->order().invalidateScope();
        refreshCheckpoints();
    });
    refresh();
}

QWidget* JobsPage::makeLower()
{
    auto* lower = new QWidget;
    auto* column = new QVBoxLayout(lower);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    m_tabs = makeTabBar({ tr("Charts"), tr("Checkpoints") }, tr("Of the selected job"), false, 32);
    m_tabs->setObjectName(u"jobs.tabs"_s);
    m_charts = new ChartArea(m_app.charts());
    m_charts->setEmptyText(tr("Select a job to see its curves."));
    m_checkpoints = makeCheckpointTable(m_app, u"jobs.checkpointsTable"_s);
    m_checkpoints->order().setScope([this](int row) {
        const auto& rows = m_app.checkpoints().rows();
        return row < rows.size() && rows.at(row).job == m_app.selection().job();
    });
    // One bar for both tabs: that of the charts, which carries their controls as well.
    auto* bar = m_charts->bar();
    m_charts->addLeading(m_tabs);
    column->addWidget(bar);
    m_lower = new QStackedWidget;
    m_lower->addWidget(m_charts);
    m_lower->addWidget(m_checkpoints);
    column->addWidget(m_lower, 1);
    connect(m_tabs, &QTabBar::currentChanged, m_lower, &QStackedWidget::setCurrentIndex);
    connect(m_charts, &ChartArea::eventActivated, this, [this](const PlotEvent& event) {
        if (m_app.checkpoints().find(event.id) != nullptr)
            m_app.selection().selectCheckpoint(event.id);
    });
    return lower;
}

void JobsPage::refresh()
{
    const bool isFirst = m_app.isFirstRun();
    m_upper->setCurrentIndex(isFirst ? 0 : 1);
    m_charts->setDemo(isFirst);
    m_tabs->setTabVisible(1, !isFirst);
    m_tabs->updateGeometry();
    if (isFirst)
        m_tabs->setCurrentIndex(0);
    const int whole = std::max(px(kTableHeight + kChartsHeight), m_splitter->height());
    const int upper = px(isFirst ? kFirstRunHeight : kTableHeight);
    if (isFirst || m_wasFirst)
        m_splitter->setSizes({ upper, whole - upper });
    m_wasFirst = isFirst;
}

void JobsPage::refreshCheckpoints()
{
    const int count = m_checkpoints->order().scopedRowCount();
    setTabText(m_tabs, 1, tr("Checkpoints"), QString::number(count));
}

void JobsPage::showCheckpoints()
{
    m_tabs->setCurrentIndex(1);
}

void JobsPage::setChartsOnly(bool isOnly)
{
    m_upper->setVisible(!isOnly);
    if (isOnly)
        m_tabs->setCurrentIndex(0);
}

QByteArray JobsPage::saveState() const
{
    return m_splitter->saveState();
}

void JobsPage::restoreState(const QByteArray& state)
{
    m_splitter->restoreState(state);
}

} // namespace desk
