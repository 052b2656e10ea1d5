// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/store/journal.h"

#include "services/store/journal_database.h"
#include "services/store/process_identity.h"

#include <QPromise>
#include <QThread>
#include <QTimer>

namespace desk {
namespace {

    constexpr int kJournalPollMs = 500;

} // namespace

class Journal::Worker final : public QObject // clazy:exclude=missing-qobject-macro
{
public:
    Worker(QString file, Journal* journal)
        : m_database(std::move(file))
        , m_journal(journal)
    {
    }

    template <class T, class F>
    void answer(QPromise<Result<T>>& promise, F work)
    {
        promise.start();
        try { // the one adapter where exceptions end
            promise.addResult(work(m_database));
        } catch (const std::exception& e) {
            promise.addResult(Result<T>(
                Error { Error::Code::OutOfMemory, e.what(), "Nothing was sent", {}, {} }));
        }
        promise.finish();
    }

    /// Notes what was read, so that only later writes of others are reported.
    void watch()
    {
        m_version = m_database.dataVersion();
        if (m_timer)
            return;
        m_timer = new QTimer(this);
        connect(m_timer, &QTimer::timeout, this, [this] {
            const auto version = m_database.dataVersion();
            if (!version || version == m_version)
                return;
            m_version = version;
            Q_EMIT m_journal->changedElsewhere();
        });
        m_timer->start(kJournalPollMs);
    }

private:
    JournalDatabase m_database;
    Journal* m_journal; // outlives the thread of this object
    QTimer* m_timer = nullptr;
    std::optional<std::int64_t> m_version;
};

void Journal::QuitAndWait::operator()(QThread* thread) const
{
    thread->quit();
    thread->wait();
    delete thread;
}

Journal::Journal(QString file, QObject* parent)
    : QObject(parent)
    , m_worker(new Worker(std::move(file), this))
    , m_thread(new QThread)
{
    m_thread->setObjectName(QStringLiteral("journal"));
    m_worker->moveToThread(m_thread.get());
    connect(m_thread.get(), &QThread::finished, m_worker, &QObject::deleteLater);
    m_thread->start();
}

Journal::~Journal()
{
    // Quit is queued behind every write, so that none of them is lost.
    QMetaObject::invokeMethod(m_worker, [thread = m_thread.get()] { thread->quit(); });
    m_thread->wait();
}

QFuture<Result<QList<JournalEntry>>> Journal::load(int limit)
{
    QPromise<Result<QList<JournalEntry>>> promise;
    auto future = promise.future();
    QMetaObject::invokeMethod(
        m_worker, [worker = m_worker, limit, promise = std::move(promise)]() mutable {
            worker->answer(promise, [&](JournalDatabase& database) -> Result<QList<JournalEntry>> {
                if (const auto opened = database.open(); !opened)
                    return opened.error();
                worker->watch();
                return database.load(limit);
            });
        });
    return future;
}

QFuture<Status> Journal::insert(Operation operation)
{
    QPromise<Status> promise;
    auto future = promise.future();
    QMetaObject::invokeMethod(m_worker,
        [worker = m_worker, operation = std::move(operation),
            promise = std::move(promise)]() mutable {
            worker->answer(promise, [&](JournalDatabase& database) -> Status {
                if (const auto opened = database.open(); !opened)
                    return opened.error();
                return database.insert(operation, ownerOfThisProcess());
            });
        });
    return future;
}

QFuture<Status> Journal::append(Operation operation)
{
    QPromise<Status> promise;
    auto future = promise.future();
    QMetaObject::invokeMethod(m_worker,
        [worker = m_worker, operation = std::move(operation),
            promise = std::move(promise)]() mutable {
            worker->answer(promise, [&](JournalDatabase& database) -> Status {
                if (const auto opened = database.open(); !opened)
                    return opened.error();
                return database.append(operation);
            });
        });
    return future;
}

std::string Journal::ownerOfThisProcess()
{
    static const std::string owner = identityOfThisProcess();
    return owner;
}

} // namespace desk
