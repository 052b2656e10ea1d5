// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/checkpoints/chain_strip.h"

#include "models/format.h"
#include "ui/style/fonts.h"
#include "ui/style/glyphs.h"
#include "ui/style/paint.h"
#include "ui/style/spans.h"
#include "ui/style/tokens.h"

#include <QMouseEvent>
#include <QPainter>

#include <algorithm>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr int kBoxWidth = 150;
    constexpr int kBoxHeight = 58;
    constexpr int kGap = 30;
    constexpr int kFoldedGap = 96;
    constexpr int kStripHeight = 92;

    QString boxSize(const CheckpointRow& row)
    {
        const QString size = row.sizeBytes ? format::bytes(*row.sizeBytes) : format::unknown();
        const auto ratio = row.deltaRatio();
        if (row.type != CheckpointType::InferenceArcV2)
            return size;
        const QString text = u"\u03b4 "_s + size;
        return ratio ? QString(text + u" \u00b7 "_s + format::percent(*ratio)) : text;
    }

    QString boxState(const CheckpointRow& row)
    {
        QString text;
        if (!row.promotedAs.isEmpty())
            text += u"<!good><.4><g>"_s + ChainStrip::tr("promoted") + u"</><.8>"_s;
        else if (row.isPromotable)
            text += u"<!good><.4><g>"_s + ChainStrip::tr("promotable") + u"</><.8>"_s;
        if (row.verified == u"exact")
            text += u"<!good><.4><g>"_s + ChainStrip::tr("exact") + u"</><.8>"_s;
        for (const ServingMark& mark : row.serving)
            text += u"<s>"_s + spanEscaped(mark.deployment) + u" "_s;
        return text;
    }

} // namespace

ChainStrip::ChainStrip(QWidget* parent)
    : QWidget(parent)
{
    setObjectName(u"chainStrip"_s);
    setAccessibleName(tr("Chain of the newest snapshots"));
    setFixedHeight(px(kStripHeight));
}

QSize ChainStrip::sizeHint() const
{
    return { px(600), px(kStripHeight) };
}

QSize ChainStrip::minimumSizeHint() const
{
    return { px(200), px(kStripHeight) };
}

void ChainStrip::setRows(const QList<CheckpointRow>& rows, const QString& selected)
{
    m_selected = selected;
    m_chain.clear();
    // The newest snapshot names the chain; it is followed down to its base.
    const CheckpointRow* at = nullptr;
    for (const CheckpointRow& row : rows) {
        if (row.chain.shape != ChainMark::Shape::None && row.created
            && (at == nullptr || *row.created > *at->created))
            at = &row;
    }
    while (at != nullptr && m_chain.size() <= rows.size()) {
        m_chain.prepend(*at);
        if (at->chain.shape != ChainMark::Shape::Delta || at->parent.isEmpty())
            break;
        const QString parent = at->parent;
        const auto found = std::find_if(rows.begin(), rows.end(),
            [&](const CheckpointRow& row) { return row.shortName == parent; });
        at = found == rows.end() ? nullptr : &*found;
    }
    QStringList names;
    for (const CheckpointRow& row : std::as_const(m_chain))
        names.append(row.shortName);
    setAccessibleDescription(names.join(u" \u2192 "_s));
    arrange();
    update();
}

/// As many boxes as fit: the base, then the newest deltas.
void ChainStrip::arrange()
{
    m_boxes.clear();
    if (m_chain.isEmpty())
        return;
    const int room = width() - px(2 * 16);
    const int fit = std::max(2, (room - px(kFoldedGap - kGap)) / px(kBoxWidth + kGap));
    const qsizetype shown = std::min<qsizetype>(m_chain.size(), fit);
    qreal x = px(16);
    for (qsizetype i = 0; i < shown; ++i) {
        const qsizetype source = i == 0 ? 0 : m_chain.size() - shown + i;
        ChainBox box;
        box.row = m_chain.at(source);
        if (i == 1)
            box.folded = int(source - 1);
        if (i > 0)
            x += px(box.folded > 0 ? kFoldedGap : kGap);
        box.rect = QRectF(x, px(26), px(kBoxWidth), px(kBoxHeight));
        x += px(kBoxWidth);
        m_boxes.append(box);
    }
}

void ChainStrip::paintEvent(QPaintEvent*)
{
    arrange();
    const Tokens& t = tokens();
    QPainter painter(this);
    painter.fillRect(rect(), t.window);
    drawLine(painter, QRectF(px(16), px(6), px(400), px(16)), Face::BadgeLight,
        tr("Newest chain \u00b7 %1 snapshots").arg(m_chain.size()), t.text2);
    qreal previousRight = -1;
    for (const ChainBox& box : std::as_const(m_boxes)) {
        const QRectF r = box.rect;
        if (previousRight >= 0) {
            const qreal y = qRound(r.center().y());
            hline(painter, previousRight, r.left(), y, t.text2);
            if (box.folded > 0) {
                drawLine(painter,
                    QRectF(previousRight, y - px(18), r.left() - previousRight, px(14)),
                    Face::BadgeLight, tr("%1 \u03b4").arg(box.folded), t.text2, Qt::AlignCenter);
            }
        }
        previousRight = r.right();
        const bool isSelected = box.row.name == m_selected;
        roundBox(painter, r, 4, isSelected ? t.selection : t.surface,
            isSelected ? t.accent : t.hairline);
        const bool isBase = box.row.chain.shape != ChainMark::Shape::Delta;
        const QRectF glyph(r.left() + px(8), r.top() + px(8), px(10), px(10));
        drawGlyph(painter, isBase ? Glyph::Square : Glyph::Ring, glyph, t.text);
        const QRectF line(r.left() + px(24), r.top() + px(4), r.width() - px(30), px(17));
        drawLine(painter, line, Face::SecondBold, box.row.shortName, t.text, Qt::AlignLeft,
            Qt::ElideMiddle);
        const QRectF second(r.left() + px(8), r.top() + px(21), r.width() - px(14), px(16));
        drawLine(painter, second, Face::BadgeLight, boxSize(box.row),
            isSelected ? t.selectionText2 : t.text2);
        drawSpans(painter, second.translated(0, px(17)),
            parseSpans(boxState(box.row), Face::BadgeLight), Qt::AlignLeft, isSelected);
    }
}

void ChainStrip::mouseReleaseEvent(QMouseEvent* event)
{
    for (const ChainBox& box : std::as_const(m_boxes)) {
        if (box.rect.contains(event->position()))
            Q_EMIT checkpointChosen(box.row.name);
    }
}

} // namespace desk
