// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/checkpoints/checkpoints_page.h"

#include "models/app_model.h"
#include "models/checkpoint_table_model.h"
#include "models/evidence.h"
#include "models/format.h"
#include "models/job_table_model.h"
#include "models/row_order_model.h"
#include "ui/checkpoints/chain_strip.h"
#include "ui/checkpoints/checkpoint_table.h"
#include "ui/shell/ordered_table.h"
#include "ui/style/fonts.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/pill.h"
#include "ui/widgets/span_label.h"

#include <QHBoxLayout>
#include <QToolButton>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr auto kExpiresWithin = std::chrono::hours(6);

} // namespace

CheckpointsPage::CheckpointsPage(AppModel& app, QWidget* parent)
    : QWidget(parent)
    , m_app(app)
{
    setObjectName(u"checkpointsPage"_s);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    column->addWidget(makeHeader());
    m_chain = new ChainStrip;
    column->addWidget(m_chain);
    column->addWidget(makeRule());
    m_table = makeCheckpointTable(app, u"checkpointsTable"_s);
    m_table->order().setScope([this](int row) {
        const QString& job = m_app.selection().job();
        const auto& rows = m_app.checkpoints().rows();
        return job.isEmpty() || (row < rows.size() && rows.at(row).job == job);
    });
    column->addWidget(m_table, 1);
    connect(m_chain, &ChainStrip::checkpointChosen, &app.selection(), &Selection::selectCheckpoint);
    connect(&app, &AppModel::rowsChanged, this, &CheckpointsPage::refresh);
    connect(&app.selection(), &Selection::changed, this, &CheckpointsPage::refresh);
    connect(&app.selection(), &Selection::jobChanged, this,
        [this] { m_table->order().invalidateScope(); });
    refresh();
}

QWidget* CheckpointsPage::makeHeader()
{
    auto* header = new Panel(QPalette::Window, Panel::BottomEdge);
    auto* row = new QHBoxLayout(header);
    row->setContentsMargins(px(16), 0, px(16), 0);
    row->setSpacing(px(12));
    m_title = new SpanLabel({}, Face::Title);
    m_title->setObjectName(u"checkpoints.title"_s);
    row->addWidget(m_title);
    row->addStretch(1);
    m_summary = new SpanLabel({}, Face::Second);
    row->addWidget(m_summary);
    m_expiring = new Pill({}, StatusKind::Attention);
    m_expiring->setShowsGlyph(true);
    row->addWidget(m_expiring);
    header->setFixedHeight(px(40));
    return header;
}

void CheckpointsPage::refresh()
{
    const QString job = m_app.selection().job();
    const JobRow* row = m_app.selectedJob();
    QList<CheckpointRow> rows;
    int promotable = 0;
    int resumable = 0;
    int expiring = 0;
    for (const CheckpointRow& checkpoint : m_app.checkpoints().rows()) {
        if (!job.isEmpty() && checkpoint.job != job)
            continue;
        rows.append(checkpoint);
        promotable += checkpoint.isPromotable ? 1 : 0;
        const bool isState = checkpoint.type == CheckpointType::Training
            || checkpoint.type == CheckpointType::TrainingLora;
        resumable += isState ? 1 : 0;
        if (checkpoint.expires && *checkpoint.expires > m_app.now()
            && *checkpoint.expires - m_app.now() < kExpiresWithin)
            ++expiring;
    }
    if (row == nullptr) {
        m_title->setPlain(tr("Checkpoints of all jobs"));
    } else {
        QStringList facts { row->kind,
            row->loraRank > 0 ? tr("LoRA rank %1").arg(row->loraRank) : tr("full parameters"),
            format::lastSegment(row->baseModel) };
        if (row->step) {
            facts.append(row->totalSteps
                    ? tr("step %1 / %2")
                          .arg(format::count(*row->step), format::count(*row->totalSteps))
                    : tr("step %1").arg(format::count(*row->step)));
        }
        m_title->setMarkup(
            spanEscaped(row->name) + u"<.12><x><#>"_s + spanEscaped(facts.join(u" \u00b7 "_s)));
    }
    m_summary->setMarkup(u"<#><b>"_s + QString::number(rows.size()) + u"</> "_s + tr("checkpoints")
        + u" \u00b7 <#>"_s + tr("%1 promotable").arg(promotable) + u" \u00b7 "_s
        + tr("%1 resumable").arg(resumable));
    m_expiring->setVisible(expiring > 0);
    m_expiring->setText(tr("%1 expire within 6 h").arg(expiring));
    m_chain->setRows(job.isEmpty() ? QList<CheckpointRow>() : rows, m_app.selection().checkpoint());
    m_chain->setVisible(!m_chain->isEmpty());
}

} // namespace desk
