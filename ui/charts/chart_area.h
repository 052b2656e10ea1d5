// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/plot_data.h"

#include <QString>
#include <QWidget>

#include <memory>

class QImage;

namespace desk {

class ChartModel;
class IPlotSurface;
class ReadoutStrip;

/// Grid of linked charts with its tool bar and readout strip (objectName "chartArea"). The page
/// that holds it puts its tabs at the left of the bar with addLeading().
class ChartArea final : public QWidget
{
    Q_OBJECT

public:
    enum class Layout
    {
        One,
        Two, ///< side by side
        Grid ///< two by two
    };

    /// The model must outlive the widget.
    explicit ChartArea(ChartModel& model, QWidget* parent = nullptr);
    ~ChartArea() override;
    Q_DISABLE_COPY_MOVE(ChartArea)

    void addLeading(QWidget* widget); ///< tabs of the page, left in the bar
    [[nodiscard]] QWidget* bar() const noexcept; ///< 32 px; may be taken into another layout
    void setGrid(Layout layout);
    [[nodiscard]] Layout grid() const noexcept { return m_layout; }
    /// One chart, badge DEMO, no controls; event legend instead (first run).
    void setDemo(bool isDemo);
    /// Text over the charts while there is nothing to plot.
    void setEmptyText(const QString& text);
    [[nodiscard]] ReadoutStrip* readout() const noexcept { return m_readout; }
    [[nodiscard]] IPlotSurface* surface(int chart) const;
    [[nodiscard]] QImage image() const; ///< the charts as shown, light palette, scale 2
    void copyImage(); ///< image() to the clipboard

Q_SIGNALS:
    void eventActivated(const desk::PlotEvent& event); ///< id is the checkpoint or operation name
    void rangeBrushed(desk::PlotRange steps); ///< empty: the brush was cleared
    void gridChanged();

protected:
    void resizeEvent(QResizeEvent* event) override;
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;

private:
    struct Private;
    void makeSurfaces();
    void connectSurface(int chart);
    void arrange();
    void alignColumns();
    void showPlot(int chart);
    void noteRuns();
    void moveCursor(double x);
    [[nodiscard]] bool isShown(int chart) const;
    [[nodiscard]] int focusedChart() const;
    bool moveCursorByKey(int chart, int direction, Qt::KeyboardModifiers modifiers);
    bool handleKey(int chart, int key, Qt::KeyboardModifiers modifiers);

    ChartModel& m_model;
    std::unique_ptr<Private> d;
    ReadoutStrip* m_readout = nullptr;
    Layout m_layout = Layout::Grid;
};

} // namespace desk
