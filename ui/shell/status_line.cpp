// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shell/status_line.h"

#include "models/app_model.h"
#include "models/format.h"
#include "models/job_table_model.h"
#include "ui/style/fonts.h"
#include "ui/style/icons.h"
#include "ui/style/tokens.h"
#include "ui/widgets/span_label.h"

#include <QLabel>
#include <QPainter>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr int kSentenceMs = 8000;

    class ChipIcon final : public QWidget
    {
    public:
        ChipIcon() { setFixedSize(px(18), px(16)); }

    protected:
        void paintEvent(QPaintEvent*) override
        {
            QPainter painter(this);
            drawIcon(painter, u"cpu"_s, QRect(0, 0, px(16), px(16)), tokens().text2);
        }
    };

} // namespace

StatusLine::StatusLine(AppModel& app, QWidget* parent)
    : QStatusBar(parent)
    , m_app(app)
    , m_left(new SpanLabel({}, Face::Second, Tone::Secondary))
    , m_device(new SpanLabel({}, Face::Second, Tone::Secondary))
    , m_problems(new SpanLabel({}, Face::Second, Tone::Secondary))
    , m_folders(new SpanLabel({}, Face::Second, Tone::Secondary))
{
    setObjectName(u"statusBar"_s);
    setAccessibleName(tr("Status"));
    setSizeGripEnabled(false);
    setFixedHeight(px(24));
    m_left->setObjectName(u"statusBar.data"_s);
    m_device->setObjectName(u"statusBar.device"_s);
    m_problems->setObjectName(u"statusBar.problems"_s);
    m_folders->setObjectName(u"statusBar.folders"_s);
    addWidget(m_left, 1);
    addPermanentWidget(new ChipIcon);
    addPermanentWidget(m_device);
    addPermanentWidget(m_problems);
    addPermanentWidget(m_folders);
    // The bar makes a new layout with every widget, so margins belong to the widget, at the end.
    setContentsMargins(px(10), 1, px(10), 0);
    refresh();
}

void StatusLine::setDevice(const QString& text)
{
    m_device->setPlain(text);
}

void StatusLine::say(const QString& sentence)
{
    showMessage(sentence, kSentenceMs);
}

void StatusLine::refresh()
{
    const auto at = m_app.link().dataTime();
    QString left = u"<#>"_s;
    left += at ? spanEscaped(tr("data as of %1").arg(format::clockTime(*at))) : tr("not connected");
    left += u"</><|><#><s>"_s + tr("%1 req/min").arg(m_app.requestsPerMinute());
    m_left->setMarkup(left);
    const int problems = m_app.problemCount();
    m_problems->setMarkup(problems == 0 ? u"<|>"_s + tr("0 problems")
                                        : u"<|><!warn><.6><t>"_s
                + (problems == 1 ? tr("1 problem") : tr("%1 problems").arg(problems)));
    int folders = 0;
    for (const JobRow& row : m_app.jobs().rows())
        folders += row.runFolder.isEmpty() ? 0 : 1;
    m_folders->setVisible(folders > 0);
    m_folders->setMarkup(u"<|><#><s>"_s
        + (folders == 1 ? tr("local metrics: 1 folder")
                        : tr("local metrics: %1 folders").arg(folders)));
}

} // namespace desk
