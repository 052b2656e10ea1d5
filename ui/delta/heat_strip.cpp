// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/delta/heat_strip.h"

#include "ui/style/fonts.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    constexpr int kLabelWidth = 88; // of "attention", right-aligned, plus its gap
    constexpr int kLaneHeight = 20;
    constexpr int kFooterHeight = 22;
    constexpr int kWholeCell = 38; // embed, norm, head
    constexpr int kWidestCell = 44;

} // namespace

HeatStrip::HeatStrip(QWidget* parent)
    : QWidget(parent)
{
    setObjectName(u"verifyPage.heatStrip"_s);
    setAccessibleName(tr("Changed elements by layer"));
    setFocusPolicy(Qt::StrongFocus);
}

void HeatStrip::setMap(HeatMap map)
{
    m_map = std::move(map);
    m_currentRow = -1;
    setAccessibleDescription(tr("%1 layers, at most %2 % of a part changed")
                                 .arg(m_map.layers())
                                 .arg(m_map.largest * 100, 0, 'f', 2));
    update();
}

void HeatStrip::setCurrentRow(int tensorRow)
{
    m_currentRow = tensorRow;
    update();
}

QSize HeatStrip::sizeHint() const
{
    return { px(700), px(3 * kLaneHeight + kFooterHeight) };
}

QSize HeatStrip::minimumSizeHint() const
{
    return { px(320), px(3 * kLaneHeight + kFooterHeight) };
}

qreal HeatStrip::cellWidth() const
{
    const qreal room = width() - px(kLabelWidth) - 4 * px(kWholeCell + 4);
    return std::clamp(room / std::max(1, m_map.layers()), 2.0, qreal(px(kWidestCell)));
}

std::vector<HeatStrip::Placed> HeatStrip::place() const
{
    std::vector<Placed> cells;
    const qreal step = cellWidth();
    const qreal lane = px(kLaneHeight);
    const HeatMap::Lane* lanes[] = { &m_map.attention, &m_map.mlp, &m_map.norms };
    for (int y = 0; y < 3; ++y)
        for (int layer = 0; layer < m_map.layers(); ++layer)
            if (const auto& cell = (*lanes[y])[std::size_t(layer)])
                cells.push_back({ QRectF(px(kLabelWidth) + layer * step, y * lane,
                                      step - (step > 6 ? 1 : 0), lane - 1),
                    &*cell });
    qreal x = px(kLabelWidth) + m_map.layers() * step + px(16);
    for (const auto* whole : { &m_map.embedding, &m_map.finalNorm, &m_map.head, &m_map.others }) {
        if (*whole)
            cells.push_back({ QRectF(x, 0, px(kWholeCell), 3 * lane - 1), &**whole });
        if (whole != &m_map.others || *whole)
            x += px(kWholeCell + 4);
    }
    return cells;
}

QColor HeatStrip::colorOf(const HeatMap::Cell& cell) const
{
    const auto& heat = tokens().heat;
    if (cell.changed == 0 || m_map.largest <= 0)
        return heat[0];
    const int level = 1 + int(cell.fraction() / m_map.largest * 4.999);
    return heat[std::size_t(std::clamp(level, 1, 5))];
}

void HeatStrip::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const auto& token = tokens();
    const qreal lane = px(kLaneHeight);
    const QString names[] = { tr("attention"), tr("mlp"), tr("norms") };
    for (int y = 0; y < 3; ++y)
        drawLine(painter, QRectF(0, y * lane, px(kLabelWidth) - px(10), lane), Face::Second,
            names[y], token.text2, Qt::AlignRight);
    for (const auto& [rect, cell] : place()) {
        painter.fillRect(rect, colorOf(*cell));
        if (std::find(cell->rows.begin(), cell->rows.end(), m_currentRow) != cell->rows.end())
            roundBox(painter, rect, 0, {}, token.text);
    }
    const QRectF footer(0, 3 * lane, width(), px(kFooterHeight));
    drawLine(painter, QRectF(0, footer.top(), px(kLabelWidth) - px(10), footer.height()),
        Face::Second, tr("layer"), token.text2, Qt::AlignRight);
    const qreal step = cellWidth();
    const int every = std::max(1, int(std::ceil(px(24) / step / 5.0)) * (step < px(24) ? 5 : 1));
    for (int layer = 0; layer < m_map.layers(); layer += every)
        drawLine(painter,
            QRectF(px(kLabelWidth) + layer * step - px(10), footer.top(), step + px(20),
                footer.height()),
            Face::Second, QString::number(layer), token.text2, Qt::AlignHCenter);
    qreal x = px(kLabelWidth) + m_map.layers() * step + px(16);
    const std::pair<const std::optional<HeatMap::Cell>*, QString> wholes[] = {
        { &m_map.embedding, tr("embed") }, { &m_map.finalNorm, tr("norm") },
        { &m_map.head, tr("head") }, { &m_map.others, tr("other") }
    };
    for (const auto& [cell, name] : wholes) {
        if (*cell)
            drawLine(painter, QRectF(x - px(6), footer.top(), px(kWholeCell + 12), footer.height()),
                Face::Second, name, token.text2, Qt::AlignHCenter);
        x += px(kWholeCell + 4);
    }
    if (hasFocus())
        roundBox(painter, QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5), 3, {}, token.accent);
}

void HeatStrip::mousePressEvent(QMouseEvent* event)
{
    for (const auto& [rect, cell] : place()) {
        if (rect.contains(event->position()) && !cell->rows.empty()) {
            setCurrentRow(cell->rows.front());
            Q_EMIT rowActivated(m_currentRow);
            return;
        }
    }
}

void HeatStrip::step(int by)
{
    const auto cells = place();
    if (cells.empty())
        return;
    int at = by > 0 ? -1 : 0;
    for (int i = 0; i < int(cells.size()); ++i) {
        const auto& rows = cells[std::size_t(i)].cell->rows;
        if (std::find(rows.begin(), rows.end(), m_currentRow) != rows.end())
            at = i;
    }
    at = std::clamp(at + by, 0, int(cells.size()) - 1);
    setCurrentRow(cells[std::size_t(at)].cell->rows.front());
    Q_EMIT rowActivated(m_currentRow);
}

void HeatStrip::keyPressEvent(QKeyEvent* event)
{
    const int lane = std::max(1, m_map.layers());
    switch (event->key()) {
    case Qt::Key_Left:
        step(-1);
        return;
    case Qt::Key_Right:
        step(1);
        return;
    case Qt::Key_Up:
        step(-lane);
        return;
    case Qt::Key_Down:
        step(lane);
        return;
    default:
        QWidget::keyPressEvent(event);
    }
}

} // namespace desk
