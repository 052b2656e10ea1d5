// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/gateway/trainer_job_manager.h"
#include "services/operations/operation_center.h"
#include "services/store/journal.h"

#include <QTest>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>

namespace desk::test {

/// Time that moves only when a test says so.
class ShiftedClock final : public Clock
{
public:
    Time now() const override { return SystemClock().now() + offset; }
    std::chrono::microseconds offset {};
};

/// One process of the desk on a profile: journal, clients, center, connected to a server.
struct DeskProcess
{
    DeskProcess(const QString& journalFile, const QString& url, const std::string& account)
        : journal(journalFile)
    {
        using namespace std::chrono_literals;
        connection = { "local", url.toStdString(), account, SafetyLevel::Free, true, "", "" };
        http = std::make_unique<HttpClient>(connection, [] { return QByteArray("secret-key"); });
        http->setRetryPolicy({ 1ms, 1ms, 0, 1ms });
        services.connection = connection;
        services.client = std::make_shared<FireworksClient>(*http);
        services.client->setFollowPolicy({ 5ms, 10ms, 150ms, 20s });
        services.jobs = std::make_shared<TrainerJobManager>(*services.client);
        services.deployments = std::make_shared<DeploymentManager>(*services.client);
        services.deployments->setPolicy({ 5ms, 5ms, 5ms, 60ms });
        OperationEnvironment environment;
        environment.connect = [this](const std::string& name) -> Result<ConnectionServices> {
            if (name != "local")
                return Error { Error::Code::NotFound, "no such connection" };
            return services;
        };
        environment.silenceLimit = 2s;
        center = std::make_unique<OperationCenter>(journal, clock, environment);
    }
    DeskProcess(const DeskProcess&) = delete;
    DeskProcess& operator=(const DeskProcess&) = delete;
    ~DeskProcess() { center.reset(); }

    ShiftedClock clock;
    Connection connection;
    std::unique_ptr<HttpClient> http;
    ConnectionServices services;
    Journal journal;
    std::unique_ptr<OperationCenter> center;
};

template <class T>
Result<T> endOf(QFuture<Result<T>> future, int timeoutMs = 15000)
{
    [&] { QTRY_VERIFY_WITH_TIMEOUT(future.isFinished(), timeoutMs); }();
    return future.isFinished() && future.resultCount() > 0
        ? future.result()
        : Result<T>(Error { Error::Code::Canceled, "no result" });
}

inline OperationDraft draftFor(
    OperationKind kind, const std::string& target, std::map<std::string, std::string> parameters)
{
    OperationDraft draft;
    draft.kind = kind;
    draft.connection = "local";
    draft.target = target;
    draft.parameters = std::move(parameters);
    draft.by = "ctl";
    return draft;
}

/// Details of the stages of that name, in order.
inline QByteArrayList stagesOf(const Operation& operation, const std::string& stage)
{
    QByteArrayList details;
    for (const auto& one : operation.stages)
        if (one.stage == stage)
            details.append(QByteArray::fromStdString(one.detail));
    return details;
}

inline const PreflightCheck* checkNamed(const OperationPlan& plan, const std::string& id)
{
    const auto it = std::find_if(plan.preflight.begin(), plan.preflight.end(),
        [&](const PreflightCheck& check) { return check.id == id; });
    return it == plan.preflight.end() ? nullptr : &*it;
}

} // namespace desk::test
