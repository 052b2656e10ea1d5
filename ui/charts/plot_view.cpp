// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/charts/plot_view.h"

#include "models/plot_math.h"
#include "ui/charts/event_lane.h"
#include "ui/style/fonts.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QChart>
#include <QGraphicsLayout>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QTimer>
#include <QValueAxis>
#include <QWheelEvent>

#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr double kDragThreshold = 4;

    PlotRange axisRange(const PlotRange& range, bool isLog)
    {
        if (!isLog)
            return range.isEmpty() ? PlotRange { range.min - 0.5, range.min + 0.5 } : range;
        const double low = range.min > 0 ? range.min : 1e-12;
        return { std::log10(low), std::log10(std::max(range.max, low * 1.0001)) };
    }

    // Grid lines at our ticks: dynamic ticks of a value axis need an anchor and an interval.
    void applyTicks(QValueAxis& axis, const std::vector<Tick>& ticks, bool isLog)
    {
        if (ticks.empty()) {
            axis.setTickType(QValueAxis::TicksFixed);
            axis.setTickCount(2);
            return;
        }
        const auto at = [isLog](const Tick& tick) {
            return isLog ? std::log10(tick.value) : tick.value;
        };
        const double first = at(ticks.front());
        const double interval = ticks.size() > 1 ? at(ticks[1]) - first
                                                 : std::max(1e-12, (axis.max() - axis.min()) * 2);
        axis.setTickType(QValueAxis::TicksDynamic);
        axis.setTickAnchor(first);
        axis.setTickInterval(interval);
    }

} // namespace

// Everything that changes only with the data; cached in device coordinates.
class PlotView::DataItem final : public QGraphicsItem
{
public:
    DataItem(QGraphicsItem* parent, const PlotView& view)
        : QGraphicsItem(parent)
        , m_view(view)
    {
        setZValue(20);
        setCacheMode(QGraphicsItem::DeviceCoordinateCache);
        setAcceptedMouseButtons(Qt::NoButton);
    }
    QRectF boundingRect() const override { return m_view.m_layout.whole; }
    void refresh()
    {
        prepareGeometryChange();
        update();
    }
    void paint(QPainter* painter, const QStyleOptionGraphicsItem*, QWidget*) override
    {
        const PlotData& data = *m_view.m_plot;
        const plot::Layout& layout = m_view.m_layout;
        plot::paintHead(*painter, data, m_view.m_parts, layout);
        plot::paintEmpty(*painter, data, layout);
        if (data.tracks.empty())
            return;
        plot::paintYLabels(*painter, data, layout);
        plot::paintCurves(*painter, data, layout);
        plot::paintMarks(*painter, data, layout);
        plot::paintEndLabels(*painter, data, layout);
    }

private:
    const PlotView& m_view;
};

// Tick labels of the x axis; they make way for the chip.
class PlotView::AxisItem final : public QGraphicsItem
{
public:
    AxisItem(QGraphicsItem* parent, const PlotView& view)
        : QGraphicsItem(parent)
        , m_view(view)
    {
        setZValue(21);
        setAcceptedMouseButtons(Qt::NoButton);
    }
    QRectF boundingRect() const override
    {
        const QRectF& labels = m_view.m_layout.xLabels;
        return labels.isNull()
            ? QRectF()
            : labels.adjusted(0, m_view.m_layout.area.bottom() - labels.top(), 0, 0);
    }
    void refresh()
    {
        prepareGeometryChange();
        update();
    }
    void paint(QPainter* painter, const QStyleOptionGraphicsItem*, QWidget*) override
    {
        if (!m_view.m_plot->tracks.empty())
            plot::paintXLabels(*painter, *m_view.m_plot, m_view.m_layout, m_view.m_crosshair);
    }

private:
    const PlotView& m_view;
};

class PlotView::CrosshairItem final : public QGraphicsItem
{
public:
    CrosshairItem(QGraphicsItem* parent, const PlotView& view)
        : QGraphicsItem(parent)
        , m_view(view)
    {
        setZValue(30);
        setAcceptedMouseButtons(Qt::NoButton);
    }
    QRectF boundingRect() const override
    {
        if (!m_view.m_crosshair || !m_view.m_plot->x.contains(*m_view.m_crosshair))
            return {};
        return plot::crosshairBounds(*m_view.m_plot, m_view.m_layout, *m_view.m_crosshair);
    }
    void beforeMove() { prepareGeometryChange(); }
    void paint(QPainter* painter, const QStyleOptionGraphicsItem*, QWidget*) override
    {
        if (m_view.m_crosshair)
            plot::paintCrosshair(*painter, *m_view.m_plot, m_view.m_layout, *m_view.m_crosshair);
    }

private:
    const PlotView& m_view;
};

// The range that a drag would zoom to.
class PlotView::BandItem final : public QGraphicsItem
{
public:
    explicit BandItem(QGraphicsItem* parent)
        : QGraphicsItem(parent)
    {
        setZValue(40);
        setAcceptedMouseButtons(Qt::NoButton);
    }
    QRectF boundingRect() const override { return m_rect.adjusted(-1, -1, 1, 1); }
    void setRect(const QRectF& rect)
    {
        prepareGeometryChange();
        m_rect = rect;
        update();
    }
    void paint(QPainter* painter, const QStyleOptionGraphicsItem*, QWidget*) override
    {
        if (m_rect.isNull())
            return;
        QColor fill = tokens().accent;
        fill.setAlphaF(0.14F);
        painter->fillRect(m_rect, fill);
        vline(*painter, m_rect.left(), m_rect.top(), m_rect.bottom(), tokens().accent);
        vline(*painter, m_rect.right(), m_rect.top(), m_rect.bottom(), tokens().accent);
    }

private:
    QRectF m_rect;
};

PlotView::PlotView(QWidget* parent)
    : QChartView(parent)
    , m_plot(std::make_shared<PlotData>())
{
    setFrameShape(QFrame::NoFrame);
    setMouseTracking(true);
    viewport()->setMouseTracking(true);
    setFocusPolicy(Qt::StrongFocus);
    setMinimumSize(px(160), px(110));
    setCacheMode(QGraphicsView::CacheBackground);
    setViewportUpdateMode(QGraphicsView::MinimalViewportUpdate);
    setRenderHint(QPainter::Antialiasing, false);
    QChart* frame = chart();
    frame->setBackgroundVisible(false);
    frame->setBackgroundRoundness(0);
    frame->setDropShadowEnabled(false);
    frame->setMargins(QMargins());
    frame->layout()->setContentsMargins(0, 0, 0, 0);
    frame->legend()->hide();
    frame->setAnimationOptions(QChart::NoAnimation);
    m_xAxis = new QValueAxis(frame);
    m_yAxis = new QValueAxis(frame);
    frame->addAxis(m_xAxis, Qt::AlignBottom);
    frame->addAxis(m_yAxis, Qt::AlignLeft);
    for (QValueAxis* axis : { m_xAxis, m_yAxis }) {
        axis->setLabelsVisible(false);
        axis->setTitleVisible(false);
        axis->setMinorGridLineVisible(false);
    }
    m_data = new DataItem(frame, *this);
    m_labels = new AxisItem(frame, *this);
    m_cross = new CrosshairItem(frame, *this);
    m_band = new BandItem(frame);
    m_lane = new EventLane(this);
    restyle();
}

PlotView::~PlotView() = default;

void PlotView::restyle()
{
    const Tokens& t = tokens();
    setBackgroundBrush(t.surface);
    for (QValueAxis* axis : { m_xAxis, m_yAxis }) {
        axis->setGridLinePen(QPen(t.grid, 0));
        axis->setLinePen(QPen(t.hairline, 0));
    }
    resetCachedContent();
    m_data->refresh();
    m_labels->refresh();
}

void PlotView::setPlot(PlotDataPtr plot)
{
    if (!plot || plot == m_plot)
        return;
    m_cross->beforeMove();
    m_plot = std::move(plot);
    place();
    describe();
}

void PlotView::setParts(const PlotParts& parts)
{
    const bool hasMark = m_parts.hasFocusMark;
    PlotParts wanted = parts;
    wanted.hasFocusMark = hasMark;
    if (wanted == m_parts)
        return;
    m_parts = wanted;
    place();
}

void PlotView::setCrosshair(std::optional<double> x)
{
    if (x == m_crosshair)
        return;
    m_cross->beforeMove();
    m_crosshair = x;
    m_cross->update();
    if (!m_layout.xLabels.isNull())
        m_labels->update();
    if (m_parts.hasEventLane)
        m_lane->setCrosshair(x);
}

int PlotView::columns() const
{
    return std::max(1, static_cast<int>(m_layout.area.width() * devicePixelRatioF()));
}

void PlotView::place()
{
    m_cross->beforeMove();
    m_layout = plot::layoutOf(viewport()->size(), *m_plot, m_parts);
    applyAxes();
    chart()->setPlotArea(m_layout.area);
    if (m_placedArea != m_layout.area) {
        // Axes keep the plot area of the last layout pass unless there is another one.
        m_placedArea = m_layout.area;
        chart()->layout()->invalidate();
        chart()->layout()->activate();
    }
    m_lane->setVisible(m_parts.hasEventLane);
    if (m_parts.hasEventLane) {
        m_lane->setGeometry(0, qRound(m_layout.lane.top()), qRound(m_layout.lane.right()),
            qRound(m_layout.lane.height()));
        m_lane->setPlot(m_plot, m_layout);
    }
    m_data->refresh();
    m_labels->refresh();
    m_cross->update();
    if (const int now = columns(); now != m_columns) {
        m_columns = now;
        Q_EMIT columnsChanged(now);
    }
}

void PlotView::applyAxes()
{
    const PlotData& drawn = *m_plot;
    const bool hasData = !drawn.tracks.empty() && !drawn.x.isEmpty();
    for (QValueAxis* axis : { m_xAxis, m_yAxis }) {
        axis->setGridLineVisible(hasData);
        axis->setLineVisible(hasData);
    }
    if (!hasData)
        return;
    const PlotRange y = axisRange(drawn.y, drawn.isLogY);
    m_xAxis->setRange(drawn.x.min, drawn.x.max);
    m_yAxis->setRange(y.min, y.max);
    applyTicks(
        *m_xAxis, xTicks(drawn.x, drawn.xKind, plot::maxXTicks(m_layout.area.width())), false);
    const int count = plot::maxYTicks(m_layout.area.height());
    applyTicks(*m_yAxis,
        drawn.isLogY ? logTicks(drawn.y, count) : linearTicks(drawn.y, count, drawn.yScale),
        drawn.isLogY);
}

void PlotView::describe()
{
    setAccessibleName(m_plot->title);
    QString text = m_plot->subtitle;
    if (!m_plot->isReported)
        text = u"not reported by this job"_s;
    for (const PlotTrack& track : m_plot->tracks) {
        if (std::isfinite(track.last))
            text += u"; "_s + (track.label.isEmpty() ? track.metric : track.label) + u' '
                + formatValue(track.last);
    }
    setAccessibleDescription(text);
}

double PlotView::xAt(QPointF position) const
{
    const PlotMap map(m_layout.area, m_plot->x, m_plot->y, m_plot->isLogY);
    return std::clamp(map.x(position.x()), m_plot->x.min, m_plot->x.max);
}

void PlotView::resizeEvent(QResizeEvent* event)
{
    QChartView::resizeEvent(event);
    place();
    // The chart lays itself out once more after this event and would keep its own plot area.
    m_placedArea = QRectF();
    QTimer::singleShot(0, this, [this] {
        m_placedArea = QRectF();
        place();
    });
}

void PlotView::changeEvent(QEvent* event)
{
    if (event->type() == QEvent::PaletteChange && m_data)
        restyle();
    QChartView::changeEvent(event);
}

void PlotView::mousePressEvent(QMouseEvent* event)
{
    if (!m_layout.area.contains(event->position()))
        return;
    m_press = event->position();
    m_last = m_press;
    const bool pans = event->button() == Qt::MiddleButton
        || (event->button() == Qt::LeftButton && event->modifiers() & Qt::ControlModifier);
    if (pans) {
        m_drag = Drag::Pan;
        setCursor(Qt::ClosedHandCursor);
        Q_EMIT panStarted();
    } else if (event->button() == Qt::LeftButton) {
        m_drag = Drag::Pressed;
    }
}

void PlotView::mouseMoveEvent(QMouseEvent* event)
{
    const QPointF position = event->position();
    if (m_drag == Drag::Pan) {
        const double delta = xAt(m_last) - xAt(position);
        m_last = position;
        if (delta != 0)
            Q_EMIT panRequested(delta);
        return;
    }
    if (m_drag == Drag::Pressed && (position - m_press).manhattanLength() >= kDragThreshold)
        m_drag = event->modifiers() & Qt::ShiftModifier ? Drag::Box : Drag::Zoom;
    if (m_drag == Drag::Zoom || m_drag == Drag::Box)
        updateBand(position);
    const QRectF& area = m_layout.area;
    const bool isInside = position.x() >= area.left() && position.x() <= area.right();
    Q_EMIT hovered(isInside && !m_plot->tracks.empty() ? xAt(position)
                                                       : std::numeric_limits<double>::quiet_NaN());
}

void PlotView::updateBand(QPointF to)
{
    const QRectF& area = m_layout.area;
    QRectF band = QRectF(m_press, to).normalized();
    if (m_drag == Drag::Zoom) {
        band.setTop(area.top());
        band.setBottom(area.bottom());
    }
    m_band->setRect(band.intersected(area));
}

void PlotView::finishZoom(QPointF to)
{
    const PlotMap map(m_layout.area, m_plot->x, m_plot->y, m_plot->isLogY);
    const double a = xAt(m_press);
    const double b = xAt(to);
    const PlotRange x { std::min(a, b), std::max(a, b) };
    if (x.isEmpty())
        return;
    if (m_drag == Drag::Zoom) {
        Q_EMIT xZoomRequested(x);
        return;
    }
    const double top =
        std::clamp(std::min(m_press.y(), to.y()), m_layout.area.top(), m_layout.area.bottom());
    const double bottom =
        std::clamp(std::max(m_press.y(), to.y()), m_layout.area.top(), m_layout.area.bottom());
    const PlotRange y { map.y(bottom), map.y(top) };
    if (!y.isEmpty())
        Q_EMIT boxZoomRequested(x, y);
}

void PlotView::mouseReleaseEvent(QMouseEvent* event)
{
    const Drag drag = m_drag;
    m_band->setRect({});
    unsetCursor();
    if (drag == Drag::Zoom || drag == Drag::Box)
        finishZoom(event->position());
    else if (drag == Drag::Pressed)
        Q_EMIT clicked(xAt(event->position()));
    m_drag = Drag::None;
}

void PlotView::mouseDoubleClickEvent(QMouseEvent* event)
{
    m_drag = Drag::None;
    if (event->button() == Qt::LeftButton)
        Q_EMIT fitRequested();
}

void PlotView::wheelEvent(QWheelEvent* event)
{
    const double notches = event->angleDelta().y() / 120.0;
    event->accept();
    if (notches == 0 || !m_layout.area.contains(event->position()))
        return;
    const double factor = std::pow(0.8, notches);
    const PlotMap map(m_layout.area, m_plot->x, m_plot->y, m_plot->isLogY);
    if (event->modifiers() & Qt::ControlModifier)
        Q_EMIT yZoomRequested(factor, map.y(event->position().y()));
    else
        Q_EMIT wheelZoomRequested(factor, xAt(event->position()));
}

void PlotView::leaveEvent(QEvent* event)
{
    QChartView::leaveEvent(event);
    Q_EMIT hovered(std::numeric_limits<double>::quiet_NaN());
}

void PlotView::keyPressEvent(QKeyEvent* event)
{
    // QGraphicsView would scroll on arrows; keys are the business of the chart area around.
    event->ignore();
}

void PlotView::focusInEvent(QFocusEvent* event)
{
    QChartView::focusInEvent(event);
    m_parts.hasFocusMark = event->reason() != Qt::MouseFocusReason;
    m_data->refresh();
}

void PlotView::focusOutEvent(QFocusEvent* event)
{
    QChartView::focusOutEvent(event);
    m_parts.hasFocusMark = false;
    m_data->refresh();
}

} // namespace desk
