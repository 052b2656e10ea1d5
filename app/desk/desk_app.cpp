// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/desk/desk_app.h"

#include "models/connections_model.h"
#include "models/error_text.h"
#include "models/format.h"
#include "models/row_assembly.h"
#include "models/window_models.h"
#include "services/delta/engine.h"
#include "services/gateway/account_store.h"
#include "services/on_finished.h"
#include "ui/shell/main_window.h"
#include "ui/style/theme.h"

#include <QFileInfo>
#include <QTimer>
#include <QUrl>

using namespace Qt::StringLiterals;

namespace desk {

struct DeskApp::View
{
    View(const AppServices& services, Theme& theme)
        : models(services)
        , window(models, theme)
    {
    }
    WindowModels models;
    MainWindow window;
};

DeskApp::DeskApp(
    const Profile& profile, Theme& theme, const DeskPrograms& programs, QObject* parent)
    : QObject(parent)
    , m_profile(profile)
    , m_theme(theme)
    , m_settings(profile.settingsFile())
    , m_journal(profile.journalFile())
    , m_runs(m_clock)
    , m_backend(profile, programs.local, programs.localArguments)
    , m_launcher(profile, programs.ctl)
    , m_hub(m_clock, m_keys, m_settings)
    , m_operations(m_journal, m_clock, environment())
    , m_worker(openDeltaEngine)
{
}

DeskApp::~DeskApp()
{
    for (const auto& view : m_views) {
        if (AccountStore* account = view->models.app.link().account())
            account->stop();
    }
}

AppServices DeskApp::services()
{
    return { m_clock, m_profile, m_settings, m_keys, m_runs, m_backend, m_launcher, m_control,
        m_operations, m_worker,
        [this](const Connection& connection) { return m_hub.openAccount(connection); } };
}

OperationEnvironment DeskApp::environment()
{
    OperationEnvironment environment;
    environment.connect = [this](const std::string& name) { return m_hub.connectTo(name); };
    environment.controlSocketOf = [this](const std::string& job) {
        const auto run = m_runs.runOfJob(job);
        return run && run->isControlReachable ? run->controlSocket : QString();
    };
    environment.lossAt = [this](
                             const std::string& job, std::int64_t step) -> std::optional<double> {
        const auto run = m_runs.runOfJob(job);
        return run ? lossAtStep(*run, step) : std::nullopt;
    };
    environment.bestLossOf = [this](const std::string& job) -> std::optional<double> {
        const auto run = m_runs.runOfJob(job);
        return run ? run->bestLoss : std::nullopt;
    };
    environment.verifiedAs = [this](const std::string& checkpoint) -> std::optional<std::string> {
        if (m_views.empty())
            return std::nullopt;
        const auto verified =
            m_views.front()->models.app.verification(format::fromUtf8(checkpoint));
        return verified ? std::optional(format::toUtf8(verified->verdict)) : std::nullopt;
    };
    return environment;
}

MainWindow* DeskApp::window() const
{
    return m_views.empty() ? nullptr : &m_views.back()->window;
}

DeskApp::View& DeskApp::openView()
{
    m_views.push_back(std::make_unique<View>(services(), m_theme));
    View& view = *m_views.back();
    view.window.show();
    return view;
}

void DeskApp::start(const DeskOptions& options)
{
    View& view = openView();
    // The first paint comes before anybody is asked anything.
    QTimer::singleShot(0, this, [this, &view, options] {
        startServices();
        apply(view, options, true);
    });
}

void DeskApp::startServices()
{
    m_runs.watchDirectory(m_profile.runsDir);
    for (const std::string& folder : m_settings.values().runFolders)
        m_runs.openFolder(format::fromUtf8(folder));
    m_worker.openDevice();
    onFinished(m_operations.start(), this, [this](const Result<int>& started) {
        if (!started && !m_views.empty())
            Q_EMIT m_views.front()->models.app.problemReported(errorText(started.error()));
    });
    connect(&m_settings, &Settings::saveFailed, this, [this](const Error& error) {
        if (!m_views.empty())
            Q_EMIT m_views.front()->models.app.problemReported(errorText(error));
    });
    if (!m_settings.problem().empty()) {
        Q_EMIT m_views.front()->models.app.problemReported(
            errorText({ Error::Code::Malformed, m_settings.problem(),
                "the unreadable file was kept beside", "check your connections", {} }));
    }
}

void DeskApp::apply(View& view, const DeskOptions& options, bool isFirst)
{
    AppModel& app = view.models.app;
    if (options.isReadOnly)
        app.setReadOnly(true);
    if (options.isOffline)
        app.link().setOffline(true);
    if (!options.theme.isEmpty())
        m_theme.setMode(Theme::fromWord(options.theme));
    for (const QString& path : options.paths) {
        if (path.endsWith(u".safetensors")) {
            Q_EMIT app.problemReported(errorText({ Error::Code::Usage,
                "the window shows runs, not single weight files", "the file was not opened",
                "use trainerdesk-delta inspect " + format::toUtf8(path), {} }));
            continue;
        }
        app.openRunFolder(path);
    }
    if (options.usesLocal) {
        app.link().useLocal();
    } else if (!options.connection.isEmpty()) {
        connectByText(view, options.connection);
    } else if (isFirst && !options.isOffline) {
        const std::string& last = m_settings.values().lastConnection;
        const auto known = m_settings.connection(last);
        if (last == "local")
            app.link().useLocal();
        else if (known)
            app.link().choose(*known);
    }
}

void DeskApp::connectByText(View& view, const QString& text)
{
    AppModel& app = view.models.app;
    if (const auto known = app.connections().find(text)) {
        app.link().choose(*known);
        return;
    }
    const QUrl url(text, QUrl::StrictMode);
    Connection connection;
    connection.name = format::toUtf8(url.host());
    connection.url = format::toUtf8(text);
    const QByteArray key = keyFromEnvironment();
    const QString problem = ConnectionsModel::problemWith(connection);
    if (!problem.isEmpty() || key.isEmpty()) {
        Q_EMIT app.problemReported(errorText({ Error::Code::Usage,
            problem.isEmpty() ? "no key is known for " + connection.url
                              : "there is no connection named " + format::toUtf8(text),
            "nothing was asked",
            problem.isEmpty() ? "set FIREWORKS_API_KEY, or add the connection in the window"
                              : format::toUtf8(problem),
            {} }));
        return;
    }
    onFinished(m_keys.store(format::fromUtf8(connection.name), key, false), this,
        [&app, connection](const Result<KeyPlace>&) { app.link().choose(connection); });
}

void DeskApp::takeOver(const DeskOptions& options)
{
    View& view = options.wantsNewWindow || m_views.empty() ? openView() : *m_views.back();
    apply(view, options, false);
    view.window.bringToFront();
}

} // namespace desk
