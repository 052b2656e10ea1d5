// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/action_registry.h"
#include "models/connection_link.h"
#include "models/error_text.h"
#include "models/row_assembly.h"
#include "models/rows.h"
#include "models/selection.h"
#include "services/store/profile.h"

#include <QHash>
#include <QObject>
#include <QSet>
#include <QString>
#include <QTimer>

#include <memory>
#include <optional>

namespace desk {

class ActionRules;
class ChartFeed;
class ChartModel;
class CheckpointTableModel;
class ConnectionsModel;
class ControlSocket;
class DeltaWorker;
class DeploymentTableModel;
class InspectorModel;
class JobTableModel;
class ModelTableModel;
class OperationCenter;
class RunStore;
class RunTrends;
class TrainLauncher;
struct TrainRequest;

/// The services of one window. Owned by app/, declared there before the models.
struct AppServices
{
    const Clock& clock;
    Profile profile;
    Settings& settings;
    KeyStore& keys;
    RunStore& runs;
    LocalBackend& localBackend;
    TrainLauncher& launcher;
    ControlSocket& control;
    OperationCenter& operations;
    DeltaWorker& worker;
    ConnectionLink::OpenAccount openAccount;
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

    [[nodiscard]] ConnectionLink& link() const noexcept { return *m_link; }
    [[nodiscard]] bool isReadOnly() const noexcept { return m_isReadOnly; }
    [[nodiscard]] int requestsPerMinute() const;
    /// What computes deltas here and why: "CPU · AVX2 (built without CUDA)".
    [[nodiscard]] QString deviceText() const;
    /// Problems that persist: rows that need attention and a connection that does not answer.
    [[nodiscard]] int problemCount() const;

    // Rows of the selection; null when nothing is selected or its row is gone
    [[nodiscard]] const JobRow* selectedJob() const;
    [[nodiscard]] const CheckpointRow* selectedCheckpoint() const;
    [[nodiscard]] const DeploymentRow* selectedDeployment() const;
    [[nodiscard]] const ModelRow* selectedModel() const;
    [[nodiscard]] Time now() const { return m_services.clock.now(); }

    /// Nothing to show yet: no job and no run folder. The first-run page stands for the table.
    [[nodiscard]] bool isFirstRun() const;
    /// A training was asked for and its first line has not been read yet.
    [[nodiscard]] bool isTrainingStarting() const noexcept { return m_isTrainingStarting; }
    /// Rows that are plotted beside the selected job, in the order they were added.
    [[nodiscard]] const QStringList& plotted() const noexcept { return m_plotted; }

    /// Verdict of a finished verification: "exact", "mismatch", "partial". Kept in the settings.
    void noteVerified(const QString& checkpoint, const QString& verdict);
    [[nodiscard]] std::optional<Verification> verification(const QString& checkpoint) const;

    /// Small states of the window (geometry, theme word, column widths) in the settings.
    [[nodiscard]] QByteArray windowState(const char* key) const;
    void setWindowState(const char* key, const QByteArray& state);
    [[nodiscard]] QString themeWord() const;
    void setThemeWord(const QString& word);

public Q_SLOTS:
    void startTraining(const desk::TrainRequest& request);
    void startSampleTraining();
    void openRunFolder(const QString& path);
    void closeRunFolder(const QString& folder);
    void refresh();
    void setReadOnly(bool isReadOnly);
    void togglePlotted(const QString& job);
    void setJobControl(const QString& job, const QString& command); ///< pause, continue, stop

Q_SIGNALS:
    void rowsChanged(); ///< any of the tables; at most ten times a second
    void selectionRowsChanged(); ///< the selection or a row of it
    void readOnlyChanged(bool isReadOnly);
    void firstRunChanged(); ///< isFirstRun() or isTrainingStarting()
    void problemReported(const desk::ErrorText& problem); ///< of something the user just asked for
    void noticed(const QString& sentence); ///< result of something the user just did

private:
    void connectServices();
    void scheduleRebuild();
    void rebuild();
    void tick();
    void watchJobs();
    void followAwaitedRun();
    void updateSlots();
    void loadVerifications();

    AppServices m_services;
    std::unique_ptr<Selection> m_selection;
    std::unique_ptr<ActionRegistry> m_actions;
    std::unique_ptr<JobTableModel> m_jobs;
    std::unique_ptr<CheckpointTableModel> m_checkpoints;
    std::unique_ptr<DeploymentTableModel> m_deployments;
    std::unique_ptr<ModelTableModel> m_models;
    std::unique_ptr<ConnectionsModel> m_connections;
    std::unique_ptr<ConnectionLink> m_link;
    std::unique_ptr<ChartModel> m_charts;
    std::unique_ptr<ChartFeed> m_feed;
    std::unique_ptr<InspectorModel> m_inspector;
    std::unique_ptr<ActionRules> m_rules;
    std::unique_ptr<RunTrends> m_trends;
    QHash<QString, Verification> m_verified;
    QSet<QString> m_watched;
    QStringList m_plotted;
    QString m_awaitedRun; ///< folder of a training that was just started; selected when it appears
    bool m_isTrainingStarting = false;
    bool m_isReadOnly = false;
    bool m_wasFirstRun = true;
    QTimer m_rebuild;
    QTimer m_tick;
};

} // namespace desk
