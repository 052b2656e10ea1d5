// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/cell_delegate.h"

#include "ui/style/fonts.h"
#include "ui/style/glyphs.h"
#include "ui/style/icons.h"
#include "ui/style/paint.h"
#include "ui/style/spans.h"
#include "ui/style/tokens.h"
#include "ui/widgets/sparkline.h"

#include <QHash>
#include <QHeaderView>
#include <QHelpEvent>
#include <QTableView>
#include <QToolTip>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    // Everything a cell painter needs.
    struct CellPaint
    {
        QPainter& painter;
        const QModelIndex& index;
        QRectF cell; ///< whole
        QRectF inner; ///< without padding
        qreal baseline;
        bool isSelected; ///< row selected, focused or not
        bool isHot; ///< row selected and the view has the focus

        [[nodiscard]] QVariant get(Role role) const { return index.data(+role); }
        [[nodiscard]] QString text() const { return index.data().toString(); }
        [[nodiscard]] Tone tone() const { return static_cast<Tone>(get(Role::Tone).toInt()); }
        [[nodiscard]] QColor ink(Tone tone) const { return toneColor(tone, isHot); }
        [[nodiscard]] StatusKind status() const
        {
            return static_cast<StatusKind>(get(Role::StatusCode).toInt());
        }
        [[nodiscard]] qreal middle() const { return cell.center().y(); }
    };

    CellKind kindOf(const QModelIndex& index)
    {
        return static_cast<CellKind>(index.data(+Role::Cell).toInt());
    }

    bool hasFocusNow(const QWidget* widget)
    {
        return widget && widget->hasFocus() && widget->isActiveWindow();
    }

    bool isFirstVisibleColumn(const QWidget* widget, int column)
    {
        const auto* table = qobject_cast<const QTableView*>(widget);
        return !table || table->horizontalHeader()->visualIndex(column) == 0;
    }

    void paintRow(const CellPaint& c, const QStyleOptionViewItem& option)
    {
        const Tokens& t = tokens();
        if (c.isSelected)
            c.painter.fillRect(c.cell, c.isHot ? t.selection : t.surface2);
        else if (c.get(Role::IsBaseline).toBool())
            c.painter.fillRect(c.cell, t.baseline);
        hline(c.painter, c.cell.left(), c.cell.right(), c.cell.bottom() - 1, t.grid);
        if (c.isSelected && isFirstVisibleColumn(option.widget, c.index.column()))
            c.painter.fillRect(
                QRectF(c.cell.left(), c.cell.top(), 2, c.cell.height() - 1), t.accent);
    }

    Face textFace(const CellPaint& c)
    {
        if (c.get(Role::IsMono).toBool())
            return c.get(Role::IsStrong).toBool() ? Face::MonoBold : Face::Mono;
        return c.get(Role::IsStrong).toBool() ? Face::Bold : Face::Body;
    }

    void paintTextAndMore(const CellPaint& c, QRectF area, Qt::TextElideMode elide)
    {
        const Face which = textFace(c);
        const QString text = c.text();
        const QString more = c.get(Role::Secondary).toString();
        drawLine(c.painter, area, which, text, c.ink(c.tone()), Qt::AlignLeft, elide);
        if (more.isEmpty())
            return;
        area.setLeft(area.left() + textWidth(which, text));
        if (area.width() > px(8))
            drawLine(c.painter, area, Face::Body, more, c.ink(Tone::Secondary));
    }

    void paintRail(const CellPaint& c, int rail, qreal x)
    {
        const QColor ink = c.ink(Tone::Secondary);
        const qreal middle = qRound(c.middle());
        if (rail & RailAbove)
            c.painter.fillRect(QRectF(x - 1, c.cell.top(), 2, middle - c.cell.top()), ink);
        if (rail & RailBelow)
            c.painter.fillRect(QRectF(x - 1, middle, 2, c.cell.bottom() - middle), ink);
        const int part = rail & 15;
        if (part == RailNone)
            return;
        const Glyph glyph = part == RailBase ? Glyph::Square
            : part == RailDelta              ? Glyph::Ring
                                             : Glyph::DiamondHollow;
        const qreal left = part == RailState ? x + px(5) : x - px(7);
        const QColor color = part == RailState ? ink : c.ink(Tone::Normal);
        drawGlyph(c.painter, glyph, QRectF(left, middle - px(7), px(14), px(14)), color);
    }

    void paintName(const CellPaint& c)
    {
        QRectF area = c.inner;
        if (const QVariant rail = c.get(Role::Rail); rail.isValid()) {
            paintRail(c, rail.toInt(), c.cell.left() + px(10));
            area.setLeft(c.cell.left() + px(30));
        } else {
            const QVariant slot = c.get(Role::Swatch);
            if (slot.isValid() && slot.toInt() >= 0)
                c.painter.fillRect(QRectF(area.left(), qRound(c.middle()) - px(5), 4, px(10)),
                    seriesColor(slot.toInt()));
            area.setLeft(area.left() + px(10));
        }
        if (c.get(Role::IsBaseline).toBool()) {
            const QRect pin(int(area.right()) - px(14), int(c.middle()) - px(7), px(14), px(14));
            drawIcon(c.painter, u"pin"_s, pin, c.ink(Tone::Secondary));
            area.setRight(pin.left() - px(4));
        }
        const bool isMono = c.get(Role::IsMono).toBool();
        const Face which = isMono ? textFace(c) : c.isSelected ? Face::Medium : textFace(c);
        // An id is never cut in a way that hides which one it is; a name may be, in the middle.
        drawLine(c.painter, area, which, c.text(), c.ink(c.tone()), Qt::AlignLeft, Qt::ElideMiddle);
    }

    Tone toneOfStatus(StatusKind kind)
    {
        switch (kind) {
        case StatusKind::Failed:
            return Tone::Failed;
        case StatusKind::Attention:
        case StatusKind::Unknown:
            return Tone::Attention;
        default:
            return Tone::Normal;
        }
    }

    void paintStatusMark(const CellPaint& c, StatusKind kind)
    {
        const Glyph glyph = glyphOf(kind);
        drawGlyph(c.painter, glyph,
            QRectF(c.inner.left(), qRound(c.middle() - px(7)), px(14), px(14)),
            glyphColor(glyph, c.isHot));
    }

    void paintEvidence(const CellPaint& c)
    {
        const StatusKind kind = c.status();
        paintStatusMark(c, kind);
        drawTabular(c.painter, { c.inner.left() + px(20), c.baseline }, Face::Body, c.text(),
            c.ink(toneOfStatus(kind)));
    }

    void paintFlag(const CellPaint& c)
    {
        QRectF area = c.inner;
        if (c.status() != StatusKind::None) {
            paintStatusMark(c, c.status());
            area.setLeft(area.left() + px(20));
        }
        const QString reason = c.get(Role::Reason).toString();
        const QString text = reason.isEmpty() ? c.text() : reason;
        const Tone tone = reason.isEmpty() ? c.tone() : Tone::Secondary;
        drawLine(c.painter, area, textFace(c), text, c.ink(tone));
    }

    void paintNumber(const CellPaint& c)
    {
        const QString text = c.text();
        const Face which = textFace(c);
        const qreal width = tabularWidth(which, text);
        const Tone tone = text == u"—" ? Tone::Secondary : c.tone();
        if (width > c.inner.width() + 0.5)
            drawLine(c.painter, c.inner, which, text, c.ink(tone), Qt::AlignRight);
        else
            drawTabular(
                c.painter, { c.inner.right() - width, c.baseline }, which, text, c.ink(tone));
    }

    void paintProgressCell(const CellPaint& c)
    {
        const QString text = c.text();
        const QString more = c.get(Role::Secondary).toString();
        const qreal baseline = c.baseline - 1; // the bar needs the room
        const qreal left = c.inner.left();
        const qreal width = tabularWidth(Face::Body, text);
        c.painter.save();
        c.painter.setClipRect(c.cell);
        drawTabular(c.painter, { left, baseline }, Face::Body, text,
            c.ink(text == u"—" ? Tone::Secondary : c.tone()));
        drawTabular(
            c.painter, { left + width, baseline }, Face::Body, more, c.ink(Tone::Secondary));
        c.painter.restore();
        const QVariant fraction = c.get(Role::Fraction);
        if (!fraction.isValid() || !(fraction.toDouble() >= 0))
            return;
        const Tokens& t = tokens();
        const QRectF bar(left, c.cell.bottom() - 4, c.cell.width() - px(18), 3);
        c.painter.fillRect(bar, c.isSelected ? t.selectedTrack : t.surface2);
        const qreal share = std::min(1.0, fraction.toDouble());
        c.painter.fillRect(QRectF(bar.left(), bar.top(), bar.width() * share, 3),
            c.isSelected ? t.accent : t.text2);
    }

    void paintSpark(const CellPaint& c)
    {
        const auto spark = c.get(Role::Spark).value<SparkValue>();
        if (spark.values.size() < 2) {
            drawLine(c.painter, c.inner, Face::Body, u"—"_s, c.ink(Tone::Secondary));
            return;
        }
        const QSize size(std::min(px(64), int(c.inner.width())), px(18));
        const QVariant slot = c.get(Role::Swatch);
        const QColor color = slot.isValid() && slot.toInt() >= 0 ? seriesColor(slot.toInt())
                                                                 : c.ink(Tone::Secondary);
        const QPointF at(c.inner.left(), qRound(c.middle()) - size.height() / 2.0);
        c.painter.drawPixmap(at, sparkline(spark, size, devicePixelRatioOf(c.painter), color));
        if (spark.endsBroken) {
            const qreal x =
                at.x() + size.width() * std::clamp(double(spark.share), 0.1, 1.0) - px(6);
            drawGlyph(c.painter, Glyph::Cross,
                QRectF(x, qRound(c.middle()) - px(6), px(11), px(11)), tokens().failed.ink);
        }
    }

    void paintPills(const CellPaint& c)
    {
        const auto pills = c.get(Role::Pills).value<QList<PillValue>>();
        if (pills.isEmpty()) {
            paintTextAndMore(c, c.inner, Qt::ElideRight);
            return;
        }
        qreal x = c.inner.left();
        for (const PillValue& pill : pills) {
            const qreal mark = pill.showsGlyph ? px(16) : 0;
            const qreal width = tabularWidth(Face::Second, pill.text) + px(12) + mark;
            if (x + width > c.inner.right() + 1 && x > c.inner.left())
                break;
            const QRectF box(x, qRound(c.middle()) - px(9), width, px(18));
            const StatusColors& colors = statusColors(pill.status);
            roundBox(c.painter, box, 3, colors.tint, QColor());
            if (pill.showsGlyph)
                drawGlyph(c.painter, glyphOf(pill.status),
                    QRectF(x + px(5), qRound(c.middle()) - px(6), px(12), px(12)), colors.ink);
            drawTabular(c.painter, { x + px(6) + mark, baselineIn(box, Face::Second) },
                Face::Second, pill.text, colors.ink);
            x += width + px(5);
        }
    }

    void paintBar(const CellPaint& c)
    {
        const Tokens& t = tokens();
        const QVariant fraction = c.get(Role::Fraction);
        QRectF bar(c.inner.left(), qRound(c.middle()) - 2, c.inner.width() - px(12), 4);
        const QString figure =
            c.get(Role::Markup).isValid() ? QString() : c.index.data().toString();
        if (!figure.isEmpty()) {
            const qreal room = std::max<qreal>(px(52), tabularWidth(Face::Body, figure) + px(8));
            bar.setWidth(std::max<qreal>(px(12), c.inner.width() - room));
            const qreal x = c.inner.right() - tabularWidth(Face::Body, figure);
            drawTabular(c.painter, QPointF(x, baselineIn(c.inner)), Face::Body, figure,
                c.ink(Tone::Normal));
        }
        c.painter.fillRect(bar, t.surface2);
        const qreal share = std::clamp(fraction.toDouble(), 0.0, 1.0);
        const Tone tone = c.tone() == Tone::Normal ? Tone::Running : c.tone();
        c.painter.fillRect(QRectF(bar.left(), bar.top(), bar.width() * share, 4), toneColor(tone));
        const QVariant mark = c.get(Role::Mark);
        if (mark.isValid() && mark.toDouble() >= 0)
            c.painter.fillRect(
                QRectF(qRound(bar.left() + bar.width() * std::min(1.0, mark.toDouble())),
                    bar.top() - 3, 2, 10),
                t.text);
    }

    QRectF actionBox(const QModelIndex& index, const QRectF& inner)
    {
        const QString action = index.data(+Role::Action).toString();
        if (action.isEmpty())
            return {};
        const bool isButton = index.data(+Role::ActionIsButton).toBool();
        const qreal width = textWidth(Face::Second, action) + (isButton ? px(18) : px(4));
        const qreal height = px(20);
        return { inner.right() - width, double(qRound(inner.center().y() - height / 2)), width,
            height };
    }

    void paintAction(const CellPaint& c)
    {
        const QRectF box = actionBox(c.index, c.inner);
        if (box.isEmpty())
            return;
        const QString action = c.get(Role::Action).toString();
        if (c.get(Role::ActionIsButton).toBool()) {
            roundBox(c.painter, box, 4, tokens().surface, tokens().border);
            drawLine(c.painter, box, Face::Second, action, tokens().text, Qt::AlignHCenter);
        } else {
            drawLine(c.painter, box, Face::Second, action, c.ink(Tone::Link), Qt::AlignRight);
        }
    }

    const Spans& parsedMarkup(const QString& markup)
    {
        constexpr qsizetype kMaxParsed = 2048;
        static QHash<QString, Spans> parsed;
        if (const auto found = parsed.constFind(markup); found != parsed.constEnd())
            return *found;
        if (parsed.size() >= kMaxParsed)
            parsed.clear();
        return *parsed.insert(markup, parseSpans(markup));
    }

    void paintMarkup(const CellPaint& c)
    {
        if (c.get(Role::Fraction).isValid()) {
            paintBar(c);
            return;
        }
        const QString markup = c.get(Role::Markup).toString();
        if (!markup.isEmpty()) {
            const auto align =
                static_cast<Qt::Alignment>(c.index.data(Qt::TextAlignmentRole).toInt());
            drawSpans(c.painter, c.inner, parsedMarkup(markup), align, c.isHot);
        }
        paintAction(c);
    }

    void paintCell(const CellPaint& c, CellKind kind)
    {
        switch (kind) {
        case CellKind::Text:
            paintTextAndMore(c, c.inner, Qt::ElideRight);
            break;
        case CellKind::Name:
            paintName(c);
            break;
        case CellKind::Evidence:
            paintEvidence(c);
            break;
        case CellKind::Number:
        case CellKind::Delta:
            paintNumber(c);
            break;
        case CellKind::Progress:
            paintProgressCell(c);
            break;
        case CellKind::Spark:
            paintSpark(c);
            break;
        case CellKind::Flag:
            paintFlag(c);
            break;
        case CellKind::Pills:
            paintPills(c);
            break;
        case CellKind::Bar:
            paintBar(c);
            break;
        case CellKind::Action:
            paintAction(c);
            break;
        case CellKind::Markup:
            paintMarkup(c);
            break;
        }
    }

    // Width a text cell would like; -1 where nothing is elided.
    qreal wantedWidth(const QModelIndex& index)
    {
        switch (kindOf(index)) {
        case CellKind::Text:
            return textWidth(Face::Body, index.data().toString())
                + textWidth(Face::Body, index.data(+Role::Secondary).toString());
        case CellKind::Name:
            return px(10) + textWidth(Face::Medium, index.data().toString());
        case CellKind::Flag: {
            const QString reason = index.data(+Role::Reason).toString();
            return px(20)
                + textWidth(Face::Body, reason.isEmpty() ? index.data().toString() : reason);
        }
        case CellKind::Markup:
            return spanWidth(parsedMarkup(index.data(+Role::Markup).toString()));
        default:
            return -1;
        }
    }

    QString wholeText(const QModelIndex& index)
    {
        if (kindOf(index) == CellKind::Markup)
            return spanText(parsedMarkup(index.data(+Role::Markup).toString()));
        const QString reason = index.data(+Role::Reason).toString();
        if (kindOf(index) == CellKind::Flag && !reason.isEmpty())
            return reason;
        return index.data().toString() + index.data(+Role::Secondary).toString();
    }

} // namespace

CellDelegate::CellDelegate(QObject* parent)
    : QAbstractItemDelegate(parent)
    , m_rowHeight(px(28))
    , m_firstPadding(px(8))
{
}

void CellDelegate::paint(
    QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const
{
    const int left = isFirstVisibleColumn(option.widget, index.column()) ? m_firstPadding : px(8);
    const QRectF cell(option.rect);
    const QRectF inner = cell.adjusted(left, 0, -px(8), -1);
    const bool isSelected = option.state & QStyle::State_Selected;
    const CellPaint c { *painter, index, cell, inner, baselineIn(inner), isSelected,
        isSelected && hasFocusNow(option.widget) };
    paintRow(c, option);
    paintCell(c, kindOf(index));
}

QSize CellDelegate::sizeHint(const QStyleOptionViewItem&, const QModelIndex&) const
{
    return { px(60), m_rowHeight };
}

bool CellDelegate::helpEvent(QHelpEvent* event, QAbstractItemView* view,
    const QStyleOptionViewItem& option, const QModelIndex& index)
{
    if (event->type() != QEvent::ToolTip || !index.isValid())
        return false;
    const bool isElided = wantedWidth(index) > option.rect.width() - px(16);
    QToolTip::showText(event->globalPos(), isElided ? wholeText(index) : QString(), view);
    return true;
}

QRect CellDelegate::actionRect(const QStyleOptionViewItem& option, const QModelIndex& index) const
{
    const CellKind kind = kindOf(index);
    if (kind != CellKind::Action && kind != CellKind::Markup)
        return {};
    return actionBox(index, QRectF(option.rect).adjusted(px(8), 0, -px(8), -1)).toAlignedRect();
}

} // namespace desk
