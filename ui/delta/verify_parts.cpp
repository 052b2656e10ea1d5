// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/delta/verify_parts.h"

#include "ui/style/fonts.h"
#include "ui/style/glyphs.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QPainter>

#include <algorithm>
#include <cmath>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    constexpr int kTermHeight = 40;
    constexpr int kWidestTerm = 190;
    constexpr int kNarrowestTerm = 120;
    constexpr int kProofWidth = 236;
    constexpr int kJoinWidth = 30;
    constexpr int kBarRow = 22;
    // Bars run from 0.1 to 1,000 GB/s: four decades.
    constexpr double kSlowest = 1e8;
    constexpr double kDecades = 4;

} // namespace

EquationStrip::EquationStrip(QWidget* parent)
    : QWidget(parent)
{
    setObjectName(u"verifyPage.equation"_s);
}

void EquationStrip::setTerms(std::vector<VerifyTerm> terms, const QString& proof, bool isProven)
{
    m_terms = std::move(terms);
    m_proof = proof;
    m_isProven = isProven;
    QStringList words;
    for (const auto& term : m_terms)
        words << term.title;
    setAccessibleName(words.join(u", "_s) + u". "_s + proof);
    updateGeometry();
    update();
}

QSize EquationStrip::sizeHint() const
{
    return { px(600), px(kTermHeight) };
}

QSize EquationStrip::minimumSizeHint() const
{
    return { px(300), px(kTermHeight) };
}

void EquationStrip::paintTerm(QPainter& painter, const QRectF& box, const VerifyTerm& term)
{
    const auto& token = tokens();
    roundBox(painter, box, 4, token.surface, token.border);
    const bool isDelta = term.shape == VerifyTerm::Shape::Delta;
    const qreal size = px(10);
    drawGlyph(painter, isDelta ? Glyph::Ring : Glyph::Square,
        QRectF(box.left() + px(9), box.top() + px(8), size, size), token.text);
    const QRectF text = box.adjusted(px(25), px(3), -px(6), 0);
    drawLine(painter, QRectF(text.left(), text.top(), text.width(), px(18)), Face::SecondBold,
        term.title, token.text, Qt::AlignLeft, Qt::ElideMiddle);
    drawLine(painter, QRectF(box.left() + px(9), text.top() + px(18), box.width() - px(15), px(16)),
        Face::BadgeLight, term.detail, token.text2);
}

void EquationStrip::paintEvent(QPaintEvent*)
{
    if (m_terms.empty())
        return;
    QPainter painter(this);
    const auto& token = tokens();
    // A long chain shows its ends and counts what lies between.
    std::vector<const VerifyTerm*> shown;
    const qreal room = width() - px(kProofWidth);
    const int count = int(m_terms.size());
    const qreal term =
        std::clamp<qreal>(room / count - px(kJoinWidth), px(kNarrowestTerm), px(kWidestTerm));
    const int fits = std::max(2, int(room / (term + px(kJoinWidth))));
    const int hidden = count > fits ? count - fits : 0;
    for (int i = 0; i < count; ++i)
        if (hidden == 0 || i == 0 || i > hidden)
            shown.push_back(&m_terms[std::size_t(i)]);
    qreal x = 0;
    for (std::size_t i = 0; i < shown.size(); ++i) {
        if (i > 0) {
            QString join = shown[i]->shape == VerifyTerm::Shape::Target ? u"="_s : u"⊕"_s;
            if (i == 1 && hidden > 0)
                join = u"⊕ %1 ⊕"_s.arg(hidden);
            const qreal gap = px(kJoinWidth) * (join.size() > 1 ? 2 : 1);
            drawLine(painter, QRectF(x, 0, gap, px(kTermHeight)), Face::Body, join, token.text2,
                Qt::AlignHCenter);
            x += gap;
        }
        paintTerm(painter, QRectF(x, 0.5, term, px(kTermHeight) - 1), *shown[i]);
        x += term;
    }
    const Glyph glyph = m_isProven ? Glyph::Good : Glyph::None;
    drawGlyph(painter, glyph, QRectF(x + px(16), px(13), px(14), px(14)), glyphColor(glyph));
    drawLine(painter, QRectF(x + px(36), 0, width() - x - px(36), px(kTermHeight)), Face::Body,
        m_proof, token.text);
}

ThroughputBars::ThroughputBars(QWidget* parent)
    : QWidget(parent)
{
    setObjectName(u"verifyPage.throughput"_s);
}

void ThroughputBars::setStages(std::vector<VerifyModel::StageBar> stages)
{
    m_stages = std::move(stages);
    QStringList words;
    for (const auto& stage : m_stages)
        words << tr("%1 %2 gigabytes a second%3")
                     .arg(stage.name)
                     .arg(stage.bytesPerSecond / 1e9, 0, 'f', 2)
                     .arg(stage.isLimit ? tr(", the limit") : QString());
    setAccessibleName(words.join(u"; "_s));
    updateGeometry();
    update();
}

QSize ThroughputBars::sizeHint() const
{
    return { px(520), px(kBarRow) * int(std::max<std::size_t>(1, m_stages.size())) };
}

void ThroughputBars::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const auto& token = tokens();
    const qreal nameWidth = px(150);
    const qreal detailWidth = px(90);
    const qreal valueWidth = px(90);
    const qreal limitWidth = px(70);
    const qreal left = nameWidth + detailWidth;
    const qreal room = std::max<qreal>(px(60), width() - left - valueWidth - limitWidth);
    for (std::size_t i = 0; i < m_stages.size(); ++i) {
        const auto& stage = m_stages[i];
        const qreal y = qreal(i) * px(kBarRow);
        const Face face = stage.isLimit ? Face::Medium : Face::Body;
        drawLine(painter, QRectF(0, y, nameWidth, px(kBarRow)), face, stage.name, token.text);
        drawLine(painter, QRectF(nameWidth, y, detailWidth, px(kBarRow)), Face::Second,
            stage.detail, token.text2);
        const QRectF track(left, y + px(7), room, px(8));
        painter.fillRect(track, token.surface2);
        const double share = std::clamp(
            std::log10(std::max(stage.bytesPerSecond, kSlowest) / kSlowest) / kDecades, 0.01, 1.0);
        painter.fillRect(QRectF(track.left(), track.top(), track.width() * share, track.height()),
            stage.isLimit ? token.accent : token.crosshair);
        drawLine(painter, QRectF(left + room, y, valueWidth - px(6), px(kBarRow)), face,
            tr("%1 GB/s").arg(stage.bytesPerSecond / 1e9, 0, 'f', 2), token.text, Qt::AlignRight);
        if (stage.isLimit) {
            const QRectF pill(left + room + valueWidth, y + px(2), px(60), px(18));
            roundBox(painter, pill, 3, token.running.tint, {});
            drawLine(
                painter, pill, Face::Badge, tr("the limit"), token.running.ink, Qt::AlignHCenter);
        }
    }
}

} // namespace desk
