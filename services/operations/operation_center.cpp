// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/operations/operation_center.h"

#include "services/errand.h"
#include "services/operations/operation_facts.h"
#include "services/operations/operation_lookup.h"
#include "services/operations/operation_runner.h"
#include "services/operations/preflight.h"
#include "services/runs/control_socket.h"
#include "services/store/journal.h"

#include <QHash>
#include <QSet>
#include <QTimer>
#include <QUuid>

#include <algorithm>
#include <unordered_map>
#include <utility>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    // How soon a crash of another process, which writes nothing, is seen.
    constexpr int kOrphanCheckMs = 5000;

    QString idOf(const Operation& operation)
    {
        return QString::fromStdString(operation.id);
    }

    std::string newUuid()
    {
        return QUuid::createUuid().toString(QUuid::WithoutBraces).toStdString();
    }

    std::string userName()
    {
        const auto user = qEnvironmentVariable("USER");
        return user.isEmpty() ? std::string("somebody") : user.toStdString();
    }

    void setError(Operation& operation, const std::optional<Error>& error)
    {
        operation.errorCode = error ? toString(error->code) : "";
        operation.errorMessage = error ? error->message : "";
        operation.errorUnchanged = error ? error->unchanged : "";
        operation.errorNext = error ? error->next : "";
    }

    Error lostWithProcess()
    {
        return { Error::Code::Unknown, "The program that sent this ended before the result came",
            "It is not known whether it took effect; it is not sent again",
            "Reconcile: that looks the effect up", {} };
    }

} // namespace

class OperationCenter::Private final : public QObject // clazy:exclude=missing-qobject-macro
{
public:
    Private(OperationCenter* owner, Journal& theJournal, const Clock& theClock,
        OperationEnvironment theEnvironment)
        : q(owner)
        , journal(theJournal)
        , clock(theClock)
        , environment(std::move(theEnvironment))
    {
        connect(&journal, &Journal::changedElsewhere, this, [this] { readAgain(); });
        orphanTimer.setInterval(kOrphanCheckMs);
        connect(&orphanTimer, &QTimer::timeout, this, [this] {
            const auto isForeign = [this](const Operation& operation) {
                return !isFinal(operation.state) && operation.state != OperationState::Unknown
                    && !running.contains(idOf(operation));
            };
            if (std::any_of(operations.begin(), operations.end(), isForeign))
                readAgain();
        });
    }

    QFuture<Result<int>> start()
    {
        auto errand = Errand<int>::start(this);
        auto future = errand->future();
        errand->awaitValue(
            journal.load(), [this, errand = errand.get()](const QList<JournalEntry>& entries) {
                isStarted = true;
                const auto orphans = take(entries);
                orphanTimer.start();
                for (const auto& id : orphans)
                    lookUp(id);
                const auto unknown = std::count_if(
                    operations.begin(), operations.end(), [](const Operation& operation) {
                        return operation.state == OperationState::Unknown;
                    });
                errand->finish(static_cast<int>(unknown));
            });
        return future;
    }

    QFuture<Result<OperationPlan>> plan(const OperationDraft& draft)
    {
        const auto services = environment.connect(draft.connection);
        if (!services)
            return finishedFuture(Result<OperationPlan>(services.error()));
        auto errand = Errand<OperationPlan>::start(this);
        auto future = errand->future();
        errand->awaitValue(
            gatherFacts(draft, *services, environment, control, historyOf(draft), this),
            [this, errand = errand.get(), draft](OperationFacts facts) {
                facts.now = clock.now();
                for (const auto& operation : std::as_const(operations)) {
                    if (!isFinal(operation.state) && operation.connection == draft.connection)
                        facts.open.push_back(operation);
                }
                auto made = makePlan(draft, facts);
                made.key = newUuid();
                errand->finish(std::move(made));
            });
        return future;
    }

    /// What a deployment was loaded with, newest first, each once.
    std::vector<std::string> historyOf(const OperationDraft& draft) const
    {
        std::vector<std::string> subjects;
        if (draft.kind != OperationKind::Previous)
            return subjects;
        for (const auto& operation : operations) {
            const bool isLoad = operation.kind == OperationKind::Hotload
                || operation.kind == OperationKind::Previous;
            if (!isLoad || operation.target != draft.target
                || operation.state != OperationState::Succeeded
                || operation.connection != draft.connection
                || std::find(subjects.begin(), subjects.end(), operation.subject) != subjects.end())
                continue;
            subjects.push_back(operation.subject);
        }
        return subjects;
    }

    QFuture<Result<Operation>> commit(const OperationPlan& reviewed)
    {
        if (!isStarted)
            return finishedFuture(Result<Operation>(Error { Error::Code::Refused,
                "The operations journal is not open", "Nothing was sent",
                "Wait a moment, or look at why the journal cannot be opened", {} }));
        auto errand = Errand<Operation>::start(this);
        auto future = errand->future();
        // Check-then-act is not trusted: what held when the sheet was drawn is checked again.
        errand->awaitValue(
            plan(reviewed.draft), [this, errand = errand.get(), reviewed](OperationPlan now) {
                if (const auto* failure = firstFailure(now))
                    return errand->finish(
                        Error { Error::Code::Refused, failure->title + ": " + failure->why,
                            "Nothing was sent", failure->fix, {} });
                if (!reviewed.request.url.empty() && !(now.request == reviewed.request))
                    return errand->finish(Error { Error::Code::Conflict,
                        "What would be sent has changed since it was reviewed", "Nothing was sent",
                        "Review it again", {} });
                now.key = reviewed.key.empty() ? now.key : reviewed.key;
                record(errand->shared_from_this(), now);
            });
        return future;
    }

    QFuture<Result<Operation>> reconcile(const QString& id)
    {
        const auto refuse = [](Error::Code code, const char* message, const char* next) {
            return finishedFuture(
                Result<Operation>(Error { code, message, "Nothing was changed", next, {} }));
        };
        const auto operation = find(id);
        if (!operation)
            return refuse(Error::Code::NotFound, "There is no such operation",
                "Look at the list of operations");
        if (operation->state != OperationState::Unknown)
            return isFinal(operation->state)
                ? finishedFuture(Result<Operation>(*operation))
                : refuse(Error::Code::Conflict, "The operation is under way", "Wait for its end");
        return lookUp(id);
    }

    std::optional<Operation> find(const QString& id) const
    {
        const auto place = placeOf(id.toStdString());
        return place < 0 ? std::nullopt : std::optional(operations[place]);
    }

    qsizetype placeOf(const std::string& id) const
    {
        const auto it = std::find_if(operations.begin(), operations.end(),
            [&](const Operation& operation) { return operation.id == id; });
        return it == operations.end() ? -1 : std::distance(operations.begin(), it);
    }

    OperationCenter* q;
    Journal& journal;
    const Clock& clock;
    OperationEnvironment environment;
    ControlSocket control;
    QList<Operation> operations; // newest first
    QSet<QString> running; // sent by this process, not ended
    bool isStarted = false;

private:
    using Commit = std::shared_ptr<Errand<Operation>>;

    /// The record is on the disk before anything is sent.
    void record(const Commit& errand, const OperationPlan& plan)
    {
        Operation operation;
        operation.id = "op-" + newUuid();
        operation.key = plan.key;
        operation.kind = plan.draft.kind;
        operation.connection = plan.draft.connection;
        operation.target = plan.draft.target;
        operation.subject = plan.draft.subject;
        operation.parameters = plan.draft.parameters;
        operation.by = (plan.draft.by.empty() ? "window" : plan.draft.by) + ", " + userName();
        operation.request = plan.request;
        operation.state = OperationState::Sent;
        operation.stage = "sent";
        operation.created = clock.now();
        operation.updated = operation.created;
        operation.stages.push_back(
            { "sent", operation.created, "journal record synced to disk first, then the request" });
        for (const auto& warning : plan.warnings)
            operation.stages.push_back({ "warning", operation.created, warning });
        // Connected before the record is written: afterwards nothing may stop the sending.
        const auto services = environment.connect(operation.connection);
        if (!services)
            return errand->finish(services.error());
        const auto id = idOf(operation);
        running.insert(id);
        onFinished(journal.insert(operation), this,
            [this, errand, operation, services = *services, id](const Status& written) {
                if (!written) {
                    running.remove(id);
                    return errand->finish(written.error());
                }
                put(operation);
                send(errand, operation, services);
            });
    }

    void send(const Commit& errand, const Operation& operation, const ConnectionServices& services)
    {
        const auto id = idOf(operation);
        OperationRunner::Reports reports;
        reports.stage = [this, id](const std::string& stage, const std::string& detail) {
            addStage(id, stage, detail);
        };
        reports.replicas = [this, id](const std::vector<Replica>& replicas,
                               const std::string& summary) { noteReplicas(id, replicas, summary); };
        reports.ended = [this, id, errand](const OperationOutcome& outcome) {
            running.remove(id);
            conclude(id, outcome, [this, id, errand] {
                if (const auto ended = find(id))
                    errand->finish(*ended);
            });
        };
        auto* runner = new OperationRunner(operation, services, socketOf(operation), control,
            environment.silenceLimit, std::move(reports), this);
        runner->start();
    }

    QString socketOf(const Operation& operation) const
    {
        constexpr std::string_view kUnix = "unix:";
        if (operation.kind != OperationKind::Save)
            return {};
        // The reviewed socket; a restarted run may have another one by the time of a look-up.
        if (operation.state == OperationState::Sent && operation.request.url.rfind(kUnix, 0) == 0)
            return QString::fromStdString(operation.request.url.substr(kUnix.size()));
        return environment.controlSocketOf ? environment.controlSocketOf(operation.target)
                                           : QString();
    }

    void addStage(const QString& id, const std::string& stage, const std::string& detail)
    {
        change(id, [&](Operation& operation) {
            operation.stages.push_back({ stage, clock.now(), detail });
            operation.state =
                stage == "accepted" ? OperationState::Accepted : OperationState::Running;
            const bool isLoad = operation.kind == OperationKind::Hotload
                || operation.kind == OperationKind::Previous;
            if (!isLoad || stage == "accepted")
                operation.stage = stage == "running" ? detail : stage;
        });
        writeDown(id);
    }

    void noteReplicas(
        const QString& id, const std::vector<Replica>& replicas, const std::string& summary)
    {
        const auto before = find(id);
        if (!before || before->replicas == replicas)
            return;
        const bool isStep = before->stage != summary;
        change(id, [&](Operation& operation) {
            operation.replicas = replicas;
            operation.stage = summary;
            operation.state = OperationState::Running;
        });
        // Seconds that tick need no rows of their own.
        if (isStep)
            writeDown(id);
    }

    template <class Then>
    void conclude(const QString& id, const OperationOutcome& outcome, Then then)
    {
        change(id, [&](Operation& operation) {
            operation.state = outcome.state;
            if (!outcome.replicas.empty())
                operation.replicas = outcome.replicas;
            if (!outcome.result.empty())
                operation.result = outcome.result;
            setError(operation, outcome.error);
            operation.stage = toString(outcome.state);
            operation.stages.push_back({ toString(outcome.state), clock.now(),
                outcome.error ? outcome.error->message : std::string {} });
        });
        const auto ended = find(id);
        if (!ended)
            return;
        onFinished(journal.append(*ended), this, [this, id, then](const Status& written) {
            if (!written)
                noteJournalTrouble(id, written.error());
            then();
        });
    }

    QFuture<Result<Operation>> lookUp(const QString& id)
    {
        const auto operation = find(id);
        const auto services = environment.connect(operation->connection);
        if (!services)
            return finishedFuture(Result<Operation>(services.error()));
        if (const auto open = lookups.constFind(id); open != lookups.constEnd())
            return *open;
        auto errand = Errand<Operation>::start(this);
        auto future = errand->future();
        lookups.insert(id, future);
        const auto progress = [this, id](const std::string& detail) {
            const auto now = find(id);
            if (now && !isFinal(now->state))
                addStage(id, "running", detail);
        };
        onFinished(lookUpEffect(
                       *operation, *services, socketOf(*operation), control, clock, progress, this),
            this, [this, id, errand](const Result<OperationOutcome>& outcome) {
                lookups.remove(id);
                if (!outcome)
                    return errand->finish(outcome.error());
                const auto finish = [this, id, errand] {
                    if (const auto now = find(id))
                        errand->finish(*now);
                };
                const auto before = find(id);
                // Another process may have found it out meanwhile.
                if (!before || isFinal(before->state))
                    return finish();
                const bool isNews = outcome->state != OperationState::Unknown
                    || before->errorMessage != outcome->error.value_or(Error {}).message;
                if (!isNews)
                    return finish();
                addReconcileStage(id);
                conclude(id, *outcome, finish);
            });
        return future;
    }

    void addReconcileStage(const QString& id)
    {
        change(id, [&](Operation& operation) {
            operation.stages.push_back({ "reconcile", clock.now(), "looked the effect up" });
        });
    }

    template <class F>
    void change(const QString& id, F edit)
    {
        const auto place = placeOf(id.toStdString());
        if (place < 0)
            return;
        auto& operation = operations[place];
        edit(operation);
        operation.updated = std::max(clock.now(), operation.updated);
        Q_EMIT q->operationChanged(id);
    }

    void put(const Operation& operation)
    {
        operations.prepend(operation);
        Q_EMIT q->operationChanged(idOf(operation));
    }

    void writeDown(const QString& id)
    {
        const auto operation = find(id);
        if (!operation)
            return;
        onFinished(journal.append(*operation), this, [this, id](const Status& written) {
            if (!written)
                noteJournalTrouble(id, written.error());
        });
    }

    /// The request is out: what cannot be written down any more is at least shown.
    void noteJournalTrouble(const QString& id, const Error& error)
    {
        change(id, [&](Operation& operation) {
            if (operation.errorMessage.empty())
                operation.errorMessage =
                    "The result could not be written to the journal: " + error.message;
        });
    }

    void readAgain()
    {
        if (std::exchange(isReading, true))
            return;
        onFinished(journal.load(), this, [this](const Result<QList<JournalEntry>>& entries) {
            isReading = false;
            if (!entries)
                return;
            const auto orphans = take(*entries);
            for (const auto& id : orphans)
                lookUp(id);
        });
    }

    /// Records of others replace what is shown of them; those of processes that are gone, and were
    /// not ended, become Unknown.
    QStringList take(const QList<JournalEntry>& entries)
    {
        QList<Operation> fresh;
        QStringList changed;
        QStringList orphans;
        std::unordered_map<std::string, const Operation*> known;
        for (const auto& operation : std::as_const(operations))
            known.emplace(operation.id, &operation);
        for (const auto& entry : entries) {
            const auto& read = entry.operation;
            const auto id = idOf(read);
            const auto it = known.find(read.id);
            const Operation* mine = it == known.end() ? nullptr : it->second;
            const bool isMine = running.contains(id) || lookups.contains(id);
            // What was read may be older than what is still on its way into the file.
            const bool isNewer = mine && mine->updated > read.updated;
            fresh.append(mine && (isMine || isNewer) ? *mine : read);
            if (!mine || !(*mine == fresh.last()))
                changed.append(id);
            if (it != known.end())
                known.erase(it);
            const bool isOpen = !isFinal(read.state) && read.state != OperationState::Unknown;
            if (isOpen && !entry.isOwnerAlive && !isMine && !isNewer)
                orphans.append(id);
        }
        // Records that were put here while the file was being read stay.
        for (qsizetype i = operations.size(); i-- > 0;) {
            if (known.count(operations[i].id) > 0)
                fresh.prepend(operations[i]);
        }
        operations = std::move(fresh);
        for (const auto& id : std::as_const(changed))
            Q_EMIT q->operationChanged(id);
        for (const auto& id : std::as_const(orphans))
            conclude(id, { OperationState::Unknown, {}, lostWithProcess(), {} }, [] {});
        return orphans;
    }

    QTimer orphanTimer;
    QHash<QString, QFuture<Result<Operation>>> lookups;
    bool isReading = false;
};

OperationCenter::OperationCenter(
    Journal& journal, const Clock& clock, OperationEnvironment environment, QObject* parent)
    : QObject(parent)
    , m_private(std::make_unique<Private>(this, journal, clock, std::move(environment)))
{
}

OperationCenter::~OperationCenter() = default;

QFuture<Result<int>> OperationCenter::start()
{
    return m_private->start();
}

QFuture<Result<OperationPlan>> OperationCenter::plan(OperationDraft draft)
{
    return m_private->plan(draft);
}

QFuture<Result<Operation>> OperationCenter::commit(OperationPlan plan)
{
    return m_private->commit(plan);
}

QFuture<Result<Operation>> OperationCenter::reconcile(const QString& id)
{
    return m_private->reconcile(id);
}

QList<Operation> OperationCenter::operations() const
{
    return m_private->operations;
}

std::optional<Operation> OperationCenter::operation(const QString& id) const
{
    return m_private->find(id);
}

int OperationCenter::runningCount() const
{
    return static_cast<int>(m_private->running.size());
}

} // namespace desk
