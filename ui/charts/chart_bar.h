// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/widgets/panel.h"

class QComboBox;
class QHBoxLayout;
class QSlider;
class QToolButton;

namespace desk {

class ChartModel;
class ChipButton;
class Pill;
class SpanLabel;

/// The tool bar of the charts: x axis, smoothing with half-life, linked, LIVE, grid, export.
/// Follows ChartModel; what changes only the view comes as a signal.
class ChartBar final : public Panel
{
    Q_OBJECT

public:
    explicit ChartBar(ChartModel& model, QWidget* parent = nullptr);
    void addLeading(QWidget* widget);
    void setGrid(int grid);
    void setDemo(bool isDemo);
    void stepSmoothing(int direction);

Q_SIGNALS:
    void gridChosen(int grid);
    void copyRequested();

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    void makeControls();
    void refresh();
    void fitWords();

    ChartModel& m_model;
    QHBoxLayout* m_row;
    QWidget* m_leading;
    QWidget* m_controls;
    QWidget* m_demo;
    SpanLabel* m_xLabel = nullptr;
    QComboBox* m_xAxis = nullptr;
    SpanLabel* m_smoothingLabel = nullptr;
    QSlider* m_smoothing = nullptr;
    SpanLabel* m_smoothingText = nullptr;
    ChipButton* m_linked = nullptr;
    ChipButton* m_live = nullptr;
    QComboBox* m_grid = nullptr;
    QToolButton* m_copy = nullptr;
};

/// Slider position 0..999 to smoothing weight 0..0.999 and back; even steps of half-life, so that
/// the useful end of the scale has room.
[[nodiscard]] double smoothingOf(int position);
[[nodiscard]] int positionOf(double smoothing);

} // namespace desk
