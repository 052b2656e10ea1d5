// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/operations/operation_runner.h"

#include "services/codecs/cli_codec.h"
#include "services/codecs/control_codec.h"
#include "services/codecs/journal_codec.h"
#include "services/core/resource_name.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/on_finished.h"
#include "services/operations/preflight.h"
#include "services/runs/control_socket.h"

#include <QPointer>
#include <QTimer>

#include <algorithm>
#include <charconv>
#include <utility>

namespace desk {
namespace {

    constexpr std::int64_t kDefaultTimeoutSeconds = 600;
    constexpr std::int64_t kMaxTimeoutSeconds = 24 * 3600;
    constexpr qint64 kTellSilenceMs = 3000;
    constexpr qint64 kLocalSilenceMs = 20'000; // long enough to start the backend again
    constexpr qint64 kRemoteSilenceMs = 300'000; // a network may be away for minutes
    constexpr auto kDeploymentPoll = std::chrono::milliseconds(500);
    constexpr auto kDeploymentBudget = std::chrono::minutes(90); // 5,400 s, as the SDK waits

    std::int64_t secondsOf(const std::string& text, std::int64_t fallback)
    {
        std::int64_t value = 0;
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool isWhole = parsed.ec == std::errc {} && parsed.ptr == text.data() + text.size();
        return isWhole && value > 0 ? std::min(value, kMaxTimeoutSeconds) : fallback;
    }

    bool isServing(const Deployment& deployment)
    {
        const auto ready = deployment.readyReplicaCount.value_or(0);
        const auto wanted = deployment.replicaCount.value_or(1);
        return (deployment.state == "READY" || deployment.state == "UPDATING") && ready >= wanted;
    }

    bool hasFailed(const Deployment& deployment)
    {
        return deployment.state == "FAILED" || deployment.state == "DELETED"
            || deployment.state == "DELETING";
    }

} // namespace

std::string identityOf(const Operation& operation)
{
    return std::string(lastSegment(operation.subject));
}

std::string readySummary(const std::vector<Replica>& replicas, const std::string& identity)
{
    const auto ready = std::count_if(replicas.begin(), replicas.end(), [&](const Replica& replica) {
        return replica.isReady && replica.currentSnapshot == identity;
    });
    return std::to_string(ready) + " of " + std::to_string(replicas.size()) + " ready";
}

OperationRunner::OperationRunner(Operation operation, ConnectionServices services,
    QString controlSocket, ControlSocket& control, std::chrono::milliseconds silenceLimit,
    Reports reports, QObject* parent)
    : QObject(parent)
    , m_operation(std::move(operation))
    , m_services(std::move(services))
    , m_controlSocket(std::move(controlSocket))
    , m_control(control)
    , m_reports(std::move(reports))
    , m_silenceLimitMs(silenceLimit.count())
{
    if (m_silenceLimitMs <= 0)
        m_silenceLimitMs = m_services.connection.isLocal ? kLocalSilenceMs : kRemoteSilenceMs;
}

void OperationRunner::start()
{
    m_sentAt = SystemClock().now();
    switch (m_operation.kind) {
    case OperationKind::Save:
        return save();
    case OperationKind::Promote:
        return promote();
    case OperationKind::Hotload:
        return hotload();
    case OperationKind::Create:
        return create();
    case OperationKind::Delete:
        return remove();
    case OperationKind::Cancel:
        return cancelJob();
    default:
        fail({ Error::Code::Usage, "This kind of operation cannot be sent", "Nothing was sent", {},
            {} });
    }
}

void OperationRunner::save()
{
    const auto ttl = secondsOf(text("ttl_seconds"), 0);
    onFinished(m_control.save(m_controlSocket, text("kind"), text("name"), ttl), this,
        [this](const Result<ControlSaved>& saved) {
            if (saved)
                succeed(encodeControlSaved(*saved));
            else
                fail(saved.error());
        });
}

void OperationRunner::promote()
{
    const PromoteParameters parameters { m_operation.subject, text("model_id"),
        text("base_model") };
    const auto progress = [self = QPointer<OperationRunner>(this)](const std::string& message) {
        constexpr std::string_view kAccepted = "accepted ";
        if (!self)
            return;
        if (message.rfind(kAccepted, 0) == 0)
            self->accepted(message.substr(kAccepted.size()));
        else
            self->m_reports.stage("running", message);
    };
    onFinished(m_services.client->promoteCheckpoint(parameters, progress), this,
        [this](const Result<Model>& model) {
            if (model)
                succeed(encodeCliModel(*model));
            else
                fail(model.error());
        });
}

void OperationRunner::hotload()
{
    const auto request = decodeHotload(m_operation.request.body);
    if (!request)
        return fail(request.error());
    const auto model = m_operation.request.headers.find(std::string(kHotloadModelHeader));
    HotloadParameters parameters;
    parameters.deployment = m_operation.target;
    parameters.baseModel =
        model == m_operation.request.headers.end() ? std::string {} : model->second;
    parameters.request = *request;
    onFinished(m_services.deployments->hotload(parameters), this, [this](const Status& posted) {
        if (!posted)
            return fail(posted.error());
        accepted("the deployment has taken the request");
        if (wantsWait())
            waitForReplicas();
        else
            end({ OperationState::Accepted, {}, std::nullopt, {} });
    });
}

void OperationRunner::waitForReplicas()
{
    listen();
    const auto model = m_operation.request.headers.find(std::string(kHotloadModelHeader));
    const auto baseModel =
        model == m_operation.request.headers.end() ? std::string {} : model->second;
    const std::chrono::seconds timeout { secondsOf(
        text("timeout_seconds"), kDefaultTimeoutSeconds) };
    const auto progress = [self = QPointer<OperationRunner>(this)](const HotloadProgress& now) {
        if (self)
            self->noteReplicas(now);
    };
    onFinished(m_services.deployments->waitForHotload(
                   m_operation.target, baseModel, identityOf(m_operation), timeout, progress),
        this, [this](const Result<std::vector<Replica>>& replicas) {
            if (!replicas)
                return fail(replicas.error());
            m_replicas = *replicas;
            const std::chrono::duration<double> seconds = SystemClock().now() - m_sentAt;
            succeed(encodeHotloadOutcome(identityOf(m_operation), *replicas, seconds.count()));
        });
}

void OperationRunner::noteReplicas(const HotloadProgress& progress)
{
    heard();
    const auto identity = identityOf(m_operation);
    const auto phaseOf = [&](const Replica& replica) -> std::string {
        if (replica.isReady && replica.currentSnapshot == identity)
            return "ready";
        // Still at rest on what it served before.
        if (replica.stage == "ready" || replica.stage == "done" || replica.stage == "idle")
            return "waiting";
        return replica.stage.empty() ? "unknown" : replica.stage;
    };
    for (const auto& replica : progress.replicas) {
        const auto before = std::find_if(m_replicas.begin(), m_replicas.end(),
            [&](const Replica& other) { return other.identity == replica.identity; });
        const auto phase = phaseOf(replica);
        if (before == m_replicas.end() || phaseOf(*before) != phase)
            m_reports.stage(phase, replica.identity);
    }
    m_replicas = progress.replicas;
    m_reports.replicas(m_replicas, readySummary(m_replicas, identity));
}

void OperationRunner::listen()
{
    m_sinceAnswer.start();
    connect(&m_silence, &QTimer::timeout, this, &OperationRunner::checkSilence);
    m_silence.start(static_cast<int>(std::min<qint64>(1000, m_silenceLimitMs / 4)));
}

void OperationRunner::heard()
{
    m_sinceAnswer.start();
    m_isSilenceTold = false;
}

void OperationRunner::checkSilence()
{
    const auto quiet = m_sinceAnswer.elapsed();
    if (quiet > std::min(kTellSilenceMs, m_silenceLimitMs / 2)
        && !std::exchange(m_isSilenceTold, true))
        m_reports.stage("no answer", "the server does not answer; still trying");
    if (quiet > m_silenceLimitMs)
        fail({ Error::Code::Unknown,
            "The server took the request, then did not answer for "
                + std::to_string(m_silenceLimitMs / 1000) + " s",
            {}, {}, {} });
}

void OperationRunner::create()
{
    CreateDeployment request;
    request.deploymentId = std::string(lastSegment(m_operation.target));
    request.displayName = request.deploymentId;
    request.baseModel = text("base_model");
    const auto replicas = static_cast<int>(secondsOf(text("replicas"), 1));
    request.minReplicaCount = replicas;
    request.maxReplicaCount = replicas;
    request.hotLoadTrainerJob = text("job");
    onFinished(
        m_services.deployments->create(request), this, [this](const Result<Deployment>& created) {
            if (!created)
                return fail(created.error());
            accepted(created->state);
            if (!wantsWait())
                return succeed(encodeCliDeployment(*created));
            listen();
            waitForDeployment({});
        });
}

void OperationRunner::waitForDeployment(const std::string& lastSummary)
{
    onFinished(m_services.deployments->get(m_operation.target), this,
        [this, lastSummary](const Result<Deployment>& now) {
            if (!now && now.error().code != Error::Code::Unreachable
                && now.error().code != Error::Code::Backend)
                return fail(now.error());
            if (now)
                heard();
            if (now && isServing(*now))
                return succeed(encodeCliDeployment(*now));
            if (now && hasFailed(*now))
                return fail({ Error::Code::Backend, "The deployment became " + now->state,
                    "It serves nothing", "Delete it and look at the server's log", {} });
            if (SystemClock().now() - m_sentAt > kDeploymentBudget)
                return fail({ Error::Code::Unknown, "The deployment was not ready in 90 minutes",
                    "It exists and may still become ready", "Reconcile later", {} });
            auto summary = lastSummary;
            if (now)
                summary = now->state + ", " + std::to_string(now->readyReplicaCount.value_or(0))
                    + " ready";
            if (summary != lastSummary)
                m_reports.stage("running", summary);
            QTimer::singleShot(
                kDeploymentPoll, this, [this, summary] { waitForDeployment(summary); });
        });
}

void OperationRunner::remove()
{
    const auto resource = text("resource");
    const auto handle = [this](const Status& removed) {
        if (removed)
            succeed({});
        else
            fail(removed.error());
    };
    if (resource == "job")
        onFinished(m_services.client->deleteJob(m_operation.target), this, handle);
    else if (resource == "deployment")
        onFinished(m_services.deployments->remove(m_operation.target), this, handle);
    else
        onFinished(m_services.client->deleteModel(m_operation.target), this, handle);
}

void OperationRunner::cancelJob()
{
    onFinished(
        m_services.client->cancelJob(m_operation.target), this, [this](const Status& canceled) {
            if (canceled)
                succeed({});
            else
                fail(canceled.error());
        });
}

void OperationRunner::accepted(const std::string& detail)
{
    m_isAccepted = true;
    m_reports.stage("accepted", detail);
}

void OperationRunner::succeed(std::string result)
{
    end({ OperationState::Succeeded, std::move(result), std::nullopt, m_replicas });
}

void OperationRunner::fail(const Error& error)
{
    using Code = Error::Code;
    const bool isSave = m_operation.kind == OperationKind::Save;
    const bool isRepeated = m_operation.kind == OperationKind::Delete
        || m_operation.kind == OperationKind::Cancel || m_operation.kind == OperationKind::Create;
    bool isLost = error.code == Code::Unknown || error.code == Code::Canceled;
    // An answer that cannot be read, or a failure of a gateway in between, says nothing about what
    // the server did (gateway.md section 3.5). The run speaks for itself on its own socket.
    if (!isSave && !m_isAccepted)
        isLost |= error.code == Code::Backend || error.code == Code::Malformed;
    // After the request was taken, no answer means that we do not see it, not that it ended.
    if (m_isAccepted)
        isLost |= error.code == Code::Unreachable || error.code == Code::Malformed;
    // These were tried several times, so that an earlier attempt may have arrived.
    if (isRepeated)
        isLost |= error.code == Code::Unreachable;
    auto told = error;
    if (isLost) {
        if (told.code != Code::Canceled)
            told.code = Code::Unknown;
        told.unchanged = "It is not known whether it took effect; it is not sent again";
        told.next = "Reconcile: that looks the effect up";
    }
    end({ isLost ? OperationState::Unknown : OperationState::Failed, {}, told, m_replicas });
}

void OperationRunner::end(OperationOutcome outcome)
{
    if (std::exchange(m_isEnded, true))
        return;
    m_silence.stop();
    const auto ended = m_reports.ended;
    deleteLater();
    ended(outcome);
}

bool OperationRunner::wantsWait() const
{
    return text("wait") != "0";
}

std::string OperationRunner::text(const char* key) const
{
    const auto it = m_operation.parameters.find(key);
    return it == m_operation.parameters.end() ? std::string {} : it->second;
}

} // namespace desk
