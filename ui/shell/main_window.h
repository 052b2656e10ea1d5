// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/selection.h"

#include <QMainWindow>

class QStackedWidget;

namespace desk {

class CheckpointsPage;
class ConnectionSheet;
class DeploymentsPage;
class HeaderBar;
class Inspector;
class JobsPage;
class ModelsPage;
class Navigator;
class NoticeBar;
class OperationsDock;
class OperationsPage;
class OrderedTable;
class Regions;
class ReviewSheet;
class SheetDock;
class StatusLine;
class Theme;
class TrainingSheet;
class VerifyPage;
class WindowModels;

/// Docks, menu and switching of pages; everything else is in the pages and their models.
class MainWindow final : public QMainWindow
{
    Q_OBJECT

public:
    /// Models and theme must outlive the window.
    MainWindow(WindowModels& models, Theme& theme, QWidget* parent = nullptr);
    ~MainWindow() override;

    void bringToFront();

protected:
    void closeEvent(QCloseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

private:
    static constexpr int kStateVersion = 1;

    void makeCenter();
    void makeDocks();
    void makeSheets();
    void makeRegions();
    void connectActions();
    void connectFilter();
    void connectOperations();
    void run(const QString& id);
    void runView(const QString& id);
    void showPage(DeskPage page);
    void refresh();
    void refreshFilter();
    void restoreWindow();
    void saveWindow();
    void foldForWidth();
    void showSheet(QWidget* sheet);
    [[nodiscard]] OrderedTable* tableOf(DeskPage page) const;

    WindowModels& m_models;
    Theme& m_theme;
    HeaderBar* m_header = nullptr;
    Navigator* m_navigator = nullptr;
    QDockWidget* m_navigatorDock = nullptr;
    QStackedWidget* m_pages = nullptr;
    NoticeBar* m_notice = nullptr;
    JobsPage* m_jobs = nullptr;
    CheckpointsPage* m_checkpoints = nullptr;
    DeploymentsPage* m_deployments = nullptr;
    ModelsPage* m_modelsPage = nullptr;
    OperationsPage* m_operations = nullptr;
    VerifyPage* m_verify = nullptr;
    Inspector* m_inspector = nullptr;
    QDockWidget* m_inspectorDock = nullptr;
    SheetDock* m_sheets = nullptr;
    ReviewSheet* m_review = nullptr;
    ConnectionSheet* m_connectionSheet = nullptr;
    TrainingSheet* m_trainingSheet = nullptr;
    OperationsDock* m_operationsDock = nullptr;
    StatusLine* m_status = nullptr;
    Regions* m_regions = nullptr;
    bool m_wantsInspector = true;
    int m_inspectorWidth = 0; ///< while no sheet stands in its place
};

} // namespace desk
