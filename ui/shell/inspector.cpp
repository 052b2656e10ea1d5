// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shell/inspector.h"

#include "models/app_model.h"
#include "models/checkpoint_table_model.h"
#include "models/deployment_table_model.h"
#include "models/format.h"
#include "models/inspector_model.h"
#include "models/job_table_model.h"
#include "ui/style/fonts.h"
#include "ui/style/glyphs.h"
#include "ui/style/tokens.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/code_block.h"
#include "ui/widgets/fact_list.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/pill.h"
#include "ui/widgets/span_label.h"
#include "ui/widgets/tile.h"

#include <QGridLayout>
#include <QPainter>
#include <QPushButton>
#include <QScrollArea>
#include <QStackedWidget>
#include <QTabBar>
#include <QToolButton>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    enum InspectorTab
    {
        OverviewTab,
        ConfigTab,
        JsonTab
    };

    /// The progress bar below the tiles: 4 px, no text; the text stands above it.
    class ProgressLine final : public QWidget
    {
    public:
        ProgressLine() { setFixedHeight(px(4)); }
        void setFraction(double fraction)
        {
            m_fraction = fraction;
            update();
        }

    protected:
        void paintEvent(QPaintEvent*) override
        {
            QPainter painter(this);
            painter.fillRect(rect(), tokens().surface2);
            painter.fillRect(QRectF(0, 0, width() * m_fraction, height()), tokens().accent);
        }

    private:
        double m_fraction = 0;
    };

    QString statusTag(StatusKind status)
    {
        switch (status) {
        case StatusKind::Running:
            return u"<!run><.8>"_s;
        case StatusKind::Waiting:
            return u"<!wait><.8>"_s;
        case StatusKind::Busy:
            return u"<!busy><.8>"_s;
        case StatusKind::Good:
            return u"<!good><.8>"_s;
        case StatusKind::Attention:
            return u"<!warn><.8>"_s;
        case StatusKind::Unknown:
            return u"<!unknown><.8>"_s;
        case StatusKind::Failed:
            return u"<!fail><.8>"_s;
        case StatusKind::Off:
            return u"<!square><.8>"_s;
        case StatusKind::Paused:
            return u"<!paused><.8>"_s;
        case StatusKind::No:
            return u"<!cross><.8>"_s;
        case StatusKind::None:
            break;
        }
        return {};
    }

    Fact shownFact(const InspectorFact& fact)
    {
        Fact shown;
        shown.label = fact.label;
        shown.value = fact.value;
        shown.isMono = fact.isCode;
        shown.tone = fact.tone;
        shown.link = fact.link;
        return shown;
    }

    QLabel* makeWrapped(const QString& name)
    {
        auto* label = new QLabel;
        label->setObjectName(name);
        label->setWordWrap(true);
        label->setTextFormat(Qt::PlainText);
        label->setFont(fontOf(Face::Second));
        label->setForegroundRole(QPalette::PlaceholderText);
        return label;
    }

    Panel* makeSection(int edges = Panel::BottomEdge)
    {
        auto* panel = new Panel(QPalette::Window, edges);
        auto* column = new QVBoxLayout(panel);
        column->setContentsMargins(px(12), px(10), px(12), px(10));
        column->setSpacing(px(4));
        return panel;
    }

} // namespace

Inspector::Inspector(AppModel& app, QWidget* parent)
    : QWidget(parent)
    , m_app(app)
{
    setObjectName(u"inspector"_s);
    setAccessibleName(tr("Inspector"));
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    m_head = new QWidget;
    auto* head = new QVBoxLayout(m_head);
    head->setContentsMargins(px(12), px(10), px(12), px(6));
    head->setSpacing(px(2));
    m_title = new SpanLabel({}, Face::Title);
    m_title->setObjectName(u"inspector.title"_s);
    m_subtitle = new SpanLabel({}, Face::Second, Tone::Secondary);
    head->addWidget(m_title);
    head->addWidget(m_subtitle);
    column->addWidget(m_head);
    auto* tabPanel = new Panel(QPalette::Window, Panel::BottomEdge);
    auto* tabRow = new QHBoxLayout(tabPanel);
    tabRow->setContentsMargins(px(8), 0, px(8), 0);
    m_tabs = makeTabBar({ tr("Overview"), tr("Config"), tr("JSON") }, tr("Inspector"), true, 28);
    m_tabs->setObjectName(u"inspector.tabs"_s);
    tabRow->addWidget(m_tabs);
    tabRow->addStretch();
    tabPanel->setFixedHeight(px(30));
    column->addWidget(tabPanel);
    m_stack = new QStackedWidget;
    m_stack->addWidget(makeOverview());
    m_config = new CodeBlock(tr("Configuration"));
    m_config->setObjectName(u"inspector.config"_s);
    m_json = new CodeBlock(tr("JSON as received, secrets redacted"));
    m_json->setObjectName(u"inspector.json"_s);
    for (CodeBlock* block : { m_config, m_json }) {
        auto* holder = new QWidget;
        auto* inner = new QVBoxLayout(holder);
        inner->setContentsMargins(px(12), px(12), px(12), px(12));
        inner->addWidget(block);
        m_stack->addWidget(holder);
    }
    m_stack->addWidget(makeEmpty());
    column->addWidget(m_stack, 1);
    column->addWidget(makeActions());
    connect(m_tabs, &QTabBar::currentChanged, this, &Inspector::refresh);
    connect(&app.inspector(), &InspectorModel::changed, this, &Inspector::refresh);
    connect(&app.actions(), &ActionRegistry::availabilityChanged, this, &Inspector::refreshActions);
    refresh();
}

QSize Inspector::sizeHint() const
{
    return { px(328), px(600) };
}

QWidget* Inspector::makeOverview()
{
    auto* area = new QScrollArea;
    area->setObjectName(u"inspector.overview"_s);
    area->setAccessibleName(tr("Overview"));
    area->setFrameShape(QFrame::NoFrame);
    area->setWidgetResizable(true);
    area->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    area->setFocusPolicy(Qt::NoFocus);
    area->viewport()->setBackgroundRole(QPalette::Window);
    auto* body = new QWidget;
    body->setBackgroundRole(QPalette::Window);
    auto* column = new QVBoxLayout(body);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);

    m_tilePanel = new QWidget;
    m_tileRow = new QHBoxLayout(m_tilePanel);
    m_tileRow->setContentsMargins(px(12), px(10), px(12), px(4));
    m_tileRow->setSpacing(px(12));
    column->addWidget(m_tilePanel);

    m_progressPanel = makeSection();
    auto* line = new QHBoxLayout;
    m_progressText = new SpanLabel({}, Face::Second);
    m_timeLeft = new SpanLabel({}, Face::Second, Tone::Secondary);
    line->addWidget(m_progressText);
    line->addStretch();
    line->addWidget(m_timeLeft);
    auto* progress = qobject_cast<QVBoxLayout*>(m_progressPanel->layout());
    progress->addLayout(line);
    m_bar = new ProgressLine;
    progress->addWidget(m_bar);
    column->addWidget(m_progressPanel);

    m_facts = new FactList;
    m_facts->setTitle(tr("Overview"));
    m_facts->setObjectName(u"inspector.facts"_s);
    column->addWidget(m_facts);
    m_notePanel = makeSection(Panel::TopEdge);
    m_noteTitle = new SpanLabel({}, Face::Bold);
    m_note = makeWrapped(u"inspector.note"_s);
    m_noteLink = makeLinkButton({});
    m_noteLink->setObjectName(u"inspector.noteLink"_s);
    connect(m_noteLink, &QToolButton::clicked, this,
        [this] { follow(m_app.inspector().content().noteLink); });
    auto* note = m_notePanel->layout();
    note->addWidget(m_noteTitle);
    note->addWidget(m_note);
    note->addWidget(m_noteLink);
    column->addWidget(m_notePanel);
    m_serving = new FactList;
    m_serving->setTitle(tr("Serving"));
    m_serving->setObjectName(u"inspector.serving"_s);
    m_sources = new FactList;
    m_sources->setTitle(tr("Where these facts come from"));
    m_sources->setObjectName(u"inspector.sources"_s);
    column->addWidget(m_serving);
    column->addWidget(makeRule());
    column->addWidget(m_sources);
    column->addWidget(makeRule());
    column->addStretch(1);
    for (FactList* list : { m_facts, m_serving, m_sources })
        connect(list, &FactList::linkActivated, this, &Inspector::follow);
    area->setWidget(body);
    return area;
}

QWidget* Inspector::makeEmpty()
{
    auto* page = new QWidget;
    auto* column = new QVBoxLayout(page);
    column->setContentsMargins(0, px(20), 0, 0);
    column->setSpacing(0);
    auto* top = new QVBoxLayout;
    top->setContentsMargins(px(20), px(8), px(20), px(24));
    top->setSpacing(px(4));
    auto* title = new SpanLabel({}, Face::Bold);
    title->setPlain(tr("Nothing selected"));
    auto* text = new QLabel(tr("Facts about the selected job or checkpoint appear here, each with "
                               "its source and age."));
    text->setWordWrap(true);
    text->setForegroundRole(QPalette::PlaceholderText);
    top->addWidget(title);
    top->addWidget(text);
    column->addLayout(top);
    column->addWidget(makeRule());
    auto* keys = new QGridLayout;
    keys->setContentsMargins(px(20), px(16), px(20), 0);
    keys->setVerticalSpacing(px(10));
    keys->setHorizontalSpacing(px(16));
    auto* keysTitle = new SpanLabel({}, Face::SecondBold, Tone::Secondary);
    keysTitle->setPlain(tr("Keys worth knowing"));
    keys->addWidget(keysTitle, 0, 0, 1, 2);
    const std::initializer_list<std::pair<QString, QString>> rows {
        { u"/"_s, tr("filter the list") },
        { u"Space"_s, tr("plot or unplot the selected job") },
        { u"F6"_s, tr("next region") },
        { u"F9"_s, tr("navigator") },
        { u"F10"_s, tr("inspector") },
        { u"F12"_s, tr("operations") },
    };
    int row = 1;
    for (const auto& [key, text2] : rows) {
        keys->addWidget(new KeyCap(key), row, 0, Qt::AlignLeft | Qt::AlignVCenter);
        auto* label = new SpanLabel;
        label->setPlain(text2);
        keys->addWidget(label, row, 1);
        ++row;
    }
    keys->setColumnMinimumWidth(0, px(60));
    keys->setColumnStretch(1, 1);
    column->addLayout(keys);
    column->addStretch(1);
    return page;
}

QWidget* Inspector::makeActions()
{
    m_actionPanel = makeSection(Panel::TopEdge);
    auto* column = qobject_cast<QVBoxLayout*>(m_actionPanel->layout());
    column->setSpacing(px(8));
    m_actionTitle = new SpanLabel({}, Face::SecondBold, Tone::Secondary);
    column->addWidget(m_actionTitle);
    m_actionGrid = new QGridLayout;
    m_actionGrid->setHorizontalSpacing(px(12));
    m_actionGrid->setVerticalSpacing(px(8));
    m_actionGrid->setColumnStretch(0, 1);
    m_actionGrid->setColumnStretch(1, 1);
    column->addLayout(m_actionGrid);
    m_reason = makeWrapped(u"inspector.reason"_s);
    column->addWidget(m_reason);
    for (const QString& id : { u"ckpt.save"_s, u"ckpt.promote"_s, u"deploy.hotload"_s,
             u"ckpt.verify"_s, u"deploy.create"_s, u"deploy.delete"_s }) {
        QPushButton* button = makeButton(m_app.actions().action(id));
        button->setParent(m_actionPanel);
        button->setObjectName(u"inspector."_s + id);
        button->hide();
        m_buttons.insert(id, button);
    }
    return m_actionPanel;
}

void Inspector::refresh()
{
    const InspectorModel::Content& content = m_app.inspector().content();
    const bool isEmpty = content.title.isEmpty();
    m_head->setVisible(!isEmpty);
    m_actionPanel->setVisible(!isEmpty && !content.actions.isEmpty());
    m_stack->setCurrentIndex(isEmpty ? m_stack->count() - 1 : m_tabs->currentIndex());
    if (isEmpty)
        return;
    m_title->setMarkup(statusTag(content.status) + spanEscaped(content.title));
    m_subtitle->setMarkup(u"<#>"_s + spanEscaped(content.subtitle));
    refreshTiles();
    refreshFacts();
    if (m_tabs->currentIndex() == ConfigTab) {
        m_config->setCode(content.config.isEmpty()
                ? tr("No configuration of this row was found on this machine.")
                : content.config);
    }
    if (m_tabs->currentIndex() == JsonTab) {
        m_json->setCode(content.json.isEmpty() ? tr("The control plane does not list this row.")
                                               : content.json);
    }
    refreshActions();
}

void Inspector::refreshTiles()
{
    const InspectorModel::Content& content = m_app.inspector().content();
    while (m_tiles.size() < content.tiles.size()) {
        auto* tile = new desk::Tile;
        m_tileRow->addWidget(tile, 1);
        m_tiles.append(tile);
    }
    for (qsizetype i = 0; i < m_tiles.size(); ++i) {
        const bool isUsed = i < content.tiles.size();
        m_tiles.at(i)->setVisible(isUsed);
        if (!isUsed)
            continue;
        const InspectorTile& tile = content.tiles.at(i);
        m_tiles.at(i)->setName(tile.label);
        m_tiles.at(i)->setValue(tile.value);
        m_tiles.at(i)->setNote(u"<#>"_s + spanEscaped(tile.hint));
    }
    m_tilePanel->setVisible(!content.tiles.isEmpty());
    m_progressPanel->setVisible(content.progress.has_value());
    m_progressText->setMarkup(u"<#>"_s + spanEscaped(content.progressText));
    m_timeLeft->setMarkup(u"<#>"_s + spanEscaped(content.timeLeft));
    static_cast<ProgressLine*>(m_bar)->setFraction(content.progress.value_or(0));
}

void Inspector::refreshFacts()
{
    const InspectorModel::Content& content = m_app.inspector().content();
    QList<Fact> facts;
    for (const InspectorFact& fact : content.facts)
        facts.append(shownFact(fact));
    m_facts->setFacts(facts);
    QList<Fact> serving;
    for (const InspectorFact& fact : content.serving)
        serving.append(shownFact(fact));
    m_serving->setFacts(serving);
    m_serving->setVisible(!serving.isEmpty());
    QList<Fact> sources;
    for (const InspectorSource& source : content.sources) {
        Fact fact;
        fact.label = source.what;
        fact.value = source.source;
        fact.age = format::age(source.at, m_app.now());
        sources.append(fact);
    }
    m_sources->setFacts(sources);
    m_notePanel->setVisible(!content.note.isEmpty());
    m_noteTitle->setPlain(content.noteTitle);
    m_note->setText(content.note);
    m_noteLink->setVisible(!content.noteLink.isEmpty());
    m_noteLink->setText(tr("Nearest promotable: %1").arg(format::lastSegment(content.noteLink)));
}

void Inspector::refreshActions()
{
    const InspectorModel::Content& content = m_app.inspector().content();
    m_actionTitle->setMarkup(tr("Actions on") + u" <m>"_s + spanEscaped(content.actionSubject));
    QStringList reasons;
    int place = 0;
    for (auto it = m_buttons.cbegin(); it != m_buttons.cend(); ++it)
        it.value()->setVisible(content.actions.contains(it.key()));
    for (const QString& id : content.actions) {
        QPushButton* button = m_buttons.value(id);
        if (button == nullptr)
            continue;
        m_actionGrid->addWidget(button, place / 2, place % 2);
        ++place;
        const QString reason = m_app.actions().reason(id);
        if (!reason.isEmpty()) {
            QString verb = m_app.actions().action(id)->text();
            verb.remove(u'\u2026');
            const QString line = verb + u": "_s + reason;
            if (!reasons.contains(line))
                reasons.append(line);
        }
    }
    m_reason->setText(reasons.join(u'\n'));
    m_reason->setVisible(!reasons.isEmpty());
}

void Inspector::follow(const QString& target)
{
    if (m_app.checkpoints().find(target) != nullptr)
        m_app.selection().selectCheckpoint(target);
    else if (m_app.deployments().find(target) != nullptr) {
        m_app.selection().setPage(DeskPage::Deployments);
        m_app.selection().selectDeployment(target);
    } else if (m_app.jobs().find(target) != nullptr) {
        m_app.selection().setPage(DeskPage::Jobs);
        m_app.selection().selectJob(target);
    }
}

} // namespace desk
