// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "app/desk/command_line.h"
#include "app/desk/connection_hub.h"
#include "models/app_model.h"
#include "services/core/clock.h"
#include "services/operations/operation_center.h"
#include "services/runs/control_socket.h"
#include "services/runs/local_backend.h"
#include "services/runs/run_store.h"
#include "services/runs/train_launcher.h"
#include "services/secrets/key_store.h"
#include "services/store/journal.h"
#include "services/store/profile.h"
#include "services/store/settings.h"
#include "services/worker/delta_worker.h"

#include <QObject>

#include <memory>
#include <vector>

namespace desk {

class MainWindow;
class Theme;
class WindowModels;

/// Where the programs beside the window are; empty: in the folder of this one.
struct DeskPrograms
{
    QString local;
    QString ctl;
    QStringList localArguments;
};

/// Composition root: builds the services of a profile, and a window with its models for each view.
/// Members are declared in the order in which they need each other, so that they go in reverse:
/// windows, models, services. THREAD: GUI.
class DeskApp final : public QObject
{
    Q_OBJECT

public:
    DeskApp(const Profile& profile, Theme& theme, const DeskPrograms& programs = {},
        QObject* parent = nullptr);
    ~DeskApp() override;
    Q_DISABLE_COPY_MOVE(DeskApp)

    /// Shows the first window at once; everything that asks somebody starts after it was painted.
    void start(const DeskOptions& options);
    /// What a second start of the profile handed over.
    void takeOver(const DeskOptions& options);
    [[nodiscard]] MainWindow* window() const; ///< the newest; null before start()
    [[nodiscard]] Settings& settings() noexcept { return m_settings; }
    /// For tests and machines without a keyring.
    [[nodiscard]] KeyStore& keys() noexcept { return m_keys; }

private:
    struct View;
    View& openView();
    void startServices();
    void apply(View& view, const DeskOptions& options, bool isFirst);
    void connectByText(View& view, const QString& text);
    [[nodiscard]] AppServices services();
    [[nodiscard]] OperationEnvironment environment();

    Profile m_profile;
    Theme& m_theme;
    SystemClock m_clock;
    Settings m_settings;
    KeyStore m_keys;
    Journal m_journal;
    RunStore m_runs;
    ControlSocket m_control;
    LocalBackend m_backend;
    TrainLauncher m_launcher;
    ConnectionHub m_hub;
    OperationCenter m_operations;
    DeltaWorker m_worker;
    std::vector<std::unique_ptr<View>> m_views;
};

} // namespace desk
