// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/records.h"
#include "services/core/result.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"

#include <QFuture>
#include <QMap>
#include <QMetaType>
#include <QObject>
#include <QSet>
#include <QString>
#include <QStringList>
#include <QTimer>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace desk {

enum class LinkState
{
    Connecting, ///< nothing was answered yet
    Connected,
    Offline, ///< the last poll got no answer; lists are stale
    AuthFailed ///< the key was refused; polling waits for refreshNow()
};

/// What one poll changed, by resource name.
struct ListChange
{
    QStringList added;
    QStringList changed;
    QStringList removed;
    [[nodiscard]] bool isEmpty() const
    {
        return added.isEmpty() && changed.isEmpty() && removed.isEmpty();
    }
};

/// The current lists of one connection, kept fresh by polling, as value snapshots.
/// A list that could not be read keeps its last value and its time: nothing is emptied by a
/// failure. Polls every second on loopback; elsewhere every 2 s while something moves, else every
/// 10 s; doubles up to 60 s (loopback: 5 s) while polls fail; pauses while setActive(false).
/// THREAD: that of the HttpClient. OWNERSHIP: client and manager must outlive the store.
class AccountStore final : public QObject
{
    Q_OBJECT
public:
    AccountStore(FireworksClient& client, DeploymentManager& deployments, const Clock& clock,
        QObject* parent = nullptr);
    ~AccountStore() override;
    Q_DISABLE_COPY_MOVE(AccountStore)

    void start(); ///< first poll now
    void stop();
    void refreshNow(); ///< also clears AuthFailed
    /// The usual interval; without a call the one that suits the address.
    void setPollInterval(std::chrono::milliseconds interval) { m_interval = interval; }
    void setActive(bool isActive); ///< false: the window is hidden; polling pauses

    /// Checkpoints are polled for watched jobs only.
    void watchJob(const QString& jobName);
    void unwatchJob(const QString& jobName);

    [[nodiscard]] const std::vector<TrainerJob>& jobs() const { return m_jobs; }
    [[nodiscard]] const std::vector<Deployment>& deployments() const { return m_deployments; }
    [[nodiscard]] const std::vector<Model>& models() const { return m_models; }
    /// Newest first; empty if the job is not watched or was not read yet.
    [[nodiscard]] std::vector<Checkpoint> checkpoints(const QString& jobName) const;
    [[nodiscard]] std::optional<TrainerJob> job(const QString& name) const;
    [[nodiscard]] std::optional<Checkpoint> checkpoint(const QString& name) const;
    [[nodiscard]] std::optional<Deployment> deployment(const QString& name) const;
    [[nodiscard]] std::optional<Model> model(const QString& name) const;

    /// When the list was last read completely; nullopt: never.
    [[nodiscard]] std::optional<Time> jobsAsOf() const { return m_jobsAsOf; }
    [[nodiscard]] std::optional<Time> deploymentsAsOf() const { return m_deploymentsAsOf; }
    [[nodiscard]] std::optional<Time> modelsAsOf() const { return m_modelsAsOf; }
    [[nodiscard]] std::optional<Time> checkpointsAsOf(const QString& jobName) const;

    [[nodiscard]] LinkState linkState() const { return m_linkState; }
    [[nodiscard]] const std::optional<Error>& linkError() const { return m_linkError; }
    [[nodiscard]] const Connection& connection() const;
    [[nodiscard]] int requestsPerMinute() const;
    /// For a countdown on screen; negative while a poll is under way or polling is paused.
    [[nodiscard]] std::chrono::milliseconds untilNextPoll() const;

Q_SIGNALS:
    void jobsChanged(const desk::ListChange& change);
    void checkpointsChanged(const QString& jobName, const desk::ListChange& change);
    void deploymentsChanged(const desk::ListChange& change); ///< replicas included
    void modelsChanged(const desk::ListChange& change);
    void linkChanged(); ///< linkState or linkError
    void polled(); ///< one round ended, with or without change; for ages on screen

private:
    template <class T, class Take>
    void step(QFuture<Result<T>> future, Take take);
    void poll();
    void pollJobs();
    void pollDeployments();
    void pollReplicas(std::vector<Deployment> rows);
    void takeReplicas(const std::string& name, std::vector<Replica> replicas);
    void pollModels();
    void pollCheckpoints(const QString& jobName);
    void stepDone(const std::optional<Error>& error);
    void finishRound();
    void setLink(LinkState state, std::optional<Error> error);
    void publishDeployments(std::vector<Deployment> rows);
    [[nodiscard]] int nextDelayMs() const;

    struct Checkpoints
    {
        std::vector<Checkpoint> rows;
        std::optional<Time> asOf;
    };

    FireworksClient& m_client;
    DeploymentManager& m_deploymentManager;
    const Clock& m_clock;
    QTimer m_timer;
    QSet<QString> m_watched;
    std::vector<TrainerJob> m_jobs;
    std::vector<Deployment> m_deployments;
    std::vector<Model> m_models;
    QMap<QString, Checkpoints> m_checkpoints;
    std::optional<Time> m_jobsAsOf;
    std::optional<Time> m_deploymentsAsOf;
    std::optional<Time> m_modelsAsOf;
    LinkState m_linkState = LinkState::Connecting;
    std::optional<Error> m_linkError;
    std::optional<Error> m_roundError;
    std::optional<std::chrono::milliseconds> m_interval;
    int m_openSteps = 0;
    int m_failures = 0;
    bool m_isStarted = false;
    bool m_isActive = true;
    bool m_isAskedAgain = false;
};

} // namespace desk

Q_DECLARE_METATYPE(desk::ListChange)
