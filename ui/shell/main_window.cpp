// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shell/main_window.h"

#include "models/checkpoint_table_model.h"
#include "models/deployment_table_model.h"
#include "models/job_table_model.h"
#include "models/model_table_model.h"
#include "models/row_order_model.h"
#include "models/window_models.h"
#include "ui/checkpoints/checkpoints_page.h"
#include "ui/delta/verify_page.h"
#include "ui/deployments/deployments_page.h"
#include "ui/deployments/models_page.h"
#include "ui/jobs/jobs_page.h"
#include "ui/operations/operations_dock.h"
#include "ui/operations/operations_page.h"
#include "ui/operations/review_sheet.h"
#include "ui/settings/connection_sheet.h"
#include "ui/settings/training_sheet.h"
#include "ui/shell/dialogs.h"
#include "ui/shell/header_bar.h"
#include "ui/shell/inspector.h"
#include "ui/shell/menus.h"
#include "ui/shell/navigator.h"
#include "ui/shell/notice_bar.h"
#include "ui/shell/ordered_table.h"
#include "ui/shell/regions.h"
#include "ui/shell/sheet_dock.h"
#include "ui/shell/shortcuts.h"
#include "ui/shell/status_line.h"
#include "ui/style/fonts.h"
#include "ui/style/theme.h"
#include "ui/widgets/dock_grip.h"

#include <QApplication>
#include <QCloseEvent>
#include <QKeyEvent>
#include <QLineEdit>
#include <QMenuBar>
#include <QStackedWidget>
#include <QToolBar>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr int kFoldBelow = 1100;
    constexpr int kFoldTablesBelow = 1600; // the checkpoint table has twelve columns
    constexpr int kNavigatorWidth = 176;
    constexpr int kNavigatorFolded = 44;
    constexpr int kInspectorWidth = 328;
    constexpr int kOperationsEmpty = 57; // title and one line
    constexpr int kOperationsFilled = 101; // title and three rows
    constexpr auto kGeometryKey = "window/geometry";
    constexpr auto kDocksKey = "window/docks";
    constexpr auto kSplitterKey = "window/jobsSplitter";

    QDockWidget* makeDock(
        QMainWindow& window, const QString& name, const QString& title, QWidget* content)
    {
        auto* dock = new QDockWidget(title, &window);
        dock->setObjectName(name);
        dock->setFeatures(QDockWidget::DockWidgetClosable);
        dock->setTitleBarWidget(new QWidget);
        dock->setWidget(content);
        return dock;
    }

    QString themeAction(Theme::Mode mode)
    {
        switch (mode) {
        case Theme::Mode::Light:
            return u"view.themeLight"_s;
        case Theme::Mode::Dark:
            return u"view.themeDark"_s;
        case Theme::Mode::System:
            break;
        }
        return u"view.themeSystem"_s;
    }

} // namespace

MainWindow::MainWindow(WindowModels& models, Theme& theme, QWidget* parent)
    : QMainWindow(parent)
    , m_models(models)
    , m_theme(theme)
{
    setObjectName(u"mainWindow"_s);
    setWindowTitle(tr("Trainer Desk"));
    setMinimumSize(px(960), px(600));
    resize(px(1440), px(900));
    menuBar()->setNativeMenuBar(false);
    menuBar()->setObjectName(u"menuBar"_s);
    fillMenus(*menuBar(), models.app.actions());
    m_inspectorWidth = px(kInspectorWidth);
    m_header = new HeaderBar(models.app);
    auto* bar = addToolBar(tr("Header"));
    bar->setObjectName(u"headerBar"_s);
    bar->setMovable(false);
    bar->setFloatable(false);
    bar->setContextMenuPolicy(Qt::PreventContextMenu);
    bar->toggleViewAction()->setVisible(false);
    bar->layout()->setContentsMargins(0, 0, 0, 0);
    bar->addWidget(m_header);
    makeCenter();
    makeDocks();
    makeSheets();
    m_status = new StatusLine(models.app);
    setStatusBar(m_status);
    makeRegions();
    connectActions();
    connectShortcuts(*this, models.app.actions(), m_jobs->table(), *m_header->filterEdit());
    connectFilter();
    connectOperations();
    restoreWindow();
    showPage(models.app.selection().page());
    refresh();
    if (auto* first = m_jobs->findChild<QWidget*>(u"firstRun.useLocal"_s))
        first->setFocus(Qt::OtherFocusReason);
}

MainWindow::~MainWindow()
{
    // The models outlive the window and must not call into half of it.
    m_models.app.actions().disconnect(this);
    m_models.app.disconnect(this);
    // Grips ask the docks where they are, also while the window is torn down.
    qDeleteAll(findChildren<DockGrip*>(Qt::FindDirectChildrenOnly));
}

void MainWindow::makeCenter()
{
    auto* center = new QWidget;
    auto* column = new QVBoxLayout(center);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    m_notice = new NoticeBar(m_models.app);
    column->addWidget(m_notice);
    m_pages = new QStackedWidget;
    m_pages->setObjectName(u"pages"_s);
    m_jobs = new JobsPage(m_models.app);
    m_checkpoints = new CheckpointsPage(m_models.app);
    m_deployments = new DeploymentsPage(m_models.app);
    m_modelsPage = new ModelsPage(m_models.app);
    m_operations = new OperationsPage(m_models.operations);
    m_verify = new VerifyPage(m_models.verify);
    // In the order of DeskPage.
    for (QWidget* page : { static_cast<QWidget*>(m_jobs), static_cast<QWidget*>(m_checkpoints),
             static_cast<QWidget*>(m_deployments), static_cast<QWidget*>(m_modelsPage),
             static_cast<QWidget*>(m_operations), static_cast<QWidget*>(m_verify) })
        m_pages->addWidget(page);
    column->addWidget(m_pages, 1);
    setCentralWidget(center);
}

void MainWindow::makeDocks()
{
    setDockNestingEnabled(false);
    setCorner(Qt::BottomLeftCorner, Qt::BottomDockWidgetArea);
    setCorner(Qt::BottomRightCorner, Qt::BottomDockWidgetArea);
    m_navigator = new Navigator;
    m_navigatorDock = makeDock(*this, u"navigatorDock"_s, tr("Navigator"), m_navigator);
    addDockWidget(Qt::LeftDockWidgetArea, m_navigatorDock);
    m_inspector = new Inspector(m_models.app);
    m_inspectorDock = makeDock(*this, u"inspectorDock"_s, tr("Inspector"), m_inspector);
    addDockWidget(Qt::RightDockWidgetArea, m_inspectorDock);
    m_sheets = new SheetDock(this);
    addDockWidget(Qt::RightDockWidgetArea, m_sheets);
    m_operationsDock = new OperationsDock(m_models.operations, this);
    addDockWidget(Qt::BottomDockWidgetArea, m_operationsDock);
    resizeDocks({ m_navigatorDock, m_inspectorDock }, { px(kNavigatorWidth), m_inspectorWidth },
        Qt::Horizontal);
    resizeDocks({ m_operationsDock }, { px(kOperationsEmpty) }, Qt::Vertical);
    for (QDockWidget* dock : { m_navigatorDock, m_inspectorDock,
             static_cast<QDockWidget*>(m_sheets), static_cast<QDockWidget*>(m_operationsDock) })
        new DockGrip(*this, *dock);
}

void MainWindow::makeSheets()
{
    m_review = new ReviewSheet(m_models.review);
    m_connectionSheet = new ConnectionSheet(m_models.connectionForm);
    m_trainingSheet = new TrainingSheet(m_models.trainingForm);
    for (QWidget* sheet : { static_cast<QWidget*>(m_review),
             static_cast<QWidget*>(m_connectionSheet), static_cast<QWidget*>(m_trainingSheet) })
        m_sheets->addSheet(sheet);
    connect(&m_models.review, &ReviewModel::opened, this, [this] { showSheet(m_review); });
    connect(
        &m_models.review, &ReviewModel::closed, this, [this] { m_sheets->closeSheet(m_review); });
    connect(m_connectionSheet, &SheetFrame::closeRequested, this,
        [this] { m_sheets->closeSheet(m_connectionSheet); });
    connect(m_trainingSheet, &SheetFrame::closeRequested, this,
        [this] { m_sheets->closeSheet(m_trainingSheet); });
    connect(m_trainingSheet, &TrainingSheet::fileWanted, this,
        [this](bool isEval) { askForTrainingFile(*this, *m_trainingSheet, isEval); });
    connect(&m_models.connectionForm, &ConnectionForm::saved, this,
        [this](const QString& sentence) { m_status->say(sentence); });
    connect(m_sheets, &SheetDock::shownChanged, this, [this](bool isShown) {
        m_inspectorDock->setVisible(!isShown && m_wantsInspector);
        // A sheet is read from top to bottom: it takes the whole height, operations stay beside it.
        setCorner(
            Qt::BottomRightCorner, isShown ? Qt::RightDockWidgetArea : Qt::BottomDockWidgetArea);
        foldForWidth();
        if (!isShown) {
            const int navigator = m_navigator->isFolded() ? kNavigatorFolded : kNavigatorWidth;
            resizeDocks({ m_navigatorDock, m_inspectorDock }, { px(navigator), m_inspectorWidth },
                Qt::Horizontal);
        }
        if (!isShown && tableOf(m_models.app.selection().page()) != nullptr)
            tableOf(m_models.app.selection().page())->setFocus(Qt::OtherFocusReason);
    });
}

void MainWindow::makeRegions()
{
    m_regions = new Regions(this);
    m_regions->add(m_header, m_header->filterEdit());
    m_regions->add(m_navigator, m_navigator);
    m_regions->add(m_pages, &m_jobs->table());
    m_regions->add(m_inspectorDock, m_inspector->findChild<QWidget*>(u"inspector.tabs"_s));
    m_regions->add(m_sheets, m_sheets);
    m_regions->add(m_operationsDock, m_operationsDock->findChild<QWidget*>(u"operationsTable"_s));
    m_regions->chainTabs();
}

void MainWindow::connectActions()
{
    AppModel& app = m_models.app;
    connect(&app.actions(), &ActionRegistry::triggered, this, &MainWindow::run);
    connect(&app.actions(), &ActionRegistry::refused, this,
        [this](const QString&, const QString& reason) { m_status->say(reason); });
    connect(&app, &AppModel::noticed, this,
        [this](const QString& sentence) { m_status->say(sentence); });
    connect(&app, &AppModel::rowsChanged, this, &MainWindow::refresh);
    connect(&app, &AppModel::readOnlyChanged, this, &MainWindow::refresh);
    connect(&app, &AppModel::firstRunChanged, m_notice, &NoticeBar::refresh);
    connect(&app.link(), &ConnectionLink::phaseChanged, this, &MainWindow::refresh);
    connect(&app.selection(), &Selection::pageChanged, this, &MainWindow::showPage);
    connect(m_navigator, &Navigator::pageChosen, &app.selection(), &Selection::setPage);
    connect(&app.actions(), &ActionRegistry::verifyRequested, this,
        [this] { m_models.app.selection().setPage(DeskPage::Verify); });
    const auto follow = [this](const QString& id, QDockWidget* dock) {
        QAction* action = m_models.app.actions().action(id);
        action->setChecked(!dock->isHidden());
        connect(dock, &QDockWidget::visibilityChanged, action,
            [action, dock] { action->setChecked(!dock->isHidden()); });
    };
    follow(u"view.navigator"_s, m_navigatorDock);
    follow(u"view.inspector"_s, m_inspectorDock);
    follow(u"view.operations"_s, m_operationsDock);
    app.actions().action(themeAction(m_theme.mode()))->setChecked(true);
}

void MainWindow::connectFilter()
{
    connect(m_header->filterEdit(), &QLineEdit::textChanged, this, [this](const QString& text) {
        if (OrderedTable* table = tableOf(m_models.app.selection().page()))
            table->order().setFilterText(text);
        refreshFilter();
    });
    for (OrderedTable* table : { &m_jobs->table(), &m_checkpoints->table(), &m_deployments->table(),
             &m_modelsPage->table() })
        connect(&table->order(), &RowOrderModel::orderChanged, this, &MainWindow::refreshFilter);
}

void MainWindow::connectOperations()
{
    connect(m_operationsDock, &OperationsDock::openRequested, this, [this](const QString& id) {
        if (m_models.operations.isTask(m_models.operations.rowOf(id))) {
            m_models.app.selection().setPage(DeskPage::Verify);
            return;
        }
        m_operations->showRecord(id);
        m_models.app.selection().setPage(DeskPage::Operations);
    });
    connect(
        m_operationsDock, &OperationsDock::reconcileRequested, &m_models, &WindowModels::reconcile);
    connect(m_operations, &OperationsPage::reconcileRequested, &m_models, &WindowModels::reconcile);
    connect(m_operations, &OperationsPage::taskRequested, this,
        [this] { m_models.app.selection().setPage(DeskPage::Verify); });
    for (const auto& connection : { connect(m_operationsDock, &OperationsDock::selected,
                                        &m_models.app.selection(), &Selection::selectOperation),
             connect(m_operations, &OperationsPage::selected, &m_models.app.selection(),
                 &Selection::selectOperation) })
        Q_ASSERT(connection);
    connect(&m_models.operations, &QAbstractItemModel::rowsInserted, this, [this] {
        if (m_operationsDock->height() < px(kOperationsFilled))
            resizeDocks({ m_operationsDock }, { px(kOperationsFilled) }, Qt::Vertical);
        refresh();
    });
}

void MainWindow::run(const QString& id)
{
    AppModel& app = m_models.app;
    if (id.startsWith(u"view.")) {
        runView(id);
    } else if (id == u"conn.add" || id == u"conn.edit") {
        const auto& connection = app.link().connection();
        if (id == u"conn.edit" && connection && !connection->isLocal)
            m_models.connectionForm.edit(*connection);
        else
            m_models.connectionForm.clear();
        showSheet(m_connectionSheet);
        m_connectionSheet->begin();
    } else if (id == u"train.new") {
        m_models.trainingForm.reset();
        showSheet(m_trainingSheet);
        m_trainingSheet->begin();
    } else if (id == u"run.open") {
        askForRunFolder(*this, app);
    } else if (id == u"app.quit") {
        close();
    } else if (id == u"edit.copy") {
        if (auto* table = qobject_cast<OrderedTable*>(QApplication::focusWidget()))
            table->copySelection();
    } else if (id == u"help.about") {
        showAbout(*this, app);
    }
}

void MainWindow::runView(const QString& id)
{
    AppModel& app = m_models.app;
    if (id == u"view.filter") {
        m_header->filterEdit()->setFocus(Qt::ShortcutFocusReason);
        m_header->filterEdit()->selectAll();
    } else if (id == u"view.resort") {
        if (OrderedTable* table = tableOf(app.selection().page()))
            table->order().resort();
    } else if (id == u"view.nextRegion" || id == u"view.previousRegion") {
        m_regions->go(id == u"view.nextRegion" ? 1 : -1);
    } else if (id == u"view.navigator") {
        m_navigatorDock->setVisible(m_navigatorDock->isHidden());
    } else if (id == u"view.inspector") {
        m_wantsInspector = m_inspectorDock->isHidden();
        m_inspectorDock->setVisible(m_wantsInspector && m_sheets->sheet() == nullptr);
    } else if (id == u"view.operations") {
        m_operationsDock->setVisible(m_operationsDock->isHidden());
    } else if (id == u"view.charts") {
        app.selection().setPage(DeskPage::Jobs);
        m_jobs->setChartsOnly(app.actions().action(id)->isChecked());
    } else if (id.startsWith(u"view.theme")) {
        m_theme.setMode(Theme::fromWord(id.mid(10).toLower()));
        app.setThemeWord(Theme::word(m_theme.mode()));
    }
}

OrderedTable* MainWindow::tableOf(DeskPage page) const
{
    switch (page) {
    case DeskPage::Jobs:
        return &m_jobs->table();
    case DeskPage::Checkpoints:
        return &m_checkpoints->table();
    case DeskPage::Deployments:
        return &m_deployments->table();
    case DeskPage::Models:
        return &m_modelsPage->table();
    case DeskPage::Operations:
    case DeskPage::Verify:
        break;
    }
    return nullptr;
}

void MainWindow::showPage(DeskPage page)
{
    m_pages->setCurrentIndex(int(page));
    m_navigator->setPage(page);
    const OrderedTable* table = tableOf(page);
    QLineEdit* filter = m_header->filterEdit();
    filter->setEnabled(table != nullptr);
    filter->setText(table != nullptr ? table->order().filterText() : QString());
    refreshFilter();
    m_notice->refresh();
    foldForWidth();
}

void MainWindow::refreshFilter()
{
    const OrderedTable* table = tableOf(m_models.app.selection().page());
    QString count;
    if (table != nullptr && !table->order().filterText().isEmpty()) {
        count = tr("%1 of %2").arg(table->order().rowCount()).arg(table->order().scopedRowCount());
    }
    m_header->setFilterCount(count);
}

void MainWindow::refresh()
{
    AppModel& app = m_models.app;
    const bool hasAny = app.link().account() != nullptr || !app.isFirstRun();
    const auto countOf = [hasAny](int rows) { return hasAny ? rows : -1; };
    m_navigator->setCount(DeskPage::Jobs, countOf(app.jobs().rowCount()));
    m_navigator->setCount(DeskPage::Checkpoints, countOf(app.checkpoints().rowCount()));
    m_navigator->setCount(DeskPage::Deployments, countOf(app.deployments().rowCount()));
    m_navigator->setCount(DeskPage::Models, countOf(app.models().rowCount()));
    m_navigator->setCount(DeskPage::Operations, m_models.operations.rowCount());
    m_header->refresh();
    m_status->refresh();
    m_status->setDevice(app.deviceText());
}

void MainWindow::bringToFront()
{
    setWindowState(windowState() & ~Qt::WindowMinimized);
    show();
    raise();
    activateWindow();
}

/// Narrow windows and wide sheets take the names of the navigator away; icons stay.
void MainWindow::foldForWidth()
{
    const bool wantsRoom = m_sheets->sheet() == m_review
        || (m_models.app.selection().page() == DeskPage::Checkpoints
            && width() < px(kFoldTablesBelow));
    const bool isFolded = width() < px(kFoldBelow) || wantsRoom;
    if (m_navigator->isFolded() == isFolded)
        return;
    m_navigator->setFolded(isFolded);
    resizeDocks(
        { m_navigatorDock }, { px(isFolded ? kNavigatorFolded : kNavigatorWidth) }, Qt::Horizontal);
}

void MainWindow::showSheet(QWidget* sheet)
{
    if (m_sheets->sheet() == nullptr && !m_inspectorDock->isHidden())
        m_inspectorWidth = m_inspectorDock->width();
    m_sheets->showSheet(sheet);
    foldForWidth();
    const int navigator = m_navigator->isFolded() ? kNavigatorFolded : kNavigatorWidth;
    resizeDocks({ m_navigatorDock, m_sheets }, { px(navigator), sheet->sizeHint().width() },
        Qt::Horizontal);
}

void MainWindow::resizeEvent(QResizeEvent* event)
{
    QMainWindow::resizeEvent(event);
    foldForWidth();
}

void MainWindow::restoreWindow()
{
    AppModel& app = m_models.app;
    restoreGeometry(app.windowState(kGeometryKey));
    if (restoreState(app.windowState(kDocksKey), kStateVersion)) {
        m_sheets->hide(); // a sheet has no state to go on with
        m_wantsInspector = !m_inspectorDock->isHidden();
    }
    const QByteArray splitter = app.windowState(kSplitterKey);
    if (!splitter.isEmpty())
        m_jobs->restoreState(splitter);
}

void MainWindow::saveWindow()
{
    AppModel& app = m_models.app;
    if (m_sheets->sheet() != nullptr) {
        m_sheets->hide();
        m_inspectorDock->setVisible(m_wantsInspector);
    }
    app.setWindowState(kGeometryKey, saveGeometry());
    app.setWindowState(kDocksKey, saveState(kStateVersion));
    app.setWindowState(kSplitterKey, m_jobs->saveState());
}

/// Esc closes the sheet wherever the focus is.
void MainWindow::keyPressEvent(QKeyEvent* event)
{
    QWidget* sheet = m_sheets->sheet();
    if (event->key() != Qt::Key_Escape || sheet == nullptr)
        QMainWindow::keyPressEvent(event);
    else if (sheet == m_review)
        m_models.review.close();
    else
        m_sheets->closeSheet(sheet);
}

void MainWindow::closeEvent(QCloseEvent* event)
{
    saveWindow();
    QMainWindow::closeEvent(event);
}

} // namespace desk
