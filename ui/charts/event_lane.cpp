// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/charts/event_lane.h"

#include "models/plot_math.h"
#include "ui/style/fonts.h"
#include "ui/style/glyphs.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>

#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr double kReach = 9;
    constexpr double kDragFrom = 4;

} // namespace

EventLane::EventLane(QWidget* parent)
    : QWidget(parent)
{
    setAttribute(Qt::WA_OpaquePaintEvent);
    setMouseTracking(true);
    setFocusPolicy(Qt::StrongFocus);
    setProperty("ownFocus", true);
    setAccessibleName(u"Events"_s);
}

void EventLane::setPlot(PlotDataPtr plot, const plot::Layout& layout)
{
    m_plot = std::move(plot);
    m_layout = layout;
    m_centers = m_plot ? plot::glyphCenters(*m_plot, layout) : std::vector<double>();
    if (m_current >= static_cast<int>(m_centers.size()))
        m_current = -1;
    setAccessibleDescription(m_plot ? u"%1 events"_s.arg(m_plot->events.size()) : QString());
    update();
}

void EventLane::setCrosshair(std::optional<double> x)
{
    if (x == m_crosshair)
        return;
    m_crosshair = x;
    update();
}

QPointF EventLane::centerOf(int event) const
{
    if (event < 0 || event >= static_cast<int>(m_centers.size()))
        return {};
    const double center = m_centers[static_cast<std::size_t>(event)];
    return std::isfinite(center) ? QPointF(center - x(), height() / 2.0) : QPointF();
}

const PlotEvent* EventLane::eventAt(QPointF position) const
{
    if (!m_plot)
        return nullptr;
    const PlotEvent* best = nullptr;
    double nearest = kReach * fontScale();
    for (std::size_t i = 0; i < m_centers.size(); ++i) {
        const double distance = std::abs(m_centers[i] - x() - position.x());
        if (distance <= nearest) { // the later one lies on top
            nearest = distance;
            best = &m_plot->events[i];
        }
    }
    return best;
}

double EventLane::xAt(double position) const
{
    const PlotMap map(m_layout.area, m_plot->x, m_plot->y);
    const double x0 = map.x(position + x());
    return std::clamp(x0, m_plot->x.min, m_plot->x.max);
}

void EventLane::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const Tokens& t = tokens();
    // The word lies left of the band, on the chart's own background.
    const double left = m_layout.lane.left() - x();
    const QRectF band(left, 0, m_layout.lane.width(), height());
    painter.fillRect(rect(), t.surface);
    painter.fillRect(band, t.surface2);
    drawLine(painter, QRectF(0, 0, left - px(6), height()), Face::Second, u"events"_s, t.text2,
        Qt::AlignRight);
    if (!m_plot)
        return;
    const PlotMap map(band, m_plot->x, PlotRange { 0, 1 });
    if (m_brush) {
        QColor fill = t.accent;
        fill.setAlphaF(0.22F);
        painter.fillRect(
            QRectF(QPointF(map.px(m_brush->min), 0), QPointF(map.px(m_brush->max), height())),
            fill);
    }
    for (std::size_t i = 0; i < m_centers.size(); ++i) {
        if (!std::isfinite(m_centers[i]))
            continue;
        const PlotEvent& event = m_plot->events[i];
        const Glyph glyph = glyphOf(event.kind);
        if (event.kind == PlotEventKind::Restart || event.kind == PlotEventKind::Alert) {
            QColor line = glyphColor(glyph);
            line.setAlphaF(0.55F);
            vline(painter, map.px(event.x), 0, height(), line);
        }
        const double center = m_centers[i] - x();
        if (hasFocus() && static_cast<int>(i) == m_current)
            roundBox(
                painter, QRectF(center - px(9), 1, px(18), height() - 2), 3, t.selection, t.accent);
        drawGlyph(painter, glyph,
            QRectF(center - px(13) / 2.0, (height() - px(13)) / 2.0, px(13), px(13)),
            glyphColor(glyph));
    }
    if (m_crosshair && m_plot->x.contains(*m_crosshair))
        vline(painter, map.px(*m_crosshair), 0, height(), t.crosshair);
}

void EventLane::mousePressEvent(QMouseEvent* event)
{
    m_isPressed = event->button() == Qt::LeftButton;
    m_isBrushing = false;
    m_press = event->position();
}

void EventLane::mouseMoveEvent(QMouseEvent* event)
{
    if (!m_plot)
        return;
    const PlotEvent* hovered = eventAt(event->position());
    setCursor(hovered ? Qt::PointingHandCursor : Qt::ArrowCursor);
    if (hovered)
        Q_EMIT eventHovered(*hovered);
    if (!m_isPressed)
        return;
    if (std::abs(event->position().x() - m_press.x()) >= kDragFrom)
        m_isBrushing = true;
    if (!m_isBrushing)
        return;
    const double a = xAt(m_press.x());
    const double b = xAt(event->position().x());
    m_brush = PlotRange { std::min(a, b), std::max(a, b) };
    update();
}

void EventLane::mouseReleaseEvent(QMouseEvent* event)
{
    if (!m_isPressed || !m_plot)
        return;
    m_isPressed = false;
    if (m_isBrushing) {
        m_isBrushing = false;
        if (m_brush && !m_brush->isEmpty())
            Q_EMIT rangeBrushed(*m_brush);
        return;
    }
    if (const PlotEvent* clicked = eventAt(event->position())) {
        setCurrent(static_cast<int>(clicked - m_plot->events.data()));
        Q_EMIT eventActivated(*clicked);
    } else if (m_brush) {
        m_brush.reset();
        update();
        Q_EMIT rangeBrushed(PlotRange());
    }
}

void EventLane::keyPressEvent(QKeyEvent* event)
{
    switch (event->key()) {
    case Qt::Key_Left:
        step(-1);
        return;
    case Qt::Key_Right:
        step(1);
        return;
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
        if (m_plot && m_current >= 0 && m_current < static_cast<int>(m_plot->events.size()))
            Q_EMIT eventActivated(m_plot->events[static_cast<std::size_t>(m_current)]);
        return;
    case Qt::Key_Escape:
        if (m_brush) {
            m_brush.reset();
            update();
            Q_EMIT rangeBrushed(PlotRange());
            return;
        }
        break;
    default:
        break;
    }
    QWidget::keyPressEvent(event);
}

void EventLane::focusInEvent(QFocusEvent* event)
{
    QWidget::focusInEvent(event);
    if (m_current < 0)
        step(1);
}

void EventLane::setCurrent(int event)
{
    m_current = event;
    if (m_plot && event >= 0 && event < static_cast<int>(m_plot->events.size())) {
        const PlotEvent& chosen = m_plot->events[static_cast<std::size_t>(event)];
        setAccessibleDescription(chosen.text);
        Q_EMIT eventHovered(chosen);
    }
    update();
}

void EventLane::step(int direction)
{
    const int count = static_cast<int>(m_centers.size());
    for (int i = m_current + direction; i >= 0 && i < count; i += direction) {
        if (std::isfinite(m_centers[static_cast<std::size_t>(i)])) {
            setCurrent(i);
            return;
        }
    }
}

} // namespace desk
