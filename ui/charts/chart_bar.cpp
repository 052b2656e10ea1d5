// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/charts/chart_bar.h"

#include "models/chart_model.h"
#include "ui/style/fonts.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/chip_button.h"
#include "ui/widgets/pill.h"
#include "ui/widgets/span_label.h"

#include <QAbstractItemView>
#include <QComboBox>
#include <QHBoxLayout>
#include <QSignalBlocker>
#include <QSlider>
#include <QToolButton>

#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    // Half-lives from half a sample to about 693 samples (weight 0.999) over the slider.
    constexpr double kShortest = 0.5;
    constexpr double kLongest = 692.8;
    constexpr int kSliderMax = 999;

    QComboBox* makeCombo(const QStringList& items, const QString& name, const QString& objectName)
    {
        auto* combo = new QComboBox;
        combo->addItems(items);
        combo->setProperty("compact", true);
        combo->setFixedHeight(px(24));
        combo->setAccessibleName(name);
        combo->setObjectName(objectName);
        combo->view()->setMinimumWidth(combo->view()->sizeHintForColumn(0) + px(24));
        return combo;
    }

} // namespace

double smoothingOf(int position)
{
    if (position <= 0)
        return 0;
    if (position >= kSliderMax)
        return 0.999;
    const double share = position / double(kSliderMax);
    const double halfLife = kShortest * std::pow(kLongest / kShortest, share);
    return std::min(0.999, std::pow(0.5, 1 / halfLife));
}

int positionOf(double smoothing)
{
    if (smoothing <= 0)
        return 0;
    const double halfLife = std::log(0.5) / std::log(std::min(smoothing, 0.999));
    const double share = std::log(halfLife / kShortest) / std::log(kLongest / kShortest);
    return std::clamp(static_cast<int>(std::lround(share * kSliderMax)), 1, kSliderMax);
}

ChartBar::ChartBar(ChartModel& model, QWidget* parent)
    : Panel(QPalette::Window, Panel::BottomEdge, parent)
    , m_model(model)
    , m_row(new QHBoxLayout(this))
    , m_leading(new QWidget(this))
    , m_controls(new QWidget(this))
    , m_demo(new QWidget(this))
{
    setFixedHeight(px(32));
    setAccessibleName(u"Chart tools"_s);
    m_row->setContentsMargins(px(7), 0, px(10), 0);
    m_row->setSpacing(px(8));
    auto* leading = new QHBoxLayout(m_leading);
    leading->setContentsMargins(0, 0, 0, 0);
    m_row->addWidget(m_leading, 0, Qt::AlignTop);
    m_row->addStretch();
    m_row->addWidget(m_demo);
    m_row->addWidget(m_controls);
    auto* demo = new QHBoxLayout(m_demo);
    demo->setContentsMargins(0, 0, 0, 0);
    demo->setSpacing(px(8));
    demo->addWidget(new Pill(u"DEMO"_s));
    demo->addWidget(
        new SpanLabel(u"sample curve, not your data; it disappears with the first job"_s,
            Face::Second, Tone::Secondary));
    m_demo->hide();
    makeControls();
    connect(&m_model, &ChartModel::settingsChanged, this, &ChartBar::refresh);
    refresh();
}

void ChartBar::makeControls()
{
    auto* row = new QHBoxLayout(m_controls);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(px(8));
    m_xLabel = new SpanLabel(u"x"_s, Face::Second, Tone::Secondary);
    m_xAxis = makeCombo({ u"step"_s, u"relative"_s, u"wall"_s }, u"x axis"_s, u"chartArea.xAxis"_s);
    m_smoothingLabel = new SpanLabel(u"Smoothing"_s, Face::Second, Tone::Secondary);
    m_smoothing = new QSlider(Qt::Horizontal);
    m_smoothing->setObjectName(u"chartArea.smoothing"_s);
    m_smoothing->setAccessibleName(u"Smoothing"_s);
    m_smoothing->setRange(0, kSliderMax);
    m_smoothing->setPageStep(50);
    m_smoothing->setSingleStep(10);
    m_smoothing->setFixedSize(px(72), px(20));
    m_smoothingText = new SpanLabel({}, Face::Second);
    m_linked = new ChipButton(u"linked"_s, StatusKind::Running, u"link"_s);
    m_linked->setObjectName(u"chartArea.linked"_s);
    m_live = new ChipButton(u"LIVE"_s, StatusKind::Good);
    m_live->setObjectName(u"chartArea.live"_s);
    m_grid = makeCombo({ u"1"_s, u"2 × 1"_s, u"2 × 2"_s }, u"Chart grid"_s, u"chartArea.grid"_s);
    m_grid->setCurrentIndex(2);
    m_copy = makeIconButton(u"copy"_s, u"Copy charts as a picture"_s);
    m_copy->setObjectName(u"chartArea.copy"_s);
    for (QWidget* widget : { static_cast<QWidget*>(m_xLabel), static_cast<QWidget*>(m_xAxis),
             static_cast<QWidget*>(m_smoothingLabel), static_cast<QWidget*>(m_smoothing),
             static_cast<QWidget*>(m_smoothingText), static_cast<QWidget*>(m_linked),
             static_cast<QWidget*>(m_live), static_cast<QWidget*>(m_grid),
             static_cast<QWidget*>(m_copy) })
        row->addWidget(widget);
    connect(m_xAxis, &QComboBox::activated, this,
        [this](int index) { m_model.setXAxis(static_cast<XAxisKind>(index)); });
    connect(m_smoothing, &QSlider::valueChanged, this,
        [this](int position) { m_model.setSmoothing(smoothingOf(position)); });
    connect(m_linked, &ChipButton::clicked, this, [this](bool isOn) { m_model.setLinked(isOn); });
    connect(m_live, &ChipButton::clicked, this, [this](bool isOn) { m_model.followLive(isOn); });
    connect(m_grid, &QComboBox::activated, this, &ChartBar::gridChosen);
    connect(m_copy, &QToolButton::clicked, this, &ChartBar::copyRequested);
}

void ChartBar::addLeading(QWidget* widget)
{
    m_leading->layout()->addWidget(widget);
    m_leading->layout()->setAlignment(widget, Qt::AlignTop);
    fitWords();
}

void ChartBar::setGrid(int grid)
{
    m_grid->setCurrentIndex(grid);
}

void ChartBar::setDemo(bool isDemo)
{
    m_controls->setVisible(!isDemo);
    m_demo->setVisible(isDemo);
}

void ChartBar::stepSmoothing(int direction)
{
    m_smoothing->setValue(m_smoothing->value() + direction * 50);
}

void ChartBar::refresh()
{
    const QSignalBlocker quietAxis(m_xAxis);
    const QSignalBlocker quietSlider(m_smoothing);
    m_xAxis->setCurrentIndex(static_cast<int>(m_model.xAxis()));
    if (smoothingOf(m_smoothing->value()) != m_model.smoothing())
        m_smoothing->setValue(positionOf(m_model.smoothing()));
    const QString text = m_model.smoothingText();
    const qsizetype split = text.indexOf(u" half-life"_s);
    m_smoothingText->setMarkup(
        split < 0 ? text : QString(text.left(split) + u"<s>"_s + text.mid(split)));
    fitWords();
    m_linked->setChecked(m_model.isLinked());
    m_live->setEnabled(m_model.hasLiveRun());
    m_live->setChecked(m_model.isFollowing());
    m_live->setAccessibleDescription(m_model.hasLiveRun()
            ? u"Follow the newest 2,000 steps or ten minutes"_s
            : u"No run is training"_s);
}

void ChartBar::resizeEvent(QResizeEvent* event)
{
    Panel::resizeEvent(event);
    fitWords();
}

// The words go first; every control keeps its accessible name.
void ChartBar::fitWords()
{
    QWidget* const inOrder[] = { m_copy, m_xLabel, m_smoothingLabel, m_smoothingText };
    const int gap = m_controls->layout()->spacing();
    int wanted = m_leading->sizeHint().width() + px(40);
    for (QWidget* widget : { static_cast<QWidget*>(m_xAxis), static_cast<QWidget*>(m_smoothing),
             static_cast<QWidget*>(m_linked), static_cast<QWidget*>(m_live),
             static_cast<QWidget*>(m_grid) })
        wanted += std::max(widget->minimumWidth(), widget->sizeHint().width()) + gap;
    for (QWidget* widget : inOrder) {
        wanted += std::max(widget->minimumWidth(), widget->sizeHint().width()) + gap;
        widget->setVisible(wanted <= width());
    }
}

} // namespace desk
