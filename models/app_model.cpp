// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/app_model.h"

#include "models/action_rules.h"
#include "models/chart_feed.h"
#include "models/chart_model.h"
#include "models/checkpoint_table_model.h"
#include "models/connections_model.h"
#include "models/deployment_table_model.h"
#include "models/evidence.h"
#include "models/format.h"
#include "models/inspector_model.h"
#include "models/job_table_model.h"
#include "models/model_table_model.h"
#include "models/run_trends.h"
#include "services/gateway/account_store.h"
#include "services/on_finished.h"
#include "services/operations/operation_center.h"
#include "services/runs/control_socket.h"
#include "services/runs/run_store.h"
#include "services/runs/train_launcher.h"
#include "services/store/settings.h"
#include "services/worker/delta_worker.h"

#include <algorithm>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr int kRebuildMs = 100;
    constexpr int kTickMs = 1000;
    // Each watched job is one request a round; the newest ones are those that matter.
    constexpr std::size_t kWatchedJobs = 32;
    constexpr qsizetype kMaxVerifications = 300;
    constexpr auto kVerifiedKey = "verified";

} // namespace

AppModel::AppModel(const AppServices& services, QObject* parent)
    : QObject(parent)
    , m_services(services)
    , m_selection(std::make_unique<Selection>())
    , m_actions(std::make_unique<ActionRegistry>())
    , m_jobs(std::make_unique<JobTableModel>())
    , m_checkpoints(std::make_unique<CheckpointTableModel>())
    , m_deployments(std::make_unique<DeploymentTableModel>())
    , m_models(std::make_unique<ModelTableModel>())
    , m_connections(std::make_unique<ConnectionsModel>())
    , m_link(std::make_unique<ConnectionLink>(services.clock, services.localBackend, services.keys,
          services.settings, services.openAccount))
    , m_charts(std::make_unique<ChartModel>())
    , m_feed(std::make_unique<ChartFeed>(*this))
    , m_inspector(std::make_unique<InspectorModel>(*this))
    , m_rules(std::make_unique<ActionRules>(*this))
    , m_trends(std::make_unique<RunTrends>())
{
    m_rebuild.setSingleShot(true);
    m_rebuild.setInterval(kRebuildMs);
    connect(&m_rebuild, &QTimer::timeout, this, &AppModel::rebuild);
    m_tick.setInterval(kTickMs);
    connect(&m_tick, &QTimer::timeout, this, &AppModel::tick);
    for (const Connection& connection : services.settings.values().connections)
        m_connections->put(connection);
    loadVerifications();
    connectServices();
    rebuild();
    m_tick.start();
}

AppModel::~AppModel()
{
    // The parts below refer to this object; nothing may call back while they go.
    m_link->disconnect(this);
    m_services.runs.disconnect(this);
    m_services.operations.disconnect(this);
}

void AppModel::connectServices()
{
    RunStore& runs = m_services.runs;
    connect(&runs, &RunStore::runAdded, this, &AppModel::scheduleRebuild);
    connect(&runs, &RunStore::runRemoved, this, &AppModel::scheduleRebuild);
    connect(&runs, &RunStore::runChanged, this, [this](const QString& id) {
        m_feed->noteRun(id);
        scheduleRebuild();
    });
    connect(&runs, &RunStore::folderRefused, this, [this](const QString& path, const Error& error) {
        if (path == m_awaitedRun)
            return; // its program has not written anything yet
        Q_EMIT problemReported(errorText(error));
    });
    connect(&m_services.launcher, &TrainLauncher::runDirPrepared, this, [this](const QString& dir) {
        // Another window of this profile may have asked for it.
        if (m_isTrainingStarting)
            m_awaitedRun = dir;
        m_services.runs.openFolder(dir);
    });
    connect(&m_services.operations, &OperationCenter::operationChanged, this, [this] {
        scheduleRebuild();
        if (AccountStore* account = m_link->account())
            account->refreshNow();
    });
    connect(&m_services.worker, &DeltaWorker::deviceChanged, this, &AppModel::scheduleRebuild);
    connect(m_link.get(), &ConnectionLink::accountChanged, this, [this] {
        m_watched.clear();
        scheduleRebuild();
    });
    connect(m_link.get(), &ConnectionLink::dataChanged, this, &AppModel::scheduleRebuild);
    connect(m_link.get(), &ConnectionLink::phaseChanged, this, [this] {
        m_rules->update(); // what may be sent must not lag behind what is shown
        scheduleRebuild();
    });
    connect(m_link.get(), &ConnectionLink::failed, this, &AppModel::problemReported);
    connect(m_selection.get(), &Selection::changed, this, [this] {
        updateSlots();
        watchJobs();
        m_feed->update();
        m_rules->update();
        m_inspector->rebuild();
        Q_EMIT selectionRowsChanged();
    });
}

void AppModel::scheduleRebuild()
{
    if (!m_rebuild.isActive())
        m_rebuild.start();
}

void AppModel::rebuild()
{
    RowSources sources;
    sources.now = now();
    sources.runs = m_services.runs.runs();
    m_trends->update(sources.runs);
    sources.trends = m_trends->trends();
    sources.verified = m_verified;
    if (const AccountStore* account = m_link->account()) {
        sources.hasConnection = true;
        sources.jobs = account->jobs();
        sources.deployments = account->deployments();
        sources.models = account->models();
        for (const TrainerJob& job : sources.jobs) {
            const QString id = format::fromUtf8(job.name);
            if (account->checkpointsAsOf(id))
                sources.checkpoints.insert(id, account->checkpoints(id));
        }
    }
    int slot = 0;
    for (const QString& id : QStringList(m_selection->job()) + m_plotted) {
        if (!id.isEmpty() && !sources.plotSlots.contains(id))
            sources.plotSlots.insert(id, slot++ % 7);
    }
    const AllRows rows = assembleRows(sources);
    m_jobs->setRows(rows.jobs);
    m_checkpoints->setRows(rows.checkpoints);
    m_deployments->setRows(rows.deployments);
    m_models->setRows(rows.models);
    followAwaitedRun();
    watchJobs();
    m_feed->update();
    m_rules->update();
    m_inspector->rebuild();
    Q_EMIT rowsChanged();
    Q_EMIT selectionRowsChanged();
    const bool isFirst = isFirstRun();
    if (isFirst != m_wasFirstRun) {
        m_wasFirstRun = isFirst;
        Q_EMIT firstRunChanged();
    }
}

/// A new run is first a folder of its own and becomes a job's row when its config names the job;
/// the selection goes along.
void AppModel::followAwaitedRun()
{
    QString folder = m_awaitedRun;
    if (folder.isEmpty() && m_selection->job().startsWith(u"run:")
        && m_jobs->find(m_selection->job()) == nullptr)
        folder = m_selection->job().mid(4);
    if (folder.isEmpty())
        return;
    for (const JobRow& row : m_jobs->rows()) {
        if (row.runFolder != folder)
            continue;
        const QString id = row.id;
        m_awaitedRun.clear();
        m_selection->setPage(DeskPage::Jobs);
        m_selection->selectJob(id);
        return;
    }
}

void AppModel::updateSlots()
{
    QList<JobRow> rows = m_jobs->rows();
    QHash<QString, int> plotSlots;
    int slot = 0;
    for (const QString& id : QStringList(m_selection->job()) + m_plotted) {
        if (!id.isEmpty() && !plotSlots.contains(id))
            plotSlots.insert(id, slot++ % 7);
    }
    for (JobRow& row : rows)
        row.slot = plotSlots.value(row.id, -1);
    m_jobs->setRows(rows);
}

void AppModel::watchJobs()
{
    AccountStore* account = m_link->account();
    if (account == nullptr)
        return;
    std::vector<const TrainerJob*> newest;
    for (const TrainerJob& job : account->jobs())
        newest.push_back(&job);
    std::stable_sort(newest.begin(), newest.end(), [](const TrainerJob* a, const TrainerJob* b) {
        return a->created.value_or(Time {}) > b->created.value_or(Time {});
    });
    if (newest.size() > kWatchedJobs)
        newest.resize(kWatchedJobs);
    QSet<QString> wanted;
    for (const TrainerJob* job : newest)
        wanted.insert(format::fromUtf8(job->name));
    if (account->job(m_selection->job()))
        wanted.insert(m_selection->job());
    for (const QString& name : std::as_const(wanted)) {
        if (!m_watched.contains(name))
            account->watchJob(name);
    }
    for (const QString& name : std::as_const(m_watched)) {
        if (!wanted.contains(name))
            account->unwatchJob(name);
    }
    m_watched = wanted;
}

void AppModel::tick()
{
    const Time at = now();
    m_jobs->setNow(at);
    m_checkpoints->setNow(at);
    m_deployments->setNow(at);
    m_models->setNow(at);
    m_link->checkAge();
    scheduleRebuild(); // evidence changes by the clock alone: silent, leaking
}

int AppModel::requestsPerMinute() const
{
    const AccountStore* account = m_link->account();
    return account == nullptr ? 0 : account->requestsPerMinute();
}

QString AppModel::deviceText() const
{
    const QString device = m_services.worker.deviceDescription();
    return device.isEmpty() ? tr("device not opened yet") : device;
}

int AppModel::problemCount() const
{
    int count = 0;
    for (const JobRow& row : m_jobs->rows())
        count += needsAttention(row.evidence) ? 1 : 0;
    for (const DeploymentRow& row : m_deployments->rows())
        count += row.error.isEmpty() ? 0 : 1;
    const LinkPhase phase = m_link->phase();
    count += phase == LinkPhase::Unreachable || phase == LinkPhase::Refused ? 1 : 0;
    for (const Operation& operation : m_services.operations.operations())
        count += operation.state == OperationState::Unknown ? 1 : 0;
    return count;
}

const JobRow* AppModel::selectedJob() const
{
    return m_jobs->find(m_selection->job());
}

const CheckpointRow* AppModel::selectedCheckpoint() const
{
    return m_checkpoints->find(m_selection->checkpoint());
}

const DeploymentRow* AppModel::selectedDeployment() const
{
    return m_deployments->find(m_selection->deployment());
}

const ModelRow* AppModel::selectedModel() const
{
    return m_models->find(m_selection->model());
}

bool AppModel::isFirstRun() const
{
    return m_jobs->rowCount() == 0;
}

void AppModel::startTraining(const TrainRequest& request)
{
    if (m_isTrainingStarting)
        return;
    m_isTrainingStarting = true;
    m_rules->update();
    Q_EMIT firstRunChanged();
    onFinished(
        m_services.launcher.start(request), this, [this](const Result<TrainStarted>& started) {
            m_isTrainingStarting = false;
            if (!started) {
                m_awaitedRun.clear();
                Q_EMIT problemReported(errorText(started.error()));
            } else {
                m_services.runs.openFolder(started->runDir);
                Q_EMIT noticed(tr("Training started in %1.").arg(started->runDir));
            }
            m_rules->update();
            scheduleRebuild();
            Q_EMIT firstRunChanged();
        });
}

void AppModel::startSampleTraining()
{
    TrainRequest request;
    request.isSample = true;
    request.label = u"sample"_s;
    if (const auto& connection = m_link->connection())
        request.connection = format::fromUtf8(connection->name);
    startTraining(request);
}

void AppModel::openRunFolder(const QString& path)
{
    m_awaitedRun = path;
    m_services.runs.openFolder(path);
    m_services.settings.addRunFolder(path);
}

void AppModel::closeRunFolder(const QString& folder)
{
    m_services.runs.closeFolder(folder);
    m_services.settings.removeRunFolder(folder);
}

void AppModel::refresh()
{
    m_services.runs.refresh();
    if (AccountStore* account = m_link->account())
        account->refreshNow();
    scheduleRebuild();
}

void AppModel::setReadOnly(bool isReadOnly)
{
    if (m_isReadOnly == isReadOnly)
        return;
    m_isReadOnly = isReadOnly;
    m_rules->update();
    Q_EMIT readOnlyChanged(isReadOnly);
}

void AppModel::togglePlotted(const QString& job)
{
    if (!m_plotted.removeOne(job))
        m_plotted.append(job);
    scheduleRebuild();
}

void AppModel::setJobControl(const QString& job, const QString& command)
{
    const auto run = m_services.runs.runOfJob(format::toUtf8(job));
    if (!run || run->controlSocket.isEmpty())
        return;
    ControlSocket& control = m_services.control;
    const auto future = command == u"pause" ? control.pause(run->controlSocket)
        : command == u"continue"            ? control.resume(run->controlSocket)
                                            : control.stop(run->controlSocket);
    onFinished(future, this, [this](const Result<ControlStatus>& done) {
        if (!done)
            Q_EMIT problemReported(errorText(done.error()));
        m_services.runs.refresh();
    });
}

std::optional<Verification> AppModel::verification(const QString& checkpoint) const
{
    const auto found = m_verified.constFind(checkpoint);
    return found == m_verified.constEnd() ? std::nullopt : std::optional(*found);
}

void AppModel::noteVerified(const QString& checkpoint, const QString& verdict)
{
    m_verified.insert(checkpoint, { verdict, now() });
    // One line each: instant, verdict, name. The oldest go when there are too many.
    QStringList lines;
    for (auto it = m_verified.cbegin(); it != m_verified.cend(); ++it) {
        lines.append(format::fromUtf8(toRfc3339(it->at)) + u' ' + it->verdict + u' ' + it.key());
    }
    std::sort(lines.begin(), lines.end(), std::greater<> {});
    lines = lines.mid(0, kMaxVerifications);
    m_services.settings.setText(kVerifiedKey, format::toUtf8(lines.join(u'\n')));
    scheduleRebuild();
}

QByteArray AppModel::windowState(const char* key) const
{
    return QByteArray::fromBase64(QByteArray::fromStdString(m_services.settings.text(key)));
}

void AppModel::setWindowState(const char* key, const QByteArray& state)
{
    m_services.settings.setText(key, state.toBase64().toStdString());
}

QString AppModel::themeWord() const
{
    return format::fromUtf8(m_services.settings.values().theme);
}

void AppModel::setThemeWord(const QString& word)
{
    m_services.settings.setTheme(format::toUtf8(word));
}

void AppModel::loadVerifications()
{
    const QString text = format::fromUtf8(m_services.settings.text(kVerifiedKey));
    for (const QString& line : text.split(u'\n', Qt::SkipEmptyParts)) {
        const QStringList parts = line.split(u' ');
        const auto at =
            parts.size() == 3 ? parseRfc3339(format::toUtf8(parts.at(0))) : std::nullopt;
        if (at)
            m_verified.insert(parts.at(2), { parts.at(1), *at });
    }
}

} // namespace desk
