// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/gateway/fireworks_client.h"

#include "services/core/resource_name.h"
#include "services/errand.h"
#include "services/gateway/gateway_calls.h"
#include "services/gateway/trainer_job_manager.h"

#include <algorithm>

namespace desk {
namespace {

    constexpr std::size_t kMaxListed = 20'000; // rows of one list, over all pages

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

FireworksClient::FireworksClient(HttpClient& http, QObject* parent)
    : QObject(parent)
    , m_http(http)
    , m_account(http.connection().account)
{
    if (isLoopback(http.url("/"))) {
        m_follow.poll = std::chrono::milliseconds(100);
        m_follow.silence = std::chrono::seconds(20);
    }
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
template QFuture<Result<std::map<std::string, std::string>>> FireworksClient::call(std::string,
    const char*, HttpRequest,
    std::function<Result<std::map<std::string, std::string>>(const HttpReply&)>);
template QFuture<Result<TrainingProfile>> FireworksClient::call(std::string, const char*,
    HttpRequest, std::function<Result<TrainingProfile>(const HttpReply&)>);

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
    if (const auto problems = checkCreateJob(create); !problems.empty()) {
        Error error { Error::Code::Usage, {}, "Nothing was sent", "Change what is named", {} };
        for (const auto& problem : problems)
            error.message += (error.message.empty() ? "" : "; ") + problem;
        return finishedFuture<TrainerJob>(std::move(error));
    }
    auto request = makeRequest("POST", "create the trainer job " + create.jobId, false);
    request.body = QByteArray::fromStdString(encodeCreateJob(create));
    request.url.setQuery(queryText(createJobQuery(create)), QUrl::StrictMode);
    auto errand = Errand<TrainerJob>::start(this);
    auto future = errand->future();
    errand->await(call<TrainerJob>({}, "rlorTrainerJobs", std::move(request), decodedBy(decodeJob)),
        [this, errand = errand.get(), id = create.jobId](Result<TrainerJob> created) {
            if (created || id.empty() || !mayHaveCreated(created.error()))
                return errand->finish(std::move(created));
            settleCreation(errand->shared_from_this(), id, created.error());
        });
    return future;
}

/// The id exists, or a reply does not say whether it does: looks it up, sends nothing again.
void FireworksClient::settleCreation(
    std::shared_ptr<Errand<TrainerJob>> errand, const std::string& id, Error why)
{
    const bool isConflict = why.code == Error::Code::Conflict;
    errand->await(getJob(id), [errand = errand.get(), isConflict, why](Result<TrainerJob> job) {
        if (!job && isConflict)
            return errand->finish(job.error());
        if (!job)
            return errand->finish(unsettled(why));
        if (job->state != JobState::Deleted && job->state != JobState::Archived)
            return errand->finish(*std::move(job));
        errand->finish(Error { Error::Code::Conflict,
            "The job " + job->name + " is archived and cannot be recreated with the same ID",
            "Nothing was created", "Choose another id", {} });
    });
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
        makeRequest("DELETE", "delete the trainer job " + job, false), ignoredBody);
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
        model, "models", makeRequest("DELETE", "delete the model " + model, false), ignoredBody);
}

} // namespace desk
