// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/hotload_codec.h"
#include "services/gateway/account_store.h"
#include "tests/support/scripted_server.h"

#include <QSignalSpy>
#include <QTest>

#include <memory>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace {

class SetClock final : public Clock
{
public:
    [[nodiscard]] Time now() const override { return time; }
    Time time = *parseRfc3339("2026-11-21T14:00:00Z");
};

const QString kJobName = u"accounts/local/rlorTrainerJobs/j1"_s;
const QString kDeploymentName = u"accounts/local/deployments/d"_s;

template <class T>
QByteArray pageOf(std::string (*encode)(const Page<T>&), std::vector<T> rows)
{
    Page<T> page;
    page.items = std::move(rows);
    return QByteArray::fromStdString(encode(page));
}

TrainerJob jobNamed(const std::string& name, const char* state = "JOB_STATE_RUNNING")
{
    TrainerJob job;
    job.name = name;
    job.stateText = state;
    job.state = jobStateFrom(state);
    return job;
}

Checkpoint checkpointNamed(const std::string& name)
{
    Checkpoint checkpoint;
    checkpoint.name = name;
    checkpoint.typeText = "CHECKPOINT_TYPE_INFERENCE_BASE";
    return checkpoint;
}

} // namespace

/// A little control plane whose rows the test changes.
class AccountStoreTest final : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<ScriptedServer> m_server;
    std::unique_ptr<HttpClient> m_http;
    std::unique_ptr<FireworksClient> m_client;
    std::unique_ptr<DeploymentManager> m_deployments;
    std::unique_ptr<AccountStore> m_store;
    SetClock m_clock;
    std::vector<TrainerJob> m_jobs;
    std::vector<Checkpoint> m_checkpoints;
    std::vector<Deployment> m_rows;
    std::vector<Replica> m_replicas;
    std::vector<Model> m_models;
    int m_status = 200;

    Answer answerTo(const SeenRequest& request) const
    {
        Answer answer;
        answer.status = m_status;
        const auto path = request.path();
        if (path.endsWith("/checkpoints"))
            answer.body = pageOf(encodeCheckpoints, m_checkpoints);
        else if (path.endsWith("/rlorTrainerJobs"))
            answer.body = pageOf(encodeJobs, m_jobs);
        else if (path.endsWith("/deployments"))
            answer.body = pageOf(encodeDeployments, m_rows);
        else if (path.endsWith("/models"))
            answer.body = pageOf(encodeModels, m_models);
        else if (path == "/hot_load/v1/models/hot_load")
            answer.body = QByteArray::fromStdString(encodeHotloadStatus(m_replicas));
        else
            answer.status = 404;
        return answer;
    }
    /// A round after which the lists are those of the server.
    void refresh()
    {
        QSignalSpy polled(m_store.get(), &AccountStore::polled);
        m_store->refreshNow();
        QTRY_VERIFY(polled.count() >= 1);
    }

private Q_SLOTS:
    void init()
    {
        m_status = 200;
        m_jobs = { jobNamed(kJobName.toStdString()) };
        m_checkpoints = {};
        m_models = {};
        m_rows = {};
        m_replicas = {};
        m_server = std::make_unique<ScriptedServer>();
        m_server->route = [this](const SeenRequest& request) { return answerTo(request); };
        Connection connection;
        connection.url = m_server->url().toStdString();
        connection.account = "local";
        m_http = std::make_unique<HttpClient>(connection, [] { return "key"_ba; });
        m_http->setRetryPolicy({ 1ms, 2ms, 0 });
        m_client = std::make_unique<FireworksClient>(*m_http);
        m_deployments = std::make_unique<DeploymentManager>(*m_client);
        m_store = std::make_unique<AccountStore>(*m_client, *m_deployments, m_clock);
        m_store->setPollInterval(50ms);
    }
    void cleanup()
    {
        m_store.reset();
        m_deployments.reset();
        m_client.reset();
        m_http.reset();
        m_server.reset();
    }

    void firstPollFillsTheLists()
    {
        QSignalSpy jobs(m_store.get(), &AccountStore::jobsChanged);
        QSignalSpy link(m_store.get(), &AccountStore::linkChanged);
        QCOMPARE(static_cast<int>(m_store->linkState()), static_cast<int>(LinkState::Connecting));
        QVERIFY(!m_store->jobsAsOf());
        m_store->start();
        QTRY_COMPARE(jobs.count(), 1);
        QTRY_COMPARE(link.count(), 1);
        const auto change = jobs.first().first().value<ListChange>();
        QCOMPARE(change.added, QStringList(kJobName));
        QVERIFY(change.changed.isEmpty() && change.removed.isEmpty());
        QVERIFY(m_store->job(kJobName).has_value());
        QVERIFY(m_store->jobsAsOf() == m_clock.time);
        QCOMPARE(static_cast<int>(m_store->linkState()), static_cast<int>(LinkState::Connected));
    }

    void changesAreNamedAndNothingElseIsSignaled()
    {
        m_store->start();
        QTRY_COMPARE(m_store->jobs().size(), std::size_t { 1 });
        refresh();
        QSignalSpy jobs(m_store.get(), &AccountStore::jobsChanged);
        QSignalSpy models(m_store.get(), &AccountStore::modelsChanged);
        refresh();
        QCOMPARE(jobs.count(), 0);
        m_jobs = { jobNamed(kJobName.toStdString(), "JOB_STATE_COMPLETED"),
            jobNamed("accounts/local/rlorTrainerJobs/j2") };
        refresh();
        QCOMPARE(jobs.count(), 1);
        auto change = jobs.first().first().value<ListChange>();
        QCOMPARE(change.added, QStringList(u"accounts/local/rlorTrainerJobs/j2"_s));
        QCOMPARE(change.changed, QStringList(kJobName));
        m_jobs = {};
        refresh();
        change = jobs.last().first().value<ListChange>();
        QCOMPARE(change.removed.size(), 2);
        QCOMPARE(models.count(), 0);
    }

    void checkpointsOfWatchedJobsOnly()
    {
        m_checkpoints = { checkpointNamed(kJobName.toStdString() + "/checkpoints/c1") };
        m_store->start();
        QTRY_COMPARE(m_store->jobs().size(), std::size_t { 1 });
        QVERIFY(!m_store->checkpointsAsOf(kJobName));
        QSignalSpy changed(m_store.get(), &AccountStore::checkpointsChanged);
        m_store->watchJob(kJobName);
        QTRY_COMPARE(changed.count(), 1);
        QCOMPARE(changed.first().first().toString(), kJobName);
        QCOMPARE(m_store->checkpoints(kJobName).size(), std::size_t { 1 });
        QVERIFY(m_store->checkpoint(kJobName + u"/checkpoints/c1"_s).has_value());
        m_checkpoints.push_back(checkpointNamed(kJobName.toStdString() + "/checkpoints/c2"));
        refresh();
        QCOMPARE(changed.count(), 2);
        QCOMPARE(changed.last().at(1).value<ListChange>().added,
            QStringList(kJobName + u"/checkpoints/c2"_s));
    }

    void replicasAreReadForHotLoadDeployments()
    {
        Deployment deployment;
        deployment.name = kDeploymentName.toStdString();
        deployment.baseModel = "b";
        deployment.state = "READY";
        deployment.enablesHotLoad = true;
        m_rows = { deployment };
        m_replicas = { { "r0", "s1", true, "idle", "", "", {} } };
        m_store->start();
        QTRY_VERIFY(m_store->deployment(kDeploymentName)
            && m_store->deployment(kDeploymentName)->replicas.size() == 1);
        refresh();
        QSignalSpy changed(m_store.get(), &AccountStore::deploymentsChanged);
        m_replicas[0].currentSnapshot = "s2";
        refresh();
        QCOMPARE(changed.count(), 1); // the list itself kept its replicas meanwhile
        QCOMPARE(
            m_store->deployment(kDeploymentName)->replicas[0].currentSnapshot, std::string("s2"));
    }

    void offlineKeepsTheListsAndTheirAge()
    {
        m_store->start();
        QTRY_COMPARE(m_store->jobs().size(), std::size_t { 1 });
        refresh();
        const auto asOf = m_store->jobsAsOf();
        m_clock.time += 5s;
        QSignalSpy jobs(m_store.get(), &AccountStore::jobsChanged);
        m_server->close();
        QTRY_COMPARE(static_cast<int>(m_store->linkState()), static_cast<int>(LinkState::Offline));
        QCOMPARE(m_store->jobs().size(), std::size_t { 1 });
        QVERIFY(m_store->jobsAsOf() == asOf);
        QVERIFY(m_store->linkError().has_value());
        QCOMPARE(jobs.count(), 0);
    }

    void refusedKeyStopsPollingUntilAskedAgain()
    {
        m_status = 401;
        m_store->start();
        QTRY_COMPARE(
            static_cast<int>(m_store->linkState()), static_cast<int>(LinkState::AuthFailed));
        const auto sent = m_http->requestCount();
        QTest::qWait(200); // several polling intervals
        QCOMPARE(m_http->requestCount(), sent);
        m_status = 200;
        refresh();
        QCOMPARE(static_cast<int>(m_store->linkState()), static_cast<int>(LinkState::Connected));
        QVERIFY(!m_store->linkError());
        QCOMPARE(m_store->jobs().size(), std::size_t { 1 });
    }

    void hiddenStorePauses()
    {
        m_store->start();
        QTRY_COMPARE(
            static_cast<int>(m_store->linkState()), static_cast<int>(LinkState::Connected));
        m_store->setActive(false);
        const auto sent = m_http->requestCount();
        QTest::qWait(200);
        QCOMPARE(m_http->requestCount(), sent);
        m_store->setActive(true);
        QTRY_VERIFY(m_http->requestCount() > sent);
    }

    void serverErrorIsNoOffline()
    {
        m_status = 500;
        m_store->start();
        QTRY_VERIFY(m_store->linkError().has_value());
        QCOMPARE(static_cast<int>(m_store->linkState()), static_cast<int>(LinkState::Connected));
        QVERIFY(!m_store->jobsAsOf());
    }
};

QTEST_GUILESS_MAIN(AccountStoreTest)
#include "tst_account_store.moc"
