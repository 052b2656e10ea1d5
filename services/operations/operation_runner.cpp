// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/operations/operation_runner.h"

#include "services/codecs/cli_codec.h"
#include "services/codecs/control_codec.h"
#include "services/core/resource_name.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/on_finished.h"
#include "services/operations/preflight.h"
#include "services/runs/control_socket.h"

#include <QPointer>

#include <algorithm>
#include <charconv>
#include <utility>

namespace desk {
namespace {

    constexpr qint64 kLocalSilenceMs = 20'000; // long enough to start the backend again
    constexpr qint64 kRemoteSilenceMs = 300'000; // a network may be away for minutes
    constexpr std::int64_t kMaxSeconds = 10 * 365 * 86'400LL;

} // namespace

std::int64_t OperationRunner::seconds(const char* key, std::int64_t fallback) const
{
    const auto value = text(key);
    std::int64_t number = 0;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
    const bool isWhole = parsed.ec == std::errc {} && parsed.ptr == value.data() + value.size();
    return isWhole && number > 0 ? std::min(number, kMaxSeconds) : fallback;
}

std::string identityOf(const Operation& operation)
{
    return std::string(lastSegment(operation.subject));
}

std::string readySummary(const std::vector<Replica>& replicas, const std::string& identity)
{
    const auto ready = std::count_if(replicas.begin(), replicas.end(),
        [&](const Replica& replica) { return servesSnapshot(replica, identity); });
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
        return text("resource") == "job" ? createJob() : create();
    case OperationKind::Delete:
        return remove();
    case OperationKind::Cancel:
        return cancelJob();
    case OperationKind::Previous:
        return previous();
    case OperationKind::Resume:
        return resume();
    case OperationKind::Extend:
        return extend();
    case OperationKind::Scale:
        return scale();
    }
}

void OperationRunner::save()
{
    const auto ttl = seconds("ttl_seconds", 0);
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
    PromoteParameters parameters;
    parameters.name = m_operation.subject;
    parameters.outputModelId = text("model_id");
    parameters.baseModel = text("base_model");
    if (const auto deployment = text("hot_load_deployment_id"); !deployment.empty())
        parameters.hotLoadDeploymentId = deployment;
    const auto name = parseCheckpointName(m_operation.subject);
    if (text("form") == "pair" && name) {
        parameters.name.clear();
        parameters.jobId = name->jobName().toString();
        parameters.checkpointId = name->checkpoint;
    }
    const auto progress = [self = QPointer<OperationRunner>(this)](const std::string& message) {
        constexpr std::string_view kAccepted = "accepted ";
        // Warnings are stages of the record already.
        if (!self || message.rfind("warning ", 0) == 0)
            return;
        if (message.rfind(kAccepted, 0) == 0)
            self->accepted(message.substr(kAccepted.size()));
        else
            self->m_reports.stage("running", message);
    };
    onFinished(m_services.client->promoteCheckpoint(parameters, progress), this,
        [this, warnings = promoteWarnings(parameters)](const Result<Model>& model) {
            if (model)
                succeed(withCliWarnings(encodeCliModel(*model), warnings));
            else
                fail(model.error());
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
    bool isLost = error.code == Code::Unknown || error.code == Code::Canceled;
    // An answer that cannot be read, or a failure of a gateway in between, says nothing about what
    // the server did (gateway.md section 3.5). The run speaks for itself on its own socket.
    if (!isSave && !m_isAccepted)
        isLost |= error.code == Code::Backend || error.code == Code::Malformed;
    // After the request was taken, no answer means that we do not see it, not that it ended.
    if (m_isAccepted)
        isLost |= error.code == Code::Unreachable || error.code == Code::Malformed;
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
