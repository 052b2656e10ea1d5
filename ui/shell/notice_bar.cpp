// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shell/notice_bar.h"

#include "models/app_model.h"
#include "models/format.h"
#include "models/item_roles.h"
#include "ui/style/fonts.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/panel.h"

#include <QHBoxLayout>
#include <QToolButton>

using namespace Qt::StringLiterals;

namespace desk {

NoticeBar::NoticeBar(AppModel& app, QWidget* parent)
    : QWidget(parent)
    , m_app(app)
    , m_band(new Band)
    , m_retry(makeLinkButton(tr("Retry")))
    , m_close(makeIconButton(u"close"_s, tr("Dismiss")))
{
    setObjectName(u"noticeBar"_s);
    m_band->setObjectName(u"noticeBar.text"_s);
    m_retry->setObjectName(u"noticeBar.retry"_s);
    m_close->setObjectName(u"noticeBar.close"_s);
    auto* row = new QHBoxLayout(this);
    row->setContentsMargins(px(12), px(6), px(12), px(6));
    row->setSpacing(px(8));
    row->addWidget(m_band, 1);
    row->addWidget(m_retry);
    row->addWidget(m_close);
    connect(m_retry, &QToolButton::clicked, this, &NoticeBar::retry);
    connect(m_close, &QToolButton::clicked, this, [this] {
        m_problem.reset();
        refresh();
    });
    connect(&app, &AppModel::problemReported, this, [this](const ErrorText& problem) {
        m_problem = problem;
        refresh();
    });
    connect(&app.link(), &ConnectionLink::phaseChanged, this, &NoticeBar::refresh);
    refresh();
}

void NoticeBar::refresh()
{
    const LinkPhase phase = m_app.link().phase();
    const auto& error = m_app.link().error();
    const auto at = m_app.link().dataTime();
    const QString since =
        at ? tr("Data as of %1.").arg(format::clockTime(*at)) : tr("Nothing was read yet.");
    const bool isBroken = phase == LinkPhase::Unreachable || phase == LinkPhase::Refused;
    m_retry->setVisible(isBroken);
    m_close->setVisible(!isBroken && phase != LinkPhase::Offline);
    if (phase == LinkPhase::Offline) {
        m_band->setContent(int(StatusKind::Attention), tr("Offline"),
            tr("Nothing is asked and nothing is sent. %1").arg(since));
    } else if (isBroken) {
        QString text = since;
        if (error)
            text = error->what + u' ' + error->next + u' ' + since;
        m_band->setContent(int(StatusKind::Failed),
            phase == LinkPhase::Refused ? tr("Key rejected") : tr("No answer"), text);
    } else if (m_problem) {
        m_band->setContent(int(StatusKind::Failed), m_problem->what,
            QString(m_problem->unchanged + u' ' + m_problem->next).trimmed());
    }
    // The first-run page says itself what went wrong there.
    const bool isFirst = m_app.isFirstRun() && m_app.selection().page() == DeskPage::Jobs;
    setVisible(isBroken || phase == LinkPhase::Offline || (m_problem && !isFirst));
}

void NoticeBar::retry()
{
    const auto& connection = m_app.link().connection();
    if (connection && connection->isLocal)
        m_app.link().useLocal(); // starts it again if it is gone
    else if (m_app.link().account() != nullptr)
        m_app.refresh();
    else if (connection)
        m_app.link().choose(*connection);
}

} // namespace desk
