// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"
#include "services/core/result.h"

#include <QFuture>
#include <QList>
#include <QObject>
#include <QString>

#include <memory>
#include <string>

class QThread;

namespace desk {

/// One record as the journal holds it: the operation, and which process is running it.
struct JournalEntry
{
    Operation operation;
    std::string owner; ///< host, pid and start time of the process that journaled it
    bool isOwnerAlive = false; ///< read when the entry was loaded
};

/// The operations journal: what was reviewed, sent and found out, in SQLite, append-only.
///
/// An operation is one row written once plus one row for each event (state, stage, outcome); its
/// present state is its newest event. WAL with synchronous=FULL: a future that ended with success
/// says that the rows are on the disk. Several processes share one file; a writer waits for
/// another at most 5 s. Holds no key and no secret.
/// THREAD: public functions from any one thread; the database lives on a thread of its own.
class Journal final : public QObject
{
    Q_OBJECT

public:
    explicit Journal(QString file, QObject* parent = nullptr);
    ~Journal() override; ///< finishes what was queued
    Q_DISABLE_COPY_MOVE(Journal)

    /// Opens or creates the file and loads the newest `limit` operations, newest first. Must be
    /// called first; calling it again reads again. Malformed for a file that is no journal.
    [[nodiscard]] QFuture<Result<QList<JournalEntry>>> load(int limit = 2000);

    /// Writes the operation and its first event and syncs them. Conflict if its idempotency key
    /// was used before: whatever was sent under that key must not be sent again.
    [[nodiscard]] QFuture<Status> insert(Operation operation);

    /// Adds one event: state, stage, outcome and those stages that are not in the journal yet.
    [[nodiscard]] QFuture<Status> append(Operation operation);

    /// This process as `owner` names it.
    [[nodiscard]] static std::string ownerOfThisProcess();

Q_SIGNALS:
    /// Another process wrote to the file; load() again. Looked for every 500 ms.
    void changedElsewhere();

private:
    class Worker;
    struct QuitAndWait
    {
        void operator()(QThread* thread) const;
    };
    Worker* m_worker = nullptr; // lives on *m_thread, deleted when that finishes
    std::unique_ptr<QThread, QuitAndWait> m_thread; // last member: destroyed first
};

} // namespace desk
