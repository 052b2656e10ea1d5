// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/gateway/account_store.h"

#include "services/errand.h"

#include <QMetaType>

#include <algorithm>
#include <memory>

namespace desk {
namespace {

    constexpr int kNearPollMs = 1'000;
    constexpr int kBusyPollMs = 2'000;
    constexpr int kIdlePollMs = 10'000;
    constexpr int kNearMaxPollMs = 5'000;
    constexpr int kFarMaxPollMs = 60'000;
    constexpr qint64 kMaxPauseMs = 86'400'000;

    template <class T>
    ListChange differences(const std::vector<T>& before, const std::vector<T>& after)
    {
        ListChange change;
        QMap<QString, const T*> old;
        for (const auto& row : before)
            old.insert(QString::fromStdString(row.name), &row);
        for (const auto& row : after) {
            const auto name = QString::fromStdString(row.name);
            const auto found = old.constFind(name);
            if (found == old.constEnd())
                change.added.append(name);
            else if (!(**found == row))
                change.changed.append(name);
            old.remove(name);
        }
        change.removed = old.keys();
        return change;
    }

    template <class T>
    std::optional<T> rowNamed(const std::vector<T>& rows, const QString& name)
    {
        const auto wanted = name.toStdString();
        const auto found = std::find_if(
            rows.begin(), rows.end(), [&](const T& row) { return row.name == wanted; });
        return found == rows.end() ? std::nullopt : std::optional<T>(*found);
    }

    bool isMoving(const TrainerJob& job)
    {
        switch (job.state) {
        case JobState::Completed:
        case JobState::Failed:
        case JobState::Cancelled:
        case JobState::Paused:
        case JobState::EarlyStopped:
        case JobState::Expired:
        case JobState::Deleted:
        case JobState::Archived:
        case JobState::Unspecified:
            return false;
        case JobState::Creating:
        case JobState::Pending:
        case JobState::Running:
        case JobState::Idle:
        case JobState::Validating:
        case JobState::CreatingInputDataset:
        case JobState::WritingResults:
        case JobState::ReQueueing:
        case JobState::Cancelling:
        case JobState::Deleting:
        case JobState::DeletingCleaningUp:
        case JobState::Unrecognized:
            return true;
        }
        return true;
    }

} // namespace

AccountStore::AccountStore(
    FireworksClient& client, DeploymentManager& deployments, const Clock& clock, QObject* parent)
    : QObject(parent)
    , m_client(client)
    , m_deploymentManager(deployments)
    , m_clock(clock)
{
    qRegisterMetaType<desk::ListChange>();
    m_timer.setSingleShot(true);
    connect(&m_timer, &QTimer::timeout, this, &AccountStore::poll);
    // What the lists show is as old as the sleep was long.
    connect(&client.http(), &HttpClient::machineSlept, this, [this] {
        if (m_isActive && m_linkState != LinkState::AuthFailed)
            refreshNow();
    });
}

AccountStore::~AccountStore() = default;

void AccountStore::start()
{
    m_isStarted = true;
    poll();
}

void AccountStore::stop()
{
    m_isStarted = false;
    m_timer.stop();
}

void AccountStore::refreshNow()
{
    if (!m_isStarted)
        return;
    m_timer.stop();
    m_failures = 0;
    if (m_openSteps > 0)
        m_isAskedAgain = true; // the answers under way may be older than what is asked for
    else
        poll();
}

void AccountStore::setActive(bool isActive)
{
    if (m_isActive == isActive)
        return;
    m_isActive = isActive;
    if (!isActive)
        m_timer.stop();
    else if (m_isStarted && m_openSteps == 0 && m_linkState != LinkState::AuthFailed)
        poll();
}

void AccountStore::watchJob(const QString& jobName)
{
    if (jobName.isEmpty() || m_watched.contains(jobName))
        return;
    m_watched.insert(jobName);
    if (m_isStarted && m_linkState != LinkState::AuthFailed)
        pollCheckpoints(jobName);
}

void AccountStore::unwatchJob(const QString& jobName)
{
    m_watched.remove(jobName);
}

std::vector<Checkpoint> AccountStore::checkpoints(const QString& jobName) const
{
    return m_checkpoints.value(jobName).rows;
}

std::optional<Time> AccountStore::checkpointsAsOf(const QString& jobName) const
{
    return m_checkpoints.value(jobName).asOf;
}

std::optional<TrainerJob> AccountStore::job(const QString& name) const
{
    return rowNamed(m_jobs, name);
}

std::optional<Checkpoint> AccountStore::checkpoint(const QString& name) const
{
    const auto jobName = name.section(u'/', 0, 3);
    return rowNamed(m_checkpoints.value(jobName).rows, name);
}

std::optional<Deployment> AccountStore::deployment(const QString& name) const
{
    return rowNamed(m_deployments, name);
}

std::optional<Model> AccountStore::model(const QString& name) const
{
    return rowNamed(m_models, name);
}

const Connection& AccountStore::connection() const
{
    return m_client.http().connection();
}

int AccountStore::requestsPerMinute() const
{
    return m_client.http().requestsPerMinute();
}

void AccountStore::poll()
{
    if (!m_isStarted || m_openSteps > 0)
        return;
    m_isAskedAgain = false;
    m_roundError.reset();
    m_openSteps = 1; // held by this function, so that a step that ends at once ends no round
    pollJobs();
    pollDeployments();
    pollModels();
    const auto watched = m_watched;
    for (const auto& jobName : watched)
        pollCheckpoints(jobName);
    stepDone({});
}

template <class T, class Take>
void AccountStore::step(QFuture<Result<T>> future, Take take)
{
    if (m_openSteps == 0)
        m_roundError.reset();
    ++m_openSteps;
    onFinished(future, this, [this, take = std::move(take)](Result<T> result) mutable {
        if (result)
            take(*std::move(result));
        stepDone(result ? std::nullopt : std::optional<Error>(result.error()));
    });
}

void AccountStore::pollJobs()
{
    step(m_client.listJobs(), [this](std::vector<TrainerJob> rows) {
        const auto change = differences(m_jobs, rows);
        m_jobs = std::move(rows);
        m_jobsAsOf = m_clock.now();
        if (!change.isEmpty())
            Q_EMIT jobsChanged(change);
    });
}

void AccountStore::pollModels()
{
    step(m_client.listModels(), [this](std::vector<Model> rows) {
        const auto change = differences(m_models, rows);
        m_models = std::move(rows);
        m_modelsAsOf = m_clock.now();
        if (!change.isEmpty())
            Q_EMIT modelsChanged(change);
    });
}

void AccountStore::pollCheckpoints(const QString& jobName)
{
    step(m_client.listCheckpoints(jobName.toStdString()),
        [this, jobName](std::vector<Checkpoint> rows) {
            auto& held = m_checkpoints[jobName];
            const auto change = differences(held.rows, rows);
            const bool isFirst = !held.asOf;
            held.rows = std::move(rows);
            held.asOf = m_clock.now();
            if (!change.isEmpty() || isFirst)
                Q_EMIT checkpointsChanged(jobName, change);
        });
}

void AccountStore::pollDeployments()
{
    step(m_deploymentManager.list(),
        [this](std::vector<Deployment> rows) { pollReplicas(std::move(rows)); });
}

void AccountStore::pollReplicas(std::vector<Deployment> rows)
{
    // The rows are shown with the replicas that were last known until the status is read.
    for (auto& row : rows) {
        if (const auto known = rowNamed(m_deployments, QString::fromStdString(row.name)))
            row.replicas = known->replicas;
    }
    publishDeployments(std::move(rows));
    const auto current = m_deployments;
    for (const auto& row : current) {
        if (!row.enablesHotLoad)
            continue;
        ++m_openSteps;
        onFinished(m_deploymentManager.hotloadStatus(row.name, row.baseModel), this,
            [this, name = row.name](Result<std::vector<Replica>> replicas) {
                // 404 and 425 say that nothing is up yet, not that the link is broken.
                if (replicas)
                    takeReplicas(name, *std::move(replicas));
                const bool isLinkFailure = !replicas
                    && (replicas.error().code == Error::Code::Unreachable
                        || replicas.error().code == Error::Code::Auth);
                stepDone(isLinkFailure ? std::optional<Error>(replicas.error()) : std::nullopt);
            });
    }
}

void AccountStore::takeReplicas(const std::string& name, std::vector<Replica> replicas)
{
    for (auto& row : m_deployments) {
        if (row.name != name || row.replicas == replicas)
            continue;
        row.replicas = std::move(replicas);
        ListChange change;
        change.changed.append(QString::fromStdString(name));
        Q_EMIT deploymentsChanged(change);
        return;
    }
}

void AccountStore::publishDeployments(std::vector<Deployment> rows)
{
    const auto change = differences(m_deployments, rows);
    m_deployments = std::move(rows);
    m_deploymentsAsOf = m_clock.now();
    if (!change.isEmpty())
        Q_EMIT deploymentsChanged(change);
}

void AccountStore::stepDone(const std::optional<Error>& error)
{
    const bool isLink =
        error && (error->code == Error::Code::Auth || error->code == Error::Code::Unreachable);
    if (error && (!m_roundError || isLink))
        m_roundError = error;
    if (--m_openSteps == 0)
        finishRound();
}

void AccountStore::finishRound()
{
    if (!m_roundError) {
        m_failures = 0;
        setLink(LinkState::Connected, {});
    } else {
        ++m_failures;
        const auto code = m_roundError->code;
        // Any answer at all means that the server is there; its error is shown beside the lists.
        const auto state = code == Error::Code::Auth ? LinkState::AuthFailed
            : code == Error::Code::Unreachable       ? LinkState::Offline
                                                     : LinkState::Connected;
        setLink(state, m_roundError);
    }
    Q_EMIT polled();
    if (!m_isStarted)
        return;
    if (m_isAskedAgain)
        poll();
    else if (m_isActive && m_linkState != LinkState::AuthFailed)
        m_timer.start(nextDelayMs());
}

void AccountStore::setLink(LinkState state, std::optional<Error> error)
{
    const auto textOf = [](const std::optional<Error>& e) {
        return e ? e->message : std::string();
    };
    const bool isSame = state == m_linkState && textOf(error) == textOf(m_linkError);
    m_linkState = state;
    m_linkError = std::move(error);
    if (!isSame)
        Q_EMIT linkChanged();
}

int AccountStore::nextDelayMs() const
{
    const bool isNear = isLoopback(m_client.http().url("/"));
    const bool isBusy = std::any_of(m_jobs.begin(), m_jobs.end(), isMoving);
    const int suited = isNear ? kNearPollMs : isBusy ? kBusyPollMs : kIdlePollMs;
    const int usual = m_interval ? static_cast<int>(m_interval->count()) : suited;
    const int most = isNear ? kNearMaxPollMs : kFarMaxPollMs;
    const int own = m_failures == 0 ? usual : std::min(most, usual << std::min(m_failures, 6));
    // A server that has asked for a pause gets it; refreshNow() is the user's way around it.
    const auto asked = std::min<qint64>(m_client.http().serverPause().count(), kMaxPauseMs);
    return std::max(own, static_cast<int>(asked));
}

std::chrono::milliseconds AccountStore::untilNextPoll() const
{
    return m_timer.isActive() ? m_timer.remainingTimeAsDuration() : std::chrono::milliseconds(-1);
}

} // namespace desk
