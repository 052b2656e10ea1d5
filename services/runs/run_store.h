// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/result.h"
#include "services/runs/run_facts.h"

#include <QList>
#include <QObject>
#include <QString>
#include <QStringList>

#include <memory>
#include <optional>
#include <string>

class QThread;

namespace desk {

/// Watches run folders and tails their ledgers on a thread of its own.
///
/// A change of a ledger is known within 500 ms (file system events, and a poll beside them
/// because network file systems send none). A torn last line waits for its end; a ledger that was
/// truncated or replaced is read anew; its SeriesStore is cleared first.
/// THREAD: the one it lives on, apart from what `series` points at, which any thread may read.
class RunStore final : public QObject
{
    Q_OBJECT

public:
    /// `clock` must outlive the store and be safe to ask from another thread.
    explicit RunStore(const Clock& clock, QObject* parent = nullptr);
    ~RunStore() override;
    Q_DISABLE_COPY_MOVE(RunStore)

    /// Watches every run folder directly below `directory`, also those that appear later.
    void watchDirectory(const QString& directory);
    /// Watches one folder, or the folder of one ledger file. folderRefused() if it is none.
    void openFolder(const QString& path);
    void closeFolder(const QString& id);
    /// Reads everything now instead of at the next tick.
    void refresh();

    [[nodiscard]] QList<RunFacts> runs() const; ///< newest start first
    [[nodiscard]] std::optional<RunFacts> run(const QString& id) const;
    /// The newest run that trains a job (full resource name or bare id).
    [[nodiscard]] std::optional<RunFacts> runOfJob(const std::string& job) const;

Q_SIGNALS:
    void runAdded(const QString& id);
    void runChanged(const QString& id); ///< at most 10 Hz per run
    void runRemoved(const QString& id); ///< closed, or its folder is gone
    void folderRefused(const QString& path, const desk::Error& error);

private:
    void accept(RunFacts facts);
    void forget(const QString& id);
    void askRuns();
    void askRun(const QString& id);
    class Worker;
    struct QuitAndWait
    {
        void operator()(QThread* thread) const;
    };
    class Private;
    std::unique_ptr<Private> m_private;
    Worker* m_worker = nullptr; // lives on *m_thread, deleted when that finishes
    std::unique_ptr<QThread, QuitAndWait> m_thread; // last member: destroyed first
};

} // namespace desk
