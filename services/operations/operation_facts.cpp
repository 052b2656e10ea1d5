// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/operations/operation_facts.h"

#include "services/core/resource_name.h"
#include "services/errand.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/operations/preflight.h"
#include "services/runs/control_socket.h"

#include <QPromise>
#include <QThreadPool>

#include <functional>
#include <memory>
#include <utility>

namespace desk {
namespace {

    /// The steps of one gathering, kept alive by the step that is under way.
    class FactGathering final : public std::enable_shared_from_this<FactGathering>
    {
    public:
        using Job = std::shared_ptr<Errand<OperationFacts>>;
        using Step = std::function<void()>;

        FactGathering(OperationDraft draft, ConnectionServices services,
            OperationEnvironment environment, ControlSocket& control,
            std::vector<std::string> history)
            : m_draft(std::move(draft))
            , m_services(std::move(services))
            , m_environment(std::move(environment))
            , m_control(control)
        {
            m_facts.connection = m_services.connection;
            m_facts.history = std::move(history);
        }

        void run(const Job& errand)
        {
            m_errand = errand.get();
            switch (m_draft.kind) {
            case OperationKind::Save:
                return readJob([this] { readCheckpoints([this] { readControl(); }); });
            case OperationKind::Promote:
                return readJob([this] {
                    readCheckpoints(
                        [this] { readModels([this] { readDeployments([this] { end(); }); }); });
                });
            case OperationKind::Hotload:
                return readJob([this] {
                    readCheckpoints(
                        [this] { readDeployment([this] { readReplicas([this] { end(); }); }); });
                });
            case OperationKind::Previous:
                return readDeployment([this] { readReplicas([this] { findPrevious(); }); });
            case OperationKind::Scale:
                return readDeployment([this] { end(); });
            case OperationKind::Extend:
                return readJob([this] { readCheckpoints([this] { readRoute(); }); });
            case OperationKind::Delete:
                if (parameter(m_draft, "resource") == "checkpoint")
                    return readJob([this] {
                        readCheckpoints([this] {
                            readModels([this] { readDeployments([this] { readServed(); }); });
                        });
                    });
                [[fallthrough]];
            case OperationKind::Create:
                return readJob(
                    [this] { readModels([this] { readDeployments([this] { end(); }); }); });
            default:
                return readJob([this] { end(); });
            }
        }

    private:
        /// NotFound leaves the fact out; anything else means that nothing can be checked.
        template <class T, class Take>
        void read(QFuture<Result<T>> future, Take take, Step next)
        {
            m_errand->await(std::move(future),
                [self = shared_from_this(), take = std::move(take), next = std::move(next)](
                    Result<T> result) {
                    if (!result && result.error().code != Error::Code::NotFound)
                        return self->m_errand->finish(result.error());
                    if (result)
                        take(*std::move(result));
                    next();
                });
        }

        void readJob(Step next)
        {
            const auto job = jobOf(m_draft);
            if (job.empty())
                return next();
            read<TrainerJob>(
                m_services.client->getJob(job),
                [this](TrainerJob row) { m_facts.job = std::move(row); }, std::move(next));
        }

        void readCheckpoints(Step next)
        {
            read<std::vector<Checkpoint>>(
                m_services.client->listCheckpoints(jobOf(m_draft)),
                [this](std::vector<Checkpoint> rows) { m_facts.checkpoints = std::move(rows); },
                std::move(next));
        }

        void readModels(Step next)
        {
            read<std::vector<Model>>(
                m_services.client->listModels(),
                [this](std::vector<Model> rows) { m_facts.models = std::move(rows); },
                std::move(next));
        }

        void readDeployments(Step next)
        {
            read<std::vector<Deployment>>(
                m_services.deployments->list(),
                [this](std::vector<Deployment> rows) { m_facts.deployments = std::move(rows); },
                std::move(next));
        }

        void readDeployment(Step next)
        {
            const auto name = deploymentOf(m_draft, m_services.connection.account);
            if (name.empty())
                return next();
            read<Deployment>(
                m_services.deployments->get(name),
                [this](Deployment row) { m_facts.deployment = std::move(row); }, std::move(next));
        }

        void readReplicas(Step next)
        {
            if (!m_facts.deployment || !m_facts.deployment->enablesHotLoad)
                return next();
            m_errand->await(m_services.deployments->hotloadStatus(
                                m_facts.deployment->name, m_facts.deployment->baseModel),
                [self = shared_from_this(), next = std::move(next)](
                    Result<std::vector<Replica>> replicas) {
                    // A deployment that is still starting may not answer; the check then says
                    // unknown.
                    if (replicas) {
                        self->m_facts.deployment->replicas = *std::move(replicas);
                        self->m_facts.areReplicasKnown = true;
                    } else {
                        self->m_facts.problems.push_back(replicas.error().message);
                    }
                    next();
                });
        }

        /// What was loaded before the snapshot that is served now.
        void findPrevious()
        {
            const auto served =
                m_facts.deployment ? commonIdentity(m_facts.deployment->replicas) : std::string {};
            for (const auto& subject : m_facts.history) {
                if (m_facts.previous.empty() && lastSegment(subject) != served)
                    m_facts.previous = subject;
            }
            if (m_facts.previous.empty())
                return end();
            m_draft.subject = m_facts.previous;
            readJob([this] { readCheckpoints([this] { end(); }); });
        }

        /// Replicas of every deployment of the checkpoint's job: none may serve what is deleted.
        void readServed(std::size_t at = 0)
        {
            auto& rows = m_facts.deployments;
            while (at < rows.size()
                && (!rows[at].enablesHotLoad || rows[at].hotLoadTrainerJob != jobOf(m_draft)))
                ++at;
            if (at >= rows.size())
                return readRoute();
            m_errand->await(
                m_services.deployments->hotloadStatus(rows[at].name, rows[at].baseModel),
                [self = shared_from_this(), at](Result<std::vector<Replica>> replicas) {
                    if (replicas)
                        self->m_facts.deployments[at].replicas = *std::move(replicas);
                    self->readServed(at + 1);
                });
        }

        void readRoute()
        {
            const auto* row = findCheckpoint(m_facts.checkpoints, m_draft.target);
            if (row == nullptr)
                return end();
            m_errand->await(m_services.client->checkpointRoute(*row),
                [self = shared_from_this()](Result<std::string> route) {
                    if (route)
                        self->m_facts.checkpointRoute = *std::move(route);
                    else
                        self->m_facts.routeProblem = route.error().message;
                    self->end();
                });
        }

        void readControl()
        {
            const auto job = jobOf(m_draft);
            if (m_environment.controlSocketOf)
                m_facts.controlSocket = m_environment.controlSocketOf(job);
            if (m_facts.controlSocket.isEmpty()) {
                m_facts.controlProblem =
                    "no run folder with a control socket is known for this job";
                return end();
            }
            m_errand->await(m_control.status(m_facts.controlSocket),
                [self = shared_from_this(), job](Result<ControlStatus> status) {
                    if (!status)
                        self->m_facts.controlProblem = status.error().message;
                    else if (!status->job.empty() && status->job != job)
                        self->m_facts.controlProblem = "the run behind the control socket trains "
                            + std::string(lastSegment(status->job));
                    else
                        self->m_facts.control = *std::move(status);
                    self->end();
                });
        }

        void end()
        {
            const bool isOfCheckpoint = m_draft.kind == OperationKind::Promote
                || m_draft.kind == OperationKind::Hotload
                || m_draft.kind == OperationKind::Previous;
            if (isOfCheckpoint && !m_draft.subject.empty()) {
                const auto* row = findCheckpoint(m_facts.checkpoints, m_draft.subject);
                const auto step = row ? stepOf(*row) : std::nullopt;
                if (step && m_environment.lossAt)
                    m_facts.loss = m_environment.lossAt(jobOf(m_draft), *step);
                if (m_environment.bestLossOf)
                    m_facts.bestLoss = m_environment.bestLossOf(jobOf(m_draft));
                if (m_environment.verifiedAs)
                    m_facts.verified = m_environment.verifiedAs(m_draft.subject);
                if (row && row->type == CheckpointType::InferenceLora && !row->path.empty())
                    return findBase(row->path);
            }
            m_errand->finish(std::move(m_facts));
        }

        /// The model that the adapter is to stand on, by the draft's word or the job's.
        void findBase(const std::string& adapter)
        {
            auto base = parameter(m_draft, "base_model");
            if (base.empty() && m_facts.deployment)
                base = m_facts.deployment->baseModel;
            if (base.empty() && m_facts.job)
                base = m_facts.job->baseModel;
            if (base.empty())
                return m_errand->finish(std::move(m_facts));
            m_errand->await(m_services.client->getModel(base),
                [self = shared_from_this(), adapter](const Result<Model>& model) {
                    if (!model || model->path.empty())
                        return self->m_errand->finish(std::move(self->m_facts));
                    self->readAdapter(adapter, model->path);
                });
        }

        void readAdapter(const std::string& adapter, const std::string& base)
        {
            auto promise = std::make_shared<QPromise<Result<AdapterReport>>>();
            promise->start();
            auto future = promise->future();
            QThreadPool::globalInstance()->start([promise, adapter, base] {
                promise->addResult(inspectAdapter(adapter, base));
                promise->finish();
            });
            m_errand->await(
                future, [self = shared_from_this()](const Result<AdapterReport>& report) {
                    if (report)
                        self->m_facts.adapter = *report;
                    else
                        self->m_facts.adapterProblem = report.error().message;
                    self->m_errand->finish(std::move(self->m_facts));
                });
        }

        OperationDraft m_draft; // the subject of Previous is found on the way
        const ConnectionServices m_services;
        const OperationEnvironment m_environment;
        ControlSocket& m_control;
        OperationFacts m_facts;
        Errand<OperationFacts>* m_errand = nullptr; // held by the step that is under way
    };

    Status namesAreFine(const OperationDraft& draft)
    {
        const auto usage = [](Error error) -> Status {
            error.code = Error::Code::Usage;
            error.unchanged = "Nothing was sent";
            return error;
        };
        if (draft.kind == OperationKind::Promote || draft.kind == OperationKind::Hotload) {
            if (const auto name = parseCheckpointName(draft.subject); !name)
                return usage(name.error());
        }
        const bool isAboutCheckpoint = draft.kind == OperationKind::Extend
            || (draft.kind == OperationKind::Delete
                && parameter(draft, "resource") == "checkpoint");
        if (isAboutCheckpoint) {
            if (const auto name = parseCheckpointName(draft.target); !name)
                return usage(name.error());
        }
        const bool isAboutJob = draft.kind == OperationKind::Save
            || draft.kind == OperationKind::Cancel || draft.kind == OperationKind::Resume
            || (draft.kind == OperationKind::Delete && parameter(draft, "resource") == "job");
        if (isAboutJob) {
            if (const auto name = parseJobName(draft.target); !name)
                return usage(name.error());
        }
        return done();
    }

} // namespace

std::string parameter(const OperationDraft& draft, const char* key, const char* fallback)
{
    const auto it = draft.parameters.find(key);
    return it == draft.parameters.end() || it->second.empty() ? fallback : it->second;
}

std::string jobOf(const OperationDraft& draft)
{
    const auto jobOfCheckpoint = [](const std::string& checkpoint) {
        const auto name = parseCheckpointName(checkpoint);
        return name ? name->jobName().toString() : std::string {};
    };
    switch (draft.kind) {
    case OperationKind::Promote:
    case OperationKind::Hotload:
    case OperationKind::Previous:
        return jobOfCheckpoint(draft.subject);
    case OperationKind::Extend:
        return jobOfCheckpoint(draft.target);
    case OperationKind::Create:
        return parameter(draft, "job");
    case OperationKind::Delete:
        if (parameter(draft, "resource") == "checkpoint")
            return jobOfCheckpoint(draft.target);
        return parameter(draft, "resource") == "job" ? draft.target : std::string {};
    case OperationKind::Scale:
        return {};
    default:
        return draft.target;
    }
}

std::string deploymentOf(const OperationDraft& draft, const std::string& account)
{
    std::string name;
    if (draft.kind == OperationKind::Hotload || draft.kind == OperationKind::Previous
        || draft.kind == OperationKind::Scale)
        name = parameter(draft, "deployment", draft.target.c_str());
    else if (draft.kind == OperationKind::Create)
        name = parameter(draft, "name");
    else if (draft.kind == OperationKind::Delete)
        name = draft.target;
    if (name.empty() || name.find('/') != std::string::npos)
        return name;
    return deploymentName(account, name);
}

QFuture<Result<OperationFacts>> gatherFacts(const OperationDraft& draft,
    ConnectionServices services, const OperationEnvironment& environment, ControlSocket& control,
    std::vector<std::string> history, QObject* guard)
{
    if (const auto fine = namesAreFine(draft); !fine)
        return finishedFuture(Result<OperationFacts>(fine.error()));
    auto errand = Errand<OperationFacts>::start(guard);
    auto future = errand->future();
    auto gathering = std::make_shared<FactGathering>(
        draft, std::move(services), environment, control, std::move(history));
    gathering->run(errand);
    return future;
}

} // namespace desk
