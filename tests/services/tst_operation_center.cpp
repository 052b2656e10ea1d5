// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/gateway/trainer_job_manager.h"
#include "services/operations/operation_center.h"
#include "services/store/journal.h"
#include "services/store/journal_database.h"
#include "services/store/process_identity.h"
#include "tests/services/fake_plane.h"

#include <QLocalServer>
#include <QLocalSocket>
#include <QPointer>
#include <QRegularExpression>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include <csignal>
#include <deque>
#include <sys/resource.h>

using namespace Qt::StringLiterals;

namespace desk {

using test::Answer;
using test::FakePlane;
using test::SeenRequest;

namespace {

    /// Time that moves only when a test says so.
    class SetClock final : public Clock
    {
    public:
        Time now() const override { return SystemClock().now() + offset; }
        std::chrono::microseconds offset {};
    };

    /// One process of the desk on a profile: journal, clients, center.
    struct Desk
    {
        Desk(const QString& file, FakePlane& plane, const QString& socket = {})
            : journal(file)
        {
            connection = { "local", plane.server.url().toStdString(), "local", SafetyLevel::Free,
                true, "", "" };
            http =
                std::make_unique<HttpClient>(connection, [] { return QByteArray("secret-key"); });
            http->setRetryPolicy({ std::chrono::milliseconds(1), std::chrono::milliseconds(1), 0 });
            services.connection = connection;
            services.client = std::make_shared<FireworksClient>(*http);
            services.jobs = std::make_shared<TrainerJobManager>(*services.client);
            services.deployments = std::make_shared<DeploymentManager>(*services.client);
            OperationEnvironment environment;
            environment.connect = [this](const std::string& name) -> Result<ConnectionServices> {
                if (name != "local")
                    return Error { Error::Code::NotFound, "no such connection" };
                return services;
            };
            environment.controlSocketOf = [socket](const std::string&) { return socket; };
            environment.silenceLimit = std::chrono::milliseconds(400);
            center = std::make_unique<OperationCenter>(journal, clock, environment);
        }
        Desk(const Desk&) = delete;
        Desk& operator=(const Desk&) = delete;
        ~Desk() { center.reset(); }

        SetClock clock;
        Connection connection;
        std::unique_ptr<HttpClient> http;
        ConnectionServices services;
        Journal journal;
        std::unique_ptr<OperationCenter> center;
    };

    template <class T>
    Result<T> ended(QFuture<Result<T>> future, int timeoutMs = 15000)
    {
        [&] { QTRY_VERIFY_WITH_TIMEOUT(future.isFinished(), timeoutMs); }();
        return future.isFinished() && future.resultCount() > 0
            ? future.result()
            : Result<T>(Error { Error::Code::Canceled, "no result" });
    }

    OperationDraft draftOf(OperationKind kind, std::map<std::string, std::string> parameters)
    {
        OperationDraft draft;
        draft.kind = kind;
        draft.connection = "local";
        draft.parameters = std::move(parameters);
        draft.by = "ctl";
        return draft;
    }

    OperationDraft promoteBase()
    {
        auto draft = draftOf(OperationKind::Promote, { { "model_id", "stories-v1" } });
        draft.subject = std::string(FakePlane::kJob) + "/checkpoints/step-0010-a1b2c3d4";
        return draft;
    }

    OperationDraft hotloadBase()
    {
        auto draft = draftOf(OperationKind::Hotload, {});
        draft.target = FakePlane::kDeployment;
        draft.subject = std::string(FakePlane::kJob) + "/checkpoints/step-0010-a1b2c3d4";
        return draft;
    }

    Answer drop()
    {
        Answer answer;
        answer.kind = Answer::Kind::DropBeforeHeaders;
        return answer;
    }

    bool hasStage(const Operation& operation, const std::string& stage)
    {
        return std::any_of(operation.stages.begin(), operation.stages.end(),
            [&](const OperationStage& one) { return one.stage == stage; });
    }

} // namespace

class TestOperationCenter final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        QTest::failOnWarning(QRegularExpression(u".*"_s));
        m_dir = std::make_unique<QTemporaryDir>();
        m_file = m_dir->filePath(u"journal.sqlite"_s);
        m_plane = std::make_unique<FakePlane>();
    }

    void promote_endsWithTheModel()
    {
        Desk desk(m_file, *m_plane);
        QCOMPARE(*ended(desk.center->start()), 0);
        const auto plan = ended(desk.center->plan(promoteBase()));
        QVERIFY(plan);
        QVERIFY(plan->isAllowed);
        QCOMPARE(m_plane->posts(), 0);
        QSignalSpy changed(desk.center.get(), &OperationCenter::operationChanged);
        const auto done = ended(desk.center->commit(*plan));
        QVERIFY(done);
        QCOMPARE(toString(done->state), "succeeded");
        QCOMPARE(m_plane->posts(), 1);
        QVERIFY(done->result.find("accounts/local/models/stories-v1") != std::string::npos);
        QVERIFY(hasStage(*done, "sent"));
        QVERIFY(hasStage(*done, "accepted"));
        QVERIFY(changed.count() >= 2);
        // What was shown is what was sent.
        const auto& sent = m_plane->server.seen();
        const auto post = std::find_if(sent.begin(), sent.end(),
            [](const SeenRequest& request) { return request.method == "POST"; });
        QCOMPARE(QByteArray::fromStdString(plan->request.url),
            m_plane->server.url().toUtf8() + post->target);
        QCOMPARE(QByteArray::fromStdString(plan->request.body), post->body);
    }

    void recordIsOnDiskBeforeTheRequest()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        QByteArray stateAtSending;
        m_plane->beforeChange = [&] {
            JournalDatabase other(m_file);
            QVERIFY(other.open());
            const auto entries = other.load(10);
            QVERIFY(entries);
            QCOMPARE(entries->size(), 1);
            stateAtSending = toString(entries->first().operation.state);
        };
        const auto plan = ended(desk.center->plan(promoteBase()));
        QVERIFY(ended(desk.center->commit(*plan)));
        QCOMPARE(stateAtSending, QByteArray("sent"));
    }

    void journalHoldsNoKey()
    {
        {
            Desk desk(m_file, *m_plane);
            QVERIFY(ended(desk.center->start()));
            const auto plan = ended(desk.center->plan(promoteBase()));
            QVERIFY(ended(desk.center->commit(*plan)));
        }
        for (const auto& name : QDir(m_dir->path()).entryList(QDir::Files)) {
            QFile file(m_dir->filePath(name));
            QVERIFY(file.open(QIODevice::ReadOnly));
            QVERIFY2(!file.readAll().contains("secret-key"), qPrintable(name));
        }
    }

    void replyLostAfterTheServerActed_isUnknownThenReconciled()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        const auto plan = ended(desk.center->plan(promoteBase()));
        m_plane->nextChange = drop();
        const auto lost = ended(desk.center->commit(*plan));
        QVERIFY(lost);
        QCOMPARE(toString(lost->state), "unknown");
        QCOMPARE(lost->errorCode, std::string("unknown"));
        QVERIFY(!lost->errorNext.empty());
        QCOMPARE(m_plane->posts(), 1);
        // Committing the same plan, or a new one of the same id, sends nothing.
        QVERIFY(!ended(desk.center->commit(*plan)));
        QCOMPARE(m_plane->posts(), 1);
        const auto found = ended(desk.center->reconcile(QString::fromStdString(lost->id)));
        QVERIFY(found);
        QCOMPARE(toString(found->state), "succeeded");
        QVERIFY(found->errorMessage.empty());
        QVERIFY(hasStage(*found, "reconcile"));
        QCOMPARE(m_plane->posts(), 1);
        QCOMPARE(m_plane->models.size(), std::size_t { 1 });
    }

    void replyLostBeforeTheServerActed_isReconciledAsFailed()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        const auto plan = ended(desk.center->plan(promoteBase()));
        m_plane->nextChange = drop();
        m_plane->actsFirst = false;
        const auto lost = ended(desk.center->commit(*plan));
        QCOMPARE(toString(lost->state), "unknown");
        desk.clock.offset = std::chrono::seconds(11);
        const auto found = ended(desk.center->reconcile(QString::fromStdString(lost->id)));
        QVERIFY(found);
        QCOMPARE(toString(found->state), "failed");
        QVERIFY(found->errorMessage.find("no model stories-v1") != std::string::npos);
        QCOMPARE(m_plane->posts(), 1);
        // It had no effect, so that the same id may be used again.
        const auto again = ended(desk.center->plan(promoteBase()));
        QVERIFY(again->isAllowed);
    }

    void gatewayFailure_isUnknownToo()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        const auto plan = ended(desk.center->plan(promoteBase()));
        m_plane->nextChange = Answer { Answer::Kind::Reply, 502, "bad gateway", {}, 0 };
        const auto lost = ended(desk.center->commit(*plan));
        QCOMPARE(toString(lost->state), "unknown");
        QCOMPARE(m_plane->posts(), 1);
    }

    void refusal_isAFailedOperationWithTheServersWords()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        const auto plan = ended(desk.center->plan(promoteBase()));
        m_plane->nextChange = Answer { Answer::Kind::Reply, 400,
            "{\"code\":9,\"message\":\"the row is not promotable\"}", {}, 0 };
        m_plane->actsFirst = false;
        const auto failed = ended(desk.center->commit(*plan));
        QVERIFY(failed);
        QCOMPARE(toString(failed->state), "failed");
        QCOMPARE(failed->errorCode, std::string("refused"));
        QVERIFY(failed->errorMessage.find("not promotable") != std::string::npos);
    }

    void hotload_journalsReplicasAndServes()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        const auto plan = ended(desk.center->plan(hotloadBase()));
        QVERIFY(plan->isAllowed);
        const auto done = ended(desk.center->commit(*plan));
        QVERIFY(done);
        QCOMPARE(toString(done->state), "succeeded");
        QCOMPARE(done->replicas.size(), std::size_t { 2 });
        QCOMPARE(done->replicas.front().currentSnapshot, std::string("step-0010-a1b2c3d4"));
        QVERIFY(done->result.find("\"identity\":\"step-0010-a1b2c3d4\"") != std::string::npos);
        // Then the delta, whose parent all replicas hold now.
        auto delta = hotloadBase();
        delta.subject = std::string(FakePlane::kJob) + "/checkpoints/step-0020-a1b2c3d4";
        const auto next = ended(desk.center->plan(delta));
        QVERIFY(next->isAllowed);
        QVERIFY(next->request.body.find("step-0010-a1b2c3d4") != std::string::npos);
        QCOMPARE(toString(ended(desk.center->commit(*next))->state), "succeeded");
        QCOMPARE(desk.center->operations().size(), 2);
        QVERIFY(desk.center->operations().first().subject == delta.subject);
    }

    void changedWorld_blocksTheCommit()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        m_plane->serve("step-0010-a1b2c3d4");
        auto delta = hotloadBase();
        delta.subject = std::string(FakePlane::kJob) + "/checkpoints/step-0020-a1b2c3d4";
        const auto plan = ended(desk.center->plan(delta));
        QVERIFY(plan->isAllowed);
        m_plane->serve("step-0005-a1b2c3d4");
        const auto refused = ended(desk.center->commit(*plan));
        QVERIFY(!refused);
        QVERIFY(refused.error().code == Error::Code::Refused);
        QCOMPARE(refused.error().unchanged, std::string("Nothing was sent"));
        // The server forgets the parents: the request that would be sent is another one.
        m_plane->checkpoints.front().parent.clear();
        const auto changed = ended(desk.center->commit(*plan));
        QVERIFY(!changed);
        QVERIFY(changed.error().code == Error::Code::Conflict);
        QCOMPARE(m_plane->posts(), 0);
        QVERIFY(desk.center->operations().isEmpty());
    }

    void hotloadThatIsNotWaitedFor_staysAccepted()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        auto draft = hotloadBase();
        draft.parameters["wait"] = "0";
        const auto plan = ended(desk.center->plan(draft));
        const auto sent = ended(desk.center->commit(*plan));
        QCOMPARE(toString(sent->state), "accepted");
        QCOMPARE(desk.center->runningCount(), 0);
    }

    void failedReplica_isAFailure()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        const auto plan = ended(desk.center->plan(hotloadBase()));
        m_plane->nextChange = Answer {};
        m_plane->actsFirst = false;
        m_plane->beforeChange = [this] {
            m_plane->serve("step-0010-a1b2c3d4");
            m_plane->replicas[1] = { "desk-1", "", true, "error", "step-0010-a1b2c3d4",
                "checksum of layer 3 differs", 0.5 };
        };
        const auto failed = ended(desk.center->commit(*plan));
        QVERIFY(failed);
        QCOMPARE(toString(failed->state), "failed");
        QVERIFY(failed->errorMessage.find("checksum of layer 3 differs") != std::string::npos);
        QVERIFY(hasStage(*failed, "error"));
    }

    void backendThatDiesInALoad_leavesItUnknown()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        const auto plan = ended(desk.center->plan(hotloadBase()));
        m_plane->nextChange = Answer {};
        m_plane->actsFirst = false; // the load never ends
        const auto future = desk.center->commit(*plan);
        QTRY_VERIFY(!desk.center->operations().isEmpty()
            && hasStage(desk.center->operations().first(), "waiting"));
        m_plane->server.close();
        const auto lost = ended(future);
        QVERIFY(lost);
        QCOMPARE(toString(lost->state), "unknown");
        QVERIFY(hasStage(*lost, "no answer"));
        QVERIFY(lost->errorMessage.find("did not answer") != std::string::npos);
        QCOMPARE(m_plane->posts(), 1);
        const auto still = ended(desk.center->reconcile(QString::fromStdString(lost->id)));
        QVERIFY(!still);
        QVERIFY(still.error().code == Error::Code::Unreachable);
    }

    void deadBackend_cannotBeChecked()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        m_plane->server.close();
        const auto plan = ended(desk.center->plan(promoteBase()));
        QVERIFY(!plan);
        QVERIFY(plan.error().code == Error::Code::Unreachable);
        QVERIFY(!plan.error().next.empty());
    }

    void wrongKey_isSaid()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        m_plane->server.push(401, "{\"code\":16,\"message\":\"bad key\"}");
        const auto plan = ended(desk.center->plan(promoteBase()));
        QVERIFY(!plan);
        QVERIFY(plan.error().code == Error::Code::Auth);
    }

    void malformedNames_areUsageErrors()
    {
        Desk desk(m_file, *m_plane);
        auto draft = promoteBase();
        draft.subject = "step-0010";
        const auto plan = ended(desk.center->plan(draft));
        QVERIFY(!plan);
        QVERIFY(plan.error().code == Error::Code::Usage);
        draft.connection = "elsewhere";
        QVERIFY(ended(desk.center->plan(draft)).error().code == Error::Code::NotFound);
    }

    void commitBeforeTheJournalIsOpen_isRefused()
    {
        Desk desk(m_file, *m_plane);
        const auto plan = ended(desk.center->plan(promoteBase()));
        QVERIFY(plan);
        QVERIFY(!ended(desk.center->commit(*plan)));
        QCOMPARE(m_plane->posts(), 0);
    }

    void journalThatCannotBeWritten_sendsNothing()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        const auto plan = ended(desk.center->plan(promoteBase()));
        rlimit before {};
        QCOMPARE(::getrlimit(RLIMIT_FSIZE, &before), 0);
        const auto handler = std::signal(SIGXFSZ, SIG_IGN);
        const rlimit tight { 4096, before.rlim_max };
        QCOMPARE(::setrlimit(RLIMIT_FSIZE, &tight), 0);
        const auto refused = ended(desk.center->commit(*plan));
        ::setrlimit(RLIMIT_FSIZE, &before);
        std::signal(SIGXFSZ, handler);
        QVERIFY(!refused);
        QCOMPARE(m_plane->posts(), 0);
        QVERIFY(desk.center->operations().isEmpty());
        QCOMPARE(desk.center->runningCount(), 0);
    }

    void crashBetweenRecordAndReply_isUnknownAtTheNextStartAndLookedUp()
    {
        // A process journaled, sent, and was killed; the server acted.
        Operation operation;
        operation.id = "op-crashed";
        operation.key = "k";
        operation.kind = OperationKind::Promote;
        operation.connection = "local";
        operation.target = promoteBase().subject;
        operation.subject = promoteBase().subject;
        operation.parameters = { { "model_id", "stories-v1" } };
        operation.state = OperationState::Sent;
        operation.created = SystemClock().now();
        operation.updated = operation.created;
        operation.stages = { { "sent", operation.created, "" } };
        {
            JournalDatabase database(m_file);
            QVERIFY(database.open());
            auto owner = identityOfThisProcess();
            owner.back() = owner.back() == '1' ? '2' : '1';
            QVERIFY(database.insert(operation, owner));
        }
        Model model;
        model.name = "accounts/local/models/stories-v1";
        model.state = "READY";
        m_plane->models.push_back(model);
        Desk desk(m_file, *m_plane);
        QCOMPARE(*ended(desk.center->start()), 1);
        QTRY_VERIFY(desk.center->operation(u"op-crashed"_s)->state == OperationState::Succeeded);
        QCOMPARE(m_plane->posts(), 0);
        const auto stages = desk.center->operation(u"op-crashed"_s)->stages;
        QCOMPARE(stages[1].stage, std::string("unknown"));
    }

    void recordOfALivingProcess_isLeftAlone()
    {
        Desk window(m_file, *m_plane);
        Desk ctl(m_file, *m_plane);
        QVERIFY(ended(window.center->start()));
        QVERIFY(ended(ctl.center->start()));
        auto draft = hotloadBase();
        draft.parameters["wait"] = "0";
        const auto plan = ended(ctl.center->plan(draft));
        QVERIFY(ended(ctl.center->commit(*plan)));
        QTRY_COMPARE_WITH_TIMEOUT(window.center->operations().size(), 1, 2000);
        QTRY_VERIFY_WITH_TIMEOUT(
            window.center->operations().first().state == OperationState::Accepted, 2000);
    }

    void create_delete_cancel()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        auto create = draftOf(OperationKind::Create,
            { { "resource", "deployment" }, { "job", FakePlane::kJob }, { "name", "second" } });
        const auto plan = ended(desk.center->plan(create));
        QVERIFY(plan->isAllowed);
        const auto made = ended(desk.center->commit(*plan));
        QCOMPARE(toString(made->state), "succeeded");
        QVERIFY(made->result.find("accounts/local/deployments/second") != std::string::npos);
        auto remove = draftOf(OperationKind::Delete, { { "resource", "deployment" } });
        remove.target = "accounts/local/deployments/second";
        const auto removal = ended(desk.center->plan(remove));
        QVERIFY(removal->isAllowed);
        QCOMPARE(toString(ended(desk.center->commit(*removal))->state), "succeeded");
        QCOMPARE(m_plane->deployments.size(), std::size_t { 1 });
        auto cancel = draftOf(OperationKind::Cancel, {});
        cancel.target = FakePlane::kJob;
        const auto ending = ended(desk.center->plan(cancel));
        QCOMPARE(toString(ended(desk.center->commit(*ending))->state), "succeeded");
        QVERIFY(m_plane->jobs.front().state == JobState::Cancelled);
    }

    void save_goesThroughTheSocketOfTheRun()
    {
        const auto socket = m_dir->filePath(u"control.sock"_s);
        listen(socket);
        Desk desk(m_file, *m_plane, socket);
        QVERIFY(ended(desk.center->start()));
        auto draft = draftOf(OperationKind::Save, { { "kind", "base" }, { "name", "step-0030" } });
        draft.target = FakePlane::kJob;
        const auto plan = ended(desk.center->plan(draft));
        QVERIFY(plan->isAllowed);
        const auto saved = ended(desk.center->commit(*plan));
        QCOMPARE(toString(saved->state), "succeeded");
        QVERIFY(
            saved->result.find("\"snapshot_name\":\"step-0030-a1b2c3d4\"") != std::string::npos);
        QCOMPARE(m_lines, (QList<QByteArray> { "status", "status", "save base step-0030" }));
    }

    void saveWhoseRunDies_isUnknownThenFound()
    {
        const auto socket = m_dir->filePath(u"control.sock"_s);
        listen(socket);
        m_diesInSave = true;
        Desk desk(m_file, *m_plane, socket);
        QVERIFY(ended(desk.center->start()));
        auto draft = draftOf(OperationKind::Save, { { "kind", "base" }, { "name", "step-0030" } });
        draft.target = FakePlane::kJob;
        const auto plan = ended(desk.center->plan(draft));
        const auto lost = ended(desk.center->commit(*plan));
        QCOMPARE(toString(lost->state), "unknown");
        auto row = FakePlane::row("step-0030-a1b2c3d4", CheckpointType::InferenceBase, 30);
        row.created = SystemClock().now();
        m_plane->checkpoints.insert(m_plane->checkpoints.begin(), row);
        const auto found = ended(desk.center->reconcile(QString::fromStdString(lost->id)));
        QCOMPARE(toString(found->state), "succeeded");
        QVERIFY(found->result.find("step-0030-a1b2c3d4") != std::string::npos);
        QCOMPARE(m_lines.count("save base step-0030"), 1);
    }

    void saveWithoutARun_isRefusedWithWhatWorksInstead()
    {
        Desk desk(m_file, *m_plane);
        auto draft = draftOf(OperationKind::Save, { { "kind", "base" }, { "name", "step-0030" } });
        draft.target = FakePlane::kJob;
        const auto plan = ended(desk.center->plan(draft));
        QVERIFY(plan);
        QVERIFY(!plan->isAllowed);
        QVERIFY(firstFailure(*plan)->fix.find("periodic save") != std::string::npos);
    }

    void centerThatDiesInTheMiddle_leavesTheRecord()
    {
        {
            Desk desk(m_file, *m_plane);
            QVERIFY(ended(desk.center->start()));
            const auto plan = ended(desk.center->plan(promoteBase()));
            m_plane->nextChange = Answer { Answer::Kind::Silence, 200, {}, {}, 0 };
            const auto future = desk.center->commit(*plan);
            QTRY_COMPARE(m_plane->posts(), 1);
        }
        JournalDatabase database(m_file);
        QVERIFY(database.open());
        const auto entries = database.load(10);
        QCOMPARE(entries->size(), 1);
        QVERIFY(entries->first().operation.state == OperationState::Sent);
    }

    void reconcileOfNothing_isAnError()
    {
        Desk desk(m_file, *m_plane);
        QVERIFY(ended(desk.center->start()));
        QVERIFY(ended(desk.center->reconcile(u"op-none"_s)).error().code == Error::Code::NotFound);
    }

    void cleanup()
    {
        m_server.reset();
        m_lines.clear();
        m_diesInSave = false;
    }

private:
    /// A run that answers on its control socket.
    void listen(const QString& path)
    {
        m_server = std::make_unique<QLocalServer>();
        QVERIFY(m_server->listen(path));
        connect(m_server.get(), &QLocalServer::newConnection, this, [this] {
            auto* socket = m_server->nextPendingConnection();
            connect(socket, &QLocalSocket::readyRead, this, [this, socket] {
                if (!socket->canReadLine())
                    return;
                m_lines.append(socket->readLine().trimmed());
                if (m_lines.last() == "status")
                    socket->write("{\"state\":\"training\",\"job\":\"" + QByteArray(FakePlane::kJob)
                        + "\",\"step\":29}\n");
                else if (m_diesInSave)
                    socket->disconnectFromServer();
                else
                    socket->write("{\"path\":\"/x\",\"snapshot_name\":\"step-0030-a1b2c3d4\","
                                  "\"name\":\"n\",\"kind\":\"base\"}\n");
            });
        });
    }

    std::unique_ptr<QTemporaryDir> m_dir;
    QString m_file;
    std::unique_ptr<FakePlane> m_plane;
    std::unique_ptr<QLocalServer> m_server;
    QList<QByteArray> m_lines;
    bool m_diesInSave = false;
};

} // namespace desk

QTEST_GUILESS_MAIN(desk::TestOperationCenter)
#include "tst_operation_center.moc"
