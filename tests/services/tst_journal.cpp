// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/store/journal.h"
#include "services/store/journal_database.h"
#include "services/store/process_identity.h"

#include <QRegularExpression>
#include <QSignalSpy>
#include <QSqlDatabase>
#include <QSqlError>
#include <QSqlQuery>
#include <QTemporaryDir>
#include <QTest>

#include <csignal>
#include <sys/resource.h>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    Operation sampleOperation(const std::string& id)
    {
        Operation operation;
        operation.id = id;
        operation.key = "key-" + id;
        operation.kind = OperationKind::Hotload;
        operation.connection = "local";
        operation.target = "accounts/local/deployments/eval";
        operation.subject = "accounts/local/rlorTrainerJobs/j/checkpoints/step-0010-a1b2c3d4";
        operation.parameters = { { "full", "1" }, { "timeout_seconds", "600" } };
        operation.state = OperationState::Sent;
        operation.stage = "sent";
        operation.by = "window, mira";
        operation.created = *parseRfc3339("2026-11-21T14:01:30.000250Z");
        operation.updated = operation.created;
        operation.request = { "POST", "http://127.0.0.1:1/hot_load/v1/models/hot_load",
            { { "fireworks-model", "m" } }, "{\"identity\":\"ü\"}" };
        operation.stages = { { "sent", operation.created, "journal record synced" } };
        return operation;
    }

    template <class T>
    Result<T> wait(QFuture<Result<T>> future)
    {
        [&] { QTRY_VERIFY_WITH_TIMEOUT(future.isFinished(), 10000); }();
        return future.isFinished() && future.resultCount() > 0
            ? future.result()
            : Result<T>(Error { Error::Code::Canceled, "no result" });
    }

} // namespace

class TestJournal final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        QTest::failOnWarning(QRegularExpression(u".*"_s));
        m_dir = std::make_unique<QTemporaryDir>();
        m_file = m_dir->filePath(u"journal.sqlite"_s);
    }

    void insertedOperation_isReadBackWhole()
    {
        const auto operation = sampleOperation("op-1");
        {
            Journal journal(m_file);
            QVERIFY(wait(journal.load()));
            QVERIFY(wait(journal.insert(operation)));
        }
        Journal again(m_file);
        const auto entries = wait(again.load());
        QVERIFY(entries);
        QCOMPARE(entries->size(), 1);
        QVERIFY(entries->first().operation == operation);
        QVERIFY(entries->first().isOwnerAlive);
    }

    void appendedEvents_giveTheNewestState()
    {
        auto operation = sampleOperation("op-1");
        Journal journal(m_file);
        QVERIFY(wait(journal.load()));
        QVERIFY(wait(journal.insert(operation)));
        operation.state = OperationState::Running;
        operation.stage = "1 of 2 ready";
        operation.stages.push_back({ "downloading", operation.created, "desk-0" });
        operation.replicas = { { "desk-0", "step-1", true, "ready", "step-1", "", 1.25 } };
        QVERIFY(wait(journal.append(operation)));
        operation.state = OperationState::Succeeded;
        operation.stage = "succeeded";
        operation.result = "{\"identity\":\"step-1\"}";
        operation.stages.push_back({ "succeeded", operation.created, "" });
        QVERIFY(wait(journal.append(operation)));
        const auto entries = wait(journal.load());
        QVERIFY(entries);
        QVERIFY(entries->first().operation == operation);
        QCOMPARE(entries->first().operation.stages.size(), std::size_t { 3 });
    }

    void sameKeyTwice_isRefused()
    {
        Journal journal(m_file);
        QVERIFY(wait(journal.load()));
        auto operation = sampleOperation("op-1");
        QVERIFY(wait(journal.insert(operation)));
        operation.id = "op-2";
        const auto second = wait(journal.insert(operation));
        QVERIFY(!second);
        QVERIFY(second.error().code == Error::Code::Conflict);
        QCOMPARE(wait(journal.load())->size(), 1);
    }

    void rowsCannotBeChangedOrRemoved()
    {
        {
            Journal journal(m_file);
            QVERIFY(wait(journal.load()));
            QVERIFY(wait(journal.insert(sampleOperation("op-1"))));
        }
        {
            auto db = QSqlDatabase::addDatabase(u"QSQLITE"_s, u"test"_s);
            db.setDatabaseName(m_file);
            QVERIFY(db.open());
            QSqlQuery query(db);
            for (const auto& table : { u"operations"_s, u"events"_s, u"stages"_s })
                QVERIFY2(!query.exec(u"DELETE FROM "_s + table), qPrintable(table));
            QVERIFY(!query.exec(u"UPDATE events SET state='succeeded'"_s));
            db.close();
        }
        QSqlDatabase::removeDatabase(u"test"_s);
    }

    void twoJournalsOfOneFile_seeEachOther()
    {
        Journal window(m_file);
        Journal ctl(m_file);
        QVERIFY(wait(window.load()));
        QVERIFY(wait(ctl.load()));
        QSignalSpy seen(&window, &Journal::changedElsewhere);
        QSignalSpy own(&ctl, &Journal::changedElsewhere);
        QVERIFY(wait(ctl.insert(sampleOperation("op-ctl"))));
        QTRY_VERIFY_WITH_TIMEOUT(seen.count() >= 1, 1500);
        QCOMPARE(wait(window.load())->size(), 1);
        QCOMPARE(own.count(), 0);
    }

    void manyWritersOfANewFile_loseNothing()
    {
        Journal a(m_file);
        Journal b(m_file);
        QList<QFuture<Status>> writes;
        for (int i = 0; i < 8; ++i) {
            writes.append(a.insert(sampleOperation("a" + std::to_string(i))));
            writes.append(b.insert(sampleOperation("b" + std::to_string(i))));
        }
        for (const auto& write : writes)
            QVERIFY(wait(write));
        QCOMPARE(wait(a.load())->size(), 16);
    }

    void fileThatIsNoJournal_isLeftAlone()
    {
        QFile file(m_file);
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write(QByteArray(8192, 'x'));
        file.close();
        Journal journal(m_file);
        const auto loaded = wait(journal.load());
        QVERIFY(!loaded);
        QVERIFY(loaded.error().code == Error::Code::Malformed);
        QVERIFY(!wait(journal.insert(sampleOperation("op-1"))));
        QVERIFY(file.open(QIODevice::ReadOnly));
        QCOMPARE(file.readAll(), QByteArray(8192, 'x'));
    }

    void databaseOfAnotherProgram_isLeftAlone()
    {
        {
            auto db = QSqlDatabase::addDatabase(u"QSQLITE"_s, u"other"_s);
            db.setDatabaseName(m_file);
            QVERIFY(db.open());
            QSqlQuery query(db);
            QVERIFY(query.exec(u"CREATE TABLE theirs(x)"_s));
            db.close();
        }
        QSqlDatabase::removeDatabase(u"other"_s);
        Journal journal(m_file);
        const auto loaded = wait(journal.load());
        QVERIFY(!loaded);
        QVERIFY(loaded.error().code == Error::Code::Malformed);
    }

    void missingFolder_isSaid()
    {
        Journal journal(m_dir->filePath(u"no/such/journal.sqlite"_s));
        const auto loaded = wait(journal.load());
        QVERIFY(!loaded);
        QVERIFY(loaded.error().code == Error::Code::Unreadable);
        QCOMPARE(loaded.error().unchanged, std::string("Nothing was sent"));
    }

    void fullDisk_isAnErrorAndKeepsWhatWasThere()
    {
        Journal journal(m_file);
        QVERIFY(wait(journal.load()));
        QVERIFY(wait(journal.insert(sampleOperation("op-1"))));
        // A limit on the size of files stands in for a full disk: writes fail in the same place.
        rlimit before {};
        QCOMPARE(::getrlimit(RLIMIT_FSIZE, &before), 0);
        const auto handler = std::signal(SIGXFSZ, SIG_IGN);
        const rlimit tight { 4096, before.rlim_max };
        QCOMPARE(::setrlimit(RLIMIT_FSIZE, &tight), 0);
        const auto failed = wait(journal.insert(sampleOperation("op-2")));
        ::setrlimit(RLIMIT_FSIZE, &before);
        std::signal(SIGXFSZ, handler);
        QVERIFY(!failed);
        QVERIFY(failed.error().code == Error::Code::Full
            || failed.error().code == Error::Code::Unreadable);
        QCOMPARE(failed.error().unchanged, std::string("Nothing was sent"));
        QCOMPARE(wait(journal.load())->size(), 1);
        QVERIFY(wait(journal.insert(sampleOperation("op-3"))));
    }

    void ownerOfAProcessThatIsGone_isNotAlive()
    {
        QVERIFY(isIdentityAlive(identityOfThisProcess()).value());
        auto other = identityOfThisProcess();
        other.back() = other.back() == '1' ? '2' : '1'; // another start time: the pid was reused
        QCOMPARE(isIdentityAlive(other).value(), false);
        QVERIFY(!isIdentityAlive("another-host:1:1").has_value());
        QCOMPARE(isIdentityAlive("nonsense").value_or(true), false);
    }

    void recordOfACrashedProcess_hasNoLivingOwner()
    {
        {
            JournalDatabase database(m_file);
            QVERIFY(database.open());
            auto owner = identityOfThisProcess();
            owner.back() = owner.back() == '1' ? '2' : '1';
            QVERIFY(database.insert(sampleOperation("op-1"), owner));
        }
        Journal journal(m_file);
        const auto entries = wait(journal.load());
        QVERIFY(entries);
        QVERIFY(!entries->first().isOwnerAlive);
        QVERIFY(entries->first().operation.state == OperationState::Sent);
    }

private:
    std::unique_ptr<QTemporaryDir> m_dir;
    QString m_file;
};

} // namespace desk

QTEST_GUILESS_MAIN(desk::TestJournal)
#include "tst_journal.moc"
