// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/runs/run_store.h"

#include "services/on_finished.h"
#include "services/runs/control_socket.h"
#include "services/runs/run_reader.h"

#include <QDir>
#include <QElapsedTimer>
#include <QFileInfo>
#include <QFileSystemWatcher>
#include <QHash>
#include <QMap>
#include <QSet>
#include <QThread>
#include <QTimer>

#include <algorithm>
#include <map>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr int kTailTickMs = 200; // for file systems that send no events
    constexpr int kTailMinGapMs = 100; // at most 10 reports a second
    constexpr int kScanEveryTicks = 4;
    constexpr int kQuietEveryTicks = 10; // runs that do not grow are looked at less often
    constexpr int kControlEveryMs = 2000;
    constexpr int kControlTimeoutMs = 1500;
    constexpr int kMaxRuns = 5000;

    const QString& ledgerName()
    {
        static const QString name = u"metrics.jsonl"_s;
        return name;
    }

    std::filesystem::path toPath(const QString& path)
    {
        return path.toStdString();
    }

    /// Folders of Hugging Face checkpoints have a config.json too, so that alone makes no run.
    bool looksLikeRun(const QString& folder)
    {
        for (const auto& name : { u"metrics.jsonl"_s, u"trainer.log"_s, u"checkpoints.jsonl"_s }) {
            if (QFileInfo::exists(folder + u'/' + name))
                return true;
        }
        return false;
    }

    Error notARun(const QString& path, const char* why)
    {
        return { Error::Code::NotFound, '"' + path.toStdString() + "\" is no run: " + why,
            "Nothing is watched", "Choose a folder with metrics.jsonl, or a ledger file (.jsonl)",
            {} };
    }

} // namespace

/// Lives on the thread "runs".
class RunStore::Worker final : public QObject // clazy:exclude=missing-qobject-macro
{
public:
    Worker(const Clock& clock, RunStore* store)
        : m_clock(clock)
        , m_store(store)
    {
    }

    void start()
    {
        m_timer = new QTimer(this);
        m_watcher = new QFileSystemWatcher(this);
        m_soon = new QTimer(this);
        m_soon->setSingleShot(true);
        connect(m_timer, &QTimer::timeout, this, [this] { tick(false); });
        connect(m_soon, &QTimer::timeout, this, [this] { pollTouched(); });
        connect(m_watcher, &QFileSystemWatcher::fileChanged, this, [this](const QString& path) {
            const auto folder = QFileInfo(path).absolutePath();
            // A file that was replaced has lost its watch.
            const auto it = m_runs.find(folder);
            if (it != m_runs.end() && !m_watcher->files().contains(path))
                it->second.isWatched = false;
            touch(folder);
        });
        connect(
            m_watcher, &QFileSystemWatcher::directoryChanged, this, [this](const QString& path) {
                if (m_directories.contains(path))
                    scan(path);
                touch(path);
            });
        m_timer->start(kTailTickMs);
    }

    void watchDirectory(const QString& directory)
    {
        const auto path = QDir::cleanPath(QDir::current().absoluteFilePath(directory));
        if (m_directories.contains(path))
            return;
        m_directories.insert(path);
        if (QFileInfo(path).isDir())
            m_watcher->addPath(path);
        scan(path);
    }

    void openFolder(const QString& given)
    {
        const QFileInfo info(given);
        const auto path = info.canonicalFilePath();
        if (path.isEmpty())
            return refuse(given, notARun(given, "there is no such file or folder"));
        const bool isFile = info.isFile();
        const auto folder = isFile ? QFileInfo(path).absolutePath() : path;
        const bool isOurs = m_directories.contains(QFileInfo(folder).absolutePath());
        if (!isFile && !isOurs && !looksLikeRun(folder))
            return refuse(given, notARun(given, "it holds no metrics.jsonl"));
        if (isFile && !path.endsWith(u".jsonl"_s) && !path.endsWith(u".json"_s))
            return refuse(given, notARun(given, "it is no JSON Lines ledger"));
        if (isFile && QFileInfo(path).fileName() != u"checkpoints.jsonl"_s)
            add(folder, path);
        else
            add(folder, folder + u'/' + ledgerName());
    }

    void closeFolder(const QString& id)
    {
        const auto it = m_runs.find(id);
        if (it == m_runs.end())
            return;
        m_closed.insert(id);
        remove(id);
    }

    void tick(bool isAsked)
    {
        ++m_ticks;
        if (isAsked || m_ticks % kScanEveryTicks == 0) {
            for (const auto& directory : m_directories)
                scan(directory);
        }
        QStringList gone;
        for (auto& [id, run] : m_runs) {
            if (isAsked || run.isLively || m_ticks % kQuietEveryTicks == run.phase)
                poll(id, run);
            if (m_ticks % kQuietEveryTicks == run.phase && !QFileInfo::exists(id))
                gone.append(id);
        }
        for (const auto& id : gone)
            remove(id);
    }

private:
    struct Run
    {
        std::unique_ptr<RunReader> reader;
        QString ledger;
        QElapsedTimer sinceReport;
        bool isLively = true; // grew lately, or its process runs
        bool isWatched = false;
        int phase = 0; // spreads quiet runs over the ticks
    };

    void scan(const QString& directory)
    {
        if (!m_watcher->directories().contains(directory) && QFileInfo(directory).isDir())
            m_watcher->addPath(directory);
        const auto folders = QDir(directory).entryList(QDir::Dirs | QDir::NoDotAndDotDot);
        for (const auto& name : folders) {
            const auto folder = QFileInfo(directory + u'/' + name).canonicalFilePath();
            if (folder.isEmpty() || m_closed.contains(folder) || m_runs.contains(folder))
                continue;
            if (looksLikeRun(folder) || QFileInfo::exists(folder + u"/control.sock"_s))
                add(folder, folder + u'/' + ledgerName());
        }
    }

    void add(const QString& folder, const QString& ledger)
    {
        m_closed.remove(folder);
        const auto it = m_runs.find(folder);
        if (it != m_runs.end() && it->second.ledger == ledger)
            return poll(folder, it->second);
        if (m_runs.size() >= kMaxRuns)
            return refuse(folder,
                { Error::Code::Refused, "More than 5000 runs are open", "This one is not watched",
                    "Close some of them", {} });
        Run run;
        run.reader = std::make_unique<RunReader>(toPath(folder), toPath(ledger), m_clock);
        run.ledger = ledger;
        run.phase = static_cast<int>(m_runs.size()) % kQuietEveryTicks;
        auto& placed = m_runs.insert_or_assign(folder, std::move(run)).first->second;
        m_watcher->addPath(folder);
        poll(folder, placed);
    }

    void remove(const QString& id)
    {
        const auto it = m_runs.find(id);
        m_watcher->removePath(id);
        if (it->second.isWatched)
            m_watcher->removePath(it->second.ledger);
        m_runs.erase(it);
        QMetaObject::invokeMethod(m_store, [store = m_store, id] { store->forget(id); });
    }

    void refuse(const QString& path, const Error& error)
    {
        QMetaObject::invokeMethod(
            m_store, [store = m_store, path, error] { Q_EMIT store->folderRefused(path, error); });
    }

    void poll(const QString& id, Run& run)
    {
        if (!run.isWatched)
            run.isWatched = QFileInfo::exists(run.ledger) && m_watcher->addPath(run.ledger);
        if (run.sinceReport.isValid() && run.sinceReport.elapsed() < kTailMinGapMs)
            return touch(id);
        const bool isChanged = run.reader->poll();
        const auto& facts = run.reader->facts();
        run.isLively = facts.isProcessAlive || facts.evidence == RunEvidence::Training
            || run.reader->hasMore() || isChanged || !facts.lastProgress;
        if (run.reader->hasMore())
            touch(id);
        if (!isChanged)
            return;
        run.sinceReport.start();
        QMetaObject::invokeMethod(m_store, [store = m_store, facts] { store->accept(facts); });
    }

    void touch(const QString& id)
    {
        if (!m_runs.contains(id))
            return;
        m_touched.insert(id);
        if (!m_soon->isActive())
            m_soon->start(kTailMinGapMs / 2);
    }

    void pollTouched()
    {
        const auto touched = std::exchange(m_touched, {});
        for (const auto& id : touched) {
            const auto it = m_runs.find(id);
            if (it == m_runs.end())
                continue;
            if (QFileInfo::exists(id))
                poll(id, it->second);
            else
                remove(id);
        }
    }

    const Clock& m_clock;
    RunStore* m_store; // outlives the thread of this object
    QTimer* m_timer = nullptr;
    QTimer* m_soon = nullptr;
    QFileSystemWatcher* m_watcher = nullptr;
    QSet<QString> m_directories;
    QSet<QString> m_closed; // by the user: a scan does not bring them back
    QSet<QString> m_touched;
    std::map<QString, Run> m_runs;
    int m_ticks = 0;
};

class RunStore::Private
{
public:
    explicit Private(const Clock& theClock)
        : clock(theClock)
    {
    }
    const Clock& clock;
    ControlSocket control;
    QTimer controlTimer;
    QMap<QString, RunFacts> runs;
    QSet<QString> asking; // runs whose control socket has not answered yet
};

void RunStore::QuitAndWait::operator()(QThread* thread) const
{
    thread->quit();
    thread->wait();
    delete thread;
}

RunStore::RunStore(const Clock& clock, QObject* parent)
    : QObject(parent)
    , m_private(std::make_unique<Private>(clock))
    , m_worker(new Worker(clock, this))
    , m_thread(new QThread)
{
    m_thread->setObjectName(u"runs"_s);
    m_worker->moveToThread(m_thread.get());
    connect(m_thread.get(), &QThread::finished, m_worker, &QObject::deleteLater);
    m_thread->start();
    QMetaObject::invokeMethod(m_worker, [worker = m_worker] { worker->start(); });
    connect(&m_private->controlTimer, &QTimer::timeout, this, &RunStore::askRuns);
    m_private->controlTimer.start(kControlEveryMs);
}

RunStore::~RunStore() = default;

void RunStore::watchDirectory(const QString& directory)
{
    QMetaObject::invokeMethod(
        m_worker, [worker = m_worker, directory] { worker->watchDirectory(directory); });
}

void RunStore::openFolder(const QString& path)
{
    QMetaObject::invokeMethod(m_worker, [worker = m_worker, path] { worker->openFolder(path); });
}

void RunStore::closeFolder(const QString& id)
{
    QMetaObject::invokeMethod(m_worker, [worker = m_worker, id] { worker->closeFolder(id); });
}

void RunStore::refresh()
{
    QMetaObject::invokeMethod(m_worker, [worker = m_worker] { worker->tick(true); });
}

QList<RunFacts> RunStore::runs() const
{
    auto all = m_private->runs.values();
    std::stable_sort(all.begin(), all.end(), [](const RunFacts& a, const RunFacts& b) {
        return a.started.value_or(Time {}) > b.started.value_or(Time {});
    });
    return all;
}

std::optional<RunFacts> RunStore::run(const QString& id) const
{
    const auto it = m_private->runs.constFind(id);
    return it == m_private->runs.constEnd() ? std::nullopt : std::optional(*it);
}

std::optional<RunFacts> RunStore::runOfJob(const std::string& job) const
{
    const auto isOf = [&](const RunFacts& facts) {
        const auto slash = facts.job.rfind('/');
        return !job.empty()
            && (facts.job == job
                || (slash != std::string::npos && facts.job.substr(slash + 1) == job));
    };
    std::optional<RunFacts> newest;
    for (const auto& facts : m_private->runs) {
        // Of several folders the one that can still be talked to is the run.
        const auto rank = [](const RunFacts& run) {
            return std::make_pair(
                run.isControlReachable || run.isProcessAlive, run.lastProgress.value_or(Time {}));
        };
        if (isOf(facts) && (!newest || rank(facts) > rank(*newest)))
            newest = facts;
    }
    return newest;
}

void RunStore::accept(RunFacts facts)
{
    const auto id = facts.id;
    auto& runs = m_private->runs;
    const auto it = runs.find(id);
    const bool isNew = it == runs.end();
    if (!isNew) { // what the control socket said is not the reader's to know
        facts.isControlReachable = it->isControlReachable && !facts.controlSocket.isEmpty();
        facts.controlState = facts.isControlReachable ? it->controlState : std::string {};
        if (facts.pid == 0)
            facts.pid = it->pid;
    }
    facts.evidence = evidenceFor(facts, std::nullopt, m_private->clock.now());
    const bool isSocketNew =
        !facts.controlSocket.isEmpty() && (isNew || it->controlSocket.isEmpty());
    runs.insert(id, std::move(facts));
    if (isNew)
        Q_EMIT runAdded(id);
    else
        Q_EMIT runChanged(id);
    if (isSocketNew)
        askRun(id);
}

void RunStore::forget(const QString& id)
{
    if (m_private->runs.remove(id) > 0)
        Q_EMIT runRemoved(id);
}

void RunStore::askRuns()
{
    const auto ids = m_private->runs.keys();
    for (const auto& id : ids)
        askRun(id);
}

void RunStore::askRun(const QString& id)
{
    const auto facts = run(id);
    if (!facts || facts->controlSocket.isEmpty() || m_private->asking.contains(id))
        return;
    m_private->asking.insert(id);
    onFinished(m_private->control.status(facts->controlSocket, kControlTimeoutMs), this,
        [this, id](const Result<ControlStatus>& status) {
            m_private->asking.remove(id);
            const auto it = m_private->runs.find(id);
            if (it == m_private->runs.end())
                return;
            const bool isReachable = status.has_value();
            const auto state = status ? status->state : std::string {};
            if (isReachable == it->isControlReachable && state == it->controlState)
                return;
            it->isControlReachable = isReachable;
            it->controlState = state;
            if (status && it->pid == 0)
                it->pid = status->pid;
            it->evidence = evidenceFor(*it, std::nullopt, m_private->clock.now());
            Q_EMIT runChanged(id);
        });
}

} // namespace desk
