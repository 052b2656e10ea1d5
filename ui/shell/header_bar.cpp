// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shell/header_bar.h"

#include "models/app_model.h"
#include "models/connections_model.h"
#include "models/format.h"
#include "ui/style/fonts.h"
#include "ui/style/icons.h"
#include "ui/style/tokens.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/pill.h"
#include "ui/widgets/span_label.h"

#include <QHBoxLayout>
#include <QLineEdit>
#include <QMenu>
#include <QPainter>
#include <QToolButton>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    QString safetyWord(SafetyLevel level)
    {
        return HeaderBar::tr("SAFE %1").arg(int(level));
    }

    QString safetySentence(SafetyLevel level)
    {
        switch (level) {
        case SafetyLevel::Free:
            return HeaderBar::tr("Safety level 0: the review opens, commit needs no second step.");
        case SafetyLevel::Confirm:
            return HeaderBar::tr("Safety level 1: every write opens a review first.");
        case SafetyLevel::TypeName:
            return HeaderBar::tr(
                "Safety level 2: what serves or cannot be undone is typed by name.");
        }
        return {};
    }

    /// The dot before "live": green while answers come, hollow without a connection.
    class LiveDot final : public QWidget
    {
    public:
        explicit LiveDot(AppModel& app)
            : m_app(app)
        {
            setFixedSize(px(10), px(16));
            setObjectName(u"liveDot"_s);
        }

    protected:
        void paintEvent(QPaintEvent*) override
        {
            QPainter painter(this);
            painter.setRenderHint(QPainter::Antialiasing);
            const QRectF dot(1, height() / 2.0 - px(4), px(8), px(8));
            const bool isLive = m_app.link().phase() == LinkPhase::Live;
            painter.setPen(isLive ? QPen(Qt::NoPen) : QPen(tokens().text2, 1.5));
            painter.setBrush(isLive ? QBrush(tokens().good.ink) : QBrush(Qt::NoBrush));
            painter.drawEllipse(isLive ? dot : dot.adjusted(0.75, 0.75, -0.75, -0.75));
        }

    private:
        AppModel& m_app;
    };

    QString liveMarkup(const AppModel& app)
    {
        const auto at = app.link().dataTime();
        const QString age = at ? format::age(*at, app.now()) : QString();
        switch (app.link().phase()) {
        case LinkPhase::NotConnected:
            return u"<s>"_s + HeaderBar::tr("not connected");
        case LinkPhase::Starting:
            return u"<!busy><.6><p>"_s + HeaderBar::tr("starting");
        case LinkPhase::Connecting:
            return u"<!busy><.6><p>"_s + HeaderBar::tr("connecting");
        case LinkPhase::Live:
            return u"<#><t>"_s + HeaderBar::tr("live \u00b7 %1").arg(age);
        case LinkPhase::Stale:
            return u"<!warn><.6><#><w>"_s + HeaderBar::tr("stale \u00b7 %1").arg(age);
        case LinkPhase::Unreachable:
            return u"<!fail><.6><#><f>"_s
                + (age.isEmpty() ? HeaderBar::tr("no answer")
                                 : HeaderBar::tr("no answer \u00b7 data %1 old").arg(age));
        case LinkPhase::Refused:
            return u"<!fail><.6><f>"_s + HeaderBar::tr("key rejected");
        case LinkPhase::Offline:
            return u"<!paused><.6><s>"_s + HeaderBar::tr("offline");
        }
        return {};
    }

} // namespace

HeaderBar::HeaderBar(AppModel& app, QWidget* parent)
    : QWidget(parent)
    , m_app(app)
{
    auto* row = new QHBoxLayout(this);
    row->setContentsMargins(px(12), px(4), px(12), px(4));
    row->setSpacing(px(12));
    row->addWidget(makeConnectionBox());
    row->addStretch(1);
    m_readOnly = new Pill(tr("read-only"), StatusKind::Attention);
    m_readOnly->setObjectName(u"readOnlyPill"_s);
    row->addWidget(m_readOnly);
    row->addWidget(makeFilterBox(), 2);
    auto* live = new QHBoxLayout;
    live->setSpacing(px(6));
    m_dot = new LiveDot(app);
    live->addWidget(m_dot);
    m_live = new SpanLabel;
    m_live->setObjectName(u"liveIndicator"_s);
    m_live->setMinimumWidth(px(96));
    live->addWidget(m_live);
    row->addLayout(live);
    setFixedHeight(px(36));
    refresh();
}

QWidget* HeaderBar::makeConnectionBox()
{
    m_connectionBox = new Box;
    m_connectionBox->setObjectName(u"connectionBox"_s);
    auto* row = new QHBoxLayout(m_connectionBox);
    row->setContentsMargins(px(6), 1, px(2), 1);
    row->setSpacing(px(4));
    m_menu = new QMenu(this);
    m_menu->setObjectName(u"connectionMenu"_s);
    connect(m_menu, &QMenu::aboutToShow, this, &HeaderBar::fillConnectionMenu);
    const auto popup = [this] {
        m_menu->popup(m_connectionBox->mapToGlobal(m_connectionBox->rect().bottomLeft()));
    };
    m_connection = new QToolButton;
    m_connection->setObjectName(u"connectionButton"_s);
    m_connection->setAutoRaise(true);
    m_connection->setToolButtonStyle(Qt::ToolButtonTextOnly);
    connect(m_connection, &QToolButton::clicked, this, popup);
    m_safety = new QToolButton;
    m_safety->setObjectName(u"safetyButton"_s);
    m_safety->setAutoRaise(true);
    m_safety->setIcon(icon(u"shield"_s));
    m_safety->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    connect(
        m_safety, &QToolButton::clicked, this, [this] { m_app.actions().trigger(u"conn.edit"_s); });
    auto* more = makeIconButton(u"chevron-down"_s, tr("Choose a connection"));
    more->setObjectName(u"connectionMenuButton"_s);
    connect(more, &QToolButton::clicked, this, popup);
    m_split = new Panel(QPalette::Base, Panel::LeftEdge);
    m_split->setFixedSize(1, px(26));
    row->addWidget(m_connection);
    row->addWidget(m_split);
    row->addWidget(m_safety);
    row->addWidget(more);
    return m_connectionBox;
}

QWidget* HeaderBar::makeFilterBox()
{
    auto* box = new Box;
    box->setObjectName(u"filterBox"_s);
    box->setMinimumWidth(px(200));
    box->setMaximumWidth(px(440));
    box->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    auto* row = new QHBoxLayout(box);
    row->setContentsMargins(px(8), 1, px(4), 1);
    row->setSpacing(px(6));
    auto* glass = new QLabel;
    glass->setPixmap(icon(u"search"_s).pixmap(px(16)));
    glass->setAccessibleName(tr("Filter"));
    row->addWidget(glass);
    m_filter = makeBareEdit(tr("filter\u2026"), tr("Filter the list"));
    m_filter->setObjectName(u"filterEdit"_s);
    box->setRingFor(m_filter);
    row->addWidget(m_filter, 1);
    m_count = new SpanLabel({}, Face::Second, Tone::Secondary);
    m_count->setObjectName(u"filterCount"_s);
    row->addWidget(m_count);
    row->addWidget(new KeyCap(u"/"_s));
    return box;
}

void HeaderBar::setFilterCount(const QString& text)
{
    m_count->setMarkup(u"<#>"_s + spanEscaped(text));
    m_count->setVisible(!text.isEmpty());
}

void HeaderBar::refresh()
{
    const auto& connection = m_app.link().connection();
    const QString name = connection ? format::fromUtf8(connection->name) : tr("No connection");
    m_connection->setText(name);
    m_connection->setAccessibleName(tr("Connection: %1").arg(name));
    m_safety->setVisible(connection.has_value());
    m_split->setVisible(connection.has_value());
    if (connection) {
        m_safety->setText(safetyWord(connection->safetyLevel));
        m_safety->setAccessibleName(safetySentence(connection->safetyLevel));
        m_safety->setToolTip(safetySentence(connection->safetyLevel));
    }
    const QColor own = connection ? QColor(format::fromUtf8(connection->color)) : QColor();
    m_connectionBox->setStripe(connection ? (own.isValid() ? own : tokens().connection) : QColor());
    m_readOnly->setVisible(m_app.isReadOnly());
    m_live->setMarkup(liveMarkup(m_app));
    const LinkPhase phase = m_app.link().phase();
    m_dot->setVisible(phase == LinkPhase::Live || phase == LinkPhase::NotConnected);
    m_dot->update();
    const auto& error = m_app.link().error();
    m_live->setAccessibleDescription(error ? error->oneLine() : QString());
}

void HeaderBar::fillConnectionMenu()
{
    m_menu->clear();
    ActionRegistry& actions = m_app.actions();
    m_menu->addAction(actions.action(u"conn.useLocal"_s));
    for (const Connection& connection : m_app.connections().connections()) {
        if (connection.isLocal)
            continue;
        QAction* choose = m_menu->addAction(format::fromUtf8(connection.name));
        choose->setObjectName(u"conn.choose."_s + choose->text());
        connect(choose, &QAction::triggered, this,
            [this, connection] { m_app.link().choose(connection); });
    }
    m_menu->addSeparator();
    m_menu->addAction(actions.action(u"conn.add"_s));
    m_menu->addAction(actions.action(u"conn.edit"_s));
    m_menu->addAction(actions.action(u"conn.disconnect"_s));
}

} // namespace desk
