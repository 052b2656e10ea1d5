// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/checkpoint_table_model.h"
#include "models/deployment_table_model.h"
#include "models/item_roles.h"
#include "models/job_table_model.h"
#include "models/model_table_model.h"
#include "models/row_order_model.h"

#include <QAbstractItemModelTester>
#include <QItemSelectionModel>
#include <QRandomGenerator>
#include <QSignalSpy>
#include <QTest>

using namespace Qt::StringLiterals;
using namespace desk;

namespace {

JobRow job(const QString& id, Evidence evidence = Evidence::Training, double loss = 1.5)
{
    JobRow row;
    row.id = id;
    row.name = id;
    row.kind = u"SFT"_s;
    row.stateText = u"running"_s;
    row.evidence = evidence;
    row.lastProgress = Time {} + std::chrono::seconds(100);
    row.step = 12;
    row.totalSteps = 48;
    row.loss = loss;
    return row;
}

QStringList ids(const QAbstractItemModel& model)
{
    QStringList all;
    for (int row = 0; row < model.rowCount(); ++row)
        all.append(model.index(row, 0).data(+Role::Id).toString());
    return all;
}

QString cell(const QAbstractItemModel& model, int row, JobTableModel::Column column)
{
    return model.index(row, int(column)).data().toString();
}

} // namespace

class TestTables final : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void init() { QTest::failOnWarning(QRegularExpression(u".*"_s)); }
    void jobCells_sayWhatIsKnown();
    void unknownFacts_areADash();
    void setRows_emitsTheSmallestChange();
    void setRows_duplicateId_keepsTheLater();
    void checkpointCells_carryReasonAndRail();
    void expiry_turnsAttentionUnderSixHours();
    void deploymentCells_sayMixedWhenReplicasDiffer();
    void modelCells();
    void randomOperations_keepModelAndOrderSound();
    void sort_isNaturalAndKeepsUnknownLast();
    void frozenOrder_doesNotMoveRowsAndCountsThem();
    void filter_keepsSelectionByPersistentIndex();
    void scope_limitsRowsBeforeTheFilter();
    void ageTick_movesNothing();
};

void TestTables::jobCells_sayWhatIsKnown()
{
    JobTableModel model;
    const QAbstractItemModelTester tester(
        &model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    JobRow row = job(u"accounts/a/rlorTrainerJobs/j1"_s);
    row.baseModel = u"accounts/a/models/desk-tiny"_s;
    row.slope = -0.0064;
    row.checkpoints = 8;
    row.newestCheckpoint = Time {} + std::chrono::seconds(40);
    model.setNow(Time {} + std::chrono::seconds(138));
    model.setRows({ row });
    using Column = JobTableModel::Column;
    QCOMPARE(cell(model, 0, Column::Evidence), u"38 s"_s);
    QCOMPARE(cell(model, 0, Column::Model), u"desk-tiny"_s);
    QCOMPARE(cell(model, 0, Column::Step), u"12"_s);
    QCOMPARE(model.index(0, int(Column::Step)).data(+Role::Secondary).toString(), u" / 48"_s);
    QCOMPARE(model.index(0, int(Column::Step)).data(+Role::Fraction).toDouble(), 0.25);
    QCOMPARE(cell(model, 0, Column::Loss), u"1.5000"_s);
    QCOMPARE(cell(model, 0, Column::Slope), u"\u22120.0064"_s);
    QCOMPARE(model.index(0, int(Column::Slope)).data(+Role::Tone).toInt(), int(Tone::Better));
    QCOMPARE(cell(model, 0, Column::Saves), u"8"_s);
    QCOMPARE(model.index(0, 0).data(+Role::StatusCode).toInt(), int(StatusKind::Running));
    QCOMPARE(model.index(0, 0).data(Qt::AccessibleTextRole).toString(),
        u"accounts/a/rlorTrainerJobs/j1, running, last progress 38 s ago, loss 1.5000"_s);
}

void TestTables::unknownFacts_areADash()
{
    JobTableModel model;
    JobRow row;
    row.id = u"x"_s;
    model.setRows({ row });
    using Column = JobTableModel::Column;
    for (const Column column : { Column::Evidence, Column::Model, Column::Step, Column::Loss,
             Column::Slope, Column::Trend, Column::Saves })
        QCOMPARE(cell(model, 0, column), u"\u2014"_s);
    QVERIFY(!model.index(0, int(Column::Step)).data(+Role::Fraction).isValid());
}

void TestTables::setRows_emitsTheSmallestChange()
{
    JobTableModel model;
    QList<JobRow> rows { job(u"a"_s), job(u"b"_s), job(u"c"_s), job(u"d"_s) };
    model.setRows(rows);
    QSignalSpy changed(&model, &QAbstractItemModel::dataChanged);
    QSignalSpy inserted(&model, &QAbstractItemModel::rowsInserted);
    QSignalSpy removed(&model, &QAbstractItemModel::rowsRemoved);
    QSignalSpy reset(&model, &QAbstractItemModel::modelReset);
    model.setRows(rows);
    QCOMPARE(changed.size() + inserted.size() + removed.size(), 0);
    rows[1].loss = 1.4;
    rows[2].loss = 1.3;
    model.setRows(rows);
    QCOMPARE(changed.size(), 1);
    QCOMPARE(changed.at(0).at(0).toModelIndex().row(), 1);
    QCOMPARE(changed.at(0).at(1).toModelIndex().row(), 2);
    rows.removeAt(0);
    rows.append(job(u"e"_s));
    model.setRows(rows);
    QCOMPARE(removed.size(), 1);
    QCOMPARE(inserted.size(), 1);
    QCOMPARE(reset.size(), 0);
    QCOMPARE(ids(model), QStringList({ u"b"_s, u"c"_s, u"d"_s, u"e"_s }));
}

void TestTables::setRows_duplicateId_keepsTheLater()
{
    JobTableModel model;
    model.setRows({ job(u"a"_s, Evidence::Training, 1), job(u"a"_s, Evidence::Training, 2) });
    QCOMPARE(model.rowCount(), 1);
    QCOMPARE(*model.rows().at(0).loss, 2.0);
}

void TestTables::checkpointCells_carryReasonAndRail()
{
    CheckpointTableModel model;
    const QAbstractItemModelTester tester(
        &model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    CheckpointRow delta;
    delta.name = u"accounts/a/rlorTrainerJobs/j/checkpoints/step-0020-aa"_s;
    delta.shortName = u"step-0020-aa"_s;
    delta.type = CheckpointType::InferenceArcV2;
    delta.whyNot = u"needs its base"_s;
    delta.whyNotLong = u"A delta needs its base."_s;
    delta.sizeBytes = 180;
    delta.baseBytes = 10'000;
    delta.changedFraction = 0.034;
    delta.chain = { ChainMark::Shape::Delta, u"step-0010-aa"_s, 1, false, true };
    delta.serving = { { u"d-eval"_s, 1, 2, false } };
    model.setRows({ delta });
    using Column = CheckpointTableModel::Column;
    const auto at = [&](Column column) { return model.index(0, int(column)); };
    QCOMPARE(at(Column::Promotable).data().toString(), u"needs its base"_s);
    QCOMPARE(at(Column::Promotable).data(+Role::Reason).toString(), u"needs its base"_s);
    QCOMPARE(at(Column::Promotable).data(+Role::StatusCode).toInt(), int(StatusKind::No));
    QCOMPARE(at(Column::Ratio).data().toString(), u"1.80 %"_s);
    QCOMPARE(at(Column::Changed).data().toString(), u"3.40 %"_s);
    QCOMPARE(at(Column::Name).data(+Role::Rail).toInt(), int(RailDelta) | int(RailBelow));
    QCOMPARE(at(Column::Serving).data().toString(), u"d-eval 1/2"_s);
    QCOMPARE(at(Column::Expires).data().toString(), u"no TTL"_s);
}

void TestTables::expiry_turnsAttentionUnderSixHours()
{
    CheckpointTableModel model;
    CheckpointRow row;
    row.name = u"n"_s;
    row.expires = Time {} + std::chrono::hours(5);
    model.setNow(Time {});
    model.setRows({ row });
    const QModelIndex expires = model.index(0, int(CheckpointTableModel::Column::Expires));
    QCOMPARE(expires.data().toString(), u"5 h"_s);
    QCOMPARE(expires.data(+Role::Tone).toInt(), int(Tone::Attention));
    model.setNow(Time {} + std::chrono::hours(6));
    QCOMPARE(expires.data().toString(), u"expired"_s);
}

void TestTables::deploymentCells_sayMixedWhenReplicasDiffer()
{
    DeploymentTableModel model;
    const QAbstractItemModelTester tester(
        &model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    DeploymentRow row;
    row.name = u"accounts/a/deployments/d1"_s;
    row.state = u"ready"_s;
    row.replicas = 2;
    row.ready = 1;
    row.isMixed = true;
    model.setRows({ row });
    using Column = DeploymentTableModel::Column;
    QCOMPARE(model.index(0, int(Column::Name)).data().toString(), u"d1"_s);
    QCOMPARE(model.index(0, int(Column::Identity)).data().toString(), u"mixed"_s);
    QCOMPARE(model.index(0, int(Column::Replicas)).data().toString(), u"1/2"_s);
    QCOMPARE(model.index(0, int(Column::Trainer)).data().toString(), u"none"_s);
}

void TestTables::modelCells()
{
    ModelTableModel model;
    const QAbstractItemModelTester tester(
        &model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    ModelRow row;
    row.name = u"accounts/a/models/m-1"_s;
    row.id = u"m-1"_s;
    row.kind = u"HF_BASE_MODEL"_s;
    row.state = u"READY"_s;
    row.promotedFrom = u"accounts/a/rlorTrainerJobs/j/checkpoints/step-1"_s;
    model.setRows({ row });
    using Column = ModelTableModel::Column;
    QCOMPARE(model.index(0, int(Column::Kind)).data().toString(), u"full model"_s);
    QCOMPARE(model.index(0, int(Column::State)).data().toString(), u"ready"_s);
    QCOMPARE(
        model.index(0, int(Column::State)).data(+Role::StatusCode).toInt(), int(StatusKind::Good));
    QCOMPARE(model.index(0, int(Column::PromotedFrom)).data().toString(), u"step-1"_s);
}

void TestTables::randomOperations_keepModelAndOrderSound()
{
    JobTableModel model;
    RowOrderModel order;
    const QAbstractItemModelTester sourceTester(
        &model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    order.setSourceModel(&model);
    const QAbstractItemModelTester orderTester(
        &order, QAbstractItemModelTester::FailureReportingMode::QtTest);
    QRandomGenerator random(20);
    QList<JobRow> rows;
    for (int round = 0; round < 200; ++round) {
        for (qsizetype i = rows.size() - 1; i >= 0; --i) {
            if (random.bounded(6) == 0)
                rows.removeAt(i);
            else if (random.bounded(3) == 0)
                rows[i].loss = random.bounded(3.0);
        }
        for (quint32 n = random.bounded(4U); n > 0; --n)
            rows.append(job(u"job-%1-%2"_s.arg(round).arg(n), Evidence(random.bounded(11)),
                random.bounded(3.0)));
        if (random.bounded(3) == 0)
            std::shuffle(rows.begin(), rows.end(), random);
        model.setRows(rows);
        switch (random.bounded(6)) {
        case 0:
            order.sort(random.bounded(JobTableModel::kColumns),
                random.bounded(2) == 0 ? Qt::AscendingOrder : Qt::DescendingOrder);
            break;
        case 1:
            order.setFilterText(random.bounded(2) == 0 ? QString() : u"job-1"_s);
            break;
        case 2:
            order.setFrozen(random.bounded(2) == 0);
            break;
        case 3:
            order.resort();
            break;
        default:
            break;
        }
        for (int p = 0; p < order.rowCount(); ++p) {
            const QModelIndex source = order.mapToSource(order.index(p, 0));
            QVERIFY(source.isValid());
            QCOMPARE(order.mapFromSource(source).row(), p);
        }
    }
    order.setFilterText({});
    order.setFrozen(false);
    order.resort();
    QCOMPARE(order.rowCount(), model.rowCount());
}

void TestTables::sort_isNaturalAndKeepsUnknownLast()
{
    JobTableModel model;
    RowOrderModel order;
    order.setSourceModel(&model);
    JobRow unknown = job(u"step-11"_s);
    unknown.loss.reset();
    model.setRows({ job(u"step-10"_s, Evidence::Training, 3), job(u"step-9"_s, Evidence::Failed, 1),
        unknown });
    order.sort(int(JobTableModel::Column::Name));
    QCOMPARE(ids(order), QStringList({ u"step-9"_s, u"step-10"_s, u"step-11"_s }));
    order.sort(int(JobTableModel::Column::Loss), Qt::DescendingOrder);
    QCOMPARE(ids(order), QStringList({ u"step-10"_s, u"step-9"_s, u"step-11"_s }));
    order.sort(int(JobTableModel::Column::Loss), Qt::AscendingOrder);
    QCOMPARE(ids(order), QStringList({ u"step-9"_s, u"step-10"_s, u"step-11"_s }));
    order.sort(int(JobTableModel::Column::Evidence));
    QCOMPARE(ids(order).first(), u"step-9"_s);
}

void TestTables::frozenOrder_doesNotMoveRowsAndCountsThem()
{
    JobTableModel model;
    RowOrderModel order;
    order.setSourceModel(&model);
    QList<JobRow> rows { job(u"a"_s, Evidence::Training, 1), job(u"b"_s, Evidence::Training, 2) };
    model.setRows(rows);
    order.sort(int(JobTableModel::Column::Loss));
    order.setFrozen(true);
    rows[0].loss = 9;
    rows.append(job(u"c"_s, Evidence::Training, 0));
    model.setRows(rows);
    QTRY_COMPARE(order.pendingMoves(), 2);
    QCOMPARE(ids(order), QStringList({ u"a"_s, u"b"_s, u"c"_s }));
    order.resort();
    QCOMPARE(order.pendingMoves(), 0);
    QCOMPARE(ids(order), QStringList({ u"c"_s, u"b"_s, u"a"_s }));
}

void TestTables::filter_keepsSelectionByPersistentIndex()
{
    JobTableModel model;
    RowOrderModel order;
    order.setSourceModel(&model);
    model.setRows({ job(u"alpha"_s), job(u"beta"_s), job(u"gamma"_s) });
    QItemSelectionModel selection(&order);
    const QPersistentModelIndex beta = order.index(1, 0);
    selection.setCurrentIndex(beta, QItemSelectionModel::SelectCurrent | QItemSelectionModel::Rows);
    order.setFilterText(u"bet"_s);
    QCOMPARE(order.rowCount(), 1);
    QCOMPARE(beta.data(+Role::Id).toString(), u"beta"_s);
    order.setFilterText({});
    order.sort(int(JobTableModel::Column::Name), Qt::DescendingOrder);
    QCOMPARE(beta.data(+Role::Id).toString(), u"beta"_s);
    QCOMPARE(selection.selectedRows().size(), 1);
}

void TestTables::scope_limitsRowsBeforeTheFilter()
{
    JobTableModel model;
    RowOrderModel order;
    order.setSourceModel(&model);
    model.setRows({ job(u"alpha"_s), job(u"beta"_s), job(u"gamma"_s) });
    order.setScope([&](int row) { return model.rows().at(row).id != u"beta"; });
    QCOMPARE(order.rowCount(), 2);
    QCOMPARE(order.scopedRowCount(), 2);
    order.setFilterText(u"AL run"_s);
    QCOMPARE(ids(order), QStringList({ u"alpha"_s }));
}

void TestTables::ageTick_movesNothing()
{
    JobTableModel model;
    RowOrderModel order;
    order.setSourceModel(&model);
    model.setRows({ job(u"a"_s), job(u"b"_s) });
    order.sort(int(JobTableModel::Column::Evidence));
    QSignalSpy layout(&order, &QAbstractItemModel::layoutChanged);
    QSignalSpy ordered(&order, &RowOrderModel::orderChanged);
    model.setNow(Time {} + std::chrono::hours(1));
    QTest::qWait(150); // longer than the timer that a wrong tick would start
    QCOMPARE(layout.size(), 0);
    QCOMPARE(ordered.size(), 0);
}

QTEST_GUILESS_MAIN(TestTables)
#include "tst_tables.moc"
