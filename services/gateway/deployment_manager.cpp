// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/gateway/deployment_manager.h"

#include "services/core/resource_name.h"
#include "services/errand.h"
#include "services/gateway/gateway_calls.h"

#include <QElapsedTimer>

#include <algorithm>

using namespace std::chrono_literals;

namespace desk {
namespace {

    bool isFullName(const std::string& name)
    {
        return name.rfind("accounts/", 0) == 0;
    }

    /// The serving stack's words for a body field it does not know (gateway.md 4.6).
    bool complainsAboutReset(const Error& error)
    {
        auto text = error.message;
        std::transform(text.begin(), text.end(), text.begin(),
            [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        return error.code == Error::Code::Refused
            && text.find("reset_prompt_cache") != std::string::npos
            && text.find("extra inputs are not permitted") != std::string::npos;
    }

    HttpRequest hotloadCall(HttpClient& http, const char* method, const std::string& deployment,
        const std::string& baseModel, std::string doing)
    {
        auto request = makeRequest(method, std::move(doing), false);
        request.isIdempotent = request.method == "GET";
        request.url = http.url(std::string(kHotloadPath));
        request.headers = {
            { QByteArray(kHotloadModelHeader.data()), QByteArray::fromStdString(baseModel) },
            { QByteArray(kHotloadDeploymentHeader.data()), QByteArray::fromStdString(deployment) }
        };
        return request;
    }

    /// Words that replicas use while nothing happens (gateway.md 4.6).
    bool isAtRest(const Replica& replica, const std::string& identity)
    {
        return replica.stage == "error" || replica.targetSnapshot != identity;
    }

    /// Its name, or its number from 1 where the server names none.
    std::string labelOf(const Replica& replica, std::size_t index)
    {
        return "replica "
            + (replica.identity.empty() ? std::to_string(index + 1) : replica.identity);
    }

    void addTo(std::string& list, const std::string& item)
    {
        list += (list.empty() ? "" : ", ") + item;
    }

} // namespace

bool servesSnapshot(const Replica& replica, const std::string& identity)
{
    const auto& adapters = replica.loadedAdapters;
    return replica.isReady
        && (replica.currentSnapshot == identity
            || std::find(adapters.begin(), adapters.end(), identity) != adapters.end());
}

HotloadProgress hotloadProgress(std::vector<Replica> replicas, const std::string& expected)
{
    HotloadProgress progress;
    progress.isSettled = !replicas.empty();
    std::string failed;
    std::string others;
    for (std::size_t i = 0; i < replicas.size(); ++i) {
        const auto& replica = replicas[i];
        if (servesSnapshot(replica, expected)) {
            ++progress.readyCount;
            continue;
        }
        progress.isSettled = progress.isSettled && isAtRest(replica, expected);
        const auto label = labelOf(replica, i);
        addTo(others,
            label + " on " + (replica.currentSnapshot.empty() ? "nothing" : replica.currentSnapshot)
                + " (" + replica.stage + ")");
        if (replica.stage == "error" && replica.targetSnapshot == expected)
            addTo(failed, label + (replica.error.empty() ? "" : " (" + replica.error + ")"));
    }
    const auto count = static_cast<int>(replicas.size());
    progress.isDone = count > 0 && progress.readyCount == count;
    const bool isMixed = progress.readyCount > 0 && !progress.isDone;
    const auto share = std::to_string(progress.readyCount) + " of " + std::to_string(count);
    progress.summary = (isMixed ? "Mixed: " : "") + share + " on " + expected
        + (others.empty() ? "" : ", " + others);
    if (!failed.empty())
        progress.failure = failed + " failed on " + expected + "; " + share + " serve it";
    progress.replicas = std::move(replicas);
    return progress;
}

/// The polling of one hot load.
struct DeploymentManager::HotloadWatch
    : std::enable_shared_from_this<DeploymentManager::HotloadWatch>
{
    HotloadWatch(DeploymentManager& owner, std::string watchedDeployment, std::string model,
        std::string expected)
        : manager(owner)
        , errand(Errand<std::vector<Replica>>::start(&owner))
        , deployment(std::move(watchedDeployment))
        , baseModel(std::move(model))
        , identity(std::move(expected))
    {
        clock.start();
    }
    void look()
    {
        errand->await(manager.hotloadStatus(deployment, baseModel),
            [self = shared_from_this()](
                Result<std::vector<Replica>> replicas) { self->judge(std::move(replicas)); });
    }
    void judge(Result<std::vector<Replica>> replicas)
    {
        const bool isBroken = !replicas && replicas.error().code == Error::Code::Malformed;
        if (isBroken)
            return errand->finish(unknown(replicas.error().message));
        if (replicas) {
            seen = hotloadProgress(*std::move(replicas), identity);
            if (progress)
                progress(seen);
            if (seen.isDone)
                return errand->finish(seen.replicas);
            if (seen.failure.empty() || !seen.isSettled)
                sinceMixed.invalidate();
            else if (hasPatienceEnded())
                return errand->finish(Error { Error::Code::Backend,
                    "The hot load of " + identity + " failed: " + seen.failure,
                    "Replicas that failed serve what they served before",
                    "Load again, or load the snapshot before it", {} });
        } else {
            lastError = replicas.error().message;
        }
        if (clock.hasExpired(timeout.count()))
            return errand->finish(
                unknown("it was not finished within " + std::to_string(timeout.count() / 1000)
                    + " s" + (lastError.empty() ? "" : " (" + lastError + ")")));
        errand->after(poll, [self = shared_from_this()] { self->look(); });
    }
    /// A fleet of which nobody serves the snapshot has failed at once; a mixed one is watched for a
    /// while, because the platform may load again where it failed.
    bool hasPatienceEnded()
    {
        if (seen.readyCount == 0)
            return true;
        if (!sinceMixed.isValid())
            sinceMixed.start();
        return sinceMixed.hasExpired(mixedPatience.count());
    }
    [[nodiscard]] Error unknown(const std::string& why) const
    {
        return { Error::Code::Unknown, "The hot load of " + identity + " has no known end: " + why,
            "The load was not canceled", "Reconcile, to see what the replicas serve", {} };
    }

    DeploymentManager& manager;
    std::shared_ptr<Errand<std::vector<Replica>>> errand;
    std::string deployment;
    std::string baseModel;
    std::string identity;
    std::chrono::milliseconds timeout {};
    std::chrono::milliseconds poll {};
    std::chrono::milliseconds mixedPatience {};
    QElapsedTimer sinceMixed;
    Progress progress;
    HotloadProgress seen;
    std::string lastError;
    QElapsedTimer clock;
};

DeploymentManager::DeploymentManager(FireworksClient& client, QObject* parent)
    : QObject(parent)
    , m_client(client)
{
    if (isLoopback(client.http().url("/")))
        m_policy = { 100ms, 100ms, 100ms, 300ms };
}

QFuture<Result<Deployment>> DeploymentManager::create(CreateDeployment create)
{
    auto request = makeRequest("POST", "create the deployment " + create.deploymentId, false);
    request.body = QByteArray::fromStdString(encodeCreateDeployment(create));
    request.url.setQuery(queryText(createDeploymentQuery(create)), QUrl::StrictMode);
    auto errand = Errand<Deployment>::start(this);
    auto future = errand->future();
    errand->await(m_client.call<Deployment>(
                      {}, "deployments", std::move(request), decodedBy(decodeDeployment)),
        [this, errand = errand.get(), id = create.deploymentId](Result<Deployment> created) {
            if (created || id.empty() || !mayHaveCreated(created.error()))
                return errand->finish(std::move(created));
            errand->await(get(id), [errand, why = created.error()](Result<Deployment> row) {
                const bool isOpen = !row && why.code != Error::Code::Conflict;
                errand->finish(isOpen ? Result<Deployment>(unsettled(why)) : std::move(row));
            });
        });
    return future;
}

QFuture<Result<Deployment>> DeploymentManager::createOrGet(CreateDeployment create)
{
    auto errand = Errand<Deployment>::start(this);
    auto future = errand->future();
    errand->await(get(create.deploymentId),
        [this, errand = errand.get(), create](Result<Deployment> existing) mutable {
            if (existing || existing.error().code != Error::Code::NotFound)
                return errand->finish(std::move(existing));
            errand->await(this->create(std::move(create)),
                [errand](Result<Deployment> created) { errand->finish(std::move(created)); });
        });
    return future;
}

QFuture<Result<Deployment>> DeploymentManager::get(const std::string& deployment)
{
    return m_client.call<Deployment>(deployment, "deployments",
        makeRequest("GET", "read the deployment " + deployment, true), decodedBy(decodeDeployment));
}

QFuture<Result<std::vector<Deployment>>> DeploymentManager::list()
{
    return m_client.listAll<Deployment>("deployments", decodeDeployments, "list the deployments");
}

QFuture<Status> DeploymentManager::remove(const std::string& deployment)
{
    auto request = makeRequest("DELETE", "delete the deployment " + deployment, false);
    request.url.setQuery(QStringLiteral("ignoreChecks=true&hard=true"));
    return m_client.call<std::monostate>(
        deployment, "deployments", std::move(request), ignoredBody);
}

QFuture<Result<std::string>> DeploymentManager::fullName(const std::string& deployment)
{
    if (isFullName(deployment))
        return finishedFuture<std::string>(deployment);
    return mapFuture<std::string>(
        m_client.account(), this, [deployment](const Result<std::string>& account) {
            return account.transform(
                [&](const std::string& id) { return deploymentName(id, deployment); });
        });
}

QFuture<Status> DeploymentManager::hotload(HotloadParameters parameters)
{
    if (!m_sendsResetPromptCache)
        parameters.request.resetPromptCache = std::monostate {};
    auto errand = Errand<std::monostate>::start(this);
    auto future = errand->future();
    errand->await(
        postHotload(parameters), [this, errand = errand.get(), parameters](Status status) mutable {
            if (status || !complainsAboutReset(status.error()))
                return errand->finish(std::move(status));
            // The server said no to the field, so the first request had no effect.
            m_sendsResetPromptCache = false;
            parameters.request.resetPromptCache = std::monostate {};
            errand->await(postHotload(std::move(parameters)),
                [errand](Status second) { errand->finish(std::move(second)); });
        });
    return future;
}

QFuture<Status> DeploymentManager::postHotload(HotloadParameters parameters)
{
    auto errand = Errand<std::monostate>::start(this);
    auto future = errand->future();
    errand->awaitValue(fullName(parameters.deployment),
        [this, errand = errand.get(), parameters](const std::string& name) {
            auto request = hotloadCall(m_client.http(), "POST", name, parameters.baseModel,
                "hot-load " + parameters.request.identity + " onto " + name);
            request.body = QByteArray::fromStdString(encodeHotload(parameters.request));
            errand->awaitValue(m_client.http().send(std::move(request)),
                [errand](const HttpReply&) { errand->finish(done()); });
        });
    return future;
}

QFuture<Result<std::vector<Replica>>> DeploymentManager::hotloadStatus(
    const std::string& deployment, const std::string& baseModel)
{
    using Replicas = std::vector<Replica>;
    auto errand = Errand<Replicas>::start(this);
    auto future = errand->future();
    errand->awaitValue(
        fullName(deployment), [this, errand = errand.get(), baseModel](const std::string& name) {
            auto request = hotloadCall(
                m_client.http(), "GET", name, baseModel, "read the hot-load status of " + name);
            errand->awaitValue(
                m_client.http().send(std::move(request)), [errand](const HttpReply& reply) {
                    errand->finish(decodeHotloadStatus(textOf(reply.body)));
                });
        });
    return future;
}

QFuture<Result<std::vector<Replica>>> DeploymentManager::hotloadAndWait(
    HotloadParameters parameters, std::chrono::milliseconds timeout, Progress progress)
{
    auto errand = Errand<std::vector<Replica>>::start(this);
    auto future = errand->future();
    errand->awaitValue(hotload(parameters),
        [this, errand = errand.get(), parameters, timeout, progress = std::move(progress)](
            std::monostate) {
            errand->await(waitForHotload(parameters.deployment, parameters.baseModel,
                              parameters.request.identity, timeout, progress),
                [errand](Result<std::vector<Replica>> replicas) {
                    errand->finish(std::move(replicas));
                });
        });
    return future;
}

QFuture<Result<std::vector<Replica>>> DeploymentManager::waitForHotload(
    const std::string& deployment, const std::string& baseModel, const std::string& identity,
    std::chrono::milliseconds timeout, Progress progress)
{
    auto watch = std::make_shared<HotloadWatch>(*this, deployment, baseModel, identity);
    watch->timeout = timeout;
    watch->poll = m_policy.hotloadPoll;
    watch->mixedPatience = m_policy.mixedPatience;
    watch->progress = std::move(progress);
    watch->look();
    return watch->errand->future();
}

QFuture<Result<Completion>> DeploymentManager::complete(
    const std::string& deployment, CompletionRequest completion)
{
    auto errand = Errand<Completion>::start(this);
    auto future = errand->future();
    errand->awaitValue(fullName(deployment),
        [this, errand = errand.get(), completion = std::move(completion)](
            const std::string& name) mutable {
            if (completion.model.empty())
                completion.model = name;
            auto request = makeRequest("POST", "complete with " + name, true);
            request.url = m_client.http().url(std::string(kCompletionsPath));
            request.body = QByteArray::fromStdString(encodeCompletionRequest(completion));
            errand->awaitValue(
                m_client.http().send(std::move(request)), [errand](const HttpReply& reply) {
                    errand->finish(decodeCompletion(textOf(reply.body)));
                });
        });
    return future;
}

} // namespace desk
