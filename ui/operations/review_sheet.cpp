// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/operations/review_sheet.h"

#include "models/review_model.h"
#include "ui/operations/review_forms.h"
#include "ui/style/fonts.h"
#include "ui/style/spans.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/code_block.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/pill.h"
#include "ui/widgets/span_label.h"
#include "ui/widgets/table_view.h"
#include "ui/widgets/tile.h"

#include <QClipboard>
#include <QGuiApplication>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLineEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QTabBar>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    constexpr int kSheetWidth = 776;
    constexpr int kSheetPadding = 20;

} // namespace

ReviewSheet::ReviewSheet(ReviewModel& model, QWidget* parent)
    : QWidget(parent)
    , m_model(model)
{
    setObjectName(u"reviewSheet"_s);
    setAccessibleName(tr("Review"));
    setMinimumWidth(px(520));
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    column->addWidget(makeHeader());
    column->addWidget(makeBody(), 1);
    column->addWidget(makeFooter());
    connect(&m_model, &ReviewModel::opened, this, &ReviewSheet::onOpened);
    connect(&m_model, &ReviewModel::changed, this, &ReviewSheet::refresh);
}

QSize ReviewSheet::sizeHint() const
{
    return { px(kSheetWidth), px(800) };
}

QWidget* ReviewSheet::makeHeader()
{
    auto* header = new Panel(QPalette::Window, Panel::BottomEdge);
    auto* row = new QHBoxLayout(header);
    row->setContentsMargins(px(kSheetPadding), px(8), px(12), px(8));
    auto* column = new QVBoxLayout;
    column->setSpacing(px(2));
    auto* titleRow = new QHBoxLayout;
    titleRow->setSpacing(px(8));
    m_title = new SpanLabel({}, Face::Title);
    m_tier = new Pill;
    titleRow->addWidget(m_title);
    titleRow->addWidget(m_tier);
    titleRow->addStretch(1);
    m_sentence = new SpanLabel({}, Face::Body, Tone::Secondary);
    m_sentence->setObjectName(u"reviewSheet.sentence"_s);
    column->addLayout(titleRow);
    column->addWidget(m_sentence);
    row->addLayout(column, 1);
    auto* close = makeIconButton(u"close"_s, tr("Close the review"));
    close->setObjectName(u"reviewSheet.close"_s);
    connect(close, &QToolButton::clicked, this, [this] { m_model.close(); });
    row->addWidget(close);
    return header;
}

QWidget* ReviewSheet::makeBody()
{
    auto* body = new Panel(QPalette::Base);
    auto* column = new QVBoxLayout(body);
    column->setContentsMargins(px(kSheetPadding), px(12), px(kSheetPadding), px(12));
    column->setSpacing(px(8));

    m_preflightHeader = new SectionHeader(tr("Preflight"));
    column->addWidget(m_preflightHeader);
    m_preflight = new TableView;
    m_preflight->setObjectName(u"reviewSheet.preflight"_s);
    m_preflight->setAccessibleName(tr("Preflight checks"));
    m_preflight->setRowHeight(26);
    m_preflight->setModel(&m_model.preflight());
    m_preflight->setColumnWidths({ 26, 190, 0, 0 });
    m_preflight->horizontalHeader()->hide();
    m_preflight->setFitsRows(true);
    column->addWidget(m_preflight);
    m_error = new SpanLabel({}, Face::Body, Tone::Failed);
    m_error->setObjectName(u"reviewSheet.error"_s);
    m_error->hide();
    column->addWidget(m_error);

    m_formPlace = new QVBoxLayout;
    m_formPlace->setContentsMargins(0, px(8), 0, px(8));
    column->addLayout(m_formPlace);

    column->addWidget(new SectionHeader(tr("Effect")));
    m_effect = new TableView;
    m_effect->setObjectName(u"reviewSheet.effect"_s);
    m_effect->setAccessibleName(tr("Effect, before and after"));
    m_effect->setRowHeight(26);
    m_effect->setModel(&m_model.effect());
    m_effect->setColumnWidths({ 150, 170, 0 });
    m_effect->setFitsRows(true);
    column->addWidget(m_effect);
    makeRequest(column);
    column->addStretch(1);

    auto* scroll = new QScrollArea;
    scroll->setObjectName(u"reviewSheet.scroll"_s);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setWidgetResizable(true);
    scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    scroll->setFocusPolicy(Qt::NoFocus);
    scroll->setWidget(body);
    return scroll;
}

void ReviewSheet::makeRequest(QVBoxLayout* column)
{
    auto* header = new SectionHeader(tr("Request"), tr("exactly what is sent, once"));
    m_requestForm = makeTabBar({ tr("curl"), tr("HTTP") }, tr("Form of the request"), true, px(24));
    m_requestForm->setObjectName(u"reviewSheet.requestForm"_s);
    connect(m_requestForm, &QTabBar::currentChanged, this, [this] { refreshRequest(); });
    header->addWidget(m_requestForm);
    auto* copy = makeButton(tr("Copy"), true);
    copy->setObjectName(u"reviewSheet.copy"_s);
    copy->setAccessibleName(tr("Copy the request"));
    connect(copy, &QPushButton::clicked, this, &ReviewSheet::copyRequest);
    header->addWidget(copy);
    column->addWidget(header);
    m_request = new CodeBlock(tr("Request"));
    m_request->setObjectName(u"reviewSheet.request"_s);
    m_request->setFitsLines(true, 16);
    column->addWidget(m_request);
}

QWidget* ReviewSheet::makeFooter()
{
    auto* footer = new Panel(QPalette::Window, Panel::TopEdge);
    auto* row = new QHBoxLayout(footer);
    row->setContentsMargins(px(kSheetPadding), px(10), px(kSheetPadding), px(10));
    row->setSpacing(px(8));
    m_note = new SpanLabel({}, Face::Second, Tone::Secondary);
    m_note->setObjectName(u"reviewSheet.note"_s);
    row->addWidget(m_note, 1);
    m_typed = new QLineEdit;
    m_typed->setObjectName(u"reviewSheet.typed"_s);
    m_typed->setAccessibleName(tr("Type the name to confirm"));
    m_typed->setFixedWidth(px(200));
    connect(m_typed, &QLineEdit::textEdited, this,
        [this](const QString& text) { m_model.setTypedName(text); });
    row->addWidget(m_typed);
    m_cancel = makeButton(tr("Cancel"));
    m_cancel->setObjectName(u"reviewSheet.cancel"_s);
    setKeyCap(m_cancel, tr("Esc"));
    connect(m_cancel, &QPushButton::clicked, this, [this] {
        if (m_model.state() == ReviewModel::State::Held)
            m_model.takeBack();
        else
            m_model.close();
    });
    row->addWidget(m_cancel);
    m_commit = makeButton(QString());
    m_commit->setObjectName(u"reviewSheet.commit"_s);
    setCommit(m_commit, true);
    connect(m_commit, &QPushButton::clicked, this, [this] { m_model.commit(); });
    row->addWidget(m_commit);
    return footer;
}

void ReviewSheet::onOpened()
{
    delete m_form;
    m_form = makeReviewForm(m_model, this);
    m_formPlace->addWidget(m_form);
    m_title->setPlain(m_model.title());
    m_tier->setText(m_model.tier());
    m_typed->clear();
    refresh();
    // What cannot be undone starts on Cancel; everything else where the user has to think.
    const bool isIrreversible =
        m_model.kind() == OperationKind::Delete || m_model.kind() == OperationKind::Cancel;
    QWidget* first = m_form->firstField();
    (isIrreversible            ? static_cast<QWidget*>(m_cancel)
            : first != nullptr ? first
                               : m_commit)
        ->setFocus(Qt::OtherFocusReason);
}

void ReviewSheet::refresh()
{
    if (m_model.state() == ReviewModel::State::Closed || m_form == nullptr)
        return;
    m_sentence->setPlain(m_model.sentence());
    m_preflightHeader->setNote(m_model.preflightSummary());
    fitPreflight();
    m_error->setVisible(m_model.error().has_value());
    if (m_model.error()) {
        m_error->setPlain(m_model.error()->oneLine());
        m_error->setToolTip(m_model.error()->oneLine());
    }
    m_form->refresh();
    m_form->setEnabled(m_model.state() == ReviewModel::State::Ready
        || m_model.state() == ReviewModel::State::Checking);
    refreshRequest();
    const QString name = m_model.nameToType();
    m_typed->setVisible(!name.isEmpty());
    m_typed->setPlaceholderText(name);
    const QString whyNot = m_model.whyNot();
    m_note->setPlain(whyNot);
    m_note->setToolTip(whyNot);
    m_commit->setText(m_model.verb());
    m_commit->setEnabled(whyNot.isEmpty());
    m_commit->setAccessibleDescription(whyNot);
}

/// The column of fixes takes what its texts need; without any the reasons get its room.
void ReviewSheet::fitPreflight()
{
    qreal width = 0;
    for (const auto& check : m_model.preflight().checks())
        width = std::max(width, textWidth(Face::Body, QString::fromStdString(check.fix)));
    const int column = int(PreflightTableModel::Column::Fix);
    m_preflight->setColumnHidden(column, width <= 0);
    m_preflight->setColumnWidth(column, std::min(int(width) + px(20), px(300)));
}

void ReviewSheet::refreshRequest()
{
    const auto form = m_requestForm->currentIndex() == 1 ? RequestForm::Http : RequestForm::Curl;
    m_request->setCode(m_model.plan() ? requestText(m_model.plan()->request, form) : QString());
}

void ReviewSheet::copyRequest()
{
    QGuiApplication::clipboard()->setText(m_request->code());
}

void ReviewSheet::keyPressEvent(QKeyEvent* event)
{
    if (event->key() == Qt::Key_Escape) {
        m_cancel->click();
        return;
    }
    if (event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter) {
        // Enter commits from a field, but never what cannot be undone.
        if (m_commit->isEnabled() && m_model.kind() != OperationKind::Delete
            && m_model.kind() != OperationKind::Cancel) {
            m_model.commit();
            return;
        }
    }
    QWidget::keyPressEvent(event);
}

} // namespace desk
