// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"
#include "services/core/result.h"
#include "services/store/journal.h"

#include <QList>
#include <QString>

#include <cstdint>
#include <optional>

namespace desk {

/// The journal file and its statements, blocking.
///
/// Layout, version 1 (PRAGMA application_id 0x4445534b, user_version 1): `operations`, one row
/// each, never changed; `events`, the state after each step; `stages`, numbered per operation.
/// Triggers refuse UPDATE and DELETE.
/// THREAD: the one that called open(), and no other (a rule of Qt SQL).
class JournalDatabase final
{
public:
    explicit JournalDatabase(QString file);
    ~JournalDatabase();
    Q_DISABLE_COPY_MOVE(JournalDatabase)

    [[nodiscard]] Status open(); ///< does nothing when it is open
    [[nodiscard]] Result<QList<JournalEntry>> load(int limit);
    [[nodiscard]] Status insert(const Operation& operation, const std::string& owner);
    [[nodiscard]] Status append(const Operation& operation);
    /// Grows when another connection has committed; nullopt if it cannot be read.
    [[nodiscard]] std::optional<std::int64_t> dataVersion();

private:
    [[nodiscard]] Status prepareFile();
    [[nodiscard]] Status addEvent(const Operation& operation);
    template <class F>
    [[nodiscard]] Status inTransaction(F write);

    const QString m_file;
    const QString m_connection; ///< name among Qt's connections
    bool m_isOpen = false;
};

} // namespace desk
