// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/store/journal_database.h"

#include "services/codecs/journal_codec.h"
#include "services/store/process_identity.h"

#include <QElapsedTimer>
#include <QFileInfo>
#include <QHash>
#include <QSqlDatabase>
#include <QSqlError>
#include <QSqlQuery>
#include <QThread>
#include <QUuid>
#include <QVariant>

#include <chrono>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr std::int64_t kApplicationId = 0x4445534b; // "DESK"
    constexpr std::int64_t kJournalVersion = 1;
    constexpr int kSqliteBusy = 5;
    constexpr qint64 kBusyPatienceMs = 5000;
    // A record of another machine is left alone this long, because nobody here can see its process.
    constexpr auto kForeignOwnerPatience = std::chrono::minutes(10);

    constexpr const char* kSchema[] = {
        "CREATE TABLE operations(id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
        " connection TEXT NOT NULL, target TEXT NOT NULL, subject TEXT NOT NULL,"
        " parameters TEXT NOT NULL, request TEXT NOT NULL, by TEXT NOT NULL, owner TEXT NOT NULL,"
        " created TEXT NOT NULL)",
        "CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT,"
        " operation TEXT NOT NULL REFERENCES operations(id), at TEXT NOT NULL, state TEXT NOT NULL,"
        " stage TEXT NOT NULL, result TEXT NOT NULL, error_code TEXT NOT NULL,"
        " error_message TEXT NOT NULL, error_unchanged TEXT NOT NULL, error_next TEXT NOT NULL,"
        " replicas TEXT NOT NULL)",
        "CREATE TABLE stages(operation TEXT NOT NULL REFERENCES operations(id),"
        " number INTEGER NOT NULL, at TEXT NOT NULL, stage TEXT NOT NULL, detail TEXT NOT NULL,"
        " PRIMARY KEY(operation, number))",
        "CREATE INDEX events_by_operation ON events(operation, seq)",
        "CREATE TRIGGER operations_fixed BEFORE UPDATE ON operations"
        " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
        "CREATE TRIGGER operations_kept BEFORE DELETE ON operations"
        " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
        "CREATE TRIGGER events_fixed BEFORE UPDATE ON events"
        " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
        "CREATE TRIGGER events_kept BEFORE DELETE ON events"
        " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
        "CREATE TRIGGER stages_fixed BEFORE UPDATE ON stages"
        " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
        "CREATE TRIGGER stages_kept BEFORE DELETE ON stages"
        " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
    };

    QString toQt(const std::string& text)
    {
        return QString::fromUtf8(text.data(), static_cast<qsizetype>(text.size()));
    }

    /// Bound texts are never NULL, which an empty QString of Qt would become.
    QVariant bound(const std::string& text)
    {
        return text.empty() ? QVariant(u""_s) : QVariant(toQt(text));
    }

    std::string textOf(const QSqlQuery& query, int column)
    {
        return query.value(column).toString().toStdString();
    }

    Time timeOf(const QSqlQuery& query, int column)
    {
        return parseRfc3339(textOf(query, column)).value_or(Time {});
    }

    Error journalError(const QSqlError& error, const QString& file)
    {
        // Result codes of SQLite; extended ones carry the primary code in their low byte.
        const int native = error.nativeErrorCode().toInt() & 0xff;
        const auto text =
            error.databaseText().isEmpty() ? error.driverText() : error.databaseText();
        const auto path = file.toStdString();
        if (native == 13)
            return { Error::Code::Full,
                "The disk is full: the journal " + path + " cannot be written", "Nothing was sent",
                "Free some space, then try again", {} };
        if (native == 11 || native == 26)
            return { Error::Code::Malformed, "The journal " + path + " is damaged or no journal",
                "It was left as it is, and nothing was sent",
                "Move the file away; the desk then starts a new journal", {} };
        if (native == 5 || native == 6)
            return { Error::Code::Conflict,
                "Another program has kept the journal " + path + " locked for 5 s",
                "Nothing was sent", "Close the other program or try again", {} };
        return { Error::Code::Unreadable,
            "The journal " + path + " cannot be used: " + text.toStdString(), "Nothing was sent",
            "Check that the folder exists and can be written", {} };
    }

    Operation operationOf(const QSqlQuery& query)
    {
        Operation operation;
        operation.id = textOf(query, 0);
        operation.key = textOf(query, 1);
        operation.kind = operationKindFrom(textOf(query, 2)).value_or(OperationKind::Save);
        operation.connection = textOf(query, 3);
        operation.target = textOf(query, 4);
        operation.subject = textOf(query, 5);
        operation.parameters = decodeTextMap(textOf(query, 6)).value_or({});
        operation.request = decodeRequestPreview(textOf(query, 7)).value_or({});
        operation.by = textOf(query, 8);
        operation.created = timeOf(query, 10);
        operation.updated = timeOf(query, 11);
        operation.state = operationStateFrom(textOf(query, 12)).value_or(OperationState::Unknown);
        operation.stage = textOf(query, 13);
        operation.result = textOf(query, 14);
        operation.errorCode = textOf(query, 15);
        operation.errorMessage = textOf(query, 16);
        operation.errorUnchanged = textOf(query, 17);
        operation.errorNext = textOf(query, 18);
        operation.replicas = decodeReplicas(textOf(query, 19)).value_or({});
        return operation;
    }

    /// Turning WAL on needs the file alone, and SQLite does not wait for that by itself: two
    /// programs that start on a new profile at once meet here.
    bool execWhenFree(QSqlQuery& query, const QString& statement)
    {
        QElapsedTimer clock;
        clock.start();
        while (!query.exec(statement)) {
            const int native = query.lastError().nativeErrorCode().toInt() & 0xff;
            if (native != kSqliteBusy || clock.hasExpired(kBusyPatienceMs))
                return false;
            QThread::msleep(10);
        }
        return true;
    }

    bool ownerLives(const std::string& owner, Time updated)
    {
        if (const auto isAlive = isIdentityAlive(owner))
            return *isAlive;
        return SystemClock().now() - updated < kForeignOwnerPatience;
    }

} // namespace

JournalDatabase::JournalDatabase(QString file)
    : m_file(std::move(file))
    , m_connection(u"journal-"_s + QUuid::createUuid().toString(QUuid::WithoutBraces))
{
}

JournalDatabase::~JournalDatabase()
{
    if (!QSqlDatabase::contains(m_connection))
        return;
    QSqlDatabase::database(m_connection, false).close();
    QSqlDatabase::removeDatabase(m_connection);
}

Status JournalDatabase::open()
{
    if (m_isOpen)
        return done();
    auto db = QSqlDatabase::contains(m_connection)
        ? QSqlDatabase::database(m_connection, false)
        : QSqlDatabase::addDatabase(u"QSQLITE"_s, m_connection);
    db.setDatabaseName(m_file);
    db.setConnectOptions(u"QSQLITE_BUSY_TIMEOUT=5000"_s);
    if (!db.open())
        return journalError(db.lastError(), m_file);
    if (auto ready = prepareFile(); !ready) {
        db.close();
        return ready;
    }
    m_isOpen = true;
    return done();
}

Status JournalDatabase::prepareFile()
{
    const auto db = QSqlDatabase::database(m_connection, false);
    QSqlQuery query(db);
    const auto number = [&](const QString& pragma) -> Result<std::int64_t> {
        if (!query.exec(pragma) || !query.next())
            return journalError(query.lastError(), m_file);
        const auto value = query.value(0).toLongLong();
        query.finish();
        return std::int64_t { value };
    };
    // FULL: a commit is on the disk before it returns, which WAL alone does not promise.
    for (const auto& pragma : { u"PRAGMA journal_mode=WAL"_s, u"PRAGMA synchronous=FULL"_s,
             u"PRAGMA foreign_keys=ON"_s }) {
        if (!execWhenFree(query, pragma))
            return journalError(query.lastError(), m_file);
        query.finish();
    }
    return inTransaction([&]() -> Status {
        const auto version = number(u"PRAGMA user_version"_s);
        const auto tables = number(u"SELECT count(*) FROM sqlite_master"_s);
        const auto application = number(u"PRAGMA application_id"_s);
        if (!version || !tables || !application)
            return journalError(query.lastError(), m_file);
        if (*tables > 0 && *application == kApplicationId && *version == kJournalVersion)
            return done();
        if (*tables > 0)
            return Error { Error::Code::Malformed,
                "The file " + m_file.toStdString() + " is no journal of this version",
                "It was left as it is, and nothing was sent",
                "Move the file away, or use the program that wrote it", {} };
        for (const char* statement : kSchema) {
            if (!query.exec(QString::fromLatin1(statement)))
                return journalError(query.lastError(), m_file);
        }
        if (!query.exec(u"PRAGMA application_id=%1"_s.arg(kApplicationId))
            || !query.exec(u"PRAGMA user_version=%1"_s.arg(kJournalVersion)))
            return journalError(query.lastError(), m_file);
        return done();
    });
}

template <class F>
Status JournalDatabase::inTransaction(F write)
{
    QSqlQuery query(QSqlDatabase::database(m_connection, false));
    // IMMEDIATE: waits for another writer here, instead of failing in the middle.
    if (!query.exec(u"BEGIN IMMEDIATE"_s))
        return journalError(query.lastError(), m_file);
    auto written = write();
    if (written && !query.exec(u"COMMIT"_s))
        written = journalError(query.lastError(), m_file);
    if (!written)
        query.exec(u"ROLLBACK"_s); // what failed first is what the caller must know
    return written;
}

Result<QList<JournalEntry>> JournalDatabase::load(int limit)
{
    QSqlQuery query(QSqlDatabase::database(m_connection, false));
    query.setForwardOnly(true);
    query.prepare(u"SELECT o.id, o.key, o.kind, o.connection, o.target, o.subject, o.parameters,"
                  " o.request, o.by, o.owner, o.created, e.at, e.state, e.stage, e.result,"
                  " e.error_code, e.error_message, e.error_unchanged, e.error_next, e.replicas"
                  " FROM operations o JOIN events e ON e.seq ="
                  " (SELECT max(seq) FROM events WHERE operation = o.id)"
                  " ORDER BY o.rowid DESC LIMIT ?"_s);
    query.addBindValue(limit);
    if (!query.exec())
        return journalError(query.lastError(), m_file);
    QList<JournalEntry> entries;
    QHash<QString, qsizetype> places;
    while (query.next()) {
        JournalEntry entry { operationOf(query), textOf(query, 9), false };
        entry.isOwnerAlive = ownerLives(entry.owner, entry.operation.updated);
        places.insert(toQt(entry.operation.id), entries.size());
        entries.append(std::move(entry));
    }
    query.prepare(u"SELECT operation, at, stage, detail FROM stages WHERE operation IN"
                  " (SELECT id FROM operations ORDER BY rowid DESC LIMIT ?)"
                  " ORDER BY operation, number"_s);
    query.addBindValue(limit);
    if (!query.exec())
        return journalError(query.lastError(), m_file);
    while (query.next()) {
        const auto place = places.constFind(query.value(0).toString());
        if (place != places.constEnd())
            entries[*place].operation.stages.push_back(
                { textOf(query, 2), timeOf(query, 1), textOf(query, 3) });
    }
    return entries;
}

Status JournalDatabase::insert(const Operation& operation, const std::string& owner)
{
    return inTransaction([&]() -> Status {
        QSqlQuery query(QSqlDatabase::database(m_connection, false));
        query.prepare(u"SELECT 1 FROM operations WHERE key = ? OR id = ?"_s);
        query.addBindValue(bound(operation.key));
        query.addBindValue(bound(operation.id));
        if (!query.exec())
            return journalError(query.lastError(), m_file);
        if (query.next())
            return Error { Error::Code::Conflict,
                "This plan was committed before; its operation is in the journal",
                "It was not sent a second time", "Look at the operations, or review it anew", {} };
        query.finish();
        query.prepare(u"INSERT INTO operations VALUES(?,?,?,?,?,?,?,?,?,?,?)"_s);
        for (const auto& text :
            { operation.id, operation.key, std::string(toString(operation.kind)),
                operation.connection, operation.target, operation.subject,
                encodeTextMap(operation.parameters), encodeRequestPreview(operation.request),
                operation.by, owner, toRfc3339(operation.created) })
            query.addBindValue(bound(text));
        if (!query.exec())
            return journalError(query.lastError(), m_file);
        return addEvent(operation);
    });
}

Status JournalDatabase::append(const Operation& operation)
{
    return inTransaction([&] { return addEvent(operation); });
}

Status JournalDatabase::addEvent(const Operation& operation)
{
    QSqlQuery query(QSqlDatabase::database(m_connection, false));
    query.prepare(u"INSERT INTO events(operation, at, state, stage, result, error_code,"
                  " error_message, error_unchanged, error_next, replicas)"
                  " VALUES(?,?,?,?,?,?,?,?,?,?)"_s);
    for (const auto& text :
        { operation.id, toRfc3339(operation.updated), std::string(toString(operation.state)),
            operation.stage, operation.result, operation.errorCode, operation.errorMessage,
            operation.errorUnchanged, operation.errorNext, encodeReplicas(operation.replicas) })
        query.addBindValue(bound(text));
    if (!query.exec())
        return journalError(query.lastError(), m_file);
    query.prepare(u"SELECT count(*) FROM stages WHERE operation = ?"_s);
    query.addBindValue(bound(operation.id));
    if (!query.exec() || !query.next())
        return journalError(query.lastError(), m_file);
    auto number = static_cast<std::size_t>(query.value(0).toULongLong());
    query.finish();
    query.prepare(u"INSERT INTO stages VALUES(?,?,?,?,?)"_s);
    for (; number < operation.stages.size(); ++number) {
        const auto& stage = operation.stages[number];
        query.bindValue(0, bound(operation.id));
        query.bindValue(1, static_cast<qlonglong>(number));
        query.bindValue(2, bound(toRfc3339(stage.at)));
        query.bindValue(3, bound(stage.stage));
        query.bindValue(4, bound(stage.detail));
        if (!query.exec())
            return journalError(query.lastError(), m_file);
    }
    return done();
}

std::optional<std::int64_t> JournalDatabase::dataVersion()
{
    if (!m_isOpen)
        return std::nullopt;
    QSqlQuery query(QSqlDatabase::database(m_connection, false));
    if (!query.exec(u"PRAGMA data_version"_s) || !query.next())
        return std::nullopt;
    return std::int64_t { query.value(0).toLongLong() };
}

} // namespace desk
