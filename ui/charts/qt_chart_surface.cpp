// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/charts/qt_chart_surface.h"

#include "ui/charts/event_lane.h"
#include "ui/charts/plot_view.h"
#include "ui/style/tokens.h"

#include <QAccessible>
#include <QAccessibleWidget>
#include <QPainter>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    // A graphics view is a mere client area to screen readers; this one is a chart with a name.
    QAccessibleInterface* makeChartInterface(const QString& key, QObject* object)
    {
        if (key != u"desk::PlotView"_s || !object || !object->isWidgetType())
            return nullptr;
        return new QAccessibleWidget(static_cast<QWidget*>(object), QAccessible::Chart);
    }

} // namespace

QtChartSurface::QtChartSurface(QWidget* parent)
    : IPlotSurface(parent)
    , m_view(new PlotView(parent))
{
    static const bool isInstalled = [] {
        QAccessible::installFactory(makeChartInterface);
        return true;
    }();
    Q_UNUSED(isInstalled)
    connect(m_view, &PlotView::columnsChanged, this, &IPlotSurface::columnsChanged);
    connect(m_view, &PlotView::hovered, this, &IPlotSurface::hovered);
    connect(m_view, &PlotView::clicked, this, &IPlotSurface::clicked);
    connect(m_view, &PlotView::xZoomRequested, this, &IPlotSurface::xZoomRequested);
    connect(m_view, &PlotView::boxZoomRequested, this, &IPlotSurface::boxZoomRequested);
    connect(m_view, &PlotView::wheelZoomRequested, this, &IPlotSurface::wheelZoomRequested);
    connect(m_view, &PlotView::yZoomRequested, this, &IPlotSurface::yZoomRequested);
    connect(m_view, &PlotView::panStarted, this, &IPlotSurface::panStarted);
    connect(m_view, &PlotView::panRequested, this, &IPlotSurface::panRequested);
    connect(m_view, &PlotView::fitRequested, this, &IPlotSurface::fitRequested);
    EventLane* lane = m_view->lane();
    connect(lane, &EventLane::eventActivated, this, &IPlotSurface::eventActivated);
    connect(lane, &EventLane::rangeBrushed, this, &IPlotSurface::rangeBrushed);
    connect(lane, &EventLane::eventHovered, this,
        [this](const PlotEvent& event) { Q_EMIT hovered(event.x); });
}

QtChartSurface::~QtChartSurface() = default;

QWidget* QtChartSurface::widget()
{
    return m_view;
}

void QtChartSurface::setPlot(PlotDataPtr plot)
{
    m_view->setPlot(std::move(plot));
}

PlotDataPtr QtChartSurface::plot() const
{
    return m_view->plot();
}

void QtChartSurface::setParts(const PlotParts& parts)
{
    m_view->setParts(parts);
}

void QtChartSurface::setCrosshair(std::optional<double> x)
{
    m_view->setCrosshair(x);
}

int QtChartSurface::wantedGutter() const
{
    return plot::wantedGutter(*m_view->plot(), m_view->layoutNow().area.height());
}

int QtChartSurface::wantedEndRoom() const
{
    return plot::wantedEndRoom(*m_view->plot());
}

QRectF QtChartSurface::plotArea() const
{
    return m_view->layoutNow().area;
}

int QtChartSurface::columns() const
{
    return m_view->columns();
}

void QtChartSurface::print(QPainter& painter, const QRectF& target)
{
    const Tokens theme = tokens();
    setTokens(lightTokens()); // paper is white whatever the window is
    m_view->restyle();
    const QRect source = m_view->viewport()->rect();
    m_view->render(&painter, target, source);
    if (EventLane* lane = m_view->lane(); !lane->isHidden()) { // a widget, no part of the scene
        painter.save();
        painter.translate(target.topLeft());
        painter.scale(target.width() / source.width(), target.height() / source.height());
        lane->render(&painter, lane->pos());
        painter.restore();
    }
    setTokens(theme);
    m_view->restyle();
}

} // namespace desk
