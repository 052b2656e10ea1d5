// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/action_registry.h"
#include "models/error_text.h"
#include "models/rows.h"
#include "models/selection.h"
#include "services/core/connection.h"

#include <QObject>
#include <QString>
#include <QTimer>

#include <memory>
#include <optional>

namespace desk {

class AccountStore;
class ChartModel;
class CheckpointTableModel;
class ConnectionsModel;
class DeltaWorker;
class DeploymentTableModel;
class InspectorModel;
class JobTableModel;
class KeyStore;
class LocalBackend;
class ModelTableModel;
class OperationCenter;
class RowOrderModel;
class RunStore;
class TrainLauncher;

/// The services of one window. Owned by app/, declared there before the models.
struct AppServices
{
    const Clock& clock;
    AccountStore& account;
    OperationCenter& operations;
    RunStore& runs;
    LocalBackend& localBackend;
    TrainLauncher& launcher;
    DeltaWorker& worker;
    KeyStore& keys;
};

/// How the window stands with its connection.
enum class LinkState
{
    NotConnected,
    Starting, ///< the local backend is coming up
    Connecting,
    Live,
    Stale, ///< the last good answer is older than three intervals
    Unreachable,
    Refused ///< the key was rejected
};

/// State of the window above all pages: connection, tables, selection, actions. Pages and sheets
/// get a reference and reach everything through it. THREAD: GUI.
class AppModel final : public QObject
{
    Q_OBJECT
public:
    explicit AppModel(const AppServices& services, QObject* parent = nullptr);
    ~AppModel() override;
    Q_DISABLE_COPY_MOVE(AppModel)

    [[nodiscard]] const AppServices& services() const noexcept { return m_services; }
    [[nodiscard]] Selection& selection() const noexcept { return *m_selection; }
    [[nodiscard]] ActionRegistry& actions() const noexcept { return *m_actions; }
    [[nodiscard]] JobTableModel& jobs() const noexcept { return *m_jobs; }
    [[nodiscard]] CheckpointTableModel& checkpoints() const noexcept { return *m_checkpoints; }
    [[nodiscard]] DeploymentTableModel& deployments() const noexcept { return *m_deployments; }
    [[nodiscard]] ModelTableModel& models() const noexcept { return *m_models; }
    [[nodiscard]] ConnectionsModel& connections() const noexcept { return *m_connections; }
    [[nodiscard]] InspectorModel& inspector() const noexcept { return *m_inspector; }
    [[nodiscard]] ChartModel& charts() const noexcept { return *m_charts; }

    // Connection
    [[nodiscard]] const std::optional<Connection>& connection() const noexcept
    {
        return m_connection;
    }
    [[nodiscard]] LinkState linkState() const noexcept { return m_linkState; }
    [[nodiscard]] const std::optional<ErrorText>& linkError() const noexcept { return m_linkError; }
    [[nodiscard]] bool isReadOnly() const noexcept { return m_isReadOnly; }
    [[nodiscard]] bool isOffline() const noexcept { return m_isOffline; }
    /// Time of the last good answer of the connection.
    [[nodiscard]] std::optional<Time> dataTime() const;
    [[nodiscard]] int requestsPerMinute() const;
    /// "CPU · avx512", and why if it is not the fastest this machine could have.
    [[nodiscard]] QString deviceText() const;

    // Rows of the selection; null when nothing is selected or its row is gone
    [[nodiscard]] const JobRow* selectedJob() const;
    [[nodiscard]] const CheckpointRow* selectedCheckpoint() const;
    [[nodiscard]] const DeploymentRow* selectedDeployment() const;
    [[nodiscard]] const ModelRow* selectedModel() const;

    /// True while there is neither a connection nor an opened run folder: the first-run page.
    [[nodiscard]] bool isFirstRun() const;

public Q_SLOTS:
    void useLocalBackend();
    void startSampleTraining();
    void choose(const QString& connectionName);
    void disconnectFromService();
    void openRunFolder(const QString& path);
    void refresh();
    void setReadOnly(bool isReadOnly);
    void setOffline(bool isOffline);

Q_SIGNALS:
    void connectionChanged();
    void linkStateChanged();
    void rowsChanged(); ///< any of the tables
    void countsChanged();
    void problemReported(const desk::ErrorText& problem); ///< of something the user just asked for
    void noticed(const QString& sentence); ///< result of something the user just did

private:
    class Private;

    AppServices m_services;
    std::unique_ptr<Selection> m_selection;
    std::unique_ptr<ActionRegistry> m_actions;
    std::unique_ptr<JobTableModel> m_jobs;
    std::unique_ptr<CheckpointTableModel> m_checkpoints;
    std::unique_ptr<DeploymentTableModel> m_deployments;
    std::unique_ptr<ModelTableModel> m_models;
    std::unique_ptr<ConnectionsModel> m_connections;
    std::unique_ptr<ChartModel> m_charts;
    std::unique_ptr<InspectorModel> m_inspector;
    std::optional<Connection> m_connection;
    LinkState m_linkState = LinkState::NotConnected;
    std::optional<ErrorText> m_linkError;
    bool m_isReadOnly = false;
    bool m_isOffline = false;
};

} // namespace desk
