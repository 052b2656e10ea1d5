// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/result.h"

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace desk::local {

/// A value to bind: NULL, integer, real or text.
using SqlValue = std::variant<std::monostate, std::int64_t, double, std::string>;
[[nodiscard]] SqlValue sqlOptional(const std::optional<Time>& time);
[[nodiscard]] SqlValue sqlOptional(const std::optional<std::int64_t>& number);
[[nodiscard]] SqlValue sqlOptional(const std::optional<double>& number);
/// Microseconds since the epoch.
[[nodiscard]] std::int64_t sqlTime(Time time);

/// One SQLite connection in WAL mode with synchronous=FULL: what a commit acknowledged survives
/// kill -9 and power loss. THREAD: one at a time; the owner locks.
class Database
{
public:
    /// One result row; valid until the next step.
    class Row
    {
    public:
        explicit Row(void* statement)
            : m_statement(statement)
        {
        }
        [[nodiscard]] std::string text(int column) const;
        [[nodiscard]] std::int64_t integer(int column) const;
        [[nodiscard]] double real(int column) const;
        [[nodiscard]] bool isNull(int column) const;
        [[nodiscard]] std::optional<std::int64_t> optionalInteger(int column) const;
        [[nodiscard]] std::optional<double> optionalReal(int column) const;
        [[nodiscard]] std::optional<Time> time(int column) const;

    private:
        void* m_statement; // sqlite3_stmt
    };

    [[nodiscard]] static Result<std::unique_ptr<Database>> open(const std::filesystem::path& file);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    /// Runs one statement to its end; the number of rows it changed.
    [[nodiscard]] Result<std::int64_t> run(
        const char* sql, std::initializer_list<SqlValue> values = {});
    /// Calls `each(Row)` for every row.
    template <class Each>
    [[nodiscard]] Status select(
        const char* sql, std::initializer_list<SqlValue> values, Each&& each)
    {
        auto statement = prepare(sql, values);
        if (!statement)
            return statement.error();
        while (true) {
            auto more = step(statement->get());
            if (!more)
                return more.error();
            if (!*more)
                return done();
            each(Row(statement->get()));
        }
    }
    /// Several statements without values, for the schema.
    [[nodiscard]] Status script(const char* sql);
    /// Runs `body` (returning Status) in one transaction; rolled back when it fails.
    template <class Body>
    [[nodiscard]] Status transaction(Body&& body)
    {
        if (auto begun = script("BEGIN IMMEDIATE"); !begun)
            return begun;
        Status status = body();
        if (status)
            status = script("COMMIT");
        if (!status)
            rollBack();
        return status;
    }

private:
    struct Finalizer
    {
        void operator()(void* statement) const;
    };
    using Statement = std::shared_ptr<void>;
    explicit Database(void* handle)
        : m_handle(handle)
    {
    }
    [[nodiscard]] Result<Statement> prepare(
        const char* sql, std::initializer_list<SqlValue> values);
    [[nodiscard]] Result<bool> step(void* statement);
    void rollBack();
    [[nodiscard]] Error failure(const char* doing) const;

    void* m_handle; // sqlite3
};

} // namespace desk::local
