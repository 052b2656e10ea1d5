// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/charts/readout_strip.h"

#include "models/plot_math.h"
#include "ui/style/icons.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QClipboard>
#include <QDateTime>
#include <QGuiApplication>
#include <QKeyEvent>
#include <QPainter>

#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    QString readoutMarkup(const Readout& readout, XAxisKind kind)
    {
        QString markup = u"<#><e>step "_s + formatStep(double(readout.step)) + u"</>"_s;
        if (readout.wall > 0) {
            const QDateTime time = QDateTime::fromMSecsSinceEpoch(qint64(readout.wall * 1000));
            markup += u"<.8><#><s>"_s + time.toString(u"HH:mm:ss"_s) + u"</>"_s;
        }
        if (kind == XAxisKind::Relative)
            markup += u"<.8><#><s>"_s + formatXValue(readout.x, kind) + u"</>"_s;
        for (const ReadoutValue& value : readout.values) {
            const bool isSmoothed = std::isfinite(value.smooth) && value.smooth != value.raw;
            markup += u"<|><=%1><.6><s>%2</><.6><#><e>%3</>"_s.arg(QString::number(value.slot),
                spanEscaped(value.label),
                formatValue(std::isfinite(value.smooth) ? value.smooth : value.raw, 5));
            if (isSmoothed && value.chart == u"loss")
                markup += u"<.6><#><s>raw "_s + formatValue(value.raw, 5) + u"</>"_s;
        }
        return markup;
    }

} // namespace

ReadoutStrip::ReadoutStrip(QWidget* parent)
    : QWidget(parent)
{
    setObjectName(u"readoutStrip"_s);
    setAttribute(Qt::WA_OpaquePaintEvent);
    setFixedHeight(px(24));
    setFocusPolicy(Qt::TabFocus);
    setProperty("ownFocus", true);
    setHint(u"Hover a chart to read values here."_s);
}

void ReadoutStrip::setReadout(const Readout& readout, XAxisKind kind)
{
    m_hasReadout = readout.isValid;
    m_spans = m_hasReadout ? parseSpans(readoutMarkup(readout, kind), Face::Second)
                           : parseSpans(spanEscaped(m_hint), Face::Second, Tone::Secondary);
    setAccessibleName(m_hasReadout ? u"Values at the crosshair: "_s + text() : spanText(m_spans));
    update();
}

void ReadoutStrip::setHint(const QString& text)
{
    m_hint = text;
    if (!m_hasReadout)
        setReadout({}, XAxisKind::Step);
}

void ReadoutStrip::setPinned(bool isPinned)
{
    if (isPinned == m_isPinned)
        return;
    m_isPinned = isPinned;
    update();
    Q_EMIT pinToggled(isPinned);
}

QString ReadoutStrip::text() const
{
    return spanText(m_spans);
}

void ReadoutStrip::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const Tokens& t = tokens();
    painter.fillRect(rect(), t.surface2);
    hline(painter, 0, width(), 0, t.hairline);
    drawSpans(painter, QRectF(px(12), 0, width() - px(44), height()), m_spans);
    if (m_hasReadout)
        drawIcon(painter, u"pin"_s,
            QRect(width() - px(24), (height() - px(16)) / 2, px(16), px(16)),
            m_isPinned ? t.accent : t.disabled);
    if (hasFocus()) {
        painter.fillRect(QRectF(0, 0, 2, height()), t.accent);
    }
}

void ReadoutStrip::keyPressEvent(QKeyEvent* event)
{
    if (event->matches(QKeySequence::Copy)) {
        QGuiApplication::clipboard()->setText(text());
        return;
    }
    if (event->key() == Qt::Key_Space && m_hasReadout) {
        setPinned(!m_isPinned);
        return;
    }
    QWidget::keyPressEvent(event);
}

void ReadoutStrip::mouseReleaseEvent(QMouseEvent* event)
{
    if (event->button() == Qt::LeftButton && m_hasReadout
        && event->position().x() > width() - px(32))
        setPinned(!m_isPinned);
}

} // namespace desk
