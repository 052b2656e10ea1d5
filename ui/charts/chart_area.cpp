// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/charts/chart_area.h"

#include "models/chart_model.h"
#include "models/plot_math.h"
#include "ui/charts/chart_bar.h"
#include "ui/charts/event_lane.h"
#include "ui/charts/plot_view.h"
#include "ui/charts/qt_chart_surface.h"
#include "ui/charts/readout_strip.h"
#include "ui/style/fonts.h"
#include "ui/style/tokens.h"
#include "ui/widgets/span_label.h"

#include <QClipboard>
#include <QGridLayout>
#include <QGuiApplication>
#include <QKeyEvent>
#include <QPainter>
#include <QVBoxLayout>

#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

struct ChartArea::Private
{
    ChartBar* bar = nullptr;
    QWidget* page = nullptr;
    QGridLayout* grid = nullptr;
    SpanLabel* empty = nullptr;
    std::vector<QtChartSurface*> surfaces; // children of this widget
    QString emptyText;
    double cursor = std::numeric_limits<double>::quiet_NaN();
    bool isDemo = false;
};

ChartArea::ChartArea(ChartModel& model, QWidget* parent)
    : QWidget(parent)
    , m_model(model)
    , d(std::make_unique<Private>())
{
    setObjectName(u"chartArea"_s);
    setAccessibleName(u"Charts"_s);
    d->bar = new ChartBar(model, this);
    d->page = new QWidget(this);
    d->grid = new QGridLayout(d->page);
    d->grid->setContentsMargins(0, 0, 0, 0);
    d->grid->setSpacing(0);
    d->empty = new SpanLabel({}, Face::Second, Tone::Secondary, d->page);
    d->empty->setAlignment(Qt::AlignHCenter);
    d->empty->setAutoFillBackground(true);
    d->empty->setBackgroundRole(QPalette::Base);
    m_readout = new ReadoutStrip(this);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    column->addWidget(d->bar);
    column->addWidget(d->page, 1);
    column->addWidget(m_readout);
    makeSurfaces();
    arrange();
    connect(d->bar, &ChartBar::gridChosen, this,
        [this](int grid) { setGrid(static_cast<Layout>(grid)); });
    connect(d->bar, &ChartBar::copyRequested, this, &ChartArea::copyImage);
    connect(&m_model, &ChartModel::plotChanged, this, &ChartArea::showPlot);
    connect(&m_model, &ChartModel::runsChanged, this, &ChartArea::noteRuns);
    connect(m_readout, &ReadoutStrip::pinToggled, this, [this](bool isPinned) {
        if (!isPinned)
            moveCursor(std::numeric_limits<double>::quiet_NaN());
    });
    noteRuns();
}

ChartArea::~ChartArea() = default;

void ChartArea::makeSurfaces()
{
    for (int i = 0; i < m_model.chartCount(); ++i) {
        auto* surface = new QtChartSurface(d->page);
        const QString id = m_model.plot(i)->id;
        surface->widget()->setObjectName(u"chart."_s + id);
        surface->view()->lane()->setObjectName(
            i == 0 ? u"eventLane"_s : QString(u"eventLane."_s + id));
        surface->setPlot(m_model.plot(i));
        d->surfaces.push_back(surface);
        connectSurface(i);
    }
}

void ChartArea::connectSurface(int chart)
{
    IPlotSurface* surface = d->surfaces[static_cast<std::size_t>(chart)];
    connect(surface, &IPlotSurface::columnsChanged, this, [this, chart](int columns) {
        if (isShown(chart))
            m_model.setColumns(chart, columns);
    });
    connect(surface, &IPlotSurface::hovered, this, [this](double x) {
        if (!m_readout->isPinned())
            moveCursor(x);
    });
    connect(surface, &IPlotSurface::clicked, this, [this](double x) {
        moveCursor(x);
        m_readout->setPinned(std::isfinite(x));
    });
    connect(surface, &IPlotSurface::xZoomRequested, this,
        [this, chart](const PlotRange& x) { m_model.zoomTo(chart, x); });
    connect(surface, &IPlotSurface::boxZoomRequested, this,
        [this, chart](const PlotRange& x, const PlotRange& y) { m_model.zoomTo(chart, x, y); });
    connect(surface, &IPlotSurface::wheelZoomRequested, this,
        [this, chart](double factor, double anchor) { m_model.zoomBy(chart, factor, anchor); });
    connect(surface, &IPlotSurface::yZoomRequested, this,
        [this, chart](double factor, double anchor) { m_model.zoomYBy(chart, factor, anchor); });
    connect(surface, &IPlotSurface::panStarted, this, [this, chart] { m_model.beginPan(chart); });
    connect(surface, &IPlotSurface::panRequested, this,
        [this, chart](double delta) { m_model.panBy(chart, delta); });
    connect(surface, &IPlotSurface::fitRequested, this, [this, chart] { m_model.fit(chart); });
    connect(surface, &IPlotSurface::eventActivated, this, &ChartArea::eventActivated);
    connect(surface, &IPlotSurface::rangeBrushed, this, &ChartArea::rangeBrushed);
}

void ChartArea::addLeading(QWidget* widget)
{
    d->bar->addLeading(widget);
}

QWidget* ChartArea::bar() const noexcept
{
    return d->bar;
}

IPlotSurface* ChartArea::surface(int chart) const
{
    return d->surfaces.at(static_cast<std::size_t>(chart));
}

void ChartArea::setGrid(Layout layout)
{
    if (layout == m_layout)
        return;
    m_layout = layout;
    d->bar->setGrid(static_cast<int>(layout));
    arrange();
    Q_EMIT gridChanged();
}

void ChartArea::setDemo(bool isDemo)
{
    if (isDemo == d->isDemo)
        return;
    d->isDemo = isDemo;
    d->bar->setDemo(isDemo);
    m_readout->setHint(isDemo ? u"Hover a chart to read values here. Select a job to plot it."_s
                              : u"Hover a chart to read values here."_s);
    arrange();
}

void ChartArea::setEmptyText(const QString& text)
{
    d->emptyText = text;
    noteRuns();
}

bool ChartArea::isShown(int chart) const
{
    if (d->isDemo || m_layout == Layout::One)
        return chart == 0;
    return m_layout == Layout::Grid || chart < 2;
}

void ChartArea::arrange()
{
    const bool isGrid = m_layout == Layout::Grid && !d->isDemo;
    for (int i = 0; i < static_cast<int>(d->surfaces.size()); ++i) {
        QtChartSurface* surface = d->surfaces[static_cast<std::size_t>(i)];
        d->grid->removeWidget(surface->widget());
        const bool isVisible = isShown(i);
        surface->widget()->setVisible(isVisible);
        if (!isVisible) {
            m_model.setColumns(i, 0);
            continue;
        }
        d->grid->addWidget(surface->widget(), i / 2, i % 2);
    }
    const bool hasTwoColumns = isShown(1);
    d->grid->setColumnStretch(0, 1);
    d->grid->setColumnStretch(1, hasTwoColumns ? 1 : 0);
    d->grid->setRowStretch(0, 1);
    d->grid->setRowStretch(1, isGrid ? 1 : 0);
    alignColumns();
    for (int i = 0; i < static_cast<int>(d->surfaces.size()); ++i) {
        if (isShown(i))
            m_model.setColumns(i, d->surfaces[static_cast<std::size_t>(i)]->columns());
    }
}

// Charts above each other share gutter and end room, so that one x lies on one vertical line.
void ChartArea::alignColumns()
{
    const bool isGrid = m_layout == Layout::Grid && !d->isDemo;
    for (int column = 0; column < 2; ++column) {
        int gutter = 0;
        int endRoom = 0;
        for (int i = column; i < static_cast<int>(d->surfaces.size()); i += 2) {
            if (!isShown(i))
                continue;
            gutter = std::max(gutter, d->surfaces[static_cast<std::size_t>(i)]->wantedGutter());
            endRoom = std::max(endRoom, d->surfaces[static_cast<std::size_t>(i)]->wantedEndRoom());
        }
        for (int i = column; i < static_cast<int>(d->surfaces.size()); i += 2) {
            const bool isTop = i < 2;
            PlotParts parts;
            parts.hasEventLane = isTop;
            parts.hasXLabels = !isGrid || !isTop;
            parts.hasRightLine = column == 0 && isShown(1);
            parts.hasBottomLine = isGrid && isTop;
            parts.hasEventLegend = d->isDemo;
            parts.gutter = gutter;
            parts.endRoom = endRoom;
            d->surfaces[static_cast<std::size_t>(i)]->setParts(parts);
        }
    }
}

void ChartArea::showPlot(int chart)
{
    QtChartSurface* surface = d->surfaces[static_cast<std::size_t>(chart)];
    surface->setPlot(m_model.plot(chart));
    alignColumns();
    if (std::isfinite(d->cursor))
        m_readout->setReadout(m_model.readoutAt(d->cursor), m_model.xAxis());
}

void ChartArea::noteRuns()
{
    const bool hasRuns = !m_model.runs().isEmpty();
    d->empty->setPlain(d->emptyText);
    d->empty->setVisible(!hasRuns && !d->emptyText.isEmpty());
    d->empty->raise();
    if (!hasRuns)
        m_readout->setPinned(false);
    moveCursor(std::numeric_limits<double>::quiet_NaN());
    for (int i = 0; i < static_cast<int>(d->surfaces.size()); ++i)
        d->surfaces[static_cast<std::size_t>(i)]->setPlot(m_model.plot(i));
    alignColumns();
}

void ChartArea::moveCursor(double x)
{
    d->cursor = x;
    const auto cross = std::isfinite(x) ? std::optional(x) : std::nullopt;
    for (QtChartSurface* surface : d->surfaces)
        surface->setCrosshair(cross);
    m_readout->setReadout(cross ? m_model.readoutAt(x) : Readout(), m_model.xAxis());
}

int ChartArea::focusedChart() const
{
    for (int i = 0; i < static_cast<int>(d->surfaces.size()); ++i) {
        QWidget* widget = d->surfaces[static_cast<std::size_t>(i)]->widget();
        if (widget->hasFocus() || widget->isAncestorOf(focusWidget()))
            return i;
    }
    return 0;
}

void ChartArea::keyPressEvent(QKeyEvent* event)
{
    if (event->matches(QKeySequence::Copy)) {
        QGuiApplication::clipboard()->setText(m_readout->text());
        return;
    }
    if (!handleKey(focusedChart(), event->key(), event->modifiers()))
        QWidget::keyPressEvent(event);
}

bool ChartArea::moveCursorByKey(int chart, int direction, Qt::KeyboardModifiers modifiers)
{
    const PlotRange range = m_model.xRange(chart);
    const double from =
        std::isfinite(d->cursor) ? d->cursor : (direction > 0 ? range.min : range.max);
    double to = from;
    if (modifiers & Qt::ControlModifier) {
        to = m_model.neighborEvent(from, direction);
    } else if (modifiers & Qt::ShiftModifier) {
        const int columns = d->surfaces[static_cast<std::size_t>(chart)]->columns();
        to = from + direction * range.span() / std::max(1, columns);
    } else {
        to = m_model.neighborSample(from, direction);
    }
    moveCursor(std::clamp(to, range.min, range.max));
    m_readout->setPinned(true);
    return true;
}

bool ChartArea::handleKey(int chart, int key, Qt::KeyboardModifiers modifiers)
{
    constexpr double kStep = 0.8;
    const PlotRange range = m_model.xRange(chart);
    const double middle = std::isfinite(d->cursor) ? d->cursor : (range.min + range.max) / 2;
    const bool isPlain = !(modifiers & (Qt::ControlModifier | Qt::AltModifier));
    switch (key) {
    case Qt::Key_Left:
        if (modifiers & Qt::AltModifier) {
            m_model.previousZoom(chart);
            return true;
        }
        return moveCursorByKey(chart, -1, modifiers);
    case Qt::Key_Right:
        return moveCursorByKey(chart, 1, modifiers);
    case Qt::Key_Backspace:
        m_model.previousZoom(chart);
        return true;
    case Qt::Key_Home:
        m_model.fit(chart);
        return true;
    case Qt::Key_End:
        m_model.followLive(true);
        return true;
    case Qt::Key_Plus:
    case Qt::Key_Equal:
        m_model.zoomBy(chart, kStep, middle);
        return true;
    case Qt::Key_Minus:
        m_model.zoomBy(chart, 1 / kStep, middle);
        return true;
    case Qt::Key_L:
        if (isPlain)
            m_model.setLogY(chart, !m_model.isLogY(chart));
        return isPlain;
    case Qt::Key_G:
        if (isPlain)
            m_model.setLinked(!m_model.isLinked());
        return isPlain;
    case Qt::Key_BracketLeft:
    case Qt::Key_BracketRight:
        d->bar->stepSmoothing(key == Qt::Key_BracketLeft ? -1 : 1);
        return true;
    case Qt::Key_Escape:
        if (m_readout->isPinned()) {
            m_readout->setPinned(false);
            return true;
        }
        return false;
    default:
        return false;
    }
}

void ChartArea::resizeEvent(QResizeEvent* event)
{
    QWidget::resizeEvent(event);
    d->empty->setGeometry(d->page->rect());
}

void ChartArea::showEvent(QShowEvent* event)
{
    QWidget::showEvent(event);
    m_model.setActive(true);
}

void ChartArea::hideEvent(QHideEvent* event)
{
    QWidget::hideEvent(event);
    m_model.setActive(false);
}

void ChartArea::copyImage()
{
    QGuiApplication::clipboard()->setImage(image());
}

QImage ChartArea::image() const
{
    constexpr double kScale = 2;
    QImage image((QSizeF(d->page->size()) * kScale).toSize(), QImage::Format_RGB32);
    image.setDevicePixelRatio(kScale);
    image.fill(lightTokens().surface);
    QPainter painter(&image);
    for (int i = 0; i < static_cast<int>(d->surfaces.size()); ++i) {
        QtChartSurface* surface = d->surfaces[static_cast<std::size_t>(i)];
        if (isShown(i))
            surface->print(painter, QRectF(surface->widget()->geometry()));
    }
    return image;
}

} // namespace desk
