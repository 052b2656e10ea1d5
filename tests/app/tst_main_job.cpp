// SPDX-License-Identifier: GPL-3.0-or-later
// The whole main job through the real window: real clicks and keys by object name, a real backend
// and a real training beside it, and the result checked from outside the window.
#include "app/desk/desk_app.h"
#include "tests/support/window_driver.h"
#include "ui/charts/chart_area.h"
#include "ui/shell/main_window.h"
#include "ui/style/theme.h"
#include "ui/widgets/panel.h"

#include <QDir>
#include <QFile>
#include <QNetworkAccessManager>
#include <QNetworkReply>
#include <QProcess>
#include <QSignalSpy>
#include <QTabBar>
#include <QTemporaryDir>
#include <QTest>

#include <csignal>
#include <nlohmann/json.hpp>

using namespace Qt::StringLiterals;
using Json = nlohmann::json;

namespace {

constexpr int kStartMs = 60000;
constexpr int kStepMs = 60000;
constexpr int kOperationMs = 90000;

QByteArray fileText(const QString& path)
{
    QFile file(path);
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

/// What a program prints, run to its end without the window knowing.
struct Outcome
{
    int exitCode = -1;
    QByteArray output;
};

Outcome runProgram(const QString& name, const QStringList& arguments)
{
    QProcess process;
    process.setProcessChannelMode(QProcess::ForwardedErrorChannel);
    QSignalSpy finished(&process, &QProcess::finished);
    process.start(QStringLiteral(DESK_BIN_DIR "/") + name, arguments);
    if (!QTest::qWaitFor([&] { return !finished.isEmpty(); }, kOperationMs))
        return {};
    return { process.exitCode(), process.readAllStandardOutput() };
}

} // namespace

class TestMainJob : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void cleanupTestCase();

    // In the order of a person's first half hour; each slot stands on the ones before.
    void twoClicks_bringALiveCurve();
    void save_base();
    void save_delta();
    void delta_cannotBePromotedAndSaysWhy();
    void promote_base();
    void create_deployment();
    void hotload_base();
    void hotload_delta_changesTheCompletion();
    void verify_deltaIsExact();
    void outside_filesAndServerAgree();
    void killedWindow_losesNoRecord();

private:
    [[nodiscard]] Json get(const QString& path);
    [[nodiscard]] QString complete();
    [[nodiscard]] qsizetype ledgerLines() const;
    [[nodiscard]] bool commitAndWait(const QString& rowText, const QString& word);
    [[nodiscard]] QString snapshotOf(const QString& prefix);
    [[nodiscard]] Json checkpointRow(const QString& id);

    QTemporaryDir m_folder;
    desk::Profile m_profile;
    std::unique_ptr<desk::Theme> m_theme;
    std::unique_ptr<desk::DeskApp> m_app;
    std::unique_ptr<desk::WindowDriver> m_driver;
    QNetworkAccessManager m_network;
    QString m_url;
    QString m_job; // full name
    QString m_base; // snapshot ids with session suffix
    QString m_delta;
    QString m_untrained; // answer of the deployment before anything was loaded
};

void TestMainJob::initTestCase()
{
    QVERIFY(m_folder.isValid());
    m_profile = desk::profileAt(m_folder.path());
    QVERIFY(desk::ensureProfile(m_profile).has_value());
    m_theme = std::make_unique<desk::Theme>(desk::Theme::Mode::Light);
    const QString bin = QStringLiteral(DESK_BIN_DIR);
    m_app = std::make_unique<desk::DeskApp>(m_profile, *m_theme,
        desk::DeskPrograms { bin + u"/trainerdesk-local"_s, bin + u"/trainerdesk-ctl"_s, {} });
    m_app->start({});
    m_driver = std::make_unique<desk::WindowDriver>(*m_app->window());
}

void TestMainJob::cleanupTestCase()
{
    m_driver.reset();
    m_app.reset();
    m_theme.reset();
    // The run and the backend outlive the window on purpose; the test ends them, and waits for
    // their ends so that the folder can go.
    QList<int> pids;
    for (const QString& run : QDir(m_profile.runsDir).entryList(QDir::Dirs | QDir::NoDotAndDotDot))
        pids << fileText(m_profile.runsDir + u'/' + run + u"/pid"_s).trimmed().toInt();
    const Json ready = Json::parse(fileText(m_profile.readyFile()).toStdString(), nullptr, false);
    if (ready.is_object())
        pids << ready.value("pid", 0);
    for (const int pid : std::as_const(pids)) {
        if (pid <= 0)
            continue;
        ::kill(pid, SIGTERM);
        QVERIFY2(QTest::qWaitFor([&] { return ::kill(pid, 0) != 0; }, 20000),
            "a process did not end after SIGTERM");
    }
}

Json TestMainJob::get(const QString& path)
{
    QNetworkRequest request(QUrl(m_url + path));
    request.setRawHeader(
        "Authorization", "Bearer " + fileText(m_profile.localDir + u"/key"_s).trimmed());
    QNetworkReply* reply = m_network.get(request);
    const bool isDone = QTest::qWaitFor([&] { return reply->isFinished(); }, 20000);
    const Json body = isDone ? Json::parse(reply->readAll().toStdString(), nullptr, false) : Json();
    reply->deleteLater();
    return body;
}

QString TestMainJob::complete()
{
    QNetworkRequest request(QUrl(m_url + u"/inference/v1/completions"_s));
    request.setRawHeader(
        "Authorization", "Bearer " + fileText(m_profile.localDir + u"/key"_s).trimmed());
    request.setHeader(QNetworkRequest::ContentTypeHeader, u"application/json"_s);
    const Json body { { "model", "accounts/local/deployments/eval" }, { "prompt", "Customer: " },
        { "max_tokens", 48 }, { "temperature", 0.0 } };
    QNetworkReply* reply = m_network.post(request, QByteArray::fromStdString(body.dump()));
    const bool isDone = QTest::qWaitFor([&] { return reply->isFinished(); }, 30000);
    const Json answer =
        isDone ? Json::parse(reply->readAll().toStdString(), nullptr, false) : Json();
    reply->deleteLater();
    if (!answer.is_object() || !answer.contains("choices"))
        return {};
    return QString::fromStdString(answer.at("model").get<std::string>() + '\n'
        + answer.at("choices").at(0).at("text").get<std::string>());
}

qsizetype TestMainJob::ledgerLines() const
{
    const auto runs = QDir(m_profile.runsDir).entryList(QDir::Dirs | QDir::NoDotAndDotDot);
    return fileText(m_profile.runsDir + u'/' + runs.value(0) + u"/metrics.jsonl"_s).count('\n');
}

bool TestMainJob::commitAndWait(const QString& rowText, const QString& word)
{
    if (!m_driver->click(u"reviewSheet.commit"_s, kOperationMs))
        return false;
    const bool isDone = m_driver->waitFor(
        [&] {
            const QString row = m_driver->rowText(u"operationsTable"_s, rowText);
            return row.startsWith(word) || row.startsWith(u"failed"_s)
                || row.startsWith(u"unknown"_s);
        },
        kOperationMs);
    const QString row = m_driver->rowText(u"operationsTable"_s, rowText);
    if (!row.startsWith(word))
        qWarning("operation ended as: %s", qPrintable(row));
    return isDone && row.startsWith(word) && !m_driver->find(u"reviewSheet"_s)->isVisible();
}

QString TestMainJob::snapshotOf(const QString& prefix)
{
    const Json page = get(u"/v1/"_s + m_job + u"/checkpoints?pageSize=200"_s);
    if (!page.is_object())
        return {};
    for (const auto& row : page.value("checkpoints", Json::array())) {
        const QString id =
            QString::fromStdString(row.at("name").get<std::string>()).section(u'/', -1);
        if (id.startsWith(prefix + u'-'))
            return id;
    }
    return {};
}

/// The row with this id; a row without members if there is none.
Json TestMainJob::checkpointRow(const QString& id)
{
    const Json page = get(u"/v1/"_s + m_job + u"/checkpoints?pageSize=200"_s);
    if (page.is_object())
        for (const auto& row : page.value("checkpoints", Json::array()))
            if (QString::fromStdString(row.at("name").get<std::string>()).endsWith(u'/' + id))
                return row;
    qWarning("no row %s in %s", qPrintable(id), page.dump().c_str());
    return Json::object();
}

void TestMainJob::twoClicks_bringALiveCurve()
{
    QVERIFY(m_driver->click(u"firstRun.useLocal"_s, kStartMs));
    QVERIFY(m_driver->click(u"firstRun.startSample"_s, kStartMs));
    // No third click: the new job is selected and its curve grows.
    QVERIFY(m_driver->waitVisible(u"jobsTable"_s, kStartMs));
    auto* charts = m_driver->find<desk::ChartArea>(u"chartArea"_s);
    QVERIFY(charts != nullptr && charts->isVisible());
    QVERIFY(m_driver->waitFor([&] { return m_driver->rowCount(u"jobsTable"_s) == 1; }, kStepMs));
    const Json ready = Json::parse(fileText(m_profile.readyFile()).toStdString());
    m_url = QString::fromStdString(ready.at("url").get<std::string>());
    // The run's folder makes a row before its job is created.
    QVERIFY(m_driver->waitFor([&] { return ledgerLines() >= 3; }, kStepMs));
    const Json jobs = get(u"/v1/accounts/local/rlorTrainerJobs"_s);
    QCOMPARE(jobs.at("rlorTrainerJobs").size(), std::size_t(1));
    m_job = QString::fromStdString(jobs.at("rlorTrainerJobs").at(0).at("name").get<std::string>());
    const auto losses = [&] { return m_driver->find<desk::ChartArea>(u"chartArea"_s)->grab(); };
    const QPixmap before = losses();
    QVERIFY(m_driver->waitFor([&] { return losses().toImage() != before.toImage(); }, kStepMs));
}

void TestMainJob::save_base()
{
    // Some steps first, so that what is loaded later really answers differently.
    QVERIFY(m_driver->waitFor([&] { return ledgerLines() >= 40; }, kStepMs));
    m_driver->press(u"Ctrl+Shift+S"_s);
    QVERIFY(m_driver->waitVisible(u"reviewSheet"_s, kStepMs));
    QVERIFY(m_driver->choose(u"reviewSheet.kind"_s, u"base"_s));
    QVERIFY(m_driver->type(u"reviewSheet.name"_s, u"first"_s));
    QVERIFY(commitAndWait(u"Save base first"_s, u"saved"_s));
    m_base = snapshotOf(u"first"_s);
    QVERIFY2(
        QRegularExpression(u"^first-[0-9a-f]{8}$"_s).match(m_base).hasMatch(), qPrintable(m_base));
    QCOMPARE(checkpointRow(m_base).value("checkpointType", std::string()),
        std::string("CHECKPOINT_TYPE_INFERENCE_BASE"));
}

void TestMainJob::save_delta()
{
    m_driver->press(u"Ctrl+Shift+S"_s);
    QVERIFY(m_driver->waitVisible(u"reviewSheet"_s, kStepMs));
    QVERIFY(m_driver->choose(u"reviewSheet.kind"_s, u"delta"_s));
    QVERIFY(m_driver->type(u"reviewSheet.name"_s, u"second"_s));
    QVERIFY(commitAndWait(u"Save delta second"_s, u"saved"_s));
    m_delta = snapshotOf(u"second"_s);
    const Json row = checkpointRow(m_delta);
    QCOMPARE(row.value("checkpointType", std::string()),
        std::string("CHECKPOINT_TYPE_INFERENCE_ARC_V2"));
    QCOMPARE(row.value("promotable", true), false);
    QCOMPARE(QString::fromStdString(row.value("parent", "")), m_base);
}

void TestMainJob::delta_cannotBePromotedAndSaysWhy()
{
    auto* tabs = m_driver->find<QTabBar>(u"jobs.tabs"_s);
    QVERIFY(tabs != nullptr);
    QTest::mouseClick(tabs, Qt::LeftButton, Qt::NoModifier, tabs->tabRect(1).center());
    QVERIFY(m_driver->clickRow(u"jobs.checkpointsTable"_s, m_delta));
    m_driver->press(u"Ctrl+Shift+P"_s);
    QTest::qWait(0);
    QVERIFY(!m_driver->find(u"reviewSheet"_s)->isVisible());
    QVERIFY2(m_driver->rowText(u"jobs.checkpointsTable"_s, m_delta).contains(u"needs its base"_s),
        qPrintable(m_driver->rowText(u"jobs.checkpointsTable"_s, m_delta)));
}

void TestMainJob::promote_base()
{
    QVERIFY(m_driver->clickRow(u"jobs.checkpointsTable"_s, m_base));
    m_driver->press(u"Ctrl+Shift+P"_s);
    QVERIFY(m_driver->waitVisible(u"reviewSheet.modelId"_s, kStepMs));
    // A bad id is refused on the sheet: nothing can be sent.
    QVERIFY(m_driver->type(u"reviewSheet.modelId"_s, u"My_Model"_s));
    QVERIFY(m_driver->waitFor(
        [&] { return !m_driver->find(u"reviewSheet.commit"_s)->isEnabled(); }, kStepMs));
    QVERIFY(m_driver->type(u"reviewSheet.modelId"_s, u"first-model"_s));
    QVERIFY(commitAndWait(u"Promote "_s + m_base, u"promoted"_s));
    const Json model = get(u"/v1/accounts/local/models/first-model"_s);
    QCOMPARE(model.value("state", std::string()), std::string("READY"));
}

void TestMainJob::create_deployment()
{
    auto* navigator = m_driver->find<QAbstractItemView>(u"navigator"_s);
    QVERIFY(m_driver->clickRow(u"navigator"_s, u"Deployments"_s));
    QVERIFY(navigator != nullptr);
    QVERIFY(m_driver->click(u"deployments.create"_s));
    QVERIFY(m_driver->waitVisible(u"reviewSheet.name"_s, kStepMs));
    QVERIFY(m_driver->type(u"reviewSheet.name"_s, u"eval"_s));
    QVERIFY(m_driver->choose(u"reviewSheet.job"_s, m_job));
    QVERIFY(commitAndWait(u"Create deployment"_s, u"created"_s));
    QVERIFY(m_driver->waitFor(
        [&] { return m_driver->rowText(u"deploymentsTable"_s, u"eval"_s).contains(u"2"_s); },
        kStepMs));
    m_untrained = complete();
    QVERIFY(!m_untrained.isEmpty());
}

void TestMainJob::hotload_base()
{
    QVERIFY(m_driver->clickRow(u"navigator"_s, u"Checkpoints"_s));
    QVERIFY(m_driver->clickRow(u"checkpointsTable"_s, m_base));
    m_driver->press(u"Ctrl+Shift+H"_s);
    QVERIFY(m_driver->waitVisible(u"reviewSheet.deployment"_s, kStepMs));
    QVERIFY(commitAndWait(u"Hotload "_s + m_base, u"loaded"_s));
    const QString text = complete();
    QVERIFY2(text.section(u'\n', 0, 0).endsWith(u'@' + m_base), qPrintable(text));
    QVERIFY2(text.section(u'\n', 1) != m_untrained.section(u'\n', 1), qPrintable(text));
}

void TestMainJob::hotload_delta_changesTheCompletion()
{
    QVERIFY(m_driver->clickRow(u"checkpointsTable"_s, m_delta));
    m_driver->press(u"Ctrl+Shift+H"_s);
    QVERIFY(m_driver->waitVisible(u"reviewSheet.deployment"_s, kStepMs));
    QVERIFY(commitAndWait(u"Hotload "_s + m_delta, u"loaded"_s));
    const QString text = complete();
    // The server says which weights answered. That they are other weights than the base's is proven
    // below, byte by byte: a greedy answer of two near snapshots may be the same text.
    QVERIFY2(text.section(u'\n', 0, 0).endsWith(u'@' + m_delta), qPrintable(text));
    QVERIFY2(text.section(u'\n', 1) != m_untrained.section(u'\n', 1), qPrintable(text));
}

void TestMainJob::verify_deltaIsExact()
{
    QVERIFY(m_driver->clickRow(u"checkpointsTable"_s, m_delta));
    m_driver->press(u"Ctrl+Shift+V"_s);
    QVERIFY(m_driver->waitVisible(u"verifyPage"_s, kStepMs));
    auto* verdict = m_driver->find<desk::Band>(u"verifyPage.verdict"_s);
    QVERIFY(
        m_driver->waitFor([&] { return verdict->text().contains(u"Bit-exact"_s); }, kOperationMs));
    QVERIFY(m_driver->rowCount(u"verifyPage.tensors"_s) > 10);
    QVERIFY(m_driver->rowText(u"verifyPage.tensors"_s, u"embed_tokens"_s).contains(u"exact"_s));
}

void TestMainJob::outside_filesAndServerAgree()
{
    const QString base = QString::fromStdString(checkpointRow(m_base).value("path", ""));
    const QString delta = QString::fromStdString(checkpointRow(m_delta).value("path", ""));
    const Json model = get(u"/v1/accounts/local/models/first-model"_s);
    const QString promoted = QString::fromStdString(model.at("path").get<std::string>());

    const auto verified =
        runProgram(u"trainerdesk-delta"_s, { u"verify"_s, base, delta, u"--json"_s });
    QCOMPARE(verified.exitCode, 0);
    QCOMPARE(Json::parse(verified.output.toStdString()).at("verdict").get<std::string>(),
        std::string("exact"));
    const auto compared =
        runProgram(u"trainerdesk-delta"_s, { u"compare"_s, base, promoted, u"--json"_s });
    QCOMPARE(compared.exitCode, 0);

    // The deployment's replicas serve the delta's snapshot, both of them.
    const Json deployment = get(u"/v1/accounts/local/deployments/eval"_s);
    QCOMPARE(deployment.value("state", std::string()), std::string("READY"));
    const auto listed = runProgram(u"trainerdesk-ctl"_s,
        { u"--profile"_s, m_folder.path(), u"--connection"_s, u"local"_s, u"--json"_s,
            u"deployments"_s, u"show"_s, u"eval"_s });
    QCOMPARE(listed.exitCode, 0);
    const Json shown = Json::parse(listed.output.toStdString());
    QCOMPARE(shown.at("identity").get<std::string>(), m_delta.toStdString());
    QCOMPARE(shown.at("replica").size(), std::size_t(2));

    // The window and the command line write one journal.
    const auto journal = runProgram(u"trainerdesk-ctl"_s,
        { u"--profile"_s, m_folder.path(), u"--json"_s, u"operations"_s, u"list"_s });
    QCOMPARE(journal.exitCode, 0);
    const Json operations = Json::parse(journal.output.toStdString()).at("items");
    QCOMPARE(operations.size(), std::size_t(6));
    for (const auto& operation : operations)
        QCOMPARE(operation.value("state", std::string()), std::string("succeeded"));
}

void TestMainJob::killedWindow_losesNoRecord()
{
    // A second window on the same profile sees every operation of the first one.
    m_driver.reset();
    m_app.reset();
    const QString bin = QStringLiteral(DESK_BIN_DIR);
    m_app = std::make_unique<desk::DeskApp>(m_profile, *m_theme,
        desk::DeskPrograms { bin + u"/trainerdesk-local"_s, bin + u"/trainerdesk-ctl"_s, {} });
    m_app->start({});
    m_driver = std::make_unique<desk::WindowDriver>(*m_app->window());
    QVERIFY(
        m_driver->waitFor([&] { return m_driver->rowCount(u"operationsTable"_s) >= 6; }, kStepMs));
    // It joins the backend that is still serving, and the run that is still training.
    QVERIFY(m_driver->waitFor([&] { return m_driver->rowCount(u"jobsTable"_s) == 1; }, kStepMs));
}

QTEST_MAIN(TestMainJob)
#include "tst_main_job.moc"
