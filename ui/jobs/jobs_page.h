// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QSplitter;
class QStackedWidget;
class QTabBar;

namespace desk {

class AppModel;
class ChartArea;
class OrderedTable;

/// The main screen: jobs above, charts or checkpoints of the selection below. While there is no job
/// the first steps stand in place of the table, and the recorded sample run below.
class JobsPage final : public QWidget
{
    Q_OBJECT

public:
    explicit JobsPage(AppModel& app, QWidget* parent = nullptr);

    [[nodiscard]] OrderedTable& table() const noexcept { return *m_table; }
    [[nodiscard]] OrderedTable& checkpoints() const noexcept { return *m_checkpoints; }
    [[nodiscard]] ChartArea& charts() const noexcept { return *m_charts; }
    [[nodiscard]] QByteArray saveState() const;
    void restoreState(const QByteArray& state);
    void setChartsOnly(bool isOnly);
    void showCheckpoints();

private:
    QWidget* makeLower();
    void refresh();
    void refreshCheckpoints();

    AppModel& m_app;
    QSplitter* m_splitter = nullptr;
    QStackedWidget* m_upper = nullptr;
    OrderedTable* m_table = nullptr;
    QTabBar* m_tabs = nullptr;
    QStackedWidget* m_lower = nullptr;
    ChartArea* m_charts = nullptr;
    OrderedTable* m_checkpoints = nullptr;
    bool m_wasFirst = false;
};

} // namespace desk
