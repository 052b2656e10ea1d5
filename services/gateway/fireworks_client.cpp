// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/gateway/fireworks_client.h"

#include "services/core/resource_name.h"
#include "services/errand.h"
#include "services/gateway/gateway_calls.h"

#include <algorithm>

using namespace std::chrono_literals;

namespace desk {
namespace {

    constexpr std::size_t kMaxListed = 20'000; // rows of one list, over all pages
    constexpr int kMaxTransientPolls = 8;

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

    Error accountError(const std::string& message, const char* next)
    {
        return { Error::Code::Auth, message, "Nothing was sent to an account", next, {} };
    }

    /// gateway.md 1.3, with the words of the SDK.
    Result<std::string> accountFrom(const Page<Account>& page)
    {
        static constexpr std::string_view kPrefix = "accounts/";
        if (page.items.empty())
            return accountError(
                "This API key is not associated with any Fireworks account", "Use another key");
        if (page.items.size() > 1) {
            std::string ids;
            for (const auto& account : page.items)
                ids += (ids.empty() ? "" : ", ") + std::string(lastSegment(account.name));
            return accountError("This API key has access to multiple accounts: " + ids,
                "Name the account in the connection");
        }
        auto id = page.items.front().name;
        if (std::string_view(id).substr(0, kPrefix.size()) == kPrefix)
            id.erase(0, kPrefix.size());
        if (id.empty() || id.find('/') != std::string::npos)
            return accountError("Could not parse account ID from the server's answer",
                "Name the account in the connection");
        return id;
    }

    void sortNewestFirst(std::vector<Checkpoint>& rows)
    {
        // By parsed time: the server mixes precisions, so text order is wrong (gateway.md 1.5).
        std::stable_sort(rows.begin(), rows.end(), [](const Checkpoint& a, const Checkpoint& b) {
            return a.created.value_or(Time {}) > b.created.value_or(Time {});
        });
    }

    template <class T>
    using PageDecoder = Result<Page<T>> (*)(std::string_view);

    /// Reads page after page into `rows`, then ends the errand.
    template <class T>
    void readPages(const std::shared_ptr<Errand<std::vector<T>>>& errand, HttpClient& http,
        const std::string& path, const std::string& token, PageDecoder<T> decode,
        const std::string& doing, std::vector<T> rows)
    {
        std::map<std::string, std::string> query { { "pageSize", "200" } };
        if (!token.empty())
            query["pageToken"] = token;
        errand->await(http.send(getRequest(http, path, query, doing)),
            [errand = errand.get(), &http, path, token, decode, doing, rows = std::move(rows)](
                Result<HttpReply> reply) mutable {
                if (!reply)
                    return errand->finish(reply.error());
                auto page = decode(textOf(reply->body));
                if (!page)
                    return errand->finish(page.error());
                if (rows.size() + page->items.size() > kMaxListed
                    || (!page->nextPageToken.empty() && page->nextPageToken == token))
                    return errand->finish(Error { Error::Code::Malformed,
                        "Could not " + doing + ": the list of the server does not end",
                        "Nothing was taken from it", {}, {} });
                std::move(page->items.begin(), page->items.end(), std::back_inserter(rows));
                if (page->nextPageToken.empty())
                    return errand->finish(std::move(rows));
                readPages(errand->shared_from_this(), http, path, page->nextPageToken, decode,
                    doing, std::move(rows));
            });
    }

} // namespace

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
    return request;
}

Result<std::string> promotePath(const std::string& checkpointName)
{
    const auto name = parseCheckpointName(checkpointName);
    if (!name)
        return name.error();
    return "/v1/accounts/" + name->account + "/checkpoints/" + name->checkpoint + ":promote";
}

FireworksClient::FireworksClient(HttpClient& http, QObject* parent)
    : QObject(parent)
    , m_http(http)
    , m_account(http.connection().account)
{
}

QFuture<Result<std::string>> FireworksClient::account()
{
    if (!m_account.empty())
        return finishedFuture<std::string>(m_account);
    auto request = getRequest(m_http, "/v1/accounts", { { "pageSize", "2" } }, "find the account");
    return mapFuture<std::string>(
        m_http.send(std::move(request)), this, [this](const Result<HttpReply>& reply) {
            auto account = reply.and_then([](const HttpReply& answer) {
                return decodeAccounts(textOf(answer.body)).and_then(accountFrom);
            });
            if (account)
                m_account = *account;
            return account;
        });
}

template <class T>
QFuture<Result<std::vector<T>>> FireworksClient::listAll(
    const char* collection, Result<Page<T>> (*decode)(std::string_view), const std::string& doing)
{
    auto errand = Errand<std::vector<T>>::start(this);
    auto future = errand->future();
    errand->awaitValue(
        account(), [this, errand = errand.get(), collection, decode, doing](const std::string& id) {
            readPages<T>(errand->shared_from_this(), m_http,
                "/v1/accounts/" + id + "/" + collection, {}, decode, doing, {});
        });
    return future;
}

template QFuture<Result<std::vector<Deployment>>> FireworksClient::listAll(
    const char*, Result<Page<Deployment>> (*)(std::string_view), const std::string&);

template <class T>
QFuture<Result<T>> FireworksClient::call(std::string pathTail, const char* collection,
    HttpRequest request, std::function<Result<T>(const HttpReply&)> decode)
{
    // A full name carries its account; a bare id needs the key's.
    if (pathTail.rfind("accounts/", 0) == 0) {
        request.url =
            m_http.url(targetPath("/v1/" + pathTail, request.url.query(QUrl::FullyEncoded)));
        return replyAs<T>(m_http.send(std::move(request)), this, std::move(decode));
    }
    auto errand = Errand<T>::start(this);
    auto future = errand->future();
    errand->awaitValue(account(),
        [this, errand = errand.get(), pathTail = std::move(pathTail), collection,
            request = std::move(request),
            decode = std::move(decode)](const std::string& id) mutable {
            request.url =
                m_http.url(targetPath("/v1/accounts/" + id + "/" + collection + "/" + pathTail,
                    request.url.query(QUrl::FullyEncoded)));
            errand->await(m_http.send(std::move(request)),
                [errand, decode = std::move(decode)](const Result<HttpReply>& reply) {
                    errand->finish(reply ? decode(*reply) : Result<T>(reply.error()));
                });
        });
    return future;
}

template QFuture<Result<Deployment>> FireworksClient::call(
    std::string, const char*, HttpRequest, std::function<Result<Deployment>(const HttpReply&)>);

QFuture<Result<std::vector<TrainerJob>>> FireworksClient::listJobs()
{
    return listAll<TrainerJob>("rlorTrainerJobs", decodeJobs, "list the trainer jobs");
}

QFuture<Result<TrainerJob>> FireworksClient::getJob(const std::string& job)
{
    return call<TrainerJob>(job, "rlorTrainerJobs",
        makeRequest("GET", "read the trainer job " + job, true), decodedBy(decodeJob));
}

QFuture<Result<TrainerJob>> FireworksClient::createJob(CreateJob create)
{
    auto request = makeRequest("POST", "create the trainer job " + create.jobId, true);
    request.body = QByteArray::fromStdString(encodeCreateJob(create));
    request.url.setQuery(queryText(createJobQuery(create)), QUrl::StrictMode);
    auto errand = Errand<TrainerJob>::start(this);
    auto future = errand->future();
    errand->await(call<TrainerJob>({}, "rlorTrainerJobs", std::move(request), decodedBy(decodeJob)),
        [this, errand = errand.get(), id = create.jobId](Result<TrainerJob> created) {
            if (created || created.error().code != Error::Code::Conflict || id.empty())
                return errand->finish(std::move(created));
            // The id exists: an earlier attempt of this create, or an archived job.
            errand->awaitValue(getJob(id), [errand](TrainerJob job) {
                if (job.state != JobState::Deleted && job.state != JobState::Archived)
                    return errand->finish(std::move(job));
                errand->finish(Error { Error::Code::Conflict,
                    "The job " + job.name + " is archived and cannot be recreated with the same ID",
                    "Nothing was created", "Choose another id", {} });
            });
        });
    return future;
}

QFuture<Result<TrainerJob>> FireworksClient::resumeJob(const std::string& job)
{
    return call<TrainerJob>(job + ":resume", "rlorTrainerJobs",
        makeRequest("POST", "resume the trainer job " + job, false), decodedBy(decodeJob));
}

QFuture<Status> FireworksClient::cancelJob(const std::string& job)
{
    auto request = makeRequest("POST", "cancel the trainer job " + job, false);
    request.body = "{}";
    return call<std::monostate>(
        job + ":cancel", "rlorTrainerJobs", std::move(request), ignoredBody);
}

QFuture<Status> FireworksClient::deleteJob(const std::string& job)
{
    return call<std::monostate>(job, "rlorTrainerJobs",
        makeRequest("DELETE", "delete the trainer job " + job, true), ignoredBody);
}

QFuture<Result<std::vector<Checkpoint>>> FireworksClient::listCheckpoints(const std::string& job)
{
    auto errand = Errand<std::vector<Checkpoint>>::start(this);
    auto future = errand->future();
    const auto doing = "list the checkpoints of " + std::string(lastSegment(job));
    const auto read = [this, errand = errand.get(), doing](const std::string& jobName) {
        auto pages = Errand<std::vector<Checkpoint>>::start(this);
        readPages<Checkpoint>(
            pages, m_http, "/v1/" + jobName + "/checkpoints", {}, decodeCheckpoints, doing, {});
        errand->awaitValue(pages->future(), [errand](std::vector<Checkpoint> rows) {
            sortNewestFirst(rows);
            errand->finish(std::move(rows));
        });
    };
    if (job.rfind("accounts/", 0) == 0) {
        read(job);
        return future;
    }
    errand->awaitValue(account(), [read, job](const std::string& id) {
        read(JobName { id, job }.toString());
    });
    return future;
}

QFuture<Result<Model>> FireworksClient::promoteCheckpoint(
    PromoteParameters parameters, Progress progress)
{
    const auto promote = makePromote(parameters);
    if (!promote)
        return finishedFuture<Model>(promote.error());
    const auto path = promotePath(parameters.name);
    auto request = makeRequest("POST", "promote " + parameters.name, false);
    request.url = m_http.url(*path);
    request.body = QByteArray::fromStdString(encodePromote(*promote));
    request.totalTimeout = 300s;
    auto errand = Errand<Model>::start(this);
    auto future = errand->future();
    errand->awaitValue(m_http.send(std::move(request)),
        [this, errand = errand.get(), progress = std::move(progress)](const HttpReply& reply) {
            auto answer = decodePromoteAnswer(textOf(reply.body));
            if (!answer) {
                auto error = answer.error();
                error.code = Error::Code::Unknown; // the server accepted something
                error.next = "Reconcile, to see what the server did";
                return errand->finish(std::move(error));
            }
            if (!answer->operation)
                return errand->finish(*std::move(answer->model));
            if (progress)
                progress("accepted " + answer->operation->name);
            awaitOperation(errand->shared_from_this(), *answer->operation, answer->model, progress,
                std::make_shared<OperationPoll>());
        });
    return future;
}

QFuture<Result<Model>> FireworksClient::waitForOperation(
    const std::string& operationName, Progress progress)
{
    auto errand = Errand<Model>::start(this);
    auto future = errand->future();
    LongOperation pending;
    pending.name = operationName;
    awaitOperation(errand, pending, {}, std::move(progress), std::make_shared<OperationPoll>());
    return future;
}

QFuture<Result<LongOperation>> FireworksClient::getOperation(const std::string& operationName)
{
    auto request = getRequest(m_http, "/v1/" + operationName, {}, "read the operation");
    return replyAs<LongOperation>(
        m_http.send(std::move(request)), this, decodedBy(decodeOperation));
}

void FireworksClient::awaitOperation(std::shared_ptr<Errand<Model>> errand,
    const LongOperation& seen, const std::optional<Model>& model, Progress progress,
    std::shared_ptr<OperationPoll> poll)
{
    if (progress && !seen.statusMessage.empty() && seen.statusMessage != poll->lastMessage)
        progress(seen.statusMessage);
    poll->lastMessage = seen.statusMessage;
    if (seen.isDone && seen.error)
        return errand->finish(*seen.error);
    if (seen.isDone && (seen.response || model))
        return errand->finish(seen.response ? *seen.response : *model);
    if (seen.isDone)
        return errand->finish(Error { Error::Code::Unknown,
            "The operation is done but names no model", {}, "Look for the model in the list", {} });
    const bool isNear = isLoopback(m_http.url("/"));
    const auto wait = std::min<std::chrono::milliseconds>(
        isNear ? 100ms : 10s * (1 << std::min(poll->failures, 3)), 60s);
    errand->after(wait, [this, errand = errand.get(), seen, model, progress, poll] {
        errand->await(getOperation(seen.name),
            [this, errand, seen, model, progress, poll](const Result<LongOperation>& now) {
                if (now) {
                    poll->failures = 0;
                    return awaitOperation(errand->shared_from_this(), *now, model, progress, poll);
                }
                const auto code = now.error().code;
                const bool isTransient = code == Error::Code::Unreachable
                    || code == Error::Code::Backend || code == Error::Code::Quota;
                if (isTransient && ++poll->failures < kMaxTransientPolls)
                    return awaitOperation(errand->shared_from_this(), seen, model, progress, poll);
                auto error = now.error();
                error.code = Error::Code::Unknown; // the promotion goes on without us
                error.unchanged.clear();
                error.next = "Reconcile, to see whether the model exists";
                errand->finish(std::move(error));
            });
    });
}

QFuture<Result<std::vector<Model>>> FireworksClient::listModels()
{
    return listAll<Model>("models", decodeModels, "list the models");
}

QFuture<Result<Model>> FireworksClient::getModel(const std::string& model)
{
    return call<Model>(model, "models", makeRequest("GET", "read the model " + model, true),
        decodedBy(decodeModel));
}

QFuture<Status> FireworksClient::deleteModel(const std::string& model)
{
    return call<std::monostate>(
        model, "models", makeRequest("DELETE", "delete the model " + model, true), ignoredBody);
}

} // namespace desk
