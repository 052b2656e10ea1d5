// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"

#include "app/ctl/verbs.h"
#include "services/codecs/cli_codec.h"
#include "services/core/resource_name.h"
#include "services/runs/run_reader.h"
#include "services/train/run_folder.h"

#include <QDir>
#include <QUrl>

#include <cstdio>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr std::size_t kMaxConfig = std::size_t { 1 } << 20;

    std::string sentence(std::string text)
    {
        if (!text.empty() && text.back() != '.')
            text += '.';
        return text + '\n';
    }

    bool isUrl(const std::string& name)
    {
        return name.find("://") != std::string::npos;
    }

    void put(std::FILE* file, const std::string& text)
    {
        std::fwrite(text.data(), 1, text.size(), file);
        std::fflush(file);
    }

    /// The one row that `id` names; null with the number of those that could be meant.
    struct CheckpointMatch
    {
        const Checkpoint* row = nullptr;
        int alike = 0;
    };

    /// "step-0010" stands for "step-0010-a1b2c3d4" when only one row begins so.
    CheckpointMatch matchCheckpoint(
        const std::vector<Checkpoint>& rows, const std::string& id, bool wantsSampler)
    {
        constexpr std::size_t kSuffix = 9; // '-' and 8 hex digits
        const Checkpoint* exact = nullptr;
        CheckpointMatch match;
        for (const Checkpoint& row : rows) {
            const std::string_view rowId = lastSegment(row.name);
            if (rowId == id) {
                exact = &row;
            } else if (rowId.size() == id.size() + kSuffix && rowId.starts_with(id)
                && rowId[id.size()] == '-') {
                match.row = &row;
                ++match.alike;
            }
        }
        const bool isState = exact != nullptr
            && (exact->type == CheckpointType::Training
                || exact->type == CheckpointType::TrainingLora);
        if (exact != nullptr && !(wantsSampler && isState && match.alike == 1))
            return { exact, 1 };
        if (match.alike != 1)
            match.row = nullptr;
        return match;
    }

} // namespace

int exitCodeFor(Error::Code code) noexcept
{
    switch (code) {
    case Error::Code::Usage:
        return 2;
    case Error::Code::Unreadable:
    case Error::Code::Malformed:
    case Error::Code::Full:
        return 3;
    case Error::Code::NotFound:
        return 1;
    case Error::Code::Canceled:
        return 5;
    case Error::Code::Unknown:
        return 6;
    default:
        return 4;
    }
}

Ctl::Ctl(CtlOptions options, QObject* parent)
    : QObject(parent)
    , m_options(std::move(options))
    , m_profile(profileAt(QString::fromStdString(m_options.profile)))
{
}

Ctl::~Ctl() = default;

void Ctl::start()
{
    if (const Status made = ensureProfile(m_profile); !made)
        return fail(made.error());
    m_settings = std::make_unique<Settings>(m_profile.settingsFile());
    if (!m_settings->problem().empty())
        warn(m_settings->problem());
    if (m_options.verb == "connections test")
        m_options.connection = m_options.names[0];
    const auto verb = verbFor(m_options.verb);
    if (!verb)
        return fail({ Error::Code::Usage, "there is no verb " + m_options.verb, "nothing was done",
            "see trainerdesk-ctl --help", {} });
    verb(*this);
}

void Ctl::interrupt()
{
    if (onInterrupt)
        return onInterrupt();
    if (m_center && m_center->runningCount() > 0)
        return fail({ Error::Code::Unknown, "interrupted while an operation was under way",
            "its effect may still come", "look it up with `operations reconcile`", {} });
    fail({ Error::Code::Canceled, "interrupted", "nothing more was done", {}, {} });
}

Result<std::string> Ctl::chosenConnection() const
{
    if (!m_options.connection.empty())
        return m_options.connection;
    if (!m_settings->values().lastConnection.empty())
        return m_settings->values().lastConnection;
    return Error { Error::Code::Usage, "no connection was used before, so one must be named",
        "nothing was done", "give --connection local, a connection's name, or a URL", {} };
}

Result<QByteArray> Ctl::givenKey()
{
    if (m_options.keyFile.empty())
        return keyFromEnvironment();
    const auto file = readKeyFile(QString::fromStdString(m_options.keyFile));
    if (!file)
        return file.error();
    if (file->isReadableByOthers)
        warn("the key file " + m_options.keyFile + " can be read by other users");
    return file->key;
}

void Ctl::withConnection(Next next)
{
    const auto name = chosenConnection();
    if (!name)
        return fail(name.error());
    const auto use = [this, next = std::move(next)](const Result<ConnectionServices>& services) {
        if (!services)
            return fail(services.error());
        m_services = *services;
        m_http = &m_services.client->http();
        const std::string& used = connection().name;
        if (used != m_settings->values().lastConnection && !isUrl(used))
            m_settings->setLastConnection(used);
        next();
    };
    if (*name == "local")
        connectLocal(use);
    else
        connectNamed(*name, use);
}

void Ctl::connectTo(const std::string& name, std::function<void(Status)> next)
{
    if (m_open.contains(name))
        return next(done());
    const auto use = [next = std::move(next)](const Result<ConnectionServices>& services) {
        next(services ? done() : Status(services.error()));
    };
    if (name == "local")
        connectLocal(use);
    else
        connectNamed(name, use);
}

void Ctl::connectLocal(std::function<void(Result<ConnectionServices>)> next)
{
    m_backend = std::make_unique<LocalBackend>(m_profile);
    onFinished(m_backend->start(), this,
        [this, next = std::move(next)](const Result<LocalBackendInfo>& info) {
            if (!info)
                return next(info.error());
            m_local = *info;
            const auto key = readKeyFile(info->keyFile);
            if (!key)
                return next(key.error());
            openServices(m_backend->connection(), key->key, next);
        });
}

void Ctl::connectNamed(
    const std::string& name, std::function<void(Result<ConnectionServices>)> next)
{
    Connection connection;
    if (isUrl(name)) {
        connection.name = name;
        connection.url = name;
        while (connection.url.ends_with('/'))
            connection.url.pop_back();
    } else if (const auto known = m_settings->connection(name)) {
        connection = *known;
    } else {
        return next(Error { Error::Code::NotFound, "there is no connection " + name,
            "nothing was done", "see `connections list`, or give a URL", {} });
    }
    const auto key = givenKey();
    if (!key)
        return next(key.error());
    if (!key->isEmpty() || isUrl(name))
        return openServices(connection, *key, std::move(next));
    onFinished(m_keys.load(QString::fromStdString(name)), this,
        [this, connection, next = std::move(next)](const Result<StoredKey>& stored) {
            openServices(connection, stored ? stored->key : QByteArray(), next);
        });
}

void Ctl::openServices(const Connection& connection, const QByteArray& key,
    std::function<void(Result<ConnectionServices>)> next)
{
    m_https.push_back(std::make_unique<HttpClient>(connection, [key] { return key; }));
    ConnectionServices services;
    services.connection = connection;
    services.client = std::make_shared<FireworksClient>(*m_https.back());
    services.jobs = std::make_shared<TrainerJobManager>(*services.client);
    services.deployments = std::make_shared<DeploymentManager>(*services.client);
    onFinished(services.client->account(), this,
        [this, services, next = std::move(next)](const Result<std::string>& account) mutable {
            if (!account)
                return next(account.error());
            services.connection.account = *account;
            m_open[services.connection.name] = services;
            next(services);
        });
}

void Ctl::withJournal(Next next)
{
    m_journal = std::make_unique<Journal>(m_profile.journalFile());
    OperationEnvironment environment;
    environment.connect = [this](const std::string& name) -> Result<ConnectionServices> {
        if (const auto found = m_open.find(name); found != m_open.end())
            return found->second;
        return Error { Error::Code::NotFound, "the connection " + name + " is not open",
            "nothing was sent", "name it with --connection", {} };
    };
    environment.controlSocketOf = [this](const std::string& job) {
        const auto run = runOfJob(job);
        return run ? run->controlSocket : QString();
    };
    environment.lossAt = [this](
                             const std::string& job, std::int64_t step) -> std::optional<double> {
        const auto run = runOfJob(job);
        if (!run || !run->series)
            return std::nullopt;
        const SeriesSnapshot loss = run->series->snapshot("train/loss");
        const auto sample = loss.isNull() ? std::nullopt : loss.at(static_cast<double>(step));
        return sample ? std::optional(sample->value) : std::nullopt;
    };
    m_center = std::make_unique<OperationCenter>(*m_journal, m_clock, std::move(environment));
    then(m_center->start(), [next = std::move(next)](int) { next(); });
}

void Ctl::withOperations(Next next)
{
    withConnection([this, next = std::move(next)] { withJournal(next); });
}

std::string Ctl::fullJobName(const std::string& nameOrId) const
{
    return nameOrId.find('/') != std::string::npos
        ? nameOrId
        : JobName { connection().account, nameOrId }.toString();
}

std::string Ctl::fullModelName(const std::string& nameOrId) const
{
    return nameOrId.find('/') != std::string::npos ? nameOrId
                                                   : modelName(connection().account, nameOrId);
}

std::string Ctl::fullDeploymentName(const std::string& nameOrId) const
{
    return nameOrId.find('/') != std::string::npos ? nameOrId
                                                   : deploymentName(connection().account, nameOrId);
}

void Ctl::resolveCheckpoint(
    const std::string& name, Wanted wanted, std::function<void(const Checkpoint& checkpoint)> next)
{
    const auto parsed = parseCheckpointName(name);
    const std::size_t slash = name.rfind('/');
    if (!parsed && (slash == std::string::npos || slash == 0 || slash + 1 == name.size()))
        return fail({ Error::Code::Usage, "`" + name + "` is no name of a checkpoint",
            "nothing was done", "give the four-segment resource name, or JOB/short-name", {} });
    const std::string job =
        parsed ? parsed->jobName().toString() : fullJobName(name.substr(0, slash));
    const std::string id = parsed ? parsed->checkpoint : name.substr(slash + 1);
    then(client().listCheckpoints(job),
        [this, job, id, wantsSampler = wanted == Wanted::Sampler && !parsed,
            next = std::move(next)](const std::vector<Checkpoint>& rows) {
            // A name in full means that row and no other.
            const CheckpointMatch match = matchCheckpoint(rows, id, wantsSampler);
            if (match.row != nullptr)
                return next(*match.row);
            fail({ match.alike == 0 ? Error::Code::NotFound : Error::Code::Usage,
                match.alike == 0
                    ? "the job " + job + " has no checkpoint " + id
                    : std::to_string(match.alike) + " checkpoints of " + job + " are called " + id,
                "nothing was done", "see `checkpoints list " + std::string(lastSegment(job)) + "`",
                {} });
        });
}

std::vector<std::string> Ctl::runFolders() const
{
    std::vector<std::string> folders;
    const QDir runs(m_profile.runsDir);
    for (const QString& name : runs.entryList(QDir::Dirs | QDir::NoDotAndDotDot, QDir::Name))
        folders.push_back(runs.filePath(name).toStdString());
    for (const std::string& folder : m_settings->values().runFolders)
        folders.push_back(folder);
    return folders;
}

std::optional<RunFacts> Ctl::runOfJob(const std::string& job) const
{
    std::optional<RunFacts> newest;
    for (const std::string& folder : runFolders()) {
        const auto text = readSmallFile(folder + "/config.json", kMaxConfig);
        const auto config = text ? decodeRunConfig(*text) : Result<RunConfig>(text.error());
        if (!config || config->job != job)
            continue;
        RunReader reader(folder, folder + "/metrics.jsonl", m_clock);
        do
            reader.poll();
        while (reader.hasMore());
        const RunFacts& facts = reader.facts();
        if (!newest || facts.started > newest->started)
            newest = facts;
    }
    return newest;
}

void Ctl::warn(std::string warning)
{
    if (!m_options.isJson)
        put(stderr, "Warning: " + sentence(warning));
    m_warnings.push_back(std::move(warning));
}

void Ctl::note(const std::string& line)
{
    put(stderr, line + "\n");
}

void Ctl::succeed(const std::string& json, const std::string& text, int exitCode)
{
    if (m_hasEnded)
        return;
    put(stdout, m_options.isJson ? withCliWarnings(json, m_warnings) + "\n" : text);
    end(exitCode);
}

void Ctl::fail(const Error& error, std::optional<int> exitCode)
{
    if (m_hasEnded)
        return;
    if (m_options.isJson)
        put(stdout, withCliWarnings(encodeCliError(error), m_warnings) + "\n");
    std::string text = sentence(error.message);
    for (const std::string& part : { error.unchanged, error.next })
        if (!part.empty())
            text += "  " + sentence(part);
    if (!error.requestId.empty())
        text += "  request id " + error.requestId + "\n";
    put(stderr, text);
    end(exitCode.value_or(exitCodeFor(error.code)));
}

void Ctl::end(int exitCode)
{
    m_hasEnded = true;
    if (m_settings)
        (void)m_settings->save();
    Q_EMIT ended(exitCode);
}

} // namespace desk
