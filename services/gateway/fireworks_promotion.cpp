// SPDX-License-Identifier: GPL-3.0-or-later
// Promotions: the request in its present and its deprecated forms, and following it to its end.
#include "services/core/resource_name.h"
#include "services/errand.h"
#include "services/gateway/fireworks_client.h"
#include "services/gateway/gateway_calls.h"

#include <QElapsedTimer>

#include <algorithm>

using namespace std::chrono_literals;

namespace desk {
namespace {

    Error invalidModelId(const std::vector<std::string>& problems)
    {
        Error error;
        error.code = Error::Code::Usage;
        for (const auto& problem : problems)
            error.message += (error.message.empty() ? "" : "; ") + problem;
        while (!error.message.empty() && error.message.back() == '.')
            error.message.pop_back();
        error.unchanged = "Nothing was sent";
        error.next = "Choose an id of 1 to 63 characters a-z, 0-9 and hyphen";
        return error;
    }

    Error promoteUsage(std::string message, std::string next)
    {
        return { Error::Code::Usage, std::move(message), "Nothing was sent", std::move(next), {} };
    }

    /// A server older than asynchronous promotions (gateway.md 3.2).
    bool refusesAsync(const Error& error)
    {
        auto text = error.message;
        std::transform(text.begin(), text.end(), text.begin(),
            [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        return error.code == Error::Code::Refused
            && (text.find("async_promotion") != std::string::npos
                || text.find("asyncpromotion") != std::string::npos);
    }

    bool isTransient(const Error& error)
    {
        return error.code == Error::Code::Unreachable || error.code == Error::Code::Backend
            || error.code == Error::Code::Quota;
    }

} // namespace

std::vector<std::string> promoteWarnings(const PromoteParameters& parameters)
{
    std::vector<std::string> warnings;
    if (!parameters.jobId.empty() || !parameters.checkpointId.empty())
        warnings.push_back("the form with a job and a checkpoint id is deprecated; give the "
                           "four-segment name that the list of checkpoints shows");
    if (parameters.hotLoadDeploymentId)
        warnings.push_back("hot_load_deployment_id is deprecated; leave it out unless the "
                           "deployment predates the stored bucket URL");
    return warnings;
}

Result<PromoteParameters> withName(PromoteParameters parameters, const std::string& account)
{
    if (!parameters.name.empty() && !parameters.checkpointId.empty())
        return promoteUsage(
            "A promotion takes a name or a checkpoint id, not both", "Leave the checkpoint id out");
    if (parameters.name.empty()) {
        if (parameters.jobId.empty() || parameters.checkpointId.empty())
            return promoteUsage("A promotion needs the name of a checkpoint",
                "Give the four-segment name that the list of checkpoints shows");
        const bool isFull = parameters.jobId.rfind("accounts/", 0) == 0;
        const auto job = isFull ? parseJobName(parameters.jobId)
                                : Result<JobName>(JobName { account, parameters.jobId });
        if (!job)
            return job.error();
        parameters.name = job->toString() + "/checkpoints/" + parameters.checkpointId;
    }
    const auto name = parseCheckpointName(parameters.name);
    if (!name)
        return name.error();
    if (!parameters.jobId.empty() && lastSegment(parameters.jobId) != name->job)
        return promoteUsage("The checkpoint is one of " + name->job + ", not of "
                + std::string(lastSegment(parameters.jobId)),
            "Leave the job out");
    return parameters;
}

Result<Promote> makePromote(const PromoteParameters& parameters)
{
    const auto name = parseCheckpointName(parameters.name);
    if (!name)
        return name.error();
    if (const auto problems = validateOutputModelId(parameters.outputModelId); !problems.empty())
        return invalidModelId(problems);
    if (parameters.baseModel.empty())
        return Error { Error::Code::Usage, "A promotion needs the base model", "Nothing was sent",
            "Give the full name of the model the job started from", {} };
    Promote request;
    request.outputModel = modelName(name->account, parameters.outputModelId);
    request.trainerJob = name->jobName().toString();
    request.baseModel = parameters.baseModel;
    if (parameters.hotLoadDeploymentId)
        request.hotLoadDeployment = parameters.hotLoadDeploymentId->rfind("accounts/", 0) == 0
            ? *parameters.hotLoadDeploymentId
            : deploymentName(name->account, *parameters.hotLoadDeploymentId);
    return request;
}

Result<std::string> promotePath(const std::string& checkpointName)
{
    const auto name = parseCheckpointName(checkpointName);
    if (!name)
        return name.error();
    return "/v1/accounts/" + name->account + "/checkpoints/" + name->checkpoint + ":promote";
}

/// Polling of an operation, then of the model, until the promotion has an end.
struct FireworksClient::Follow : std::enable_shared_from_this<FireworksClient::Follow>
{
    Follow(FireworksClient& owner, std::shared_ptr<Errand<Model>> job, Progress toTell)
        : client(owner)
        , policy(owner.m_follow)
        , errand(job)
        , progress(std::move(toTell))
    {
        sinceStart.start();
        sinceAnswer.start();
    }

    void tell(const std::string& message)
    {
        if (progress && !message.empty() && message != lastMessage)
            progress(message);
        lastMessage = message;
    }

    void judge(const LongOperation& seen, const std::optional<Model>& model)
    {
        tell(seen.statusMessage);
        if (seen.isDone && seen.error)
            return end()->finish(*seen.error);
        if (seen.isDone && (seen.response || model))
            return judge(seen.response ? *seen.response : *model);
        if (seen.isDone)
            return end()->finish(
                Error { Error::Code::Unknown, "The operation is done but names no model", {},
                    "Look for the model in the list", {} });
        if (sinceStart.hasExpired(policy.total.count()))
            return giveUp({});
        errand.lock()->after(pause(), [self = shared_from_this(), seen, model] {
            self->end()->await(self->client.readOperation(seen.name, 1),
                [self, seen, model](const Result<LongOperation>& now) {
                    if (!now)
                        return self->endure(
                            now.error(), [self, seen, model] { self->judge(seen, model); });
                    self->heard();
                    self->judge(*now, model);
                });
        });
    }

    void judge(const Model& model)
    {
        // Servers that say no state have none to wait for.
        if (model.state.empty() || model.state == "READY")
            return end()->finish(model);
        tell(model.state);
        if (sinceStart.hasExpired(policy.total.count()))
            return giveUp({});
        errand.lock()->after(pause(), [self = shared_from_this(), model] {
            self->end()->await(
                self->client.getModel(model.name), [self, model](const Result<Model>& now) {
                    if (!now)
                        return self->endure(now.error(), [self, model] { self->judge(model); });
                    self->heard();
                    self->judge(*now);
                });
        });
    }

    void heard()
    {
        failures = 0;
        sinceAnswer.start();
    }

    template <class Again>
    void endure(Error error, Again again)
    {
        if (!isTransient(error) || sinceAnswer.hasExpired(policy.silence.count()))
            return giveUp(std::move(error));
        ++failures;
        const auto told = std::exchange(lastMessage, error.message);
        if (progress && told != error.message)
            progress(error.message);
        again();
    }

    /// The promotion goes on without us.
    void giveUp(std::optional<Error> error)
    {
        Error unknown;
        unknown.code = Error::Code::Unknown;
        const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(policy.total).count();
        unknown.message = error ? error->message
                                : "There was no final answer for " + std::to_string(minutes)
                + " min; the promotion was not canceled";
        unknown.next = "Reconcile, to see whether the model exists";
        end()->finish(std::move(unknown));
    }

    [[nodiscard]] std::chrono::milliseconds pause() const
    {
        return std::min(policy.maxPoll, policy.poll * (1 << std::min(failures, 3)));
    }
    [[nodiscard]] std::shared_ptr<Errand<Model>> end() const { return errand.lock(); }

    FireworksClient& client;
    FollowPolicy policy;
    std::weak_ptr<Errand<Model>> errand; // held by the step that is under way
    Progress progress;
    std::string lastMessage;
    int failures = 0;
    QElapsedTimer sinceStart;
    QElapsedTimer sinceAnswer;
};

QFuture<Result<Model>> FireworksClient::promoteCheckpoint(
    PromoteParameters parameters, Progress progress)
{
    // All that can be refused without the account is refused before it is asked for.
    const auto early = withName(parameters, "account");
    const auto promote = early ? makePromote(*early) : Result<Promote>(early.error());
    if (!promote)
        return finishedFuture<Model>(promote.error());
    if (progress) {
        for (const auto& warning : promoteWarnings(parameters))
            progress("warning " + warning);
    }
    auto errand = Errand<Model>::start(this);
    auto future = errand->future();
    if (!parameters.name.empty()) {
        sendPromotion(errand, std::move(parameters), *promote, std::move(progress));
        return future;
    }
    errand->awaitValue(account(),
        [this, errand = errand.get(), parameters, progress = std::move(progress)](
            const std::string& account) {
            const auto named = withName(parameters, account);
            const auto request = named ? makePromote(*named) : Result<Promote>(named.error());
            if (!request)
                return errand->finish(request.error());
            sendPromotion(errand->shared_from_this(), *named, *request, progress);
        });
    return future;
}

void FireworksClient::sendPromotion(std::shared_ptr<Errand<Model>> errand,
    PromoteParameters parameters, Promote promote, Progress progress)
{
    const auto path = promotePath(parameters.name);
    if (!path)
        return errand->finish(path.error());
    auto request = makeRequest("POST", "promote " + parameters.name, false);
    request.url = m_http.url(*path);
    request.body = QByteArray::fromStdString(encodePromote(promote));
    request.totalTimeout = 300s;
    errand->await(m_http.send(std::move(request)),
        [this, errand = errand.get(), parameters, promote, progress](
            const Result<HttpReply>& reply) mutable {
            if (!reply && promote.isAsync && refusesAsync(reply.error())) {
                // The server said no to the field, so the first request had no effect.
                if (progress)
                    progress("resent without async_promotion");
                promote.isAsync = false;
                return sendPromotion(errand->shared_from_this(), std::move(parameters),
                    std::move(promote), std::move(progress));
            }
            if (!reply)
                return errand->finish(reply.error());
            auto answer = decodePromoteAnswer(textOf(reply->body));
            if (!answer) {
                auto error = answer.error();
                error.code = Error::Code::Unknown; // the server accepted something
                error.next = "Reconcile, to see what the server did";
                return errand->finish(std::move(error));
            }
            auto follow = std::make_shared<Follow>(*this, errand->shared_from_this(), progress);
            if (!answer->operation)
                return follow->judge(*answer->model);
            if (progress)
                progress("accepted " + answer->operation->name);
            follow->judge(*answer->operation, answer->model);
        });
}

QFuture<Result<Model>> FireworksClient::waitForOperation(
    const std::string& operationName, Progress progress)
{
    auto errand = Errand<Model>::start(this);
    LongOperation pending;
    pending.name = operationName;
    std::make_shared<Follow>(*this, errand, std::move(progress))->judge(pending, std::nullopt);
    return errand->future();
}

QFuture<Result<Model>> FireworksClient::waitForModel(const std::string& model, Progress progress)
{
    auto errand = Errand<Model>::start(this);
    auto future = errand->future();
    auto follow = std::make_shared<Follow>(*this, errand, std::move(progress));
    errand->awaitValue(getModel(model), [follow](const Model& row) { follow->judge(row); });
    return future;
}

QFuture<Result<LongOperation>> FireworksClient::getOperation(const std::string& operationName)
{
    return readOperation(operationName, HttpRequest().maxAttempts);
}

/// Who polls sees every failure and waits by itself.
QFuture<Result<LongOperation>> FireworksClient::readOperation(
    const std::string& operationName, int attempts)
{
    auto request = getRequest(m_http, "/v1/" + operationName, {}, "read the operation");
    request.maxAttempts = attempts;
    return replyAs<LongOperation>(
        m_http.send(std::move(request)), this, decodedBy(decodeOperation));
}

} // namespace desk
