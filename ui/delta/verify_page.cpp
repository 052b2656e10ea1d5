// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/delta/verify_page.h"

#include "models/format.h"
#include "models/item_roles.h"
#include "models/row_order_model.h"
#include "models/verify_model.h"
#include "ui/delta/heat_strip.h"
#include "ui/delta/verify_parts.h"
#include "ui/style/fonts.h"
#include "ui/style/spans.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/fact_list.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/span_label.h"
#include "ui/widgets/table_view.h"
#include "ui/widgets/tile.h"

#include <QHBoxLayout>
#include <QPushButton>
#include <QTabBar>
#include <QVBoxLayout>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    enum TensorTab
    {
        AllTensors,
        ChangedTensors,
        MismatchedTensors
    };

    StatusKind bandOf(const VerifyModel& model)
    {
        switch (model.state()) {
        case VerifyModel::State::Idle:
        case VerifyModel::State::Canceled:
            return StatusKind::Off;
        case VerifyModel::State::Running:
            return StatusKind::Busy;
        case VerifyModel::State::Failed:
            return StatusKind::Failed;
        case VerifyModel::State::Done:
            break;
        }
        switch (model.outcome()) {
        case VerifyModel::Outcome::Exact:
        case VerifyModel::Outcome::Sound:
            return StatusKind::Good;
        case VerifyModel::Outcome::Partial:
            return StatusKind::Attention;
        case VerifyModel::Outcome::Mismatch:
        case VerifyModel::Outcome::Broken:
            return StatusKind::Failed;
        case VerifyModel::Outcome::None:
            break;
        }
        return StatusKind::Off;
    }

    QList<Fact> toFacts(const std::vector<VerifyModel::Fact>& from, bool isMono)
    {
        QList<Fact> facts;
        for (const auto& fact : from) {
            Fact next;
            next.label = fact.label;
            next.value = fact.value;
            next.isMono = isMono;
            facts << next;
        }
        return facts;
    }

} // namespace

VerifyPage::VerifyPage(VerifyModel& model, QWidget* parent)
    : QWidget(parent)
    , m_model(model)
{
    setObjectName(u"verifyPage"_s);
    setAccessibleName(tr("Verification"));
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    column->addWidget(makeHeader());
    m_measures = makeMeasures();
    column->addWidget(m_measures);
    m_heatPanel = makeHeat();
    column->addWidget(m_heatPanel);
    column->addWidget(makeTensors(), 1);
    setFocusProxy(m_tensors);
    connect(&m_model, &VerifyModel::changed, this, &VerifyPage::refresh);
    refresh();
}

VerifyPage::~VerifyPage() = default;

QWidget* VerifyPage::makeHeader()
{
    auto* panel = new Panel(QPalette::Window, Panel::BottomEdge);
    auto* column = new QVBoxLayout(panel);
    column->setContentsMargins(px(16), px(10), px(16), px(12));
    column->setSpacing(px(10));
    auto* row = new QHBoxLayout;
    row->setSpacing(px(10));
    m_title = new SpanLabel({}, Face::Title);
    m_subtitle = new SpanLabel({}, Face::Body, Tone::Secondary);
    m_subtitle->setObjectName(u"verifyPage.subtitle"_s);
    row->addWidget(m_title);
    row->addWidget(m_subtitle, 1);
    m_stop = makeButton(tr("Stop"));
    m_stop->setObjectName(u"verifyPage.stop"_s);
    connect(m_stop, &QPushButton::clicked, this, [this] { m_model.cancel(); });
    row->addWidget(m_stop);
    m_again = makeButton(tr("Verify again"));
    m_again->setObjectName(u"verifyPage.again"_s);
    connect(m_again, &QPushButton::clicked, this, [this] { m_model.again(); });
    row->addWidget(m_again);
    column->addLayout(row);
    m_verdict = new Band;
    m_verdict->setObjectName(u"verifyPage.verdict"_s);
    column->addWidget(m_verdict);
    m_equation = new EquationStrip;
    column->addWidget(m_equation);
    return panel;
}

QWidget* VerifyPage::makeMeasures()
{
    auto* panel = new Panel(QPalette::Base, Panel::BottomEdge);
    auto* row = new QHBoxLayout(panel);
    row->setContentsMargins(px(16), px(10), px(16), px(10));
    row->setSpacing(px(24));
    auto* left = new QVBoxLayout;
    left->setSpacing(px(4));
    left->addWidget(
        new SectionHeader(tr("Throughput"), tr("bar is logarithmic, 0.1 to 1,000 GB/s")));
    m_throughput = new ThroughputBars;
    left->addWidget(m_throughput);
    left->addStretch(1);
    row->addLayout(left, 3);
    auto* right = new QVBoxLayout;
    right->setSpacing(px(4));
    m_change = new FactList;
    m_change->setObjectName(u"verifyPage.change"_s);
    m_change->setTitle(tr("Change from the base"));
    right->addWidget(m_change);
    m_mismatch = new FactList;
    m_mismatch->setObjectName(u"verifyPage.mismatch"_s);
    m_mismatch->setTitle(tr("First difference"));
    right->addWidget(m_mismatch);
    right->addStretch(1);
    row->addLayout(right, 2);
    return panel;
}

QWidget* VerifyPage::makeHeat()
{
    auto* panel = new Panel(QPalette::Window, Panel::BottomEdge);
    auto* column = new QVBoxLayout(panel);
    column->setContentsMargins(px(16), px(10), px(16), px(6));
    column->setSpacing(px(6));
    auto* header = new SectionHeader(tr("Changed elements by layer"));
    m_heatScale = new SpanLabel({}, Face::Second, Tone::Secondary);
    header->addWidget(m_heatScale);
    column->addWidget(header);
    m_heat = new HeatStrip;
    column->addWidget(m_heat);
    connect(m_heat, &HeatStrip::rowActivated, this, &VerifyPage::showTensor);
    return panel;
}

QWidget* VerifyPage::makeTensors()
{
    auto* place = new QWidget;
    auto* column = new QVBoxLayout(place);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    auto* bar = new Panel(QPalette::Window, Panel::BottomEdge);
    bar->setFixedHeight(px(32));
    auto* row = new QHBoxLayout(bar);
    row->setContentsMargins(px(16), 0, px(16), 0);
    row->setSpacing(px(8));
    row->addWidget(new SpanLabel(tr("Tensors"), Face::Bold));
    m_tensorNote = new SpanLabel({}, Face::Second, Tone::Secondary);
    row->addWidget(m_tensorNote, 1);
    m_tabs =
        makeTabBar({ tr("All"), tr("Changed"), tr("Mismatch") }, tr("Which tensors"), true, px(32));
    m_tabs->setObjectName(u"verifyPage.tabs"_s);
    connect(m_tabs, &QTabBar::currentChanged, this, &VerifyPage::applyTab);
    row->addWidget(m_tabs);
    column->addWidget(bar);

    m_order = new RowOrderModel(this);
    m_order->setSourceModel(&m_model.tensors());
    m_order->sort(int(TensorTableModel::Column::Verdict), Qt::AscendingOrder);
    m_tensors = new TableView;
    m_tensors->setObjectName(u"verifyPage.tensors"_s);
    m_tensors->setAccessibleName(tr("Tensors"));
    m_tensors->setModel(m_order);
    m_tensors->setColumnWidths({ 0, 56, 110, 116, 84, 76, 84, 92, 84 });
    m_tensors->setSortingEnabled(true);
    m_tensors->sortByColumn(int(TensorTableModel::Column::Verdict), Qt::AscendingOrder);
    connect(m_tensors->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
        [this](const QModelIndex& current) {
            m_heat->setCurrentRow(current.isValid() ? current.data(+Role::Index).toInt() : -1);
        });
    column->addWidget(m_tensors, 1);
    return place;
}

void VerifyPage::applyTab()
{
    const int tab = m_tabs->currentIndex();
    if (tab == AllTensors) {
        m_order->setScope({});
        return;
    }
    m_order->setScope([this, tab](int sourceRow) {
        const auto& row = m_model.tensors().rows()[std::size_t(sourceRow)];
        return tab == ChangedTensors
            ? row.changed > 0
            : row.status != TensorStatus::Exact && row.status != TensorStatus::NotChecked;
    });
}

void VerifyPage::showTensor(int row)
{
    const QModelIndex index = m_order->mapFromSource(m_model.tensors().index(row, 0));
    if (!index.isValid())
        return;
    m_tensors->setCurrentIndex(index);
    m_tensors->scrollTo(index);
}

void VerifyPage::refreshTabs()
{
    const auto& tensors = m_model.tensors();
    setTabText(m_tabs, AllTensors, tr("All"), QString::number(tensors.rowCount()));
    setTabText(m_tabs, ChangedTensors, tr("Changed"), QString::number(tensors.changedCount()));
    setTabText(m_tabs, MismatchedTensors, tr("Mismatch"), QString::number(tensors.mismatchCount()));
    m_tensorNote->setPlain(
        tr("%1 · worst status first, then largest change").arg(tensors.rowCount()));
}

void VerifyPage::refresh()
{
    m_title->setPlain(m_model.title());
    m_subtitle->setPlain(m_model.subtitle());
    m_verdict->setContent(int(bandOf(m_model)), m_model.verdict(), m_model.verdictDetail());
    m_verdict->setAccessibleName(m_model.verdict() + u". "_s + m_model.verdictDetail());
    const bool isDone = m_model.state() == VerifyModel::State::Done;
    m_equation->setTerms(m_model.terms(), m_model.proof(),
        isDone && m_model.outcome() == VerifyModel::Outcome::Exact);
    m_stop->setVisible(m_model.state() == VerifyModel::State::Running);
    m_again->setVisible(m_model.state() != VerifyModel::State::Running);
    m_again->setEnabled(!m_model.checkpoint().isEmpty());
    const auto stages = m_model.stages();
    const auto facts = m_model.changeFacts();
    m_measures->setVisible(!stages.empty() || !facts.empty());
    m_throughput->setStages(stages);
    m_change->setFacts(toFacts(facts, false));
    const auto mismatch = m_model.mismatchFacts();
    m_mismatch->setVisible(!mismatch.empty());
    m_mismatch->setFacts(toFacts(mismatch, true));
    m_heatPanel->setVisible(isDone && m_model.heatMap().layers() > 0);
    if (isDone) {
        m_heat->setMap(m_model.heatMap());
        m_heatScale->setPlain(tr("0 % to %1").arg(format::percent(m_model.heatMap().largest)));
    }
    refreshTabs();
}

} // namespace desk
