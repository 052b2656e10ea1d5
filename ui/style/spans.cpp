// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/style/spans.h"

#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QFontMetricsF>
#include <QHash>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr int kSeparatorWidth = 17;
    constexpr int kSwatchWidth = 10;

    Glyph glyphNamed(QStringView name)
    {
        static const QHash<QString, Glyph> names { { u"run"_s, Glyph::Run },
            { u"wait"_s, Glyph::Wait }, { u"busy"_s, Glyph::Busy }, { u"good"_s, Glyph::Good },
            { u"warn"_s, Glyph::Attention }, { u"unknown"_s, Glyph::Unknown },
            { u"fail"_s, Glyph::Fail }, { u"cross"_s, Glyph::Cross },
            { u"square"_s, Glyph::Square }, { u"paused"_s, Glyph::Paused },
            { u"ring"_s, Glyph::Ring }, { u"dia"_s, Glyph::DiamondHollow },
            { u"diafull"_s, Glyph::DiamondFilled }, { u"tri"_s, Glyph::Triangle },
            { u"restart"_s, Glyph::Restart }, { u"better"_s, Glyph::Better },
            { u"worse"_s, Glyph::Worse } };
        return names.value(name.toString(), Glyph::None);
    }

    Face strongOf(Face base)
    {
        switch (base) {
        case Face::Second:
        case Face::SecondMedium:
        case Face::Badge:
            return Face::SecondBold;
        case Face::Mono:
        case Face::MonoSmall:
            return Face::MonoBold;
        case Face::Title:
        case Face::Tile:
            return base;
        default:
            return Face::Bold;
        }
    }

    Face mediumOf(Face base)
    {
        return base == Face::Second || base == Face::Badge ? Face::SecondMedium : Face::Medium;
    }

    class SpanParser
    {
    public:
        SpanParser(Face base, Tone tone)
            : m_base(base)
            , m_tone(tone)
        {
            reset();
        }

        Spans parse(QStringView markup)
        {
            for (qsizetype i = 0; i < markup.size(); ++i) {
                if (markup[i] != u'<') {
                    m_text += markup[i];
                    continue;
                }
                const qsizetype end = markup.indexOf(u'>', i);
                const QStringView tag = end > i ? markup.mid(i + 1, end - i - 1) : QStringView();
                if (isTag(tag)) {
                    flush();
                    apply(tag);
                    i = end;
                } else if (i + 1 < markup.size() && markup[i + 1] == u'<') {
                    m_text += u'<'; // "<<" is the escaped form
                    ++i;
                } else {
                    m_text += u'<';
                }
            }
            flush();
            return std::move(m_spans);
        }

    private:
        static bool isNumber(QStringView text)
        {
            if (text.isEmpty() || text.size() > 3)
                return false;
            for (const QChar c : text) {
                if (c < u'0' || c > u'9')
                    return false;
            }
            return true;
        }
        static bool isTag(QStringView tag)
        {
            if (tag.isEmpty())
                return false;
            if (tag.size() == 1)
                return u"bemsxatdgwfrpu#/|"_s.contains(tag[0]);
            if (tag[0] == u'!')
                return glyphNamed(tag.mid(1)) != Glyph::None;
            return (tag[0] == u'.' || tag[0] == u'=') && isNumber(tag.mid(1));
        }

        void reset()
        {
            m_current = {};
            m_current.face = m_base;
            m_current.tone = m_tone;
        }
        void flush()
        {
            if (m_text.isEmpty())
                return;
            Span span = m_current;
            span.text = std::exchange(m_text, {});
            m_spans.push_back(std::move(span));
        }
        void push(Span::Kind kind, int value)
        {
            Span span;
            span.kind = kind;
            span.value = value;
            m_spans.push_back(std::move(span));
        }
        void apply(QStringView tag)
        {
            switch (tag[0].unicode()) {
            case u'!':
                push(Span::Kind::Glyph, static_cast<int>(glyphNamed(tag.mid(1))));
                break;
            case u'.':
                push(Span::Kind::Gap, px(tag.mid(1).toInt()));
                break;
            case u'=':
                push(Span::Kind::Swatch, tag.mid(1).toInt());
                break;
            case u'|':
                push(Span::Kind::Separator, 0);
                break;
            case u'#':
                m_current.isTabular = true;
                break;
            case u'/':
                reset();
                break;
            case u'b':
                m_current.face = strongOf(m_base);
                break;
            case u'e':
                m_current.face = mediumOf(m_base);
                break;
            case u'm':
                m_current.face = Face::Mono;
                break;
            case u'x':
                m_current.face = Face::Second;
                m_current.tone = Tone::Secondary;
                break;
            default:
                m_current.tone = toneOf(tag[0]);
            }
        }
        static Tone toneOf(QChar tag)
        {
            switch (tag.unicode()) {
            case u's':
                return Tone::Secondary;
            case u'a':
                return Tone::Link;
            case u'd':
                return Tone::Disabled;
            case u'g':
                return Tone::Good;
            case u'w':
                return Tone::Attention;
            case u'f':
                return Tone::Failed;
            case u'r':
                return Tone::Running;
            case u'p':
                return Tone::Busy;
            case u'u':
                return Tone::Better;
            default:
                return Tone::Normal;
            }
        }

        Face m_base;
        Tone m_tone;
        Span m_current;
        QString m_text;
        Spans m_spans;
    };

    qreal widthOf(const Span& span)
    {
        switch (span.kind) {
        case Span::Kind::Text:
            return span.isTabular ? tabularWidth(span.face, span.text)
                                  : textWidth(span.face, span.text);
        case Span::Kind::Glyph:
            return px(14);
        case Span::Kind::Gap:
            return span.value;
        case Span::Kind::Swatch:
            return px(kSwatchWidth);
        case Span::Kind::Separator:
            return px(kSeparatorWidth);
        }
        return 0;
    }

    // Fixed text sits on the line of the text around it.
    Face lineFace(const Spans& spans)
    {
        for (const Span& span : spans) {
            if (span.kind == Span::Kind::Text)
                return span.face == Face::Mono || span.face == Face::MonoBold ? Face::Second
                                                                              : span.face;
        }
        return Face::Body;
    }

} // namespace

Spans parseSpans(QStringView markup, Face base, Tone tone)
{
    return SpanParser(base, tone).parse(markup);
}

QString spanEscaped(QStringView text)
{
    QString escaped;
    escaped.reserve(text.size());
    for (const QChar c : text) {
        if (c == u'\n' || c == u'\r' || c == u'\t') {
            escaped += u' ';
            continue;
        }
        escaped += c;
        if (c == u'<')
            escaped += c;
    }
    return escaped;
}

QString spanText(const Spans& spans)
{
    QString text;
    for (const Span& span : spans) {
        if (span.kind == Span::Kind::Text)
            text += span.text;
        else if (span.kind == Span::Kind::Separator)
            text += u", "_s;
        else if (span.kind == Span::Kind::Gap && !text.isEmpty() && !text.endsWith(u' '))
            text += u' ';
    }
    return text;
}

qreal spanWidth(const Spans& spans)
{
    qreal width = 0;
    for (const Span& span : spans)
        width += widthOf(span);
    return width;
}

void drawSpans(QPainter& painter, const QRectF& rect, const Spans& spans, Qt::Alignment alignment,
    bool isOnSelection)
{
    const qreal total = spanWidth(spans);
    qreal x = rect.left();
    if (alignment & Qt::AlignRight)
        x = std::max(rect.left(), rect.right() - total);
    else if (alignment & Qt::AlignHCenter)
        x = std::max(rect.left(), rect.left() + (rect.width() - total) / 2);
    const bool isTooWide = total > rect.width() + 1;
    const qreal baseline = baselineIn(rect, lineFace(spans));
    const qreal middle = rect.center().y();
    for (const Span& span : spans) {
        const qreal width = widthOf(span);
        const qreal room = rect.right() - x;
        if (room <= 0)
            return;
        switch (span.kind) {
        case Span::Kind::Text: {
            const QColor color = toneColor(span.tone, isOnSelection);
            if (isTooWide && width > room + 0.5) {
                painter.setFont(fontOf(span.face));
                painter.setPen(color);
                painter.drawText(QPointF(x, baseline),
                    QFontMetricsF(fontOf(span.face)).elidedText(span.text, Qt::ElideRight, room));
                return;
            }
            if (span.isTabular) {
                drawTabular(painter, QPointF(x, baseline), span.face, span.text, color);
            } else {
                painter.setFont(fontOf(span.face));
                painter.setPen(color);
                painter.drawText(QPointF(x, baseline), span.text);
            }
            break;
        }
        case Span::Kind::Glyph: {
            const auto glyph = static_cast<Glyph>(span.value);
            drawGlyph(painter, glyph, QRectF(x, qRound(middle - px(7)), px(14), px(14)),
                glyphColor(glyph, isOnSelection));
            break;
        }
        case Span::Kind::Swatch:
            painter.fillRect(
                QRectF(x, qRound(middle) - 1, px(kSwatchWidth), 3), seriesColor(span.value));
            break;
        case Span::Kind::Separator:
            vline(painter, x + px(8), middle - px(7), middle + px(7), tokens().hairline);
            break;
        case Span::Kind::Gap:
            break;
        }
        x += width;
    }
}

} // namespace desk
