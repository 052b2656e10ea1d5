// SPDX-License-Identifier: GPL-3.0-or-later
// The real window over a scripted control plane: names, first steps, opening and closing.
#include "app/desk/desk_app.h"
#include "tests/support/fake_desk.h"
#include "tests/support/window_driver.h"
#include "ui/shell/main_window.h"
#include "ui/shell/ordered_table.h"
#include "ui/style/theme.h"
#include "ui/widgets/panel.h"

#include <QAbstractScrollArea>
#include <QAction>
#include <QLabel>
#include <QLineEdit>
#include <QMenuBar>
#include <QStatusBar>
#include <QTest>

#include <memory>

using namespace Qt::StringLiterals;
using namespace desk;

class TestWindow final : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void init();
    void cleanup();
    void promisedNames_areThere();
    void reachableWidgets_haveNames();
    void twoClicks_plotTheSample();
    void deadBackend_isSaidAndRowsStay();
    void refusedKey_isSaid();
    void disabledShortcut_saysWhy();
    void filter_countsAndClears();
    void regions_cycleByF6();
    void sheet_takesThePlaceOfTheInspector();
    void readOnly_blocksWrites();
    void addConnection_testsAndConnects();
    void addConnection_wrongKeyIsSaidAndNothingIsSaved();
    void newTraining_writesARecipe();
    void page_bringsItsSubjectIntoTheInspector();
    void openRunFolder_showsItsCurve();
    void tornLedgerLine_isNoPoint();
    void windowState_isRemembered();
    void openAndClose_fiftyTimes();

private:
    void open();
    [[nodiscard]] QAction* action(const QString& id) const
    {
        return m_app->window()->findChild<QMenuBar*>()->isVisible() ? findAction(id) : nullptr;
    }
    [[nodiscard]] QAction* findAction(const QString& id) const;

    std::unique_ptr<test::FakeDesk> m_fake;
    std::unique_ptr<Theme> m_theme;
    std::unique_ptr<DeskApp> m_app;
    std::unique_ptr<WindowDriver> m_driver;
};

void TestWindow::init()
{
    m_fake = std::make_unique<test::FakeDesk>();
    m_fake->isJobListed = false;
    m_theme = std::make_unique<Theme>(Theme::Mode::Light);
}

void TestWindow::cleanup()
{
    m_driver.reset();
    m_app.reset();
    m_theme.reset();
    m_fake.reset();
}

void TestWindow::open()
{
    m_driver.reset();
    m_app.reset();
    m_app = std::make_unique<DeskApp>(
        m_fake->profile, *m_theme, DeskPrograms { u"/nonexistent"_s, m_fake->ctl, {} });
    m_app->keys().setKeyringEnabled(false);
    m_app->start({});
    m_driver = std::make_unique<WindowDriver>(*m_app->window());
}

QAction* TestWindow::findAction(const QString& id) const
{
    for (QAction* candidate : m_app->window()->actions()) {
        if (candidate->objectName() == id)
            return candidate;
    }
    return nullptr;
}

void TestWindow::promisedNames_areThere()
{
    open();
    QCOMPARE(m_app->window()->objectName(), u"mainWindow"_s);
    for (const QString& name : { u"navigator"_s, u"jobsTable"_s, u"checkpointsTable"_s,
             u"deploymentsTable"_s, u"modelsTable"_s, u"operationsDock"_s, u"operationsTable"_s,
             u"chartArea"_s, u"readoutStrip"_s, u"eventLane"_s, u"inspector"_s, u"filterEdit"_s,
             u"statusBar"_s, u"reviewSheet"_s, u"reviewSheet.commit"_s, u"reviewSheet.cancel"_s,
             u"reviewSheet.preflight"_s, u"reviewSheet.request"_s, u"firstRun.useLocal"_s,
             u"firstRun.startSample"_s, u"firstRun.addConnection"_s, u"firstRun.openFolder"_s,
             u"verifyPage"_s, u"verifyPage.verdict"_s, u"verifyPage.tensors"_s,
             u"verifyPage.heatStrip"_s })
        QVERIFY2(m_app->window()->findChild<QWidget*>(name) != nullptr, qPrintable(name));
    for (const QString& id : { u"ckpt.save"_s, u"ckpt.promote"_s, u"deploy.hotload"_s })
        QVERIFY2(findAction(id) != nullptr, qPrintable(id));
}

void TestWindow::reachableWidgets_haveNames()
{
    open();
    for (const QWidget* widget : m_app->window()->findChildren<QWidget*>()) {
        if ((widget->focusPolicy() & Qt::TabFocus) == 0 || !widget->isVisible()
            || widget->objectName().startsWith(u"qt_")
            || qobject_cast<QAbstractScrollArea*>(widget->parentWidget()) != nullptr)
            continue; // the last: a viewport, whose view has the name
        const QString where = QString::fromLatin1(widget->metaObject()->className()) + u" in "_s
            + widget->parentWidget()->objectName();
        QVERIFY2(!widget->objectName().isEmpty(), qPrintable(where));
        const bool isNamed =
            !widget->accessibleName().isEmpty() || !widget->property("text").toString().isEmpty();
        QVERIFY2(isNamed, qPrintable(widget->objectName() + u" has no accessible name"_s));
    }
}

void TestWindow::twoClicks_plotTheSample()
{
    open();
    QVERIFY(m_driver->click(u"firstRun.useLocal"_s));
    QVERIFY(m_driver->waitEnabled(u"firstRun.startSample"_s, 10000));
    m_fake->isJobListed = true; // the job comes with the training
    QVERIFY(m_driver->click(u"firstRun.startSample"_s));
    QVERIFY(m_driver->waitVisible(u"jobsTable"_s, 10000));
    QVERIFY(m_driver->waitFor(
        [&] {
            const QString row = m_driver->rowText(u"jobsTable"_s, u"job-1"_s);
            return row.contains(u"3"_s) && m_driver->rowCount(u"jobsTable"_s) == 1;
        },
        10000));
    // Selected without a further click.
    auto* table = m_driver->find<OrderedTable>(u"jobsTable"_s);
    QVERIFY(m_driver->waitFor(
        [&] { return table->selectedId() == u"accounts/local/rlorTrainerJobs/job-1"; }, 10000));
}

void TestWindow::deadBackend_isSaidAndRowsStay()
{
    m_fake->isJobListed = true;
    open();
    findAction(u"conn.useLocal"_s)->trigger();
    QVERIFY(m_driver->waitFor([&] { return m_driver->rowCount(u"jobsTable"_s) == 1; }, 10000));
    m_fake->plane.server.close();
    QVERIFY(m_driver->waitVisible(u"noticeBar.retry"_s, 15000));
    QCOMPARE(m_driver->rowCount(u"jobsTable"_s), 1);
    QVERIFY(!findAction(u"deploy.create"_s)->isEnabled());
    QVERIFY2(findAction(u"deploy.create"_s)->statusTip().contains(u"does not answer"_s),
        qPrintable(findAction(u"deploy.create"_s)->statusTip()));
}

void TestWindow::refusedKey_isSaid()
{
    m_fake->isKeyRefused = true;
    open();
    findAction(u"conn.useLocal"_s)->trigger();
    // The ready file names a backend that refuses its own key, and no program can be started.
    QVERIFY(m_driver->waitVisible(u"firstRun.problem"_s, 15000));
}

void TestWindow::disabledShortcut_saysWhy()
{
    open();
    QVERIFY(!findAction(u"ckpt.promote"_s)->isEnabled());
    m_driver->press(u"Ctrl+Shift+P"_s);
    QVERIFY(m_driver->waitFor(
        [&] { return m_app->window()->statusBar()->currentMessage().contains(u"no connection"_s); },
        2000));
}

void TestWindow::filter_countsAndClears()
{
    m_fake->isJobListed = true;
    open();
    findAction(u"conn.useLocal"_s)->trigger();
    QVERIFY(m_driver->waitFor([&] { return m_driver->rowCount(u"jobsTable"_s) == 1; }, 10000));
    QVERIFY(m_driver->type(u"filterEdit"_s, u"nothing-like-it"_s));
    QCOMPARE(m_driver->rowCount(u"jobsTable"_s), 0);
    QCOMPARE(m_driver->find<QLabel>(u"filterCount"_s)->text(), u"0 of 1"_s);
    QTest::keyClick(m_driver->find<QLineEdit>(u"filterEdit"_s), Qt::Key_Escape);
    QCOMPARE(m_driver->rowCount(u"jobsTable"_s), 1);
}

void TestWindow::regions_cycleByF6()
{
    open();
    m_driver->find(u"navigator"_s)->setFocus();
    QSet<QString> seen;
    for (int i = 0; i < 6; ++i) {
        m_driver->press(u"F6"_s);
        QVERIFY(QApplication::focusWidget() != nullptr);
        seen.insert(QApplication::focusWidget()->objectName());
    }
    const QString all = QStringList(seen.cbegin(), seen.cend()).join(u' ');
    QVERIFY2(seen.contains(u"filterEdit"_s), qPrintable(all));
    QVERIFY(seen.contains(u"navigator"_s));
    QVERIFY(seen.contains(u"inspector.tabs"_s));
}

void TestWindow::sheet_takesThePlaceOfTheInspector()
{
    open();
    auto* inspector = m_driver->find(u"inspector"_s);
    const int width = inspector->width();
    QVERIFY(m_driver->click(u"firstRun.addConnection"_s));
    QVERIFY(m_driver->waitVisible(u"connectionSheet"_s, 2000));
    QVERIFY(!inspector->isVisible());
    QVERIFY(!m_driver->find(u"connectionSheet.save"_s)->isEnabled());
    m_driver->press(u"Esc"_s);
    QVERIFY(m_driver->waitVisible(u"inspector"_s, 2000));
    QVERIFY(m_driver->waitFor([&] { return std::abs(inspector->width() - width) < 4; }, 2000));
}

void TestWindow::readOnly_blocksWrites()
{
    m_fake->isJobListed = true;
    open();
    findAction(u"conn.useLocal"_s)->trigger();
    QVERIFY(m_driver->waitFor([&] { return findAction(u"deploy.create"_s)->isEnabled(); }, 10000));
    findAction(u"app.readOnly"_s)->trigger();
    QVERIFY(!findAction(u"deploy.create"_s)->isEnabled());
    QVERIFY(findAction(u"deploy.create"_s)->statusTip().contains(u"Read-only"_s));
    QVERIFY(m_driver->waitVisible(u"readOnlyPill"_s, 2000));
}

void TestWindow::addConnection_testsAndConnects()
{
    m_fake->isJobListed = true;
    open();
    QVERIFY(m_driver->click(u"firstRun.addConnection"_s));
    QVERIFY(m_driver->type(u"connectionSheet.name"_s, u"lab"_s));
    QVERIFY(m_driver->type(u"connectionSheet.url"_s, m_fake->plane.server.url()));
    QVERIFY(!m_driver->find(u"connectionSheet.test"_s)->isEnabled()); // no key yet
    QVERIFY(m_driver->type(u"connectionSheet.key"_s, u"fw_secret0123"_s));
    QVERIFY(m_driver->click(u"connectionSheet.test"_s));
    auto* result = m_driver->find<Band>(u"connectionSheet.result"_s);
    QVERIFY(m_driver->waitFor([&] { return result->text().startsWith(u"It works"_s); }, 10000));
    QVERIFY2(result->text().contains(u"account local"_s), qPrintable(result->text()));
    QVERIFY(m_driver->click(u"connectionSheet.save"_s));
    QVERIFY(m_driver->waitFor([&] { return m_driver->rowCount(u"jobsTable"_s) == 1; }, 10000));
    // The key is in no file of the profile.
    QVERIFY(m_app->settings().save());
    QFile settings(m_fake->profile.settingsFile());
    QVERIFY(settings.open(QIODevice::ReadOnly));
    const QByteArray text = settings.readAll();
    QVERIFY(text.contains("\"lab\""));
    QVERIFY(!text.contains("fw_secret0123"));
}

void TestWindow::addConnection_wrongKeyIsSaidAndNothingIsSaved()
{
    m_fake->isKeyRefused = true;
    open();
    QVERIFY(m_driver->click(u"firstRun.addConnection"_s));
    QVERIFY(m_driver->type(u"connectionSheet.name"_s, u"lab"_s));
    QVERIFY(m_driver->type(u"connectionSheet.url"_s, m_fake->plane.server.url()));
    QVERIFY(m_driver->type(u"connectionSheet.account"_s, u"local"_s));
    QVERIFY(m_driver->type(u"connectionSheet.key"_s, u"wrong"_s));
    QVERIFY(m_driver->click(u"connectionSheet.test"_s));
    auto* note = m_driver->find<QLabel>(u"connectionSheet.note"_s);
    QVERIFY(m_driver->waitFor([&] { return !note->text().isEmpty(); }, 10000));
    QVERIFY(!m_app->settings().connection("lab"));
}

void TestWindow::newTraining_writesARecipe()
{
    Model base;
    base.name = "accounts/local/models/desk-tiny";
    base.kind = "HF_BASE_MODEL";
    base.state = "READY";
    m_fake->plane.models.push_back(base);
    m_fake->isJobListed = true;
    const QString text = m_fake->folder.filePath(u"my text.txt"_s);
    test::FakeDesk::write(text, "once upon a time\n");
    open();
    findAction(u"conn.useLocal"_s)->trigger();
    QVERIFY(m_driver->waitFor([&] { return m_driver->rowCount(u"modelsTable"_s) == 1; }, 10000));
    m_driver->press(u"Ctrl+N"_s);
    QVERIFY(m_driver->waitVisible(u"trainingSheet"_s, 2000));
    QVERIFY(!m_driver->find(u"trainingSheet.start"_s)->isEnabled());
    QVERIFY(m_driver->type(u"trainingSheet.file"_s, text));
    QVERIFY(m_driver->type(u"trainingSheet.learningRate"_s, u"1e-5"_s));
    QVERIFY(m_driver->click(u"trainingSheet.start"_s));
    QVERIFY(m_driver->waitFor(
        [&] {
            const QDir runs(m_fake->profile.runsDir);
            const QStringList names = runs.entryList(QDir::Dirs | QDir::NoDotAndDotDot);
            return names.size() == 1
                && QFile::exists(runs.filePath(names.first() + u"/recipe.json"_s));
        },
        10000));
    const QDir runs(m_fake->profile.runsDir);
    QFile recipe(runs.filePath(
        runs.entryList(QDir::Dirs | QDir::NoDotAndDotDot).first() + u"/recipe.json"_s));
    QVERIFY(recipe.open(QIODevice::ReadOnly));
    const QByteArray written = recipe.readAll();
    QVERIFY2(written.contains("my text.txt"), written.constData());
    QVERIFY2(written.contains("1e-05"), written.constData());
    QVERIFY2(written.contains("\"max_steps\": 200"), written.constData());
}

void TestWindow::page_bringsItsSubjectIntoTheInspector()
{
    m_fake->isJobListed = true;
    open();
    findAction(u"conn.useLocal"_s)->trigger();
    QVERIFY(m_driver->clickRow(u"jobsTable"_s, u"job-1"_s));
    auto* title = m_driver->find<QLabel>(u"inspector.title"_s);
    QVERIFY(m_driver->waitFor([&] { return title->text().contains(u"job-1"_s); }, 2000));
    QVERIFY(m_driver->clickRow(u"navigator"_s, u"Deployments"_s));
    QVERIFY(m_driver->clickRow(u"deploymentsTable"_s, u"eval"_s));
    QVERIFY(m_driver->waitFor([&] { return title->text().contains(u"eval"_s); }, 2000));
    QVERIFY(m_driver->clickRow(u"navigator"_s, u"Jobs"_s));
    QVERIFY(m_driver->waitFor([&] { return title->text().contains(u"job-1"_s); }, 2000));
}

void TestWindow::openRunFolder_showsItsCurve()
{
    const QString run = m_fake->folder.filePath(u"my run"_s);
    QVERIFY(QDir().mkpath(run));
    test::FakeDesk::write(run + u"/metrics.jsonl"_s,
        "{\"step\":1,\"train/loss\":2.5}\n{\"step\":2,\"train/loss\":2.25}\n");
    open();
    DeskOptions options;
    options.paths = { run };
    m_app->takeOver(options);
    QVERIFY(m_driver->waitFor([&] { return m_driver->rowCount(u"jobsTable"_s) == 1; }, 10000));
    QVERIFY(m_driver->rowText(u"jobsTable"_s, u"my run"_s).contains(u"2"_s));
}

void TestWindow::tornLedgerLine_isNoPoint()
{
    const QString run = m_fake->folder.filePath(u"torn"_s);
    QVERIFY(QDir().mkpath(run));
    test::FakeDesk::write(
        run + u"/metrics.jsonl"_s, "{\"step\":1,\"train/loss\":2.5}\n{\"step\":9,\"train/lo");
    open();
    DeskOptions options;
    options.paths = { run };
    m_app->takeOver(options);
    QVERIFY(m_driver->waitFor(
        [&] { return m_driver->rowText(u"jobsTable"_s, u"torn"_s).contains(u"2.5000"_s); }, 10000));
    QVERIFY(!m_driver->rowText(u"jobsTable"_s, u"torn"_s).contains(u"| 9"_s));
}

void TestWindow::windowState_isRemembered()
{
    open();
    m_app->window()->resize(1200, 700);
    findAction(u"view.navigator"_s)->trigger();
    QVERIFY(m_app->window()->close());
    open();
    QCOMPARE(m_app->window()->size(), QSize(1200, 700));
    QVERIFY(!m_driver->find(u"navigator"_s)->isVisible());
}

void TestWindow::openAndClose_fiftyTimes()
{
    m_fake->isJobListed = true;
    for (int i = 0; i < 50; ++i) {
        DeskApp app(m_fake->profile, *m_theme, { u"/nonexistent"_s, m_fake->ctl, {} });
        app.keys().setKeyringEnabled(false);
        DeskOptions options;
        options.usesLocal = i % 2 == 0;
        app.start(options);
        // Half of them end in the middle of their start.
        QTest::qWait(i % 5);
        app.window()->close();
    }
}

QTEST_MAIN(TestWindow)
#include "tst_window.moc"
