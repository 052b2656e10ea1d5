// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/jobs/first_run_page.h"

#include "models/app_model.h"
#include "models/format.h"
#include "ui/style/fonts.h"
#include "ui/style/icons.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/span_label.h"

#include <QHBoxLayout>
#include <QPainter>
#include <QPushButton>
#include <QStackedWidget>
#include <QToolButton>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    class IconBox final : public QWidget
    {
    public:
        IconBox(QString name, int size)
            : m_name(std::move(name))
        {
            setFixedSize(px(size), px(size));
        }

    protected:
        void paintEvent(QPaintEvent*) override
        {
            QPainter painter(this);
            drawIcon(painter, m_name, rect(), tokens().text);
        }

    private:
        QString m_name;
    };

    /// One of the equal ways in: icon and title, three lines, the one verb and its safety level.
    class WayTile final : public QWidget
    {
    public:
        WayTile(const QString& iconName, const QString& title, const QStringList& lines,
            QPushButton* button, SpanLabel* note)
        {
            setAccessibleName(title);
            auto* column = new QVBoxLayout(this);
            column->setContentsMargins(px(20), px(16), px(20), px(16));
            column->setSpacing(px(1));
            auto* head = new QHBoxLayout;
            head->setSpacing(px(8));
            head->addWidget(new IconBox(iconName, 20));
            auto* name = new SpanLabel({}, Face::Title);
            name->setPlain(title);
            head->addWidget(name, 1);
            column->addLayout(head);
            column->addSpacing(px(10));
            for (const QString& line : lines) {
                auto* label = new SpanLabel;
                label->setPlain(line);
                label->setFixedHeight(px(20));
                column->addWidget(label);
            }
            column->addSpacing(px(12));
            auto* foot = new QHBoxLayout;
            foot->setSpacing(px(12));
            foot->addWidget(button);
            foot->addWidget(note, 1);
            column->addLayout(foot);
            setMinimumHeight(px(168));
        }

    protected:
        void paintEvent(QPaintEvent*) override
        {
            QPainter painter(this);
            roundBox(painter, rect(), 6, tokens().surface, tokens().border);
        }
    };

    SpanLabel* makeNote(const QString& text)
    {
        auto* note = new SpanLabel({}, Face::Second, Tone::Secondary);
        note->setPlain(text);
        return note;
    }

} // namespace

FirstRunPage::FirstRunPage(AppModel& app, QWidget* parent)
    : QWidget(parent)
    , m_app(app)
{
    setObjectName(u"firstRun"_s);
    setAccessibleName(tr("First steps"));
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(px(36), px(22), px(36), px(12));
    column->setSpacing(px(8));
    m_band = new Band;
    m_band->setObjectName(u"firstRun.problem"_s);
    m_band->hide();
    column->addWidget(m_band);
    m_stack = new QStackedWidget;
    m_stack->addWidget(makeWelcome());
    m_stack->addWidget(makeReady());
    column->addWidget(m_stack);
    column->addStretch(1);
    connect(&app, &AppModel::firstRunChanged, this, &FirstRunPage::refresh);
    connect(&app.link(), &ConnectionLink::phaseChanged, this, &FirstRunPage::refresh);
    connect(&app, &AppModel::problemReported, this, [this](const ErrorText& problem) {
        m_band->setContent(int(StatusKind::Failed), problem.what,
            QString(problem.unchanged + u' ' + problem.next).trimmed());
        m_band->show();
    });
    refresh();
}

QSize FirstRunPage::minimumSizeHint() const
{
    return { px(560), px(300) };
}

QWidget* FirstRunPage::makeWelcome()
{
    auto* page = new QWidget;
    auto* column = new QVBoxLayout(page);
    column->setContentsMargins(0, px(8), 0, 0);
    column->setSpacing(px(6));
    auto* title = new SpanLabel({}, Face::Title);
    title->setPlain(tr("No connection yet"));
    auto* text = makeNote(
        tr("Choose where jobs come from. Both can be used side by side, and changed at any time."));
    column->addWidget(title);
    column->addWidget(text);
    column->addSpacing(px(10));
    m_useLocal = makeButton(m_app.actions().action(u"conn.useLocal"_s));
    m_useLocal->setObjectName(u"firstRun.useLocal"_s);
    setCommit(m_useLocal, true);
    m_localNote = makeNote(tr("Safety level 0, free"));
    auto* add = makeButton(m_app.actions().action(u"conn.add"_s));
    add->setObjectName(u"firstRun.addConnection"_s);
    auto* tiles = new QHBoxLayout;
    tiles->setSpacing(px(16));
    tiles->addWidget(new WayTile(u"home"_s, tr("Use the local backend"),
                         { tr("Runs on this machine, no account, no network."),
                             tr("Trains a small model, so you see live curves in seconds."),
                             tr("Save, promote and hotload are real, on local files.") },
                         m_useLocal, m_localNote),
        1);
    tiles->addWidget(new WayTile(u"cloud"_s, tr("Add a connection"),
                         { tr("An endpoint, an account and a key."),
                             tr("The key stays in the desktop keyring, never in a file."),
                             tr("Every write opens a review first.") },
                         add, makeNote(tr("Safety level 1, confirm writes"))),
        1);
    column->addLayout(tiles);
    column->addSpacing(px(10));
    column->addWidget(makeFolderRow(u"firstRun.openFolder"_s));
    return page;
}

QWidget* FirstRunPage::makeReady()
{
    auto* page = new QWidget;
    auto* column = new QVBoxLayout(page);
    column->setContentsMargins(0, px(8), 0, 0);
    column->setSpacing(px(6));
    m_readyTitle = new SpanLabel({}, Face::Title);
    m_readyText = makeNote({});
    column->addWidget(m_readyTitle);
    column->addWidget(m_readyText);
    column->addSpacing(px(10));
    m_startSample = makeButton(m_app.actions().action(u"train.sample"_s));
    m_startSample->setObjectName(u"firstRun.startSample"_s);
    setCommit(m_startSample, true);
    m_sampleNote = makeNote(tr("Uses the processors of this machine"));
    auto* own = makeButton(m_app.actions().action(u"train.new"_s));
    own->setObjectName(u"firstRun.newTraining"_s);
    auto* tiles = new QHBoxLayout;
    tiles->setSpacing(px(16));
    tiles->addWidget(new WayTile(u"play"_s, tr("Start a sample training"),
                         { tr("Fine-tunes the built-in model desk-tiny on the bundled text."),
                             tr("Its curve appears below while it is computed."),
                             tr("Stop it at any time; nothing leaves this machine.") },
                         m_startSample, m_sampleNote),
        1);
    tiles->addWidget(new WayTile(u"metric"_s, tr("Train on your own text"),
                         { tr("A plain text file, or JSON Lines of prompts or messages."),
                             tr("Choose steps, learning rate and when to save."),
                             tr("Runs on, also when this window is closed.") },
                         own, makeNote(tr("A recipe file is kept in the run folder"))),
        1);
    column->addLayout(tiles);
    column->addSpacing(px(10));
    column->addWidget(makeFolderRow(u"firstRun.openFolder2"_s));
    return page;
}

QWidget* FirstRunPage::makeFolderRow(const QString& objectName)
{
    auto* row = new QWidget;
    auto* line = new QHBoxLayout(row);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(px(8));
    line->addWidget(new IconBox(u"folder"_s, 16));
    auto* open = makeLinkButton(tr("Open a run folder\u2026"));
    open->setObjectName(objectName);
    connect(open, &QToolButton::clicked, this, [this] { m_app.actions().trigger(u"run.open"_s); });
    line->addWidget(open);
    line->addWidget(
        makeNote(tr("reads metrics.jsonl and checkpoints.jsonl; changes nothing in them")));
    line->addStretch(1);
    return row;
}

void FirstRunPage::refresh()
{
    const LinkPhase phase = m_app.link().phase();
    const bool hasAccount = m_app.link().account() != nullptr;
    m_stack->setCurrentIndex(hasAccount ? 1 : 0);
    m_localNote->setPlain(
        phase == LinkPhase::Starting ? tr("Starting\u2026") : tr("Safety level 0, free"));
    if (phase == LinkPhase::Live || phase == LinkPhase::Starting || m_app.isTrainingStarting())
        m_band->hide();
    if (!hasAccount)
        return;
    const bool isLocal = m_app.link().connection() && m_app.link().connection()->isLocal;
    m_readyTitle->setPlain(isLocal
            ? tr("The local backend is ready")
            : tr("Connected to %1").arg(format::fromUtf8(m_app.link().connection()->name)));
    m_readyText->setPlain(m_app.isTrainingStarting()
            ? tr("The training is starting; its first step comes in a moment.")
            : tr("No job yet. Start one here, or run your own script against this connection."));
    m_sampleNote->setPlain(m_app.isTrainingStarting() ? tr("Starting\u2026")
                                                      : tr("Uses the processors of this machine"));
}

} // namespace desk
