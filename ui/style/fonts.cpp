// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/style/fonts.h"

#include <QApplication>
#include <QFontDatabase>
#include <QFontMetricsF>
#include <QGlyphRun>
#include <QHash>
#include <QList>

#include <array>
#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr std::size_t kFaceCount = static_cast<std::size_t>(Face::MonoSmall) + 1;

    struct FaceSpec
    {
        Face face;
        bool isMono;
        int pixels;
        QFont::Weight weight;
    };

    constexpr std::array<FaceSpec, kFaceCount> kFaceSpecs { {
        { Face::Body, false, 13, QFont::Normal },
        { Face::Medium, false, 13, QFont::Medium },
        { Face::Bold, false, 13, QFont::DemiBold },
        { Face::Second, false, 12, QFont::Normal },
        { Face::SecondMedium, false, 12, QFont::Medium },
        { Face::SecondBold, false, 12, QFont::DemiBold },
        { Face::Title, false, 15, QFont::DemiBold },
        { Face::Tile, false, 20, QFont::Medium },
        { Face::Badge, false, 11, QFont::Medium },
        { Face::BadgeLight, false, 11, QFont::Normal },
        { Face::Mono, true, 12, QFont::Normal },
        { Face::MonoBold, true, 12, QFont::DemiBold },
        { Face::MonoSmall, true, 11, QFont::Normal },
    } };

    struct FontState
    {
        std::array<FaceInfo, kFaceCount> faces;
        QHash<QPair<int, QString>, qreal> widths;
        QString family;
        qreal scale = 1;
    };

    FontState& fontState()
    {
        static FontState state;
        return state;
    }

    // The design's sizes hold for 10 pt. Bare X servers report 9 pt, which nobody chose, so nothing
    // gets smaller; a larger system font enlarges everything.
    qreal systemScale()
    {
        const QFont font = QFontDatabase::systemFont(QFontDatabase::GeneralFont);
        if (font.pointSizeF() > 0)
            return std::max(1.0, std::min(3.0, font.pointSizeF() / 10.0));
        if (font.pixelSize() > 0)
            return std::max(1.0, std::min(3.0, font.pixelSize() / 13.333));
        return 1.0;
    }

    QString chooseFamily(const QStringList& wanted)
    {
        for (const QString& family : wanted) {
            if (QFontDatabase::hasFamily(family) && !isCffFont(QFont(family)))
                return family;
        }
        return {};
    }

    QString chooseUiFamily()
    {
        const QString system = QFontDatabase::systemFont(QFontDatabase::GeneralFont).family();
        QStringList wanted { u"Inter"_s, u"Inter Variable"_s, u"Roboto"_s, u"Noto Sans"_s,
            u"DejaVu Sans"_s };
        // A desktop that names a real family was told so by its user; "Sans Serif" is no choice.
        if (!system.isEmpty() && !system.startsWith(u"Sans"_s))
            wanted.prepend(system);
        const QString family = chooseFamily(wanted);
        return family.isEmpty() ? system : family;
    }

    QString chooseMonoFamily()
    {
        const QString system = QFontDatabase::systemFont(QFontDatabase::FixedFont).family();
        QStringList wanted { u"JetBrains Mono"_s, u"DejaVu Sans Mono"_s, u"Liberation Mono"_s };
        if (!system.isEmpty() && !system.startsWith(u"Mono"_s, Qt::CaseInsensitive))
            wanted.prepend(system);
        const QString family = chooseFamily(wanted);
        return family.isEmpty() ? system : family;
    }

    FaceInfo makeFace(const FaceSpec& spec, const QString& ui, const QString& mono, qreal scale)
    {
        FaceInfo info;
        info.font = QFont(spec.isMono ? mono : ui);
        info.font.setPixelSize(qRound(spec.pixels * scale));
        info.font.setWeight(spec.weight);
        info.font.setHintingPreference(QFont::PreferNoHinting);
        if (spec.isMono)
            info.font.setStyleHint(QFont::Monospace);
        const QFontMetricsF metrics(info.font);
        info.ascent = metrics.ascent();
        info.descent = metrics.descent();
        const qreal zero = metrics.horizontalAdvance(u'0');
        for (char16_t digit = u'0'; digit <= u'9'; ++digit) {
            const qreal advance = metrics.horizontalAdvance(QChar(digit));
            info.digit = std::max(info.digit, advance);
            if (std::abs(advance - zero) > 0.01)
                info.isTabular = false;
        }
        info.raw = QRawFont::fromFont(info.font);
        return info;
    }

    bool isPlainDigit(QChar c)
    {
        return c >= u'0' && c <= u'9';
    }

} // namespace

void initFonts()
{
    FontState& state = fontState();
    state.scale = systemScale();
    state.family = chooseUiFamily();
    const QString mono = chooseMonoFamily();
    for (const FaceSpec& spec : kFaceSpecs)
        state.faces[static_cast<std::size_t>(spec.face)] =
            makeFace(spec, state.family, mono, state.scale);
    state.widths.clear();
    QApplication::setFont(fontOf(Face::Body));
}

const FaceInfo& face(Face which)
{
    return fontState().faces[static_cast<std::size_t>(which)];
}

QString uiFamily()
{
    return fontState().family;
}

bool isCffFont(const QFont& font)
{
    const QRawFont raw = QRawFont::fromFont(font);
    return raw.isValid() && (!raw.fontTable("CFF ").isEmpty() || !raw.fontTable("CFF2").isEmpty());
}

int px(int reference) noexcept
{
    return qRound(reference * fontState().scale);
}

qreal fontScale() noexcept
{
    return fontState().scale;
}

qreal textWidth(Face which, const QString& text)
{
    constexpr qsizetype kMaxCached = 8192;
    auto& widths = fontState().widths;
    const QPair<int, QString> key(static_cast<int>(which), text);
    if (const auto found = widths.constFind(key); found != widths.constEnd())
        return *found;
    if (widths.size() >= kMaxCached)
        widths.clear();
    const qreal width = QFontMetricsF(fontOf(which)).horizontalAdvance(text);
    widths.insert(key, width);
    return width;
}

qreal tabularWidth(Face which, const QString& text)
{
    const FaceInfo& info = face(which);
    if (info.isTabular)
        return textWidth(which, text);
    qreal width = 0;
    const auto advances = info.raw.advancesForGlyphIndexes(info.raw.glyphIndexesForString(text));
    for (qsizetype i = 0; i < advances.size() && i < text.size(); ++i)
        width += isPlainDigit(text[i]) ? info.digit : advances[i].x();
    return width;
}

void drawTabular(
    QPainter& painter, QPointF baseline, Face which, const QString& text, const QColor& color)
{
    const FaceInfo& info = face(which);
    painter.setPen(color);
    const QList<quint32> glyphs =
        info.isTabular ? QList<quint32>() : info.raw.glyphIndexesForString(text);
    // Signs the font lacks need the fallback fonts of drawText; so does text of surrogate pairs.
    if (info.isTabular || glyphs.size() != text.size() || glyphs.contains(0U)) {
        painter.setFont(info.font);
        painter.drawText(baseline, text);
        return;
    }
    const auto advances = info.raw.advancesForGlyphIndexes(glyphs);
    QList<QPointF> positions(glyphs.size());
    qreal x = 0;
    for (qsizetype i = 0; i < glyphs.size(); ++i) {
        const qreal advance = advances[i].x();
        const bool isDigit = isPlainDigit(text[i]);
        positions[i] = QPointF(isDigit ? x + (info.digit - advance) / 2 : x, 0);
        x += isDigit ? info.digit : advance;
    }
    QGlyphRun run;
    run.setRawFont(info.raw);
    run.setGlyphIndexes(glyphs);
    run.setPositions(positions);
    painter.drawGlyphRun(baseline, run);
}

qreal baselineIn(const QRectF& rect, Face which)
{
    const FaceInfo& info = face(which);
    return qRound(rect.center().y() + (info.ascent - info.descent) / 2);
}

void drawLine(QPainter& painter, const QRectF& rect, Face which, const QString& text,
    const QColor& color, Qt::Alignment alignment, Qt::TextElideMode elide)
{
    if (text.isEmpty() || rect.width() <= 0)
        return;
    QString shown = text;
    qreal width = textWidth(which, text);
    if (width > rect.width() + 0.5) {
        const QFontMetricsF metrics(fontOf(which));
        shown = metrics.elidedText(text, elide, rect.width());
        width = metrics.horizontalAdvance(shown);
    }
    qreal x = rect.left();
    if (alignment & Qt::AlignRight)
        x = rect.right() - width;
    else if (alignment & Qt::AlignHCenter)
        x = rect.left() + (rect.width() - width) / 2;
    painter.setFont(fontOf(which));
    painter.setPen(color);
    painter.drawText(QPointF(x, baselineIn(rect, which)), shown);
}

} // namespace desk
