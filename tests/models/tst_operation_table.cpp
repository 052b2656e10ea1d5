// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/item_roles.h"
#include "models/operation_table_model.h"
#include "models/plan_tables.h"
#include "models/request_text.h"

#include <QAbstractItemModelTester>
#include <QSignalSpy>
#include <QTest>

using namespace Qt::StringLiterals;
using desk::Operation;
using desk::OperationKind;
using desk::OperationState;
using desk::OperationTableModel;
using Column = OperationTableModel::Column;

namespace {

desk::Time at(int seconds)
{
    return *desk::parseRfc3339("2026-11-21T14:00:00Z") + std::chrono::seconds(seconds);
}

Operation operationOf(const char* id, OperationKind kind, OperationState state)
{
    Operation operation;
    operation.id = id;
    operation.key = std::string("key-") + id;
    operation.kind = kind;
    operation.state = state;
    operation.subject = "accounts/local/rlorTrainerJobs/j/checkpoints/step-2-45dda197";
    operation.target = "accounts/local/deployments/eval";
    operation.created = at(0);
    operation.updated = at(52);
    return operation;
}

QString cell(const OperationTableModel& model, int row, Column column)
{
    return model.index(row, int(column)).data().toString();
}

} // namespace

class TestOperationTable : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void init() { QTest::failOnWarning(QRegularExpression(u".*"_s)); }

    void emptyTable_saysNothing()
    {
        OperationTableModel model;
        QCOMPARE(model.rowCount(), 0);
        QCOMPARE(model.summary(), QString());
    }

    void hotload_countsReplicasThatServeTheSnapshot()
    {
        OperationTableModel model;
        const QAbstractItemModelTester tester(
            &model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        auto load = operationOf("1", OperationKind::Hotload, OperationState::Running);
        load.replicas = { { "a", "step-2-45dda197", true, "ready", {}, {}, {} },
            { "b", "step-1-45dda197", true, "downloading", "step-2-45dda197", {}, {} },
            { "c", "step-2-45dda197", false, "applying", {}, {}, {} } };
        model.setOperations({ load });
        model.setNow(at(41));
        QCOMPARE(cell(model, 0, Column::State), u"loading"_s);
        QCOMPARE(cell(model, 0, Column::What), u"Hotload step-2-45dda197"_s);
        QCOMPARE(cell(model, 0, Column::Target), u"→ eval"_s);
        QCOMPARE(cell(model, 0, Column::Detail), u"1 of 3 replicas ready"_s);
        QCOMPARE(cell(model, 0, Column::Elapsed), u"00:41"_s);
        QCOMPARE(cell(model, 0, Column::Action), u"Open"_s);
        QCOMPARE(model.summary(), u"1 running · 0 done today"_s);
    }

    void medianOfEarlierLoads_isShownWhileLoading()
    {
        OperationTableModel model;
        QList<Operation> operations { operationOf(
            "4", OperationKind::Hotload, OperationState::Running) };
        operations[0].replicas = { {} };
        for (const int seconds : { 30, 52, 90 }) {
            auto done = operationOf(
                std::to_string(seconds).c_str(), OperationKind::Hotload, OperationState::Succeeded);
            done.updated = at(seconds);
            operations << done;
        }
        model.setOperations(operations);
        model.setNow(at(26));
        QCOMPARE(cell(model, 0, Column::Elapsed), u"00:26 · median 52 s"_s);
        const auto bar = model.index(0, int(Column::Progress));
        QCOMPARE(bar.data(+desk::Role::Mark).toDouble(), 0.5);
        QCOMPARE(bar.data(+desk::Role::Fraction).toDouble(), 0.25);
    }

    void unknown_offersReconcileAndSaysWhatWasNotDone()
    {
        OperationTableModel model;
        auto lost = operationOf("1", OperationKind::Promote, OperationState::Unknown);
        lost.errorMessage = "The reply was lost";
        lost.errorUnchanged = "it was not sent again";
        lost.errorNext = "reconcile looks the model up";
        lost.parameters["model_id"] = "stories-v1";
        model.setOperations({ lost });
        model.setNow(at(52 + 41 * 60));
        QCOMPARE(cell(model, 0, Column::State), u"unknown"_s);
        QCOMPARE(cell(model, 0, Column::Target), u"→ stories-v1"_s);
        QCOMPARE(cell(model, 0, Column::Detail),
            u"The reply was lost · it was not sent again · reconcile looks the model up"_s);
        QCOMPARE(cell(model, 0, Column::Action), u"Reconcile…"_s);
        QVERIFY(model.index(0, int(Column::Action)).data(+desk::Role::ActionIsButton).toBool());
        QCOMPARE(cell(model, 0, Column::Elapsed), u"41 min ago"_s);
        QCOMPARE(model.unknownCount(), 1);
    }

    void newRecords_areInsertedAndKnownOnesUpdatedInPlace()
    {
        OperationTableModel model;
        const QAbstractItemModelTester tester(
            &model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        model.setOperations({ operationOf("1", OperationKind::Save, OperationState::Running) });
        const QPersistentModelIndex first = model.index(0, 0);
        QSignalSpy inserted(&model, &QAbstractItemModel::rowsInserted);
        QSignalSpy changed(&model, &QAbstractItemModel::dataChanged);
        QSignalSpy reset(&model, &QAbstractItemModel::modelReset);
        model.setOperations({ operationOf("2", OperationKind::Promote, OperationState::Sent),
            operationOf("1", OperationKind::Save, OperationState::Succeeded) });
        QCOMPARE(inserted.size(), 1);
        QCOMPARE(changed.size(), 1);
        QCOMPARE(reset.size(), 0);
        QCOMPARE(first.row(), 1);
        QCOMPARE(first.data().toString(), u"saved"_s);
    }

    void localTask_standsAboveTheJournal()
    {
        OperationTableModel model;
        const QAbstractItemModelTester tester(
            &model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        model.setOperations({ operationOf("1", OperationKind::Save, OperationState::Succeeded) });
        desk::LocalTask task { u"task:1"_s, u"verifying"_s, u"Verify step-2"_s, u"cpu · avx2"_s,
            u"71 %"_s, 0.71, OperationState::Running, at(0), {} };
        model.putTask(task);
        QCOMPARE(model.rowCount(), 2);
        QVERIFY(model.isTask(0));
        QCOMPARE(cell(model, 0, Column::State), u"verifying"_s);
        task.state = OperationState::Succeeded;
        task.word = u"verified"_s;
        model.putTask(task);
        QCOMPARE(model.rowCount(), 2);
        QCOMPARE(cell(model, 0, Column::State), u"verified"_s);
        QCOMPARE(model.runningCount(), 0);
    }

    void request_isQuotedForAShellAndNeverHoldsTheKey()
    {
        const desk::RequestPreview request { "POST", "https://api.example.com/v1/x:promote",
            { { "Content-Type", "application/json" } }, "{\"output_model\":\"it's\"}" };
        QCOMPARE(desk::requestText(request, desk::RequestForm::Curl),
            u"curl -X POST 'https://api.example.com/v1/x:promote' \\\n"
            "  -H \"Authorization: Bearer $FIREWORKS_API_KEY\" \\\n"
            "  -H 'Content-Type: application/json' \\\n"
            "  -d '{\"output_model\":\"it'\\''s\"}'"_s);
        QCOMPARE(desk::requestText(request, desk::RequestForm::Http),
            u"POST /v1/x:promote HTTP/1.1\nHost: api.example.com\nContent-Type: "
            u"application/json\n\n"
            "{\"output_model\":\"it's\"}"_s);
    }

    void request_thatIsNoHttpReadsTheSame()
    {
        const desk::RequestPreview request { "save", "base first", {}, {} };
        QCOMPARE(desk::requestText(request, desk::RequestForm::Curl), u"save base first"_s);
        QCOMPARE(desk::requestText({}, desk::RequestForm::Curl), QString());
    }

    void preflight_countsWhatDeservesThought()
    {
        desk::PreflightTableModel model;
        const QAbstractItemModelTester tester(
            &model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        model.setChecks({ { "a", "Promotable", desk::CheckKind::Pass, "the server says so", {} },
            { "b", "Newer", desk::CheckKind::Warn, "step-420 is newer", {} },
            { "c", "Id is free", desk::CheckKind::Fail, "it is taken", "choose another" } });
        QCOMPARE(model.summary(), u"3 checks · 1 pass, 1 to consider, 1 block it"_s);
        QVERIFY(!model.index(0, 1).data(+desk::Role::IsStrong).toBool());
        QVERIFY(model.index(2, 1).data(+desk::Role::IsStrong).toBool());
        QCOMPARE(
            model.index(2, 0).data(+desk::Role::StatusCode).toInt(), int(desk::StatusKind::Failed));
    }
};

QTEST_GUILESS_MAIN(TestOperationTable)
#include "tst_operation_table.moc"
