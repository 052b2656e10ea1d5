// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/operations/operations_page.h"

#include "models/format.h"
#include "models/item_roles.h"
#include "models/operation_table_model.h"
#include "models/request_text.h"
#include "ui/operations/record_parts.h"
#include "ui/style/fonts.h"
#include "ui/style/spans.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/code_block.h"
#include "ui/widgets/mark_table.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/pill.h"
#include "ui/widgets/span_label.h"
#include "ui/widgets/table_view.h"
#include "ui/widgets/tile.h"

#include <QHBoxLayout>
#include <QPushButton>
#include <QScrollArea>
#include <QSplitter>
#include <QStackedWidget>
#include <QVBoxLayout>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    constexpr int kRecordTicks = 16;

    QString glyphMarkup(StatusKind status)
    {
        switch (status) {
        case StatusKind::Good:
            return u"<!good><.6>"_s;
        case StatusKind::Failed:
            return u"<!fail><.6>"_s;
        case StatusKind::Busy:
            return u"<!busy><.6>"_s;
        default:
            return {};
        }
    }

    MarkCell recordCell(const QString& markup, bool isRight = false)
    {
        MarkCell cell;
        cell.markup = markup;
        cell.isRight = isRight;
        return cell;
    }

    QList<MarkCell> replicaCells(const OperationRecord::ReplicaLine& line)
    {
        const QString seconds = line.seconds
            ? QString(u"<#>"_s + QString::number(*line.seconds, 'f', 2) + u" s"_s)
            : QString(u"<s>"_s + format::unknown());
        const QString error =
            line.error.isEmpty() ? QString() : QString(u"<f>"_s + spanEscaped(line.error));
        return { recordCell(u"<m>"_s + spanEscaped(line.identity)),
            recordCell(u"<m>"_s + spanEscaped(line.serving)),
            recordCell(glyphMarkup(line.status) + spanEscaped(line.stage)), recordCell(error),
            recordCell(seconds, true) };
    }

} // namespace

OperationsPage::OperationsPage(OperationTableModel& model, QWidget* parent)
    : QWidget(parent)
    , m_model(model)
{
    setObjectName(u"operationsPage"_s);
    setAccessibleName(tr("Operations"));
    m_table = new TableView;
    m_table->setObjectName(u"operationsPage.table"_s);
    m_table->setAccessibleName(tr("Journal of operations"));
    m_table->setModel(&m_model);
    // The key and whose operation it was stand in the record.
    using Column = OperationTableModel::Column;
    for (const auto column : { Column::Progress, Column::By, Column::Key })
        m_table->setColumnHidden(int(column), true);
    m_table->setColumnWidths({ 100, 240, 170, 1, 0, 90, 80, 1, 1, 100 });
    connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
        [this](const QModelIndex& current) {
            if (!current.isValid())
                return;
            m_id = current.data(+Role::Id).toString();
            Q_EMIT selected(m_id);
            refresh();
        });
    const auto activate = [this](const QModelIndex& index) {
        const QString id = index.data(+Role::Id).toString();
        if (m_model.isTask(m_model.rowOf(id)))
            Q_EMIT taskRequested(id);
        else if (const auto operation = m_model.operation(id);
                 operation && operation->state == OperationState::Unknown)
            Q_EMIT reconcileRequested(id);
    };
    connect(m_table, &TableView::actionActivated, this, activate);
    connect(m_table, &TableView::rowActivated, this, activate);

    m_stack = new QStackedWidget;
    auto* empty = new Panel(QPalette::Base);
    auto* emptyColumn = new QVBoxLayout(empty);
    emptyColumn->setContentsMargins(px(16), px(16), px(16), px(16));
    emptyColumn->addWidget(
        new SpanLabel(tr("Select an operation to see its record."), Face::Body, Tone::Secondary));
    emptyColumn->addStretch(1);
    m_stack->addWidget(empty);
    m_stack->addWidget(makeRecord());

    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->setChildrenCollapsible(false);
    splitter->addWidget(m_table);
    splitter->addWidget(m_stack);
    splitter->setSizes({ px(200), px(520) });
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->addWidget(splitter);
    connect(&m_model, &QAbstractItemModel::dataChanged, this, &OperationsPage::refresh);
    connect(&m_model, &QAbstractItemModel::rowsInserted, this, &OperationsPage::refresh);
    connect(&m_model, &QAbstractItemModel::modelReset, this, &OperationsPage::refresh);
    refresh();
}

QWidget* OperationsPage::makeRecord()
{
    auto* body = new Panel(QPalette::Base);
    auto* column = new QVBoxLayout(body);
    column->setContentsMargins(0, 0, 0, px(12));
    column->setSpacing(px(10));
    auto* header = new Panel(QPalette::Window, Panel::BottomEdge);
    auto* row = new QHBoxLayout(header);
    row->setContentsMargins(px(16), px(8), px(16), px(8));
    auto* words = new QVBoxLayout;
    words->setSpacing(px(2));
    auto* titleRow = new QHBoxLayout;
    titleRow->setSpacing(px(8));
    m_title = new SpanLabel({}, Face::Title);
    m_title->setObjectName(u"operationRecord.title"_s);
    m_state = new Pill;
    m_state->setObjectName(u"operationRecord.state"_s);
    m_state->setShowsGlyph(true);
    titleRow->addWidget(m_title);
    titleRow->addWidget(m_state);
    titleRow->addStretch(1);
    words->addLayout(titleRow);
    m_subtitle = new SpanLabel({}, Face::Second, Tone::Secondary);
    words->addWidget(m_subtitle);
    row->addLayout(words, 1);
    m_reconcile = makeButton(tr("Reconcile…"));
    m_reconcile->setObjectName(u"operationRecord.reconcile"_s);
    connect(m_reconcile, &QPushButton::clicked, this, [this] { Q_EMIT reconcileRequested(m_id); });
    row->addWidget(m_reconcile);
    column->addWidget(header);

    auto* inset = new QVBoxLayout;
    inset->setContentsMargins(px(kRecordTicks), 0, px(kRecordTicks), 0);
    inset->setSpacing(px(10));
    m_elapsed = new ElapsedBar;
    inset->addWidget(m_elapsed);
    m_band = new Band;
    m_band->setObjectName(u"operationRecord.band"_s);
    inset->addWidget(m_band);
    m_replicaPart = makeReplicas();
    inset->addWidget(m_replicaPart);
    inset->addWidget(new SectionHeader(tr("Events"), tr("newest first")));
    m_events = new MarkTable({}, { 90, 140, 0 }, tr("Events of the operation"));
    m_events->setObjectName(u"operationRecord.events"_s);
    m_events->setRowHeight(24);
    m_events->setFitsRows(true);
    inset->addWidget(m_events);
    inset->addWidget(new SectionHeader(tr("Request sent"), tr("once")));
    m_request = new CodeBlock(tr("Request sent"));
    m_request->setObjectName(u"operationRecord.request"_s);
    m_request->setFitsLines(true, 12);
    inset->addWidget(m_request);
    inset->addStretch(1);
    column->addLayout(inset, 1);

    auto* scroll = new QScrollArea;
    scroll->setObjectName(u"operationRecord"_s);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setWidgetResizable(true);
    scroll->setFocusPolicy(Qt::NoFocus);
    scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    scroll->setWidget(body);
    return scroll;
}

QWidget* OperationsPage::makeReplicas()
{
    auto* part = new QWidget;
    auto* column = new QVBoxLayout(part);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(px(8));
    column->addWidget(new SectionHeader(tr("Replicas"), tr("stage as reported by the server")));
    m_replicas = new MarkTable(
        { tr("Replica"), tr("Serving now"), tr("Stage as reported"), tr("Error"), tr("Total") },
        { 180, 220, 180, 0, 90 }, tr("Replicas"));
    m_replicas->setObjectName(u"operationRecord.replicas"_s);
    m_replicas->setRowHeight(28);
    m_replicas->setFitsRows(true);
    column->addWidget(m_replicas);
    m_timelineHeader = new SectionHeader(tr("Timeline"));
    column->addWidget(m_timelineHeader);
    m_timeline = new ReplicaTimeline;
    column->addWidget(m_timeline);
    return part;
}

void OperationsPage::showRecord(const QString& id)
{
    m_id = id;
    if (const int row = m_model.rowOf(id); row >= 0) {
        m_table->setCurrentIndex(m_model.index(row, 0));
        m_table->scrollTo(m_model.index(row, 0));
    }
    refresh();
}

void OperationsPage::refresh()
{
    auto operation = m_model.operation(m_id);
    if (!operation && m_id.isEmpty()) {
        // Nothing chosen yet: the newest record is what people come for.
        for (int row = 0; row < m_model.rowCount() && !operation; ++row)
            operation = m_model.operation(m_model.idAt(row));
    }
    m_stack->setCurrentIndex(operation ? 1 : 0);
    if (operation)
        fill(recordOf(*operation, m_model.now(), m_model.loadSeconds(operation->target)));
}

void OperationsPage::fill(const OperationRecord& record)
{
    m_title->setPlain(record.title);
    m_state->setText(record.stateText);
    m_state->setStatus(record.status);
    m_subtitle->setPlain(record.subtitle);
    m_reconcile->setVisible(record.isUnknown);
    m_elapsed->setRecord(record);
    m_band->setVisible(!record.bandStrong.isEmpty());
    m_band->setContent(int(record.bandStatus), record.bandStrong, record.bandText);
    m_replicaPart->setVisible(!record.replicas.isEmpty());
    QList<QList<MarkCell>> replicas;
    QStringList ids;
    for (const auto& line : record.replicas) {
        replicas << replicaCells(line);
        ids << line.identity;
    }
    m_replicas->setRows(std::move(replicas), std::move(ids));
    m_timelineHeader->setNote(record.legend.join(u" → "_s));
    m_timeline->setRecord(record);
    QList<QList<MarkCell>> events;
    for (const auto& event : record.events)
        events << QList<MarkCell> { recordCell(u"<s><#>"_s + event.at),
            recordCell(u"<s>"_s + spanEscaped(event.stage)),
            recordCell(spanEscaped(event.detail)) };
    m_events->setRows(std::move(events));
    m_request->setCode(requestText(record.request, RequestForm::Curl));
}

} // namespace desk
