// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QPushButton;
class QTabBar;
class QVBoxLayout;

namespace desk {

class Band;
class EquationStrip;
class FactList;
class HeatStrip;
class RowOrderModel;
class SectionHeader;
class SpanLabel;
class TableView;
class ThroughputBars;
class VerifyModel;

/// What a verification found (objectName "verifyPage"): verdict, equation, throughput with the
/// limiting stage, where the weights changed, every tensor. THREAD: GUI.
class VerifyPage final : public QWidget
{
    Q_OBJECT
public:
    /// The model must outlive the page.
    explicit VerifyPage(VerifyModel& model, QWidget* parent = nullptr);
    ~VerifyPage() override;

private:
    QWidget* makeHeader();
    QWidget* makeMeasures();
    QWidget* makeHeat();
    QWidget* makeTensors();
    void refresh();
    void refreshTabs();
    void applyTab();
    void showTensor(int row);

    VerifyModel& m_model;
    SpanLabel* m_title = nullptr;
    SpanLabel* m_subtitle = nullptr;
    QPushButton* m_again = nullptr;
    QPushButton* m_stop = nullptr;
    Band* m_verdict = nullptr;
    EquationStrip* m_equation = nullptr;
    ThroughputBars* m_throughput = nullptr;
    FactList* m_change = nullptr;
    FactList* m_mismatch = nullptr;
    QWidget* m_measures = nullptr;
    QWidget* m_heatPanel = nullptr;
    HeatStrip* m_heat = nullptr;
    SpanLabel* m_heatScale = nullptr;
    SpanLabel* m_tensorNote = nullptr;
    QTabBar* m_tabs = nullptr;
    TableView* m_tensors = nullptr;
    RowOrderModel* m_order = nullptr;
};

} // namespace desk
