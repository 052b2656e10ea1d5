// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/span_label.h"

#include <QPainter>
#include <QtMath>

namespace desk {

SpanLabel::SpanLabel(const QString& markup, Face base, Tone tone, QWidget* parent)
    : QLabel(parent)
    , m_base(base)
    , m_tone(tone)
{
    setTextFormat(Qt::PlainText);
    setMarkup(markup);
}

void SpanLabel::setMarkup(const QString& markup)
{
    if (markup == m_markup && !m_markup.isNull())
        return;
    m_markup = markup;
    m_spans = parseSpans(markup, m_base, m_tone);
    setText(spanText(m_spans));
    updateGeometry();
    update();
}

void SpanLabel::setPlain(const QString& text)
{
    setMarkup(spanEscaped(text));
}

bool SpanLabel::isElided() const
{
    return spanWidth(m_spans) > contentsRect().width() + 1;
}

QSize SpanLabel::sizeHint() const
{
    const FaceInfo& info = face(m_base);
    const QMargins margins = contentsMargins();
    return { qCeil(spanWidth(m_spans)) + 1 + margins.left() + margins.right(),
        qRound(info.ascent + info.descent) + 2 + margins.top() + margins.bottom() };
}

QSize SpanLabel::minimumSizeHint() const
{
    const QSize hint = sizeHint();
    return { std::min(hint.width(), px(10)), hint.height() };
}

void SpanLabel::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    drawSpans(painter, contentsRect(), m_spans, alignment());
}

} // namespace desk
