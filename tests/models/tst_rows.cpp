// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/action_registry.h"
#include "models/connections_model.h"
#include "models/evidence.h"
#include "models/format.h"
#include "models/row_assembly.h"
#include "models/selection.h"
#include "services/metrics/series_store.h"

#include <QAbstractItemModelTester>
#include <QSignalSpy>
#include <QTest>

using namespace Qt::StringLiterals;
using namespace desk;

namespace {

constexpr auto kJob = "accounts/a/rlorTrainerJobs/j1";

TrainerJob serverJob(JobState state = JobState::Running)
{
    TrainerJob job;
    job.name = kJob;
    job.displayName = "tune";
    job.state = state;
    job.stateText = toString(state);
    return job;
}

Checkpoint saved(const std::string& id, CheckpointType type, std::int64_t step)
{
    Checkpoint row;
    row.name = std::string(kJob) + "/checkpoints/" + id;
    row.type = type;
    row.step = step;
    row.created = Time {} + std::chrono::seconds(step);
    return row;
}

RunFacts runOf(const QString& folder, const std::string& job = {})
{
    RunFacts run;
    run.id = folder;
    run.folder = folder;
    run.title = "run";
    run.job = job;
    run.step = 12;
    run.lastProgress = Time {} + std::chrono::seconds(100);
    run.evidence = RunEvidence::Training;
    run.isProcessAlive = true;
    return run;
}

const CheckpointRow& row(const AllRows& rows, const QString& id)
{
    for (const CheckpointRow& candidate : rows.checkpoints) {
        if (candidate.shortName == id)
            return candidate;
    }
    static const CheckpointRow none;
    return none;
}

} // namespace

class TestRows final : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void init() { QTest::failOnWarning(QRegularExpression(u".*"_s)); }
    void jobWithRun_isOneRow();
    void runWithoutJob_isARowOfItsOwn();
    void standIns_areNeverSilent();
    void twoRunsOfAJob_theNewestWins();
    void runningJobWithoutLedger_isUnknownNotTraining();
    void failedJob_saysWhy();
    void delta_isNotPromotableAndNamesTheNearest();
    void expiredBase_isNotPromotable();
    void chain_linksDeltasToTheirBase();
    void chain_circleEnds();
    void lossAtSave_comesFromTheLedger();
    void replicas_thatDiffer_areMixed();
    void lag_countsStepsBehindTheNewestSnapshot();
    void unreadCheckpoints_areNotZero();
    void registry_disabledActionSaysWhyAndIsNotTriggered();
    void registry_everyIdHasATextAndIsUnique();
    void selection_checkpointBringsItsJobAlong();
    void selection_otherJobDropsTheCheckpoint();
    void connections_refuseWhatWouldLeakAKey_data();
    void connections_refuseWhatWouldLeakAKey();
    void connections_model();
};

void TestRows::jobWithRun_isOneRow()
{
    RowSources sources;
    sources.now = Time {} + std::chrono::seconds(101);
    sources.jobs = { serverJob() };
    sources.runs = { runOf(u"/r"_s, kJob) };
    sources.trends[u"/r"_s] = { 1.5, -0.25, 3 };
    const AllRows rows = assembleRows(sources);
    QCOMPARE(rows.jobs.size(), 1);
    const JobRow& job = rows.jobs.first();
    QCOMPARE(job.id, QString::fromLatin1(kJob));
    QCOMPARE(job.name, u"tune"_s);
    QCOMPARE(job.runFolder, u"/r"_s);
    QCOMPARE(*job.loss, 1.5);
    QCOMPARE(*job.step, 12);
    QVERIFY(job.isOnServer);
    QVERIFY(job.evidence == Evidence::Training);
}

void TestRows::runWithoutJob_isARowOfItsOwn()
{
    RowSources sources;
    sources.runs = { runOf(u"/r"_s) };
    const AllRows rows = assembleRows(sources);
    QCOMPARE(rows.jobs.size(), 1);
    QCOMPARE(rows.jobs.first().id, u"run:/r"_s);
    QVERIFY(!rows.jobs.first().isOnServer);
}

void TestRows::standIns_areNeverSilent()
{
    RowSources sources;
    sources.jobs = { serverJob() };
    sources.jobs[0].baseModel = "Qwen/Qwen3-8B";
    Model model;
    model.name = "accounts/local/models/qwen3-8b";
    model.displayName = "Stand-in for Qwen/Qwen3-8B";
    sources.models = { model };
    AllRows rows = assembleRows(sources);
    QVERIFY(rows.jobs.first().isStandIn);
    QCOMPARE(format::baseModel(rows.jobs.first().baseModel, true), u"Qwen3-8B (stand-in)"_s);
    QCOMPARE(rows.models.first().standInFor, u"Qwen/Qwen3-8B"_s);
    sources.models[0].displayName = "Qwen3-8B";
    rows = assembleRows(sources);
    QVERIFY(!rows.jobs.first().isStandIn);
    QVERIFY(rows.models.first().standInFor.isEmpty());
}

void TestRows::twoRunsOfAJob_theNewestWins()
{
    RowSources sources;
    sources.jobs = { serverJob() };
    sources.runs = { runOf(u"/newer"_s, kJob), runOf(u"/older"_s, kJob) };
    const AllRows rows = assembleRows(sources);
    QCOMPARE(rows.jobs.size(), 1);
    QCOMPARE(rows.jobs.first().runFolder, u"/newer"_s);
}

void TestRows::runningJobWithoutLedger_isUnknownNotTraining()
{
    RowSources sources;
    sources.jobs = { serverJob() };
    const JobRow job = assembleRows(sources).jobs.first();
    QVERIFY(job.evidence == Evidence::Unknown);
    QCOMPARE(job.stateText, u"running"_s);
    QVERIFY(!evidenceSentence(job, {}).isEmpty());
}

void TestRows::failedJob_saysWhy()
{
    RowSources sources;
    sources.jobs = { serverJob(JobState::Failed) };
    sources.jobs.front().statusMessage = "out of memory";
    const JobRow job = assembleRows(sources).jobs.first();
    QVERIFY(needsAttention(job.evidence));
    QCOMPARE(evidenceSentence(job, {}), u"out of memory"_s);
}

void TestRows::delta_isNotPromotableAndNamesTheNearest()
{
    RowSources sources;
    sources.jobs = { serverJob() };
    auto base = saved("b", CheckpointType::InferenceBase, 10);
    base.isPromotable = true;
    auto far = saved("far", CheckpointType::InferenceBase, 90);
    far.isPromotable = true;
    sources.checkpoints[QString::fromLatin1(kJob)] = {
        saved("d", CheckpointType::InferenceArcV2, 20), base, far
    };
    const AllRows rows = assembleRows(sources);
    QCOMPARE(row(rows, u"d"_s).whyNot, u"needs its base"_s);
    QCOMPARE(row(rows, u"d"_s).nearestPromotable, QString::fromLatin1(kJob) + u"/checkpoints/b"_s);
    QVERIFY(row(rows, u"b"_s).isPromotable);
}

void TestRows::expiredBase_isNotPromotable()
{
    RowSources sources;
    sources.now = Time {} + std::chrono::hours(2);
    sources.jobs = { serverJob() };
    auto base = saved("b", CheckpointType::InferenceBase, 10);
    base.isPromotable = true;
    base.expires = Time {} + std::chrono::hours(1);
    sources.checkpoints[QString::fromLatin1(kJob)] = { base };
    const AllRows rows = assembleRows(sources);
    QVERIFY(!row(rows, u"b"_s).isPromotable);
    QCOMPARE(row(rows, u"b"_s).whyNot, u"expired"_s);
}

void TestRows::chain_linksDeltasToTheirBase()
{
    RowSources sources;
    sources.jobs = { serverJob() };
    auto first = saved("d1", CheckpointType::InferenceArcV2, 20);
    first.parent = "b";
    auto second = saved("d2", CheckpointType::InferenceArcV2, 30);
    second.parent = "d1";
    auto foreign = saved("d3", CheckpointType::InferenceArcV2, 40);
    foreign.parent = "elsewhere";
    sources.checkpoints[QString::fromLatin1(kJob)] = { foreign, second, first,
        saved("b", CheckpointType::InferenceBase, 10) };
    const AllRows rows = assembleRows(sources);
    QCOMPARE(row(rows, u"d2"_s).chain.depth, 2);
    QCOMPARE(row(rows, u"d2"_s).chain.baseId, u"b"_s);
    QVERIFY(row(rows, u"b"_s).chain.goesUp);
    QVERIFY(!row(rows, u"b"_s).chain.goesDown);
    QVERIFY(row(rows, u"d1"_s).chain.goesUp && row(rows, u"d1"_s).chain.goesDown);
    QVERIFY(row(rows, u"d3"_s).chain.baseId.isEmpty());
    QVERIFY(!row(rows, u"d3"_s).chain.goesDown);
}

void TestRows::chain_circleEnds()
{
    RowSources sources;
    sources.jobs = { serverJob() };
    auto a = saved("a", CheckpointType::InferenceArcV2, 20);
    a.parent = "b";
    auto b = saved("b", CheckpointType::InferenceArcV2, 30);
    b.parent = "a";
    sources.checkpoints[QString::fromLatin1(kJob)] = { a, b };
    QVERIFY(row(assembleRows(sources), u"a"_s).chain.baseId.isEmpty());
}

void TestRows::lossAtSave_comesFromTheLedger()
{
    auto series = std::make_shared<SeriesStore>();
    for (int step = 1; step <= 20; ++step)
        series->append("train/loss", XValue::of(std::int64_t { step }), 3.0 - step / 10.0);
    RowSources sources;
    sources.jobs = { serverJob() };
    sources.runs = { runOf(u"/r"_s, kJob) };
    sources.runs.first().series = series;
    sources.checkpoints[QString::fromLatin1(kJob)] = { saved(
        "b", CheckpointType::InferenceBase, 10) };
    QCOMPARE(*row(assembleRows(sources), u"b"_s).loss, 2.0);
}

void TestRows::replicas_thatDiffer_areMixed()
{
    RowSources sources;
    Deployment deployment;
    deployment.name = "accounts/a/deployments/d";
    deployment.replicas = { { "p0", "s1", true, "ready", "s1", {}, {} },
        { "p1", "s2", false, "downloading", "s1", {}, {} } };
    sources.deployments = { deployment };
    const AllRows rows = assembleRows(sources);
    QVERIFY(rows.deployments.first().isMixed);
    QVERIFY(rows.deployments.first().identity.isEmpty());
    QCOMPARE(rows.deployments.first().ready, 1);
    QCOMPARE(rows.deployments.first().stage, u"downloading"_s);
}

void TestRows::lag_countsStepsBehindTheNewestSnapshot()
{
    RowSources sources;
    sources.jobs = { serverJob() };
    sources.checkpoints[QString::fromLatin1(kJob)] = { saved("s2", CheckpointType::InferenceArcV2,
                                                           30),
        saved("s1", CheckpointType::InferenceBase, 10) };
    Deployment deployment;
    deployment.name = "accounts/a/deployments/d";
    deployment.hotLoadTrainerJob = kJob;
    deployment.replicas = { { "p0", "s1", true, "ready", "s1", {}, {} } };
    sources.deployments = { deployment };
    const AllRows rows = assembleRows(sources);
    QCOMPARE(*rows.deployments.first().lagSteps, 20);
    QCOMPARE(rows.jobs.first().servingIdentity, u"s1"_s);
    QCOMPARE(row(rows, u"s1"_s).serving.size(), 1);
}

void TestRows::unreadCheckpoints_areNotZero()
{
    RowSources sources;
    sources.jobs = { serverJob() };
    QCOMPARE(assembleRows(sources).jobs.first().checkpoints, -1);
    sources.checkpoints[QString::fromLatin1(kJob)] = {};
    QCOMPARE(assembleRows(sources).jobs.first().checkpoints, 0);
}

void TestRows::registry_disabledActionSaysWhyAndIsNotTriggered()
{
    ActionRegistry actions;
    QSignalSpy triggered(&actions, &ActionRegistry::triggered);
    QSignalSpy refused(&actions, &ActionRegistry::refused);
    actions.setReason(u"ckpt.promote"_s, u"Select a checkpoint first."_s);
    QVERIFY(!actions.action(u"ckpt.promote"_s)->isEnabled());
    QCOMPARE(actions.action(u"ckpt.promote"_s)->statusTip(), u"Select a checkpoint first."_s);
    actions.trigger(u"ckpt.promote"_s);
    QCOMPARE(triggered.size(), 0);
    QCOMPARE(refused.size(), 1);
    actions.setReason(u"ckpt.promote"_s, {});
    actions.trigger(u"ckpt.promote"_s);
    QCOMPARE(triggered.size(), 1);
}

void TestRows::registry_everyIdHasATextAndIsUnique()
{
    const ActionRegistry actions;
    QSet<QString> seen;
    QSet<QString> chords;
    for (const QString& id : actions.ids()) {
        QVERIFY2(!seen.contains(id), qPrintable(id));
        seen.insert(id);
        QVERIFY2(!actions.action(id)->text().isEmpty(), qPrintable(id));
        const QString chord = actions.action(id)->shortcut().toString();
        QVERIFY2(chord.isEmpty() || !chords.contains(chord), qPrintable(chord));
        chords.insert(chord);
    }
    // Names that scripts and tests rely on.
    for (const QString& id : { u"ckpt.save"_s, u"ckpt.promote"_s, u"deploy.hotload"_s,
             u"ckpt.verify"_s, u"deploy.create"_s, u"deploy.delete"_s, u"op.reconcile"_s,
             u"train.new"_s, u"run.open"_s, u"conn.add"_s })
        QVERIFY2(seen.contains(id), qPrintable(id));
}

void TestRows::selection_checkpointBringsItsJobAlong()
{
    Selection selection;
    QSignalSpy jobs(&selection, &Selection::jobChanged);
    selection.selectCheckpoint(QString::fromLatin1(kJob) + u"/checkpoints/c"_s);
    QCOMPARE(selection.job(), QString::fromLatin1(kJob));
    QCOMPARE(jobs.size(), 1);
    QVERIFY(selection.subject() == Subject::Checkpoint);
}

void TestRows::selection_otherJobDropsTheCheckpoint()
{
    Selection selection;
    selection.selectCheckpoint(QString::fromLatin1(kJob) + u"/checkpoints/c"_s);
    selection.selectJob(QString::fromLatin1(kJob));
    QVERIFY(!selection.checkpoint().isEmpty());
    selection.selectJob(u"accounts/a/rlorTrainerJobs/other"_s);
    QVERIFY(selection.checkpoint().isEmpty());
    QVERIFY(selection.subject() == Subject::Job);
}

void TestRows::connections_refuseWhatWouldLeakAKey_data()
{
    QTest::addColumn<QByteArray>("name");
    QTest::addColumn<QByteArray>("url");
    QTest::addColumn<bool>("isFine");
    QTest::addRow("https") << QByteArray("a") << QByteArray("https://api.example.com") << true;
    QTest::addRow("loopback") << QByteArray("a") << QByteArray("http://127.0.0.1:80") << true;
    QTest::addRow("plain http") << QByteArray("a") << QByteArray("http://api.example.com") << false;
    QTest::addRow("key in the address")
        << QByteArray("a") << QByteArray("https://key@api.example.com") << false;
    QTest::addRow("query") << QByteArray("a") << QByteArray("https://x.example/?k=1") << false;
    QTest::addRow("no scheme") << QByteArray("a") << QByteArray("api.example.com") << false;
    QTest::addRow("file") << QByteArray("a") << QByteArray("file:///etc/passwd") << false;
    QTest::addRow("no name") << QByteArray("") << QByteArray("https://api.example.com") << false;
    QTest::addRow("local") << QByteArray("local") << QByteArray("https://x.example") << false;
}

void TestRows::connections_refuseWhatWouldLeakAKey()
{
    QFETCH(const QByteArray, name);
    QFETCH(const QByteArray, url);
    Connection connection;
    connection.name = name.toStdString();
    connection.url = url.toStdString();
    QTEST(ConnectionsModel::problemWith(connection).isEmpty(), "isFine");
}

void TestRows::connections_model()
{
    ConnectionsModel model;
    const QAbstractItemModelTester tester(
        &model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    Connection connection;
    connection.name = "a";
    model.put(connection);
    connection.url = "https://x.example";
    model.put(connection);
    QCOMPARE(model.rowCount(), 1);
    QCOMPARE(model.find(u"a"_s)->url, std::string("https://x.example"));
    model.remove(u"a"_s);
    QVERIFY(!model.find(u"a"_s));
}

QTEST_MAIN(TestRows)
#include "tst_rows.moc"
