// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/objects/database.h"

#include <chrono>
#include <sqlite3.h>

namespace desk::local {

namespace {

    sqlite3* sqliteHandle(void* handle)
    {
        return static_cast<sqlite3*>(handle);
    }

    sqlite3_stmt* sqliteStatement(void* statement)
    {
        return static_cast<sqlite3_stmt*>(statement);
    }

    int bindValue(sqlite3_stmt* statement, int index, const SqlValue& value)
    {
        if (std::holds_alternative<std::int64_t>(value))
            return sqlite3_bind_int64(statement, index, std::get<std::int64_t>(value));
        if (std::holds_alternative<double>(value))
            return sqlite3_bind_double(statement, index, std::get<double>(value));
        if (std::holds_alternative<std::string>(value)) {
            const auto& text = std::get<std::string>(value);
            return sqlite3_bind_text64(
                statement, index, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
        }
        return sqlite3_bind_null(statement, index);
    }

} // namespace

SqlValue sqlOptional(const std::optional<Time>& time)
{
    return time ? SqlValue(sqlTime(*time)) : SqlValue();
}

SqlValue sqlOptional(const std::optional<std::int64_t>& number)
{
    return number ? SqlValue(*number) : SqlValue();
}

SqlValue sqlOptional(const std::optional<double>& number)
{
    return number ? SqlValue(*number) : SqlValue();
}

std::int64_t sqlTime(Time time)
{
    return time.time_since_epoch().count();
}

std::string Database::Row::text(int column) const
{
    const auto* statement = sqliteStatement(m_statement);
    const auto* bytes = sqlite3_column_text(sqliteStatement(m_statement), column);
    const auto size = sqlite3_column_bytes(const_cast<sqlite3_stmt*>(statement), column);
    if (!bytes || size <= 0)
        return {};
    return { static_cast<const char*>(static_cast<const void*>(bytes)),
        static_cast<std::size_t>(size) };
}

std::int64_t Database::Row::integer(int column) const
{
    return sqlite3_column_int64(sqliteStatement(m_statement), column);
}

double Database::Row::real(int column) const
{
    return sqlite3_column_double(sqliteStatement(m_statement), column);
}

bool Database::Row::isNull(int column) const
{
    return sqlite3_column_type(sqliteStatement(m_statement), column) == SQLITE_NULL;
}

std::optional<std::int64_t> Database::Row::optionalInteger(int column) const
{
    return isNull(column) ? std::nullopt : std::optional(integer(column));
}

std::optional<double> Database::Row::optionalReal(int column) const
{
    return isNull(column) ? std::nullopt : std::optional(real(column));
}

std::optional<Time> Database::Row::time(int column) const
{
    if (isNull(column))
        return std::nullopt;
    return Time(std::chrono::microseconds(integer(column)));
}

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& file)
{
    sqlite3* handle = nullptr;
    const int code = sqlite3_open_v2(file.c_str(), &handle,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr);
    std::unique_ptr<Database> database(new Database(handle));
    if (code != SQLITE_OK)
        return database->failure("opening the store");
    sqlite3_busy_timeout(handle, 5000);
    for (const char* pragma : { "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
             "PRAGMA foreign_keys=ON", "PRAGMA trusted_schema=OFF" })
        if (auto status = database->script(pragma); !status)
            return status.error();
    return database;
}

Database::~Database()
{
    sqlite3_close_v2(sqliteHandle(m_handle));
}

void Database::Finalizer::operator()(void* statement) const
{
    sqlite3_finalize(sqliteStatement(statement));
}

Result<Database::Statement> Database::prepare(
    const char* sql, std::initializer_list<SqlValue> values)
{
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(sqliteHandle(m_handle), sql, -1, &raw, nullptr) != SQLITE_OK)
        return failure("preparing a statement of the store");
    Statement statement(raw, Finalizer {});
    int index = 1;
    for (const auto& value : values)
        if (bindValue(raw, index++, value) != SQLITE_OK)
            return failure("binding a value of the store");
    return statement;
}

Result<bool> Database::step(void* statement)
{
    const int code = sqlite3_step(sqliteStatement(statement));
    if (code == SQLITE_ROW)
        return true;
    if (code == SQLITE_DONE)
        return false;
    return failure("the store");
}

Result<std::int64_t> Database::run(const char* sql, std::initializer_list<SqlValue> values)
{
    auto statement = prepare(sql, values);
    if (!statement)
        return statement.error();
    while (true) {
        auto more = step(statement->get());
        if (!more)
            return more.error();
        if (!*more)
            return static_cast<std::int64_t>(sqlite3_changes(sqliteHandle(m_handle)));
    }
}

Status Database::script(const char* sql)
{
    if (sqlite3_exec(sqliteHandle(m_handle), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
        return failure("the store");
    return done();
}

void Database::rollBack()
{
    // Fails harmlessly where SQLite has rolled back by itself, e.g. on a full disk.
    sqlite3_exec(sqliteHandle(m_handle), "ROLLBACK", nullptr, nullptr, nullptr);
}

Error Database::failure(const char* doing) const
{
    const int code = sqlite3_errcode(sqliteHandle(m_handle)) & 0xff;
    const bool isConstraint = code == SQLITE_CONSTRAINT;
    const bool isFull = code == SQLITE_FULL || code == SQLITE_IOERR;
    return Error { isConstraint ? Error::Code::Conflict
            : isFull            ? Error::Code::Full
                                : Error::Code::Unreadable,
        std::string(doing) + " failed: " + sqlite3_errmsg(sqliteHandle(m_handle)),
        "nothing was recorded", isFull ? "make space on the disk and try again" : "", {} };
}

} // namespace desk::local
